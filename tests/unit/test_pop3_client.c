/* SPDX-License-Identifier: ISC */
/*
 * test_pop3_client: whole dialogues with a client until its login: what it
 * says, fed at once and octet by octet, and what it gets to hear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "pop3.h"

#define FAKE_DATA struct pop3_session
#define FAKE_RULES pop3_rules
#define FAKE_NRULES POP3_NRULES
#define FAKE_END pop3_client_reset
#include "dialogue_fake.h"

#define CAPA(list) "+OK Capability list follows\r\n" list ".\r\n"
#define CAPA_INNER "TOP\r\nUIDL\r\nUTF8\r\nLANG\r\n"
#define CAPA_LOGIN "USER\r\nSASL PLAIN LOGIN\r\n"
#define CAPA_END "IMPLEMENTATION Relais\r\n"
#define GIVEN "+OK Send your password\r\n"
#define REFUSED "-ERR [AUTH] Authentication failed\r\n"
#define NO_USER "-ERR USER comes first\r\n"
#define NO_NAME "-ERR USER takes a name\r\n"
#define UNKNOWN "-ERR Unknown command, or log in first\r\n"
#define NO_ARGS "-ERR This command takes no argument\r\n"
#define NO_BASE64 "-ERR Invalid base64\r\n"
#define CANCELLED "-ERR Authentication cancelled\r\n"
#define BYE "+OK Bye\r\n{close Logout}"
#define UTF8_ON "+OK UTF8 enabled\r\n"
#define LANG_ON "+OK en The mail server is told at the login\r\n"
#define LANG_NONE "-ERR Languages are listed after the login\r\n"
#define LOST(why) "-ERR [SYS/TEMP] " why "\r\n{close " why "}"

/* Over TLS.  rest: what stays in s->client.in. */
static const struct {
	struct text in;
	const char *out, *rest;
} cases[] = {
	/* What anybody may say. */
	{ S("CAPA\r\n"), CAPA(CAPA_INNER CAPA_LOGIN CAPA_END), "" },
	{ S("capa\r\nCapA\r\n"),
	    CAPA(CAPA_INNER CAPA_LOGIN CAPA_END)
	        CAPA(CAPA_INNER CAPA_LOGIN CAPA_END),
	    "" },
	{ S("QUIT\r\nCAPA\r\n"), BYE, "CAPA\r\n" },
	{ S("CAPA x\r\nQUIT x\r\nSTLS x\r\n"),
	    NO_ARGS NO_ARGS "-ERR TLS is active already\r\n", "" },
	{ S("CAPA  \r\n"), NO_ARGS, "" },
	{ S("STLS\r\n"), "-ERR TLS is active already\r\n", "" },

	/* What nobody may say before a login. */
	{ S("NOOP\r\nSTAT\r\nLIST 1\r\n"), UNKNOWN UNKNOWN UNKNOWN, "" },
	{ S("RETR 1\r\nTOP 1 0\r\nUIDL\r\n"), UNKNOWN UNKNOWN UNKNOWN, "" },
	{ S("DELE 1\r\nRSET\r\n"), UNKNOWN UNKNOWN, "" },
	{ S("APOP joe c4c9334bac560ecc979e58001b3e22fb\r\n"), UNKNOWN, "" },
	{ S("XTND XMIT\r\nCAPAB\r\nCAP\r\n"), UNKNOWN UNKNOWN UNKNOWN, "" },
	{ S("\r\n CAPA\r\nCAPA\t\r\n"), UNKNOWN UNKNOWN UNKNOWN, "" },
	{ S("GET / HTTP/1.1\r\n"), UNKNOWN, "" },
	{ S("\xff\x01\r\nQUIT\r\n"), UNKNOWN BYE, "" },

	/* USER and PASS. */
	{ S("USER joe\r\nPASS secret\r\n"), GIVEN "{login /joe/secret}", "" },
	{ S("user joe\r\npass secret\r\n"), GIVEN "{login /joe/secret}", "" },
	{ S("USER joe\r\nPASS secret\r\nSTAT\r\nRE"),
	    GIVEN "{login /joe/secret}", "STAT\r\nRE" },
	{ S("USER joe\r\nPASS  se cr\xe4t \r\n"),
	    GIVEN "{login /joe/ se cr\xe4t }", "" },
	{ S("USER joe\r\nPASS  \r\n"), GIVEN "{login /joe/ }", "" },
	{ S("USER joe\r\nPASS \t\x01\x7f\r\n"), GIVEN "{login /joe/\t\x01\x7f}",
	    "" },
	{ S("USER joe\r\nPASS USER ann\r\n"), GIVEN "{login /joe/USER ann}",
	    "" },
	{ S("USER  j\xc3\xb6 hn \r\nPASS x\r\n"),
	    GIVEN "{login / j\xc3\xb6 hn /x}", "" },
	/* Other words in between; the last name is the one. */
	{ S("USER joe\r\nNOOP\r\nPASS secret\r\n"),
	    GIVEN UNKNOWN "{login /joe/secret}", "" },
	{ S("USER joe\r\nUSER ann\r\nPASS secret\r\n"),
	    GIVEN GIVEN "{login /ann/secret}", "" },
	{ S("USER joe\r\nUSER\r\nPASS secret\r\n"), GIVEN NO_NAME NO_USER, "" },
	{ S("USER\r\nUSER \r\n"), NO_NAME NO_NAME, "" },
	{ S("PASS secret\r\nPASS\r\n"), NO_USER NO_USER, "" },
	/* Nobody has no password; and the name is gone with it. */
	{ S("USER joe\r\nPASS\r\nPASS secret\r\n"), GIVEN REFUSED NO_USER, "" },
	{ S("USER joe\r\nPASS \r\n"), GIVEN REFUSED, "" },
	{ S("USERjoe\r\nUSER\tjoe\r\n"), UNKNOWN UNKNOWN, "" },

	/* No lines. */
	{ S("CAPA\n"), LOST("invalid octets"), NULL },
	{ S("QU\0IT\r\n"), LOST("invalid octets"), NULL },
	{ S("QU\rIT\r\n"), LOST("invalid octets"), NULL },
	{ S("USER jo\0e\r\n"), LOST("invalid octets"), NULL },
	{ S("USER joe\r\nPASS se\0cret\r\n"), GIVEN LOST("invalid octets"),
	    NULL },
	{ S("USER joe\r\nPASS se\rcret\r\n"), GIVEN LOST("invalid octets"),
	    NULL },
	{ S("USER joe\r\nPASS secret\nDELE 1\r\n"),
	    GIVEN LOST("invalid octets"), NULL },

	/* AUTH alone: what there is. */
	{ S("AUTH\r\nauth \r\nAUTH  \r\n"),
	    "+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n"
	    "+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n"
	    "+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n",
	    "" },
	{ S("AUTH CRAM-MD5\r\nAUTH PLAINER AGpvZQBzZWNyZXQ=\r\nAUTH *\r\n"),
	    "-ERR Unknown mechanism\r\n-ERR Unknown mechanism\r\n"
	    "-ERR Unknown mechanism\r\n",
	    "" },

	/* AUTH PLAIN. */
	{ S("AUTH PLAIN\r\nAGpvZQBzZWNyZXQ=\r\nST"),
	    "+ \r\n{login /joe/secret}", "ST" },
	{ S("AUTH PLAIN \r\nAGpvZQBzZWNyZXQ=\r\n"), "+ \r\n{login /joe/secret}",
	    "" },
	{ S("auth plain AGpvZQBzZWNyZXQ=\r\nSTAT\r\n"), "{login /joe/secret}",
	    "STAT\r\n" },
	{ S("AUTH PLAIN Ym9zcwBqb2UAc2VjcmV0\r\n"), "{login boss/joe/secret}",
	    "" },
	{ S("AUTH PLAIN\r\n*\r\nQUIT\r\n"), "+ \r\n" CANCELLED BYE, "" },
	/* In an exchange there are no commands. */
	{ S("AUTH PLAIN\r\nQUIT\r\nQUIT\r\n"), "+ \r\n" REFUSED BYE, "" },
	{ S("AUTH PLAIN\r\nAGpvZQBzZWNyZXQ\r\nQUIT\r\n"),
	    "+ \r\n" NO_BASE64 BYE, "" },
	{ S("AUTH PLAIN AGpvZQ!\r\nQUIT\r\n"), NO_BASE64 BYE, "" },
	{ S("AUTH PLAIN AGpvZQBzZWNyZXQ= x\r\n"), NO_BASE64, "" },
	{ S("AUTH PLAIN =\r\n"), REFUSED, "" },
	{ S("AUTH PLAIN\r\n\r\n"), "+ \r\n" REFUSED, "" },
	{ S("AUTH PLAIN\r\nAGpv\0\r\n"), "+ \r\n" LOST("invalid octets"),
	    NULL },

	/* AUTH LOGIN. */
	{ S("AUTH LOGIN\r\nam9l\r\nc2VjcmV0\r\nST"),
	    "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{login /joe/secret}", "ST" },
	{ S("Auth Login am9l\r\nc2VjcmV0\r\n"),
	    "+ UGFzc3dvcmQ6\r\n{login /joe/secret}", "" },
	{ S("AUTH LOGIN aiBo\r\nIHAg\r\n"),
	    "+ UGFzc3dvcmQ6\r\n{login /j h/ p }", "" },
	{ S("AUTH LOGIN am9l\r\n*\r\nQUIT\r\n"),
	    "+ UGFzc3dvcmQ6\r\n" CANCELLED BYE, "" },
	{ S("AUTH LOGIN\r\n!\r\nQUIT\r\n"), "+ VXNlcm5hbWU6\r\n" NO_BASE64 BYE,
	    "" },
	{ S("AUTH LOGIN am9l\r\n\r\nQUIT\r\n"),
	    "+ UGFzc3dvcmQ6\r\n" REFUSED BYE, "" },

	/* UTF8 and LANG. */
	{ S("UTF8\r\nutf8\r\n"), UTF8_ON UTF8_ON, "" },
	{ S("UTF8 x\r\n"), NO_ARGS, "" },
	{ S("LANG de\r\nlang *\r\n"), LANG_ON LANG_ON, "" },
	{ S("LANG\r\nLANG \r\n"), LANG_NONE LANG_NONE, "" },
};

/* The situations of a client, with what a login may come to in each. */
static const struct situation {
	unsigned int situation;
	enum event_secure secure;
	bool can_starttls, disabled;
	const char *stls, *capa;
	const char *login; /* the answer to what needs it; NULL: allowed */
} situations[] = {
	{ CAPABILITY_CLEAR | CAPABILITY_STARTTLS, SECURE_PLAINTEXT, true, false,
	    "+OK Begin TLS negotiation now\r\n{starttls}",
	    CAPA_INNER "STLS\r\n" CAPA_END, "-ERR TLS comes first\r\n" },
	{ CAPABILITY_CLEAR, SECURE_PLAINTEXT, false, false,
	    "-ERR TLS is not offered here\r\n", CAPA_INNER CAPA_END,
	    "-ERR TLS comes first\r\n" },
	{ CAPABILITY_CLEAR_LOGIN | CAPABILITY_STARTTLS, SECURE_PLAINTEXT, true,
	    false, "+OK Begin TLS negotiation now\r\n{starttls}",
	    CAPA_INNER CAPA_LOGIN "STLS\r\n" CAPA_END, NULL },
	{ CAPABILITY_CLEAR_LOGIN, SECURE_PLAINTEXT, false, false,
	    "-ERR TLS is not offered here\r\n", CAPA_INNER CAPA_LOGIN CAPA_END,
	    NULL },
	{ CAPABILITY_TLS, SECURE_SSL, true, false,
	    "-ERR TLS is active already\r\n", CAPA_INNER CAPA_LOGIN CAPA_END,
	    NULL },
	{ CAPABILITY_TLS, SECURE_STARTTLS, false, false,
	    "-ERR TLS is active already\r\n", CAPA_INNER CAPA_LOGIN CAPA_END,
	    NULL },
	{ CAPABILITY_CLEAR, SECURE_SSL, false, true,
	    "-ERR TLS is active already\r\n", CAPA_INNER CAPA_END,
	    "-ERR [SYS/PERM] Logins are disabled\r\n" },
	{ CAPABILITY_CLEAR | CAPABILITY_STARTTLS, SECURE_PLAINTEXT, true, true,
	    "+OK Begin TLS negotiation now\r\n{starttls}",
	    CAPA_INNER "STLS\r\n" CAPA_END,
	    "-ERR [SYS/PERM] Logins are disabled\r\n" },
};

static void
start(const struct situation *where)
{
	static const struct protocol protocol = { .goodbye = pop3_goodbye };

	fake_start();
	fake.s.protocol = &protocol;
	fake.situation = where->situation;
	fake.s.client_secure = where->secure;
	fake.s.can_starttls = where->can_starttls;
	fake.conf.login_disabled = where->disabled;
	fake.s.state = SESSION_DIALOGUE;
	assert_int_equal(
	    pop3_parse_capability("TOP.UIDL.UTF8.LANG.SASL PLAIN", &fake.inner),
	    0);
}

static void
start_tls(void)
{
	start(&situations[4]);
}

/* As session does: all that comes is kept, and shown in a dialogue only. */
static void
feed(struct text in, size_t step)
{
	size_t n;

	while (in.len > 0) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(&fake.s.client.in, in.p, n), 0);
		in = text_skip(in, n);
		while (fake.s.state == SESSION_DIALOGUE &&
		    pop3_client_input(&fake.s))
			continue;
	}
}

static void
check(struct text in, size_t step, const char *out, const char *rest)
{
	feed(in, step);
	assert_string_equal(fake_text(&fake.to_client), out);
	if (rest != NULL)
		assert_string_equal(fake_text(&fake.s.client.in), rest);
	fake_end();
}

static void
test_dialogues(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		for (step = 1; step <= cases[i].in.len; step++) {
			start_tls();
			check(cases[i].in, step, cases[i].out, cases[i].rest);
		}
	}
}

/* Every command in every situation. */
static void
test_situations(void **state)
{
	static const struct {
		struct text in;
		const char *out; /* where a login is allowed */
	} logins[] = {
		{ S("USER joe\r\n"), GIVEN },
		{ S("PASS secret\r\n"), NO_USER },
		{ S("AUTH\r\n"),
		    "+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n" },
		{ S("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n"), "{login /joe/secret}" },
	};
	const struct situation *w;
	char capa[256];
	size_t i;

	(void)state;
	for (w = situations; w < situations + NITEMS(situations); w++) {
		start(w);
		(void)snprintf(capa, sizeof(capa), CAPA("%s"), w->capa);
		check(S("CAPA\r\n"), 1, capa, "");
		start(w);
		check(S("STLS\r\n"), 1, w->stls, "");
		start(w);
		check(S("QUIT\r\n"), 1, BYE, "");
		start(w);
		check(S("UTF8\r\n"), 1, UTF8_ON, "");
		start(w);
		check(S("LANG de\r\n"), 1, LANG_ON, "");
		start(w);
		check(S("NOOP\r\n"), 1, UNKNOWN, "");
		for (i = 0; i < NITEMS(logins); i++) {
			start(w);
			check(logins[i].in, 1,
			    w->login != NULL ? w->login : logins[i].out, "");
		}
	}
}

/* What came behind STLS in the clear is nobody's command. */
static void
test_stls(void **state)
{
	(void)state;
	start(&situations[0]);
	check(
	    S("STLS\r\nUSER joe\r\n"), 99, situations[0].stls, "USER joe\r\n");
	start(&situations[0]);
	check(S("STLS x\r\n"), 99, NO_ARGS, "");
}

/* UTF8 and LANG: kept until the login, where the inner server has them. */
static void
test_utf8(void **state)
{
	static const struct {
		const char *inner;
		struct text in;
		bool utf8;
		const char *language;
	} kept[] = {
		{ "UTF8.LANG", S("UTF8\r\nLANG de\r\n"), true, "de" },
		{ "UTF8 USER.LANG", S("UTF8\r\n"), true, "" },
		{ "UTF8.LANG", S("LANG de\r\nLANG fr\r\n"), false, "fr" },
		{ "UTF8.LANG", S("LANG de\r\nLANG\r\n"), false, "de" },
		{ "UTF8", S("UTF8\r\nLANG de\r\n"), true, "" },
		{ "LANG", S("UTF8\r\nLANG de\r\n"), false, "de" },
		{ "TOP", S("UTF8\r\nLANG de\r\nLANG\r\n"), false, "" },
		{ "UTF8X.XLANG", S("UTF8\r\nLANG de\r\n"), false, "" },
		{ "UTF8.LANG",
		    S("UTF8\r\nLANG de\r\nUSER joe\r\nPASS secret\r\n"), true,
		    "de" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(kept); i++) {
		start_tls();
		assert_int_equal(
		    pop3_parse_capability(kept[i].inner, &fake.inner), 0);
		feed(kept[i].in, 1);
		assert_int_equal(fake.data.utf8, kept[i].utf8);
		assert_string_equal(fake.data.language, kept[i].language);
		fake_end();
	}
	start_tls();
	capability_clear(&fake.inner);
	check(S("UTF8\r\nLANG de\r\nLANG\r\n"), 99,
	    "-ERR UTF8 is not offered here\r\n-ERR LANG is not offered here\r\n"
	    "-ERR LANG is not offered here\r\n",
	    "");
}

/* A line, a name, a password and a language that are as long as may be. */
static void
test_long(void **state)
{
	static const struct {
		const char *begin;
		size_t n; /* of "x" in between */
		const char *end, *out;
	} longs[] = {
		{ "USER ", 1024, "\r\n", GIVEN },
		{ "USER ", 1025, "\r\n", REFUSED },
		{ "USER ", 1025, "\r\nPASS x\r\n", REFUSED NO_USER },
		{ "USER joe\r\nPASS ", 1024, "\r\n", GIVEN "{login /joe/x" },
		{ "USER joe\r\nPASS ", 1025, "\r\n", GIVEN REFUSED },
		{ "LANG ", 64, "\r\n", LANG_ON },
		{ "LANG ", 65, "\r\n", "-ERR That is no language\r\n" },
		{ "USER ", 16377, "\r\n", REFUSED },
		{ "USER ", 16378, "\r\n", LOST("line too long") },
		{ "USER ", 16379, "", LOST("line too long") },
		{ "USER joe\r\nPASS ", 16377, "\r\n", GIVEN REFUSED },
		{ "USER joe\r\nPASS ", 16378, "\r\n",
		    GIVEN LOST("line too long") },
		{ "", 16382, "\r\n", UNKNOWN },
		{ "", 16384, "", LOST("line too long") },
		{ "AUTH PLAIN\r\n", 16380, "\r\n", "+ \r\n" REFUSED },
		{ "AUTH PLAIN\r\n", 16383, "\r\n",
		    "+ \r\n" LOST("line too long") },
		{ "AUTH PLAIN ", 16368, "\r\n", REFUSED },
		{ "AUTH LOGIN\r\n", 16380, "\r\n",
		    "+ VXNlcm5hbWU6\r\n" REFUSED },
	};
	static const size_t steps[] = { 1, 1000, POP3_LINE_MAX };
	static char in[POP3_LINE_MAX + 64];
	size_t i, j, n;

	(void)state;
	for (i = 0; i < NITEMS(longs); i++) {
		n = strlen(longs[i].begin);
		memcpy(in, longs[i].begin, n);
		memset(in + n, 'x', longs[i].n);
		n += longs[i].n;
		memcpy(in + n, longs[i].end, strlen(longs[i].end));
		n += strlen(longs[i].end);
		for (j = 0; j < NITEMS(steps); j++) {
			start_tls();
			feed((struct text){ in, n }, steps[j]);
			/* The password itself is not compared. */
			assert_memory_equal(fake_text(&fake.to_client),
			    longs[i].out, strlen(longs[i].out));
			fake_end();
		}
	}
}

/* No timestamp in it (APOP). */
static void
test_greeting(void **state)
{
	(void)state;
	start_tls();
	pop3_greet(&fake.s);
	assert_string_equal(fake_text(&fake.to_client), "+OK POP3 ready\r\n");
	fake_end();
}

static void
test_goodbye(void **state)
{
	(void)state;
	start_tls();
	pop3_goodbye(&fake.s, "Timeout");
	assert_string_equal(
	    fake_text(&fake.to_client), "-ERR [SYS/TEMP] Timeout\r\n");
	fake_end();
}

/* TLS comes in the middle of something: nothing of it is left. */
static void
test_reset(void **state)
{
	(void)state;
	start_tls();
	feed(S("UTF8\r\nLANG de\r\nUSER joe\r\nAUTH LOGIN am9l\r\n"), 99);
	assert_non_null(fake.data.user);
	assert_non_null(fake.data.exchange.name);
	pop3_client_reset(&fake.s);
	assert_null(fake.data.user);
	assert_null(fake.data.exchange.name);
	assert_false(fake.data.utf8);
	assert_string_equal(fake.data.language, "");
	check(S("PASS secret\r\n"), 99,
	    UTF8_ON LANG_ON GIVEN "+ UGFzc3dvcmQ6\r\n" NO_USER, "");
}

/* After a login that failed the name must be said again. */
static void
test_again(void **state)
{
	(void)state;
	start_tls();
	feed(S("USER joe\r\nPASS wrong\r\nPASS right\r\n"), 99);
	fake.s.state = SESSION_DIALOGUE;
	check(S("USER ann\r\nPASS x\r\n"), 1,
	    GIVEN "{login /joe/wrong}" NO_USER GIVEN "{login /ann/x}", "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_situations),
		cmocka_unit_test(test_stls),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_greeting),
		cmocka_unit_test(test_goodbye),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
