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

#include "imap.h"

#define FAKE_DATA struct imap_session
#define FAKE_RULES imap_rules
#define FAKE_NRULES IMAP_NRULES
#define FAKE_END imap_end
#include "dialogue_fake.h"

#define LIST "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN"
#define HELLO "* OK [CAPABILITY " LIST "] ready\r\n"
#define HEARD "{learned " LIST "}{greeted}"
#define ASKED "r1 LOGIN \"joe\" \"secret\"\r\n"
#define BARE "{learned IMAP4rev1}{greeted}"
#define BARE_HELLO "* OK [CAPABILITY IMAP4rev1] ready\r\n"
#define AFTER "IMAP4rev1 LITERAL+ IDLE"
#define IN "r1 OK [CAPABILITY " AFTER " AUTH=PLAIN] Welcome\r\n"
#define OK_REPLY "t OK [CAPABILITY " AFTER "] Welcome\r\n{ok}"
#define DOWN                                                                   \
	"t NO [UNAVAILABLE] The mail server is not available, try again "      \
	"later\r\n"
#define CANNOT "t NO [UNAVAILABLE] The mail server cannot take this login\r\n"
#define FAILED(why) "{server: " why "}" DOWN
#define REFUSED "{refused: }t NO [AUTHENTICATIONFAILED] "
#define ODD FAILED("Connection Negotiation Failure")
#define GARBAGE FAILED("Invalid response from server")
#define INJECTED FAILED("Data from server before TLS")

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
start(const char *authz, const char *authn, const char *password)
{
	struct credentials *l;

	fake_start();
	(void)strlcpy(fake.data.tag, "t", sizeof(fake.data.tag));
	l = session_login_space(&fake.s);
	(void)strlcpy(l->authz, authz, sizeof(l->authz));
	(void)strlcpy(l->authn, authn, sizeof(l->authn));
	(void)strlcpy(l->password, password, sizeof(l->password));
	fake.s.state = SESSION_LOGIN;
	imap_server_start(&fake.s);
}

/* As session does; what is due when a step is over is done then. */
static void
feed(struct text in, size_t step)
{
	size_t n;

	while (in.len > 0) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(&fake.s.server.in, in.p, n), 0);
		in = text_skip(in, n);
		while (
		    fake.s.state == SESSION_LOGIN && imap_server_input(&fake.s))
			continue;
	}
	if (fake.failed && !fake.s.lesson)
		imap_login_failed(&fake.s, fake.why);
	fake.failed = false;
}

static void
check(const char *what, size_t i, const char *server, const char *client)
{
	const char *got = fake_text(&fake.to_server);

	if (strcmp(got, server) != 0)
		fail_msg("%s %zu, server: %s", what, i, got);
	got = fake_text(&fake.to_client);
	if (strcmp(got, client) != 0)
		fail_msg("%s %zu, client: %s", what, i, got);
}

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
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_tls_injection),
		cmocka_unit_test(test_lessons),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_answers),
		cmocka_unit_test(test_ok_line),
		cmocka_unit_test(test_next_server),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
