/* SPDX-License-Identifier: ISC */
/*
 * broker_auth: logins that are decided on this machine.  Runs in the broker.
 * It sees who asks and how it ended, and neither names nor passwords.
 */
#include <sys/queue.h>

#include <stdlib.h>

#include "broker_auth.h"
#include "broker_pool.h"
#include "clock.h"
#include "xmalloc.h"

#define JITTER_MS 250 /* so that the delay tells nothing */
#define DELAY_MAX_MS 4000

/* A session's login, from its question to the end of the exchange. */
struct auth {
	TAILQ_ENTRY(auth) entry;
	struct auths *auths;
	struct ipc *ch; /* NULL: the session has gone */
	uint16_t number;
	uint32_t serial, session;
	struct addr client;
	bool again; /* the session waits for the next one */
};

struct auths {
	struct limit *limit;
	struct pool *pool;
	TAILQ_HEAD(, auth) list;
};

uint32_t
auths_delay_ms(struct limit *limit, const struct addr *client)
{
	uint32_t ms = limit_delay(limit, client, clock_seconds());

	ms += arc4random_uniform(JITTER_MS);
	return ms > DELAY_MAX_MS ? DELAY_MAX_MS : ms;
}

static void
begin(struct auth *a)
{
	pool_ask(a->auths->pool, a->number, a->serial, &a->client,
	    auths_delay_ms(a->auths->limit, &a->client), a);
}

/* The exchange is over, or there was none to be had. */
static void
end(struct auth *a)
{
	if (a->again) {
		a->again = false;
		begin(a);
		return;
	}
	TAILQ_REMOVE(&a->auths->list, a, entry);
	free(a);
}

static void
on_granted(void *arg, const struct pool_grant *g)
{
	struct auth *a = arg;
	struct msg_auth_reply m = { .session = a->session, .ok = g != NULL };
	struct writer w;

	if (g != NULL) {
		m.exchange = g->exchange;
		m.serial = g->serial;
	}
	msg_start(&w, MSG_AUTH_REPLY, 0);
	msg_put_auth_reply(&w, &m);
	(void)ipc_send(a->ch, &w, g != NULL ? g->fd : -1);
	if (g == NULL)
		end(a);
}

/* Counted even when the client, or its worker, has gone meanwhile. */
static void
on_outcome(void *arg, enum outcome outcome)
{
	struct auth *a = arg;

	if (outcome == OUTCOME_OK)
		limit_succeeded(a->auths->limit, &a->client);
	else
		limit_failed(a->auths->limit, &a->client, clock_seconds());
}

static void
on_over(void *arg)
{
	end(arg);
}

static const struct pool_user pool_user = { on_granted, on_outcome, on_over };

struct auths *
auths_new(struct event_base *base, const struct conf *c, struct limit *limit,
    auths_send *to_master, auths_send *to_workers, void *arg)
{
	struct auths *as = xcalloc(1, sizeof(*as));

	as->limit = limit;
	TAILQ_INIT(&as->list);
	as->pool = pool_new(base, c, &pool_user, to_master, to_workers, arg);
	return as;
}

void
auths_add(struct auths *as, const struct msg_peer *m, int fd)
{
	pool_add(as->pool, m, fd);
}

bool
auths_put_mechanisms(const struct auths *as, struct writer *w)
{
	return pool_put_mechanisms(as->pool, w);
}

/* Of a session that is there: its number may have been another one's. */
static struct auth *
find(struct auths *as, uint32_t serial, uint32_t session)
{
	struct auth *a;

	TAILQ_FOREACH (a, &as->list, entry)
		if (a->ch != NULL && a->serial == serial &&
		    a->session == session)
			return a;
	return NULL;
}

int
auths_ask(struct auths *as, struct ipc *ch, uint16_t number, uint32_t serial,
    uint32_t session)
{
	struct auth *a = find(as, serial, session);
	struct addr client;

	if (limit_address(as->limit, serial, session, &client) == -1)
		return -1; /* it was not admitted */
	if (a != NULL) {
		/* An authenticator's word on the first may still be coming. */
		if (a->again)
			return -1;
		a->again = true;
		return 0;
	}
	a = xcalloc(1, sizeof(*a));
	a->auths = as;
	a->ch = ch;
	a->number = number;
	a->serial = serial;
	a->session = session;
	a->client = client;
	TAILQ_INSERT_TAIL(&as->list, a, entry);
	begin(a);
	return 0;
}

/* What was granted, its worker cancels, or the end of its channel does. */
static void
abandon(struct auth *a)
{
	a->ch = NULL;
	a->again = false;
	pool_withdraw(a->auths->pool, a);
}

void
auths_release(struct auths *as, uint32_t serial, uint32_t session)
{
	struct auth *a = find(as, serial, session);

	if (a != NULL)
		abandon(a);
}

void
auths_forget(struct auths *as, uint32_t serial)
{
	struct auth *a, *next;

	for (a = TAILQ_FIRST(&as->list); a != NULL; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (a->serial == serial)
			abandon(a);
	}
	pool_forget(as->pool, serial);
}
