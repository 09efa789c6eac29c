/* SPDX-License-Identifier: ISC */
/* test_smtp_log: the lines of a Postfix log, and what cannot be put in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp_log.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

#define C "client.example.org[203.0.113.50]"
#define USER "ostaquet@ubuntu-fr.org"

static struct addr addr_client, addr_inner, addr_v6, addr_v6_inner;

static int
setup(void **state)
{
	(void)state;
	assert_int_equal(
	    addr_parse(TEXT_LIT("203.0.113.50"), 4711, &addr_client), 0);
	assert_int_equal(
	    addr_parse(TEXT_LIT("192.168.0.3"), 25, &addr_inner), 0);
	assert_int_equal(addr_parse(TEXT_LIT("2001:db8::1"), 1, &addr_v6), 0);
	assert_int_equal(
	    addr_parse(TEXT_LIT("2001:db8::3"), 587, &addr_v6_inner), 0);
	return 0;
}

/* An event of the usual client, about a message with a name. */
static struct smtp_log_event
event(enum smtp_log_type type)
{
	return (struct smtp_log_event){
		.type = type,
		.id = TEXT_LIT("C336DB27"),
		.client = { TEXT_LIT("client.example.org"), addr_client },
	};
}

static void
check(const struct smtp_log_event *e, const char *expected)
{
	char line[LOG_LINE_MAX];
	int level = smtp_log_format(e, line);

	assert_string_equal(line, expected);
	assert_int_equal(
	    level, e->type == SMTP_LOG_SASL_FAILED ? LOG_WARNING : LOG_INFO);
}

static void
test_connect(void **state)
{
	static const struct {
		struct text name;
		const char *shown;
	} cases[] = {
		{ TEXT_LIT("client.example.org"), "client.example.org" },
		{ TEXT_LIT("a_b-1.Example"), "a_b-1.Example" },
		{ TEXT_LIT(""), "unknown" },
		/* Who owns an address may say that it is called anything. */
		{ TEXT_LIT("a[192.0.2.9]"), "unknown" },
		{ TEXT_LIT("a b"), "unknown" },
		{ TEXT_LIT("a\nb"), "unknown" },
		{ TEXT_LIT("a\0b"), "unknown" },
		{ TEXT_LIT("b\xc3\xbc"), "unknown" },
		{ TEXT_LIT("a;b"), "unknown" },
		{ TEXT_LIT("a,b=c"), "unknown" },
	};
	struct smtp_log_event e = event(SMTP_LOG_CONNECT);
	char expected[128];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		e.client.name = cases[i].name;
		(void)snprintf(expected, sizeof(expected),
		    "connect from %s[203.0.113.50]", cases[i].shown);
		check(&e, expected);
	}
	e.client.addr = addr_v6;
	check(&e, "connect from unknown[2001:db8::1]");
}

static void
test_message(void **state)
{
	struct smtp_log_event e = event(SMTP_LOG_CLIENT);

	(void)state;
	check(&e, "C336DB27: client=" C);
	e.login = (struct smtp_log_client){ TEXT_LIT("PLAIN"), TEXT_LIT(USER) };
	check(&e,
	    "C336DB27: client=" C ", sasl_method=PLAIN, sasl_username=" USER);
	e.login.user = TEXT_LIT("a\r\nb\"\xe4");
	check(&e,
	    "C336DB27: client=" C ", sasl_method=PLAIN, "
	    "sasl_username=a\\r\\nb\\\"\\344");

	e = event(SMTP_LOG_MESSAGE_ID);
	e.message_id = TEXT_LIT("<m1@client.example.org>");
	check(&e, "C336DB27: message-id=<m1@client.example.org>");
	e.message_id = TEXT_NONE;
	check(&e, "C336DB27: message-id=<>");
	e.message_id = TEXT_LIT("<a\nNov 24 x postfix: b\x1b>");
	check(&e, "C336DB27: message-id=<a\\nNov 24 x postfix: b\\033>");

	e = event(SMTP_LOG_FROM);
	e.from = (struct smtp_log_from){ TEXT_LIT(USER), 544, 1 };
	check(
	    &e, "C336DB27: from=<" USER ">, size=544, nrcpt=1 (queue active)");
	e.from.sender = TEXT_NONE;
	check(&e, "C336DB27: from=<>, size=544, nrcpt=1 (queue active)");
	e.from.sender = TEXT_LIT("\"x>, size=1, y<\"@a");
	check(&e,
	    "C336DB27: from=<\\\"x?, size=1, y?\\\"@a>, size=544, nrcpt=1 "
	    "(queue active)");

	e = event(SMTP_LOG_REMOVED);
	check(&e, "C336DB27: removed");
}

static void
test_to(void **state)
{
	struct smtp_log_event e = event(SMTP_LOG_TO);

	(void)state;
	e.to = (struct smtp_log_to){
		.recipient = TEXT_LIT("x@example.org"),
		.has_relay = true,
		.relay = { TEXT_LIT("192.168.0.3"), addr_inner },
		.delays_ms = { 30, 0, 30, 0 },
		.dsn = TEXT_LIT("2.0.0"),
		.status = SMTP_SENT,
		.reply = TEXT_LIT("250 2.0.0 Ok: queued as BED00001"),
	};
	check(&e,
	    "C336DB27: to=<x@example.org>, relay=192.168.0.3[192.168.0.3]:25, "
	    "delay=0.06, delays=0.03/0/0.03/0, dsn=2.0.0, status=sent "
	    "(250 2.0.0 Ok: queued as BED00001)");
	e.to.relay =
	    (struct smtp_log_peer){ TEXT_LIT("mx.example"), addr_v6_inner };
	e.to.status = SMTP_BOUNCED;
	e.to.dsn = TEXT_LIT("5.1.1");
	e.to.reply = TEXT_LIT("550 no\r\nsuch <x>");
	check(&e,
	    "C336DB27: to=<x@example.org>, relay=mx.example[2001:db8::3]:587, "
	    "delay=0.06, delays=0.03/0/0.03/0, dsn=5.1.1, status=bounced "
	    "(550 no\\r\\nsuch <x>)");
	e.to.has_relay = false;
	e.to.status = SMTP_DEFERRED;
	e.to.dsn = TEXT_LIT("4.4.1");
	e.to.reply = TEXT_LIT("no inner server can be reached");
	e.to.recipient = TEXT_LIT("x>, relay=none, delay=1");
	check(&e,
	    "C336DB27: to=<x?, relay=none, delay=1>, relay=none, delay=0.06, "
	    "delays=0.03/0/0.03/0, dsn=4.4.1, status=deferred "
	    "(no inner server can be reached)");
}

static void
test_delay(void **state)
{
	static const struct {
		uint32_t ms;
		const char *shown;
	} cases[] = {
		{ 0, "0" },
		{ 4, "0" },
		{ 5, "0.01" },
		{ 60, "0.06" },
		{ 100, "0.1" },
		{ 234, "0.23" },
		{ 235, "0.24" },
		{ 994, "0.99" },
		{ 995, "1" },
		{ 999, "1" },
		{ 1000, "1" },
		{ 1049, "1" },
		{ 1050, "1.1" },
		{ 9949, "9.9" },
		{ 9950, "10" },
		{ 9999, "10" },
		{ 10499, "10" },
		{ 10500, "11" },
		{ 123456, "123" },
		{ UINT32_MAX, "4294967" },
	};
	struct smtp_log_event e = event(SMTP_LOG_TO);
	char line[LOG_LINE_MAX], expected[64];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		e.to.delays_ms[2] = cases[i].ms;
		(void)smtp_log_format(&e, line);
		(void)snprintf(expected, sizeof(expected),
		    " delay=%s, delays=0/0/%s/0, ", cases[i].shown,
		    cases[i].shown);
		assert_non_null(strstr(line, expected));
	}
	e.to.delays_ms[0] = e.to.delays_ms[2] = UINT32_MAX;
	(void)smtp_log_format(&e, line);
	assert_non_null(strstr(line, " delay=8589935, "));
}

static void
test_reject(void **state)
{
	struct smtp_log_event e = event(SMTP_LOG_REJECT);

	(void)state;
	e.id = TEXT_NONE;
	e.reject = (struct smtp_log_reject){
		.verb = SMTP_RCPT,
		.code = 554,
		.dsn = TEXT_LIT("5.7.1"),
		.about = TEXT_LIT("x@example.org"),
		.reason = TEXT_LIT("Recipient address rejected: Access denied"),
		.has_sender = true,
		.sender = TEXT_LIT("a@b.org"),
		.has_recipient = true,
		.recipient = TEXT_LIT("x@example.org"),
		.esmtp = true,
		.helo = TEXT_LIT("c"),
	};
	check(&e,
	    "NOQUEUE: reject: RCPT from " C ": 554 5.7.1 <x@example.org>: "
	    "Recipient address rejected: Access denied; from=<a@b.org> "
	    "to=<x@example.org> proto=ESMTP helo=<c>");
	e.reject.verb = SMTP_MAIL;
	e.reject.code = 530;
	e.reject.dsn = TEXT_LIT("5.7.0");
	e.reject.about = TEXT_NONE;
	e.reject.reason = TEXT_LIT("Authentication required");
	e.reject.sender = TEXT_NONE;
	e.reject.has_recipient = false;
	e.reject.esmtp = false;
	check(&e,
	    "NOQUEUE: reject: MAIL from " C ": 530 5.7.0 Authentication "
	    "required; from=<> proto=SMTP helo=<c>");
	/* After MAIL, of a user, in the words of the inner server. */
	e.id = TEXT_LIT("C336DB27");
	e.reject.verb = SMTP_END_OF_MESSAGE;
	e.reject.code = 451;
	e.reject.dsn = TEXT_NONE;
	e.reject.reason = TEXT_LIT("later\r\n");
	e.reject.has_sender = false;
	e.reject.helo = TEXT_NONE;
	e.reject.user = TEXT_LIT(USER);
	check(&e,
	    "C336DB27: reject: END-OF-MESSAGE from " C
	    ": 451 later\\r\\n; sasl_username=<" USER ">");
}

/* None of the texts between brackets can end before its bracket. */
static void
test_reject_hostile(void **state)
{
	const struct text evil = TEXT_LIT("a> to=<b\r\n\0\"\\\xff");
	struct smtp_log_event e = event(SMTP_LOG_REJECT);

	(void)state;
	e.reject = (struct smtp_log_reject){
		.verb = SMTP_RCPT,
		.code = 550,
		.about = evil,
		.reason = TEXT_LIT("no"),
		.has_sender = true,
		.sender = evil,
		.has_recipient = true,
		.recipient = evil,
		.esmtp = true,
		.helo = evil,
		.user = evil,
	};
#define SHOWN "a? to=?b\\r\\n\\0\\\"\\\\\\377"
	check(&e,
	    "C336DB27: reject: RCPT from " C ": 550 <" SHOWN ">: no; "
	    "from=<" SHOWN "> to=<" SHOWN "> proto=ESMTP helo=<" SHOWN "> "
	    "sasl_username=<" SHOWN ">");
#undef SHOWN
}

static void
test_sasl(void **state)
{
	struct smtp_log_event e = event(SMTP_LOG_SASL_FAILED);

	(void)state;
	e.sasl = (struct smtp_log_sasl){ TEXT_LIT("PLAIN"),
		TEXT_LIT("authentication failure"), TEXT_LIT(USER) };
	check(&e,
	    "warning: " C ": SASL PLAIN authentication failed: "
	    "authentication failure, sasl_username=" USER);
	e.sasl.user = TEXT_NONE;
	e.sasl.mechanism = TEXT_LIT("X\nY");
	check(&e,
	    "warning: " C ": SASL X\\nY authentication failed: "
	    "authentication failure, sasl_username=(unavailable)");
}

static void
test_trouble(void **state)
{
	static const struct {
		enum smtp_log_type type;
		struct smtp_log_trouble trouble;
		const char *line;
	} cases[] = {
		{ SMTP_LOG_LOST, { SMTP_AUTH, 0, { NULL, 0 } },
		    "lost connection after AUTH from " C },
		{ SMTP_LOG_LOST, { SMTP_CONNECT, 0, { NULL, 0 } },
		    "lost connection after CONNECT from " C },
		{ SMTP_LOG_LOST, { SMTP_DATA, 1234, { NULL, 0 } },
		    "lost connection after DATA (1234 bytes) from " C },
		{ SMTP_LOG_TIMEOUT, { SMTP_END_OF_MESSAGE, 0, { NULL, 0 } },
		    "timeout after END-OF-MESSAGE from " C },
		{ SMTP_LOG_TOO_MANY_ERRORS, { SMTP_AUTH, 0, { NULL, 0 } },
		    "too many errors after AUTH from " C },
		{ SMTP_LOG_PIPELINING,
		    { SMTP_EHLO, 0, TEXT_LIT("MAIL FROM:<a>\r\n") },
		    "improper command pipelining after EHLO from " C
		    ": MAIL FROM:<a>\\r\\n" },
		{ SMTP_LOG_TLS_FAILED,
		    { SMTP_CONNECT, 0, TEXT_LIT("lost connection") },
		    "SSL_accept error from " C ": lost connection" },
	};
	struct smtp_log_event e;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		e = event(cases[i].type);
		e.trouble = cases[i].trouble;
		check(&e, cases[i].line);
	}
}

static void
test_disconnect(void **state)
{
	struct smtp_log_event e = event(SMTP_LOG_DISCONNECT);
	size_t i;

	(void)state;
	check(&e, "disconnect from " C " commands=0/0");
	e.counts.of[SMTP_QUIT].good = e.counts.of[SMTP_QUIT].all = 1;
	e.counts.of[SMTP_AUTH].all = 1;
	e.counts.of[SMTP_EHLO].good = e.counts.of[SMTP_EHLO].all = 1;
	check(&e, "disconnect from " C " ehlo=1 auth=0/1 quit=1 commands=2/3");
	e.counts.of[SMTP_AUTH].good = 1;
	check(&e, "disconnect from " C " ehlo=1 auth=1 quit=1 commands=3");
	for (i = 0; i < SMTP_VERBS; i++) {
		e.counts.of[i].good = UINT32_MAX - 1;
		e.counts.of[i].all = UINT32_MAX;
	}
#define N "4294967294/4294967295 "
	check(&e,
	    "disconnect from " C " helo=" N "ehlo=" N "xclient=" N "xforward=" N
	    "starttls=" N "auth=" N "mail=" N "rcpt=" N "data=" N "bdat=" N
	    "rset=" N "noop=" N "vrfy=" N "etrn=" N "quit=" N "unknown=" N
	    "commands=68719476704/68719476720");
#undef N
}

/* Fill every text of e, which has the longest of addresses and names. */
static struct smtp_log_event
filled(enum smtp_log_type type, struct text t)
{
	struct smtp_log_event e = event(type);

	e.id = t;
	e.client.name = t;
	switch (type) {
	case SMTP_LOG_CLIENT:
		e.login = (struct smtp_log_client){ t, t };
		break;
	case SMTP_LOG_MESSAGE_ID:
		e.message_id = t;
		break;
	case SMTP_LOG_FROM:
		e.from = (struct smtp_log_from){ t, UINT64_MAX, UINT32_MAX };
		break;
	case SMTP_LOG_TO:
		e.to = (struct smtp_log_to){ .recipient = t,
			.has_relay = true,
			.relay = { t, addr_v6_inner },
			.dsn = t,
			.reply = t };
		break;
	case SMTP_LOG_REJECT:
		e.reject = (struct smtp_log_reject){ .verb = SMTP_XFORWARD,
			.code = UINT16_MAX,
			.dsn = t,
			.about = t,
			.reason = t,
			.has_sender = true,
			.has_recipient = true,
			.sender = t,
			.recipient = t,
			.helo = t,
			.user = t };
		break;
	case SMTP_LOG_SASL_FAILED:
		e.sasl = (struct smtp_log_sasl){ t, t, t };
		break;
	case SMTP_LOG_LOST:
	case SMTP_LOG_TIMEOUT:
	case SMTP_LOG_TOO_MANY_ERRORS:
	case SMTP_LOG_PIPELINING:
	case SMTP_LOG_TLS_FAILED:
		e.trouble =
		    (struct smtp_log_trouble){ SMTP_DATA, UINT64_MAX, t };
		break;
	case SMTP_LOG_CONNECT:
	case SMTP_LOG_REMOVED:
	case SMTP_LOG_DISCONNECT:
	case SMTP_LOG_TYPES:
		break;
	}
	return e;
}

/* How each line ends when all of its texts are cut, up to the last one. */
static const char *const ends[] = {
	[SMTP_LOG_CONNECT] = "[203.0.113.50]",
	[SMTP_LOG_CLIENT] = "...",
	[SMTP_LOG_MESSAGE_ID] = "...",
	[SMTP_LOG_FROM] = " (queue active)",
	[SMTP_LOG_TO] = "...)",
	[SMTP_LOG_REMOVED] = ": removed",
	[SMTP_LOG_REJECT] = "...>",
	[SMTP_LOG_SASL_FAILED] = "...",
	[SMTP_LOG_LOST] = "...",
	[SMTP_LOG_TIMEOUT] = "...",
	[SMTP_LOG_TOO_MANY_ERRORS] = "...",
	[SMTP_LOG_PIPELINING] = "...",
	[SMTP_LOG_TLS_FAILED] = "...",
	[SMTP_LOG_DISCONNECT] = " commands=0/0",
};

/* Whatever octet fills it, a line is printable ASCII, and keeps its end. */
static void
test_long(void **state)
{
	static char many[5000];
	struct smtp_log_event e;
	char line[LOG_LINE_MAX];
	size_t i, len;
	int c, type;

	(void)state;
	for (c = 0; c < 256; c++) {
		memset(many, c, sizeof(many));
		for (type = 0; type < SMTP_LOG_TYPES; type++) {
			e = filled((enum smtp_log_type)type,
			    (struct text){ many, sizeof(many) });
			(void)smtp_log_format(&e, line);
			len = strlen(line);
			for (i = 0; i < len; i++)
				assert_in_range(line[i], ' ', '~');
			assert_true(len >= strlen(ends[type]));
			assert_string_equal(
			    line + len - strlen(ends[type]), ends[type]);
		}
	}
}

static void
test_id(void **state)
{
	static const struct {
		time_t now;
		pid_t pid;
		uint32_t sequence;
		const char *id;
	} cases[] = {
		{ 1795485552, 16170, 1, "6B04EF70003F2A0001" },
		{ 0, 1, 0, "000000000000010000" },
		{ 1795485552, 4194304, 65535, "6B04EF70400000FFFF" },
		{ 1795485552, 4194304, 65536, "6B04EF704000000000" },
	};
	char id[SMTP_ID_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		smtp_log_id(cases[i].now, cases[i].pid, cases[i].sequence, id);
		assert_string_equal(id, cases[i].id);
	}
}

static void
test_verb(void **state)
{
	static const struct {
		struct text word;
		enum smtp_verb verb;
	} cases[] = {
		{ TEXT_LIT("HELO"), SMTP_HELO },
		{ TEXT_LIT("quit"), SMTP_QUIT },
		{ TEXT_LIT("StartTLS"), SMTP_STARTTLS },
		{ TEXT_LIT("QUIT\0"), SMTP_UNKNOWN },
		{ TEXT_LIT("QUI"), SMTP_UNKNOWN },
		{ TEXT_LIT(""), SMTP_UNKNOWN },
		{ TEXT_LIT("UNKNOWN"), SMTP_UNKNOWN },
		{ TEXT_LIT("CONNECT"), SMTP_UNKNOWN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		assert_int_equal(smtp_verb_of(cases[i].word), cases[i].verb);
}

static void
test_ident(void **state)
{
	static const struct {
		const char *ident;
		enum smtp_log_type type;
		const char *shown;
	} cases[] = {
		{ "postfix/smtpd", SMTP_LOG_CONNECT, "postfix/smtpd" },
		{ "postfix/smtpd", SMTP_LOG_REJECT, "postfix/smtpd" },
		{ "postfix/smtpd", SMTP_LOG_MESSAGE_ID, "postfix/cleanup" },
		{ "postfix/smtpd", SMTP_LOG_FROM, "postfix/qmgr" },
		{ "postfix-gw/smtpd", SMTP_LOG_TO, "postfix-gw/smtp" },
		{ "postfix/smtpd", SMTP_LOG_REMOVED, "postfix/qmgr" },
		{ "smtpd", SMTP_LOG_TO, "smtpd" },
		{ "postfix/smtpd2", SMTP_LOG_TO, "postfix/smtpd2" },
		{ "", SMTP_LOG_TO, "" },
	};
	char ident[SMTP_LOG_IDENT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		smtp_log_ident(cases[i].ident, cases[i].type, ident);
		assert_string_equal(ident, cases[i].shown);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_to),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_reject_hostile),
		cmocka_unit_test(test_sasl),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_disconnect),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_verb),
		cmocka_unit_test(test_ident),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
