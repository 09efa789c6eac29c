/* SPDX-License-Identifier: ISC */
/*
 * ledger: what has been counted of addresses, networks and users, in a table
 * of a fixed size that the brokers of several daemons map at the same time,
 * and that outlives them all.  abuse says what follows from it.
 *
 * Nothing is ever locked, and no state of it is wrong: an entry is a few
 * numbers of 64 bits, each written at once.  Whoever is killed in the middle
 * of a change leaves one count too many or too few.  What a captured broker
 * writes there can make counts wrong; it cannot lead a reader outside.
 *
 * Users, addresses and networks are found by a hash whose key is in the head
 * of the table, so that nobody who does not read it can choose two that
 * collide.  An entry has, for the administrator, the address or the beginning
 * of the name.
 *
 * Times are wall-clock seconds, since the table outlives the machine's run.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "text.h"

struct ledger;
struct ledger_slot;

enum ledger_kind {
	LEDGER_ADDRESS = 1,
	LEDGER_NETWORK, /* IPv4 /24, IPv6 /64 */
	LEDGER_USER,
	LEDGER_PAIR, /* a user in a network */
	LEDGER_KINDS
};

/*
 * The numbers of an entry.  Windows count within a time that begins with the
 * first; levels lose half in each half-life.
 */
enum ledger_count {
	LEDGER_CONNECTIONS, /* window; of a user: logins */
	LEDGER_HANDSHAKES,  /* window */
	LEDGER_FAILED,      /* level: logins that were refused */
	LEDGER_TURNED,      /* level: what was turned away unasked */
	LEDGER_MESSAGES,    /* window */
	LEDGER_RECIPIENTS,  /* window */
	LEDGER_GOOD,        /* when a login last was good, and how many */
	LEDGER_COUNTS,
	/* of a pair, in the place of what it has none of */
	LEDGER_REPEATS = LEDGER_HANDSHAKES, /* window: since when proofs are */
	LEDGER_PROOFS = LEDGER_MESSAGES,    /* four of 16 bits */
	LEDGER_HOMES = LEDGER_RECIPIENTS    /* the same, of addresses */
};

#define LEDGER_ONE 65536U            /* one, in a level */
#define LEDGER_LEVEL_MAX 1000U       /* ones; more is not counted */
#define LEDGER_HALF_LIFE 3600U       /* seconds */
#define LEDGER_GOOD_SECONDS 2592000U /* 30 days: while GOOD means a thing */
#define LEDGER_ENTRIES_MIN 1024U

/* Octets of a table. */
size_t ledger_size(unsigned int entries);
/* Begin a table in mem, which is zeroed and of that size. */
void ledger_format(void *mem, unsigned int entries);

/*
 * Use the table in mem (which stays the caller's and outlives the result).
 * NULL: it is none, or of another layout.
 */
struct ledger *ledger_new(void *mem, size_t size);
void ledger_free(struct ledger **l);
unsigned int ledger_entries(const struct ledger *l);

/* Whom an entry is of: made once, used for several calls. */
struct ledger_id {
	uint64_t key;
	uint64_t name[4];
};
struct ledger_id ledger_id_address(
    const struct ledger *l, const struct addr *a);
struct ledger_id ledger_id_network(
    const struct ledger *l, const struct addr *a);
/* Letter case does not matter. */
struct ledger_id ledger_id_user(const struct ledger *l, struct text user);
struct ledger_id ledger_id_pair(
    const struct ledger *l, const struct addr *a, struct text user);

/* Its entry.  find: NULL where there is none; make: what counts least goes. */
struct ledger_slot *ledger_find(
    const struct ledger *l, const struct ledger_id *id);
struct ledger_slot *ledger_make(
    struct ledger *l, const struct ledger_id *id, uint32_t now);

/* In all of these s may be NULL: then it has counted nothing. */

/* A level, in parts of LEDGER_ONE; changed by so much, never below 0. */
uint32_t ledger_level(
    const struct ledger_slot *s, enum ledger_count c, uint32_t now);
void ledger_raise(
    struct ledger_slot *s, enum ledger_count c, int32_t by, uint32_t now);

/* How often within seconds; count so many more. */
uint32_t ledger_window(const struct ledger_slot *s, enum ledger_count c,
    uint32_t seconds, uint32_t now);
void ledger_count(struct ledger_slot *s, enum ledger_count c, uint32_t more,
    uint32_t seconds, uint32_t now);
/* Count one more, unless limit (not 0) is reached: then false. */
bool ledger_take(struct ledger_slot *s, enum ledger_count c, uint32_t limit,
    uint32_t seconds, uint32_t now);

/* LEDGER_GOOD: now; and within LEDGER_GOOD_SECONDS? */
void ledger_set_good(struct ledger_slot *s, uint32_t now);
bool ledger_is_good(const struct ledger_slot *s, uint32_t now);

/*
 * A number of 16 bits among the last four (LEDGER_PROOFS, LEDGER_HOMES).
 * ledger_note(): put it there; true: it was there.
 */
bool ledger_has(const struct ledger_slot *s, enum ledger_count c, uint16_t n);
bool ledger_note(struct ledger_slot *s, enum ledger_count c, uint16_t n);
void ledger_clear(struct ledger_slot *s, enum ledger_count c);

/*
 * For the administrator: the entry in place i of ledger_entries(), read at
 * leisure: its kind (0: there is none, or its name does not fit) and name: an
 * address, a network, or the user's first octets.
 */
#define LEDGER_SHOWN 96
enum ledger_kind ledger_look(
    const struct ledger *l, unsigned int i, char dst[static LEDGER_SHOWN]);
struct ledger_slot *ledger_at(const struct ledger *l, unsigned int i);
/* Is the pair in that entry of this user (ledger_id_user())? */
bool ledger_pair_is_of(
    const struct ledger_slot *pair, const struct ledger_id *user);
/* Of an entry of an address or a network: is it within r? */
bool ledger_is_within(const struct ledger_slot *s, const struct addr_range *r);

#endif
