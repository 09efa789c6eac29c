/* SPDX-License-Identifier: ISC */
/*
 * broker_admit: which clients are served, and what their hosts are called.
 * A client stands in the book (limit) from its admission to its release; with
 * peername_lookup its worker hears of the admission when the name is known.
 */
#ifndef BROKER_ADMIT_H
#define BROKER_ADMIT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "abuse.h"
#include "msg.h"

struct admits;
struct conf;
struct ipc;
struct limit;
struct upstreams;

/* To be called before the chroot.  What is given outlives the result. */
struct admits *admits_new(struct event_base *base, const struct conf *c,
    struct limit *l, struct abuse *abuse, struct upstreams *u);
/* Nobody may be waiting for a client's name. */
void admits_free(struct admits **a);

/*
 * A worker (serial, at the other end of ch) has a client, fd: answer at once,
 * or later by ch.  1: it stands in the book now; 0: it does not; -1: the
 * worker says who a client is that no proxy has brought.
 */
int admits_ask(struct admits *a, struct ipc *ch, uint32_t serial,
    const struct msg_admit *m, int fd);
/* It has left, told or not.  True: it stood in the book. */
bool admits_release(struct admits *a, uint32_t serial, uint32_t session);
/* The worker is gone, and with it all its clients. */
/* sockets_may_connect() of broker_socket.h */
bool admits_may_connect(
    struct admits *a, uint32_t serial, uint32_t session, time_t now);
void admits_forget(struct admits *a, uint32_t serial);

#endif
