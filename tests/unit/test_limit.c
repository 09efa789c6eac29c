/* SPDX-License-Identifier: ISC */
/* test_limit: counts, who is let go, and a book that somebody spoilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "limit.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define CONNECTIONS 64

static struct addr
parse(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(text_of(s), 1024, &a), 0);
	return a;
}

static enum limit_verdict
admit(struct limit *l, uint32_t worker, uint32_t session, const char *s)
{
	struct addr a = parse(s);

	return limit_admit(l, worker, session, &a);
}

static unsigned int
count(struct limit *l, const char *s)
{
	struct addr a = parse(s);

	return limit_count_address(l, &a);
}

static void *
new_book(void)
{
	void *mem = calloc(1, limit_size(CONNECTIONS));

	assert_non_null(mem);
	return mem;
}

static void
test_admit(void **state)
{
	static const struct {
		uint32_t worker, session;
		const char *addr;
		enum limit_verdict verdict;
		unsigned int all, same;
	} cases[] = {
		{ 1, 1, "192.0.2.1", LIMIT_OK, 1, 1 },
		{ 1, 2, "::ffff:192.0.2.1", LIMIT_OK, 2, 2 },
		{ 2, 1, "192.0.2.1", LIMIT_OK, 3, 3 },
		{ 2, 2, "192.0.2.1", LIMIT_TOO_MANY_ADDRESS, 3, 3 },
		{ 2, 2, "192.0.2.2", LIMIT_OK, 4, 1 },
		/* A /64 is one customer. */
		{ 2, 3, "2001:db8::1", LIMIT_OK, 5, 1 },
		{ 2, 4, "2001:db8::2:0:0:1", LIMIT_OK, 6, 2 },
		{ 2, 5, "2001:db8:0:1::1", LIMIT_OK, 7, 1 },
		{ 2, 6, "192.0.2.9", LIMIT_TOO_MANY, 7, 0 },
		/* No place that others give up would be for this one. */
		{ 2, 6, "192.0.2.1", LIMIT_TOO_MANY_ADDRESS, 7, 3 },
		/* The same number again stands for a new client. */
		{ 2, 5, "192.0.2.9", LIMIT_OK, 7, 1 },
	};
	struct addr a, b;
	struct limit *l;
	void *mem = new_book();
	size_t i;

	(void)state;
	l = limit_new(mem, CONNECTIONS, 7, 3);
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(
		    admit(l, cases[i].worker, cases[i].session, cases[i].addr),
		    cases[i].verdict);
		assert_int_equal(limit_count(l), cases[i].all);
		assert_int_equal(count(l, cases[i].addr), cases[i].same);
	}
	assert_int_equal(count(l, "2001:db8:0:1::1"), 0);
	assert_int_equal(limit_address(l, 1, 2, &a), 0);
	b = parse("192.0.2.1");
	assert_true(addr_eq(&a, &b));
	assert_int_equal(limit_address(l, 1, 3, &a), -1);
	limit_release(l, 1, 2);
	limit_release(l, 1, 2);
	limit_release(l, 9, 9);
	assert_int_equal(limit_address(l, 1, 2, &a), -1);
	assert_int_equal(limit_count(l), 6);
	assert_int_equal(count(l, "192.0.2.1"), 2);
	limit_free(&l);
	assert_null(l);
	limit_free(&l);
	free(mem);
}

static void
test_no_limit(void **state)
{
	struct limit *l;
	void *mem = new_book();
	uint32_t i;

	(void)state;
	l = limit_new(mem, CONNECTIONS, 0, 0);
	for (i = 0; i < CONNECTIONS; i++)
		assert_int_equal(admit(l, 1, i, "192.0.2.1"), LIMIT_OK);
	/* There is no more memory. */
	assert_int_equal(admit(l, 1, i, "192.0.2.1"), LIMIT_TOO_MANY);
	limit_release(l, 1, 7);
	assert_int_equal(admit(l, 1, i, "192.0.2.1"), LIMIT_OK);
	assert_int_equal(limit_count(l), CONNECTIONS);
	limit_free(&l);
	free(mem);
}

/* Workers 0 to 4 and the last one have sessions 0 to 3 each. */
static struct limit *
new_crowd(void *mem)
{
	static const uint32_t workers[] = { 0, 1, 2, 3, 4, UINT32_MAX };
	struct limit *l = limit_new(mem, CONNECTIONS, 0, 0);
	uint32_t s;
	size_t w;

	for (s = 0; s < 4; s++) {
		for (w = 0; w < NITEMS(workers); w++)
			assert_int_equal(
			    admit(l, workers[w], s, "192.0.2.1"), LIMIT_OK);
	}
	return l;
}

static bool
has(struct limit *l, uint32_t worker, uint32_t session)
{
	struct addr a;

	return limit_address(l, worker, session, &a) == 0;
}

static void
test_workers(void **state)
{
	static const uint32_t held[] = { 7, 3, 1, 3 };
	static const uint32_t kept[] = { 4, UINT32_MAX, 9, 0 };
	struct limit *l;
	void *mem = new_book();

	(void)state;
	l = new_crowd(mem);
	assert_int_equal(limit_forget_worker(l, 2), 4);
	assert_int_equal(limit_forget_worker(l, 2), 0);
	assert_int_equal(limit_forget_worker(l, 5), 0);
	assert_int_equal(limit_count(l), 20);
	assert_true(has(l, 1, 3) && has(l, 3, 0));

	limit_reconcile(l, UINT32_MAX, held, NITEMS(held));
	assert_int_equal(limit_count(l), 18);
	assert_true(has(l, UINT32_MAX, 1) && has(l, UINT32_MAX, 3));
	assert_false(has(l, UINT32_MAX, 7)); /* only the broker admits */
	limit_reconcile(l, 3, NULL, 0);
	assert_int_equal(limit_count(l), 14);

	limit_keep_workers(l, kept, NITEMS(kept));
	assert_int_equal(limit_count(l), 10);
	assert_false(has(l, 1, 0));
	assert_true(has(l, 0, 0) && has(l, 4, 3) && has(l, UINT32_MAX, 1));
	limit_keep_workers(l, NULL, 0);
	assert_int_equal(limit_count(l), 0);
	assert_int_equal(count(l, "192.0.2.1"), 0);
	limit_free(&l);
	free(mem);
}

/* The broker dies, the next one goes on. */
static void
test_taken_over(void **state)
{
	struct addr a = parse("2001:db8::1"), b;
	struct limit *l;
	void *mem = new_book();

	(void)state;
	l = new_crowd(mem);
	limit_admit(l, 7, 7, &a);
	limit_release(l, 0, 0);
	limit_free(&l);

	l = limit_new(mem, CONNECTIONS, 0, 24);
	assert_int_equal(limit_count(l), 24);
	assert_int_equal(count(l, "192.0.2.1"), 23);
	assert_int_equal(limit_address(l, 7, 7, &b), 0);
	assert_true(addr_eq(&a, &b));
	assert_false(has(l, 0, 0));
	assert_int_equal(admit(l, 0, 0, "192.0.2.1"), LIMIT_OK);
	assert_int_equal(admit(l, 0, 9, "192.0.2.1"), LIMIT_TOO_MANY_ADDRESS);
	assert_int_equal(limit_forget_worker(l, 0), 4);
	limit_free(&l);

	/* Room for fewer: another layout, so nothing in it is believed. */
	l = limit_new(mem, CONNECTIONS - 1, 0, 0);
	assert_int_equal(limit_count(l), 0);
	limit_free(&l);
	free(mem);
}

/* Use a book in every way: sanitizers and assertions see what is wrong. */
static void
use(void *mem)
{
	struct limit *l = limit_new(mem, CONNECTIONS, 0, 0);
	unsigned int before = limit_count(l);
	uint32_t i;

	assert_true(before <= CONNECTIONS);
	assert_int_equal(admit(l, 99, 99, "192.0.2.1"),
	    before < CONNECTIONS ? LIMIT_OK : LIMIT_TOO_MANY);
	limit_forget_worker(l, 1);
	limit_keep_workers(l, NULL, 0);
	assert_int_equal(limit_count(l), 0);
	for (i = 0; i < CONNECTIONS; i++)
		assert_int_equal(admit(l, 1, i, "192.0.2.1"), LIMIT_OK);
	limit_free(&l);
}

/* Octets of the memory changed at random, the header left as it was. */
static void
test_spoilt(void **state)
{
	const size_t header = 8, size = limit_size(CONNECTIONS);
	static const unsigned char fills[] = { 0x00, 0x01, 0x02, 0x0a, 0x7f,
		0x80, 0xff };
	struct limit *l;
	unsigned char *mem = new_book();
	size_t i, round;

	(void)state;
	for (i = 0; i < NITEMS(fills); i++) {
		memset(mem + header, fills[i], size - header);
		use(mem);
	}
	srand(1); /* the same each time */
	for (round = 0; round < 20; round++) {
		memset(mem, 0, size);
		l = new_crowd(mem);
		limit_free(&l);
		for (i = 0; i < size / 16; i++)
			mem[header + (size_t)rand() % (size - header)] =
			    (unsigned char)rand();
		use(mem);
	}
	free(mem);
}

static void
put(unsigned char *p, int64_t value, size_t width)
{
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	if (width == sizeof(u16))
		memcpy(p, &u16, width);
	else if (width == sizeof(u32))
		memcpy(p, &u32, width);
	else
		memcpy(p, &value, sizeof(value));
}

/*
 * One field of a good book changed to something that cannot be.  The offsets
 * are those of limit.c: of the only slot that is in use.
 */
static void
test_senseless(void **state)
{
	static const struct {
		size_t at;
		int64_t value;
		size_t width;
		unsigned int count;
	} cases[] = {
		{ 28, 1, 4, 1 },                       /* worker 1, as it was */
		{ 0, AF_UNIX, 2, 0 }, { 36, 2, 4, 0 }, /* used */
	};
	const size_t size = limit_size(CONNECTIONS);
	const size_t slot = (size - limit_size(0)) / CONNECTIONS;
	struct addr a = parse("192.0.2.1");
	unsigned char *mem = new_book();
	struct limit *l;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		memset(mem, 0, size);
		l = limit_new(mem, CONNECTIONS, 0, 0);
		assert_int_equal(limit_admit(l, 1, 1, &a), LIMIT_OK);
		limit_free(&l);
		/* the last is taken first */
		put(mem + size - slot + cases[i].at, cases[i].value,
		    cases[i].width);
		l = limit_new(mem, CONNECTIONS, 0, 0);
		assert_int_equal(limit_count(l), cases[i].count);
		limit_free(&l);
	}
	free(mem);
}

/* Those of an old generation count beside ours until they end. */
static void
test_old_book(void **state)
{
	const uint32_t struck_out = 0;
	void *before = new_book(), *mem = new_book();
	struct limit *old = limit_new(before, CONNECTIONS, 0, 0), *l;
	size_t size = limit_size(CONNECTIONS);

	(void)state;
	assert_int_equal(admit(old, 1, 1, "192.0.2.1"), LIMIT_OK);
	assert_int_equal(admit(old, 1, 2, "192.0.2.1"), LIMIT_OK);
	assert_int_equal(admit(old, 1, 3, "192.0.2.2"), LIMIT_OK);
	l = limit_new(mem, CONNECTIONS, 5, 3);
	limit_add_old(l, before, size);
	assert_true(limit_look_at_old(l));
	assert_int_equal(limit_count(l), 3);
	assert_int_equal(count(l, "192.0.2.1"), 2);
	/* The same numbers, but of other workers. */
	assert_int_equal(admit(l, 1, 1, "192.0.2.1"), LIMIT_OK);
	assert_int_equal(admit(l, 1, 2, "192.0.2.1"), LIMIT_TOO_MANY_ADDRESS);
	assert_int_equal(admit(l, 1, 2, "192.0.2.3"), LIMIT_OK);
	assert_int_equal(admit(l, 1, 3, "192.0.2.4"), LIMIT_TOO_MANY);
	limit_release(old, 1, 1);
	assert_true(limit_look_at_old(l));
	assert_int_equal(count(l, "192.0.2.1"), 2);
	assert_int_equal(limit_count(l), 4);
	limit_release(l, 1, 1); /* theirs stays */
	assert_int_equal(count(l, "192.0.2.1"), 1);
	memcpy(before, &struck_out, sizeof(struck_out));
	assert_false(limit_look_at_old(l));
	assert_int_equal(count(l, "192.0.2.1"), 0);
	assert_int_equal(limit_count(l), 1);
	limit_free(&old);
	limit_free(&l);
	free(before);
	free(mem);
}

/* A book that is not whole, or not one, counts for nothing. */
static void
test_bad_old_book(void **state)
{
	unsigned char *before = new_book();
	void *mem = new_book();
	struct limit *old = limit_new(before, CONNECTIONS, 0, 0);
	struct limit *l = limit_new(mem, CONNECTIONS, 0, 0);

	(void)state;
	assert_int_equal(admit(old, 1, 1, "192.0.2.1"), LIMIT_OK);
	limit_add_old(l, before, limit_size(CONNECTIONS) - 1);
	assert_false(limit_look_at_old(l));
	limit_add_old(l, before, 3);
	assert_false(limit_look_at_old(l));
	assert_int_equal(limit_count(l), 0);
	/* Slots that make no sense do not either. */
	limit_add_old(l, before, limit_size(CONNECTIONS));
	memset(
	    before + limit_size(0), 1, limit_size(CONNECTIONS) - limit_size(0));
	assert_true(limit_look_at_old(l));
	assert_int_equal(limit_count(l), 0);
	limit_free(&old);
	limit_free(&l);
	free(before);
	free(mem);
}

/* Two slots that claim the same connection count once. */
static void
test_twice(void **state)
{
	const size_t size = limit_size(CONNECTIONS);
	const size_t slot = (size - limit_size(0)) / CONNECTIONS;
	unsigned char *mem = new_book(), *slots = mem + limit_size(0);
	struct limit *l;
	size_t i;

	(void)state;
	l = limit_new(mem, CONNECTIONS, 0, 0);
	assert_int_equal(admit(l, 1, 1, "192.0.2.1"), LIMIT_OK);
	limit_free(&l);
	for (i = 0; i < CONNECTIONS; i++) {
		if (slots[i * slot] != 0) /* the family */
			break;
	}
	assert_true(i > 0 && i < CONNECTIONS);
	memcpy(slots, slots + i * slot, slot);

	l = limit_new(mem, CONNECTIONS, 0, 0);
	assert_int_equal(limit_count(l), 1);
	assert_int_equal(count(l, "192.0.2.1"), 1);
	limit_release(l, 1, 1);
	assert_int_equal(limit_count(l), 0);
	limit_free(&l);
	/* And the other one does not rise again. */
	l = limit_new(mem, CONNECTIONS, 0, 0);
	assert_int_equal(limit_count(l), 0);
	limit_free(&l);
	free(mem);
}

/* What the book tells of a worker's clients, and for how long. */
static void
test_book_has(void **state)
{
	const size_t size = limit_size(CONNECTIONS);
	unsigned char *mem = new_book();
	struct limit *l = limit_new(mem, CONNECTIONS, 0, 0);
	struct addr a, b;
	uint32_t i;

	(void)state;
	assert_int_equal(addr_parse(text_of("192.0.2.1"), 1, &a), 0);
	assert_int_equal(addr_parse(text_of("192.0.2.2"), 1, &b), 0);
	assert_int_equal(admit(l, 1, 1, "192.0.2.1"), LIMIT_OK);
	assert_true(limit_book_has(mem, size, 1, &a));
	assert_false(limit_book_has(mem, size, 1, &b));
	assert_false(limit_book_has(mem, size, 2, &a));
	limit_release(l, 1, 1);
	for (i = 1; i < CONNECTIONS; i++) { /* all other slots come first */
		assert_int_equal(admit(l, 1, i, "192.0.2.2"), LIMIT_OK);
		assert_true(limit_book_has(mem, size, 1, &a));
	}
	assert_int_equal(admit(l, 1, i, "192.0.2.2"), LIMIT_OK);
	assert_false(limit_book_has(mem, size, 1, &a));
	assert_false(limit_book_has(mem, size - 1, 1, &b));
	assert_false(limit_book_has(mem, 3, 1, &b));
	limit_free(&l);
	free(mem);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_admit),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_senseless),
		cmocka_unit_test(test_old_book),
		cmocka_unit_test(test_bad_old_book),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_book_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
