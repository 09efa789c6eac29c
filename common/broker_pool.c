/* SPDX-License-Identifier: ISC */
/*
 * broker_pool: the authenticators, as the broker knows them.  Runs in the
 * broker.  An authenticator reads what workers and, through them, strangers
 * send: it may name its own exchanges and nothing else.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker_pool.h"
#include "clock.h"
#include "log.h"
#include "role.h"
#include "xmalloc.h"

/* An authenticator gives a client up for that long after a grant, too. */
#define BEGIN_SECONDS 1
#define LOAD_SECONDS 20 /* for plugins; or it is in a step of long ago */
#define LOOK_SECONDS 1  /* how often the pool is looked at for shrinking */
/* Most steps are over so soon that another process would come too late. */
#define PATIENCE_MS 100
/* Idle times of sasl_timeout until there is one authenticator too many. */
#define IDLE_TIMEOUTS 2

struct pool_exchange {
	TAILQ_ENTRY(pool_exchange) entry;
	struct pool *pool;
	struct helper *helper; /* NULL: it waits for one */
	uint32_t number;
	uint16_t worker;
	uint32_t worker_serial;
	uint32_t failure_delay_ms;
	struct addr client;
	void *arg;
	bool busy;    /* in a step, or about to begin the first */
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
	unsigned int nexchanges, nbusy;
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

static void serve_waiting(struct pool *p);

static void
arm(struct event *e, time_t seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	event_add(e, &tv);
}

/* The only place that changes h->state. */
static void
enter(struct helper *h, enum helper_state next)
{
	h->state = next;
	switch (next) {
	case HELPER_LOADING:
		arm(&h->deadline, LOAD_SECONDS);
		break;
	case HELPER_STEP:
		arm(&h->deadline,
		    BEGIN_SECONDS + (time_t)h->pool->conf->sasl_timeout);
		break;
	case HELPER_READY:
	case HELPER_LEAVING:
		h->idle_since = clock_seconds();
		event_del(&h->deadline);
		break;
	}
}

/* How many there are to be. */
static void
want(struct pool *p, unsigned int wanted)
{
	struct msg_pool m = { (uint16_t)wanted };
	struct writer w;

	if (wanted == p->wanted)
		return;
	log_debug("authenticators=%u wanted=%u", p->nhelpers, wanted);
	p->wanted = wanted;
	msg_start(&w, MSG_POOL, 0);
	msg_put_pool(&w, &m);
	p->to_master(p->arg, &w);
}

/* Each word of an authenticator shows that it does not hang. */
static void
set_busy(struct pool_exchange *e, bool busy)
{
	struct helper *h = e->helper;

	if (busy && !e->busy)
		h->nbusy++;
	else if (!busy && e->busy)
		h->nbusy--;
	e->busy = busy;
	enter(h, h->nbusy > 0 ? HELPER_STEP : HELPER_READY);
}

/* It is over, whoever it was with. */
static void
exchange_over(struct pool_exchange *e)
{
	struct helper *h = e->helper;

	set_busy(e, false);
	TAILQ_REMOVE(&h->exchanges, e, entry);
	h->nexchanges--;
	e->pool->user->over(e->arg);
	free(e);
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
		arm(&e->deadline, e->pool->conf->sasl_timeout);
}

/* The place of this worker in h's list, or nworkers. */
static size_t
find_worker(const struct helper *h, uint32_t serial)
{
	size_t i;

	for (i = 0; i < h->nworkers && h->workers[i] != serial; i++)
		continue;
	return i;
}

/* The ends of a new channel, or -1 each: there is one.  -1: it failed. */
static int
make_channel(struct helper *h, uint32_t serial, int ends[2])
{
	ends[0] = ends[1] = -1;
	if (find_worker(h, serial) < h->nworkers)
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
		e->failure_delay_ms, e->client };
	struct pool_grant g = { .exchange = e->number, .serial = h->serial };
	struct writer w;
	int ends[2];

	if (make_channel(h, e->worker_serial, ends) == -1) {
		log_warn("a channel to an authenticator");
		refuse(e);
		return;
	}
	e->helper = h;
	TAILQ_INSERT_TAIL(&h->exchanges, e, entry);
	h->nexchanges++;
	set_busy(e, true);
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

/* The one that holds the fewest, and hears us.  NULL: there is none. */
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
    const struct addr *client, uint32_t failure_delay_ms, void *arg)
{
	struct pool_exchange *e = xcalloc(1, sizeof(*e));

	e->pool = p;
	e->number = ++p->last_exchange;
	e->worker = number;
	e->worker_serial = serial;
	e->failure_delay_ms = failure_delay_ms;
	e->client = *client;
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
		i = find_worker(h, serial);
		if (i < h->nworkers)
			h->workers[i] = h->workers[--h->nworkers];
	}
}

static void
serve_waiting(struct pool *p)
{
	struct pool_exchange *e;
	struct helper *h;

	while ((e = TAILQ_FIRST(&p->waiting)) != NULL) {
		h = least_busy(p);
		if (h == NULL || h->nexchanges > 0)
			return;
		stop_waiting(e);
		grant(e, h);
	}
}

static void
helper_free(struct helper *h)
{
	struct pool *p = h->pool;
	struct pool_exchange *e;

	TAILQ_REMOVE(&p->helpers, h, entry);
	p->nhelpers--;
	ipc_free(&h->ch);
	while ((e = TAILQ_FIRST(&h->exchanges)) != NULL)
		exchange_over(e);
	event_del(&h->deadline);
	free(h->workers);
	free(h);
}

/* It took longer than it may. */
static void
on_deadline(int fd, short what, void *arg)
{
	struct helper *h = arg;

	(void)fd;
	(void)what;
	log_warnx("authenticator %u: no answer within %u s (sasl_timeout): is "
	          "saslauthd well?",
	    h->number + 1U, h->pool->conf->sasl_timeout);
	role_accuse(ROLE_AUTHENTICATOR, h->number, h->serial);
}

static struct pool_exchange *
find(const struct helper *h, uint32_t number)
{
	struct pool_exchange *e;

	TAILQ_FOREACH (e, &h->exchanges, entry)
		if (e->number == number)
			return e;
	return NULL;
}

static int
do_mechanisms(struct helper *h, struct reader *r)
{
	struct pool *p = h->pool;
	struct msg_sasl_mechs m;
	struct writer w;

	if (msg_get_sasl_mechs(r, &m) == -1 || h->state != HELPER_LOADING)
		return -1;
	enter(h, HELPER_READY);
	if (!p->known) {
		memcpy(p->mechanisms, m.list.p, m.list.len);
		p->mechanisms[m.list.len] = '\0';
		p->known = true;
		if (pool_put_mechanisms(p, &w))
			p->to_workers(p->arg, &w);
	}
	serve_waiting(p);
	return 0;
}

static int
do_step(struct helper *h, struct reader *r)
{
	const struct pool_user *user = h->pool->user;
	struct pool_exchange *e;
	struct msg_step m;

	if (msg_get_step(r, &m) == -1 || (e = find(h, m.exchange)) == NULL ||
	    (m.step != STEP_OVER && e->busy == (m.step == STEP_BEGINS)))
		return -1;
	set_busy(e, m.step == STEP_BEGINS);
	switch ((enum step)m.step) {
	case STEP_BEGINS:
	case STEP_WAITS:
		break;
	case STEP_REFUSED:
		user->outcome(e->arg, OUTCOME_REFUSED);
		break;
	case STEP_OK:
		user->outcome(e->arg, OUTCOME_OK);
		exchange_over(e);
		break;
	case STEP_OVER:
		exchange_over(e);
		break;
	case STEPS:
		return -1;
	}
	serve_waiting(h->pool);
	return 0;
}

/* It has power over the workers that it serves, and no other. */
static int
do_broken(struct helper *h, struct reader *r)
{
	struct msg_broken m;

	if (msg_get_broken(r, &m) == -1)
		return -1;
	if (find_worker(h, m.serial) < h->nworkers) /* else it is gone */
		role_accuse(ROLE_WORKER, m.number, m.serial);
	return 0;
}

/* What an authenticator may say. */
static int
on_helper(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct helper *h = arg;

	(void)ch;
	(void)id;
	(void)fd; /* msg_allowed(): none of these brings one */
	switch (type) {
	case MSG_SASL_MECHS:
		return do_mechanisms(h, r);
	case MSG_STEP:
		return do_step(h, r);
	case MSG_BROKEN:
		return do_broken(h, r);
	default:
		return -1;
	}
}

static void
on_helper_closed(void *arg, struct ipc *ch, const char *why)
{
	struct helper *h = arg;

	(void)ch;
	if (why != NULL)
		log_warnx("authenticator %u sent %s", h->number + 1U, why);
	if (why != NULL) /* else it is dead */
		role_accuse(ROLE_AUTHENTICATOR, h->number, h->serial);
	helper_free(h);
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
	h = xcalloc(1, sizeof(*h));
	h->pool = p;
	h->number = m->number;
	h->serial = m->serial;
	TAILQ_INIT(&h->exchanges);
	evtimer_assign(&h->deadline, p->base, on_deadline, h);
	h->ch = ipc_new(p->base, fd, ROLE_BROKER, ROLE_AUTHENTICATOR, on_helper,
	    on_helper_closed, h);
	TAILQ_INSERT_TAIL(&p->helpers, h, entry);
	p->nhelpers++;
	/* A broker that comes later finds more than it would begin with. */
	if (p->wanted <= m->number)
		p->wanted = m->number + 1U;
	enter(h, HELPER_LOADING);
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
	if (h == NULL || h->state != HELPER_READY || h->nexchanges > 0)
		return;
	idle = clock_seconds() - h->idle_since;
	if (idle < IDLE_TIMEOUTS * (time_t)p->conf->sasl_timeout)
		return;
	enter(h, HELPER_LEAVING);
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
		stop_waiting(e);
		refuse(e);
	}
	while ((h = TAILQ_FIRST(&p->helpers)) != NULL)
		helper_free(h);
	event_del(&p->look);
	free(p);
	*pp = NULL;
}
