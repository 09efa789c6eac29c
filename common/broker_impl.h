/* SPDX-License-Identifier: ISC */
/*
 * broker_impl: what broker.c and broker_login.c share.  Nobody else includes
 * this.
 */
#ifndef BROKER_IMPL_H
#define BROKER_IMPL_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "abuse.h"
#include "addr.h"
#include "broker_connect.h"
#include "ipc.h"
#include "limit.h"

struct request {
	RB_ENTRY(request) entry;
	struct peer *peer;
	uint32_t session;        /* of which there is one at a time */
	struct attempt *attempt; /* NULL: it was answered with ... */
	uint16_t server;         /* ... this one, whose outcome is awaited */
	struct addr client;
	bool counts; /* it is a login */
	struct abuse_login login;
	uint64_t tried; /* as it was asked for */
	bool waits;     /* for its turn: */
	struct event turn;
};

/* A worker, as the broker knows it. */
struct peer {
	TAILQ_ENTRY(peer) entry;
	struct broker *broker;
	struct ipc *ch;
	uint16_t number;
	uint32_t serial;
	uint32_t *held; /* MSG_HELD so far */
	size_t nheld;
	unsigned int admitted;               /* clients in the book */
	RB_HEAD(requests, request) requests; /* thousands, when all come back */
};

struct broker {
	struct event_base *base;
	struct ipc *master;
	const struct conf *conf;
	struct limit *limit;
	struct abuse *abuse;
	unsigned int places;
	struct upstreams *upstreams;
	struct admits *admits;
	struct lessons *lessons;
	struct auths *auths;
	struct submits *submits;
	struct broker_control *control;
	struct event old_books;
	TAILQ_HEAD(peers, peer) peers;
};

/* Logins at inner servers, and connections behind them (broker_login.c). */

/* MSG_CONNECT, MSG_OUTCOME; -1: a broken rule. */
int broker_login_ask(struct peer *p, struct reader *r);
int broker_login_outcome(struct peer *p, struct reader *r);
/* The client of that number has gone, if it had one under way. */
void broker_login_leave(struct peer *p, uint32_t session);
void broker_login_end_all(struct peer *p); /* with the worker */

#endif
