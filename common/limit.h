/* SPDX-License-Identifier: ISC */
/*
 * limit: how many connections there are, in all and per address.  The
 * broker's book, kept in memory that the master holds (a memfd), so that a
 * broker that dies leaves it to the next.  Its indexes are the broker's own and
 * are made anew from that memory.
 *
 * A connection is known by its worker (serial number) and the worker's number
 * for the session.  Addresses count without port; IPv6 by their /64, which is
 * what one customer has (RFC 6177).
 */
#ifndef LIMIT_H
#define LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

struct limit;

enum limit_verdict {
	LIMIT_OK,
	LIMIT_TOO_MANY,         /* in all */
	LIMIT_TOO_MANY_ADDRESS, /* from this address */
};

/* Octets of shared memory for so many connections; zeroed before first use. */
size_t limit_size(unsigned int connections);

/*
 * Take over mem (limit_size(connections) octets, which stay the caller's and
 * outlive the result).  What stands in it is trusted no further than that
 * every index in it is checked.  max_all and max_address: 0 is no limit.
 */
struct limit *limit_new(void *mem, unsigned int connections,
    unsigned int max_all, unsigned int max_address);
void limit_free(struct limit **l);

/*
 * The book of an old generation's broker, whose clients count as well for as
 * long as they stay (mem stays the caller's and is only read; its broker
 * writes it still).  limit_look_at_old(): count them again; false: there is no
 * such book any more.  A book of another layout, or one that the master has
 * struck out (its first four octets are 0), counts for nothing.
 */
void limit_add_old(struct limit *l, const void *mem, size_t size);
bool limit_look_at_old(struct limit *l);

/*
 * Does this book have it that worker has a connection from a's network, or had
 * one lately (until its slot is another's)?  mem is only read.
 */
bool limit_book_has(
    const void *mem, size_t size, uint32_t worker, const struct addr *a);

enum limit_verdict limit_admit(
    struct limit *l, uint32_t worker, uint32_t session, const struct addr *a);
void limit_release(struct limit *l, uint32_t worker, uint32_t session);

/* The address a session was admitted from; -1 when there is no such. */
int limit_address(
    struct limit *l, uint32_t worker, uint32_t session, struct addr *a);

/* A worker is gone: so are its connections.  Returns how many. */
unsigned int limit_forget_worker(struct limit *l, uint32_t worker);
/* Release those of worker whose session is not in held[0..n-1]. */
void limit_reconcile(
    struct limit *l, uint32_t worker, const uint32_t *held, size_t n);
/* Release those of every worker that is not in workers[0..n-1]. */
void limit_keep_workers(struct limit *l, const uint32_t *workers, size_t n);

unsigned int limit_count(const struct limit *l);
unsigned int limit_count_address(struct limit *l, const struct addr *a);

#endif
