/* SPDX-License-Identifier: ISC */
/* test_broker_peername: clients' names, believed, remembered, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker_peername.h"
#include "clock.h"
#include "dns_fake.h"

#define CLIENT "192.0.2.17" /* client.test */
#define NOBODY "192.0.2.200"
#define LONG_TIME 86400 /* seconds; over whatever is remembered */

static struct peernames *names;

static int
setup(void **state)
{
	(void)state;
	name_server_start();
	names = peernames_new(base);
	return peernames_set_servers(names, servers);
}

static int
teardown(void **state)
{
	(void)state;
	peernames_free(&names);
	assert_null(names);
	peernames_free(&names);
	name_server_stop();
	return 0;
}

/* One that asks, and what it was told. */
struct asker {
	struct peername_wait *wait;
	unsigned int told;
	char name[256];        /* "": unknown */
	struct asker *cancels; /* whom to cancel from within done */
};

static void
on_done(void *arg, const char *name)
{
	struct asker *a = arg;

	a->told++;
	snprintf(a->name, sizeof(a->name), "%s", name != NULL ? name : "");
	if (a->cancels != NULL)
		peername_cancel(&a->cancels->wait);
	a->wait = NULL;
}

/* Begin; true when it was told at once. */
static bool
begin(struct asker *a, const char *text)
{
	struct peername_wait *w;
	unsigned int told = a->told;
	struct addr addr;

	assert_int_equal(addr_parse(text_of(text), 4711, &addr), 0);
	w = peername_lookup(names, &addr, on_done, a);
	if (w != NULL)
		a->wait = w;
	assert_int_equal(a->told, told + (w == NULL));
	return w == NULL;
}

/* It begins, waits, and is told that; "": unknown. */
static void
check(const char *addr, const char *name)
{
	struct asker a = { 0 };

	if (!begin(&a, addr))
		while (a.wait != NULL)
			event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(a.told, 1);
	if (strcmp(a.name, name) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", addr, a.name, name);
}

/* Run the loop until nothing more happens; datagrams are there at once. */
static void
drain(void)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
test_names(void **state)
{
	static const struct {
		const char *addr, *name;
		unsigned int asked;
	} cases[] = {
		{ CLIENT, "client.test", 2 },
		{ "192.0.2.1", "v4.test", 2 },
		{ "2001:db8::1", "both.test", 2 },
		{ "::ffff:192.0.2.7", "big.test", 2 }, /* and over TCP */
		{ "192.0.2.9", "", 2 },  /* the name is somebody else's */
		{ "192.0.2.14", "", 2 }, /* the same, over TCP */
		{ "192.0.2.10", "", 2 }, /* there is no such name */
		{ "192.0.2.11", "", 1 }, /* no name of a host ... */
		{ "192.0.2.12", "", 1 },
		{ "192.0.2.5", "", 1 },  /* ... but an address */
		{ "192.0.2.16", "", 2 }, /* SERVFAIL, tried twice */
		{ NOBODY, "", 1 },
		/* From the hosts file. */
		{ "192.0.2.80", "hosts.test", 0 },
		{ "2001:db8::80", "hosts.test", 0 },
		{ "127.0.0.1", "localhost", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		asked = 0;
		check(cases[i].addr, cases[i].name);
		if (asked != cases[i].asked)
			fail_msg("%s: asked %u times", cases[i].addr, asked);
	}
}

/* How long an answer is kept; all begins with the hosts file. */
static void
test_time_to_live(void **state)
{
	static const struct {
		const char *addr, *name;
		uint32_t ttl;
		time_t after;
		bool again;
	} cases[] = {
		{ CLIENT, "client.test", 300, 298, false },
		{ CLIENT, "client.test", 300, 301, true },
		{ CLIENT, "client.test", 0, 2, true },
		{ CLIENT, "client.test", 86400, 3598, false },
		{ CLIENT, "client.test", 86400, 3601, true },
		{ CLIENT, "client.test", 0x80000001, 2, true },
		{ NOBODY, "", 0, 58, false },
		{ NOBODY, "", 0, 61, true },
	};
	struct record *client = find_record("client.test");
	unsigned int before;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		skew += LONG_TIME;
		client->ttl = cases[i].ttl;
		check(cases[i].addr, cases[i].name);
		skew += cases[i].after;
		before = asked;
		check(cases[i].addr, cases[i].name);
		if ((asked != before) != cases[i].again)
			fail_msg("%s, %u s: asked %u times after %d s",
			    cases[i].addr, cases[i].ttl, asked - before,
			    (int)cases[i].after);
	}
	client->ttl = 300;
}

/* A name that has gone to another host is not this one's any more. */
static void
test_change(void **state)
{
	struct record *client = find_record("client.test");

	(void)state;
	check(CLIENT, "client.test");
	client->a = "192.0.2.18";
	check(CLIENT, "client.test");
	skew += LONG_TIME;
	check(CLIENT, "");
	client->a = CLIENT;
	skew += LONG_TIME;
	check(CLIENT, "client.test");
}

static void
test_join(void **state)
{
	struct asker a[4] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(a); i++)
		assert_false(begin(&a[i], CLIENT));
	peername_cancel(&a[1].wait);
	assert_null(a[1].wait);
	peername_cancel(&a[1].wait);
	a[0].cancels = &a[2];
	a[3].cancels = &a[3];
	drain();
	assert_int_equal(asked, 2);
	for (i = 0; i < NITEMS(a); i++)
		assert_int_equal(a[i].told, i == 0 || i == 3);
	assert_string_equal(a[3].name, "client.test");

	/* With nobody waiting, the answer is remembered all the same. */
	a[0].cancels = NULL;
	assert_false(begin(&a[0], "192.0.2.1"));
	peername_cancel(&a[0].wait);
	drain();
	assert_true(begin(&a[0], "192.0.2.1"));
	assert_string_equal(a[0].name, "v4.test");
}

/* A silent name server: unknown after a second; the next need not wait. */
static void
test_deadline(void **state)
{
	struct asker a[2] = { 0 }, late = { 0 };
	int64_t began = clock_ms(), took;

	(void)state;
	deaf = UINT32_MAX;
	assert_false(begin(&a[0], CLIENT));
	assert_false(begin(&a[1], CLIENT));
	while (a[0].wait != NULL)
		event_base_loop(base, EVLOOP_ONCE);
	took = clock_ms() - began;
	assert_in_range(took, PEERNAME_MS - 5, PEERNAME_MS + 400);
	assert_string_equal(a[0].name, "");
	assert_int_equal(a[1].told, 1);
	assert_true(begin(&late, CLIENT));
	assert_string_equal(late.name, "");

	/* c-ares gives up, too; and that is remembered for a minute. */
	skew += 10;
	drain();
	deaf = 0;
	skew += 50;
	check(CLIENT, "");
	skew += 20;
	check(CLIENT, "client.test");
}

/* An answer behind the deadline is good for the next client. */
static void
test_late_answer(void **state)
{
	struct asker a = { 0 };

	(void)state;
	deaf = 1;
	assert_false(begin(&a, CLIENT));
	skew += 2; /* the deadline and c-ares' own are over at once */
	while (a.wait != NULL)
		event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(a.name, "");
	drain();
	assert_true(begin(&a, CLIENT));
	assert_string_equal(a.name, "client.test");
}

static void
print_nth(unsigned int i, char dst[static ADDR_STRLEN])
{
	snprintf(dst, ADDR_STRLEN, "198.18.%u.%u", i / 256, i % 256);
}

/* No more at a time than there may be. */
static void
test_bounds(void **state)
{
	static struct asker a[PEERNAME_WAITING + 1];
	struct asker one = { 0 };
	char text[ADDR_STRLEN];
	unsigned int i;

	(void)state;
	check(CLIENT, "client.test");
	skew += LONG_TIME;
	deaf = UINT32_MAX;
	for (i = 0; i < PEERNAME_LOOKUPS; i++) {
		print_nth(i, text);
		assert_false(begin(&a[i], text));
	}
	assert_true(begin(&one, NOBODY));
	assert_string_equal(one.name, "");
	assert_true(begin(&one, CLIENT)); /* what was true once is not told */
	assert_string_equal(one.name, "");
	print_nth(0, text);
	for (; i < PEERNAME_WAITING; i++)
		assert_false(begin(&a[i], text));
	assert_true(begin(&one, text));
	peername_cancel(&a[0].wait);
	assert_false(begin(&one, text));
	peername_cancel(&one.wait);
}

/* The address that was not seen for longest is forgotten. */
static void
test_memory(void **state)
{
	char text[ADDR_STRLEN];
	unsigned int i;

	(void)state;
	check(CLIENT, "client.test");
	check("192.0.2.1", "v4.test");
	check(CLIENT, "client.test");
	for (i = 0; i < PEERNAME_KNOWN - 1; i++) {
		print_nth(i, text);
		check(text, "");
	}
	asked = 0;
	check(CLIENT, "client.test");
	assert_int_equal(asked, 0);
	check("192.0.2.1", "v4.test");
	assert_int_equal(asked, 2);
}

/* What is under way at the end is nobody's. */
static void
test_end(void **state)
{
	static struct asker a[3];

	(void)state;
	assert_false(begin(&a[0], CLIENT));
	assert_false(begin(&a[1], CLIENT));
	assert_false(begin(&a[2], NOBODY));
	peernames_free(&names);
	assert_int_equal(a[0].told + a[1].told + a[2].told, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_time_to_live),
		TEST(test_change),
		TEST(test_join),
		TEST(test_deadline),
		TEST(test_late_answer),
		TEST(test_bounds),
		TEST(test_memory),
		TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
