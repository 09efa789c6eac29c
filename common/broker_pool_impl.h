/* SPDX-License-Identifier: ISC */
/*
 * broker_pool_impl: what broker_pool.c (who gets the next exchange, how many
 * authenticators there are to be) and broker_helper.c (one of them) know of
 * each other.
 */
#ifndef BROKER_POOL_IMPL_H
#define BROKER_POOL_IMPL_H

#include <sys/queue.h>

#include <event2/event_struct.h>
#include <time.h>

#include "broker_pool.h"

struct pool_exchange {
	TAILQ_ENTRY(pool_exchange) entry;
	struct pool *pool;
	struct helper *helper; /* NULL: it waits for one */
	uint32_t number;
	uint16_t worker;
	uint32_t worker_serial;
	uint32_t failure_delay_ms;
	struct addr client;
	bool strict; /* strangers are to be turned away */
	void *arg;
	bool busy;    /* in a step, or about to begin the first */
	bool refused; /* that is held back: no step comes any more */
	bool patient; /* it waits for a step to be over, PATIENCE_MS at most */
	struct event deadline; /* while it waits */
};

TAILQ_HEAD(exchange_list, pool_exchange);

/* What an authenticator is doing, as far as we know. */
enum helper_state {
	HELPER_LOADING, /* it has not said a word */
	HELPER_READY,   /* in no step */
	HELPER_STEP,    /* in a step, or about to begin one: it hears nobody */
	HELPER_LEAVING  /* to be ended by the master */
};

struct helper {
	TAILQ_ENTRY(helper) entry;
	struct pool *pool;
	struct ipc *ch;
	uint16_t number;
	uint32_t serial;
	enum helper_state state;
	struct exchange_list exchanges;
	unsigned int nexchanges; /* that may have a step yet */
	unsigned int nbusy;
	uint32_t *workers; /* serials of those that have a channel to it */
	size_t nworkers;
	time_t idle_since;
	struct event deadline; /* of its state */
};

struct pool {
	struct event_base *base;
	const struct conf *conf;
	const struct pool_user *user;
	pool_send *to_master, *to_workers;
	void *arg;
	TAILQ_HEAD(, helper) helpers;
	unsigned int nhelpers, wanted;
	struct exchange_list waiting;
	unsigned int nwaiting; /* beside those that are only patient */
	uint32_t last_exchange;
	bool known; /* mechanisms are */
	char mechanisms[MSG_MECHS_MAX + 1];
	struct event look;
};

/* An authenticator has come (fd is taken over); it is loading. */
void helper_new(struct pool *p, const struct msg_peer *m, int fd);
void helper_free(struct helper *h); /* its exchanges are over */

/* The only place that changes h->state. */
void helper_enter(struct helper *h, enum helper_state next);
/* Each word of an authenticator shows that it does not hang. */
void helper_set_busy(struct pool_exchange *e, bool busy);
/* The place of this worker in h's list, or nworkers. */
size_t helper_find_worker(const struct helper *h, uint32_t serial);

void pool_arm(struct event *e, time_t seconds);
/* One that holds no exchange may be there for who waits. */
void pool_serve_waiting(struct pool *p);

#endif
