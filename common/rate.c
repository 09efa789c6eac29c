/* SPDX-License-Identifier: ISC */
/*
 * rate: counters by user, in memory that is bounded.  Runs in the broker; the
 * names are a worker's word.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "rate.h"
#include "xmalloc.h"

struct counter {
	RB_ENTRY(counter) node;
	TAILQ_ENTRY(counter) entry;
	struct text user; /* octets */
	char *octets;
	unsigned int n;
	time_t began;
};

RB_HEAD(counter_tree, counter);

struct rate {
	unsigned int limit;
	size_t places, used;
	struct counter_tree tree;
	TAILQ_HEAD(, counter) list; /* who began first is in front */
};

static int
compare(const struct counter *a, const struct counter *b)
{
	if (a->user.len != b->user.len)
		return a->user.len < b->user.len ? -1 : 1;
	return strncasecmp(a->user.p, b->user.p, a->user.len);
}

RB_PROTOTYPE(counter_tree, counter, node, compare)
RB_GENERATE(counter_tree, counter, node, compare)

struct rate *
rate_new(unsigned int limit, size_t places)
{
	struct rate *r = xcalloc(1, sizeof(*r));

	r->limit = limit;
	r->places = places;
	RB_INIT(&r->tree);
	TAILQ_INIT(&r->list);
	return r;
}

static void
forget_first(struct rate *r)
{
	struct counter *c = TAILQ_FIRST(&r->list);

	RB_REMOVE(counter_tree, &r->tree, c);
	TAILQ_REMOVE(&r->list, c, entry);
	free(c->octets);
	free(c);
	r->used--;
}

void
rate_free(struct rate **rp)
{
	struct rate *r = *rp;

	if (r == NULL)
		return;
	while (r->used > 0)
		forget_first(r);
	free(r);
	*rp = NULL;
}

static struct counter *
begin(struct rate *r, struct text user, time_t now)
{
	struct counter *c = xcalloc(1, sizeof(*c));

	if (r->used == r->places)
		forget_first(r);
	c->octets = xstrndup(user.p, user.len);
	c->user = (struct text){ c->octets, user.len };
	c->began = now;
	RB_INSERT(counter_tree, &r->tree, c);
	TAILQ_INSERT_TAIL(&r->list, c, entry);
	r->used++;
	return c;
}

bool
rate_take(struct rate *r, struct text user, time_t now)
{
	struct counter key, *c;

	if (r->limit == 0)
		return true;
	if (user.len > RATE_NAME_MAX)
		user.len = RATE_NAME_MAX;
	key.user = user;
	while ((c = TAILQ_FIRST(&r->list)) != NULL &&
	    now >= c->began + RATE_SECONDS)
		forget_first(r);
	c = RB_FIND(counter_tree, &r->tree, &key);
	if (c == NULL)
		c = begin(r, user, now);
	if (c->n >= r->limit)
		return false;
	c->n++;
	return true;
}
