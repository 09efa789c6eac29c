/* SPDX-License-Identifier: ISC */
/*
 * broker_pool: the authenticators, as the broker knows them: which is in a
 * step and for how long, who gets the next exchange, when there are too few
 * or too many.  Only the master starts and ends them.
 *
 * Each worker has a channel to each authenticator that it was granted an
 * exchange with, which is made with the first and lasts as long as both.  What
 * an authenticator was not told to serve on it, it does not.
 *
 * A new exchange goes to one that holds no other.  Where all are in a step it
 * waits for a moment; then, or where those that are in no step hold others, one
 * more is started, up to authenticators_max; then it goes to the one that holds
 * the fewest and is in no step; and when all are in a step, to nobody.  So no
 * exchange that has had no answer yet is ever behind another one's step.
 */
#ifndef BROKER_POOL_H
#define BROKER_POOL_H

#include "addr.h"
#include "conf.h"
#include "ipc.h"
#include "msg.h"

struct pool;
struct pool_exchange;

/* What is granted to a worker. */
struct pool_grant {
	uint32_t exchange; /* its number */
	uint32_t serial;   /* the authenticator's */
	int fd; /* a new channel to it, to be copied; -1: the worker has one */
};

/* For whoever asks for exchanges. */
struct pool_user {
	/* NULL: all are taken, and it is over; over() is not called. */
	void (*granted)(void *arg, const struct pool_grant *g);
	/* STEP_OK, STEP_REFUSED or STEP_TURNED; m is valid during the call. */
	void (*outcome)(void *arg, const struct msg_step *m);
	void (*over)(void *arg);
};

/* For the broker: send a message to the master, or to all workers. */
typedef void pool_send(void *arg, struct writer *w);

struct pool *pool_new(struct event_base *base, const struct conf *c,
    const struct pool_user *user, pool_send *to_master, pool_send *to_workers,
    void *arg);

void pool_free(struct pool **p); /* over() is called for what there is */

/* An authenticator has come (fd is taken over). */
void pool_add(struct pool *p, const struct msg_peer *m, int fd);

/* The mechanisms' message for a new worker.  False: not known yet. */
bool pool_put_mechanisms(const struct pool *p, struct writer *w);

/*
 * An exchange for this worker and client.  user->granted() is called, now or
 * later; arg is for user's functions.
 */
void pool_ask(struct pool *p, uint16_t number, uint32_t serial,
    const struct addr *client, uint32_t failure_delay_ms, bool strict,
    void *arg);

/* Nobody waits for a grant any more: if it is to come, it is over instead. */
void pool_withdraw(struct pool *p, const void *arg);

/* The worker with this serial is gone, and its channels. */
void pool_forget(struct pool *p, uint32_t serial);

#endif
