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
#include "broker_socket.h"
#include "fdpass.h"
#include "conf.h"
#include "ipc.h"
#include "limit.h"
#include "log.h"
#include "msg.h"
#include "stats.h"
#include "xmalloc.h"

/* A client that is admitted, and whose worker waits for its name. */
struct naming {
	TAILQ_ENTRY(naming) entry;
	struct admits *all;
	struct ipc *ch;
	uint32_t serial, session;
	struct peername_wait *wait;
};

/*
 * Who was one too many, and is asked about again when another has given way:
 * that is no other connection of its.
 */
#define RETRIES 64

struct retry {
	uint32_t serial, session;
	struct addr client; /* family 0: none */
};

struct admits {
	const struct conf *conf;
	struct limit *limit;
	struct abuse *abuse;
	struct upstreams *upstreams;
	struct sockets *sockets;       /* of those who count */
	struct peernames *peernames;   /* NULL: nobody wants to know */
	TAILQ_HEAD(, naming) namings;  /* at most PEERNAME_WAITING */
	struct retry retries[RETRIES]; /* the last ones */
	unsigned int next_retry;
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
	a->sockets = sockets_new(c);
	if (c->peername_lookup)
		a->peernames = peernames_new(base);
	TAILQ_INIT(&a->namings);
	return a;
}

void
admits_free(struct admits **ap)
{
	struct admits *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	sockets_free(&a->sockets);
	if (a->peernames != NULL)
		peernames_free(&a->peernames);
	free(a);
}

static void
count(enum admit_verdict v)
{
	switch (v) {
	case ADMIT_TOO_MANY_ADDRESS:
		STATS_ADD(refused[REFUSED_TOO_MANY_ADDRESS], 1);
		break;
	case ADMIT_LOOP:
		STATS_ADD(refused[REFUSED_LOOP], 1);
		break;
	case ADMIT_TOO_OFTEN:
		STATS_ADD(refused[REFUSED_TOO_OFTEN], 1);
		break;
	case ADMIT_TOO_MANY: /* the worker counts: another may give way */
	case ADMIT_OK:
	case ADMIT_GONE:
	case ADMIT_VERDICTS:
		break;
	}
}

static void
reply(struct ipc *ch, const struct msg_admit *asked, enum admit_verdict v,
    const char *name)
{
	struct msg_admit_reply m = { .session = asked->session,
		.verdict = (uint8_t)v,
		.name = text_of(name) };
	struct writer w UNZEROED;

	count(v);
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

static void
expect_retry(struct admits *a, uint32_t serial, uint32_t session,
    const struct addr *client)
{
	a->retries[a->next_retry] = (struct retry){ serial, session, *client };
	a->next_retry = (a->next_retry + 1) % RETRIES;
}

/* Once: whoever comes later under that number is another one. */
static bool
is_retry(struct admits *a, uint32_t serial, uint32_t session,
    const struct addr *client)
{
	struct retry *t;

	for (t = a->retries; t < a->retries + RETRIES; t++)
		if (t->serial == serial && t->session == session &&
		    addr_eq(&t->client, client)) {
			t->client.sa.sa_family = AF_UNSPEC;
			return true;
		}
	return false;
}

/* Is the client to be served?  client: by whose address it counts. */
static enum admit_verdict
judge(struct admits *a, uint32_t serial, uint32_t session,
    const struct addr *client)
{
	const bool again = is_retry(a, serial, session, client);

	if (!again && abuse_admit(a->abuse, client) != ADMIT_OK)
		return ADMIT_TOO_OFTEN;
	switch (limit_admit(a->limit, serial, session, client)) {
	case LIMIT_OK:
		return ADMIT_OK;
	case LIMIT_TOO_MANY:
		if (!again)
			expect_retry(a, serial, session, client);
		return ADMIT_TOO_MANY;
	case LIMIT_TOO_MANY_ADDRESS:
		return ADMIT_TOO_MANY_ADDRESS;
	}
	return ADMIT_TOO_MANY;
}

/* Whom the client counts as, if there is one to be judged. */
static enum admit_verdict
look_at(
    struct admits *a, const struct msg_admit *m, int fd, struct addr *client)
{
	if (addr_peer(fd, client) == -1)
		return ADMIT_GONE; /* nobody to count */
	if (upstreams_is_ours(a->upstreams, client, fd)) {
		log_warnx("outgoing_server leads back to this very daemon");
		return ADMIT_LOOP;
	}
	if (m->client.sa.sa_family != AF_UNSPEC)
		*client = m->client;
	return ADMIT_OK;
}

/* What a worker says of its client is not for everybody to say. */
static bool
is_lie(const struct admits *a, const struct msg_admit *m, int fd)
{
	struct addr peer;

	return m->client.sa.sa_family != AF_UNSPEC &&
	    addr_peer(fd, &peer) == 0 && !conf_is_proxy(a->conf, &peer);
}

int
admits_ask(struct admits *a, struct ipc *ch, uint32_t serial,
    const struct msg_admit *m, int fd)
{
	enum admit_verdict v;
	struct addr client;

	if (fd == FDPASS_LOST) { /* one more than we can have anything of */
		reply(ch, m, ADMIT_TOO_MANY, NULL);
		return 0;
	}
	if (is_lie(a, m, fd) ||
	    sockets_add(a->sockets, fd, serial, m->session) == -1)
		return -1;
	v = look_at(a, m, fd, &client);
	if (v == ADMIT_OK)
		v = judge(a, serial, m->session, &client);
	if (v != ADMIT_OK)
		sockets_remove(a->sockets, serial, m->session);
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

	sockets_remove(a->sockets, serial, session);
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

bool
admits_may_connect(
    struct admits *a, uint32_t serial, uint32_t session, time_t now)
{
	return sockets_may_connect(a->sockets, serial, session, now);
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
	sockets_forget(a->sockets, serial);
	limit_forget_worker(a->limit, serial);
}
