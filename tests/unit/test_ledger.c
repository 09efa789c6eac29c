/* SPDX-License-Identifier: ISC */
/*
 * ledger: counts that fade, who has to make room, a table that somebody
 * spoilt, and several processes that write at the same time and are killed.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"

#define NOW 1800000000U
#define ONE ((int)LEDGER_ONE)

static void *memory;
static struct ledger *l;

static int
setup(void **state)
{
	(void)state;
	memory = mmap(NULL, ledger_size(0), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	ledger_format(memory, 0);
	l = ledger_new(memory, ledger_size(0));
	return l != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	ledger_free(&l);
	return munmap(memory, ledger_size(0));
}

static struct addr
host(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(text_of(s), 0, &a), 0);
	return a;
}

static struct ledger_slot *
user(const char *name, uint32_t now)
{
	struct ledger_id id = ledger_id_user(l, text_of(name));

	return ledger_make(l, &id, now);
}

static void
test_who_is_who(void **state)
{
	static const struct {
		const char *a, *b;
		bool same_address, same_network;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", true, true },
		{ "192.0.2.1", "::ffff:192.0.2.1", true, true },
		{ "192.0.2.1", "192.0.2.254", false, true },
		{ "192.0.2.1", "192.0.3.1", false, false },
		{ "2001:db8::1", "2001:db8::2", false, true },
		{ "2001:db8::1", "2001:db8:0:0:ffff::1", false, true },
		{ "2001:db8::1", "2001:db8:0:1::1", false, false },
	};
	struct addr a, b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a = host(cases[i].a);
		b = host(cases[i].b);
		assert_int_equal(ledger_id_address(l, &a).key ==
		        ledger_id_address(l, &b).key,
		    cases[i].same_address);
		assert_int_equal(ledger_id_network(l, &a).key ==
		        ledger_id_network(l, &b).key,
		    cases[i].same_network);
		assert_int_equal(ledger_id_pair(l, &a, TEXT_LIT("x")).key ==
		        ledger_id_pair(l, &b, TEXT_LIT("x")).key,
		    cases[i].same_network);
	}
	assert_ptr_equal(user("Alice", NOW), user("aLICE", NOW));
	assert_ptr_not_equal(user("alice", NOW), user("alic", NOW));
	assert_true(ledger_id_pair(l, &a, TEXT_LIT("x")).key !=
	    ledger_id_pair(l, &a, TEXT_LIT("y")).key);
}

static void
test_levels_fade(void **state)
{
	struct ledger_slot *s = user("alice", NOW);
	unsigned int i;

	(void)state;
	ledger_raise(s, LEDGER_FAILED, 8 * ONE, NOW);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW), 8 * ONE);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW + 1800), 6 * ONE);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW + 3600), 4 * ONE);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW + 7200), 2 * ONE);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW + 40 * 3600), 0);
	/* To look at it often, and to count and take back, keeps nothing up. */
	for (i = 1; i <= 3600; i++) {
		ledger_raise(s, LEDGER_FAILED, ONE, NOW + i);
		ledger_raise(s, LEDGER_FAILED, -ONE, NOW + i);
	}
	assert_in_range(
	    ledger_level(s, LEDGER_FAILED, NOW + 3600), 3 * ONE, 5 * ONE);
	ledger_raise(s, LEDGER_FAILED, -100 * ONE, NOW + 3600);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW + 3600), 0);
	for (i = 0; i < 2000; i++)
		ledger_raise(s, LEDGER_FAILED, ONE, NOW);
	assert_int_equal(
	    ledger_level(s, LEDGER_FAILED, NOW), LEDGER_LEVEL_MAX * LEDGER_ONE);
}

static void
test_windows(void **state)
{
	struct ledger_slot *s = user("alice", NOW);

	(void)state;
	assert_true(ledger_take(s, LEDGER_MESSAGES, 2, 3600, NOW));
	assert_true(ledger_take(s, LEDGER_MESSAGES, 2, 3600, NOW + 10));
	assert_false(ledger_take(s, LEDGER_MESSAGES, 2, 3600, NOW + 3599));
	assert_int_equal(ledger_window(s, LEDGER_MESSAGES, 3600, NOW + 20), 2);
	assert_true(ledger_take(s, LEDGER_MESSAGES, 2, 3600, NOW + 3600));
	assert_int_equal(
	    ledger_window(s, LEDGER_MESSAGES, 3600, NOW + 3600), 1);
	ledger_count(s, LEDGER_HANDSHAKES, UINT32_MAX, 60, NOW);
	ledger_count(s, LEDGER_HANDSHAKES, 5, 60, NOW);
	assert_int_equal(
	    ledger_window(s, LEDGER_HANDSHAKES, 60, NOW), UINT32_MAX);
	assert_true(ledger_take(NULL, LEDGER_MESSAGES, 1, 60, NOW));
}

/* A clock that was ahead, and is put right. */
static void
test_clock_jumps(void **state)
{
	struct ledger_slot *s = user("alice", NOW);

	(void)state;
	ledger_raise(s, LEDGER_FAILED, 5 * ONE, NOW);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW - 60), 5 * ONE);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW - 86400), 0);
	ledger_raise(s, LEDGER_FAILED, ONE, NOW - 86400);
	assert_int_equal(ledger_level(s, LEDGER_FAILED, NOW - 86400), ONE);
	ledger_set_good(s, NOW);
	assert_true(ledger_is_good(s, NOW + 29 * 86400));
	assert_false(ledger_is_good(s, NOW + 31 * 86400));
	assert_false(ledger_is_good(s, NOW - 86400));
	assert_true(ledger_take(s, LEDGER_MESSAGES, 1, 3600, NOW));
	assert_true(ledger_take(s, LEDGER_MESSAGES, 1, 3600, NOW - 10));
	assert_false(ledger_take(s, LEDGER_MESSAGES, 1, 3600, NOW - 10));
}

static void
test_last_four(void **state)
{
	struct ledger_slot *s = user("alice", NOW);
	uint16_t i;

	(void)state;
	for (i = 1; i <= 4; i++)
		assert_false(ledger_note(s, LEDGER_PROOFS, i));
	for (i = 1; i <= 4; i++)
		assert_true(ledger_note(s, LEDGER_PROOFS, i));
	assert_false(ledger_note(s, LEDGER_PROOFS, 5));
	assert_false(ledger_has(s, LEDGER_PROOFS, 1));
	assert_true(ledger_has(s, LEDGER_PROOFS, 2));
	assert_false(ledger_note(s, LEDGER_PROOFS, 0));
	assert_false(ledger_note(s, LEDGER_PROOFS, 0));
	ledger_clear(s, LEDGER_PROOFS);
	assert_false(ledger_has(s, LEDGER_PROOFS, 5));
}

static unsigned int
count_of(const char *prefix, unsigned int n)
{
	unsigned int i, found = 0;
	struct ledger_id id;
	char name[32];

	for (i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s%u", prefix, i);
		id = ledger_id_user(l, text_of(name));
		found += ledger_find(l, &id) != NULL;
	}
	return found;
}

/* A flood of names that fail once does not push out what matters more. */
static void
test_eviction(void **state)
{
	const struct addr a = host("192.0.2.1");
	struct ledger_id id;
	struct ledger_slot *s;
	char name[32];
	unsigned int i, kept = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "good%u", i);
		id = ledger_id_pair(l, &a, text_of(name));
		ledger_set_good(ledger_make(l, &id, NOW), NOW);
		(void)snprintf(name, sizeof(name), "bad%u", i);
		ledger_raise(user(name, NOW), LEDGER_FAILED, 9 * ONE, NOW);
		(void)snprintf(name, sizeof(name), "seen%u", i);
		ledger_count(user(name, NOW), LEDGER_CONNECTIONS, 1, 60, NOW);
	}
	for (i = 0; i < 100000; i++) {
		(void)snprintf(name, sizeof(name), "flood%u", i);
		s = user(name, NOW + i / 100);
		ledger_raise(s, LEDGER_FAILED, ONE, NOW + i / 100);
	}
	for (i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "good%u", i);
		id = ledger_id_pair(l, &a, text_of(name));
		kept += ledger_find(l, &id) != NULL;
	}
	assert_int_equal(kept, 100);
	assert_in_range(count_of("bad", 100), 98, 100);
	assert_int_equal(count_of("seen", 100), 0);
	assert_in_range(count_of("flood", 100000), 500, 1024);
}

static void
test_foreign_tables(void **state)
{
	const size_t size = ledger_size(0);
	char *copy = malloc(size);
	size_t i;

	(void)state;
	assert_non_null(copy);
	for (i = 0; i < 16; i++) { /* magic, entries, size of a slot */
		memcpy(copy, memory, size);
		copy[i] ^= 0x55;
		assert_null(ledger_new(copy, size));
	}
	memcpy(copy, memory, size);
	assert_null(ledger_new(copy, size - 1));
	assert_null(ledger_new(copy, 63));
	assert_null(ledger_new(copy, 0));
	free(copy);
}

/* Whatever stands there: no index, no time and no count leads outside. */
static void
test_garbage(void **state)
{
	const struct addr a = host("2001:db8::1");
	char shown[LEDGER_SHOWN], name[32];
	struct ledger_slot *s;
	struct ledger_id id;
	unsigned int i, turn;

	(void)state;
	for (turn = 0; turn < 20; turn++) {
		arc4random_buf((char *)memory + 64, ledger_size(0) - 64);
		for (i = 0; i < ledger_entries(l); i++)
			(void)ledger_look(l, i, shown);
		for (i = 0; i < 1000; i++) {
			(void)snprintf(name, sizeof(name), "%u", i);
			id = ledger_id_pair(l, &a, text_of(name));
			s = ledger_make(l, &id, NOW);
			assert_int_equal(
			    ledger_level(s, LEDGER_FAILED, NOW), 0);
			ledger_raise(s, LEDGER_FAILED, ONE, NOW);
			assert_ptr_equal(ledger_find(l, &id), s);
		}
	}
	for (i = 0; i < ledger_entries(l); i++) {
		s = ledger_at(l, i);
		assert_true(ledger_level(s, LEDGER_FAILED, NOW) <=
		    LEDGER_LEVEL_MAX * LEDGER_ONE);
	}
	assert_null(ledger_at(l, ledger_entries(l)));
}

static void
test_look(void **state)
{
	struct addr a = host("192.0.2.7");
	char shown[LEDGER_SHOWN], all[512] = "";
	struct ledger_id id = ledger_id_address(l, &a);
	struct addr_range r;
	unsigned int i;

	(void)state;
	(void)ledger_make(l, &id, NOW);
	assert_int_equal(addr_range_parse(TEXT_LIT("192.0.2.0/28"), &r), 0);
	assert_true(ledger_is_within(ledger_find(l, &id), &r));
	assert_int_equal(addr_range_parse(TEXT_LIT("192.0.2.8/29"), &r), 0);
	assert_false(ledger_is_within(ledger_find(l, &id), &r));
	id = ledger_id_network(l, &a);
	(void)ledger_make(l, &id, NOW);
	id = ledger_id_pair(l, &a, TEXT_LIT("Eve"));
	(void)ledger_make(l, &id, NOW);
	(void)user("a\nb", NOW);
	for (i = 0; i < ledger_entries(l); i++)
		if (ledger_look(l, i, shown) != 0) {
			(void)strlcat(all, shown, sizeof(all));
			(void)strlcat(all, "|", sizeof(all));
		}
	assert_non_null(strstr(all, "192.0.2.7|"));
	assert_non_null(strstr(all, "192.0.2.0/24|"));
	assert_null(strchr(all, '\n'));
	id = ledger_id_user(l, TEXT_LIT("eve"));
	for (i = 0; i < ledger_entries(l); i++)
		if (ledger_look(l, i, shown) == LEDGER_PAIR)
			assert_true(ledger_pair_is_of(ledger_at(l, i), &id));
}

static _Noreturn void
hammer(unsigned int seed, unsigned int rounds)
{
	char name[32];
	unsigned int i;

	for (i = 0; rounds == 0 || i < rounds; i++) {
		ledger_raise(user("all", NOW), LEDGER_FAILED, 1, NOW);
		(void)snprintf(
		    name, sizeof(name), "%u", (i * 7919 + seed) % 5000);
		ledger_raise(user(name, NOW), LEDGER_TURNED, 1, NOW);
	}
	_exit(0);
}

/* What three write at the same time all counts. */
static void
test_together(void **state)
{
	const unsigned int rounds = 50000;
	pid_t pids[3];
	unsigned int i;
	int status;

	(void)state;
	(void)user("all", NOW);
	ledger_raise(user("all", NOW), LEDGER_FAILED, 10 * ONE, NOW);
	for (i = 0; i < 3; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			hammer(i, rounds);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(ledger_level(user("all", NOW), LEDGER_FAILED, NOW),
	    10 * ONE + 3 * (int)rounds);
}

/* Killed at any moment, they leave a table that the next one can use. */
static void
test_killed(void **state)
{
	unsigned int i, turn;
	pid_t pids[3];

	(void)state;
	for (turn = 0; turn < 20; turn++) {
		for (i = 0; i < 3; i++) {
			pids[i] = fork();
			if (pids[i] == 0)
				hammer(i, 0);
		}
		(void)usleep(2000 + arc4random_uniform(5000));
		for (i = 0; i < 3; i++)
			(void)kill(pids[i], SIGKILL);
		for (i = 0; i < 3; i++)
			assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
		ledger_raise(user("me", NOW), LEDGER_FAILED, ONE, NOW);
	}
	ledger_free(&l);
	l = ledger_new(memory, ledger_size(0));
	assert_non_null(l);
	assert_true(ledger_level(user("all", NOW), LEDGER_FAILED, NOW) > 0);
	assert_int_equal(
	    ledger_level(user("me", NOW), LEDGER_FAILED, NOW), 20 * ONE);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_who_is_who),
		T(test_levels_fade),
		T(test_windows),
		T(test_clock_jumps),
		T(test_last_four),
		T(test_eviction),
		T(test_foreign_tables),
		T(test_garbage),
		T(test_look),
		T(test_together),
		T(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
