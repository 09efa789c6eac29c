/* SPDX-License-Identifier: ISC */
/*
 * test_exchange: whole exchanges of SASL PLAIN and LOGIN: mechanism, initial
 * response, the client's lines, and what comes of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "exchange.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define NAME "VXNlcm5hbWU6"
#define PASSWORD "UGFzc3dvcmQ6"

static const struct {
	const char *mechanism;
	const char *initial;       /* NULL: none */
	const char *lines[2];      /* up to NULL */
	const char *challenges[2]; /* sent before each of lines */
	enum exchange_result result;
	const char *who; /* authz/authn/password, or NULL */
} cases[] = {
	/* PLAIN. */
	{ "PLAIN", "AGpvZQBzZWNyZXQ=", { 0 }, { 0 }, EXCHANGE_OK,
	    "/joe/secret" },
	{ "plain", NULL, { "AGpvZQBzZWNyZXQ=" }, { "" }, EXCHANGE_OK,
	    "/joe/secret" },
	{ "PLAIN", "Ym9zcwBqb2UAc2VjcmV0", { 0 }, { 0 }, EXCHANGE_OK,
	    "boss/joe/secret" },
	{ "PLAIN", "AGogw7YAIHDDtiA=", { 0 }, { 0 }, EXCHANGE_OK,
	    "/j \xc3\xb6/ p\xc3\xb6 " },
	/* A part is missing, or there is one too many (a NUL in one). */
	{ "PLAIN", "=", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", NULL, { "" }, { "" }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "am9l", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "am9lAHNlY3JldA==", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "AGpvZQBzZWMAcmV0", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "AGpvZQBzZWNyZXQA", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	/* No password, no name, a line end in one. */
	{ "PLAIN", "AGpvZQA=", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "AABzZWNyZXQ=", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "AAAA", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "AGpvZQBzZWMNCnJldA==", { 0 }, { 0 }, EXCHANGE_REFUSED,
	    NULL },
	{ "PLAIN", "AGpvCmUAc2VjcmV0", { 0 }, { 0 }, EXCHANGE_REFUSED, NULL },
	{ "PLAIN", "Ym8NcwBqb2UAc2VjcmV0", { 0 }, { 0 }, EXCHANGE_REFUSED,
	    NULL },
	/* No base64. */
	{ "PLAIN", "AGpvZQBzZWNyZXQ", { 0 }, { 0 }, EXCHANGE_BAD, NULL },
	{ "PLAIN", "AGpv ZQBzZWNyZXQ=", { 0 }, { 0 }, EXCHANGE_BAD, NULL },
	{ "PLAIN", NULL, { "AGpvZQBzZWNyZXQ= " }, { "" }, EXCHANGE_BAD, NULL },
	{ "PLAIN", NULL, { " " }, { "" }, EXCHANGE_BAD, NULL },
	{ "PLAIN", "==", { 0 }, { 0 }, EXCHANGE_BAD, NULL },
	/* "=" is for initial responses, "*" for lines. */
	{ "PLAIN", NULL, { "=" }, { "" }, EXCHANGE_BAD, NULL },
	{ "PLAIN", "*", { 0 }, { 0 }, EXCHANGE_BAD, NULL },
	{ "PLAIN", NULL, { "**" }, { "" }, EXCHANGE_BAD, NULL },
	{ "PLAIN", NULL, { "*" }, { "" }, EXCHANGE_CANCELLED, NULL },

	/* LOGIN. */
	{ "LOGIN", NULL, { "am9l", "c2VjcmV0" }, { NAME, PASSWORD },
	    EXCHANGE_OK, "/joe/secret" },
	{ "Login", "am9l", { "c2VjcmV0" }, { PASSWORD }, EXCHANGE_OK,
	    "/joe/secret" },
	{ "LOGIN", "aiDDtg==", { "IHDDtiA=" }, { PASSWORD }, EXCHANGE_OK,
	    "/j \xc3\xb6/ p\xc3\xb6 " },
	{ "LOGIN", NULL, { "*" }, { NAME }, EXCHANGE_CANCELLED, NULL },
	{ "LOGIN", "am9l", { "*" }, { PASSWORD }, EXCHANGE_CANCELLED, NULL },
	{ "LOGIN", NULL, { "!" }, { NAME }, EXCHANGE_BAD, NULL },
	{ "LOGIN", "am9l", { "!" }, { PASSWORD }, EXCHANGE_BAD, NULL },
	{ "LOGIN", NULL, { "agBl" }, { NAME }, EXCHANGE_REFUSED, NULL },
	{ "LOGIN", "am9l", { "agBl" }, { PASSWORD }, EXCHANGE_REFUSED, NULL },
	{ "LOGIN", "am9l", { "" }, { PASSWORD }, EXCHANGE_REFUSED, NULL },
	{ "LOGIN", "=", { "c2VjcmV0" }, { PASSWORD }, EXCHANGE_REFUSED, NULL },
	{ "LOGIN", "agpl", { "c2VjcmV0" }, { PASSWORD }, EXCHANGE_REFUSED,
	    NULL },
	{ "LOGIN", "am9l", { "cA1w" }, { PASSWORD }, EXCHANGE_REFUSED, NULL },
};

static void
assert_over(const struct exchange *e)
{
	assert_int_equal(e->stage, EXCHANGE_NONE);
	assert_null(e->name);
}

/* Say what case i says; *c is what comes of it. */
static enum exchange_result
run(struct exchange *e, size_t i, struct credentials *c)
{
	enum exchange_result r = EXCHANGE_MORE;
	size_t j;

	assert_true(exchange_begin(e, text_of(cases[i].mechanism)));
	if (cases[i].initial != NULL)
		r = exchange_initial(e, text_of(cases[i].initial), c);
	for (j = 0; j < 2 && cases[i].lines[j] != NULL; j++) {
		assert_int_equal(r, EXCHANGE_MORE);
		assert_string_equal(
		    exchange_challenge(e), cases[i].challenges[j]);
		r = exchange_answer(e, text_of(cases[i].lines[j]), c);
	}
	return r;
}

static void
test_cases(void **state)
{
	struct exchange e = { .stage = EXCHANGE_NONE };
	struct credentials c;
	enum exchange_result r;
	char who[sizeof(c)];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		/* Whatever is left of others does not count. */
		memset(&c, 'x', sizeof(c));
		r = run(&e, i, &c);
		if (r != cases[i].result)
			fail_msg("case %zu: result %d", i, (int)r);
		assert_over(&e);
		if (r != EXCHANGE_OK)
			continue;
		(void)snprintf(
		    who, sizeof(who), "%s/%s/%s", c.authz, c.authn, c.password);
		assert_string_equal(who, cases[i].who);
	}
}

static void
test_mechanisms(void **state)
{
	static const char *const others[] = { "", "PLAI", "PLAINS", "LOGIN ",
		"CRAM-MD5", "SCRAM-SHA-256", "EXTERNAL" };
	struct exchange e = { .stage = EXCHANGE_NONE };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(others); i++) {
		assert_false(exchange_begin(&e, text_of(others[i])));
		assert_over(&e);
	}
}

/* TLS or the end of the session comes in the middle. */
static void
test_end(void **state)
{
	struct exchange e = { .stage = EXCHANGE_NONE };
	struct credentials c;

	(void)state;
	exchange_end(&e);
	assert_over(&e);
	assert_true(exchange_begin(&e, TEXT_LIT("PLAIN")));
	exchange_end(&e);
	assert_over(&e);
	assert_true(exchange_begin(&e, TEXT_LIT("LOGIN")));
	assert_int_equal(
	    exchange_answer(&e, TEXT_LIT("am9l"), &c), EXCHANGE_MORE);
	assert_string_equal(e.name, "joe");
	exchange_end(&e);
	assert_over(&e);
	/* What is said to no exchange is nobody's. */
	assert_int_equal(
	    exchange_answer(&e, TEXT_LIT("am9l"), &c), EXCHANGE_REFUSED);
}

/* How long a name and a password may be; what a line may hold. */
static void
test_long(void **state)
{
	static const struct {
		const char *mechanism;
		size_t name, password;
		enum exchange_result name_result, result;
	} longs[] = {
		{ "PLAIN", 1024, 1024, EXCHANGE_MORE, EXCHANGE_OK },
		{ "PLAIN", 1025, 1024, EXCHANGE_MORE, EXCHANGE_REFUSED },
		{ "PLAIN", 1024, 1025, EXCHANGE_MORE, EXCHANGE_REFUSED },
		{ "PLAIN", 6142, 6142, EXCHANGE_MORE, EXCHANGE_REFUSED },
		{ "LOGIN", 1024, 1024, EXCHANGE_MORE, EXCHANGE_OK },
		{ "LOGIN", 1025, 1024, EXCHANGE_REFUSED, EXCHANGE_REFUSED },
		{ "LOGIN", 1024, 1025, EXCHANGE_MORE, EXCHANGE_REFUSED },
	};
	static char octets[EXCHANGE_LINE_MAX], code[EXCHANGE_LINE_MAX + 1];
	struct exchange e = { .stage = EXCHANGE_NONE };
	struct credentials c;
	enum exchange_result r;
	size_t i, len;

	(void)state;
	for (i = 0; i < NITEMS(longs); i++) {
		assert_true(exchange_begin(&e, text_of(longs[i].mechanism)));
		memset(octets, 'x', sizeof(octets));
		len = longs[i].password;
		if (e.stage == EXCHANGE_PLAIN) {
			octets[0] = '\0';
			octets[longs[i].name + 1] = '\0';
			len += longs[i].name + 2;
		} else {
			assert_int_equal(base64_encode(octets, longs[i].name,
			                     code, sizeof(code)),
			    0);
			r = exchange_answer(&e, text_of(code), &c);
			assert_int_equal(r, longs[i].name_result);
			if (r != EXCHANGE_MORE)
				continue;
		}
		assert_int_equal(
		    base64_encode(octets, len, code, sizeof(code)), 0);
		assert_int_equal(
		    exchange_answer(&e, text_of(code), &c), longs[i].result);
		assert_over(&e);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
