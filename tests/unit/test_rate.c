/* SPDX-License-Identifier: ISC */
/* rate: who may do how much within an hour, on a clock that we tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rate.h"

static const struct step {
	const char *user;
	time_t at;
	bool allowed;
} steps[] = {
	/* two each, of two users at a time */
	{ "alice", 0, true },
	{ "alice", 10, true },
	{ "alice", 20, false },
	{ "ALICE", 30, false },
	{ "bob", 40, true },
	{ "alic", 40, true }, /* alice began first, and is forgotten */
	{ "bob", 50, true },
	{ "bob", 60, false },
	{ "bob", 40 + RATE_SECONDS - 1, false },
	{ "bob", 40 + RATE_SECONDS, true },
	{ "bob", 41 + RATE_SECONDS, true },
	{ "bob", 42 + RATE_SECONDS, false },
	{ "alice", 43 + RATE_SECONDS, true },
	{ "", 44 + RATE_SECONDS, true }, /* in bob's place */
	{ "bob", 45 + RATE_SECONDS, true },
};

static void
test_steps(void **state)
{
	struct rate *r = rate_new(2, 2);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (rate_take(r, text_of(steps[i].user), steps[i].at) !=
		    steps[i].allowed)
			fail_msg("step %zu", i);
	rate_free(&r);
	assert_null(r);
}

static void
test_no_limit(void **state)
{
	struct rate *r = rate_new(0, 1);
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_true(rate_take(r, TEXT_LIT("alice"), 0));
	rate_free(&r);
	rate_free(&r);
}

static void
test_long_names(void **state)
{
	struct rate *r = rate_new(1, 2);
	char name[2 * RATE_NAME_MAX];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_true(rate_take(r, (struct text){ name, sizeof(name) }, 0));
	assert_false(rate_take(r, (struct text){ name, RATE_NAME_MAX }, 0));
	assert_true(rate_take(r, (struct text){ name, RATE_NAME_MAX - 1 }, 0));
	rate_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
