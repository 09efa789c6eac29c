/* SPDX-License-Identifier: ISC */
/*
 * Text as a JSON string: ASCII whatever is in it, and what is no UTF-8 does
 * not make it another string's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

#define CASE(in, out)                                                          \
	{                                                                      \
		{ in, sizeof(in) - 1 }, out                                    \
	}

static const struct {
	struct text in;
	const char *out;
} cases[] = {
	CASE("", "\"\""),
	CASE("alice@example.org", "\"alice@example.org\""),
	CASE("a\"b\\c/d", "\"a\\\"b\\\\c/d\""),
	CASE("\0\x01\x1f \x7f~", "\"\\u0000\\u0001\\u001f \\u007f~\""),
	CASE("a\r\n\t\x1b[31m", "\"a\\u000d\\u000a\\u0009\\u001b[31m\""),
	/* one, two, three, four octets */
	CASE("\xc3\xbc", "\"\\u00fc\""),
	CASE("\xe2\x82\xac", "\"\\u20ac\""),
	CASE("\xe2\x80\xae", "\"\\u202e\""), /* right to left */
	CASE("\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\""),
	CASE("\xf4\x8f\xbf\xbf", "\"\\udbff\\udfff\""),
	CASE("\xc2\x80", "\"\\u0080\""),
	CASE("\xdf\xbf", "\"\\u07ff\""),
	CASE("\xe0\xa0\x80", "\"\\u0800\""),
	CASE("\xef\xbf\xbf", "\"\\uffff\""),
	CASE("\xf0\x90\x80\x80", "\"\\ud800\\udc00\""),
	/* none: too long, surrogates, beyond Unicode, cut off, alone */
	CASE("\xc0\xaf", "\"\\ufffd\\ufffd\""),
	CASE("\xc1\xbf", "\"\\ufffd\\ufffd\""),
	CASE("\xe0\x9f\xbf", "\"\\ufffd\\ufffd\\ufffd\""),
	CASE("\xf0\x8f\xbf\xbf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""),
	CASE("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""),
	CASE("\xed\xbf\xbf", "\"\\ufffd\\ufffd\\ufffd\""),
	CASE("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""),
	CASE("\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""),
	CASE("\xff\xfe", "\"\\ufffd\\ufffd\""),
	CASE("\x80", "\"\\ufffd\""),
	CASE("\xe2\x82", "\"\\ufffd\\ufffd\""),
	CASE("\xf0\x9f\x98", "\"\\ufffd\\ufffd\\ufffd\""),
	CASE("\xc3\"", "\"\\ufffd\\\"\""), /* it eats no quote */
	CASE("\xe2\x82\"", "\"\\ufffd\\ufffd\\\"\""),
};

static void
test_cases(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 256);
		assert_int_equal(json_put(&b, cases[i].in), 0);
		if (!text_eq(buf_view(&b), cases[i].out))
			fail_msg("%zu: %.*s, not %s", i, TEXT_ARG(buf_view(&b)),
			    cases[i].out);
		buf_free(&b);
	}
}

static void
test_no_room(void **state)
{
	struct buf b;
	size_t max;

	(void)state;
	for (max = 1; max < sizeof("\"a\\u00fcb\"") - 1; max++) {
		buf_init(&b, max);
		assert_int_equal(json_put(&b,
		                     TEXT_LIT("a\xc3\xbc"
		                              "b")),
		    -1);
		buf_free(&b);
	}
	buf_init(&b, max);
	assert_int_equal(json_put(&b,
	                     TEXT_LIT("a\xc3\xbc"
	                              "b")),
	    0);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
