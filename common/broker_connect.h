/* SPDX-License-Identifier: ISC */
/*
 * broker_connect: the inner servers: whose turn it is, who is left alone for
 * a while because it did not answer, and sockets connected to them.
 */
#ifndef BROKER_CONNECT_H
#define BROKER_CONNECT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "conf.h"
#include "msg_control.h"

struct dns;
struct upstreams;
struct attempt;

/* dns may be NULL when every server of c is numeric.  c outlives the result. */
struct upstreams *upstreams_new(
    struct event_base *base, const struct conf *c, struct dns *dns);
void upstreams_free(struct upstreams **u);

/* fd is the callee's; -1: no server of those allowed could be connected. */
typedef void upstream_done(void *arg, int fd, uint16_t server);

/*
 * Connect to a server whose bit in tried is not set: the next in turn, or the
 * first (outgoing_in_order), that is not being left alone; when all are, the
 * one that failed longest ago.  One that does not answer is passed over for the
 * next.  done is called once, from the loop, unless the attempt is cancelled
 * first; the attempt is gone after it.
 */
struct attempt *upstreams_connect(
    struct upstreams *u, uint64_t tried, upstream_done *done, void *arg);
/* The same to one server and no other. */
struct attempt *upstreams_connect_to(
    struct upstreams *u, uint16_t server, upstream_done *done, void *arg);
void attempt_cancel(struct attempt **a);

/* What a worker saw of a server: it did its part, or it did not. */
void upstreams_report(struct upstreams *u, uint16_t server, bool good);

/* How each of them is, for whoever asks. */
void upstreams_tell(const struct upstreams *u, struct msg_servers_reply *m);

/*
 * Is an accepted connection, fd with peer at its other end, the other side of
 * one of our own (a loop)?
 */
bool upstreams_is_ours(
    const struct upstreams *u, const struct addr *peer, int fd);

#endif
