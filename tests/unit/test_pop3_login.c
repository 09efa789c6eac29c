/* SPDX-License-Identifier: ISC */
/*
 * test_pop3_login: the login at an inner server whose list is known: in which
 * form, what is said before it, what comes of each answer.  All that the
 * server says comes at once and octet by octet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "pop3_inner.h"

#define PLAIN_SAID PLAIN_ASKED "AGpvZQBzZWNyZXQ=\r\n"
#define PLAIN_ONLY LIST("SASL LOGIN PLAIN\r\n")
#define PLAIN_HEARD "{learned SASL LOGIN PLAIN}{greeted}"

/* joe with secret, over a plain inner leg. */
static const struct {
	struct text in;
	const char *server, *client;
	const char *rest; /* in s->server.in, of what came after a login */
} cases[] = {
	/* The login. */
	{ S(KNOWN "+OK\r\n"), SAID, HEARD, "" },
	{ S(KNOWN "+OK\r\n+OK Welcome\r\n"), SAID, HEARD "+OK Welcome\r\n{ok}",
	    "" },
	{ S(BARE "+ok password\r\n+ok\r\n"), SAID,
	    BARE_HEARD "+OK Logged in\r\n{ok}", "" },
	{ S(KNOWN "+OK\r\n+OK \r\n"), SAID, HEARD "+OK Logged in\r\n{ok}", "" },
	{ S(KNOWN "+OK\r\n+OK a\x1b[b\xc3\xa4 \r\n"), SAID,
	    HEARD "+OK a?[b?? \r\n{ok}", "" },
	/* What is behind the login's answer is the relay's. */
	{ S(KNOWN "+OK\r\n+OK Welcome\r\n+OK 2 320\r\n+O\0\n"), SAID,
	    HEARD "+OK Welcome\r\n{ok}", "+OK 2 320\r\n+O" },

	/* Refusals: of the name, of the password; with a delay ... */
	{ S(KNOWN "-ERR who\r\n"), ASKED, HEARD REFUSED "who\r\n", NULL },
	{ S(KNOWN "-ERR\r\n"), ASKED, HEARD REFUSED "Authentication failed\r\n",
	    NULL },
	{ S(KNOWN "-ERR [AUTH] who\r\n"), ASKED, HEARD REFUSED "[AUTH] who\r\n",
	    NULL },
	{ S(KNOWN "+OK\r\n-ERR wrong\r\n"), SAID, HEARD REFUSED "wrong\r\n",
	    NULL },
	{ S(KNOWN "+OK\r\n-err\r\n"), SAID,
	    HEARD REFUSED "Authentication failed\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR [AUTH] wrong\r\n"), SAID,
	    HEARD REFUSED "[AUTH] wrong\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR [auth]wrong\r\n"), SAID,
	    HEARD REFUSED "[AUTH] wrong\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR [AUTH]\r\n"), SAID,
	    HEARD REFUSED "[AUTH] Authentication failed\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR wr\x07ng \xc3\xb6\r\n"), SAID,
	    HEARD REFUSED "wr?ng ??\r\n", NULL },
	/* Codes that nobody here knows, and what is none. */
	{ S(KNOWN "+OK\r\n-ERR [X-OTHER y] wrong\r\n"), SAID,
	    HEARD REFUSED "[X-OTHER y] wrong\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR [IN-USE/X] wrong\r\n"), SAID,
	    HEARD REFUSED "[IN-USE/X] wrong\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR [IN-USE wrong\r\n"), SAID,
	    HEARD REFUSED "[IN-USE wrong\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR [] wrong\r\n"), SAID,
	    HEARD REFUSED "[] wrong\r\n", NULL },
	{ S(KNOWN "+OK\r\n-ERR it is [IN-USE]\r\n"), SAID,
	    HEARD REFUSED "it is [IN-USE]\r\n", NULL },
	/* ... and at once. */
	{ S(KNOWN "+OK\r\n-ERR [IN-USE] locked\r\n"), SAID,
	    HEARD "{unavailable: Mailbox in use}-ERR [IN-USE] locked\r\n",
	    NULL },
	{ S(KNOWN "-ERR [in-use] locked\r\n"), ASKED,
	    HEARD "{unavailable: Mailbox in use}-ERR [IN-USE] locked\r\n",
	    NULL },
	{ S(KNOWN "+OK\r\n-ERR [LOGIN-DELAY] wait\r\n"), SAID,
	    HEARD "{unavailable: Login delay of server}"
	          "-ERR [LOGIN-DELAY] wait\r\n",
	    NULL },
	{ S(KNOWN "+OK\r\n-ERR [SYS/TEMP] later\r\n"), SAID,
	    HEARD "{unavailable: Server unavailable}"
	          "-ERR [SYS/TEMP] later\r\n",
	    NULL },
	{ S(KNOWN "+OK\r\n-ERR [SYS/TEMP]\r\n"), SAID,
	    HEARD "{unavailable: Server unavailable}" DOWN, NULL },
	{ S(KNOWN "+OK\r\n-ERR [SYS/PERM] never\r\n"), SAID,
	    HEARD "{mismatch: Permanent failure of server}"
	          "-ERR [SYS/PERM] never\r\n",
	    NULL },
	{ S(KNOWN "+OK\r\n-ERR [SYS/PERM]\r\n"), SAID,
	    HEARD "{mismatch: Permanent failure of server}-ERR [SYS/PERM] "
	          "The mail server cannot take this login\r\n",
	    NULL },

	/* A server that has gone wrong. */
	{ S(KNOWN "+ go\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(KNOWN "what\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(KNOWN "\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(KNOWN "+OK\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(KNOWN "+OK\r\n+ go\r\n"), SAID, HEARD GARBAGE, NULL },
	{ S(KNOWN "+OK\r\n.\r\n"), SAID, HEARD GARBAGE, NULL },
	{ S(KNOWN "+OK\r\n+O\0K\r\n"), SAID, HEARD GARBAGE, NULL },
};

/* Who logs in how. */
static const struct {
	const char *authz, *authn, *password;
	struct text in;
	const char *server, *client;
} forms[] = {
	/* All octets, as they are. */
	{ "", "j\xc3\xb6", " se cr\xe4t\t ", S(KNOWN "+OK\r\n"),
	    "CAPA\r\nUSER j\xc3\xb6\r\nPASS  se cr\xe4t\t \r\n", HEARD },
	{ "", "joe", "%s\\\"", S(KNOWN "+OK\r\n"), ASKED "PASS %s\\\"\r\n",
	    HEARD },

	/* No USER on its list: PLAIN, if there is. */
	{ "", "joe", "secret", S(PLAIN_ONLY), PLAIN_ASKED, PLAIN_HEARD },
	{ "", "joe", "secret", S(PLAIN_ONLY "+ \r\n+OK Welcome\r\n"),
	    PLAIN_SAID, PLAIN_HEARD "+OK Welcome\r\n{ok}" },
	{ "", "joe", "secret", S(PLAIN_ONLY "+\r\n"), PLAIN_SAID, PLAIN_HEARD },
	{ "", "joe", "secret", S(PLAIN_ONLY "+ Z28=\r\n"), PLAIN_SAID,
	    PLAIN_HEARD },
	{ "", "joe", "secret", S(PLAIN_ONLY "+OK\r\n"), PLAIN_ASKED,
	    PLAIN_HEARD GARBAGE },
	{ "", "joe", "secret", S(PLAIN_ONLY "+go\r\n"), PLAIN_ASKED,
	    PLAIN_HEARD GARBAGE },
	{ "", "joe", "secret", S(PLAIN_ONLY "-ERR no\r\n"), PLAIN_ASKED,
	    PLAIN_HEARD REFUSED "no\r\n" },
	{ "", "joe", "secret", S(PLAIN_ONLY "-ERR [SYS/TEMP] no\r\n"),
	    PLAIN_ASKED,
	    PLAIN_HEARD
	    "{unavailable: Server unavailable}-ERR [SYS/TEMP] no\r\n" },
	{ "", "joe", "secret", S(PLAIN_ONLY "+ \r\n-ERR [AUTH] no\r\n"),
	    PLAIN_SAID, PLAIN_HEARD REFUSED "[AUTH] no\r\n" },
	{ "", "joe", "secret", S(PLAIN_ONLY "+ \r\n+ \r\n"), PLAIN_SAID,
	    PLAIN_HEARD GARBAGE },
	{ "", "joe", "secret", S(LIST("TOP\r\nSASL CRAM-MD5\r\n")), ASKED,
	    "{learned TOP SASL CRAM-MD5}{greeted}" },
	{ "", "joe", "secret", S(LIST("TOP\r\nSASL\r\nPLAIN\r\n")), ASKED,
	    "{learned TOP SASL PLAIN}{greeted}" },
	{ "", "joe", "secret", S(LIST("sasl plain\r\n")), PLAIN_ASKED,
	    "{learned sasl plain}{greeted}" },
	{ "", "joe", "secret", S(LIST("SASL PLAIN\r\nUSERS\r\n")), PLAIN_ASKED,
	    "{learned SASL PLAIN USERS}{greeted}" },
	{ "", "joe", "secret", S(LIST("SASL PLAIN\r\nUSER x\r\n")), ASKED,
	    "{learned SASL PLAIN USER x}{greeted}" },

	/* A blank in the name: PLAIN, if there is. */
	{ "", "j h", "s", S(KNOWN "+ \r\n"), PLAIN_ASKED "AGogaABz\r\n",
	    HEARD },
	{ "", " j", "s", S(BARE "+OK\r\n"), "CAPA\r\nUSER  j\r\nPASS s\r\n",
	    BARE_HEARD },
	{ "", "j ", "s", S(LIST("USER\r\nSASL LOGIN\r\n")),
	    "CAPA\r\nUSER j \r\n", "{learned USER SASL LOGIN}{greeted}" },

	/* Acting for another user: PLAIN or nothing. */
	{ "boss", "joe", "secret", S(KNOWN "+ \r\n+OK in\r\n"),
	    PLAIN_ASKED "Ym9zcwBqb2UAc2VjcmV0\r\n", HEARD "+OK in\r\n{ok}" },
	{ "boss", "joe", "secret", S(BARE), "CAPA\r\n",
	    BARE_HEARD "{mismatch: Authorisation identity not possible at "
	               "server}-ERR [AUTH] The mail server cannot take this "
	               "login\r\n" },
	{ "boss", "joe", "secret", S(LIST("USER\r\n")), "CAPA\r\n",
	    "{learned USER}{greeted}{mismatch: Authorisation identity not "
	    "possible at server}-ERR [AUTH] The mail server cannot take this "
	    "login\r\n" },
};

/* What the client had said before, in this order. */
static const struct {
	bool utf8;
	const char *language;
	struct text in;
	const char *server, *client;
} replays[] = {
	{ true, "", S(KNOWN), "CAPA\r\nUTF8\r\n", HEARD },
	{ true, "", S(KNOWN "+OK\r\n"), "CAPA\r\nUTF8\r\nUSER joe\r\n", HEARD },
	{ true, "de", S(KNOWN "+OK\r\n"), "CAPA\r\nUTF8\r\nLANG de\r\n",
	    HEARD },
	{ true, "de", S(KNOWN "+OK\r\n+OK de Deutsch\r\n+OK\r\n+OK in\r\n"),
	    "CAPA\r\nUTF8\r\nLANG de\r\nUSER joe\r\nPASS secret\r\n",
	    HEARD "+OK in\r\n{ok}" },
	{ false, "de-AT", S(KNOWN "+OK\r\n"),
	    "CAPA\r\nLANG de-AT\r\nUSER joe\r\n", HEARD },
	/* No such language is no harm; no UTF8 is. */
	{ true, "de", S(KNOWN "+OK\r\n-ERR no\r\n"),
	    "CAPA\r\nUTF8\r\nLANG de\r\nUSER joe\r\n", HEARD },
	{ true, "de", S(KNOWN "-ERR no\r\n"), "CAPA\r\nUTF8\r\n",
	    HEARD "{mismatch: UTF8 refused by server}-ERR [SYS/PERM] The "
	          "mail server cannot take this login\r\n" },
	{ true, "de", S(KNOWN "+ \r\n"), "CAPA\r\nUTF8\r\n", HEARD GARBAGE },
	{ false, "de", S(KNOWN "what\r\n"), "CAPA\r\nLANG de\r\n",
	    HEARD GARBAGE },
	{ false, "de", S(KNOWN "+OK\n"), "CAPA\r\nLANG de\r\n", HEARD GARBAGE },
	{ true, "de", S(PLAIN_ONLY "+OK\r\n+OK\r\n+ \r\n"),
	    "CAPA\r\nUTF8\r\nLANG de\r\nAUTH PLAIN\r\nAGpvZQBzZWNyZXQ=\r\n",
	    PLAIN_HEARD },
};

static void
test_cases(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		for (step = 1; step <= cases[i].in.len; step++) {
			start("", "joe", "secret");
			feed(cases[i].in, step);
			check("case", i, cases[i].server, cases[i].client);
			if (cases[i].rest != NULL)
				assert_string_equal(
				    fake_text(&fake.s.server.in),
				    cases[i].rest);
			fake_end();
		}
	}
}

static void
test_forms(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(forms); i++) {
		for (step = 1; step <= forms[i].in.len; step++) {
			start(
			    forms[i].authz, forms[i].authn, forms[i].password);
			feed(forms[i].in, step);
			check("form", i, forms[i].server, forms[i].client);
			fake_end();
		}
	}
}

static void
test_replays(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(replays); i++) {
		for (step = 1; step <= replays[i].in.len; step++) {
			start("", "joe", "secret");
			fake.data.utf8 = replays[i].utf8;
			(void)strlcpy(fake.data.language, replays[i].language,
			    sizeof(fake.data.language));
			feed(replays[i].in, step);
			check(
			    "replay", i, replays[i].server, replays[i].client);
			fake_end();
		}
	}
}

/* The longest credentials, in each form. */
static void
test_long(void **state)
{
	static char name[CREDENTIALS_NAME_MAX + 1];
	size_t len;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	start("", name, name);
	feed(S(KNOWN "+OK\r\n"), 999);
	len = strlen("CAPA\r\nUSER \r\nPASS \r\n") + 2048;
	assert_int_equal(fake.to_server.len, len);
	fake_end();

	start(name, name, name);
	feed(S(KNOWN "+ \r\n"), 999);
	len = strlen(PLAIN_ASKED "\r\n") + (3 * 1024 + 2 + 1) / 3 * 4;
	assert_int_equal(fake.to_server.len, len);
	fake_end();
}

/* The name inside is the one that is said, in each form. */
static void
test_names(void **state)
{
	char delimiter[] = "@";

	(void)state;
	start("", "joe@x", "secret");
	fake.conf.domain_delimiter = delimiter;
	fake.conf.name_rules.strip_domain = true;
	feed(S(KNOWN), 999);
	check("name", 0, ASKED, HEARD);
	fake_end();

	start("boss@x", "joe@x", "secret");
	fake.conf.domain_delimiter = delimiter;
	fake.conf.name_rules.strip_domain = true;
	feed(S(KNOWN "+ \r\n"), 999);
	check("name", 1, PLAIN_ASKED "Ym9zcwBqb2UAc2VjcmV0\r\n", HEARD);
	fake_end();
}

/* A text for people is cut, in a refusal and in a welcome. */
static void
test_long_answers(void **state)
{
	static const struct {
		struct text in;
		const char *before;
	} answers[] = {
		{ S("-ERR [AUTH] "), HEARD REFUSED "[AUTH] " },
		{ S("-ERR "), HEARD REFUSED },
		{ S("+OK "), HEARD "+OK " },
	};
	size_t i, len;
	unsigned int j;

	(void)state;
	for (i = 0; i < NITEMS(answers); i++) {
		start("", "joe", "secret");
		feed(S(KNOWN "+OK\r\n"), 999);
		feed(answers[i].in, 999);
		for (j = 0; j < 1000; j++)
			feed(S("x"), 1);
		feed(S("\r\n"), 1);
		len = strlen(answers[i].before) + SESSION_TEXT_MAX +
		    strlen("\r\n");
		if (fake.s.state == SESSION_RELAY)
			len += strlen("{ok}");
		assert_int_equal(fake.to_client.len, len);
		fake_end();
	}
}

/* The administrator's words in place of the inner server's. */
static void
test_ok_line(void **state)
{
	char ok_line[] = "You are so in";

	(void)state;
	start("", "joe", "secret");
	fake.conf.ok_line = ok_line;
	feed(S(KNOWN "+OK\r\n+OK Welcome\r\n"), 999);
	check("ok_line", 0, SAID, HEARD "+OK You are so in\r\n{ok}");
	fake_end();
}

/* What a client is told where no inner server has said a word. */
static void
test_no_server(void **state)
{
	static const struct {
		enum login_failure why;
		const char *client;
	} ends[] = {
		{ LOGIN_UNAVAILABLE, DOWN },
		{ LOGIN_REFUSED, "-ERR Authentication failed\r\n" },
		{ LOGIN_MISMATCH,
		    "-ERR [SYS/PERM] The mail server cannot take this "
		    "login\r\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(ends); i++) {
		fake_start();
		pop3_login_failed(&fake.s, ends[i].why);
		check("none", i, "", ends[i].client);
		fake_end();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_replays),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_answers),
		cmocka_unit_test(test_ok_line),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
