/* SPDX-License-Identifier: ISC */
/*
 * broker_auth: logins that are decided on this machine.  Runs in the broker.
 * It sees who asks, and from an authenticator who he is and how it ended, and
 * no passwords.
 */
#include <sys/tree.h>

#include <stdlib.h>

#include "broker_auth.h"
#include "broker_pool.h"
#include "xmalloc.h"

/* A session's login, from its question to the end of the exchange. */
struct auth {
	RB_ENTRY(auth) entry; /* while ch is there */
	struct auths *auths;
	struct ipc *ch; /* NULL: the session has gone */
	uint16_t number;
	uint32_t serial, session;
	struct addr client;
	struct abuse_login login;
	bool over;  /* how it ended is counted */
	bool again; /* the session waits for the next one */
};

struct auths {
	struct limit *limit;
	struct abuse *abuse;
	struct pool *pool;
	/* Of sessions that are there: thousands, when all come back at once. */
	RB_HEAD(auth_tree, auth) tree;
};

static int
compare_auths(const struct auth *a, const struct auth *b)
{
	if (a->serial != b->serial)
		return a->serial < b->serial ? -1 : 1;
	return a->session < b->session ? -1 : a->session > b->session;
}

RB_PROTOTYPE(auth_tree, auth, entry, compare_auths)
RB_GENERATE(auth_tree, auth, entry, compare_auths)

static void
begin(struct auth *a)
{
	struct abuse *abuse = a->auths->abuse;
	const uint32_t delay = abuse_delay_ms(abuse, &a->client);
	const bool strict = abuse_begin(abuse, &a->client, TEXT_NONE,
	                        &a->login) == ABUSE_STRICT;

	a->over = false;
	pool_ask(
	    a->auths->pool, a->number, a->serial, &a->client, delay, strict, a);
}

static void
count(struct auth *a, enum abuse_end how, struct text user, uint16_t proof)
{
	if (!a->over)
		abuse_end(
		    a->auths->abuse, &a->client, &a->login, how, user, proof);
	a->over = true;
}

/* The exchange is over, or there was none to be had. */
static void
end(struct auth *a)
{
	count(a, ABUSE_NOTHING, TEXT_NONE, 0);
	if (a->again) {
		a->again = false;
		begin(a);
		return;
	}
	if (a->ch != NULL)
		RB_REMOVE(auth_tree, &a->auths->tree, a);
	free(a);
}

static void
on_granted(void *arg, const struct pool_grant *g)
{
	struct auth *a = arg;
	struct msg_auth_reply m = { .session = a->session, .ok = g != NULL };
	struct writer w UNZEROED;

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
on_outcome(void *arg, const struct msg_step *m)
{
	switch ((enum step)m->step) {
	case STEP_OK:
		count(arg, ABUSE_GOOD, m->user, 0);
		break;
	case STEP_REFUSED:
		count(arg, ABUSE_FAILED, m->user, m->proof);
		break;
	case STEP_TURNED:
		count(arg, ABUSE_TURNED, m->user, 0);
		break;
	case STEP_BEGINS:
	case STEP_WAITS:
	case STEP_OVER:
	case STEPS:
		break;
	}
}

static void
on_over(void *arg)
{
	end(arg);
}

static const struct pool_user pool_user = { on_granted, on_outcome, on_over };

struct auths *
auths_new(struct event_base *base, const struct conf *c, struct limit *limit,
    struct abuse *abuse, auths_send *to_master, auths_send *to_workers,
    void *arg)
{
	struct auths *as = xcalloc(1, sizeof(*as));

	as->limit = limit;
	as->abuse = abuse;
	RB_INIT(&as->tree);
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
	struct auth key = { .serial = serial, .session = session };

	return RB_FIND(auth_tree, &as->tree, &key);
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
	RB_INSERT(auth_tree, &as->tree, a);
	begin(a);
	return 0;
}

/* What was granted, its worker cancels, or the end of its channel does. */
static void
abandon(struct auth *a)
{
	RB_REMOVE(auth_tree, &a->auths->tree, a);
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
	struct auth key = { .serial = serial }, *a;

	/* Its first; abandon() takes it out. */
	while ((a = RB_NFIND(auth_tree, &as->tree, &key)) != NULL &&
	    a->serial == serial)
		abandon(a);
	pool_forget(as->pool, serial);
}
