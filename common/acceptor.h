/* SPDX-License-Identifier: ISC */
/*
 * acceptor: takes clients from the listeners that all workers share, so that
 * none of the workers gets many more than the others, and no client waits for
 * a place.  Runs in workers.
 */
#ifndef ACCEPTOR_H
#define ACCEPTOR_H

#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>

#include "addr.h"

struct acceptor;

/*
 * fd is a client's, between peer and local, and the callee's from now on;
 * listener counts from 0.  It may call acceptor_close().
 */
typedef void acceptor_client(void *arg, int fd, unsigned int listener,
    const struct addr *peer, const struct addr *local);

/*
 * Listeners are the nlisteners descriptors from first_listener on.  One that
 * is a client already is given as such once the acceptor is open.  loads is
 * a memfd with one uint32_t for each worker, of which number is ours
 * (ACCEPTOR_NOBODY: it will be set); it is closed here.  A fault ends the
 * process.
 */
#define ACCEPTOR_NOBODY UINT_MAX
struct acceptor *acceptor_new(struct event_base *base, int loads,
    unsigned int number, int first_listener, unsigned int nlisteners,
    acceptor_client *client, void *arg);

void acceptor_set_number(struct acceptor *a, unsigned int number);

/* Take clients from now on, or no more.  It begins closed. */
void acceptor_open(struct acceptor *a);
void acceptor_close(struct acceptor *a);
/* For good: not even the listeners are held any more. */
void acceptor_leave(struct acceptor *a);

/* Tell the siblings how many clients we have. */
void acceptor_set_load(struct acceptor *a, unsigned int clients);

/*
 * With so many clients a worker is full: the next one is given to it only when
 * its siblings are as full, or when none of them has taken it within a second;
 * and where it cannot make room for one more, a moment later than to those
 * that can.  Without this it is never full.
 */
typedef bool acceptor_room(void *arg);
void acceptor_set_places(
    struct acceptor *a, unsigned int places, acceptor_room *can_make_room);

#endif
