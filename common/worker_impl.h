/* SPDX-License-Identifier: ISC */
/*
 * worker_impl: what worker.c (the start, clients and their places, the
 * master), worker_broker.c (requests to the broker, and its answers),
 * worker_control.c (requests of the control socket), worker_room.c (who gives
 * way where all places are taken) and worker_end.c (the end) know of each
 * other.
 */
#ifndef WORKER_IMPL_H
#define WORKER_IMPL_H

#include <sys/queue.h>

#include <event2/event_struct.h>
#include <time.h>

#include "acceptor.h"
#include "siphash.h"
#include "worker.h"

/* Sessions without a place, which hear their last words: so many at most. */
#define UNPLACED_MAX 32

TAILQ_HEAD(sessions, session);

struct worker {
	const struct role_start *start;
	const struct conf *conf;
	struct event_base *base;
	struct ipc *master, *broker;
	struct ipc *control; /* NULL: nobody has asked yet */
	struct tls_server *tls_server;
	struct tls_client *tls_client;

	struct acceptor *acceptor;

	/* Sessions by place; a session's number is turn * places + place. */
	struct session **sessions;
	unsigned int *turn;
	unsigned int places, used;
	unsigned int *free_places;
	unsigned int nfree;
	struct sessions yielding; /* who gives way, in this order */
	struct sessions unplaced; /* who has given way, or got no place */
	unsigned int nunplaced;
	time_t told_full; /* 0: not yet */
	bool began; /* it has its channels, and accepts */
	bool stopping;
	bool draining; /* MSG_DRAIN: the clients it has, and no more */
	bool settled;  /* the same, and all have logged in: MSG_SETTLED */
	struct event settling;
	time_t wary_until; /* CLOCK_MONOTONIC seconds */

	enum worker_list list_state;
	struct capability list;
	char **told; /* of each inner server: its list, as the broker has it */
	char mechanisms[MSG_MECHS_MAX + 1];
	struct sasl_channels *authenticators;
	uint8_t proof_key[SIPHASH_KEY_LEN];
};

/* A broker has come; fd is our end of its channel, and taken over. */
void worker_set_broker(struct worker *w, int fd);
/* Is an old worker without a broker?  Then all end that need one. */
void worker_bereft(struct worker *w);
/* The session is over: so is its place in the broker's book. */
void worker_release(struct worker *w, const struct session *s);

/* The session loses its place, and who is in the broker's book with it. */
void worker_unplace(struct worker *w, struct session *s);
/* There is no place for this client, and nobody who gives way. */
void worker_refuse(struct worker *w, int fd, unsigned int listener,
    const struct addr *peer, const struct addr *local);
/* Would worker_make_room() find one for a new client? */
bool worker_can_make_room(void *worker);
/* The session has ended. */
void worker_leave_queue(struct worker *w, struct session *s);

/* The role control; fd is our end of its channel, and taken over. */
void worker_set_control(struct worker *w, int fd);

/* MSG_STOP: end all sessions, within stop_timeout, and then this process. */
void worker_stop(struct worker *w);
/* MSG_DRAIN: take no more clients, and end with the last one. */
void worker_drain(struct worker *w);
/* A session has ended: was it the last? */
void worker_leave_if_done(struct worker *w);
void worker_show_sessions(const struct worker *w);
_Noreturn void worker_leave(struct worker *w);

#endif
