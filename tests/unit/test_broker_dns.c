/* SPDX-License-Identifier: ISC */
/*
 * test_broker_dns: names and how long they are remembered.  A name server of
 * our own runs in the same loop; the clock and the files that c-ares reads are
 * ours, too: clock_gettime() and fopen() of this program come before libc's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker_dns.h"
#include "log.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

#define MESSAGE_MAX 1024
#define HEADER 12 /* RFC 1035 4.1.1 */

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };
enum { RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

static time_t skew; /* how far our clock is ahead */

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_MONOTONIC)
		t->tv_sec += skew;
	return rc;
}

static char hosts[] = "127.0.0.1 localhost\n"
                      "192.0.2.80 hosts.test\n"
                      "2001:db8::80 hosts.test\n";
static char empty[] = "\n";
static unsigned int hosts_read;

FILE *
fopen(const char *path, const char *mode)
{
	int fd;

	if (strcmp(path, "/etc/hosts") == 0) {
		hosts_read++;
		return fmemopen(hosts, strlen(hosts), mode);
	}
	if (strcmp(path, "/etc/resolv.conf") == 0)
		return fmemopen(empty, strlen(empty), mode);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd == -1 ? NULL : fdopen(fd, mode);
}

/* What the name server knows; a test may change it. */
struct record {
	const char *name, *alias; /* alias: answers carry a CNAME, too */
	const char *a, *aaaa;
	unsigned int copies; /* so many addresses, the last octet counting up */
	uint32_t ttl, alias_ttl;
	uint8_t rcode;
	bool truncated; /* over UDP */
};

static struct record zone[] = {
	{ .name = "v4.test", .a = "192.0.2.1", .ttl = 300 },
	{ .name = "v6.test", .aaaa = "2001:db8::1", .ttl = 300 },
	{ .name = "both.test",
	    .a = "192.0.2.1",
	    .aaaa = "2001:db8::1",
	    .ttl = 300 },
	{ .name = "mapped.test", .aaaa = "::ffff:192.0.2.9", .ttl = 300 },
	{ .name = "many.test", .a = "192.0.2.1", .copies = 20, .ttl = 300 },
	{ .name = "alias.test",
	    .alias = "real.test",
	    .a = "192.0.2.1",
	    .ttl = 300,
	    .alias_ttl = 20 },
	{ .name = "big.test", .a = "192.0.2.7", .ttl = 300, .truncated = true },
	{ .name = "192.0.2.5", .a = "192.0.2.6", .ttl = 300 },
	{ .name = "empty.test" },
	{ .name = "down.test", .rcode = RCODE_SERVFAIL },
	{ .name = "change.test" },
};
static const struct record changing = {
	.name = "change.test", .a = "192.0.2.1", .ttl = 300
};
static struct record *const change = &zone[NITEMS(zone) - 1];

static struct event_base *base;
static struct event *udp_ev, *tcp_ev;
static int udp = -1, tcp = -1;
static unsigned int asked, asked_tcp; /* questions that came */
static unsigned int deaf;             /* so many over UDP get no answer */
static char servers[ADDR_STRLEN];
static struct dns *dns;

static struct record *
find_record(const char *name)
{
	size_t i;

	for (i = 0; i < NITEMS(zone); i++)
		if (strcasecmp(zone[i].name, name) == 0)
			return &zone[i];
	return NULL;
}

/* A message that is being written. */
struct message {
	uint8_t octets[MESSAGE_MAX];
	size_t len;
};

static void
put(struct message *m, const void *p, size_t len)
{
	assert_true(len <= MESSAGE_MAX - m->len);
	memcpy(m->octets + m->len, p, len);
	m->len += len;
}

static void
put16(struct message *m, unsigned int v)
{
	const uint8_t octets[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(m, octets, sizeof(octets));
}

/* Labels, each behind its length. */
static void
put_name(struct message *m, const char *name)
{
	uint8_t len;

	while (*name != '\0') {
		len = (uint8_t)strcspn(name, ".");
		put(m, &len, 1);
		put(m, name, len);
		name += len + (name[len] == '.');
	}
	put(m, "", 1);
}

/* RFC 1035 4.1.3, but for the octets of data that follow. */
static void
put_record(struct message *m, const char *name, unsigned int type, uint32_t ttl,
    size_t len)
{
	put_name(m, name);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	put16(m, (unsigned int)len);
}

/* Returns how many records that made. */
static unsigned int
put_addresses(struct message *m, const struct record *r, unsigned int type)
{
	const char *text = type == TYPE_A ? r->a : r->aaaa;
	size_t len = type == TYPE_A ? 4 : 16;
	unsigned int i, n = r->copies > 0 ? r->copies : 1;
	uint8_t address[16];

	if (text == NULL)
		return 0;
	assert_int_equal(
	    inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, address), 1);
	for (i = 0; i < n; i++) {
		put_record(m, r->alias != NULL ? r->alias : r->name, type,
		    r->ttl, len);
		put(m, address, len);
		address[len - 1]++;
	}
	return n;
}

static unsigned int
put_alias(struct message *m, const struct record *r)
{
	if (r->alias == NULL)
		return 0;
	put_record(m, r->name, TYPE_CNAME, r->alias_ttl, strlen(r->alias) + 2);
	put_name(m, r->alias);
	return 1;
}

/* The answer to the one question in q. */
static void
answer(const uint8_t *q, size_t len, bool may_truncate, struct message *m)
{
	char name[256] = "";
	const struct record *r;
	unsigned int answers = 0, flags, type;
	size_t at = HEADER;

	while (at < len && q[at] != 0) {
		snprintf(name + strlen(name), sizeof(name) - strlen(name),
		    "%s%.*s", name[0] == '\0' ? "" : ".", q[at], &q[at + 1]);
		at += q[at] + 1U;
	}
	assert_true(at + 5 <= len);
	type = q[at + 1] * 256U + q[at + 2];
	r = find_record(name);

	flags = 0x8180 | (r == NULL ? RCODE_NXDOMAIN : r->rcode);
	if (r != NULL && r->truncated && may_truncate)
		flags |= 0x0200;
	m->len = 0;
	put(m, q, at + 5);
	if (r != NULL && r->rcode == 0 && (flags & 0x0200) == 0) {
		answers = put_alias(m, r);
		answers += put_addresses(m, r, type);
	}
	m->octets[2] = (uint8_t)(flags >> 8);
	m->octets[3] = (uint8_t)flags;
	memset(&m->octets[6], 0, 6);
	m->octets[7] = (uint8_t)answers;
}

static void
on_udp(int fd, short what, void *arg)
{
	uint8_t q[MESSAGE_MAX];
	struct sockaddr_in from;
	socklen_t fromlen = sizeof(from);
	struct message m;
	ssize_t n;

	(void)what;
	(void)arg;
	n = recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &fromlen);
	assert_true(n > HEADER);
	asked++;
	if (deaf > 0) {
		deaf--;
		return;
	}
	answer(q, (size_t)n, true, &m);
	assert_int_equal(
	    sendto(fd, m.octets, m.len, 0, (struct sockaddr *)&from, fromlen),
	    m.len);
}

/* One question, then wait for the next. */
static void
on_client(int fd, short what, void *arg)
{
	uint8_t q[MESSAGE_MAX], len[2];
	struct message m;
	size_t n;

	(void)what;
	(void)arg;
	if (recv(fd, len, 2, MSG_WAITALL) != 2) {
		close(fd);
		return;
	}
	n = len[0] * 256U + len[1];
	assert_true(n > HEADER && n <= sizeof(q));
	assert_int_equal(recv(fd, q, n, MSG_WAITALL), n);
	asked_tcp++;
	answer(q, n, false, &m);
	len[0] = (uint8_t)(m.len >> 8);
	len[1] = (uint8_t)m.len;
	assert_int_equal(send(fd, len, 2, 0), 2);
	assert_int_equal(send(fd, m.octets, m.len, 0), m.len);
	event_base_once(base, fd, EV_READ, on_client, NULL, NULL);
}

static void
on_tcp(int fd, short what, void *arg)
{
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)what;
	(void)arg;
	assert_int_not_equal(client, -1);
	event_base_once(base, client, EV_READ, on_client, NULL, NULL);
}

/* One port for both, as c-ares takes it to be. */
static void
open_servers(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	struct addr a;

	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(bind(udp, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(tcp, 8), 0);
	assert_int_equal(addr_local(udp, &a), 0);
	addr_print(&a, servers);
}

static int
setup(void **state)
{
	(void)state;
	asked = asked_tcp = hosts_read = deaf = 0;
	*change = changing;
	base = event_base_new();
	assert_non_null(base);
	open_servers();
	udp_ev = event_new(base, udp, EV_READ | EV_PERSIST, on_udp, NULL);
	tcp_ev = event_new(base, tcp, EV_READ | EV_PERSIST, on_tcp, NULL);
	event_add(udp_ev, NULL);
	event_add(tcp_ev, NULL);
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
	event_free(udp_ev);
	event_free(tcp_ev);
	close(udp);
	close(tcp);
	event_base_free(base);
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
		asked = 0;
		assert_false(begin(&a, "change.test"));
		wait_for(&a, 1);
		assert_true(has(&a, "192.0.2.1"));
		assert_int_equal(asked, cases[i].asked);

		/* Remembered for 5 s. */
		skew += 3;
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.1"));
		event_base_loop(base, EVLOOP_NONBLOCK);
		assert_int_equal(asked, cases[i].asked);

		/* Asked again, but nobody has to wait for it. */
		skew += 3;
		asked = 0;
		*change = changing;
		change->a = "192.0.2.2";
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.1"));
		wait_asked(2);
		event_base_loop(base, EVLOOP_NONBLOCK);
		assert_true(begin(&a, "change.test"));
		assert_true(has(&a, "192.0.2.2"));
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
	event_base_loop(base, EVLOOP_NONBLOCK);
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
	event_base_loop(base, EVLOOP_NONBLOCK);
	dns_free(&dns);
	assert_int_equal(a[0].told + a[1].told + a[2].told, 0);
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

static void
discard(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
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

	log_set_sink(discard, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
