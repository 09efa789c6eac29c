/* SPDX-License-Identifier: ISC */
/* test_broker_dns: names, how long they are remembered, and who is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include "broker_dns.h"
#include "dns_fake.h"
#include "log.h"

static const struct record changing = {
	.name = "change.test", .a = "192.0.2.1", .ttl = 300
};
static struct record *const change = &zone[NITEMS(zone) - 1];

static struct dns *dns;
static unsigned int logged; /* lines */

static void
count_line(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
	logged++;
}

static int
setup(void **state)
{
	(void)state;
	*change = changing;
	logged = 0;
	name_server_start();
	dns = dns_new(base);
	return dns_set_servers(dns, servers);
}

static int
teardown(void **state)
{
	(void)state;
	dns_free(&dns);
	assert_null(dns);
	dns_free(&dns);
	name_server_stop();
	return 0;
}

/* One that asks, and what it was told. */
struct asker {
	struct dns_query *query;
	unsigned int told;  /* how many times */
	unsigned int order; /* who was told as which */
	size_t n;
	struct addr addrs[DNS_ADDRS_MAX];
	const char *then;      /* a name to look up from within done */
	struct asker *cancels; /* whom to cancel from within done */
};

static unsigned int turns; /* how many askers have been told */

static void
on_done(void *arg, const struct addr *addrs, size_t n)
{
	struct asker *a = arg;
	const char *then = a->then;

	a->told++;
	a->order = ++turns;
	assert_true(n <= DNS_ADDRS_MAX);
	a->n = n;
	memcpy(a->addrs, addrs, n * sizeof(*addrs));
	if (a->cancels != NULL)
		dns_cancel(&a->cancels->query);
	a->query = NULL;
	a->then = NULL;
	if (then != NULL)
		a->query = dns_lookup(dns, then, on_done, a);
}

/* Begin; true when it was told at once. */
static bool
begin(struct asker *a, const char *name)
{
	unsigned int told = a->told;
	struct dns_query *q = dns_lookup(dns, name, on_done, a);

	if (q != NULL)
		a->query = q;
	assert_int_equal(a->told, told + (q == NULL));
	return q == NULL;
}

static void
on_late(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Run the loop until nobody of these waits any more. */
static void
wait_for(struct asker *a, size_t n)
{
	struct timeval limit = { .tv_sec = 10 };
	bool late = false;
	struct event *ev = evtimer_new(base, on_late, &late);
	size_t i = 0;

	evtimer_add(ev, &limit);
	while (i < n) {
		assert_false(late);
		if (a[i].query == NULL)
			i++;
		else
			event_base_loop(base, EVLOOP_ONCE);
	}
	event_free(ev);
}

/* Run the loop until the name server was asked so often. */
static void
wait_asked(unsigned int n)
{
	struct timeval limit = { .tv_sec = 10 };
	bool late = false;
	struct event *ev = evtimer_new(base, on_late, &late);

	evtimer_add(ev, &limit);
	while (asked < n) {
		assert_false(late);
		event_base_loop(base, EVLOOP_ONCE);
	}
	event_free(ev);
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
look_up(struct asker *a, const char *name)
{
	if (!begin(a, name))
		wait_for(a, 1);
}

/* Whether a was told just these, in any order, separated by blanks. */
static bool
has(const struct asker *a, const char *list)
{
	struct text rest = text_of(list), word;
	struct addr addr;
	size_t i, n = 0;

	while (text_word(&rest, &word)) {
		assert_int_equal(addr_parse(word, 0, &addr), 0);
		for (i = 0; i < a->n; i++)
			if (addr_eq(&a->addrs[i], &addr))
				break;
		if (i == a->n)
			return false;
		n++;
	}
	return n == a->n;
}

static void
test_names(void **state)
{
	static const struct {
		const char *name, *addrs;
		unsigned int asked, asked_tcp;
	} cases[] = {
		{ "v4.test", "192.0.2.1", 2, 0 },
		{ "V4.Test", "192.0.2.1", 0, 0 }, /* from memory */
		{ "v6.test", "2001:db8::1", 2, 0 },
		{ "both.test", "192.0.2.1 2001:db8::1", 2, 0 },
		{ "mapped.test", "192.0.2.9", 2, 0 },
		{ "alias.test", "192.0.2.1", 2, 0 },
		{ "big.test", "192.0.2.7", 2, 2 },
		{ "empty.test", "", 2, 0 },
		{ "unknown.test", "", 2, 0 },
		{ "down.test", "", 4, 0 }, /* tried twice */
		/* From the hosts file. */
		{ "hosts.test", "192.0.2.80 2001:db8::80", 0, 0 },
		{ "HOSTS.test", "192.0.2.80 2001:db8::80", 0, 0 },
		{ "localhost", "127.0.0.1", 0, 0 },
		/* Numbers are what they are, whatever a server says. */
		{ "192.0.2.5", "192.0.2.5", 0, 0 },
		{ "2001:db8::5", "2001:db8::5", 0, 0 },
		/* What cannot be asked. */
		{ "two..dots.test", "", 0, 0 },
		{ "x.onion", "", 0, 0 },
		{ "a23456789b123456789c123456789d123456789e123456789f123456789"
		  "g12345.test",
		    "", 0, 0 },
	};
	struct asker a = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		asked = asked_tcp = 0;
		look_up(&a, cases[i].name);
		if (!has(&a, cases[i].addrs) || asked != cases[i].asked ||
		    asked_tcp != cases[i].asked_tcp)
			fail_msg("%s: %zu addresses, asked %u and %u",
			    cases[i].name, a.n, asked, asked_tcp);
		assert_int_equal(a.told, i + 1);
	}
}

static void
test_many_addresses(void **state)
{
	struct asker a = { 0 };

	(void)state;
	look_up(&a, "many.test");
	assert_int_equal(a.n, DNS_ADDRS_MAX);
}

static void
test_time_to_live(void **state)
{
	static const struct {
		const char *name;
		uint32_t ttl;
		time_t after;
		bool again;
	} cases[] = {
		{ "change.test", 300, 298, false },
		{ "change.test", 300, 301, true },
		{ "change.test", 0, 3, false },
		{ "change.test", 0, 6, true },
		{ "change.test", 86400, 3598, false },
		{ "change.test", 86400, 3601, true },
		{ "change.test", 0x80000001, 3, false }, /* RFC 2181 8 */
		{ "change.test", 0x80000001, 6, true },
		/* The alias lives for 20 s only. */
		{ "alias.test", 0, 18, false },
		{ "alias.test", 0, 21, true },
		{ "hosts.test", 0, 58, false },
		{ "hosts.test", 0, 61, true },
		{ "empty.test", 0, 3, false },
		{ "empty.test", 0, 6, true },
	};
	struct asker a = { 0 };
	size_t i;
	unsigned int before;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		skew += 7200;
		change->ttl = cases[i].ttl;
		look_up(&a, cases[i].name);
		skew += cases[i].after;
		before = hosts_read; /* which is where each lookup begins */
		look_up(&a, cases[i].name);
		if (hosts_read - before != cases[i].again)
			fail_msg("%s, %u s: asked %u times after %d s",
			    cases[i].name, cases[i].ttl, hosts_read - before,
			    (int)cases[i].after);
	}
}

/* Times over: asked again, and what is new takes the place of the old. */
static void
test_change(void **state)
{
	struct asker a = { 0 };

	(void)state;
	look_up(&a, "change.test");
	assert_true(has(&a, "192.0.2.1"));
	change->a = NULL;
	change->aaaa = "2001:db8::2";
	look_up(&a, "change.test");
	assert_true(has(&a, "192.0.2.1"));
	skew += 301;
	look_up(&a, "change.test");
	assert_true(has(&a, "2001:db8::2"));
}

/* The old addresses serve while the name server fails, whatever it says. */
static void
test_failure(void **state)
{
	static const struct {
		uint8_t rcode;
		unsigned int asked;
	} cases[] = {
		{ RCODE_SERVFAIL, 4 }, { RCODE_NXDOMAIN, 2 },
		{ 0, 2 }, /* no error, no address */
	};
	struct asker a = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		*change = changing;
		skew += 301;
		look_up(&a, "change.test");
		assert_true(has(&a, "192.0.2.1"));

		change->rcode = cases[i].rcode;
		change->a = NULL;
		skew += 301;
		asked = logged = 0;
		assert_false(begin(&a, "change.test"));
		wait_for(&a, 1);
		assert_true(has(&a, "192.0.2.1"));
		assert_int_equal(asked, cases[i].asked);

		/* Remembered for 5 s. */
		skew += 3;
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.1"));
		drain();
		assert_int_equal(asked, cases[i].asked);

		/* Asked again, but nobody has to wait for it. */
		skew += 3;
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.1"));
		drain();
		assert_int_equal(asked, 2 * cases[i].asked);
		assert_int_equal(logged, 1); /* when it began, only */

		skew += 6;
		asked = 0;
		*change = changing;
		change->a = "192.0.2.2";
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.1"));
		wait_asked(2);
		drain();
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.2"));
		assert_int_equal(logged, 2); /* and when it was over */
	}
}

/* An answer that got lost: c-ares' timer asks again. */
static void
test_lost(void **state)
{
	struct asker a = { 0 };

	(void)state;
	deaf = 2;
	look_up(&a, "v4.test");
	assert_true(has(&a, "192.0.2.1"));
	assert_int_equal(asked, 4);
}

static void
test_join(void **state)
{
	struct asker a[3] = { 0 };
	size_t i;

	(void)state;
	turns = 0;
	assert_false(begin(&a[0], "v4.test"));
	assert_false(begin(&a[1], "V4.test"));
	assert_false(begin(&a[2], "v4.TEST"));
	wait_for(a, NITEMS(a));
	drain();
	assert_int_equal(asked, 2);
	for (i = 0; i < NITEMS(a); i++) {
		assert_int_equal(a[i].told, 1);
		assert_int_equal(a[i].order, i + 1); /* as they came */
		assert_true(has(&a[i], "192.0.2.1"));
	}
}

static void
test_cancel(void **state)
{
	struct asker a[3] = { 0 };

	(void)state;
	assert_false(begin(&a[0], "v4.test"));
	assert_false(begin(&a[1], "v4.test"));
	dns_cancel(&a[0].query);
	assert_null(a[0].query);
	dns_cancel(&a[0].query);
	wait_for(a, NITEMS(a));
	assert_int_equal(a[0].told, 0);
	assert_int_equal(a[1].told, 1);

	/* With nobody waiting, the answer is remembered all the same. */
	assert_false(begin(&a[0], "v6.test"));
	dns_cancel(&a[0].query);
	wait_asked(4);
	drain();
	assert_true(begin(&a[2], "v6.test"));
	assert_true(has(&a[2], "2001:db8::1"));
	assert_int_equal(a[0].told, 0);
}

/* From within done: itself, the next one, one of another name. */
static void
test_cancel_within(void **state)
{
	static const struct {
		size_t cancelled;
		unsigned int told[3];
	} cases[] = {
		{ 0, { 1, 1, 1 } },
		{ 1, { 1, 0, 1 } },
		{ 2, { 1, 1, 0 } },
	};
	struct asker a[3];
	size_t i, j;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		skew += 7200;
		memset(a, 0, sizeof(a));
		a[0].cancels = &a[cases[i].cancelled];
		assert_false(begin(&a[0], "v4.test"));
		assert_false(begin(&a[1], "v4.test"));
		assert_false(begin(&a[2], "v6.test"));
		wait_for(a, NITEMS(a));
		for (j = 0; j < NITEMS(a); j++)
			assert_int_equal(a[j].told, cases[i].told[j]);
	}
}

static void
test_lookup_within(void **state)
{
	static const char *const then[] = { "v4.test", "v6.test", "hosts.test",
		"unknown.test" };
	static const char *const addrs[] = { "192.0.2.1", "2001:db8::1",
		"192.0.2.80 2001:db8::80", "" };
	struct asker a[2];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(then); i++) {
		skew += 7200;
		memset(a, 0, sizeof(a));
		a[0].then = then[i];
		assert_false(begin(&a[0], "v4.test"));
		assert_false(begin(&a[1], "v4.test"));
		wait_for(a, NITEMS(a));
		assert_int_equal(a[0].told, 2);
		assert_true(has(&a[0], addrs[i]));
		assert_int_equal(a[1].told, 1);
	}
}

/* Nothing is told, nothing leaks (which the sanitizers see). */
static void
test_free_while_asking(void **state)
{
	struct asker a[3] = { 0 };

	(void)state;
	deaf = 6;
	assert_false(begin(&a[0], "v4.test"));
	assert_false(begin(&a[1], "v4.test"));
	assert_false(begin(&a[2], "big.test"));
	drain();
	dns_free(&dns);
	assert_int_equal(a[0].told + a[1].told + a[2].told, 0);
	assert_int_equal(logged, 0);
}

static void
test_servers(void **state)
{
	struct asker a = { 0 };

	(void)state;
	assert_int_equal(dns_set_servers(dns, "nonsense"), -1);
	assert_int_equal(dns_set_servers(dns, servers), 0);
	assert_false(begin(&a, "v4.test"));
	assert_int_equal(dns_set_servers(dns, servers), -1);
	wait_for(&a, 1);
}

/* A process of its own looks a name up: the numbers of its two questions. */
static uint32_t
numbers_of_process(void)
{
	const struct timeval limit = { .tv_sec = 10 };
	struct asker a = { 0 };
	uint8_t q[MESSAGE_MAX];
	uint32_t numbers = 0;
	int i, status;
	pid_t pid = fork();

	if (pid == 0) {
		dns = dns_new(base);
		dns_set_servers(dns, servers);
		dns_lookup(dns, "v4.test", on_done, &a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (i = 0; i < 2; i++) {
		assert_true(recv(udp, q, sizeof(q), 0) > HEADER);
		numbers = numbers << 16 | q[0] * 256U | q[1];
	}
	return numbers;
}

static void
test_numbers_differ(void **state)
{
	(void)state;
	assert_int_not_equal(numbers_of_process(), numbers_of_process());
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_many_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_time_to_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_cancel_within, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_lookup_within, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_free_while_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_servers, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_numbers_differ, setup, teardown),
	};

	log_set_sink(count_line, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
