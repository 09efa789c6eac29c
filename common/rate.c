/* SPDX-License-Identifier: ISC */
/*
 * rate: counters by user, in memory of a fixed size.  Runs in the broker; the
 * names are a worker's word.  The memory may be shared: with the broker that
 * comes when this one dies, and with those of old generations, which count at
 * the same time.  So a user has a slot of two numbers, each written at once;
 * what two brokers do to one slot in the same instant may cost a count, and
 * nothing else.  No name is in it, but a hash: who makes two names collide
 * shares the counter of somebody who is only as bad as he is.
 */
#include <ctype.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "rate.h"
#include "xmalloc.h"

/* Places that a user can have: the oldest of them makes room. */
#define WAYS 8

struct slot {
	_Atomic uint64_t key;   /* 0: free */
	_Atomic uint64_t state; /* when it began, in 32 bits, and how often */
};

struct rate {
	unsigned int limit;
	size_t buckets, ways;
	struct slot *slots;
	struct slot *own; /* to be freed; NULL: the memory is the caller's */
};

size_t
rate_size(size_t places)
{
	return places * sizeof(struct slot);
}

struct rate *
rate_new(unsigned int limit, size_t places, void *mem)
{
	struct rate *r = xcalloc(1, sizeof(*r));

	r->limit = limit;
	r->ways = places < WAYS ? places : WAYS;
	r->buckets = places / r->ways;
	if (mem == NULL)
		mem = r->own = xcalloc(places, sizeof(struct slot));
	r->slots = mem;
	return r;
}

void
rate_free(struct rate **r)
{
	if (*r == NULL)
		return;
	free((*r)->own);
	free(*r);
	*r = NULL;
}

/* FNV-1a, of 64 bits. */
static uint64_t
key_of(struct text user)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	if (user.len > RATE_NAME_MAX)
		user.len = RATE_NAME_MAX;
	for (i = 0; i < user.len; i++) {
		h ^= (uint64_t)tolower((unsigned char)user.p[i]);
		h *= UINT64_C(0x100000001b3);
	}
	return h != 0 ? h : 1;
}

static uint32_t
began(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

/* One that begins in the future makes no sense. */
static bool
is_over(const struct slot *s, uint32_t now)
{
	uint32_t from = began(atomic_load(&s->state));

	return atomic_load(&s->key) == 0 || from > now ||
	    now - from >= RATE_SECONDS;
}

/* His slot, or the one that he gets: a free one, or the oldest. */
static struct slot *
find(struct rate *r, uint64_t key, uint32_t now)
{
	struct slot *s = r->slots + key % r->buckets * r->ways, *best = NULL;
	size_t i;

	for (i = 0; i < r->ways; i++, s++) {
		if (is_over(s, now)) {
			if (best == NULL || !is_over(best, now))
				best = s;
			continue;
		}
		if (atomic_load(&s->key) == key)
			return s;
		if (best == NULL ||
		    (!is_over(best, now) &&
		        began(atomic_load(&s->state)) <
		            began(atomic_load(&best->state))))
			best = s;
	}
	atomic_store(&best->state, (uint64_t)now << 32);
	atomic_store(&best->key, key);
	return best;
}

bool
rate_take(struct rate *r, struct text user, time_t now)
{
	struct slot *s;
	uint64_t state;

	if (r->limit == 0)
		return true;
	s = find(r, key_of(user), (uint32_t)now);
	state = atomic_load(&s->state);
	do {
		if ((uint32_t)state >= r->limit)
			return false;
	} while (!atomic_compare_exchange_weak(&s->state, &state, state + 1));
	return true;
}
