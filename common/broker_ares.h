/* SPDX-License-Identifier: ISC */
/*
 * broker_ares: c-ares in an event loop, for broker_dns (addresses of inner
 * servers) and broker_peername (names of clients).  Each has a resolver, and
 * so sockets, of its own.
 */
#ifndef BROKER_ARES_H
#define BROKER_ARES_H

#include <ares.h>
#include <event2/event.h>
#include <stdbool.h>
#include <time.h>

struct resolver;

/*
 * To be called before the chroot: c-ares seeds its query numbers from
 * /dev/urandom, which is not inside, and without it every process would draw
 * the same.  fatal() when c-ares cannot start.
 *
 * flags are c-ares' own.  A name server has timeout_ms for its answer, at
 * first; it is asked tries times.  settle is called when c-ares has returned
 * and may have called back: what a callback leads to is to be done there, not
 * within c-ares.
 */
struct resolver *resolver_new(struct event_base *base, int flags,
    int timeout_ms, int tries, void (*settle)(void *arg), void *arg);
/* Not from within settle.  What is under way ends with ARES_EDESTRUCTION. */
void resolver_free(struct resolver **r);

/* To ask by; resolver_arm() is to follow. */
ares_channel resolver_channel(struct resolver *r);
/* Wake up when c-ares wants to; at once: settle has something to do. */
void resolver_arm(struct resolver *r, bool at_once);

/*
 * How many seconds an answer lives: the shortest time in it, that of aliases
 * on the way to the addresses included, and at least min, at most max.
 */
time_t resolver_ttl(const struct ares_addrinfo *answer, int min, int max);

/*
 * For tests: from now on ask these name servers ("127.0.0.1:5353,[::1]:53")
 * in place of those in resolv.conf.  0, or -1: no such list, or queries are
 * under way.
 */
int resolver_set_servers(struct resolver *r, const char *servers);

#endif
