/* SPDX-License-Identifier: ISC */
/* test_smtp_capability: what EHLO promises, in each situation of a client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp_capability.h"
#include "smtp_received.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

#define CLEAR CAPABILITY_CLEAR
#define STARTTLS (CAPABILITY_CLEAR | CAPABILITY_STARTTLS)
#define OPEN_STARTTLS (CAPABILITY_CLEAR_LOGIN | CAPABILITY_STARTTLS)
#define TLS CAPABILITY_TLS
#define AFTER CAPABILITY_AFTER

/* The reply of Postfix 3.7 as inner server, a line each. */
#define POSTFIX                                                                \
	"PIPELINING\nSIZE 10242048\nVRFY\nETRN\nSTARTTLS\nAUTH PLAIN LOGIN\n"  \
	"AUTH=PLAIN LOGIN\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\n"     \
	"CHUNKING"
#define KEPT                                                                   \
	"PIPELINING|SIZE 10242048|ENHANCEDSTATUSCODES|8BITMIME|DSN|"           \
	"SMTPUTF8|CHUNKING"

/* Take lines parted by LF as an inner server's reply. */
static void
take(const char *lines, struct capability *c)
{
	struct text rest = text_of(lines), line;

	capability_clear(c);
	while (rest.len > 0 && text_split(&rest, '\n', &line))
		assert_int_equal(smtp_add_keyword(c, line), 0);
}

static void
check(const struct capability *c, const char *expected)
{
	char words[2 * CAPABILITY_MAX];

	assert_int_equal(capability_print(c, "|", words, sizeof(words)), 0);
	assert_string_equal(words, expected);
}

static void
test_learned(void **state)
{
	static const struct {
		const char *inner;
		unsigned int situation;
		const char *out;
	} cases[] = {
		{ POSTFIX, TLS, KEPT },
		{ POSTFIX, CLEAR, KEPT },
		{ POSTFIX, AFTER, KEPT },
		{ POSTFIX, STARTTLS,
		    "PIPELINING|SIZE 10242048|STARTTLS|ENHANCEDSTATUSCODES|"
		    "8BITMIME|DSN|SMTPUTF8|CHUNKING" },
		{ "8BITMIME", OPEN_STARTTLS, "8BITMIME|PIPELINING|STARTTLS" },
		{ "", TLS, "PIPELINING" },
		{ "", STARTTLS, "PIPELINING|STARTTLS" },
		/* With and without parameters, in any case. */
		{ "size\npipelining", TLS, "size|pipelining" },
		{ "SIZE 0", TLS, "SIZE 0|PIPELINING" },
		{ "SIZEX 1\n8BITMIME 1\nDSNX", TLS, "PIPELINING" },
		{ "LIMITS RCPTMAX=5", TLS, "LIMITS RCPTMAX=5|PIPELINING" },
		{ "FUTURERELEASE 86400 2026-12-01T00:00:00Z", TLS,
		    "FUTURERELEASE 86400 2026-12-01T00:00:00Z|PIPELINING" },
		{ "DELIVERBY\nMT-PRIORITY MIXER\nMTRK\nNO-SOLICITING", TLS,
		    "DELIVERBY|MT-PRIORITY MIXER|MTRK|NO-SOLICITING|"
		    "PIPELINING" },
		{ "DELIVERBY 240\nMT-PRIORITY\nNO-SOLICITING a.b:c", TLS,
		    "DELIVERBY 240|MT-PRIORITY|NO-SOLICITING a.b:c|"
		    "PIPELINING" },
		{ "RRVS\nCONPERM\nCONNEG\nREQUIRETLS\nBINARYMIME", TLS,
		    "RRVS|CONPERM|CONNEG|REQUIRETLS|BINARYMIME|PIPELINING" },
		/* Never. */
		{ "XCLIENT NAME ADDR LOGIN\nXFORWARD NAME ADDR\nXVERP\nXEXCH50",
		    TLS, "PIPELINING" },
		{ "BURL imap\nVRFY\nEXPN\nHELP\nETRN\nATRN x\nTURN\nSEND\nX",
		    AFTER, "PIPELINING" },
		{ "BURL\nXCLIENT\nXFORWARD\nSTARTTLS\nAUTH\nNEWTHING", TLS,
		    "PIPELINING" },
	};
	struct capability inner, out;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		take(cases[i].inner, &inner);
		capability_rewrite(
		    smtp_rules, SMTP_NRULES, cases[i].situation, &inner, &out);
		check(&out, cases[i].out);
	}
}

static void
test_line(void **state)
{
	static const struct {
		struct text line;
		const char *out; /* NULL: refused */
	} cases[] = {
		{ TEXT_LIT("SIZE 1000"), "DSN|SIZE 1000" },
		{ TEXT_LIT("SIZE  1000 "), "DSN|SIZE 1000" },
		{ TEXT_LIT("8BITMIME "), "DSN|8BITMIME" },
		{ TEXT_LIT("X-EXPS GSSAPI NTLM"), "DSN|X-EXPS GSSAPI NTLM" },
		{ TEXT_LIT("AUTH=PLAIN LOGIN"), "DSN|AUTH PLAIN LOGIN" },
		{ TEXT_LIT(" auth=LOGIN"), "DSN|auth LOGIN" },
		{ TEXT_LIT("AUTH="), "DSN|AUTH" },
		{ TEXT_LIT("dsn again"), "DSN" }, /* the first counts */
		{ TEXT_LIT(""), NULL },
		{ TEXT_LIT("  "), NULL },
		{ TEXT_LIT("-X"), NULL },
		{ TEXT_LIT("X_Y"), NULL },
		{ TEXT_LIT("SIZE=1000"), NULL },
		{ TEXT_LIT("SIZE\t1000"), NULL },
		{ TEXT_LIT("SIZE 1\r250 X"), NULL },
		{ TEXT_LIT("SIZE 1\nAUTH X"), NULL },
		{ TEXT_LIT("SIZE 1\0"), NULL },
		{ TEXT_LIT("SIZE \xc3\xa4"), NULL },
		{ TEXT_LIT("SIZE \x7f"), NULL },
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		take("DSN", &c);
		assert_int_equal(smtp_add_keyword(&c, cases[i].line),
		    cases[i].out != NULL ? 0 : -1);
		check(&c, cases[i].out != NULL ? cases[i].out : "DSN");
	}
}

/* A line of SMTP_KEYWORD_LINE_MAX octets is taken, a longer one is not. */
static void
test_long_line(void **state)
{
	char line[SMTP_KEYWORD_LINE_MAX + 1];
	struct capability c;

	(void)state;
	memset(line, 'A', sizeof(line));
	capability_clear(&c);
	assert_int_equal(
	    smtp_add_keyword(&c, (struct text){ line, sizeof(line) }), -1);
	assert_int_equal(c.len, 0);
	assert_int_equal(
	    smtp_add_keyword(&c, (struct text){ line, sizeof(line) - 1 }), 0);
	line[4] = ' '; /* nor one that is too long by its last word only */
	assert_int_equal(
	    smtp_add_keyword(&c, (struct text){ line, sizeof(line) }), -1);
	line[4] = '=';
	memcpy(line, "AUTH", 4);
	assert_int_equal(
	    smtp_add_keyword(&c, (struct text){ line, sizeof(line) }), -1);
}

static void
test_parse(void **state)
{
	static const struct {
		const char *text, *out; /* NULL: refused */
	} cases[] = {
		{ "PIPELINING, SIZE 10240000,AUTH , 8BITMIME",
		    "PIPELINING|SIZE 10240000|AUTH|8BITMIME" },
		{ "DSN", "DSN" },
		{ SMTP_MINIMUM, "PIPELINING" },
		{ ",DSN,,  ,SIZE,", "DSN|SIZE" },
		{ "X-NEW a b c, LIMITS RCPTMAX=1 MAILMAX=2",
		    "X-NEW a b c|LIMITS RCPTMAX=1 MAILMAX=2" },
		{ "SIZE  5", "SIZE 5" },
		{ "", NULL },
		{ " , ", NULL },
		{ "PIPELINING 8BITMIME DSN", NULL }, /* where are the commas? */
		{ "DSN, STARTTLS now", NULL },
		{ "SIZE.DSN", NULL },
		{ "DSN, \xc3\xa4", NULL },
		{ "DSN\r\n250 X", NULL },
		{ "SIZE\t5", NULL },
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(smtp_parse_capability(cases[i].text, &c),
		    cases[i].out != NULL ? 0 : -1);
		if (cases[i].out != NULL)
			check(&c, cases[i].out);
	}
}

/* The administrator's list: literally, but for STARTTLS (and AUTH, later). */
static void
test_edited(void **state)
{
	static const struct {
		const char *set;
		unsigned int situation;
		const char *out;
	} cases[] = {
		{ "SIZE 5, STARTTLS, XVERP, VRFY", TLS, "SIZE 5|XVERP|VRFY" },
		{ "SIZE 5, STARTTLS, VRFY", STARTTLS, "SIZE 5|STARTTLS|VRFY" },
		{ "SIZE 5, AUTH X", STARTTLS, "SIZE 5|AUTH X|STARTTLS" },
		{ "SIZE 5", CLEAR, "SIZE 5" },
	};
	struct capability set, out;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(smtp_parse_capability(cases[i].set, &set), 0);
		capability_edit(
		    smtp_rules, SMTP_NRULES, cases[i].situation, &set, &out);
		check(&out, cases[i].out);
	}
}

static void
test_settle(void **state)
{
	static const struct {
		const char *in;
		struct smtp_offer o;
		const char *out;
	} cases[] = {
		{ "DSN\nSIZE 10242048\nHELP", { 0 }, "DSN|SIZE 10240000|HELP" },
		{ "DSN\nSIZE 10242048\nHELP", { .message_size = 5000 },
		    "DSN|SIZE 5000|HELP" },
		{ "SIZE 10242048", { .message_size = 10240001 },
		    "SIZE 10240000" },
		{ "SIZE\nDSN", { .message_size = 5000 }, "SIZE 5000|DSN" },
		{ "SIZE 0\nDSN", { .message_size = 5000 }, "SIZE 5000|DSN" },
		{ "DSN", { .message_size = 5000 }, "DSN|SIZE 5000" },
		{ "SIZE 0\nDSN", { 0 }, "SIZE|DSN" },
		{ "DSN", { 0 }, "DSN" },
		/* No number, or none that 64 bits hold: no limit was told. */
		{ "SIZE many", { 0 }, "SIZE" },
		{ "SIZE 99999999999999999999", { 0 }, "SIZE" },
		{ "SIZE -1", { .message_size = 7 }, "SIZE 7" },
		{ "SIZE 18446744073709551615", { 0 },
		    "SIZE 18446744073709549567" },
		/* 0 would say that there is no limit. */
		{ "SIZE 2048", { 0 }, "SIZE 1" },
		{ "SIZE 1", { .message_size = 5000 }, "SIZE 1" },

		{ "LIMITS RCPTMAX=100 MAILMAX=20\nDSN", { .recipients = 50 },
		    "LIMITS RCPTMAX=50 MAILMAX=20|DSN" },
		{ "LIMITS mailmax=20 RCPTMAX=100", { .recipients = 1000 },
		    "LIMITS RCPTMAX=100 MAILMAX=20" },
		{ "LIMITS RCPTDOMAINMAX=3 NEW=1 X", { 0 },
		    "LIMITS RCPTDOMAINMAX=3" },
		{ "DSN", { .recipients = 1000 }, "DSN|LIMITS RCPTMAX=1000" },
		{ "DSN", { .recipients = 1000000 }, "DSN" },
		{ "LIMITS RCPTMAX=0 MAILMAX=1000000\nDSN", { 0 }, "DSN" },
		{ "LIMITS RCPTMAX=5 RCPTMAX=3", { 0 }, "LIMITS RCPTMAX=3" },
		{ "LIMITS RCPTMAX=999999 MAILMAX=999999 RCPTDOMAINMAX=999999",
		    { .message_size = UINT64_MAX },
		    "LIMITS RCPTMAX=999999 MAILMAX=999999 "
		    "RCPTDOMAINMAX=999999|SIZE 18446744073709551615" },

		{ "BINARYMIME\nCHUNKING", { 0 }, "BINARYMIME|CHUNKING" },
		{ "BINARYMIME\nDSN", { 0 }, "DSN" },
		{ "SMTPUTF8\n8BITMIME", { 0 }, "SMTPUTF8|8BITMIME" },
		{ "SMTPUTF8\nDSN", { 0 }, "DSN" },
		{ "REQUIRETLS", { .inner_tls = true }, "REQUIRETLS" },
		{ "REQUIRETLS", { 0 }, "" },
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		take(cases[i].in, &c);
		smtp_capability_settle(&c, &cases[i].o);
		check(&c, cases[i].out);
	}
}

static void
test_auth(void **state)
{
	static const struct {
		const char *in;
		struct text mechanisms;
		bool broken;
		const char *out;
	} cases[] = {
		{ "SIZE, DSN", TEXT_LIT("PLAIN LOGIN"), false,
		    "SIZE|DSN|AUTH PLAIN LOGIN" },
		{ "SIZE, DSN", TEXT_LIT(" PLAIN  LOGIN "), true,
		    "SIZE|DSN|AUTH PLAIN LOGIN|AUTH=PLAIN LOGIN" },
		/* Where the administrator wants it, not what he said. */
		{ "SIZE, AUTH GSSAPI, DSN", TEXT_LIT("PLAIN"), true,
		    "SIZE|AUTH PLAIN|AUTH=PLAIN|DSN" },
		{ "AUTH=X, DSN", TEXT_LIT("PLAIN"), false, "AUTH PLAIN|DSN" },
		{ "AUTHX, DSN", TEXT_LIT("PLAIN"), false,
		    "AUTHX|DSN|AUTH PLAIN" },
		{ "SIZE, AUTH, DSN", TEXT_NONE, true, "SIZE|DSN" },
		{ "SIZE, AUTH, DSN", TEXT_LIT("  "), false, "SIZE|DSN" },
		{ "SIZE, AUTH", TEXT_LIT("PL\rAIN pl.ain"), true, "SIZE" },
		{ "SIZE", TEXT_LIT("A\r\n250 SCRAM-SHA-256 B\0"), false,
		    "SIZE|AUTH SCRAM-SHA-256" },
		{ "SIZE", TEXT_LIT("ABCDEFGHIJKLMNOPQRSTU PLAIN"), false,
		    "SIZE|AUTH PLAIN" }, /* at most 20 octets */
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(smtp_parse_capability(cases[i].in, &c), 0);
		smtp_capability_auth(&c, cases[i].mechanisms, cases[i].broken);
		check(&c, cases[i].out);
	}
}

/* Mechanisms that the line does not hold are left out, the others stay. */
static void
test_auth_long(void **state)
{
	char mechanisms[4000], words[CAPABILITY_MAX];
	struct capability c;
	size_t i, len = 0;

	(void)state;
	for (i = 0; len < sizeof(mechanisms) - 32; i++)
		len += (size_t)snprintf(mechanisms + len,
		    sizeof(mechanisms) - len, "MECHANISM-%zu ", i);
	capability_clear(&c);
	smtp_capability_auth(&c, (struct text){ mechanisms, len }, true);
	assert_int_equal(capability_print(&c, "|", words, sizeof(words)), 0);
	assert_true(c.len <= 2 * (SMTP_KEYWORD_LINE_MAX + 1));
	assert_true(c.len > SMTP_KEYWORD_LINE_MAX);
	assert_non_null(strstr(words, "|AUTH=MECHANISM-0 MECHANISM-1 "));
}

/* An inner server that fills the list cannot push out what is ours. */
static void
test_stuffed(void **state)
{
	const struct smtp_offer o = { .message_size = 5000, .recipients = 9 };
	struct capability c;
	char line[64];
	int i, n = 0;

	(void)state;
	capability_clear(&c);
	for (i = 0; n == 0; i++) {
		(void)snprintf(line, sizeof(line), "WORD%d xxxxxxxxxxxxxxx", i);
		n = smtp_add_keyword(&c, text_of(line));
	}
	assert_true(i > 100);
	smtp_capability_settle(&c, &o);
	smtp_capability_auth(&c, TEXT_LIT("PLAIN LOGIN"), true);
	assert_true(capability_has(&c, "WORD0 xxxxxxxxxxxxxxx"));
	assert_true(capability_has(&c, "AUTH PLAIN LOGIN"));
	assert_true(capability_has(&c, "AUTH=PLAIN LOGIN"));
	take("NO-SOLICITING", &c);
	for (i = 0, n = 0; n == 0; i++) {
		(void)snprintf(line, sizeof(line), "WORD%d xxxxxxxxxxxxxxx", i);
		n = smtp_add_keyword(&c, text_of(line));
	}
	smtp_capability_settle(&c, &o);
	assert_true(capability_has(&c, "SIZE 5000"));
	assert_true(capability_has(&c, "LIMITS RCPTMAX=9"));
}

static void
test_size(void **state)
{
	static const struct {
		uint64_t own, inner, limit;
	} cases[] = {
		{ 0, 0, 0 },
		{ 5, 0, 5 },
		{ 0, SMTP_RECEIVED_SIZE + 9, 9 },
		{ 5, SMTP_RECEIVED_SIZE + 9, 5 },
		{ 10, SMTP_RECEIVED_SIZE + 9, 9 },
		{ 10, SMTP_RECEIVED_SIZE, 1 },
		{ 0, 1, 1 },
		{ UINT64_MAX, UINT64_MAX, UINT64_MAX - SMTP_RECEIVED_SIZE },
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		assert_int_equal(smtp_size_limit(cases[i].own, cases[i].inner),
		    cases[i].limit);
	take("DSN\nsize 77", &c);
	assert_int_equal(smtp_capability_size(&c), 77);
}

static void
test_table(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < SMTP_NRULES; i++) {
		assert_true(strlen(smtp_rules[i].why) > 0);
		assert_int_equal(smtp_rules[i].edit,
		    strcmp(smtp_rules[i].word, "STARTTLS") == 0);
	}
	assert_string_equal(smtp_rules[SMTP_NRULES - 1].word, "*");
}

/* Two inner servers, whichever is asked first. */
static void
test_merge(void **state)
{
	static const struct {
		const char *a, *b, *both;
	} cases[] = {
		{ "DSN\nSIZE 20", "SIZE 10\nDSN", "DSN|SIZE 10" },
		{ "SIZE 10", "SIZE 10", "SIZE 10" },
		{ "SIZE 10", "SIZE 0", "SIZE 10" },
		{ "SIZE 10", "SIZE", "SIZE 10" },
		{ "SIZE", "SIZE 0", "SIZE" },
		{ "SIZE 10\nDSN", "DSN", "DSN" },
		{ "DSN\nCHUNKING", "8BITMIME\nDSN", "DSN" },
		{ "LIMITS RCPTMAX=9 MAILMAX=7", "DSN\nLIMITS RCPTMAX=8",
		    "LIMITS RCPTMAX=8 MAILMAX=7" },
		{ "DSN\nLIMITS RCPTMAX=9", "DSN", "DSN|LIMITS RCPTMAX=9" },
		{ "SIZE 10", "", "" },
	};
	struct capability a, b, all;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		take(cases[i].a, &a);
		take(cases[i].b, &b);
		all = a;
		smtp_capability_merge(&all, &b);
		check(&all, cases[i].both);
		smtp_capability_merge(&b, &a);
		assert_int_equal(b.len, all.len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learned),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_auth_long),
		cmocka_unit_test(test_stuffed),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
