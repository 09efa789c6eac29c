/* SPDX-License-Identifier: ISC */
/* test_smtp_received: the Received field, and what a client cannot do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "smtp_received.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

#define DATE 1795485552 /* Tue, 24 Nov 2026 01:59:12 UTC */
#define CLIENT "Received: from c.example.org (c.example.org [203.0.113.50])\r\n"
#define BY "\tby gw.example.org (Relais) with "
#define END "; Tue, 24 Nov 2026 01:59:12 +0000\r\n"

static struct addr v4;

/* A message of one recipient, submitted over TLS after a login. */
static struct smtp_received
usual(void)
{
	assert_int_equal(addr_parse(TEXT_LIT("203.0.113.50"), 4711, &v4), 0);
	return (struct smtp_received){
		.addr = &v4,
		.helo = TEXT_LIT("c.example.org"),
		.name = TEXT_LIT("c.example.org"),
		.hostname = TEXT_LIT("gw.example.org"),
		.id = TEXT_LIT("C336DB27"),
		.esmtp = true,
		.tls = true,
		.auth = true,
		.recipient = TEXT_LIT("x@example.org"),
		.date = DATE,
	};
}

static void
check(const struct smtp_received *r, const char *expected)
{
	char field[SMTP_RECEIVED_SIZE];
	size_t len = smtp_received_format(r, field);

	assert_string_equal(field, expected);
	assert_int_equal(len, strlen(expected));
}

static void
test_usual(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	check(&r, CLIENT BY "ESMTPSA id C336DB27\r\n\tfor <x@example.org>" END);
	r.recipient = TEXT_NONE;
	check(&r, CLIENT BY "ESMTPSA id C336DB27" END);
	r.name = TEXT_NONE;
	check(&r,
	    "Received: from c.example.org (unknown [203.0.113.50])\r\n" BY
	    "ESMTPSA id C336DB27" END);
	r.helo = TEXT_LIT("[10.0.0.7]");
	check(&r,
	    "Received: from [10.0.0.7] (unknown [203.0.113.50])\r\n" BY
	    "ESMTPSA id C336DB27" END);
}

static void
test_comments(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	r.tls_version = TEXT_LIT("TLSv1.3");
	r.tls_cipher = TEXT_LIT("TLS_AES_256_GCM_SHA384");
	r.tls_bits = 256;
	r.user = TEXT_LIT("user@example.org");
	check(&r,
	    CLIENT "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
	           "(256/256 bits))\r\n"
	           "\t(Authenticated sender: user@example.org)\r\n" BY
	           "ESMTPSA id C336DB27\r\n\tfor <x@example.org>" END);
	r.user = TEXT_LIT("a) by evil (\\\r\nX: \xc3\xa4");
	r.tls = false;
	check(&r,
	    CLIENT "\t(Authenticated sender: a? by evil ????X: ?\?)\r\n" BY
	           "ESMTPA id C336DB27\r\n\tfor <x@example.org>" END);
	r.auth = false;
	check(&r, CLIENT BY "ESMTP id C336DB27\r\n\tfor <x@example.org>" END);
}

/* Nothing is told of a hidden client, but who logged in, if that is asked. */
static void
test_hidden(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	r.addr = NULL;
	r.recipient = TEXT_NONE;
	check(&r,
	    "Received: from gw.example.org\r\n" BY "ESMTPSA id C336DB27" END);
	r.user = TEXT_LIT("u");
	check(&r,
	    "Received: from gw.example.org\r\n"
	    "\t(Authenticated sender: u)\r\n" BY "ESMTPSA id C336DB27" END);
}

static void
test_with(void **state)
{
	static const struct {
		bool esmtp, tls, auth, utf8;
		const char *with;
	} cases[] = {
		{ true, false, false, false, " with ESMTP id" },
		{ true, false, true, false, " with ESMTPA id" },
		{ true, true, false, false, " with ESMTPS id" },
		{ true, true, true, false, " with ESMTPSA id" },
		{ true, false, false, true, " with UTF8SMTP id" },
		{ true, false, true, true, " with UTF8SMTPA id" },
		{ true, true, false, true, " with UTF8SMTPS id" },
		{ true, true, true, true, " with UTF8SMTPSA id" },
		{ false, true, true, false, " with SMTP id" },
	};
	struct smtp_received r = usual();
	char field[SMTP_RECEIVED_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		r.esmtp = cases[i].esmtp;
		r.tls = cases[i].tls;
		r.auth = cases[i].auth;
		r.utf8 = cases[i].utf8;
		(void)smtp_received_format(&r, field);
		assert_non_null(strstr(field, cases[i].with));
	}
}

static void
test_addr(void **state)
{
	static const struct {
		const char *addr, *shown;
	} cases[] = {
		{ "192.0.2.1", "[192.0.2.1])" },
		{ "2001:db8::1", "[IPv6:2001:db8::1])" },
		{ "::ffff:192.0.2.1", "[192.0.2.1])" },
		{ "fe80::1%1", "[IPv6:fe80::1])" },
	};
	struct smtp_received r = usual();
	char field[SMTP_RECEIVED_SIZE];
	struct addr a;
	size_t i;

	(void)state;
	r.addr = &a;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(addr_parse(text_of(cases[i].addr), 25, &a), 0);
		(void)smtp_received_format(&r, field);
		assert_non_null(strstr(field, cases[i].shown));
	}
}

/* Against date(1) -u -R, and -R with TZ. */
static void
test_date(void **state)
{
	static const struct {
		int64_t date;
		int zone;
		const char *shown;
	} cases[] = {
		{ 0, 0, "; Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
		{ -1, 0, "; Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
		{ DATE, 60, "; Tue, 24 Nov 2026 02:59:12 +0100\r\n" },
		{ DATE, -150, "; Mon, 23 Nov 2026 23:29:12 -0230\r\n" },
		{ DATE, 345, "; Tue, 24 Nov 2026 07:44:12 +0545\r\n" },
		{ 951782400, 0, "; Tue, 29 Feb 2000 00:00:00 +0000\r\n" },
		{ 951868799, 0, "; Tue, 29 Feb 2000 23:59:59 +0000\r\n" },
		{ 951868800, 0, "; Wed, 1 Mar 2000 00:00:00 +0000\r\n" },
		{ 1709164800, 0, "; Thu, 29 Feb 2024 00:00:00 +0000\r\n" },
		{ 1798761599, 0, "; Thu, 31 Dec 2026 23:59:59 +0000\r\n" },
		{ 1798761599, 1, "; Fri, 1 Jan 2027 00:00:59 +0001\r\n" },
		{ 4107542400, 0, "; Mon, 1 Mar 2100 00:00:00 +0000\r\n" },
		{ 253402300799, 0, "; Fri, 31 Dec 9999 23:59:59 +0000\r\n" },
	};
	struct smtp_received r = usual();
	char field[SMTP_RECEIVED_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		r.date = (time_t)cases[i].date;
		r.zone = cases[i].zone;
		(void)smtp_received_format(&r, field);
		assert_string_equal(strchr(field, ';'), cases[i].shown);
	}
}

/* Each day of four hundred years is the one behind the day before. */
static void
test_calendar(void **state)
{
	struct smtp_received r = usual();
	char field[SMTP_RECEIVED_SIZE], expected[64];
	struct tm tm;
	time_t t;

	(void)state;
	for (t = 0; t < (time_t)146097 * 86400; t += 86400) {
		r.date = t;
		(void)smtp_received_format(&r, field);
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(expected, sizeof(expected),
		                "%a, %e %b %Y %H:%M:%S +0000\r\n", &tm) > 0);
		if (expected[5] == ' ')
			memmove(
			    expected + 5, expected + 6, strlen(expected + 5));
		assert_string_equal(strchr(field, ';') + 2, expected);
	}
}

static void
test_hostile(void **state)
{
	static const struct {
		struct text in;
		bool utf8;
		const char *helo; /* as it is shown */
		bool told;        /* as a recipient */
	} cases[] = {
		{ TEXT_LIT("a@b"), false, "a?b", true },
		{ TEXT_LIT("a\r\nX: y"), false, "a??X:?y", false },
		{ TEXT_LIT("a\nb"), false, "a?b", false },
		{ TEXT_LIT("a\rb"), false, "a?b", false },
		{ TEXT_LIT("a\0b"), false, "a?b", false },
		{ TEXT_LIT("a\x7f\x1b[m"), false, "a??[m", false },
		{ TEXT_LIT("a b\tc"), false, "a?b?c", false },
		{ TEXT_LIT("a (b) \\c \"d\" <e>; f"), false,
		    "a??b???c??d???e???f", false },
		{ TEXT_LIT("b\xc3\xbc.de"), false, "b??.de", false },
		{ TEXT_LIT("b\xc3\xbc.de"), true, "b\xc3\xbc.de", true },
		{ TEXT_LIT("\xe2\x82\xac\xf0\x9f\x93\xa7"), true,
		    "\xe2\x82\xac\xf0\x9f\x93\xa7", true },
		{ TEXT_LIT("\xc2\x85\xc2\xa0"), true, "??\xc2\xa0", false },
		{ TEXT_LIT("\xc0\x8a"), true, "??", false }, /* LF, longer */
		{ TEXT_LIT("\xe0\x80\x8a"), true, "???", false },
		{ TEXT_LIT("\xf0\x80\x80\x8a"), true, "????", false },
		{ TEXT_LIT("\xed\xa0\x80"), true, "???", false },
		{ TEXT_LIT("\xf4\x90\x80\x80"), true, "????", false },
		{ TEXT_LIT("\xf5\x80\x80\x80"), true, "????", false },
		{ TEXT_LIT("\xff\xfe\x80"), true, "???", false },
		{ TEXT_LIT("\xe2\x82\r"), true, "???", false },
		{ TEXT_LIT("\xe2\x82"), true, "??", false },
		{ TEXT_LIT("\xc3"), true, "?", false },
	};
	char field[SMTP_RECEIVED_SIZE], from[128];
	struct smtp_received r = usual();
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		r.helo = r.recipient = cases[i].in;
		r.utf8 = cases[i].utf8;
		(void)smtp_received_format(&r, field);
		(void)snprintf(
		    from, sizeof(from), "Received: from %s (c", cases[i].helo);
		assert_memory_equal(field, from, strlen(from));
		assert_int_equal(
		    strstr(field, "\tfor <") != NULL, cases[i].told);
		/* A name of DNS is ASCII, whatever the message is. */
		r.name = TEXT_LIT("\xc3\xbc] evil\r\n");
		(void)smtp_received_format(&r, field);
		assert_non_null(strstr(field, " (??]?evil?? [203.0.113.50])"));
		r.name = TEXT_LIT("c.example.org");
	}
}

/* Count lines; each is at most 1000 octets with its CRLF, the end is a CRLF. */
static unsigned int
count_lines(struct text field)
{
	struct text line;
	unsigned int n;

	for (n = 0; field.len > 0 && text_split(&field, '\n', &line); n++) {
		assert_true(line.len > 0 && line.len < 1000);
		assert_int_equal(line.p[line.len - 1], '\r');
		assert_non_null(field.p);
	}
	return n;
}

/* Whatever octet fills everything that is given, however much of it. */
static void
test_long(void **state)
{
	static char many[5000];
	struct smtp_received r = usual();
	char field[SMTP_RECEIVED_SIZE];
	struct addr a;
	struct text t;
	size_t len;
	int c;

	(void)state;
	assert_int_equal(
	    addr_parse(
	        TEXT_LIT("1111:2222:3333:4444:5555:6666:7777:8888"), 1, &a),
	    0);
	for (c = 0; c < 256; c++) {
		memset(many, c, sizeof(many));
		t = (struct text){ many, sizeof(many) };
		r = (struct smtp_received){ .addr = &a,
			.helo = t,
			.name = t,
			.tls_version = t,
			.tls_cipher = t,
			.tls_bits = 1u << 31,
			.user = t,
			.hostname = t,
			.id = t,
			.esmtp = true,
			.tls = true,
			.auth = true,
			.utf8 = true,
			.recipient = { many, 254 },
			.date = DATE };
		len = smtp_received_format(&r, field);
		assert_int_equal(strlen(field), len);
		assert_int_equal(count_lines((struct text){ field, len }),
		    strstr(field, "for <") != NULL ? 5 : 4);
		if (c == 'a')
			assert_non_null(strstr(field,
			    "a>; Tue, 24 Nov 2026 "
			    "01:59:12 +0000\r\n"));
	}
	r.recipient = (struct text){ many, 255 };
	memset(many, 'a', sizeof(many));
	(void)smtp_received_format(&r, field);
	assert_null(strstr(field, "for <"));
}

/* No character is cut in two. */
static void
test_cut(void **state)
{
	static char many[300];
	struct smtp_received r = usual();
	char field[SMTP_RECEIVED_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i + 1 < sizeof(many); i += 2)
		memcpy(many + i, "\xc3\xbc", 2);
	r.helo = (struct text){ many, sizeof(many) };
	r.utf8 = true;
	(void)smtp_received_format(&r, field);
	assert_memory_equal(field + strlen("Received: from "), many, 254);
	assert_memory_equal(
	    field + strlen("Received: from ") + 254, " (c.ex", 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_with),
		cmocka_unit_test(test_addr),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
