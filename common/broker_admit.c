/* SPDX-License-Identifier: ISC */
/*
 * broker_admit: answers workers that have a client.  Runs in the broker.  A
 * worker may have been taken over: who its client is, the kernel says; and
 * where the kernel says that it is a proxy, the worker, who has read what the
 * proxy said.
 */
#include <sys/queue.h>

#include <stdlib.h>

#include "broker_admit.h"
#include "broker_connect.h"
#include "broker_peername.h"
#include "conf.h"
#include "ipc.h"
#include "limit.h"
#include "log.h"
#include "msg.h"
#include "xmalloc.h"

/* A client that is admitted, and whose worker waits for its name. */
struct naming {
	TAILQ_ENTRY(naming) entry;
	struct admits *all;
	struct ipc *ch;
	uint32_t serial, session;
	struct peername_wait *wait;
};

struct admits {
	const struct conf *conf;
	struct limit *limit;
	struct abuse *abuse;
	struct upstreams *upstreams;
	struct peernames *peernames;  /* NULL: nobody wants to know */
	TAILQ_HEAD(, naming) namings; /* at most PEERNAME_WAITING */
};

struct admits *
admits_new(struct event_base *base, const struct conf *c, struct limit *l,
    struct abuse *abuse, struct upstreams *u)
{
	struct admits *a = xcalloc(1, sizeof(*a));

	a->conf = c;
	a->limit = l;
	a->abuse = abuse;
	a->upstreams = u;
	if (c->peername_lookup)
		a->peernames = peernames_new(base);
	TAILQ_INIT(&a->namings);
	return a;
}

static void
reply(struct ipc *ch, const struct msg_admit *asked, enum admit_verdict v,
    const char *name)
{
	struct msg_admit_reply m = { .session = asked->session,
		.verdict = (uint8_t)v,
		.name = text_of(name) };
	struct writer w UNZEROED;

	msg_start(&w, MSG_ADMIT_REPLY, 0);
	msg_put_admit_reply(&w, &m);
	if (v == ADMIT_OK && !asked->waits)
		ipc_send_later(ch, &w);
	else
		(void)ipc_send(ch, &w, -1);
}

static void
naming_free(struct naming *n)
{
	peername_cancel(&n->wait);
	TAILQ_REMOVE(&n->all->namings, n, entry);
	free(n);
}

static void
on_name(void *arg, const char *name)
{
	struct naming *n = arg;

	struct msg_admit asked = { .session = n->session, .waits = 1 };

	reply(n->ch, &asked, ADMIT_OK, name);
	naming_free(n);
}

/* The client counts while its name is looked up. */
static void
find_name(struct admits *a, struct ipc *ch, uint32_t serial, uint32_t session,
    const struct addr *client)
{
	struct naming *n = xcalloc(1, sizeof(*n));
	struct peername_wait *wait;

	n->all = a;
	n->ch = ch;
	n->serial = serial;
	n->session = session;
	TAILQ_INSERT_TAIL(&a->namings, n, entry);
	wait = peername_lookup(a->peernames, client, on_name, n);
	if (wait != NULL) /* else n is no more */
		n->wait = wait;
}

/* Is the client to be served?  client: by whose address it counts. */
static enum admit_verdict
judge(struct admits *a, uint32_t serial, uint32_t session,
    const struct addr *client)
{
	if (abuse_admit(a->abuse, client) != ADMIT_OK)
		return ADMIT_TOO_OFTEN;
	switch (limit_admit(a->limit, serial, session, client)) {
	case LIMIT_OK:
		return ADMIT_OK;
	case LIMIT_TOO_MANY:
		return ADMIT_TOO_MANY;
	case LIMIT_TOO_MANY_ADDRESS:
		return ADMIT_TOO_MANY_ADDRESS;
	}
	return ADMIT_TOO_MANY;
}

int
admits_ask(struct admits *a, struct ipc *ch, uint32_t serial,
    const struct msg_admit *m, int fd)
{
	const bool told = m->client.sa.sa_family != AF_UNSPEC;
	enum admit_verdict v;
	struct addr client;

	if (addr_peer(fd, &client) == -1) {
		reply(ch, m, ADMIT_GONE, NULL); /* nobody to count */
		return 0;
	}
	if (told && !conf_is_proxy(a->conf, &client))
		return -1;
	if (upstreams_is_ours(a->upstreams, &client, fd)) {
		log_warnx("outgoing_server leads back to this very daemon");
		reply(ch, m, ADMIT_LOOP, NULL);
		return 0;
	}
	if (told)
		client = m->client;
	v = judge(a, serial, m->session, &client);
	if (v == ADMIT_OK && a->peernames != NULL)
		find_name(a, ch, serial, m->session, &client);
	else
		reply(ch, m, v, NULL);
	return v == ADMIT_OK;
}

bool
admits_release(struct admits *a, uint32_t serial, uint32_t session)
{
	struct naming *n;
	struct addr client;

	TAILQ_FOREACH (n, &a->namings, entry)
		if (n->serial == serial && n->session == session)
			break;
	if (n != NULL)
		naming_free(n);
	if (limit_address(a->limit, serial, session, &client) == -1)
		return false;
	limit_release(a->limit, serial, session);
	return true;
}

void
admits_forget(struct admits *a, uint32_t serial)
{
	struct naming *n, *next;

	for (n = TAILQ_FIRST(&a->namings); n != NULL; n = next) {
		next = TAILQ_NEXT(n, entry);
		if (n->serial == serial)
			naming_free(n);
	}
	limit_forget_worker(a->limit, serial);
}
