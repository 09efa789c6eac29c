/* SPDX-License-Identifier: ISC */
/*
 * test_session_upstream: what every inner server is told once its list is
 * known, and what a client is told of a login's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "dialogue_fake.h"

/* Must TLS come first?  By mode and leg, where the list has the word or not. */
enum tls_turn { GO, START, STOP };
static const struct {
	enum conf_outgoing_tls mode;
	enum event_secure secure;
	enum tls_turn offered, missing;
} legs[] = {
	{ OUTGOING_PLAIN, SECURE_PLAINTEXT, GO, GO },
	{ OUTGOING_SSL, SECURE_PLAINTEXT, GO, GO },
	{ OUTGOING_SSL, SECURE_SSL, GO, GO },
	{ OUTGOING_STARTTLS, SECURE_PLAINTEXT, START, GO },
	{ OUTGOING_STARTTLS, SECURE_STARTTLS, GO, GO },
	{ OUTGOING_STARTTLS_FORCE, SECURE_PLAINTEXT, START, STOP },
	{ OUTGOING_STARTTLS_FORCE, SECURE_STARTTLS, GO, GO },
};

/* "@x" leaves nothing when the domain is taken off. */
static const struct {
	const char *authn, *authz;
	const char *inside_authn, *inside_authz; /* NULL: refused */
} names[] = {
	{ "joe@x", "", "joe", "" },
	{ "joe@x", "boss@y", "joe", "boss" },
	{ "@x", "", NULL, NULL },
	{ "joe@x", "@y", NULL, NULL },
};

static void
start(size_t leg, bool offered, bool lesson, struct capability *list)
{
	static char delimiter[] = "@";

	fake_start();
	fake.s.state = SESSION_LOGIN;
	fake.s.lesson = lesson;
	fake.s.server_secure = legs[leg].secure;
	fake.conf.outgoing_tls = legs[leg].mode;
	fake.conf.domain_delimiter = delimiter;
	fake.conf.name_rules.strip_domain = true;
	capability_clear(list);
	assert_int_equal(
	    capability_add_words(list, offered ? S("A stls") : S("A STLSX")),
	    0);
}

static void
check(size_t leg, bool offered, enum session_say got, enum session_say say,
    const char *said)
{
	const char *text = fake_text(&fake.to_client);

	if (got != say || strcmp(text, said) != 0)
		fail_msg(
		    "leg %zu, offered %d: %d %s", leg, offered, (int)got, text);
	assert_string_equal(fake_text(&fake.to_server), "");
}

static void
check_lesson(size_t leg, bool offered)
{
	struct capability list;
	enum session_say got;

	start(leg, offered, true, &list);
	got = session_server_known(&fake.s, &list, "STLS");
	switch (offered ? legs[leg].offered : legs[leg].missing) {
	case GO:
		check(leg, offered, got, SESSION_SAY_LOGOUT,
		    offered ? "{learned A stls}" : "{learned A STLSX}");
		break;
	case START:
		check(leg, offered, got, SESSION_SAY_STARTTLS, "");
		break;
	case STOP:
		check(leg, offered, got, SESSION_SAY_NOTHING,
		    "{learned nothing}");
		break;
	}
	fake_end();
}

/* Names are changed when a login is next, and not before. */
static void
check_login(size_t leg, bool offered, size_t name)
{
	const char *authn = names[name].authn, *authz = names[name].authz;
	struct capability list;
	struct credentials *l;
	enum session_say got;

	start(leg, offered, false, &list);
	l = session_login_space(&fake.s);
	(void)strlcpy(l->authn, authn, sizeof(l->authn));
	(void)strlcpy(l->authz, authz, sizeof(l->authz));
	got = session_server_known(&fake.s, &list, "STLS");
	switch (offered ? legs[leg].offered : legs[leg].missing) {
	case GO:
		if (names[name].inside_authn == NULL) {
			check(leg, offered, got, SESSION_SAY_NOTHING,
			    offered ? "{learned A stls}{greeted}{refused: }"
			            : "{learned A STLSX}{greeted}{refused: }");
			fake_end();
			return;
		}
		check(leg, offered, got, SESSION_SAY_LOGIN,
		    offered ? "{learned A stls}{greeted}"
		            : "{learned A STLSX}{greeted}");
		authn = names[name].inside_authn;
		authz = names[name].inside_authz;
		break;
	case START:
		check(leg, offered, got, SESSION_SAY_STARTTLS, "");
		break;
	case STOP:
		check(leg, offered, got, SESSION_SAY_NOTHING,
		    "{server: STARTTLS not offered by server}");
		break;
	}
	assert_string_equal(l->authn, authn);
	assert_string_equal(l->authz, authz);
	fake_end();
}

static void
test_known(void **state)
{
	size_t leg, name;
	int offered;

	(void)state;
	for (leg = 0; leg < NITEMS(legs); leg++)
		for (offered = 0; offered <= 1; offered++) {
			check_lesson(leg, offered);
			for (name = 0; name < NITEMS(names); name++)
				check_login(leg, offered, name);
		}
}

static void
test_answered(void **state)
{
	static const struct {
		enum login_failure why;
		const char *reason, *code;
		struct text text;
		const char *said, *words;
	} cases[] = {
		{ LOGIN_REFUSED, NULL, NULL, S("wrong"), "{refused: }",
		    "wrong" },
		{ LOGIN_REFUSED, NULL, "AUTH", { NULL, 0 }, "{refused: }",
		    "Authentication failed" },
		{ LOGIN_UNAVAILABLE, "ill", "IN-USE", S(""),
		    "{unavailable: ill}",
		    "The mail server is not available, try again later" },
		{ LOGIN_UNAVAILABLE, "ill", "IN-USE", S("locked"),
		    "{unavailable: ill}", "locked" },
		{ LOGIN_MISMATCH, "cannot", NULL, S(""), "{mismatch: cannot}",
		    "The mail server cannot take this login" },
		/* For people: no octet that a terminal would obey. */
		{ LOGIN_REFUSED, NULL, NULL, S("\x1b[1m\xc3\xb6\0\r\n~"),
		    "{refused: }", "?[1m?????~" },
	};
	size_t i;

	(void)state;
	fake_start();
	for (i = 0; i < NITEMS(cases); i++) { /* each forgets the last */
		buf_consume(&fake.to_client, fake.to_client.len);
		session_login_answered(&fake.s, cases[i].why, cases[i].reason,
		    cases[i].code, cases[i].text);
		assert_string_equal(fake_text(&fake.to_client), cases[i].said);
		assert_ptr_equal(fake.s.failure_code, cases[i].code);
		assert_string_equal(session_failure_text(&fake.s, cases[i].why),
		    cases[i].words);
	}
	fake_end();
}

static void
test_answered_long(void **state)
{
	char text[SESSION_TEXT_MAX + 1];
	const char *words;

	(void)state;
	memset(text, 'x', sizeof(text));
	fake_start();
	session_login_answered(&fake.s, LOGIN_REFUSED, NULL, NULL,
	    (struct text){ text, SESSION_TEXT_MAX });
	words = session_failure_text(&fake.s, LOGIN_REFUSED);
	assert_int_equal(strlen(words), SESSION_TEXT_MAX);
	session_login_answered(&fake.s, LOGIN_REFUSED, NULL, NULL,
	    (struct text){ text, SESSION_TEXT_MAX + 1 });
	words = session_failure_text(&fake.s, LOGIN_REFUSED);
	assert_int_equal(strlen(words), SESSION_TEXT_MAX);
	fake_end();
}

/* Whose words a success has. */
static void
test_ok_line(void **state)
{
	static const struct {
		const char *ours, *inner, *line;
	} cases[] = {
		{ NULL, "Welcome", "Welcome" },
		{ NULL, "", "Logged in" },
		{ "", "Welcome", "Welcome" },
		{ "", "", "Logged in" },
		{ "You are so in", "Welcome", "You are so in" },
		{ "You are so in", "", "You are so in" },
	};
	char ok_line[32];
	size_t i;

	(void)state;
	fake_start();
	for (i = 0; i < NITEMS(cases); i++) {
		fake.conf.ok_line = NULL;
		if (cases[i].ours != NULL) {
			(void)strlcpy(ok_line, cases[i].ours, sizeof(ok_line));
			fake.conf.ok_line = ok_line;
		}
		assert_string_equal(
		    session_ok_line(&fake.s, cases[i].inner), cases[i].line);
	}
	fake_end();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_answered_long),
		cmocka_unit_test(test_ok_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
