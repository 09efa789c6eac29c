/* SPDX-License-Identifier: ISC */
/* test_text: views, their comparison, and what reaches a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "text.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static void
test_compare(void **state)
{
	static const struct {
		struct text a;
		const char *b;
		bool eq, caseeq, prefix;
	} cases[] = {
		{ TEXT_LIT("LOGIN"), "LOGIN", true, true, true },
		{ TEXT_LIT("login"), "LOGIN", false, true, true },
		{ TEXT_LIT("LOGIN"), "LOGI", false, false, true },
		{ TEXT_LIT("LOGI"), "LOGIN", false, false, false },
		{ TEXT_LIT("LOGIN\0"), "LOGIN", false, false, true },
		/* The neighbours of the letters have no case. */
		{ TEXT_LIT("["), "{", false, false, false },
		{ TEXT_LIT("@"), "`", false, false, false },
		/* Not a letter in any locale of ours: no case. */
		{ TEXT_LIT("\xe4"), "\xc4", false, false, false },
		{ TEXT_LIT("x"), "", false, false, true },
		{ { NULL, 0 }, "", true, true, true },
		{ { NULL, 0 }, "x", false, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(text_eq(cases[i].a, cases[i].b), cases[i].eq);
		assert_int_equal(
		    text_caseeq(cases[i].a, cases[i].b), cases[i].caseeq);
		assert_int_equal(
		    text_caseprefix(cases[i].a, cases[i].b), cases[i].prefix);
	}
	assert_true(text_casesame(TEXT_LIT("aZ"), TEXT_LIT("Az")));
	assert_false(text_casesame(TEXT_LIT("aZ"), TEXT_LIT("Ay")));
	assert_true(text_casesame(TEXT_NONE, text_of("")));
	assert_true(text_has(TEXT_LIT("a\0b"), '\0'));
	assert_false(text_has(TEXT_LIT("ab"), '\0'));
	assert_false(text_has(TEXT_NONE, '\0'));
	assert_null(text_of(NULL).p);
	assert_int_equal(text_of("abc").len, 3);
}

static void
test_trim(void **state)
{
	static const struct {
		struct text in;
		const char *out;
	} cases[] = {
		{ TEXT_LIT(" \ta b\t "), "a b" },
		{ TEXT_LIT("a"), "a" },
		{ TEXT_LIT("\ra\n"), "\ra\n" },
		{ TEXT_LIT("  "), "" },
		{ { NULL, 0 }, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		assert_true(text_eq(text_trim(cases[i].in), cases[i].out));
	assert_true(text_eq(text_skip(TEXT_LIT("abc"), 2), "c"));
	assert_true(text_eq(text_skip(TEXT_LIT("abc"), 3), ""));
}

static void
test_split(void **state)
{
	static const struct {
		struct text in;
		const char *words[4];
	} cases[] = {
		{ TEXT_LIT("a,bc,d"), { "a", "bc", "d" } },
		{ TEXT_LIT("a"), { "a" } },
		{ TEXT_LIT("a,"), { "a", "" } },
		{ TEXT_LIT(",,"), { "", "", "" } },
		{ TEXT_LIT(""), { "" } },
		{ { NULL, 0 }, { NULL } },
	};
	struct text rest, word;
	size_t i, j;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		rest = cases[i].in;
		for (j = 0; cases[i].words[j] != NULL; j++) {
			assert_true(text_split(&rest, ',', &word));
			assert_true(text_eq(word, cases[i].words[j]));
		}
		assert_false(text_split(&rest, ',', &word));
		assert_null(rest.p);
	}
}

static void
test_word(void **state)
{
	static const struct {
		struct text in;
		const char *words[4];
	} cases[] = {
		{ TEXT_LIT("a bc d"), { "a", "bc", "d" } },
		{ TEXT_LIT(" \t a\t\tb "), { "a", "b" } },
		{ TEXT_LIT("a\nb"), { "a\nb" } },
		{ TEXT_LIT("  "), { NULL } },
		{ TEXT_LIT(""), { NULL } },
		{ { NULL, 0 }, { NULL } },
	};
	struct text rest, word;
	size_t i, j;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		rest = cases[i].in;
		for (j = 0; cases[i].words[j] != NULL; j++) {
			assert_true(text_word(&rest, &word));
			assert_true(text_eq(word, cases[i].words[j]));
		}
		assert_false(text_word(&rest, &word));
	}
}

static void
test_u64(void **state)
{
	static const struct {
		struct text in;
		uint64_t max;
		bool ok;
		uint64_t out;
	} cases[] = {
		{ TEXT_LIT("0"), 0, true, 0 },
		{ TEXT_LIT("007"), 7, true, 7 },
		{ TEXT_LIT("65535"), 65535, true, 65535 },
		{ TEXT_LIT("65536"), 65535, false, 0 },
		{ TEXT_LIT("9"), 8, false, 0 },
		{ TEXT_LIT("18446744073709551615"), UINT64_MAX, true,
		    UINT64_MAX },
		{ TEXT_LIT("18446744073709551616"), UINT64_MAX, false, 0 },
		{ TEXT_LIT("99999999999999999999"), UINT64_MAX, false, 0 },
		{ TEXT_LIT(""), 9, false, 0 },
		{ TEXT_LIT("-1"), 9, false, 0 },
		{ TEXT_LIT("+1"), 9, false, 0 },
		{ TEXT_LIT(" 1"), 9, false, 0 },
		{ TEXT_LIT("1\0"), 99, false, 0 },
		{ TEXT_LIT("0x1"), 99, false, 0 },
	};
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		v = 42;
		assert_int_equal(
		    text_u64(cases[i].in, cases[i].max, &v), cases[i].ok);
		assert_true(v == (cases[i].ok ? cases[i].out : 42));
	}
}

static void
test_decimal(void **state)
{
	static const struct {
		uint64_t n;
		unsigned int digits;
		const char *out;
	} cases[] = {
		{ 0, 0, "0" },
		{ 0, 1, "0" },
		{ 7, 2, "07" },
		{ 60, 2, "60" },
		{ 1234, 2, "1234" },
		{ UINT64_MAX, 1, "18446744073709551615" },
		{ 1, 99, "00000000000000000001" },
	};
	char s[TEXT_DECIMAL];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		assert_true(
		    text_eq(text_decimal(cases[i].n, cases[i].digits, s),
		        cases[i].out));
}

static void
test_printable(void **state)
{
	static const struct {
		struct text in;
		size_t size;
		const char *out;
	} cases[] = {
		{ TEXT_LIT("user@example.org ~"), 64, "user@example.org ~" },
		{ TEXT_LIT("a\r\nb\tc"), 64, "a\\r\\nb\\tc" },
		{ TEXT_LIT("\"a\\"), 64, "\\\"a\\\\" },
		{ TEXT_LIT("\0a\0001"), 64, "\\0a\\0001" },
		{ TEXT_LIT("\x1b\x7f\x80\xff"), 64, "\\033\\177\\200\\377" },
		{ TEXT_LIT(""), 8, "" },
		{ { NULL, 0 }, 8, "" },
		{ TEXT_LIT("1234567"), 8, "1234567" },
		{ TEXT_LIT("12345678"), 8, "1234..." },
		/* An escape is never cut in two. */
		{ TEXT_LIT("123\xff"), 8, "123\\377" },
		{ TEXT_LIT("1234\xff"), 8, "1234..." },
		{ TEXT_LIT("12\xff\xff"), 8, "12..." },
		{ TEXT_LIT("\n\n\n\n"), 8, "\\n\\n..." },
	};
	char dst[64];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		memset(dst, 'x', sizeof(dst));
		assert_ptr_equal(
		    text_printable(cases[i].in, dst, cases[i].size), dst);
		assert_string_equal(dst, cases[i].out);
		if (cases[i].size < sizeof(dst))
			assert_int_equal(dst[cases[i].size], 'x');
	}
}

static void
test_code(void **state)
{
	static const struct {
		struct text in;
		struct text code; /* p NULL: none */
		struct text rest;
	} cases[] = {
		{ TEXT_LIT("[AUTH] wrong"), TEXT_LIT("AUTH"),
		    TEXT_LIT("wrong") },
		{ TEXT_LIT("[SYS/TEMP]wrong"), TEXT_LIT("SYS/TEMP"),
		    TEXT_LIT("wrong") },
		{ TEXT_LIT("[X y=\"z\"] \t a ] b "), TEXT_LIT("X y=\"z\""),
		    TEXT_LIT("a ] b") },
		{ TEXT_LIT("[[A] b"), TEXT_LIT("[A"), TEXT_LIT("b") },
		{ TEXT_LIT("[AUTH]"), TEXT_LIT("AUTH"), TEXT_LIT("") },
		{ TEXT_LIT("[AUTH] "), TEXT_LIT("AUTH"), TEXT_LIT("") },
		{ TEXT_LIT("[] wrong"), TEXT_LIT(""), TEXT_LIT("wrong") },
		{ TEXT_LIT("[\xff\0] \0"), TEXT_LIT("\xff\0"), TEXT_LIT("\0") },
		{ TEXT_LIT("[AUTH wrong"), { NULL, 0 },
		    TEXT_LIT("[AUTH wrong") },
		{ TEXT_LIT(" [AUTH] wrong"), { NULL, 0 },
		    TEXT_LIT(" [AUTH] wrong") },
		{ TEXT_LIT("wrong [AUTH]"), { NULL, 0 },
		    TEXT_LIT("wrong [AUTH]") },
		{ TEXT_LIT("] wrong"), { NULL, 0 }, TEXT_LIT("] wrong") },
		{ TEXT_LIT("["), { NULL, 0 }, TEXT_LIT("[") },
		{ TEXT_LIT(""), { NULL, 0 }, TEXT_LIT("") },
		{ { NULL, 0 }, { NULL, 0 }, TEXT_LIT("") },
	};
	struct text rest, code;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		rest = cases[i].in;
		code = text_code(&rest);
		assert_int_equal(code.p != NULL, cases[i].code.p != NULL);
		assert_true(text_casesame(code, cases[i].code));
		assert_true(text_casesame(rest, cases[i].rest));
	}
}

static void
test_for_people(void **state)
{
	static const struct {
		struct text in;
		size_t size;
		const char *out;
	} cases[] = {
		{ TEXT_LIT(" Mailbox ~\"\\% "), 64, " Mailbox ~\"\\% " },
		{ TEXT_LIT("a\r\nb\tc\0d"), 64, "a??b?c?d" },
		{ TEXT_LIT("\x1b[1m\x7f\x1f"), 64, "?[1m??" },
		{ TEXT_LIT("\xc3\xb6\x80\xff"), 64, "????" },
		{ TEXT_LIT(""), 64, "" },
		{ { NULL, 0 }, 64, "" },
		{ TEXT_LIT("1234567"), 8, "1234567" },
		{ TEXT_LIT("12345678"), 8, "1234567" },
		{ TEXT_LIT("123456\n8"), 8, "123456?" },
		{ TEXT_LIT("x"), 1, "" },
	};
	char dst[64];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		memset(dst, 'x', sizeof(dst));
		text_for_people(cases[i].in, dst, cases[i].size);
		assert_string_equal(dst, cases[i].out);
		if (cases[i].size < sizeof(dst))
			assert_int_equal(dst[cases[i].size], 'x');
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_word),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
