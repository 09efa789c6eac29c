/* SPDX-License-Identifier: ISC */
/*
 * broker_login: connections to inner servers for the clients of workers, and
 * what came of the logins at them.  Runs in the broker.
 */
#include <stdlib.h>
#include <unistd.h>

#include "broker_admit.h"
#include "broker_impl.h"
#include "clock.h"
#include "conf.h"
#include "stats.h"
#include "unzeroed.h"
#include "xmalloc.h"

static int
compare_requests(const struct request *a, const struct request *b)
{
	return a->session < b->session ? -1 : a->session > b->session;
}

RB_PROTOTYPE(requests, request, entry, compare_requests)
RB_GENERATE(requests, request, entry, compare_requests)

/* A login ends so; else it is none. */
static void
request_end(struct request *rq, enum abuse_end how, uint16_t proof)
{
	if (rq->counts)
		abuse_end(rq->peer->broker->abuse, &rq->client, &rq->login, how,
		    TEXT_NONE, proof);
	rq->counts = false;
}

static void
request_free(struct request *rq)
{
	request_end(rq, ABUSE_NOTHING, 0);
	attempt_cancel(&rq->attempt);
	if (rq->waits)
		event_del(&rq->turn);
	RB_REMOVE(requests, &rq->peer->requests, rq);
	free(rq);
}

static struct request *
request_find(struct peer *p, uint32_t session)
{
	struct request key = { .session = session };

	return RB_FIND(requests, &p->requests, &key);
}

void
broker_login_leave(struct peer *p, uint32_t session)
{
	struct request *rq = request_find(p, session);

	if (rq == NULL)
		return;
	/* Who has seen the server may have tried a password. */
	if (rq->attempt == NULL && !rq->waits)
		request_end(rq, ABUSE_LEFT, 0);
	request_free(rq);
}

void
broker_login_end_all(struct peer *p)
{
	struct request *rq;

	while ((rq = RB_ROOT(&p->requests)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		request_free(rq);
}

static void
on_server(void *arg, int fd, uint16_t server)
{
	struct request *rq = arg;
	struct peer *p = rq->peer;
	struct msg_connect_reply reply = { .session = rq->session };
	struct writer w UNZEROED;
	struct addr client;

	/* It has not read so many answers: one login fails, not all of it. */
	if (fd != -1 && !ipc_takes_fd(p->ch)) {
		close(fd);
		fd = -1;
	}
	reply.ok = fd != -1;
	reply.server = fd != -1 ? server : MSG_NO_SERVER;
	rq->attempt = NULL;
	if (limit_address(p->broker->limit, p->serial, rq->session, &client) ==
	    0)
		reply.failure_delay_ms =
		    abuse_delay_ms(p->broker->abuse, &client);
	msg_start(&w, MSG_CONNECT_REPLY, 0);
	msg_put_connect_reply(&w, &reply);
	(void)ipc_send(p->ch, &w, fd);
	if (fd == -1) {
		request_free(rq);
		return;
	}
	close(fd);
	rq->server = server;
}

/* The login is not tried: the worker holds the answer back. */
static void
turn_away(struct request *rq)
{
	struct peer *p = rq->peer;
	struct msg_connect_reply m = { .session = rq->session,
		.turned = 1,
		.server = MSG_NO_SERVER,
		.failure_delay_ms =
		    abuse_delay_ms(p->broker->abuse, &rq->client) };
	struct writer w UNZEROED;

	msg_start(&w, MSG_CONNECT_REPLY, 0);
	msg_put_connect_reply(&w, &m);
	(void)ipc_send(p->ch, &w, -1);
	request_free(rq);
}

/*
 * May this login be tried?  Where we decide on logins ourselves, that has been
 * asked already.
 */
static bool
may_login(struct request *rq, struct text user)
{
	struct broker *b = rq->peer->broker;

	if (user.len == 0 || b->conf->sasl)
		return true;
	rq->counts =
	    abuse_begin(b->abuse, &rq->client, user, &rq->login) != ABUSE_TURN;
	return rq->counts;
}

static void
begin_attempt(struct request *rq)
{
	rq->attempt = upstreams_connect(
	    rq->peer->broker->upstreams, rq->tried, on_server, rq);
}

static void
on_turn(int fd, short what, void *arg)
{
	struct request *rq = arg;

	(void)fd;
	(void)what;
	rq->waits = false;
	begin_attempt(rq);
}

/* A session that asks so often has to wait: inner servers are not flooded. */
static void
wait_for_turn(struct request *rq)
{
	const struct timeval second = { .tv_sec = 1 };

	rq->waits = true;
	evtimer_assign(&rq->turn, rq->peer->broker->base, on_turn, rq);
	evtimer_add(&rq->turn, &second);
}

int
broker_login_ask(struct peer *p, struct reader *r)
{
	struct msg_connect m;
	struct request *rq;
	struct addr client;

	if (msg_get_connect(r, &m) == -1)
		return -1;
	if (limit_address(p->broker->limit, p->serial, m.session, &client) ==
	    -1)
		return 0; /* see is_admitted() in broker.c */
	/* One at a time. */
	rq = request_find(p, m.session);
	if (rq != NULL && (rq->attempt != NULL || rq->waits))
		return -1;
	if (rq != NULL)
		request_free(rq);
	rq = xcalloc(1, sizeof(*rq));
	rq->peer = p;
	rq->session = m.session;
	rq->client = client;
	rq->tried = m.tried;
	RB_INSERT(requests, &p->requests, rq);
	if (!may_login(rq, m.user)) {
		turn_away(rq);
		return 0;
	}
	if (admits_may_connect(
	        p->broker->admits, p->serial, m.session, clock_seconds()))
		begin_attempt(rq);
	else
		wait_for_turn(rq);
	return 0;
}

int
broker_login_outcome(struct peer *p, struct reader *r)
{
	struct broker *b = p->broker;
	struct msg_outcome m;
	struct addr client;
	struct request *rq;
	static const enum abuse_end how[] = { [OUTCOME_OK] = ABUSE_GOOD,
		[OUTCOME_REFUSED] = ABUSE_FAILED,
		[OUTCOME_SERVER] = ABUSE_NOTHING };
	bool asked;

	if (msg_get_outcome(r, &m) == -1 ||
	    (m.server >= b->conf->nservers && m.server != MSG_NO_SERVER) ||
	    limit_address(b->limit, p->serial, m.session, &client) == -1)
		return -1;
	/* One word on a server for each connection to it, or it is nothing. */
	rq = request_find(p, m.session);
	asked = rq != NULL && rq->attempt == NULL && !rq->waits &&
	    rq->server == m.server;
	if (asked) {
		request_end(rq, how[m.outcome], m.proof);
		request_free(rq);
		STATS_ADD(server_outcomes[m.server][m.outcome], 1);
		upstreams_report(
		    b->upstreams, m.server, m.outcome != OUTCOME_SERVER);
	}
	return 0;
}
