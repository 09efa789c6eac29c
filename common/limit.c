/* SPDX-License-Identifier: ISC */
/*
 * limit: the book of who is connected.  Runs in the broker, which learns
 * addresses from the kernel and all else from workers.
 *
 * The book has two copies.  The broker works on its own, made of a pool of
 * fixed size and trees over it.  Every change is written through to the
 * shared memory, which is read but once, by limit_new(): what stands there
 * may come from a broker that somebody had captured, so each slot is copied,
 * checked, and believed only as far as it makes sense by itself.  No index
 * or pointer is in it.  Number i of the pool is slot i of the memory.
 */
#include <sys/queue.h>
#include <sys/tree.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "xmalloc.h"

#define LIMIT_FORMAT 0x4c494d02U /* another number for another layout */

/* The shared memory: a header, then connections. */
struct header {
	_Atomic uint32_t format;
	uint32_t connections;
};
_Static_assert(sizeof(struct header) % 8 == 0, "slots want alignment");

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
	unsigned int old;   /* those of old generations */
};

struct connection {
	RB_ENTRY(connection) entry;
	STAILQ_ENTRY(connection) spare;
	struct host *host;
	struct addr addr;
	uint32_t worker;
	uint32_t session;
};

RB_HEAD(limit_hosts, host);
RB_HEAD(limit_connections, connection);
STAILQ_HEAD(limit_spares, connection);

struct old_book {
	SLIST_ENTRY(old_book) entry;
	const struct header *header;
	size_t size;
};

struct limit {
	unsigned int connections, max_all, max_address;
	unsigned int count, old; /* here; of old generations */
	SLIST_HEAD(, old_book) old_books;
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

static struct host *
make_host(struct limit *l, const struct addr *a)
{
	struct host *host = find_host(l, a);

	if (host != NULL)
		return host;
	host = xcalloc(1, sizeof(*host));
	host->net = addr_net(a);
	RB_INSERT(limit_hosts, &l->hosts, host);
	return host;
}

static void
drop_if_empty(struct limit *l, struct host *host)
{
	if (host->count > 0 || host->old > 0)
		return;
	RB_REMOVE(limit_hosts, &l->hosts, host);
	free(host);
}

/* Enter c, whose addr, worker and session are set, in the indexes. */
static void
index_connection(struct limit *l, struct connection *c)
{
	c->host = make_host(l, &c->addr);
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
	c->host->count--;
	drop_if_empty(l, c->host);
	c->host = NULL;
	/* Its slot tells of it for as long as may be: limit_book_has(). */
	STAILQ_INSERT_TAIL(&l->spares, c, spare);
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
		STAILQ_INSERT_HEAD(&l->spares, &l->pool[i], spare);
	}
}

size_t
limit_size(unsigned int connections)
{
	return sizeof(struct header) +
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
	STAILQ_INIT(&l->spares);
	SLIST_INIT(&l->old_books);

	if (h->format != LIMIT_FORMAT || h->connections != connections) {
		memset(mem, 0, limit_size(connections));
		h->connections = connections;
		h->format = LIMIT_FORMAT;
	}
	l->slots = (void *)(h + 1);
	load_connections(l);
	return l;
}

void
limit_free(struct limit **lp)
{
	struct limit *l = *lp;
	struct host *host, *next;
	struct old_book *b;

	if (l == NULL)
		return;
	for (host = RB_MIN(limit_hosts, &l->hosts); host != NULL; host = next) {
		next = RB_NEXT(limit_hosts, &l->hosts, host);
		RB_REMOVE(limit_hosts, &l->hosts, host);
		free(host);
	}
	while ((b = SLIST_FIRST(&l->old_books)) != NULL) {
		SLIST_REMOVE_HEAD(&l->old_books, entry);
		free(b);
	}
	free(l->pool);
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
	/* First: it is not to have others give way for it. */
	if (l->max_address != 0 && limit_count_address(l, a) >= l->max_address)
		return LIMIT_TOO_MANY_ADDRESS;
	if ((l->max_all != 0 && limit_count(l) >= l->max_all) ||
	    STAILQ_EMPTY(&l->spares))
		return LIMIT_TOO_MANY;

	c = STAILQ_FIRST(&l->spares);
	STAILQ_REMOVE_HEAD(&l->spares, spare);
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
	return l->count + l->old;
}

unsigned int
limit_count_address(struct limit *l, const struct addr *a)
{
	struct host *host = find_host(l, a);

	return host != NULL ? host->count + host->old : 0;
}

/* Does mem begin a book that is whole and of our layout? */
static bool
is_book(const struct header *h, size_t size)
{
	return size >= limit_size(0) &&
	    atomic_load(&h->format) == LIMIT_FORMAT &&
	    size >= limit_size(h->connections);
}

bool
limit_book_has(
    const void *mem, size_t size, uint32_t worker, const struct addr *a)
{
	const struct header *h = mem;
	const struct addr_net net = addr_net(a);
	const struct connection_slot *slot;
	struct addr_net other;
	struct addr copy, parsed;
	size_t i, n;

	if (!is_book(h, size))
		return false;
	slot = (const void *)(h + 1);
	n = (size - limit_size(0)) / sizeof(*slot);
	for (i = 0; i < n; i++) {
		if (slot[i].worker != worker)
			continue;
		copy = slot[i].addr;
		if (addr_from_sockaddr(&copy.sa, sizeof(copy), &parsed) == -1)
			continue;
		other = addr_net(&parsed);
		if (addr_net_compare(&other, &net) == 0)
			return true;
	}
	return false;
}

void
limit_add_old(struct limit *l, const void *mem, size_t size)
{
	struct old_book *b = xcalloc(1, sizeof(*b));

	b->header = mem;
	b->size = size;
	SLIST_INSERT_HEAD(&l->old_books, b, entry);
}

static void
forget_old_counts(struct limit *l)
{
	struct host *host, *next;

	for (host = RB_MIN(limit_hosts, &l->hosts); host != NULL; host = next) {
		next = RB_NEXT(limit_hosts, &l->hosts, host);
		host->old = 0;
		drop_if_empty(l, host);
	}
	l->old = 0;
}

/* The other broker may write in it at this very moment, or be captured. */
static void
count_old(struct limit *l, const struct old_book *b)
{
	const struct connection_slot *slot = (const void *)(b->header + 1);
	size_t i, n = (b->size - limit_size(0)) / sizeof(*slot);
	struct addr copy, a;

	for (i = 0; i < n; i++) {
		if (atomic_load(&slot[i].used) != 1)
			continue;
		copy = slot[i].addr;
		if (addr_from_sockaddr(&copy.sa, sizeof(copy), &a) == -1)
			continue;
		make_host(l, &a)->old++;
		l->old++;
	}
}

bool
limit_look_at_old(struct limit *l)
{
	struct old_book *b, *next;

	forget_old_counts(l);
	for (b = SLIST_FIRST(&l->old_books); b != NULL; b = next) {
		next = SLIST_NEXT(b, entry);
		if (is_book(b->header, b->size)) {
			count_old(l, b);
			continue;
		}
		SLIST_REMOVE(&l->old_books, b, old_book, entry);
		free(b);
	}
	return !SLIST_EMPTY(&l->old_books);
}
