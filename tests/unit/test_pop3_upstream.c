/* SPDX-License-Identifier: ISC */
/*
 * test_pop3_upstream: the dialogue with an inner server up to its login:
 * greeting, list, STLS, lessons.  All that it says comes at once and octet by
 * octet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "pop3_inner.h"

#define INJECTED FAILED("Data from server before TLS")

/* joe with secret, over a plain inner leg. */
static const struct {
	struct text in;
	const char *server, *client;
	const char *rest; /* in s->server.in, of what came after a login */
} cases[] = {
	/* Greetings. */
	{ S(HELLO), "CAPA\r\n", "", "" },
	{ S("+OK\r\n"), "CAPA\r\n", "", "" },
	{ S("+ok \r\n"), "CAPA\r\n", "", "" },
	{ S("-ERR\r\n"), "", FAILED("Could not connect to server"), NULL },
	{ S("-ERR [SYS/TEMP] busy\r\n"), "",
	    FAILED("Could not connect to server"), NULL },
	{ S("+OKAY\r\n"), "", ODD, NULL },
	{ S("+OK\thi\r\n"), "", ODD, NULL },
	{ S("+\r\n"), "", ODD, NULL },
	{ S("-ERRR\r\n"), "", ODD, NULL },
	{ S(" +OK\r\n"), "", ODD, NULL },
	{ S("\r\n"), "", ODD, NULL },
	{ S(".\r\n"), "", ODD, NULL },
	{ S("* OK imap ready\r\n"), "", ODD, NULL },
	{ S("220 smtp ready\r\n"), "", ODD, NULL },
	{ S("+OK\n"), "", ODD, NULL },
	{ S("+O\0K\r\n"), "", ODD, NULL },
	{ S("+O\rK\r\n"), "", ODD, NULL },

	/* Its list. */
	{ S(KNOWN), ASKED, HEARD, "" },
	{ S(LIST("")), ASKED, BARE_HEARD, "" },
	{ S(LIST("user\r\nEXPIRE NEVER\r\nTOP\r\ntop\r\n")), ASKED,
	    "{learned user EXPIRE NEVER TOP}{greeted}", "" },
	/* Dots: one in front is stuffed, alone it is the end. */
	{ S(LIST("..X\r\nX.Y.\r\n..\r\n")), ASKED,
	    "{learned .X X.Y. .}{greeted}", "" },
	{ S(LIST(".X\r\n")), ASKED, "{learned X}{greeted}", "" },
	/* What looks like an answer is an entry. */
	{ S(LIST("+OK\r\n-ERR no\r\n")), ASKED,
	    "{learned +OK -ERR no}{greeted}", "" },
	{ S(BARE), ASKED, BARE_HEARD, "" },
	{ S(HELLO "-err\r\n"), ASKED, BARE_HEARD, "" },
	/* It does not end. */
	{ S(HELLO "+OK\r\nTOP\r\nUSER\r\n"), "CAPA\r\n", "", "" },
	{ S(HELLO "+OK\r\nTOP\r\n."), "CAPA\r\n", "", "." },
	{ S(HELLO "+OK\r\nTOP\r\n.\r"), "CAPA\r\n", "", ".\r" },
	{ S(HELLO "+OK\r\n. \r\n"), "CAPA\r\n", "", "" },
	{ S(HELLO "+OK\r\nTOP\r\n\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\nT\xc3\xb6P\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\nTOP\t\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\n.\x7f\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\nTOP\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\n.\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\nT\0P\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+OK\r\nT\rP\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "TOP\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO ".\r\n"), "CAPA\r\n", GARBAGE, NULL },
	{ S(HELLO "+ \r\n"), "CAPA\r\n", GARBAGE, NULL },
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

/* STLS towards the inner server; after: what it says in TLS. */
/* outgoing_client_info, from [2001:db8::1]:4711. */
#define ASKING "+OK [XCLIENT] ready\r\n+OK\r\nUSER\r\n.\r\n"
#define INFO "XCLIENT ADDR=2001:db8::1 PORT=4711 TTL=4\r\n"
#define INFO_HEARD "{learned USER}{greeted}"

static const struct {
	struct text in;
	const char *server, *client;
} info_cases[] = {
	{ S(ASKING), "CAPA\r\n" INFO, INFO_HEARD },
	{ S(ASKING "+OK Updated\r\n"), "CAPA\r\n" INFO "USER joe\r\n",
	    INFO_HEARD },
	{ S(ASKING "-ERR who are you\r\n"), "CAPA\r\n" INFO "USER joe\r\n",
	    INFO_HEARD },
	{ S(ASKING "what\r\n"), "CAPA\r\n" INFO, INFO_HEARD GARBAGE },
	{ S(LIST("USER\r\nXCLIENT\r\n")), "CAPA\r\n" INFO,
	    "{learned USER XCLIENT}{greeted}" },
	/* It asks for nothing. */
	{ S(LIST("USER\r\n")), ASKED, INFO_HEARD },
	{ S("+OK ready [XCLIENT]\r\n+OK\r\nUSER\r\n.\r\n"), ASKED, INFO_HEARD },
};

static void
test_client_info(void **state)
{
	static char name[] = "inner";
	struct conf_server server = { .name = name };
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(info_cases); i++)
		for (step = 1; step <= info_cases[i].in.len; step++) {
			start("", "joe", "secret");
			fake.conf.outgoing_client_info = true;
			fake.conf.servers = &server;
			fake.s.hops = 5;
			assert_int_equal(addr_parse(S("2001:db8::1"), 4711,
			                     &fake.s.client_addr),
			    0);
			feed(info_cases[i].in, step);
			check("info", i, info_cases[i].server,
			    info_cases[i].client);
			fake_end();
		}
}

static const struct {
	enum conf_outgoing_tls mode;
	struct text before, after;
	const char *server, *client;
} tls_cases[] = {
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "+OK go\r\n"),
	    S("+OK\r\nTOP\r\n.\r\n+OK\r\n"), "CAPA\r\nSTLS\r\n" SAID,
	    "{server starttls}{learned TOP}{greeted}" },
	{ OUTGOING_STARTTLS_FORCE, S(LIST("stls\r\n") "+OK\r\n"),
	    S("-ERR what\r\n"), "CAPA\r\nSTLS\r\n" ASKED,
	    "{server starttls}" BARE_HEARD },
	/* What it said before TLS is forgotten. */
	{ OUTGOING_STARTTLS, S(LIST("USER\r\nSTLS\r\n") "+OK go\r\n"),
	    S("+OK\r\nSASL PLAIN\r\n.\r\n"), "CAPA\r\nSTLS\r\n" PLAIN_ASKED,
	    "{server starttls}{learned SASL PLAIN}{greeted}" },
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "+OK go\r\n"),
	    S("+OK\r\nSTLS\r\n.\r\n"), "CAPA\r\nSTLS\r\n" ASKED,
	    "{server starttls}{learned STLS}{greeted}" },
	/* The server's greeting in TLS is none that is due. */
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "+OK go\r\n"), S("TOP\r\n"),
	    "CAPA\r\nSTLS\r\nCAPA\r\n", "{server starttls}" GARBAGE },
	/* Not offered: used where it is, or insisted on. */
	{ OUTGOING_STARTTLS, S(KNOWN), S(""), ASKED, HEARD },
	{ OUTGOING_STARTTLS, S(BARE), S(""), ASKED, BARE_HEARD },
	{ OUTGOING_STARTTLS_FORCE, S(KNOWN), S(""), "CAPA\r\n",
	    FAILED("STARTTLS not offered by server") },
	{ OUTGOING_STARTTLS_FORCE, S(BARE), S(""), "CAPA\r\n",
	    FAILED("STARTTLS not offered by server") },
	/* Offered, and then not to be had: no password in the clear. */
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "-ERR no\r\n"), S(""),
	    "CAPA\r\nSTLS\r\n", FAILED("STARTTLS refused by server") },
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "what\r\n"), S(""),
	    "CAPA\r\nSTLS\r\n", GARBAGE },
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "+ \r\n"), S(""),
	    "CAPA\r\nSTLS\r\n", GARBAGE },
	/* Offered, but not wanted. */
	{ OUTGOING_PLAIN, S(LIST("STLS\r\n")), S(""), ASKED,
	    "{learned STLS}{greeted}" },
};

static void
test_tls(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(tls_cases); i++) {
		for (step = 1; step <= tls_cases[i].before.len; step++) {
			start("", "joe", "secret");
			fake.conf.outgoing_tls = tls_cases[i].mode;
			feed(tls_cases[i].before, step);
			if (fake_server_tls())
				pop3_server_tls(&fake.s);
			feed(tls_cases[i].after, step);
			check(
			    "tls", i, tls_cases[i].server, tls_cases[i].client);
			fake_end();
		}
	}
}

/* What comes behind the +OK to STLS came in the clear. */
static void
test_tls_injection(void **state)
{
	(void)state;
	start("", "joe", "secret");
	fake.conf.outgoing_tls = OUTGOING_STARTTLS;
	feed(S(LIST("STLS\r\n") "+OK go\r\n+"), 999);
	check("injection", 0, "CAPA\r\nSTLS\r\n", INJECTED);
	fake_end();
}

/* Lessons: the list, over TLS if so configured, and nothing else. */
static const struct {
	enum conf_outgoing_tls mode;
	struct text before, after;
	const char *server, *client;
} lessons[] = {
	{ OUTGOING_PLAIN, S(KNOWN), S(""), "CAPA\r\nQUIT\r\n",
	    "{learned TOP USER SASL PLAIN}" },
	{ OUTGOING_PLAIN, S(BARE), S(""), "CAPA\r\nQUIT\r\n", "{learned }" },
	{ OUTGOING_PLAIN, S(LIST("")), S(""), "CAPA\r\nQUIT\r\n",
	    "{learned }" },
	{ OUTGOING_STARTTLS, S(KNOWN), S(""), "CAPA\r\nQUIT\r\n",
	    "{learned TOP USER SASL PLAIN}" },
	{ OUTGOING_STARTTLS_FORCE, S(LIST("STLS\r\n") "+OK go\r\n"),
	    S("+OK\r\nTOP\r\n.\r\n"), "CAPA\r\nSTLS\r\nCAPA\r\nQUIT\r\n",
	    "{server starttls}{learned TOP}" },
	{ OUTGOING_STARTTLS_FORCE, S(KNOWN), S(""), "CAPA\r\n",
	    "{learned nothing}" },
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "-ERR no\r\n"), S(""),
	    "CAPA\r\nSTLS\r\n", "{learned nothing}" },
	{ OUTGOING_STARTTLS, S(LIST("STLS\r\n") "+OK go\r\nx"), S(""),
	    "CAPA\r\nSTLS\r\n", "{learned nothing}" },
	{ OUTGOING_PLAIN, S("-ERR busy\r\n"), S(""), "", "{learned nothing}" },
	{ OUTGOING_PLAIN, S("nonsense\r\n"), S(""), "", "{learned nothing}" },
	{ OUTGOING_PLAIN, S(HELLO "+OK\r\n\xff\r\n"), S(""), "CAPA\r\n",
	    "{learned nothing}" },
};

static void
test_lessons(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(lessons); i++) {
		fake_start();
		fake.s.lesson = true;
		fake.s.state = SESSION_LOGIN;
		fake.conf.outgoing_tls = lessons[i].mode;
		pop3_server_start(&fake.s);
		feed(lessons[i].before, 9999);
		if (fake_server_tls())
			pop3_server_tls(&fake.s);
		feed(lessons[i].after, 1);
		check("lesson", i, lessons[i].server, lessons[i].client);
		fake_end();
	}
}

/* Lines, their number and the list are bounded. */
static void
test_bounds(void **state)
{
	unsigned int i;

	(void)state;
	start("", "joe", "secret");
	feed(S(HELLO "+OK\r\n"), 999);
	for (i = 2; i < 100; i++)
		feed(S("TOP\r\n"), 999);
	check("bounds", 0, "CAPA\r\n", "");
	feed(S(".\r\n"), 999);
	check("bounds", 1, "CAPA\r\n", FAILED("Too many lines from server"));
	fake_end();

	start("", "joe", "secret");
	feed(S(HELLO "+OK "), 999);
	for (i = 4; i < SESSION_SERVER_LINE_MAX - 1; i++)
		feed(S("x"), 1);
	check("bounds", 2, "CAPA\r\n", "");
	feed(S("x"), 1);
	check("bounds", 3, "CAPA\r\n", FAILED("Line from server too long"));
	fake_end();

	/* The longest entry, its LF counted, and one octet more. */
	start("", "joe", "secret");
	feed(S(HELLO "+OK\r\n"), 999);
	for (i = 1; i < CAPABILITY_MAX; i++)
		feed(S("x"), 1);
	feed(S("\r\n"), 1);
	check("bounds", 4, "CAPA\r\n", "");
	feed(S("y\r\n"), 1);
	check("bounds", 5, "CAPA\r\n", GARBAGE);
	fake_end();

	start("", "joe", "secret");
	feed(S(HELLO "+OK\r\n"), 999);
	for (i = 0; i < CAPABILITY_MAX; i++)
		feed(S("x"), 1);
	feed(S("\r\n"), 1);
	check("bounds", 6, "CAPA\r\n", GARBAGE);
	fake_end();
}

/* Passed over for the next server: nothing of the first is left. */
static void
test_next_server(void **state)
{
	(void)state;
	start("", "joe", "secret");
	feed(S(HELLO "+OK\r\nSASL PLAIN\r\nTO"), 999);
	buf_consume(&fake.s.server.in, fake.s.server.in.len);
	pop3_server_start(&fake.s);
	feed(S(LIST("TOP\r\n") "+OK\r\n+OK in\r\n"), 999);
	check(
	    "next", 0, "CAPA\r\n" SAID, "{learned TOP}{greeted}+OK in\r\n{ok}");
	fake_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_client_info),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_tls_injection),
		cmocka_unit_test(test_lessons),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_next_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
