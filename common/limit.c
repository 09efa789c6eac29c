/* SPDX-License-Identifier: ISC */
/*
 * limit: the book of who is connected and who failed to log in.  Runs in the
 * broker, which learns addresses from the kernel and all else from workers.
 *
 * The book has two copies.  The broker works on its own, made of a pool of
 * fixed size and trees over it.  Every change is written through to the
 * shared memory, which is read but once, by limit_new(): what stands there
 * may come from a broker that somebody had captured, so each slot is copied,
 * checked, and believed only as far as it makes sense by itself.  No index
 * or pointer is in it.  Number i of the pool is slot i of the memory.  The
 * failed logins are in a file of their own, and kept in the same way.
 */
#include <sys/queue.h>
#include <sys/tree.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "failures.h"
#include "limit.h"
#include "xmalloc.h"

#define LIMIT_FORMAT 0x4c494d01U /* another number for another layout */

#define DELAY_FIRST 2000 /* milliseconds */
#define DELAY_STEP 500
#define DELAY_MAX 4000

/* The shared memory: a header, then failures, then connections. */
struct header {
	uint32_t format;
	uint32_t connections;
};
_Static_assert(sizeof(struct header) % 8 == 0, "failures want alignment");

struct connection_slot {
	struct addr addr;
	uint32_t worker;
	uint32_t session;
	_Atomic uint32_t used; /* 1: yes; cleared first and written last */
};

struct host {
	RB_ENTRY(host) entry;
	struct addr_net net;
	unsigned int count; /* connections */
};

struct connection {
	RB_ENTRY(connection) entry;
	SLIST_ENTRY(connection) spare;
	struct host *host;
	struct addr addr;
	uint32_t worker;
	uint32_t session;
};

RB_HEAD(limit_hosts, host);
RB_HEAD(limit_connections, connection);
SLIST_HEAD(limit_spares, connection);

struct limit {
	unsigned int connections, max_all, max_address;
	unsigned int count;
	struct failures *failures;
	struct connection_slot *slots; /* in shared memory */
	struct connection *pool;
	struct limit_hosts hosts;
	struct limit_connections by_id;
	struct limit_spares spares;
};

static int
compare_host(struct host *a, struct host *b)
{
	return addr_net_compare(&a->net, &b->net);
}

/* By worker first, so that a worker's connections are neighbours. */
static int
compare_id(struct connection *a, struct connection *b)
{
	if (a->worker != b->worker)
		return a->worker < b->worker ? -1 : 1;
	return (a->session > b->session) - (a->session < b->session);
}

RB_PROTOTYPE(limit_hosts, host, entry, compare_host)
RB_PROTOTYPE(limit_connections, connection, entry, compare_id)
RB_GENERATE(limit_hosts, host, entry, compare_host)
RB_GENERATE(limit_connections, connection, entry, compare_id)

static struct host *
find_host(struct limit *l, const struct addr *a)
{
	struct host key = { .net = addr_net(a) };

	return RB_FIND(limit_hosts, &l->hosts, &key);
}

static struct connection *
find_connection(struct limit *l, uint32_t worker, uint32_t session)
{
	struct connection key = { .worker = worker, .session = session };

	return RB_FIND(limit_connections, &l->by_id, &key);
}

/* Enter c, whose addr, worker and session are set, in the indexes. */
static void
index_connection(struct limit *l, struct connection *c)
{
	c->host = find_host(l, &c->addr);
	if (c->host == NULL) {
		c->host = xcalloc(1, sizeof(*c->host));
		c->host->net = addr_net(&c->addr);
		RB_INSERT(limit_hosts, &l->hosts, c->host);
	}
	c->host->count++;
	l->count++;
	RB_INSERT(limit_connections, &l->by_id, c);
}

static void
drop_connection(struct limit *l, struct connection *c)
{
	atomic_store(&l->slots[c - l->pool].used, 0);
	RB_REMOVE(limit_connections, &l->by_id, c);
	l->count--;
	if (--c->host->count == 0) {
		RB_REMOVE(limit_hosts, &l->hosts, c->host);
		free(c->host);
	}
	c->host = NULL;
	SLIST_INSERT_HEAD(&l->spares, c, spare);
}

/* Take a connection from its slot.  False: free, or makes no sense. */
static bool
load_connection(
    struct limit *l, struct connection_slot *slot, struct connection *c)
{
	struct addr a = slot->addr;

	if (atomic_load(&slot->used) != 1 ||
	    addr_from_sockaddr(&a.sa, sizeof(a), &c->addr) == -1)
		return false;
	c->worker = slot->worker;
	c->session = slot->session;
	return find_connection(l, c->worker, c->session) == NULL;
}

static void
load_connections(struct limit *l)
{
	unsigned int i;

	l->pool = xcalloc(l->connections + 1UL, sizeof(*l->pool));
	for (i = 0; i < l->connections; i++) {
		if (load_connection(l, &l->slots[i], &l->pool[i])) {
			index_connection(l, &l->pool[i]);
			continue;
		}
		atomic_store(&l->slots[i].used, 0);
		SLIST_INSERT_HEAD(&l->spares, &l->pool[i], spare);
	}
}

size_t
limit_size(unsigned int connections)
{
	return sizeof(struct header) + failures_size() +
	    connections * sizeof(struct connection_slot);
}

struct limit *
limit_new(void *mem, unsigned int connections, unsigned int max_all,
    unsigned int max_address)
{
	struct limit *l = xcalloc(1, sizeof(*l));
	struct header *h = mem;

	l->connections = connections;
	l->max_all = max_all;
	l->max_address = max_address;
	RB_INIT(&l->hosts);
	RB_INIT(&l->by_id);
	SLIST_INIT(&l->spares);

	if (h->format != LIMIT_FORMAT || h->connections != connections) {
		memset(mem, 0, limit_size(connections));
		h->connections = connections;
		h->format = LIMIT_FORMAT;
	}
	l->failures = failures_new(h + 1);
	l->slots = (void *)((char *)(h + 1) + failures_size());
	load_connections(l);
	return l;
}

void
limit_free(struct limit **lp)
{
	struct limit *l = *lp;
	struct host *host, *next;

	if (l == NULL)
		return;
	for (host = RB_MIN(limit_hosts, &l->hosts); host != NULL; host = next) {
		next = RB_NEXT(limit_hosts, &l->hosts, host);
		RB_REMOVE(limit_hosts, &l->hosts, host);
		free(host);
	}
	free(l->pool);
	failures_free(&l->failures);
	free(l);
	*lp = NULL;
}

enum limit_verdict
limit_admit(
    struct limit *l, uint32_t worker, uint32_t session, const struct addr *a)
{
	struct connection_slot *slot;
	struct connection *c;

	/* A number that comes again has a new client: the old one is gone. */
	limit_release(l, worker, session);
	if ((l->max_all != 0 && l->count >= l->max_all) ||
	    SLIST_EMPTY(&l->spares))
		return LIMIT_TOO_MANY;
	if (l->max_address != 0 && limit_count_address(l, a) >= l->max_address)
		return LIMIT_TOO_MANY_ADDRESS;

	c = SLIST_FIRST(&l->spares);
	SLIST_REMOVE_HEAD(&l->spares, spare);
	c->addr = *a;
	c->worker = worker;
	c->session = session;
	index_connection(l, c);

	slot = &l->slots[c - l->pool];
	slot->addr = *a;
	slot->worker = worker;
	slot->session = session;
	atomic_store(&slot->used, 1);
	return LIMIT_OK;
}

void
limit_release(struct limit *l, uint32_t worker, uint32_t session)
{
	struct connection *c = find_connection(l, worker, session);

	if (c != NULL)
		drop_connection(l, c);
}

int
limit_address(
    struct limit *l, uint32_t worker, uint32_t session, struct addr *a)
{
	struct connection *c = find_connection(l, worker, session);

	if (c == NULL)
		return -1;
	*a = c->addr;
	return 0;
}

/* A list of numbers as a set: sorted, so that it can be searched. */
struct numbers {
	uint32_t *v;
	size_t n;
};

static int
compare_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct numbers
numbers_of(const uint32_t *v, size_t n)
{
	struct numbers set = { NULL, n };

	if (n == 0)
		return set;
	set.v = xcalloc(n, sizeof(*v));
	memcpy(set.v, v, n * sizeof(*v));
	qsort(set.v, n, sizeof(*v), compare_number);
	return set;
}

static bool
has_number(const struct numbers *set, uint32_t number)
{
	return set->n > 0 &&
	    bsearch(&number, set->v, set->n, sizeof(number), compare_number) !=
	    NULL;
}

void
limit_reconcile(
    struct limit *l, uint32_t worker, const uint32_t *held, size_t n)
{
	struct numbers set = numbers_of(held, n);
	struct connection key = { .worker = worker };
	struct connection *c, *next;

	c = RB_NFIND(limit_connections, &l->by_id, &key);
	for (; c != NULL && c->worker == worker; c = next) {
		next = RB_NEXT(limit_connections, &l->by_id, c);
		if (!has_number(&set, c->session))
			drop_connection(l, c);
	}
	free(set.v);
}

unsigned int
limit_forget_worker(struct limit *l, uint32_t worker)
{
	unsigned int before = l->count;

	limit_reconcile(l, worker, NULL, 0);
	return before - l->count;
}

void
limit_keep_workers(struct limit *l, const uint32_t *workers, size_t n)
{
	struct numbers set = numbers_of(workers, n);
	struct connection *c, *next;

	c = RB_MIN(limit_connections, &l->by_id);
	for (; c != NULL; c = next) {
		next = RB_NEXT(limit_connections, &l->by_id, c);
		if (!has_number(&set, c->worker))
			drop_connection(l, c);
	}
	free(set.v);
}

unsigned int
limit_count(const struct limit *l)
{
	return l->count;
}

unsigned int
limit_count_address(struct limit *l, const struct addr *a)
{
	struct host *host = find_host(l, a);

	return host != NULL ? host->count : 0;
}

void
limit_failed(struct limit *l, const struct addr *a, time_t now)
{
	failures_add(l->failures, addr_net(a), now);
}

void
limit_succeeded(struct limit *l, const struct addr *a)
{
	failures_remove(l->failures, addr_net(a));
}

unsigned int
limit_failures(struct limit *l, const struct addr *a, time_t now)
{
	return failures_count(l->failures, addr_net(a), now);
}

uint32_t
limit_delay(struct limit *l, const struct addr *a, time_t now)
{
	unsigned int n = limit_failures(l, a, now);

	if (n >= (DELAY_MAX - DELAY_FIRST) / DELAY_STEP)
		return DELAY_MAX;
	return DELAY_FIRST + n * DELAY_STEP;
}
