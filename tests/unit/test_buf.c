/* SPDX-License-Identifier: ISC */
/* test_buf: order, the ceiling, and that nothing is left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "buf.h"

#define MAX 1000

static void
test_order(void **state)
{
	struct buf b;
	struct text view;
	unsigned char c;
	size_t in = 0, out = 0, i, n;

	(void)state;
	buf_init(&b, MAX);
	assert_null(b.data);
	assert_null(buf_view(&b).p);
	/* Three in, two out, until it is full; then all out, over and over. */
	while (in < 20 * MAX) {
		n = buf_room(&b) >= 3 ? 3 : buf_room(&b);
		for (i = 0; i < n; i++) {
			c = (unsigned char)(in++ % 251);
			assert_int_equal(buf_append(&b, &c, 1), 0);
		}
		n = n == 3 ? 2 : b.len;
		view = buf_view(&b);
		for (i = 0; i < n; i++)
			assert_int_equal((unsigned char)view.p[i], out++ % 251);
		buf_consume(&b, n);
		assert_int_equal(b.len, in - out);
		assert_true(b.size <= MAX && b.start + b.len <= b.size);
	}
	buf_free(&b);
	assert_null(b.data);
	assert_int_equal(b.max, MAX);
}

static void
test_ceiling(void **state)
{
	static const struct {
		size_t held, more;
		int ret;
	} cases[] = {
		{ 0, 0, 0 },
		{ 0, MAX, 0 },
		{ 0, MAX + 1, -1 },
		{ 1, MAX - 1, 0 },
		{ 1, MAX, -1 },
		{ MAX, 0, 0 },
		{ MAX, 1, -1 },
		{ MAX, SIZE_MAX, -1 }, /* no sum wraps */
		{ 1, SIZE_MAX, -1 },
	};
	static const char octets[MAX + 1];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, MAX);
		assert_int_equal(buf_append(&b, octets, cases[i].held), 0);
		errno = 0;
		assert_int_equal(
		    buf_append(&b, octets, cases[i].more), cases[i].ret);
		assert_int_equal(errno, cases[i].ret == 0 ? 0 : ENOBUFS);
		assert_int_equal(b.len,
		    cases[i].held + (cases[i].ret == 0 ? cases[i].more : 0));
		assert_int_equal(buf_room(&b), MAX - b.len);
		buf_free(&b);
	}
}

static void
test_printf(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_printf(&b, "%s %d", "ab", 12), 0);
	assert_true(text_eq(buf_view(&b), "ab 12"));
	/* Up to the last octet: the NUL of printf(3) does not count. */
	assert_int_equal(buf_printf(&b, "%s", "345"), 0);
	assert_true(text_eq(buf_view(&b), "ab 12345"));
	errno = 0;
	assert_int_equal(buf_printf(&b, "%c", 'x'), -1);
	assert_int_equal(errno, ENOBUFS);
	assert_true(text_eq(buf_view(&b), "ab 12345"));
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	buf_free(&b);
}

static size_t
count(const struct buf *b, char c)
{
	size_t i, n = 0;

	for (i = 0; i < b->size; i++)
		n += b->data[i] == c;
	return n;
}

static void
test_wiped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, MAX);
	assert_int_equal(buf_append(&b, "s", 1), 0);
	while (b.len < b.size)
		assert_int_equal(buf_append(&b, "s", 1), 0);
	buf_consume(&b, 2);
	assert_int_equal(count(&b, 's'), b.size - 2);
	/* What is held moves to the front here: no copy may stay. */
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(b.start, 0);
	assert_int_equal(count(&b, 's'), b.size - 2);
	assert_int_equal(count(&b, '\0'), 1);
	buf_consume(&b, b.len);
	assert_int_equal(b.start, 0);
	assert_int_equal(count(&b, '\0'), b.size);
	buf_free(&b);
	assert_null(b.data);
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
