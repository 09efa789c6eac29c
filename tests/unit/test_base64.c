/* SPDX-License-Identifier: ISC */
/* test_base64: one content has one code (RFC 4648 3.5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base64.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

/* Both ways; RFC 4648 10 and some more. */
static void
test_pairs(void **state)
{
	static const struct {
		struct text plain, code;
	} cases[] = {
		{ TEXT_LIT(""), TEXT_LIT("") },
		{ TEXT_LIT("f"), TEXT_LIT("Zg==") },
		{ TEXT_LIT("fo"), TEXT_LIT("Zm8=") },
		{ TEXT_LIT("foo"), TEXT_LIT("Zm9v") },
		{ TEXT_LIT("foob"), TEXT_LIT("Zm9vYg==") },
		{ TEXT_LIT("fooba"), TEXT_LIT("Zm9vYmE=") },
		{ TEXT_LIT("foobar"), TEXT_LIT("Zm9vYmFy") },
		{ TEXT_LIT("\0user\0pass"), TEXT_LIT("AHVzZXIAcGFzcw==") },
		{ TEXT_LIT("\xfb\xff\xbf"), TEXT_LIT("+/+/") },
		{ TEXT_LIT("\xff\xff\xff\0\0\0"), TEXT_LIT("////AAAA") },
	};
	char out[32];
	struct text plain, code;
	size_t i, len;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		plain = cases[i].plain;
		code = cases[i].code;
		assert_int_equal(BASE64_LEN(plain.len), code.len);

		memset(out, 'x', sizeof(out));
		assert_int_equal(
		    base64_encode(plain.p, plain.len, out, code.len + 1), 0);
		assert_memory_equal(out, code.p, code.len + 1);
		assert_int_equal(out[code.len + 1], 'x');
		assert_int_equal(
		    base64_encode(plain.p, plain.len, out, code.len), -1);

		memset(out, 'x', sizeof(out));
		assert_int_equal(base64_decode(code, out, plain.len, &len), 0);
		assert_int_equal(len, plain.len);
		assert_memory_equal(out, plain.p, plain.len);
		assert_int_equal(out[plain.len], 'x');
		if (plain.len > 0)
			assert_int_equal(
			    base64_decode(code, out, plain.len - 1, &len), -1);
	}
}

static void
test_refused(void **state)
{
	static const struct text cases[] = {
		TEXT_LIT("Z"),
		TEXT_LIT("Zg"),
		TEXT_LIT("Zg="),
		TEXT_LIT("Zm8"),
		TEXT_LIT("Zg==="),
		TEXT_LIT("Zg==Zg=="),
		TEXT_LIT("===="),
		TEXT_LIT("Z==="),
		TEXT_LIT("Z=g="),
		TEXT_LIT("Zg=g"),
		TEXT_LIT("=Zg="),
		TEXT_LIT("Zm9v===="),
		TEXT_LIT("Zm9v="),
		TEXT_LIT("="),
		/* Spare bits. */
		TEXT_LIT("Zh=="),
		TEXT_LIT("Zo=="),
		TEXT_LIT("Zm9="),
		TEXT_LIT("Zm+="),
		TEXT_LIT("Zn=="),
		/* Octets outside the alphabet. */
		TEXT_LIT("Zm9v\r\n\r\n"),
		TEXT_LIT("Zm 9"),
		TEXT_LIT("Zm9\0"),
		TEXT_LIT("Zm-_"),
		TEXT_LIT("Zm9\xf6"),
		TEXT_LIT("Zm9@"),
		TEXT_LIT("Zm9["),
		TEXT_LIT("Zm9`"),
		TEXT_LIT("Zm9{"),
		TEXT_LIT("*"),
		TEXT_LIT(":::;"),
	};
	unsigned char out[16];
	size_t i, j, len;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		memset(out, 0, sizeof(out));
		len = 42;
		assert_int_equal(
		    base64_decode(cases[i], out, sizeof(out), &len), -1);
		assert_int_equal(len, 42);
		/* Nothing of what was decoded before the fault stays. */
		for (j = 0; j < sizeof(out); j++)
			assert_int_equal(out[j], 0);
	}
}

/* Every group of two characters and "==" that is taken is what we write. */
static void
test_canonical(void **state)
{
	char code[5] = "xx==", again[5];
	unsigned char octet;
	unsigned int a, b, taken = 0;
	size_t len;

	(void)state;
	for (a = 0; a < 256; a++) {
		for (b = 0; b < 256; b++) {
			code[0] = (char)a;
			code[1] = (char)b;
			if (base64_decode((struct text){ code, 4 }, &octet, 1,
			        &len) == -1)
				continue;
			taken++;
			assert_int_equal(
			    base64_encode(&octet, 1, again, sizeof(again)), 0);
			assert_memory_equal(code, again, 5);
		}
	}
	assert_int_equal(taken, 256);
}

static void
test_bounds(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(base64_encode("", 0, out, 0), -1);
	assert_int_equal(base64_encode("", 0, out, 1), 0);
	assert_int_equal(base64_encode("x", SIZE_MAX, out, sizeof(out)), -1);
	assert_int_equal(
	    base64_encode("x", SIZE_MAX / 4 * 3, out, sizeof(out)), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
