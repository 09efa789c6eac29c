/* SPDX-License-Identifier: ISC */
/*
 * test_imap_client: whole dialogues with a client until its login: what it
 * says, fed at once and octet by octet, and what it gets to hear.
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

#define CAPA_TLS "IMAP4rev1 LITERAL+ ID AUTH=PLAIN AUTH=LOGIN SASL-IR"
#define CAPA_CLEAR "IMAP4rev1 LITERAL+ ID STARTTLS LOGINDISABLED"
#define REFUSED " NO [AUTHENTICATIONFAILED] Authentication failed\r\n"
#define LOGIN_SYNTAX " BAD LOGIN takes a name and a password\r\n"
#define ID_SYNTAX " BAD Invalid argument of ID\r\n"
#define UNKNOWN " BAD Unknown command, or log in first\r\n"
#define PRIVACY " NO [PRIVACYREQUIRED] TLS comes first\r\n"
#define LOST(tag, why) tag " BAD " why "\r\n* BYE " why "\r\n{close " why "}"

/* Over TLS.  rest: what stays in s->client.in. */
static const struct {
	struct text in;
	const char *out, *rest;
} cases[] = {
	/* What anybody may say. */
	{ S("a CAPABILITY\r\n"),
	    "* CAPABILITY " CAPA_TLS "\r\na OK CAPABILITY completed\r\n", "" },
	{ S("a noop\r\nb NoOp\r\n"),
	    "a OK NOOP completed\r\nb OK NOOP completed\r\n", "" },
	{ S("a LOGOUT\r\nb NOOP\r\n"),
	    "* BYE Logging out\r\na OK LOGOUT completed\r\n{close Logout}",
	    "b NOOP\r\n" },
	{ S("a NOOP x\r\n"), "a BAD This command takes no argument\r\n", "" },
	{ S("a NOOP \r\n"), "a BAD This command takes no argument\r\n", "" },
	{ S("a CAPABILITY x\r\n"), "a BAD This command takes no argument\r\n",
	    "" },
	{ S("a LOGOUT x\r\n"), "a BAD This command takes no argument\r\n", "" },
	{ S("a STARTTLS\r\n"), "a BAD TLS is active already\r\n", "" },
	{ S("a SELECT INBOX\r\n"), "a" UNKNOWN, "" },
	{ S("a UNAUTHENTICATE\r\n"), "a" UNKNOWN, "" },
	{ S("a ENABLE UTF8=ACCEPT\r\n"), "a" UNKNOWN, "" },
	{ S("a NOOPS\r\n"), "a" UNKNOWN, "" },
	{ S("GET / HTTP/1.1\r\n"), "GET" UNKNOWN, "" },

	/* Tags. */
	{ S("\r\n"), "* BAD Invalid tag\r\n", "" },
	{ S(" NOOP\r\n"), "* BAD Invalid tag\r\n", "" },
	{ S("+ NOOP\r\n"), "* BAD Invalid tag\r\n", "" },
	{ S("* NOOP\r\n"), "* BAD Invalid tag\r\n", "" },
	{ S("a\r\n"), "a BAD Missing command\r\n", "" },
	{ S("a \r\n"), "a BAD Missing command\r\n", "" },
	{ S("a  NOOP\r\n"), "a BAD Missing command\r\n", "" },
	{ S("a+b NOOP\r\n"), "a BAD Missing command\r\n", "" },
	{ S("A.1-x] NOOP\r\n"), "A.1-x] OK NOOP completed\r\n", "" },
	{ S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "a NOOP\r\n"),
	    "* BAD Invalid tag\r\n", "" },

	/* ID. */
	{ S("a ID NIL\r\n"), "* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID ()\r\n"), "* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID (\"name\" \"x\" \"os\" nil)\r\n"),
	    "* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID ({4}\r\nname {1+}\r\nx)\r\n"),
	    "+ OK\r\n* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID (\"x-originating-ip\" \"192.0.2.1\" \"X-Proxy-TTL\" \"3\")"
	    "\r\n"),
	    "{hops 3}* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID (\"x-proxy-ttl\" NIL \"x-proxy-ttl\" \"-1\")\r\n"),
	    "* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID (\"x-proxy-ttl\" \"3\" x)\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID x\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID NIL x\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (\"name\")\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (\"name\" \"x\"\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (\"name\" \"x\" )\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (NIL \"x\")\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (\"name\" x)\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (\"name\" (\"x\"))\r\n"), "a" ID_SYNTAX, "" },
	{ S("a ID (\"123456789012345678901234567890\" \"x\")\r\n"),
	    "* ID NIL\r\na OK ID completed\r\n", "" },
	{ S("a ID (\"1234567890123456789012345678901\" \"x\")\r\n"),
	    "a" ID_SYNTAX, "" },

	/* LOGIN. */
	{ S("a LOGIN joe secret\r\n"), "{login /joe/secret}", "" },
	{ S("a login \"joe\" \"se\\\"cr\\\\et \"\r\n"),
	    "{login /joe/se\"cr\\et }", "" },
	{ S("a LOGIN {3}\r\njoe {6}\r\nsecret\r\n"),
	    "+ OK\r\n+ OK\r\n{login /joe/secret}", "" },
	{ S("a LOGIN {3+}\r\njoe {6+}\r\nsecret\r\n"), "{login /joe/secret}",
	    "" },
	{ S("a LOGIN \"joe\" {6}\r\nsecret\r\n"), "+ OK\r\n{login /joe/secret}",
	    "" },
	{ S("a LOGIN \"j\xc3\xb6\" {3+}\r\n\xe4 \"\r\n"),
	    "{login /j\xc3\xb6/\xe4 \"}", "" },
	{ S("a LOGIN joe secret\r\nb SELECT INBOX\r\nc "),
	    "{login /joe/secret}", "b SELECT INBOX\r\nc " },
	{ S("a LOGIN\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe \r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe secret x\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe secret \r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe  secret\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe (secret)\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe sec%ret\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe \"secret\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe \"sec\\ret\"\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe{3+}\r\nabc x\r\nb NOOP\r\n"),
	    "a" LOGIN_SYNTAX "b OK NOOP completed\r\n", "" },
	{ S("a LOGIN joe {}\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe {7+}\r\nsec\0ret\r\n"), "a" LOGIN_SYNTAX, "" },
	{ S("a LOGIN joe {8+}\r\nsec\r\nret\r\n"), "a" REFUSED, "" },
	{ S("a LOGIN {4+}\r\njoe\n secret\r\n"), "a" REFUSED, "" },
	{ S("a LOGIN {4+}\r\njo\re secret\r\n"), "a" REFUSED, "" },
	{ S("a LOGIN \"\" secret\r\n"), "a" REFUSED, "" },
	{ S("a LOGIN joe \"\"\r\n"), "a" REFUSED, "" },

	/* Literals that are too big, or no literals. */
	{ S("a LOGIN {4097}\r\nb NOOP\r\n"),
	    "a NO [TOOBIG] Literal too big\r\nb OK NOOP completed\r\n", "" },
	{ S("a LOGIN {4294967296}\r\nb NOOP\r\n"),
	    "a BAD Invalid literal\r\nb OK NOOP completed\r\n", "" },
	{ S("a LOGIN {999999999999}\r\nb NOOP\r\n"),
	    "a BAD Invalid literal\r\nb OK NOOP completed\r\n", "" },
	{ S("a LOGIN {4097+}\r\n"),
	    "a BAD [TOOBIG] Literal too big\r\n"
	    "* BYE [TOOBIG] Literal too big\r\n{close Literal too big}",
	    NULL },
	{ S("a NOOP {3}\r\nb NOOP\r\n"),
	    "a BAD No literal is possible here\r\nb OK NOOP completed\r\n",
	    "" },
	{ S("a APPEND INBOX {3}\r\nb NOOP\r\n"),
	    "a" UNKNOWN "b OK NOOP completed\r\n", "" },
	{ S("a APPEND INBOX {8+}\r\nx NOOP\r\n\r\nb NOOP\r\n"),
	    "a" UNKNOWN "b OK NOOP completed\r\n", "" },

	/* No lines. */
	{ S("a NOOP\n"), LOST("a", "Invalid octets"), NULL },
	{ S("a NOOP\r\nb NO\0OP\r\n"),
	    "a OK NOOP completed\r\n" LOST("b", "Invalid octets"), NULL },
	{ S("a NO\rOP\r\n"), LOST("a", "Invalid octets"), NULL },

	/* AUTHENTICATE PLAIN. */
	{ S("a AUTHENTICATE PLAIN\r\nAGpvZQBzZWNyZXQ=\r\nx"),
	    "+ \r\n{login /joe/secret}", "x" },
	{ S("a authenticate plain AGpvZQBzZWNyZXQ=\r\n"), "{login /joe/secret}",
	    "" },
	{ S("a AUTHENTICATE PLAIN Ym9zcwBqb2UAc2VjcmV0\r\n"),
	    "{login boss/joe/secret}", "" },
	{ S("a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n"),
	    "+ \r\na BAD Authentication cancelled\r\nb OK NOOP completed\r\n",
	    "" },
	{ S("a AUTHENTICATE PLAIN\r\nAGpvZQBzZWNyZXQ\r\nb NOOP\r\n"),
	    "+ \r\na BAD Invalid base64\r\nb OK NOOP completed\r\n", "" },
	{ S("a AUTHENTICATE PLAIN x\r\n"), "a BAD Invalid base64\r\n", "" },
	{ S("a AUTHENTICATE PLAIN AGpv ZQBzZWNyZXQ=\r\n"),
	    "a BAD Invalid base64\r\n", "" },
	{ S("a AUTHENTICATE PLAIN {16+}\r\nAGpvZQBzZWNyZXQ=\r\n"),
	    "a BAD Invalid base64\r\n", "" },
	{ S("a AUTHENTICATE PLAIN {16}\r\n"),
	    "a BAD No literal is possible here\r\n", "" },
	{ S("a AUTHENTICATE PLAIN \r\n"),
	    "a BAD The initial response is missing\r\n", "" },
	{ S("a AUTHENTICATE PLAIN =\r\n"), "a" REFUSED, "" },
	{ S("a AUTHENTICATE PLAIN\r\n\r\n"), "+ \r\na" REFUSED, "" },
	{ S("a AUTHENTICATE PLAIN\r\nAGpv\0\r\n"),
	    "+ \r\n" LOST("a", "Invalid octets"), NULL },

	/* AUTHENTICATE LOGIN. */
	{ S("a AUTHENTICATE LOGIN\r\nam9l\r\nc2VjcmV0\r\nx"),
	    "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{login /joe/secret}", "x" },
	{ S("a AUTHENTICATE LOGIN am9l\r\nc2VjcmV0\r\n"),
	    "+ UGFzc3dvcmQ6\r\n{login /joe/secret}", "" },
	{ S("a AUTHENTICATE LOGIN am9l\r\n*\r\nb NOOP\r\n"),
	    "+ UGFzc3dvcmQ6\r\na BAD Authentication cancelled\r\n"
	    "b OK NOOP completed\r\n",
	    "" },
	{ S("a AUTHENTICATE LOGIN am9l\r\n!\r\n"),
	    "+ UGFzc3dvcmQ6\r\na BAD Invalid base64\r\n", "" },
	{ S("a AUTHENTICATE LOGIN am9l\r\n\r\n"), "+ UGFzc3dvcmQ6\r\na" REFUSED,
	    "" },

	/* Other mechanisms. */
	{ S("a AUTHENTICATE CRAM-MD5\r\n"), "a NO Unknown mechanism\r\n", "" },
	{ S("a AUTHENTICATE PLAINER AGpvZQBzZWNyZXQ=\r\n"),
	    "a NO Unknown mechanism\r\n", "" },
	{ S("a AUTHENTICATE\r\n"), "a BAD AUTHENTICATE takes a mechanism\r\n",
	    "" },
	{ S("a AUTHENTICATE PLAIN(\r\n"),
	    "a BAD AUTHENTICATE takes a mechanism\r\n", "" },
};

/* In the clear, where STARTTLS is offered. */
static const struct {
	struct text in;
	const char *out, *rest;
} clear_cases[] = {
	{ S("a CAPABILITY\r\n"),
	    "* CAPABILITY " CAPA_CLEAR "\r\na OK CAPABILITY completed\r\n",
	    "" },
	{ S("a STARTTLS\r\nb LOGIN joe secret\r\n"),
	    "a OK Begin TLS negotiation now\r\n{starttls}",
	    "b LOGIN joe secret\r\n" },
	{ S("a STARTTLS x\r\n"), "a BAD This command takes no argument\r\n",
	    "" },
	{ S("a LOGIN joe secret\r\n"), "a" PRIVACY, "" },
	/* Refused before the password is on its way. */
	{ S("a LOGIN {3}\r\nb NOOP\r\n"), "a" PRIVACY "b OK NOOP completed\r\n",
	    "" },
	{ S("a LOGIN {3+}\r\njoe {6}\r\nb NOOP\r\n"),
	    "a" PRIVACY "b OK NOOP completed\r\n", "" },
	{ S("a AUTHENTICATE PLAIN\r\nb NOOP\r\n"),
	    "a" PRIVACY "b OK NOOP completed\r\n", "" },
	{ S("a AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=\r\n"), "a" PRIVACY, "" },
	{ S("a ID NIL\r\n"), "* ID NIL\r\na OK ID completed\r\n", "" },
};

static void
start(void)
{
	fake_start();
	assert_int_equal(capability_add_words(&fake.inner,
	                     S("IMAP4rev1 SASL-IR LITERAL+ ID AUTH=PLAIN")),
	    0);
}

static void
start_clear(void)
{
	start();
	fake.situation = CAPABILITY_CLEAR | CAPABILITY_STARTTLS;
	fake.s.can_starttls = true;
	fake.s.state = SESSION_DIALOGUE;
}

static void
start_tls(void)
{
	start();
	fake.s.client_secure = SECURE_SSL;
	fake.s.can_starttls = true;
	fake.s.state = SESSION_DIALOGUE;
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
		    imap_client_input(&fake.s))
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
	for (i = 0; i < NITEMS(clear_cases); i++) {
		for (step = 1; step <= clear_cases[i].in.len; step++) {
			start_clear();
			check(clear_cases[i].in, step, clear_cases[i].out,
			    clear_cases[i].rest);
		}
	}
}

static void
test_greeting(void **state)
{
	(void)state;
	start_clear();
	imap_greet(&fake.s);
	assert_string_equal(fake_text(&fake.to_client),
	    "* OK [CAPABILITY " CAPA_CLEAR "] imapsd ready\r\n");
	fake_end();
}

/* Where TLS is not to be had, and where nobody may log in. */
static void
test_situations(void **state)
{
	(void)state;
	start_clear();
	fake.situation = CAPABILITY_CLEAR_LOGIN;
	fake.s.can_starttls = false;
	check(S("a STARTTLS\r\nb LOGIN joe secret\r\n"), 99,
	    "a BAD TLS is not offered here\r\n{login /joe/secret}", "");
	start_tls();
	fake.conf.login_disabled = true;
	check(S("a LOGIN {3}\r\nb LOGIN joe x\r\nc AUTHENTICATE PLAIN\r\n"), 99,
	    "a NO [ALERT] Logins are disabled\r\n"
	    "b NO [ALERT] Logins are disabled\r\n"
	    "c NO [ALERT] Logins are disabled\r\n",
	    "");
}

/* A line, a literal, a name and a password that are as long as may be. */
static void
test_long(void **state)
{
	static const struct {
		const char *begin;
		size_t n;
		const char *end, *out;
	} longs[] = {
		{ "a LOGIN joe ", 1024, "\r\n", "{login /joe/x" },
		{ "a LOGIN joe ", 1025, "\r\n", "a" REFUSED },
		{ "a LOGIN joe \"", 1025, "\"\r\n", "a" REFUSED },
		{ "a LOGIN joe {1024+}\r\n", 1024, "\r\n", "{login /joe/x" },
		{ "a LOGIN joe {1025+}\r\n", 1025, "\r\n", "a" REFUSED },
		{ "a LOGIN ", 1024, " secret\r\n", "{login /x" },
		{ "a LOGIN ", 1025, " secret\r\n", "a" REFUSED },
		{ "a LOGIN ", 1025, "\r\n", "a" LOGIN_SYNTAX },
		{ "a LOGIN {4096+}\r\n", 4096, " x\r\n", "a" REFUSED },
		{ "a LOGIN ", 8182, "\r\n", "a" LOGIN_SYNTAX },
		{ "a LOGIN ", 8183, "\r\n", LOST("a", "Line too long") },
		{ "", 8192, "", LOST("*", "Line too long") },
		{ "a AUTHENTICATE PLAIN\r\n", 12000, "\r\n",
		    "+ \r\na" REFUSED },
		{ "a AUTHENTICATE LOGIN\r\n", 12000, "\r\n",
		    "+ VXNlcm5hbWU6\r\na" REFUSED },
		{ "a AUTHENTICATE PLAIN ", 16360, "\r\n", "a" REFUSED },
		{ "a AUTHENTICATE PLAIN\r\n", 16384, "",
		    "+ \r\n" LOST("a", "Line too long") },
	};
	static char in[20000];
	struct text t;
	size_t i, n;

	(void)state;
	for (i = 0; i < NITEMS(longs); i++) {
		n = strlen(longs[i].begin);
		memcpy(in, longs[i].begin, n);
		memset(in + n, 'x', longs[i].n);
		n += longs[i].n;
		memcpy(in + n, longs[i].end, strlen(longs[i].end));
		t = (struct text){ in, n + strlen(longs[i].end) };
		start_tls();
		feed(t, 1000);
		/* The credentials themselves are not compared. */
		assert_memory_equal(fake_text(&fake.to_client), longs[i].out,
		    strlen(longs[i].out));
		fake_end();
	}
}

/* 30 pairs, and not one more (RFC 2971 3.3). */
static void
test_id_pairs(void **state)
{
	unsigned int i, pairs;

	(void)state;
	for (pairs = 30; pairs <= 31; pairs++) {
		start_tls();
		feed(S("a ID ("), 99);
		for (i = 0; i < pairs; i++)
			feed(i > 0 ? S(" \"k\" \"v\"") : S("\"k\" \"v\""), 99);
		check(S(")\r\n"), 99,
		    pairs == 30 ? "* ID NIL\r\na OK ID completed\r\n"
		                : "a" ID_SYNTAX,
		    "");
	}
}

/* TLS comes in the middle of something: nothing of it is left. */
static void
test_reset(void **state)
{
	(void)state;
	start_tls();
	feed(S("a AUTHENTICATE LOGIN am9l\r\nc2Vj"), 99);
	buf_consume(&fake.s.client.in, fake.s.client.in.len);
	imap_client_reset(&fake.s);
	assert_null(fake.data.exchange.name);
	check(S("b NOOP\r\n"), 99, "+ UGFzc3dvcmQ6\r\nb OK NOOP completed\r\n",
	    "");
}

static void
test_goodbye(void **state)
{
	(void)state;
	start_tls();
	imap_goodbye(&fake.s, "Timeout");
	assert_string_equal(fake_text(&fake.to_client), "* BYE Timeout\r\n");
	fake_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_greeting),
		cmocka_unit_test(test_situations),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_id_pairs),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_goodbye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
