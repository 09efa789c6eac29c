/* SPDX-License-Identifier: ISC */
/*
 * failures: the book of failed logins.  Runs in the broker, and keeps two
 * copies as limit does: its own, which it works on, and the shared one, which
 * is written through and read but once, with suspicion.
 */
#include <sys/queue.h>
#include <sys/tree.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "failures.h"
#include "xmalloc.h"

#define FAILURES_MAX 4096       /* networks remembered */
#define FAILURES_AGE 600        /* seconds without a failure: forgotten */
#define FAILURES_COUNT_MAX 1000 /* more than that is not counted */

/* Shared. */
struct failed_slot {
	uint64_t net;
	int64_t last;
	uint32_t family;
	_Atomic uint32_t count; /* 0: free; cleared first and written last */
};

/* Ours; number i of the pool is slot i of the shared memory. */
struct failed {
	RB_ENTRY(failed) entry;
	TAILQ_ENTRY(failed) age;
	struct addr_net net;
	int64_t last;
	uint32_t count; /* 0: free, and not in the tree */
};

RB_HEAD(failed_tree, failed);
TAILQ_HEAD(failed_list, failed);

struct failures {
	struct failed_slot *slots;
	struct failed *pool;
	struct failed_tree by_net;
	struct failed_list by_age; /* all: free ones, then by last */
};

static int
compare_failed(struct failed *a, struct failed *b)
{
	return addr_net_compare(&a->net, &b->net);
}

RB_PROTOTYPE(failed_tree, failed, entry, compare_failed)
RB_GENERATE(failed_tree, failed, entry, compare_failed)

static struct failed *
find_failed(struct failures *f, struct addr_net net)
{
	struct failed key = { .net = net };

	return RB_FIND(failed_tree, &f->by_net, &key);
}

/* Take an entry from its slot.  False: free, or makes no sense. */
static bool
load_failed(struct failures *f, struct failed_slot *slot, struct failed *e)
{
	uint32_t count = atomic_load(&slot->count);

	e->net = (struct addr_net){ slot->family, slot->net };
	e->last = slot->last;
	if (count == 0 || count > FAILURES_COUNT_MAX || e->last < 0 ||
	    (e->net.family != AF_INET && e->net.family != AF_INET6) ||
	    find_failed(f, e->net) != NULL)
		return false;
	e->count = count;
	return true;
}

/* For qsort(3): free ones first, then those that failed longest ago. */
static int
compare_age(const void *a, const void *b)
{
	const struct failed *x = *(const struct failed *const *)a;
	const struct failed *y = *(const struct failed *const *)b;

	if (x->count == 0 || y->count == 0)
		return (x->count > 0) - (y->count > 0);
	return (x->last > y->last) - (x->last < y->last);
}

static void
load_failures(struct failures *f)
{
	struct failed **ages;
	size_t i;

	ages = xcalloc(FAILURES_MAX, sizeof(struct failed *));
	for (i = 0; i < FAILURES_MAX; i++) {
		ages[i] = &f->pool[i];
		if (load_failed(f, &f->slots[i], ages[i]))
			RB_INSERT(failed_tree, &f->by_net, ages[i]);
		else
			atomic_store(&f->slots[i].count, 0);
	}
	qsort(ages, FAILURES_MAX, sizeof(struct failed *), compare_age);
	for (i = 0; i < FAILURES_MAX; i++)
		TAILQ_INSERT_TAIL(&f->by_age, ages[i], age);
	free(ages);
}

size_t
failures_size(void)
{
	return FAILURES_MAX * sizeof(struct failed_slot);
}

struct failures *
failures_new(void *mem)
{
	struct failures *f = xcalloc(1, sizeof(*f));

	f->slots = mem;
	f->pool = xcalloc(FAILURES_MAX, sizeof(*f->pool));
	RB_INIT(&f->by_net);
	TAILQ_INIT(&f->by_age);
	load_failures(f);
	return f;
}

void
failures_free(struct failures **fp)
{
	struct failures *f = *fp;

	if (f == NULL)
		return;
	free(f->pool);
	free(f);
	*fp = NULL;
}

/* A time to come is from a book that makes no sense, and counts for nothing. */
static bool
is_recent(const struct failed *e, time_t now)
{
	return e->last <= now && now - e->last < FAILURES_AGE;
}

/* An entry for net, in the place of the one that failed longest ago. */
static struct failed *
recycle(struct failures *f, struct addr_net net)
{
	struct failed *e = TAILQ_FIRST(&f->by_age);

	if (e->count > 0)
		RB_REMOVE(failed_tree, &f->by_net, e);
	e->net = net;
	e->count = 0;
	RB_INSERT(failed_tree, &f->by_net, e);
	return e;
}

void
failures_add(struct failures *f, struct addr_net net, time_t now)
{
	struct failed *e = find_failed(f, net);
	struct failed_slot *slot;

	if (e == NULL)
		e = recycle(f, net);
	else if (!is_recent(e, now))
		e->count = 0;
	if (e->count < FAILURES_COUNT_MAX)
		e->count++;
	e->last = now;
	TAILQ_REMOVE(&f->by_age, e, age);
	TAILQ_INSERT_TAIL(&f->by_age, e, age);

	slot = &f->slots[e - f->pool];
	atomic_store(&slot->count, 0);
	slot->net = e->net.net;
	slot->family = e->net.family;
	slot->last = e->last;
	atomic_store(&slot->count, e->count);
}

void
failures_remove(struct failures *f, struct addr_net net)
{
	struct failed *e = find_failed(f, net);

	if (e == NULL)
		return;
	atomic_store(&f->slots[e - f->pool].count, 0);
	RB_REMOVE(failed_tree, &f->by_net, e);
	e->count = 0;
	TAILQ_REMOVE(&f->by_age, e, age);
	TAILQ_INSERT_HEAD(&f->by_age, e, age);
}

unsigned int
failures_count(struct failures *f, struct addr_net net, time_t now)
{
	struct failed *e = find_failed(f, net);

	return e != NULL && is_recent(e, now) ? e->count : 0;
}
