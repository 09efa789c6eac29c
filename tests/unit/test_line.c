/* SPDX-License-Identifier: ISC */
/* test_line: lines whole and octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "line.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	struct text in;
	size_t max;
	enum line_result result;
	const char *line;
} cases[] = {
	{ TEXT_LIT("QUIT\r\n"), 64, LINE_OK, "QUIT" },
	{ TEXT_LIT("QUIT\r\nNOOP\n"), 64, LINE_OK, "QUIT" },
	{ TEXT_LIT("\r\n"), 64, LINE_OK, "" },
	{ TEXT_LIT("\r\n\n"), 64, LINE_OK, "" },
	{ TEXT_LIT("\xe4\x01 \r\n"), 64, LINE_OK, "\xe4\x01 " },
	{ TEXT_LIT(""), 64, LINE_WAIT, NULL },
	{ TEXT_LIT("QUIT"), 64, LINE_WAIT, NULL },
	{ TEXT_LIT("QUIT\r"), 64, LINE_WAIT, NULL },
	{ TEXT_LIT("\r"), 64, LINE_WAIT, NULL },
	{ TEXT_LIT("QUIT\n"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("\n"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("QU\rIT\r\n"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("QUIT\r\r\n"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("\r\r"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("QU\0IT"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("QUIT\0\r\n"), 64, LINE_BAD, NULL },
	{ TEXT_LIT("QUIT\r\0"), 64, LINE_BAD, NULL },
	/* CRLF counts. */
	{ TEXT_LIT("QUIT\r\n"), 6, LINE_OK, "QUIT" },
	{ TEXT_LIT("QUIT\r\n"), 5, LINE_TOO_LONG, NULL },
	{ TEXT_LIT("QUIT\r\n"), 4, LINE_TOO_LONG, NULL },
	{ TEXT_LIT("QUIT\r"), 6, LINE_WAIT, NULL },
	{ TEXT_LIT("QUIT"), 5, LINE_WAIT, NULL },
	{ TEXT_LIT("QUIT"), 4, LINE_TOO_LONG, NULL },
	/* What stands behind max is not looked at. */
	{ TEXT_LIT("QUIT\n"), 4, LINE_TOO_LONG, NULL },
	{ TEXT_LIT(""), 0, LINE_TOO_LONG, NULL },
};

static void
check(const struct buf *b, size_t from, size_t i)
{
	static const char untouched[] = "untouched";
	struct text line = TEXT_LIT(untouched);

	assert_int_equal(
	    line_peek_at(b, from, cases[i].max, &line), cases[i].result);
	if (cases[i].line != NULL)
		assert_true(text_eq(line, cases[i].line));
	else
		assert_ptr_equal(line.p, untouched);
}

static void
test_whole(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		buf_init(&b, 128);
		assert_int_equal(
		    buf_append(&b, cases[i].in.p, cases[i].in.len), 0);
		check(&b, 0, i);
		buf_free(&b);
	}
}

/* No octet may change a verdict that was given before it came. */
static void
test_octets(void **state)
{
	struct buf b;
	struct text line = TEXT_NONE;
	enum line_result r;
	size_t i, j;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		buf_init(&b, 128);
		r = line_peek(&b, cases[i].max, &line);
		for (j = 0; j < cases[i].in.len && r == LINE_WAIT; j++) {
			assert_int_equal(
			    buf_append(&b, cases[i].in.p + j, 1), 0);
			r = line_peek(&b, cases[i].max, &line);
		}
		assert_int_equal(r, cases[i].result);
		if (cases[i].line != NULL)
			assert_true(text_eq(line, cases[i].line));
		buf_free(&b);
	}
}

/* Behind other octets, which are not looked at. */
static void
test_at(void **state)
{
	static const char before[] = "\n\r\0";
	struct buf b;
	struct text line;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		buf_init(&b, 128);
		assert_int_equal(buf_append(&b, before, 3), 0);
		assert_int_equal(
		    buf_append(&b, cases[i].in.p, cases[i].in.len), 0);
		check(&b, 3, i);
		assert_int_equal(
		    line_peek_at(&b, b.len + 1, 64, &line), LINE_WAIT);
		buf_free(&b);
	}
}

/* 64 KiB that arrive octet by octet must not cost seconds. */
static void
test_slow_sender(void **state)
{
	const size_t max = 65536;
	struct timespec t;
	struct buf b;
	struct text line;
	size_t i;

	(void)state;
	buf_init(&b, max);
	for (i = 1; i < max; i++) {
		assert_int_equal(buf_append(&b, "x", 1), 0);
		if (line_peek(&b, max, &line) != LINE_WAIT)
			fail();
	}
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(line_peek(&b, max, &line), LINE_TOO_LONG);
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	assert_true(t.tv_sec < 5);
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_slow_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
