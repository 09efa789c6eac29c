/* SPDX-License-Identifier: ISC */
/*
 * sasl_channel: a worker's channels to the authenticators.  Runs in workers.
 * What an authenticator says, it says on an exchange of its own; one that is
 * no longer wanted here may have been answered meanwhile, so words on others
 * are passed over.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>

#include "ipc.h"
#include "log.h"
#include "sasl_channel.h"
#include "xmalloc.h"

struct sasl_exchange {
	RB_ENTRY(sasl_exchange) entry;
	struct sasl_channel *ch; /* NULL: it is over */
	uint32_t number;
	sasl_heard *heard;
	void *arg;
};

RB_HEAD(exchange_tree, sasl_exchange);

struct sasl_channel {
	TAILQ_ENTRY(sasl_channel) entry;
	struct sasl_channels *all;
	struct ipc *ipc;
	uint32_t serial;
	struct exchange_tree exchanges;
};

struct sasl_channels {
	struct event_base *base;
	TAILQ_HEAD(, sasl_channel) list;
};

static int
compare(const struct sasl_exchange *a, const struct sasl_exchange *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

RB_PROTOTYPE(exchange_tree, sasl_exchange, entry, compare)
RB_GENERATE(exchange_tree, sasl_exchange, entry, compare)

struct sasl_channels *
sasl_channels_new(struct event_base *base)
{
	struct sasl_channels *cs = xcalloc(1, sizeof(*cs));

	cs->base = base;
	TAILQ_INIT(&cs->list);
	return cs;
}

static void
end(struct sasl_exchange *x)
{
	RB_REMOVE(exchange_tree, &x->ch->exchanges, x);
	x->ch = NULL;
}

static void
channel_free(struct sasl_channel *ch)
{
	struct sasl_exchange *x;

	TAILQ_REMOVE(&ch->all->list, ch, entry);
	while ((x = RB_MIN(exchange_tree, &ch->exchanges)) != NULL) {
		end(x);
		x->heard(x->arg, AUTH_UNAVAILABLE, TEXT_NONE);
	}
	ipc_free(&ch->ipc);
	free(ch);
}

void
sasl_channels_free(struct sasl_channels **csp)
{
	struct sasl_channels *cs = *csp;
	struct sasl_channel *ch;

	if (cs == NULL)
		return;
	while ((ch = TAILQ_FIRST(&cs->list)) != NULL)
		channel_free(ch);
	free(cs);
	*csp = NULL;
}

/* What an authenticator may say: MSG_SASL_REPLY. */
static int
on_reply(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct sasl_channel *ch = arg;
	struct sasl_exchange key = { .number = id }, *x;
	struct msg_sasl_reply m;

	(void)ipc;
	(void)fd; /* msg_allowed(): it brings none */
	if (type != MSG_SASL_REPLY || msg_get_sasl_reply(r, &m) == -1)
		return -1;
	x = RB_FIND(exchange_tree, &ch->exchanges, &key);
	if (x == NULL)
		return 0;
	if (m.result != AUTH_CHALLENGE)
		end(x);
	x->heard(x->arg, m.result, m.text);
	return 0;
}

/* It died, or took too long and was ended. */
static void
on_closed(void *arg, struct ipc *ipc, const char *why)
{
	(void)ipc;
	if (why != NULL)
		log_warnx("an authenticator sent %s", why);
	channel_free(arg);
}

void
sasl_channels_add(struct sasl_channels *cs, uint32_t serial, int fd)
{
	struct sasl_channel *old = sasl_channels_find(cs, serial);
	struct sasl_channel *ch = xcalloc(1, sizeof(*ch));

	/* A new broker makes another; on the old one exchanges may be. */
	if (old != NULL && RB_EMPTY(&old->exchanges))
		channel_free(old);
	ch->all = cs;
	ch->serial = serial;
	RB_INIT(&ch->exchanges);
	ch->ipc = ipc_new(cs->base, fd, ROLE_WORKER, ROLE_AUTHENTICATOR,
	    on_reply, on_closed, ch);
	TAILQ_INSERT_HEAD(&cs->list, ch, entry);
}

struct sasl_channel *
sasl_channels_find(const struct sasl_channels *cs, uint32_t serial)
{
	struct sasl_channel *ch;

	TAILQ_FOREACH (ch, &cs->list, entry)
		if (ch->serial == serial)
			return ch;
	return NULL;
}

void
sasl_channel_cancel(struct sasl_channel *ch, uint32_t number)
{
	struct writer w UNZEROED;

	msg_start(&w, MSG_SASL_CANCEL, number);
	(void)ipc_send(ch->ipc, &w, -1);
}

struct sasl_exchange *
sasl_exchange_new(
    struct sasl_channel *ch, uint32_t number, sasl_heard *heard, void *arg)
{
	struct sasl_exchange *x = xcalloc(1, sizeof(*x));

	x->ch = ch;
	x->number = number;
	x->heard = heard;
	x->arg = arg;
	if (RB_INSERT(exchange_tree, &ch->exchanges, x) == NULL)
		return x;
	free(x);
	return NULL;
}

void
sasl_exchange_free(struct sasl_exchange **xp)
{
	struct sasl_exchange *x = *xp;

	if (x == NULL)
		return;
	*xp = NULL;
	if (x->ch != NULL) {
		sasl_channel_cancel(x->ch, x->number);
		end(x);
	}
	free(x);
}

void
sasl_exchange_say(struct sasl_exchange *x, struct writer *w)
{
	if (x->ch == NULL)
		return;
	msg_set_id(w, x->number);
	(void)ipc_send(x->ch->ipc, w, -1);
}
