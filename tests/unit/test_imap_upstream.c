/* SPDX-License-Identifier: ISC */
/*
 * test_imap_upstream: whole dialogues with an inner server: what it says, at
 * once and octet by octet, what it is told, and what the client is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "imap_inner.h"

/* joe with secret, over a plain inner leg. */
static const struct {
	struct text in;
	const char *server, *client;
	const char *rest; /* in s->server.in, of what came after a login */
} cases[] = {
	/* Greetings. */
	{ S(HELLO IN), ASKED, HEARD OK_REPLY, "" },
	{ S("* OK hi\r\n* CAPABILITY " LIST "\r\nr1 OK x\r\n"),
	    "r1 CAPABILITY\r\nr2 LOGIN \"joe\" \"secret\"\r\n", HEARD, "" },
	{ S("* OK\r\n"), "r1 CAPABILITY\r\n", "", "" },
	{ S("* PREAUTH [CAPABILITY " LIST "] hi\r\n"), "", ODD, NULL },
	{ S("* NO hi\r\n"), "", ODD, NULL },
	{ S("* CAPABILITY IMAP4rev1\r\n"), "", ODD, NULL },
	{ S("r1 OK hi\r\n"), "", ODD, NULL },
	{ S("+ hi\r\n"), "", ODD, NULL },
	{ S("+OK POP3 ready\r\n"), "", ODD, NULL },
	{ S("220 smtp ready\r\n"), "", ODD, NULL },
	{ S("* BYE too many\r\n"), "", FAILED("Could not connect to server"),
	    NULL },
	{ S("* OK [CAPABILITY IMAP4rev1 X\"Y] hi\r\n"), "", ODD, NULL },
	{ S("* OK hi\n"), "", ODD, NULL },
	{ S("* OK h\0i\r\n"), "", ODD, NULL },

	/* Its list. */
	{ S("* OK hi\r\nr1 OK x\r\n"), "r1 CAPABILITY\r\n", GARBAGE, NULL },
	{ S("* OK hi\r\nr1 NO x\r\n"), "r1 CAPABILITY\r\n", GARBAGE, NULL },
	{ S("* OK hi\r\nr2 OK x\r\n"), "r1 CAPABILITY\r\n", GARBAGE, NULL },
	{ S("* OK hi\r\n+ x\r\n"), "r1 CAPABILITY\r\n",
	    FAILED("Unexpected challenge from server"), NULL },
	{ S("* OK hi\r\n* CAPABILITY IMAP4rev1 {3}\r\n"), "r1 CAPABILITY\r\n",
	    FAILED("Literal from server before login"), NULL },
	{ S("* OK hi\r\n* PREAUTH x\r\n"), "r1 CAPABILITY\r\n", GARBAGE, NULL },

	/* What is behind the login's answer is the relay's. */
	{ S(HELLO IN "* 3 EXISTS\r\n* garb"), ASKED, HEARD OK_REPLY,
	    "* 3 EXISTS\r\n* garb" },
	/* The list in a line of its own, and others with it. */
	{ S(HELLO "* ID NIL\r\n* CAPABILITY " AFTER "\r\n* OK x\r\n"
	          "r1 OK Welcome\r\n"),
	    ASKED, HEARD OK_REPLY, "" },
	/* No list at all: asked for. */
	{ S(HELLO "r1 OK Welcome\r\n* CAPABILITY " AFTER "\r\nr2 OK x\r\n* x"),
	    ASKED "r2 CAPABILITY\r\n", HEARD OK_REPLY, "* x" },
	{ S(HELLO "r1 OK Welcome\r\nr2 OK x\r\n"), ASKED "r2 CAPABILITY\r\n",
	    HEARD GARBAGE, NULL },
	{ S(HELLO "r1 OK [CAPABILITY " AFTER " X\\]\r\n"), ASKED, HEARD GARBAGE,
	    NULL },
	{ S(HELLO "r1 OK [CAPABILITY " AFTER
	          " STARTTLS LOGINDISABLED SASL-IR LOGIN-REFERRALS"
	          " UNAUTHENTICATE] Welcome\r\n"),
	    ASKED, HEARD OK_REPLY, "" },
	{ S(HELLO "r1 OK [CAPABILITY " AFTER "]\r\n"), ASKED,
	    HEARD "t OK [CAPABILITY " AFTER "] Logged in\r\n{ok}", "" },
	{ S(HELLO "r1 OK [CAPABILITY " AFTER "] a\x1b[b\xc3\xa4\r\n"), ASKED,
	    HEARD "t OK [CAPABILITY " AFTER "] a?[b??\r\n{ok}", "" },
	{ S(HELLO "* CAPABILITY " AFTER
	          "\r\nr1 OK [REFERRAL imap://inner/] go to inner\r\n"),
	    ASKED, HEARD "t OK [CAPABILITY " AFTER "] Logged in\r\n{ok}", "" },

	/* ALERT is for the user. */
	{ S(HELLO "* OK [ALERT] full\r\n* NO [alert] dow\x07n\r\n" IN), ASKED,
	    HEARD "* OK [ALERT] full\r\n* NO [ALERT] dow?n\r\n" OK_REPLY, "" },
	{ S(HELLO "r1 NO [ALERT] paid?\r\n"), ASKED,
	    HEARD "* NO [ALERT] paid?\r\n" REFUSED "paid?\r\n", NULL },

	/* Refusals: with a delay ... */
	{ S(HELLO "r1 NO wrong\r\n"), ASKED, HEARD REFUSED "wrong\r\n", NULL },
	{ S(HELLO "r1 NO [AUTHENTICATIONFAILED] wrong\r\n"), ASKED,
	    HEARD REFUSED "wrong\r\n", NULL },
	{ S(HELLO "r1 NO\r\n"), ASKED,
	    HEARD REFUSED "Authentication failed\r\n", NULL },
	{ S(HELLO "r1 NO [X-OTHER y] wrong\r\n"), ASKED,
	    HEARD REFUSED "wrong\r\n", NULL },
	{ S(HELLO "r1 NO [AUTHORIZATIONFAILED] no\r\n"), ASKED,
	    HEARD "{refused: }t NO [AUTHORIZATIONFAILED] no\r\n", NULL },
	{ S(HELLO "r1 NO [EXPIRED] old\r\n"), ASKED,
	    HEARD "{refused: }t NO [EXPIRED] old\r\n", NULL },
	{ S(HELLO "r1 NO [CONTACTADMIN] hm\r\n"), ASKED,
	    HEARD "{refused: }t NO [CONTACTADMIN] hm\r\n", NULL },
	/* ... and at once. */
	{ S(HELLO "r1 NO [UNAVAILABLE] later\r\n"), ASKED,
	    HEARD "{unavailable: Server unavailable}"
	          "t NO [UNAVAILABLE] later\r\n",
	    NULL },
	{ S(HELLO "r1 NO [SERVERBUG] oops\r\n"), ASKED,
	    HEARD "{unavailable: Server unavailable}"
	          "t NO [SERVERBUG] oops\r\n",
	    NULL },
	{ S(HELLO "r1 NO [INUSE] locked\r\n"), ASKED,
	    HEARD "{unavailable: Mailbox in use}t NO [INUSE] locked\r\n",
	    NULL },
	{ S(HELLO "r1 NO [LIMIT] enough\r\n"), ASKED,
	    HEARD "{unavailable: Limit of server}t NO [LIMIT] enough\r\n",
	    NULL },
	{ S(HELLO "r1 NO [PRIVACYREQUIRED] TLS\r\n"), ASKED,
	    HEARD "{mismatch: TLS wanted by server}"
	          "t NO [PRIVACYREQUIRED] TLS\r\n",
	    NULL },
	{ S(HELLO "r1 NO [REFERRAL imap://inner/] go to inner\r\n"), ASKED,
	    HEARD "{mismatch: Referral by server}" CANNOT, NULL },
	{ S(HELLO "r1 BAD what\r\n"), ASKED,
	    HEARD "{unavailable: Login not understood by server}t NO "
	          "[SERVERBUG] The mail server is not available, try again "
	          "later\r\n",
	    NULL },

	/* A server that has gone wrong. */
	{ S(HELLO "* BYE gone\r\n"), ASKED,
	    HEARD FAILED("Could not connect to server"), NULL },
	{ S(HELLO "r9 OK x\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(HELLO "r11 OK x\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(HELLO "r1 HELLO\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(HELLO "nonsense\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(HELLO "\r\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(HELLO "r1 OK x\n"), ASKED, HEARD GARBAGE, NULL },
	{ S(HELLO "+ more\r\n"), ASKED,
	    HEARD FAILED("Unexpected challenge from server"), NULL },
	{ S(HELLO "* FETCH {99999}\r\n"), ASKED,
	    HEARD FAILED("Literal from server before login"), NULL },
	{ S(HELLO "* PREAUTH x\r\n"), ASKED, HEARD GARBAGE, NULL },
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

/* outgoing_client_info; from 192.0.2.1:4711 to 203.0.113.2:993. */
#define INFO_LIST "IMAP4rev1 ID"
#define INFO_HELLO "* OK [CAPABILITY " INFO_LIST "] x\r\n"
#define INFO_HEARD "{learned " INFO_LIST "}{greeted}"
#define INFO                                                                   \
	"r1 ID (\"x-originating-ip\" \"192.0.2.1\" "                           \
	"\"x-originating-port\" \"4711\" \"x-connected-ip\" "                  \
	"\"203.0.113.2\" \"x-connected-port\" \"993\" "                        \
	"\"x-proxy-ttl\" \"4\")\r\n"
#define INFO_LOGIN INFO "r2 LOGIN \"joe\" \"secret\"\r\n"

static const struct {
	struct text in;
	const char *server, *client;
} info_cases[] = {
	{ S(INFO_HELLO), INFO_LOGIN, INFO_HEARD },
	{ S(INFO_HELLO "r1 OK x\r\n"), INFO_LOGIN, INFO_HEARD },
	{ S(INFO_HELLO "* ID NIL\r\nr1 OK x\r\n"), INFO_LOGIN, INFO_HEARD },
	{ S(INFO_HELLO "* ID (\"name\" \"y\")\r\nr1 OK x\r\n"), INFO_LOGIN,
	    INFO_HEARD },
	{ S(INFO_HELLO "* ID ({4}\r\nname {5}\r\nr1 OK {2}\r\n\0\n \"a\")\r\n"
	               "r1 OK x\r\n"),
	    INFO_LOGIN, INFO_HEARD },
	{ S(INFO_HELLO "* ID ({0}\r\n NIL)\r\nr1 OK x\r\n"), INFO_LOGIN,
	    INFO_HEARD },
	{ S(INFO_HELLO "* ID (\"x\" {1025}\r\n"), INFO_LOGIN,
	    INFO_HEARD FAILED("Literal from server before login") },
	{ S(INFO_HELLO "* ID (\"x\" {1}\r\nx {9999999999}\r\n"), INFO_LOGIN,
	    INFO_HEARD FAILED("Literal from server before login") },
	{ S(INFO_HELLO "* FETCH {1}\r\n"), INFO_LOGIN,
	    INFO_HEARD FAILED("Literal from server before login") },
	{ S(INFO_HELLO "r1 NO x\r\n"), INFO_LOGIN, INFO_HEARD },
	{ S(INFO_HELLO "r1 BAD x\r\n"), INFO_LOGIN, INFO_HEARD },
	{ S(INFO_HELLO "r1 OK x\r\nr2 NO wrong\r\n"), INFO_LOGIN,
	    INFO_HEARD REFUSED "wrong\r\n" },
	{ S(INFO_HELLO "r2 OK x\r\n"), INFO_LOGIN, INFO_HEARD GARBAGE },
	{ S(INFO_HELLO "r1 OK x\r\nr1 OK x\r\n"), INFO_LOGIN,
	    INFO_HEARD GARBAGE },
	{ S(INFO_HELLO "r1 OK x\r\n* ID ({1}\r\n"), INFO_LOGIN,
	    INFO_HEARD FAILED("Literal from server before login") },
	/* What is said of it before the login is no list of after it. */
	{ S(INFO_HELLO "* CAPABILITY X\r\nr1 OK x\r\nr2 OK y\r\n"),
	    INFO_LOGIN "r3 CAPABILITY\r\n", INFO_HEARD },
	{ S(INFO_HELLO "+ x\r\n"), INFO_LOGIN,
	    INFO_HEARD FAILED("Unexpected challenge from server") },
	{ S(INFO_HELLO "* BYE x\r\n"), INFO_LOGIN,
	    INFO_HEARD FAILED("Could not connect to server") },
	/* It cannot hear it. */
	{ S(HELLO), ASKED, HEARD },
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
			assert_int_equal(addr_parse(S("192.0.2.1"), 4711,
			                     &fake.s.client_addr),
			    0);
			assert_int_equal(addr_parse(S("203.0.113.2"), 993,
			                     &fake.s.local_addr),
			    0);
			feed(info_cases[i].in, step);
			check("info", i, info_cases[i].server,
			    info_cases[i].client);
			fake_end();
		}
}

/* STARTTLS towards the inner server; after: what it says in TLS. */
static const struct {
	enum conf_outgoing_tls mode;
	struct text before, after;
	const char *server, *client;
} tls_cases[] = {
	{ OUTGOING_STARTTLS,
	    S("* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n"
	      "r1 OK go\r\n"),
	    S("* CAPABILITY " LIST "\r\nr2 OK x\r\n"),
	    "r1 STARTTLS\r\nr2 CAPABILITY\r\nr3 LOGIN \"joe\" \"secret\"\r\n",
	    "{server starttls}" HEARD },
	{ OUTGOING_STARTTLS_FORCE,
	    S("* OK hi\r\n* CAPABILITY STARTTLS\r\nr1 OK x\r\nr2 OK go\r\n"),
	    S("* CAPABILITY " LIST "\r\nr3 OK x\r\n"),
	    "r1 CAPABILITY\r\nr2 STARTTLS\r\nr3 CAPABILITY\r\n"
	    "r4 LOGIN \"joe\" \"secret\"\r\n",
	    "{server starttls}" HEARD },
	/* What it said before TLS is forgotten. */
	{ OUTGOING_STARTTLS,
	    S("* OK [CAPABILITY STARTTLS AUTH=PLAIN] x\r\nr1 OK go\r\n"),
	    S("* CAPABILITY LOGINDISABLED\r\nr2 OK x\r\n"),
	    "r1 STARTTLS\r\nr2 CAPABILITY\r\n",
	    "{server starttls}{learned LOGINDISABLED}{greeted}"
	    "{mismatch: Login disabled by server}" CANNOT },
	{ OUTGOING_STARTTLS, S("* OK [CAPABILITY STARTTLS] x\r\nr1 OK go\r\n"),
	    S("r2 OK x\r\n"), "r1 STARTTLS\r\nr2 CAPABILITY\r\n",
	    "{server starttls}" GARBAGE },
	/* Not offered: used where it is, or insisted on. */
	{ OUTGOING_STARTTLS, S(HELLO), S(""), ASKED, HEARD },
	{ OUTGOING_STARTTLS_FORCE, S(HELLO), S(""), "",
	    FAILED("STARTTLS not offered by server") },
	{ OUTGOING_STARTTLS, S("* OK [CAPABILITY STARTTLS] x\r\nr1 NO x\r\n"),
	    S(""), "r1 STARTTLS\r\n", FAILED("STARTTLS refused by server") },
	/* Offered, but not wanted. */
	{ OUTGOING_PLAIN, S("* OK [CAPABILITY STARTTLS] x\r\n"), S(""), ASKED,
	    "{learned STARTTLS}{greeted}" },
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
				imap_server_tls(&fake.s);
			feed(tls_cases[i].after, step);
			check(
			    "tls", i, tls_cases[i].server, tls_cases[i].client);
			fake_end();
		}
	}
}

/* What comes behind the OK to STARTTLS came in the clear. */
static void
test_tls_injection(void **state)
{
	(void)state;
	start("", "joe", "secret");
	fake.conf.outgoing_tls = OUTGOING_STARTTLS;
	feed(S("* OK [CAPABILITY STARTTLS] x\r\nr1 OK go\r\n* CAPA"), 999);
	check("injection", 0, "r1 STARTTLS\r\n", INJECTED);
	fake_end();
}

/* Lessons: the list, over TLS if so configured, and nothing else. */
static const struct {
	enum conf_outgoing_tls mode;
	struct text before, after;
	const char *server, *client;
} lessons[] = {
	{ OUTGOING_PLAIN, S(HELLO), S(""), "r1 LOGOUT\r\n",
	    "{learned " LIST "}" },
	{ OUTGOING_PLAIN,
	    S("* OK [ALERT] x\r\n* CAPABILITY " LIST
	      "\r\n* OK [ALERT] y\r\nr1 OK x\r\n"),
	    S(""), "r1 CAPABILITY\r\nr2 LOGOUT\r\n", "{learned " LIST "}" },
	{ OUTGOING_STARTTLS_FORCE,
	    S("* OK [CAPABILITY STARTTLS] x\r\nr1 OK go\r\n"),
	    S("* CAPABILITY " LIST "\r\nr2 OK x\r\n"),
	    "r1 STARTTLS\r\nr2 CAPABILITY\r\nr3 LOGOUT\r\n",
	    "{server starttls}{learned " LIST "}" },
	{ OUTGOING_STARTTLS_FORCE, S(HELLO), S(""), "", "{learned nothing}" },
	{ OUTGOING_PLAIN, S("* PREAUTH x\r\n"), S(""), "",
	    "{learned nothing}" },
	{ OUTGOING_PLAIN, S("nonsense\r\n"), S(""), "", "{learned nothing}" },
	{ OUTGOING_STARTTLS, S("* OK [CAPABILITY STARTTLS] x\r\nr1 OK go\r\nx"),
	    S(""), "r1 STARTTLS\r\n", NULL },
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
		imap_server_start(&fake.s);
		feed(lessons[i].before, 9999);
		if (fake_server_tls())
			imap_server_tls(&fake.s);
		feed(lessons[i].after, 1);
		check("lesson", i, lessons[i].server,
		    lessons[i].client != NULL ? lessons[i].client
		                              : "{learned nothing}");
		fake_end();
	}
}

/* Lines and their number are bounded. */
static void
test_bounds(void **state)
{
	unsigned int i;

	(void)state;
	start("", "joe", "secret");
	feed(S(HELLO), 999);
	for (i = 1; i < 100; i++) /* the greeting is one */
		feed(S("* OK x\r\n"), 999);
	check("bounds", 0, ASKED, HEARD);
	feed(S("* OK x\r\n"), 999);
	check("bounds", 1, ASKED, HEARD FAILED("Too many lines from server"));
	fake_end();

	start("", "joe", "secret");
	feed(S(HELLO "* OK "), 999);
	for (i = 5; i < IMAP_LINE_MAX - 1; i++)
		feed(S("x"), 1);
	check("bounds", 2, ASKED, HEARD);
	feed(S("x"), 1);
	check("bounds", 3, ASKED, HEARD FAILED("Line from server too long"));
	fake_end();
}

/* A text for people is cut, a list that is too long is refused. */
static void
test_long_answers(void **state)
{
	struct text text;
	unsigned int i;

	(void)state;
	start("", "joe", "secret");
	feed(S(HELLO "r1 NO "), 999);
	for (i = 0; i < 1000; i++)
		feed(S("x"), 1);
	feed(S("\r\n"), 1);
	text = buf_view(&fake.to_client);
	assert_int_equal(
	    text.len, strlen(HEARD REFUSED "\r\n") + SESSION_TEXT_MAX);
	fake_end();

	start("", "joe", "secret");
	feed(S("* OK [CAPABILITY"), 999);
	for (i = 0; i < CAPABILITY_MAX; i++)
		feed(i % 2 == 0 ? S(" a") : S("b"), 1);
	feed(S("c"), 1);
	for (i = 0; i < CAPABILITY_MAX; i++)
		feed(S("d"), 1);
	feed(S("] x\r\n"), 999);
	check("list", 0, "", FAILED("Line from server too long"));
	fake_end();

	start("", "joe", "secret");
	feed(S("* OK [CAPABILITY "), 999);
	for (i = 0; i < CAPABILITY_MAX; i++)
		feed(S("d"), 1);
	feed(S("] x\r\n"), 999);
	check("list", 1, "", ODD);
	fake_end();
}

/* Passed over for the next server: nothing of the first is left. */
static void
test_next_server(void **state)
{
	(void)state;
	start("", "joe", "secret");
	feed(S("* OK [CAPABILITY LOGINDISABLED] x"), 999);
	buf_consume(&fake.s.server.in, fake.s.server.in.len);
	imap_server_start(&fake.s);
	feed(S(HELLO IN), 999);
	check("next", 0, ASKED, HEARD OK_REPLY);
	fake_end();
}

/* No inner server was to be had: there was no dialogue to tell of. */
static void
test_no_server(void **state)
{
	(void)state;
	fake_start();
	(void)strlcpy(fake.data.tag, "t", sizeof(fake.data.tag));
	imap_login_failed(&fake.s, LOGIN_UNAVAILABLE);
	check("none", 0, "", DOWN);
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
		cmocka_unit_test(test_long_answers),
		cmocka_unit_test(test_next_server),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
