/* SPDX-License-Identifier: ISC */
/*
 * broker_peername: what clients' hosts are called, as Postfix finds it out:
 * the name that DNS, or the hosts file, has for the address counts only if
 * that name has the address, too; whoever owns an address could claim any
 * name else.  Asked by c-ares, asynchronously, and remembered.
 */
#ifndef BROKER_PEERNAME_H
#define BROKER_PEERNAME_H

#include <event2/event.h>

#include "addr.h"

#define PEERNAME_MS 1000      /* nobody waits longer */
#define PEERNAME_KNOWN 1024   /* addresses that are remembered */
#define PEERNAME_LOOKUPS 256  /* under way at a time, and */
#define PEERNAME_WAITING 1024 /* clients that wait for them */

struct peernames;
struct peername_wait;

/* To be called before the chroot; fatal() when c-ares cannot start. */
struct peernames *peernames_new(struct event_base *base);
/* Not from within done.  Who waits is not told. */
void peernames_free(struct peernames **p);

/* name is borrowed until the return; NULL: unknown. */
typedef void peername_done(void *arg, const char *name);

/*
 * What is the host at addr called?  From memory, and where there is too much
 * under way, done is called before the return and NULL is returned; else
 * later, once, unless the wait is cancelled first.  From within done,
 * cancelling is allowed, even of this very wait; looking up is not.
 */
struct peername_wait *peername_lookup(struct peernames *p,
    const struct addr *addr, peername_done *done, void *arg);
void peername_cancel(struct peername_wait **w);

/* For tests: resolver_set_servers(). */
int peernames_set_servers(struct peernames *p, const char *servers);

#endif
