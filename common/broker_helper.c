/* SPDX-License-Identifier: ISC */
/*
 * broker_helper: one authenticator, as the broker knows it: what it is doing,
 * and what it says of its exchanges.  Runs in the broker.  It reads what
 * workers and, through them, strangers send: it may name its own exchanges and
 * nothing else.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "broker_pool_impl.h"
#include "clock.h"
#include "log.h"
#include "role.h"
#include "xmalloc.h"

/* An authenticator gives a client up for that long after a grant, too. */
#define BEGIN_SECONDS 1
#define LOAD_SECONDS 20 /* for plugins; or it is in a step of long ago */

/* The only place that changes h->state. */
void
helper_enter(struct helper *h, enum helper_state next)
{
	h->state = next;
	switch (next) {
	case HELPER_LOADING:
		pool_arm(&h->deadline, LOAD_SECONDS);
		break;
	case HELPER_STEP:
		pool_arm(&h->deadline,
		    BEGIN_SECONDS + (time_t)h->pool->conf->sasl_timeout);
		break;
	case HELPER_READY:
	case HELPER_LEAVING:
		h->idle_since = clock_seconds();
		event_del(&h->deadline);
		break;
	}
}

/* Each word of an authenticator shows that it does not hang. */
void
helper_set_busy(struct pool_exchange *e, bool busy)
{
	struct helper *h = e->helper;

	if (busy && !e->busy)
		h->nbusy++;
	else if (!busy && e->busy)
		h->nbusy--;
	e->busy = busy;
	helper_enter(h, h->nbusy > 0 ? HELPER_STEP : HELPER_READY);
}

/*
 * Nothing but the delay of its answer is to come: it is in nobody's way.  Else
 * whoever guesses would have us start processes, and others wait for them.
 */
static void
exchange_refused(struct pool_exchange *e)
{
	e->refused = true;
	e->helper->nexchanges--;
}

/* It is over, whoever it was with. */
static void
exchange_over(struct pool_exchange *e)
{
	struct helper *h = e->helper;

	helper_set_busy(e, false);
	TAILQ_REMOVE(&h->exchanges, e, entry);
	h->nexchanges -= !e->refused;
	e->pool->user->over(e->arg);
	free(e);
}

/* The place of this worker in h's list, or nworkers. */
size_t
helper_find_worker(const struct helper *h, uint32_t serial)
{
	size_t i;

	for (i = 0; i < h->nworkers && h->workers[i] != serial; i++)
		continue;
	return i;
}

void
helper_free(struct helper *h)
{
	struct pool *p = h->pool;
	struct pool_exchange *e;

	TAILQ_REMOVE(&p->helpers, h, entry);
	p->nhelpers--;
	ipc_free(&h->ch);
	while ((e = TAILQ_FIRST(&h->exchanges)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
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
	helper_enter(h, HELPER_READY);
	if (!p->known) {
		memcpy(p->mechanisms, m.list.p, m.list.len);
		p->mechanisms[m.list.len] = '\0';
		p->known = true;
		if (pool_put_mechanisms(p, &w))
			p->to_workers(p->arg, &w);
	}
	pool_serve_waiting(p);
	return 0;
}

static int
do_step(struct helper *h, struct reader *r)
{
	const struct pool_user *user = h->pool->user;
	struct pool_exchange *e;
	struct msg_step m;

	if (msg_get_step(r, &m) == -1 || (e = find(h, m.exchange)) == NULL ||
	    (m.step != STEP_OVER &&
	        (e->refused || e->busy == (m.step == STEP_BEGINS))))
		return -1;
	helper_set_busy(e, m.step == STEP_BEGINS);
	switch ((enum step)m.step) {
	case STEP_BEGINS:
	case STEP_WAITS:
		break;
	case STEP_REFUSED:
	case STEP_TURNED:
		exchange_refused(e);
		user->outcome(e->arg, &m);
		break;
	case STEP_OK:
		user->outcome(e->arg, &m);
		exchange_over(e);
		break;
	case STEP_OVER:
		exchange_over(e);
		break;
	case STEPS:
		return -1;
	}
	pool_serve_waiting(h->pool);
	return 0;
}

/* It has power over the workers that it serves, and no other. */
static int
do_broken(struct helper *h, struct reader *r)
{
	struct msg_broken m;

	if (msg_get_broken(r, &m) == -1)
		return -1;
	if (helper_find_worker(h, m.serial) < h->nworkers) /* else it is gone */
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
helper_new(struct pool *p, const struct msg_peer *m, int fd)
{
	struct helper *h = xcalloc(1, sizeof(*h));

	h->pool = p;
	h->number = m->number;
	h->serial = m->serial;
	TAILQ_INIT(&h->exchanges);
	evtimer_assign(&h->deadline, p->base, on_deadline, h);
	h->ch = ipc_new(p->base, fd, ROLE_BROKER, ROLE_AUTHENTICATOR, on_helper,
	    on_helper_closed, h);
	TAILQ_INSERT_TAIL(&p->helpers, h, entry);
	p->nhelpers++;
	helper_enter(h, HELPER_LOADING);
}
