/* SPDX-License-Identifier: ISC */
/*
 * ledger: the table of counts.  Runs in brokers, which write it, in
 * authenticators, which can only read it, and in the administrator's command.
 * It trusts nothing that stands in the table: another daemon's broker may have
 * been captured, or killed in the middle of a change.
 *
 * The table is buckets of WAYS places.  An entry is in the bucket that its key
 * says, or nowhere.
 */
#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "siphash.h"
#include "xmalloc.h"

/* Another one: another layout. */
#define LEDGER_MAGIC UINT64_C(0x3152474452414c52)
#define WAYS 8
#define KIND_BITS 7U    /* the lowest of a key */
#define SKEW 3600U      /* seconds that a time may be ahead of ours */
#define NAME_HASHED 255 /* octets of a user's name; more is nobody's */

struct header {
	uint64_t magic;
	uint32_t entries, slot_size;
	uint8_t key[SIPHASH_KEY_LEN];
	uint8_t pad[32];
};
_Static_assert(sizeof(struct header) == 64, "slots want alignment");

struct ledger_slot {
	_Atomic uint64_t key; /* 0: free */
	_Atomic uint64_t counts[LEDGER_COUNTS];
	_Atomic uint64_t name[4];
};
_Static_assert(sizeof(struct ledger_slot) == 96, "documented");

struct ledger {
	struct ledger_slot *slots;
	unsigned int entries;
	uint8_t key[SIPHASH_KEY_LEN]; /* ours: who writes cannot change it */
};

static unsigned int
rounded(unsigned int entries)
{
	if (entries < LEDGER_ENTRIES_MIN)
		entries = LEDGER_ENTRIES_MIN;
	return (entries + WAYS - 1) / WAYS * WAYS;
}

size_t
ledger_size(unsigned int entries)
{
	return sizeof(struct header) +
	    rounded(entries) * sizeof(struct ledger_slot);
}

void
ledger_format(void *mem, unsigned int entries)
{
	struct header *h = mem;

	h->entries = rounded(entries);
	h->slot_size = sizeof(struct ledger_slot);
	arc4random_buf(h->key, sizeof(h->key));
	h->magic = LEDGER_MAGIC;
}

struct ledger *
ledger_new(void *mem, size_t size)
{
	const struct header *h = mem;
	struct ledger *l;
	unsigned int entries;

	if (size < sizeof(*h) || h->magic != LEDGER_MAGIC ||
	    h->slot_size != sizeof(struct ledger_slot))
		return NULL;
	entries = h->entries;
	if (entries < WAYS || entries != rounded(entries) ||
	    (size - sizeof(*h)) / sizeof(struct ledger_slot) < entries)
		return NULL;
	l = xcalloc(1, sizeof(*l));
	l->entries = entries;
	memcpy(l->key, h->key, sizeof(l->key));
	l->slots = (void *)((char *)mem + sizeof(*h));
	return l;
}

void
ledger_free(struct ledger **l)
{
	free(*l);
	*l = NULL;
}

unsigned int
ledger_entries(const struct ledger *l)
{
	return l->entries;
}

/* --- whom an entry is of ------------------------------------------------ */

#define NAME_LEN 32

/* A family, as it stands in a name: 4 or 6. */
static size_t
put_host(char *dst, const struct addr *a, bool network)
{
	if (a->sa.sa_family == AF_INET) {
		dst[0] = 4;
		memcpy(dst + 1, &a->in.sin_addr, 4);
		if (network)
			dst[4] = 0;
	} else {
		dst[0] = 6;
		memcpy(dst + 1, &a->in6.sin6_addr, network ? 8 : 16);
	}
	return 17;
}

static struct ledger_id
make_id(const struct ledger *l, enum ledger_kind kind, const char *what,
    size_t len, const char *name)
{
	struct ledger_id id = { 0 };

	id.key = (siphash(l->key, what, len) & ~(uint64_t)KIND_BITS) | kind;
	memcpy(id.name, name, NAME_LEN);
	return id;
}

static struct ledger_id
make_host(const struct ledger *l, enum ledger_kind kind, const struct addr *a)
{
	char what[1 + NAME_LEN] = { (char)kind };

	(void)put_host(what + 1, a, kind == LEDGER_NETWORK);
	return make_id(l, kind, what, sizeof(what), what + 1);
}

struct ledger_id
ledger_id_address(const struct ledger *l, const struct addr *a)
{
	return make_host(l, LEDGER_ADDRESS, a);
}

struct ledger_id
ledger_id_network(const struct ledger *l, const struct addr *a)
{
	return make_host(l, LEDGER_NETWORK, a);
}

struct ledger_id
ledger_id_user(const struct ledger *l, struct text user)
{
	char what[1 + NAME_HASHED], name[NAME_LEN] = { 0 };
	size_t i, n = user.len < NAME_HASHED ? user.len : NAME_HASHED;

	what[0] = LEDGER_USER;
	for (i = 0; i < n; i++)
		what[1 + i] = (char)tolower((unsigned char)user.p[i]);
	memcpy(name, what + 1, n < NAME_LEN ? n : NAME_LEN);
	return make_id(l, LEDGER_USER, what, 1 + n, name);
}

/* Its name: the network, then the user's key. */
struct ledger_id
ledger_id_pair(const struct ledger *l, const struct addr *a, struct text user)
{
	const struct ledger_id u = ledger_id_user(l, user);
	char what[1 + NAME_LEN] = { LEDGER_PAIR };

	(void)put_host(what + 1, a, true);
	memcpy(what + 1 + NAME_LEN - 8, &u.key, 8);
	return make_id(l, LEDGER_PAIR, what, sizeof(what), what + 1);
}

/* --- times and counts --------------------------------------------------- */

static uint32_t
time_of(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static uint64_t
word_of(uint32_t at, uint32_t value)
{
	return (uint64_t)at << 32 | value;
}

/* A time far ahead is of a clock that was wrong, or of nobody's. */
static bool
makes_sense(uint64_t word, uint32_t now)
{
	return time_of(word) <= now || time_of(word) - now <= SKEW;
}

static uint32_t
age(uint64_t word, uint32_t now)
{
	return time_of(word) < now ? now - time_of(word) : 0;
}

/* Half of it in each half-life, and in between along a line. */
static uint32_t
level_of(uint64_t word, uint32_t now)
{
	uint32_t value = (uint32_t)word, t = age(word, now);

	if (!makes_sense(word, now) || t / LEDGER_HALF_LIFE >= 32)
		return 0;
	if (value > LEDGER_LEVEL_MAX * LEDGER_ONE)
		value = LEDGER_LEVEL_MAX * LEDGER_ONE;
	value >>= t / LEDGER_HALF_LIFE;
	return value -
	    (uint32_t)((uint64_t)value * (t % LEDGER_HALF_LIFE) /
	        (2 * LEDGER_HALF_LIFE));
}

uint32_t
ledger_level(const struct ledger_slot *s, enum ledger_count c, uint32_t now)
{
	return s != NULL ? level_of(atomic_load(&s->counts[c]), now) : 0;
}

void
ledger_raise(
    struct ledger_slot *s, enum ledger_count c, int32_t by, uint32_t now)
{
	uint64_t old;
	int64_t value;

	if (s == NULL)
		return;
	old = atomic_load(&s->counts[c]);
	do {
		value = (int64_t)level_of(old, now) + by;
		if (value < 0)
			value = 0;
		if (value > LEDGER_LEVEL_MAX * LEDGER_ONE)
			value = LEDGER_LEVEL_MAX * LEDGER_ONE;
	} while (!atomic_compare_exchange_weak(
	    &s->counts[c], &old, word_of(now, (uint32_t)value)));
}

/* One that begins in the future makes no sense, either. */
static uint32_t
window_of(uint64_t word, uint32_t seconds, uint32_t now)
{
	return time_of(word) <= now && now - time_of(word) < seconds
	    ? (uint32_t)word
	    : 0;
}

uint32_t
ledger_window(const struct ledger_slot *s, enum ledger_count c,
    uint32_t seconds, uint32_t now)
{
	return s != NULL ? window_of(atomic_load(&s->counts[c]), seconds, now)
	                 : 0;
}

/* The word with more in it; limit 0: there is none. */
static bool
add(struct ledger_slot *s, enum ledger_count c, uint32_t more, uint32_t limit,
    uint32_t seconds, uint32_t now)
{
	uint64_t old = atomic_load(&s->counts[c]);
	uint32_t have;

	do {
		have = window_of(old, seconds, now);
		if (limit != 0 && have >= limit)
			return false;
		if (have > UINT32_MAX - more)
			more = UINT32_MAX - have;
	} while (!atomic_compare_exchange_weak(&s->counts[c], &old,
	    word_of(have > 0 ? time_of(old) : now, have + more)));
	return true;
}

void
ledger_count(struct ledger_slot *s, enum ledger_count c, uint32_t more,
    uint32_t seconds, uint32_t now)
{
	if (s != NULL)
		(void)add(s, c, more, 0, seconds, now);
}

bool
ledger_take(struct ledger_slot *s, enum ledger_count c, uint32_t limit,
    uint32_t seconds, uint32_t now)
{
	return s == NULL || add(s, c, 1, limit, seconds, now);
}

void
ledger_set_good(struct ledger_slot *s, uint32_t now)
{
	uint64_t old;
	uint32_t n;

	if (s == NULL)
		return;
	old = atomic_load(&s->counts[LEDGER_GOOD]);
	n = (uint32_t)old;
	atomic_store(
	    &s->counts[LEDGER_GOOD], word_of(now, n < UINT32_MAX ? n + 1 : n));
}

static bool
is_good(uint64_t word, uint32_t now)
{
	return (uint32_t)word > 0 && makes_sense(word, now) &&
	    age(word, now) < LEDGER_GOOD_SECONDS;
}

bool
ledger_is_good(const struct ledger_slot *s, uint32_t now)
{
	return s != NULL && is_good(atomic_load(&s->counts[LEDGER_GOOD]), now);
}

static bool
word_has(uint64_t word, uint16_t n)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		if ((uint16_t)(word >> 16 * i) == n)
			return true;
	return false;
}

bool
ledger_has(const struct ledger_slot *s, enum ledger_count c, uint16_t n)
{
	return s != NULL && n != 0 && word_has(atomic_load(&s->counts[c]), n);
}

bool
ledger_note(struct ledger_slot *s, enum ledger_count c, uint16_t n)
{
	uint64_t old;

	if (s == NULL || n == 0)
		return false;
	old = atomic_load(&s->counts[c]);
	do {
		if (word_has(old, n))
			return true;
	} while (
	    !atomic_compare_exchange_weak(&s->counts[c], &old, old << 16 | n));
	return false;
}

void
ledger_clear(struct ledger_slot *s, enum ledger_count c)
{
	if (s != NULL)
		atomic_store(&s->counts[c], 0);
}

/* --- places ------------------------------------------------------------- */

static struct ledger_slot *
bucket_of(const struct ledger *l, uint64_t key)
{
	return l->slots + (key >> 3) % (l->entries / WAYS) * WAYS;
}

struct ledger_slot *
ledger_find(const struct ledger *l, const struct ledger_id *id)
{
	struct ledger_slot *s = bucket_of(l, id->key);
	unsigned int i;

	for (i = 0; i < WAYS; i++, s++)
		if (atomic_load(&s->key) == id->key)
			return s;
	return NULL;
}

/* When it was last written, as far as that makes sense. */
static uint32_t
last_of(const struct ledger_slot *s, enum ledger_kind kind, uint32_t now)
{
	uint32_t last = 0;
	uint64_t word;
	int c;

	for (c = 0; c < LEDGER_COUNTS; c++) {
		word = atomic_load(&s->counts[c]);
		if (kind == LEDGER_PAIR &&
		    (c == LEDGER_PROOFS || c == LEDGER_HOMES))
			continue;
		if (makes_sense(word, now) && time_of(word) > last)
			last = time_of(word);
	}
	return last;
}

/*
 * What is least worth keeping has the lowest: nothing; what was seen and no
 * more; failures, the fewer the sooner; who may pass, and what users have
 * sent.  Among equals the one that was used longest ago.
 */
static uint64_t
worth(const struct ledger_slot *s, uint32_t now)
{
	const uint64_t key = atomic_load(&s->key);
	const enum ledger_kind kind = key & KIND_BITS;
	uint32_t level, more, last;
	uint64_t class = 1;

	if (key == 0)
		return 0;
	last = last_of(s, kind, now);
	level = ledger_level(s, LEDGER_FAILED, now);
	more = ledger_level(s, LEDGER_TURNED, now);
	if (kind != LEDGER_PAIR && more > level)
		level = more;
	if (level >= LEDGER_ONE / 4)
		class = 2 + level / LEDGER_ONE; /* at most 1002 */
	if (kind == LEDGER_USER &&
	    (ledger_window(s, LEDGER_MESSAGES, SKEW, now) > 0 ||
	        ledger_window(s, LEDGER_RECIPIENTS, SKEW, now) > 0))
		class = 2000;
	if (kind == LEDGER_PAIR && ledger_is_good(s, now))
		class = 3000;
	return class << 32 | last;
}

struct ledger_slot *
ledger_make(struct ledger *l, const struct ledger_id *id, uint32_t now)
{
	struct ledger_slot *s = ledger_find(l, id), *best;
	uint64_t least, value;
	unsigned int i;

	if (s != NULL)
		return s;
	best = s = bucket_of(l, id->key);
	least = worth(best, now);
	for (i = 1; i < WAYS && least > 0; i++) {
		value = worth(&s[i], now);
		if (value >= least)
			continue;
		best = &s[i];
		least = value;
	}
	/* Whoever finds it under its old key meanwhile loses a count. */
	for (i = 0; i < LEDGER_COUNTS; i++)
		atomic_store(&best->counts[i], 0);
	atomic_store(&best->key, id->key);
	for (i = 0; i < 4; i++)
		atomic_store(&best->name[i], id->name[i]);
	return best;
}

/* --- for the administrator ---------------------------------------------- */

struct ledger_slot *
ledger_at(const struct ledger *l, unsigned int i)
{
	return i < l->entries ? &l->slots[i] : NULL;
}

static void
name_of(const struct ledger_slot *s, char dst[static NAME_LEN])
{
	uint64_t words[4];
	int i;

	for (i = 0; i < 4; i++)
		words[i] = atomic_load(&s->name[i]);
	memcpy(dst, words, NAME_LEN);
}

/* The address in a name; false: there is none. */
static bool
host_of(const char name[static NAME_LEN], struct addr *a)
{
	memset(a, 0, sizeof(*a));
	if (name[0] == 4) {
		a->in.sin_family = AF_INET;
		memcpy(&a->in.sin_addr, name + 1, 4);
	} else if (name[0] == 6) {
		a->in6.sin6_family = AF_INET6;
		memcpy(&a->in6.sin6_addr, name + 1, 16);
	} else {
		return false;
	}
	return true;
}

static bool
show_host(const struct ledger *l, const struct ledger_slot *s,
    enum ledger_kind kind, char dst[static LEDGER_SHOWN])
{
	char name[NAME_LEN];
	struct ledger_id id;
	struct addr a;
	size_t n;

	name_of(s, name);
	if (!host_of(name, &a))
		return false;
	id = make_host(l, kind, &a);
	if (id.key != atomic_load(&s->key))
		return false; /* it has just become another's */
	addr_print_ip(&a, dst);
	n = strlen(dst);
	if (kind == LEDGER_NETWORK)
		(void)snprintf(
		    dst + n, LEDGER_SHOWN - n, "/%d", name[0] == 4 ? 24 : 64);
	return true;
}

enum ledger_kind
ledger_look(
    const struct ledger *l, unsigned int i, char dst[static LEDGER_SHOWN])
{
	const struct ledger_slot *s = &l->slots[i];
	const enum ledger_kind kind = atomic_load(&s->key) & KIND_BITS;
	char name[NAME_LEN];
	size_t n;

	dst[0] = '\0';
	switch (kind) {
	case LEDGER_ADDRESS:
	case LEDGER_NETWORK:
		return show_host(l, s, kind, dst) ? kind : 0;
	case LEDGER_USER:
		name_of(s, name);
		for (n = 0; n < NAME_LEN && name[n] != '\0'; n++)
			continue;
		text_printable((struct text){ name, n }, dst, LEDGER_SHOWN);
		if (n == NAME_LEN) /* there may be more of it */
			(void)strlcat(dst, "...", LEDGER_SHOWN);
		return kind;
	case LEDGER_PAIR:
		return kind;
	case LEDGER_KINDS:
		break;
	}
	return 0;
}

bool
ledger_pair_is_of(const struct ledger_slot *pair, const struct ledger_id *user)
{
	return (atomic_load(&pair->key) & KIND_BITS) == LEDGER_PAIR &&
	    atomic_load(&pair->name[3]) == user->key;
}

bool
ledger_is_within(const struct ledger_slot *s, const struct addr_range *r)
{
	char name[NAME_LEN];
	struct addr a;

	name_of(s, name);
	return host_of(name, &a) && addr_in_range(&a, r);
}
