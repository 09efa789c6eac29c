/* SPDX-License-Identifier: ISC */
/*
 * test_imap_login: the login at an inner server: in which form, under which
 * name, and in whose words it succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "imap_inner.h"

/* Who logs in how: the forms of an inner login. */
static const struct {
	const char *authz, *authn, *password;
	struct text in;
	const char *server, *client;
} forms[] = {
	/* Literals where quoted strings do not do. */
	{ "", "j\"e", "secret", S(HELLO),
	    "r1 LOGIN {3+}\r\nj\"e \"secret\"\r\n", HEARD },
	{ "", "joe", "se\\cret", S(HELLO),
	    "r1 LOGIN \"joe\" {7+}\r\nse\\cret\r\n", HEARD },
	{ "", "joe", "gr\xc3\xbc\xc3\x9f", S(HELLO),
	    "r1 LOGIN \"joe\" {6+}\r\ngr\xc3\xbc\xc3\x9f\r\n", HEARD },
	{ "", "joe", "a\x7f", S(HELLO), "r1 LOGIN \"joe\" {2+}\r\na\x7f\r\n",
	    HEARD },
	{ "", "joe", "a\tb", S(HELLO), "r1 LOGIN \"joe\" {3+}\r\na\tb\r\n",
	    HEARD },
	{ "", "j\"e", "secret", S(BARE_HELLO), "r1 LOGIN {3}\r\n", BARE },
	{ "", "j\"e", "secret", S(BARE_HELLO "+ go\r\n"),
	    "r1 LOGIN {3}\r\nj\"e \"secret\"\r\n", BARE },
	{ "", "j\"e", "s\"", S(BARE_HELLO "+ go\r\n"),
	    "r1 LOGIN {3}\r\nj\"e {2}\r\n", BARE },
	{ "", "j\"e", "s\"", S(BARE_HELLO "+ go\r\n+\r\n" IN),
	    "r1 LOGIN {3}\r\nj\"e {2}\r\ns\"\r\n", BARE OK_REPLY },
	{ "", "j\"e", "s\"", S(BARE_HELLO "+ go\r\n+\r\n+\r\n"),
	    "r1 LOGIN {3}\r\nj\"e {2}\r\ns\"\r\n",
	    BARE FAILED("Unexpected challenge from server") },
	{ "", "j\"e", "s\"", S(BARE_HELLO "+ go\r\n" IN),
	    "r1 LOGIN {3}\r\nj\"e {2}\r\n",
	    BARE FAILED("Login accepted too early") },
	{ "", "j\"e", "s\"", S(BARE_HELLO "r1 BAD no literals\r\n"),
	    "r1 LOGIN {3}\r\n",
	    BARE "{unavailable: Login not understood by server}t NO "
	         "[SERVERBUG] The mail server is not available, try again "
	         "later\r\n" },
	{ "", "j\"e", "s", S("* OK [CAPABILITY IMAP4rev1 LITERAL-] x\r\n"),
	    "r1 LOGIN {3+}\r\nj\"e \"s\"\r\n",
	    "{learned IMAP4rev1 LITERAL-}{greeted}" },

	/* LOGIN is not to be had. */
	{ "", "joe", "secret",
	    S("* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN SASL-IR] x\r\n" IN),
	    "r1 AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=\r\n",
	    "{learned LOGINDISABLED AUTH=PLAIN SASL-IR}{greeted}" OK_REPLY },
	{ "", "joe", "secret",
	    S("* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] x\r\n"),
	    "r1 AUTHENTICATE PLAIN\r\n",
	    "{learned LOGINDISABLED AUTH=PLAIN}{greeted}" },
	{ "", "joe", "secret",
	    S("* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] x\r\n+ \r\n" IN),
	    "r1 AUTHENTICATE PLAIN\r\nAGpvZQBzZWNyZXQ=\r\n",
	    "{learned LOGINDISABLED AUTH=PLAIN}{greeted}" OK_REPLY },
	{ "", "joe", "secret",
	    S("* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] x\r\n+ \r\n+ \r\n"),
	    "r1 AUTHENTICATE PLAIN\r\nAGpvZQBzZWNyZXQ=\r\n",
	    "{learned LOGINDISABLED AUTH=PLAIN}{greeted}" FAILED(
	        "Unexpected challenge from server") },
	{ "", "joe", "secret",
	    S("* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] x\r\n" IN),
	    "r1 AUTHENTICATE PLAIN\r\n",
	    "{learned LOGINDISABLED AUTH=PLAIN}{greeted}" FAILED(
	        "Login accepted too early") },
	{ "", "joe", "secret",
	    S("* OK [CAPABILITY LOGINDISABLED AUTH=CRAM-MD5] x\r\n"), "",
	    "{learned LOGINDISABLED AUTH=CRAM-MD5}{greeted}"
	    "{mismatch: Login disabled by server}" CANNOT },

	/* Acting for another user: AUTHENTICATE PLAIN or nothing. */
	{ "boss", "joe", "secret", S(HELLO IN),
	    "r1 AUTHENTICATE PLAIN Ym9zcwBqb2UAc2VjcmV0\r\n", HEARD OK_REPLY },
	{ "boss", "joe", "secret", S(BARE_HELLO), "",
	    BARE "{mismatch: Authorisation identity not possible at server}"
	         "t NO [AUTHORIZATIONFAILED] The mail server cannot take "
	         "this login\r\n" },
};

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

/* The longest credentials, in each form. */
static void
test_long(void **state)
{
	static char name[CREDENTIALS_NAME_MAX + 1];
	size_t len;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	start("", name, name);
	feed(S(HELLO), 999);
	len = strlen("r1 LOGIN {1024+}\r\n {1024+}\r\n\r\n") + 2048;
	assert_int_equal(fake.to_server.len, len);
	fake_end();

	start(name, name, name);
	feed(S(HELLO), 999);
	len = strlen("r1 AUTHENTICATE PLAIN \r\n") + (3 * 1024 + 2 + 1) / 3 * 4;
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
	feed(S(HELLO), 999);
	check("name", 0, ASKED, HEARD);
	fake_end();

	start("boss@x", "joe@x", "secret");
	fake.conf.domain_delimiter = delimiter;
	fake.conf.name_rules.strip_domain = true;
	feed(S(HELLO), 999);
	check(
	    "name", 1, "r1 AUTHENTICATE PLAIN Ym9zcwBqb2UAc2VjcmV0\r\n", HEARD);
	fake_end();
}

/* The administrator's words in place of the inner server's. */
static void
test_ok_line(void **state)
{
	char ok_line[] = "You are so in";

	(void)state;
	start("", "joe", "secret");
	fake.conf.ok_line = ok_line;
	feed(S(HELLO IN), 999);
	check("ok_line", 0, ASKED,
	    HEARD "t OK [CAPABILITY " AFTER "] You are so in\r\n{ok}");
	fake_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ok_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
