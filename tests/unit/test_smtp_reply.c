/* SPDX-License-Identifier: ISC */
/* test_smtp_reply: what a server says, line by line and octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "line.h"
#include "smtp_reply.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)

static bool
same(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.p, b.p, a.len));
}

static void
test_lines(void **state)
{
	static const struct {
		struct text line;
		unsigned int code; /* 0: no reply */
		bool last;
		struct text text;
	} cases[] = {
		{ S("250 2.1.0 Ok"), 250, true, S("2.1.0 Ok") },
		{ S("250-SIZE 10"), 250, false, S("SIZE 10") },
		{ S("250"), 250, true, S("") },
		{ S("250 "), 250, true, S("") },
		{ S("250-"), 250, false, S("") },
		{ S("599  a\tb "), 599, true, S(" a\tb ") },
		{ S("200-\xc3\xbc\xff"), 200, false, S("\xc3\xbc\xff") },
		{ S("354 -"), 354, true, S("-") },
		{ S(""), 0, false, S("") },
		{ S("2"), 0, false, S("") },
		{ S("25"), 0, false, S("") },
		{ S("25 Ok"), 0, false, S("") },
		{ S("150 Ok"), 0, false, S("") },
		{ S("650 Ok"), 0, false, S("") },
		{ S("2500 Ok"), 0, false, S("") },
		{ S("250Ok"), 0, false, S("") },
		{ S("250\tOk"), 0, false, S("") },
		{ S("250+Ok"), 0, false, S("") },
		{ S("2a0 Ok"), 0, false, S("") },
		{ S(" 250 Ok"), 0, false, S("") },
		{ S("-50 Ok"), 0, false, S("") },
		{ S("250 a\x1b[m"), 0, false, S("") },
		{ S("250 a\x7f"), 0, false, S("") },
		{ S("250 a\0b"), 0, false, S("") },
		{ S("250 a\rb"), 0, false, S("") },
		{ S("250 a\n250 b"), 0, false, S("") },
	};
	struct smtp_reply_line l;
	struct text line;
	size_t i, n;
	char *p;
	bool ok;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		for (n = 0; n <= cases[i].line.len; n++) {
			p = malloc(n + 1);
			assert_non_null(p);
			memcpy(p + 1, cases[i].line.p, n);
			line = (struct text){ p + 1, n };
			ok = smtp_parse_reply(line, &l);
			if (n < 3)
				assert_false(ok);
			if (n == cases[i].line.len &&
			    (ok != (cases[i].code > 0) ||
			        (ok &&
			            (l.code != cases[i].code ||
			                l.last != cases[i].last ||
			                !same(l.text, cases[i].text)))))
				fail_msg("%.*s", TEXT_ARG(line));
			free(p);
		}
	}
}

static void
test_status(void **state)
{
	static const struct {
		struct text text, status, rest;
	} cases[] = {
		{ S("2.0.0 Ok"), S("2.0.0"), S("Ok") },
		{ S("5.7.1"), S("5.7.1"), S("") },
		{ S("4.123.999  x"), S("4.123.999"), S(" x") },
		{ S("3.0.0 x"), S(""), S("3.0.0 x") },
		{ S("2.0 x"), S(""), S("2.0 x") },
		{ S("2.0.0.0 x"), S(""), S("2.0.0.0 x") },
		{ S("2.0.1234 x"), S(""), S("2.0.1234 x") },
		{ S("2.1234.0 x"), S(""), S("2.1234.0 x") },
		{ S("2..0 x"), S(""), S("2..0 x") },
		{ S("2.0. x"), S(""), S("2.0. x") },
		{ S("22.0.0 x"), S(""), S("22.0.0 x") },
		{ S("2.0.0x"), S(""), S("2.0.0x") },
		{ S("2.0.0-x"), S(""), S("2.0.0-x") },
		{ S("Ok"), S(""), S("Ok") },
		{ S("2"), S(""), S("2") },
		{ S(""), S(""), S("") },
	};
	struct text rest;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		rest = cases[i].text;
		if (!same(smtp_reply_status(&rest), cases[i].status) ||
		    !same(rest, cases[i].rest))
			fail_msg("%.*s", TEXT_ARG(cases[i].text));
	}
}

/* Feed a server's octets, step at a time, as a session does. */
static enum smtp_reply_result
collect(struct smtp_reply *r, struct text in, size_t step)
{
	enum smtp_reply_result result = SMTP_REPLY_MORE;
	struct buf b;
	struct text line;
	size_t n;

	buf_init(&b, 65536);
	while (in.len > 0 && result == SMTP_REPLY_MORE) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(&b, in.p, n), 0);
		in = text_skip(in, n);
		while (result == SMTP_REPLY_MORE &&
		    line_peek(&b, SMTP_REPLY_LINE_MAX, &line) == LINE_OK) {
			result = smtp_reply_add(r, line);
			buf_consume(&b, line.len + 2);
		}
	}
	buf_free(&b);
	return result;
}

static void
test_collect(void **state)
{
	static const struct {
		struct text in;
		enum smtp_reply_result result;
		size_t lines;
		struct text octets, last;
	} cases[] = {
		{ S("250 Ok\r\n250 more\r\n"), SMTP_REPLY_OK, 1,
		    S("250 Ok\r\n"), S("Ok") },
		{ S("250-a\r\n250-\r\n250 c\r\n"), SMTP_REPLY_OK, 3,
		    S("250-a\r\n250-\r\n250 c\r\n"), S("c") },
		{ S("250-a\r\n250\r\n"), SMTP_REPLY_OK, 2,
		    S("250-a\r\n250\r\n"), S("") },
		{ S("250-a\r\n250-b\r\n"), SMTP_REPLY_MORE, 2,
		    S("250-a\r\n250-b\r\n"), S("b") },
		{ S("250-a\r\n251 b\r\n"), SMTP_REPLY_BAD, 1, S("250-a\r\n"),
		    S("a") },
		{ S("250-a\r\nb\r\n250 c\r\n"), SMTP_REPLY_BAD, 1,
		    S("250-a\r\n"), S("a") },
		{ S("* OK IMAP\r\n"), SMTP_REPLY_BAD, 0, S(""), S("") },
	};
	struct smtp_reply r;
	struct text rest, out, last;
	size_t i, step, lines;

	(void)state;
	smtp_reply_init(&r);
	for (i = 0; i < NITEMS(cases); i++) {
		for (step = 1; step <= cases[i].in.len; step++) {
			if (collect(&r, cases[i].in, step) != cases[i].result ||
			    r.lines != cases[i].lines ||
			    !same(buf_view(&r.octets), cases[i].octets))
				fail_msg("reply %zu, step %zu", i, step);
			rest = buf_view(&r.octets);
			last = TEXT_NONE;
			for (lines = 0; smtp_reply_next(&rest, &out); lines++)
				last = out;
			assert_int_equal(lines, cases[i].lines);
			assert_true(same(last, cases[i].last));
			smtp_reply_free(&r);
		}
	}
}

/* A line that nobody asked for. */
static void
test_unasked(void **state)
{
	struct smtp_reply r;

	(void)state;
	smtp_reply_init(&r);
	assert_int_equal(smtp_reply_add(&r, S("250 Ok")), SMTP_REPLY_OK);
	assert_int_equal(smtp_reply_add(&r, S("250 Ok")), SMTP_REPLY_BAD);
	assert_true(same(buf_view(&r.octets), S("250 Ok\r\n")));
	smtp_reply_free(&r);
	assert_int_equal(smtp_reply_add(&r, S("354 Go")), SMTP_REPLY_OK);
	assert_int_equal(r.code, 354);
	smtp_reply_free(&r);
}

static void
test_ceilings(void **state)
{
	static char line[1024] = "250-";
	struct smtp_reply r;
	size_t i;

	(void)state;
	smtp_reply_init(&r);
	for (i = 0; i < SMTP_REPLY_LINES_MAX; i++)
		assert_int_equal(
		    smtp_reply_add(&r, S("250-a")), SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_add(&r, S("250 a")), SMTP_REPLY_BAD);
	smtp_reply_free(&r);

	memset(line + 4, 'x', sizeof(line) - 4);
	for (i = 0; i < SMTP_REPLY_MAX / sizeof(line); i++)
		assert_int_equal(
		    smtp_reply_add(&r, (struct text){ line, sizeof(line) - 2 }),
		    SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_add(&r, S("250")), SMTP_REPLY_BAD);
	assert_int_equal(buf_view(&r.octets).len, SMTP_REPLY_MAX);
	smtp_reply_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_collect),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_ceilings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
