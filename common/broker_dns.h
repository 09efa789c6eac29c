/* SPDX-License-Identifier: ISC */
/*
 * broker_dns: names to addresses by c-ares, asynchronously, remembered until
 * their time to live is over.
 */
#ifndef BROKER_DNS_H
#define BROKER_DNS_H

#include <event2/event.h>
#include <stddef.h>

#include "addr.h"

#define DNS_ADDRS_MAX 16 /* addresses that are kept of one name */

struct dns;
struct dns_query;

/* To be called before the chroot; fatal() when c-ares cannot start. */
struct dns *dns_new(struct event_base *base);
/* Not from within done.  Queries under way are gone, their done not called. */
void dns_free(struct dns **d);

/* addrs (without port) are borrowed until the return; n 0: none to be had. */
typedef void dns_done(void *arg, const struct addr *addrs, size_t n);

/*
 * Look name up.  From memory, done is called before the return and NULL is
 * returned; else later, once, unless the query is cancelled first.  Addresses
 * whose time is over go on being used when asking again fails.
 *
 * A query is gone when its done returns; from within it, looking up and
 * cancelling, even this very query, is allowed.  Every name stays in memory:
 * names come from the configuration, never from a client.
 */
struct dns_query *dns_lookup(
    struct dns *d, const char *name, dns_done *done, void *arg);
void dns_cancel(struct dns_query **q);

/* For tests: resolver_set_servers(). */
int dns_set_servers(struct dns *d, const char *servers);

#endif
