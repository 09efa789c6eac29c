/* SPDX-License-Identifier: ISC */
/*
 * dns_fake: the world as c-ares sees it, for the tests of what asks it.  A name
 * server runs in the test's own loop; the clock and the files are ours, too:
 * clock_gettime() and fopen() of this program come before libc's.  Included
 * once by a test program.
 */
#ifndef DNS_FAKE_H
#define DNS_FAKE_H

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

#define MESSAGE_MAX 1024
#define HEADER 12 /* RFC 1035 4.1.1 */

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_PTR = 12, TYPE_AAAA = 28 };
enum { RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

static time_t skew; /* how far our clock is ahead */

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_MONOTONIC ||
	    id == CLOCK_MONOTONIC_COARSE) /* libevent's */
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
	const char *a, *aaaa, *ptr;
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
	/* clients: their addresses' names, and those names' addresses */
	{ .name = "1.2.0.192.in-addr.arpa", .ptr = "v4.test" },
	{ .name = "9.2.0.192.in-addr.arpa", .ptr = "v4.test" },
	{ .name = "10.2.0.192.in-addr.arpa", .ptr = "unknown.test" },
	{ .name = "11.2.0.192.in-addr.arpa", .ptr = "a b.test" },
	{ .name = "12.2.0.192.in-addr.arpa", .ptr = "-a.test" },
	{ .name = "5.2.0.192.in-addr.arpa", .ptr = "192.0.2.5" },
	{ .name = "14.2.0.192.in-addr.arpa", .ptr = "big.test" },
	{ .name = "7.2.0.192.in-addr.arpa", .ptr = "big.test" },
	{ .name = "16.2.0.192.in-addr.arpa", .rcode = RCODE_SERVFAIL },
	{ .name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0."
	          "1.0.0.2.ip6.arpa",
	    .ptr = "both.test" },
	{ .name = "17.2.0.192.in-addr.arpa", .ptr = "client.test", .ttl = 9 },
	{ .name = "client.test", .a = "192.0.2.17", .ttl = 300 },
	{ .name = "change.test" },
};

static struct event_base *base;
static struct event *udp_ev, *tcp_ev;
static int udp = -1, tcp = -1;
static unsigned int asked, asked_tcp; /* questions that came */
static unsigned int deaf;             /* so many over UDP get no answer */
static char servers[ADDR_STRLEN];

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
put_ptr(struct message *m, const struct record *r)
{
	if (r->ptr == NULL)
		return 0;
	put_record(m, r->name, TYPE_PTR, r->ttl, strlen(r->ptr) + 2);
	put_name(m, r->ptr);
	return 1;
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
		answers += type == TYPE_PTR ? put_ptr(m, r)
		                            : put_addresses(m, r, type);
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

/* Start it, at a free port: one for both, as c-ares takes it to be. */
static void
name_server_start(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	struct addr a;

	asked = asked_tcp = hosts_read = deaf = 0;
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(bind(udp, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(tcp, 8), 0);
	assert_int_equal(addr_local(udp, &a), 0);
	addr_print(&a, servers);

	base = event_base_new();
	assert_non_null(base);
	udp_ev = event_new(base, udp, EV_READ | EV_PERSIST, on_udp, NULL);
	tcp_ev = event_new(base, tcp, EV_READ | EV_PERSIST, on_tcp, NULL);
	assert_int_equal(event_add(udp_ev, NULL), 0);
	assert_int_equal(event_add(tcp_ev, NULL), 0);
}

static void
name_server_stop(void)
{
	event_free(udp_ev);
	event_free(tcp_ev);
	close(udp);
	close(tcp);
	event_base_free(base);
}

#endif
