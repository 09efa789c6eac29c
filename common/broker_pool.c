/* SPDX-License-Identifier: ISC */
/*
 * broker_pool: which authenticator gets the next exchange, and how many there
 * are to be.  Runs in the broker.  Workers ask through broker_auth, which knows
 * who may; what authenticators say is broker_helper's to check.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <stdlib.h>
#include <unistd.h>

#include "broker_pool_impl.h"
#include "clock.h"
#include "log.h"
#include "xmalloc.h"

#define LOOK_SECONDS 1 /* how often the pool is looked at for shrinking */
/* Most steps are over so soon that another process would come too late. */
#define PATIENCE_MS 100
/* Idle times of sasl_timeout until there is one authenticator too many. */
#define IDLE_TIMEOUTS 2

void
pool_arm(struct event *e, time_t seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	event_add(e, &tv);
}

/* How many there are to be. */
static void
want(struct pool *p, unsigned int wanted)
{
	struct msg_pool m = { (uint16_t)wanted };
	struct writer w UNZEROED;

	if (wanted == p->wanted)
		return;
	log_debug("authenticators=%u wanted=%u", p->nhelpers, wanted);
	p->wanted = wanted;
	msg_start(&w, MSG_POOL, 0);
	msg_put_pool(&w, &m);
	p->to_master(p->arg, &w);
}

static void
stop_waiting(struct pool_exchange *e)
{
	event_del(&e->deadline);
	TAILQ_REMOVE(&e->pool->waiting, e, entry);
	e->pool->nwaiting -= !e->patient;
}

static void
refuse(struct pool_exchange *e)
{
	e->pool->user->granted(e->arg, NULL);
	free(e);
}

static void
await(struct pool_exchange *e, bool patient)
{
	const struct timeval soon = { .tv_usec = PATIENCE_MS * 1000 };

	e->patient = patient;
	TAILQ_INSERT_TAIL(&e->pool->waiting, e, entry);
	e->pool->nwaiting += !patient;
	if (patient)
		event_add(&e->deadline, &soon);
	else
		pool_arm(&e->deadline, e->pool->conf->sasl_timeout);
}

/* The ends of a new channel, or -1 each: there is one.  -1: it failed. */
static int
make_channel(struct helper *h, uint32_t serial, int ends[2])
{
	ends[0] = ends[1] = -1;
	if (helper_find_worker(h, serial) < h->nworkers)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		return -1;
	h->workers = xrecallocarray(
	    h->workers, h->nworkers, h->nworkers + 1, sizeof(*h->workers));
	h->workers[h->nworkers++] = serial;
	return 0;
}

/* The authenticator hears of it before the worker can speak to it. */
static void
grant(struct pool_exchange *e, struct helper *h)
{
	struct msg_exchange m = { e->number, e->worker, e->worker_serial,
		e->failure_delay_ms, e->client, e->strict };
	struct pool_grant g = { .exchange = e->number, .serial = h->serial };
	struct writer w UNZEROED;
	int ends[2];

	if (make_channel(h, e->worker_serial, ends) == -1) {
		log_warn("a channel to an authenticator");
		refuse(e);
		return;
	}
	e->helper = h;
	TAILQ_INSERT_TAIL(&h->exchanges, e, entry);
	h->nexchanges++;
	helper_set_busy(e, true);
	msg_start(&w, MSG_EXCHANGE, 0);
	msg_put_exchange(&w, &m);
	(void)ipc_send(h->ch, &w, ends[1]);
	g.fd = ends[0];
	e->pool->user->granted(e->arg, &g);
	if (g.fd != -1) {
		close(ends[0]);
		close(ends[1]);
	}
}

/* The one with the fewest to come, that hears us.  NULL: there is none. */
static struct helper *
least_busy(const struct pool *p)
{
	struct helper *h, *best = NULL;

	TAILQ_FOREACH (h, &p->helpers, entry)
		if (h->state == HELPER_READY &&
		    (best == NULL || h->nexchanges < best->nexchanges ||
		        (h->nexchanges == best->nexchanges &&
		            h->number < best->number)))
			best = h; /* low numbers first: high ones may go */
	return best;
}

/* Will there be one for whoever waits, without another one being done? */
static bool
may_wait(struct pool *p)
{
	unsigned int coming = 0;
	struct helper *h;

	TAILQ_FOREACH (h, &p->helpers, entry)
		coming += h->state == HELPER_LOADING;
	if (p->nhelpers < p->wanted)
		coming += p->wanted - p->nhelpers;
	if (p->nwaiting < coming)
		return true;
	if (p->wanted >= p->conf->authenticators_max)
		return false;
	want(p, p->wanted + 1);
	return true;
}

/* Find an authenticator for e, or have it wait, or refuse. */
static void
place(struct pool *p, struct pool_exchange *e)
{
	struct helper *h = least_busy(p);

	if (h != NULL && h->nexchanges == 0) {
		grant(e, h);
	} else if (may_wait(p)) {
		await(e, false);
	} else if (h != NULL) {
		grant(e, h);
	} else {
		log_warnx("all %u authenticators are in the middle of a check "
		          "(authenticators_max)",
		    p->wanted);
		refuse(e);
	}
}

static void
on_wait_over(int fd, short what, void *arg)
{
	struct pool_exchange *e = arg;

	(void)fd;
	(void)what;
	stop_waiting(e);
	if (e->patient)
		place(e->pool, e);
	else
		refuse(e);
}

void
pool_ask(struct pool *p, uint16_t number, uint32_t serial,
    const struct addr *client, uint32_t failure_delay_ms, bool strict,
    void *arg)
{
	struct pool_exchange *e = xcalloc(1, sizeof(*e));

	e->pool = p;
	e->number = ++p->last_exchange;
	e->worker = number;
	e->worker_serial = serial;
	e->failure_delay_ms = failure_delay_ms;
	e->client = *client;
	e->strict = strict;
	e->arg = arg;
	evtimer_assign(&e->deadline, p->base, on_wait_over, e);
	if (least_busy(p) == NULL)
		await(e, true);
	else
		place(p, e);
}

void
pool_withdraw(struct pool *p, const void *arg)
{
	struct pool_exchange *e;

	TAILQ_FOREACH (e, &p->waiting, entry)
		if (e->arg == arg)
			break;
	if (e == NULL)
		return;
	stop_waiting(e);
	p->user->over(e->arg);
	free(e);
}

void
pool_forget(struct pool *p, uint32_t serial)
{
	struct helper *h;
	size_t i;

	TAILQ_FOREACH (h, &p->helpers, entry) {
		i = helper_find_worker(h, serial);
		if (i < h->nworkers)
			h->workers[i] = h->workers[--h->nworkers];
	}
}

void
pool_serve_waiting(struct pool *p)
{
	struct pool_exchange *e;
	struct helper *h;

	while ((e = TAILQ_FIRST(&p->waiting)) != NULL) {
		h = least_busy(p);
		if (h == NULL || h->nexchanges > 0)
			return;
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		stop_waiting(e);
		grant(e, h);
	}
}

void
pool_add(struct pool *p, const struct msg_peer *m, int fd)
{
	struct helper *h, *next;

	for (h = TAILQ_FIRST(&p->helpers); h != NULL; h = next) {
		next = TAILQ_NEXT(h, entry);
		if (h->number == m->number)
			helper_free(h); /* the one before in its place */
	}
	helper_new(p, m, fd);
	/* A broker that comes later finds more than it would begin with. */
	if (p->wanted <= m->number)
		p->wanted = m->number + 1U;
}

bool
pool_put_mechanisms(const struct pool *p, struct writer *w)
{
	struct msg_sasl_mechs m = { text_of(p->mechanisms) };

	if (!p->known)
		return false;
	msg_start(w, MSG_SASL_MECHS, 0);
	msg_put_sasl_mechs(w, &m);
	return true;
}

/* The last one has had nothing to do for long: it goes. */
static void
on_look(int fd, short what, void *arg)
{
	struct pool *p = arg;
	struct helper *h;
	time_t idle;

	(void)fd;
	(void)what;
	if (p->wanted <= p->conf->authenticators || p->nwaiting > 0)
		return;
	TAILQ_FOREACH (h, &p->helpers, entry)
		if (h->number == p->wanted - 1)
			break;
	if (h == NULL || h->state != HELPER_READY ||
	    !TAILQ_EMPTY(&h->exchanges))
		return;
	idle = clock_seconds() - h->idle_since;
	if (idle < IDLE_TIMEOUTS * (time_t)p->conf->sasl_timeout)
		return;
	helper_enter(h, HELPER_LEAVING);
	want(p, p->wanted - 1);
}

struct pool *
pool_new(struct event_base *base, const struct conf *c,
    const struct pool_user *user, pool_send *to_master, pool_send *to_workers,
    void *arg)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	const struct timeval every = { .tv_sec = LOOK_SECONDS };

	p->base = base;
	p->conf = c;
	p->user = user;
	p->to_master = to_master;
	p->to_workers = to_workers;
	p->arg = arg;
	p->wanted = c->authenticators;
	TAILQ_INIT(&p->helpers);
	TAILQ_INIT(&p->waiting);
	event_assign(&p->look, base, -1, EV_PERSIST, on_look, p);
	if (c->sasl)
		event_add(&p->look, &every);
	return p;
}

void
pool_free(struct pool **pp)
{
	struct pool *p = *pp;
	struct pool_exchange *e;
	struct helper *h;

	if (p == NULL)
		return;
	while ((e = TAILQ_FIRST(&p->waiting)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		stop_waiting(e);
		refuse(e);
	}
	while ((h = TAILQ_FIRST(&p->helpers)) != NULL)
		helper_free(h);
	event_del(&p->look);
	free(p);
	*pp = NULL;
}
