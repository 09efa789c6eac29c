/* SPDX-License-Identifier: ISC */
/* rate: who may do how much within an hour, on a clock that we tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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
	struct rate *r = rate_new(2, 2, NULL);
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
	struct rate *r = rate_new(0, 1, NULL);
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
	struct rate *r = rate_new(1, 2, NULL);
	char name[2 * RATE_NAME_MAX];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_true(rate_take(r, (struct text){ name, sizeof(name) }, 0));
	assert_false(rate_take(r, (struct text){ name, RATE_NAME_MAX }, 0));
	assert_true(rate_take(r, (struct text){ name, RATE_NAME_MAX - 1 }, 0));
	rate_free(&r);
}

/* Another process's is the same, at once and when the first has gone. */
static void
test_shared(void **state)
{
	void *mem = calloc(1, rate_size(64));
	struct rate *a = rate_new(2, 64, mem), *b = rate_new(3, 64, mem);

	(void)state;
	assert_true(rate_take(a, TEXT_LIT("alice"), 100));
	assert_true(rate_take(b, TEXT_LIT("alice"), 101));
	assert_false(rate_take(a, TEXT_LIT("alice"), 102));
	rate_free(&a);
	assert_true(rate_take(b, TEXT_LIT("alice"), 103)); /* his limit is 3 */
	assert_false(rate_take(b, TEXT_LIT("alice"), 104));
	assert_true(rate_take(b, TEXT_LIT("bob"), 104));
	rate_free(&b);
	a = rate_new(2, 64, mem);
	assert_false(rate_take(a, TEXT_LIT("alice"), 105));
	assert_true(rate_take(a, TEXT_LIT("alice"), 100 + RATE_SECONDS));
	rate_free(&a);
	free(mem);
}

/* Many users at a time: few of them meet in one place. */
static void
test_many(void **state)
{
	struct rate *r = rate_new(1, 4096, NULL);
	unsigned int i, forgotten = 0;
	char name[16];

	(void)state;
	for (i = 0; i < 1024; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		assert_true(rate_take(r, text_of(name), 1));
	}
	for (i = 0; i < 1024; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		forgotten += rate_take(r, text_of(name), 2);
	}
	assert_in_range(forgotten, 0, 10);
	rate_free(&r);
}

/* Whatever stands in the memory, it is a count or none. */
static void
test_spoilt(void **state)
{
	unsigned char *mem = calloc(1, rate_size(64));
	struct rate *r = rate_new(2, 64, mem);
	unsigned int i;

	(void)state;
	for (i = 0; i < 256; i++) {
		memset(mem, (int)i, rate_size(64));
		(void)rate_take(r, TEXT_LIT("alice"), 1000);
		(void)rate_take(r, TEXT_LIT("alice"), 5000);
		assert_true(rate_take(r, TEXT_LIT("alice"), 9000));
	}
	rate_free(&r);
	free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
