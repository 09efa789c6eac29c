/* SPDX-License-Identifier: ISC */
/*
 * authenticator: the process in which libsasl2 runs.  As _relaisd with the
 * group sasl, in the spool.  It trusts the master and the broker, which says
 * whose client it is and how long a failure is held back; the workers behind
 * the exchanges' channels may have been taken over.
 *
 * Whoever guesses passwords learns of a failure after the delay only, and gets
 * no other exchange before that, whatever his worker does.
 */
#include <sys/queue.h>

#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authenticator.h"
#include "authenticator_sasl.h"
#include "log.h"
#include "priv.h"
#include "session.h"
#include "xmalloc.h"

#define AUTHENTICATOR_FILES 4096 /* descriptors: a channel per exchange */
/* For the client's next answer: sessions have their own, shorter limits. */
#define IDLE_SECONDS 300
#define SASLDB "/etc/sasldb2" /* inside the spool, and by default outside */

struct authenticator {
	const struct role_start *start;
	struct event_base *base;
	struct ipc *broker;
	TAILQ_HEAD(, channel) channels;
	struct sasl_conf *file;
	struct sasl_setup setup;
	char mechanisms[MSG_MECHS_MAX + 1];
};

/* One exchange. */
struct channel {
	TAILQ_ENTRY(channel) entry;
	struct authenticator *a;
	struct ipc *ipc; /* NULL: the worker does not wait for the end */
	bool reported;   /* the broker that there is knows of it */
	bool failed;     /* the word of that is held back */
	uint32_t number;
	uint32_t failure_delay_ms;
	struct addr client;
	struct dialogue *dialogue; /* NULL: it has not begun */
	struct event timer;
};

static void
to_broker(struct channel *ch, struct writer *w)
{
	if (ch->reported && ch->a->broker != NULL)
		(void)ipc_send(ch->a->broker, w, -1);
}

static void
tell_step(struct channel *ch, bool begins)
{
	struct msg_step m = { ch->number, begins };
	struct writer w;

	msg_start(&w, MSG_STEP, 0);
	msg_put_step(&w, &m);
	to_broker(ch, &w);
}

static void
tell_outcome(struct channel *ch, enum outcome outcome)
{
	struct msg_outcome m = { ch->number, MSG_NO_SERVER, (uint8_t)outcome };
	struct writer w;

	msg_start(&w, MSG_OUTCOME, 0);
	msg_put_outcome(&w, &m);
	to_broker(ch, &w);
}

/* The end of an exchange: broken, if the worker broke a rule. */
static void
channel_end(struct channel *ch, bool broken)
{
	struct msg_over m = { ch->number, broken };
	struct writer w;

	msg_start(&w, MSG_OVER, 0);
	msg_put_over(&w, &m);
	to_broker(ch, &w);
	event_del(&ch->timer);
	TAILQ_REMOVE(&ch->a->channels, ch, entry);
	ipc_free(&ch->ipc);
	dialogue_free(&ch->dialogue);
	free(ch);
}

static void
set_timer(struct channel *ch, time_t seconds, uint32_t ms)
{
	const struct timeval tv = { .tv_sec = seconds + ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	event_add(&ch->timer, &tv);
}

static void
reply(struct channel *ch, enum sasl_result result, struct text text)
{
	struct msg_sasl_reply m = { (uint8_t)result, text };
	struct writer w;

	msg_start(&w, MSG_SASL_REPLY, 0);
	msg_put_sasl_reply(&w, &m);
	if (ch->ipc != NULL)
		(void)ipc_send(ch->ipc, &w, -1);
}

/* What a step has led to. */
static void
conclude(struct channel *ch, enum sasl_result result, struct text text)
{
	switch (result) {
	case AUTH_CHALLENGE:
		reply(ch, result, text);
		set_timer(ch, IDLE_SECONDS, 0);
		return;
	case AUTH_OK:
		tell_outcome(ch, OUTCOME_OK);
		break;
	case AUTH_FAILED:
		tell_outcome(ch, OUTCOME_REFUSED);
		dialogue_free(&ch->dialogue);
		ch->failed = true;
		set_timer(ch, 0, ch->failure_delay_ms);
		return;
	case AUTH_UNAVAILABLE:
	case AUTH_BAD_PROTOCOL:
	case AUTH_NO_MECHANISM:
	case AUTH_RESULTS:
		break;
	}
	reply(ch, result, text);
	channel_end(ch, false);
}

/* The delay of a failure is over, or the client's time. */
static void
on_timer(int fd, short what, void *arg)
{
	struct channel *ch = arg;

	(void)fd;
	(void)what;
	if (ch->failed)
		reply(ch, AUTH_FAILED, TEXT_NONE);
	channel_end(ch, false);
}

static int
do_start(struct channel *ch, struct reader *r)
{
	enum sasl_result result = AUTH_UNAVAILABLE;
	struct text out = TEXT_NONE;
	struct msg_sasl_start m;

	if (msg_get_sasl_start(r, &m) == -1 || ch->dialogue != NULL)
		return -1;
	tell_step(ch, true);
	ch->dialogue = dialogue_new(&ch->client, &m.local, m.ssf);
	if (ch->dialogue != NULL)
		result = dialogue_start(
		    ch->dialogue, m.mechanism, m.has_initial, m.initial, &out);
	tell_step(ch, false);
	conclude(ch, result, out);
	return 0;
}

static int
do_check(struct channel *ch, struct reader *r)
{
	enum sasl_result result = AUTH_UNAVAILABLE;
	struct text out = TEXT_NONE;
	struct msg_sasl_check m;

	if (msg_get_sasl_check(r, &m) == -1 || ch->dialogue != NULL)
		return -1;
	tell_step(ch, true);
	ch->dialogue = dialogue_new(&ch->client, &m.local, m.ssf);
	if (ch->dialogue != NULL)
		result = dialogue_check(ch->dialogue, m.name, m.password, &out);
	tell_step(ch, false);
	conclude(ch, result, out);
	return 0;
}

static int
do_step(struct channel *ch, struct reader *r)
{
	enum sasl_result result;
	struct msg_sasl_step m;
	struct text out;

	if (msg_get_sasl_step(r, &m) == -1 || ch->dialogue == NULL)
		return -1;
	tell_step(ch, true);
	result = dialogue_step(ch->dialogue, m.data, &out);
	tell_step(ch, false);
	conclude(ch, result, out);
	return 0;
}

/* What a worker may say: a beginning, then steps; nothing after a failure. */
static int
on_worker(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct channel *ch = arg;

	(void)ipc;
	(void)id;
	(void)fd; /* msg_allowed(): none of these brings one */
	if (ch->failed)
		return -1;
	switch (type) {
	case MSG_SASL_START:
		return do_start(ch, r);
	case MSG_SASL_CHECK:
		return do_check(ch, r);
	case MSG_SASL_STEP:
		return do_step(ch, r);
	default:
		return -1;
	}
}

static void
on_worker_closed(void *arg, struct ipc *ipc, const char *why)
{
	struct channel *ch = arg;

	(void)ipc;
	if (why != NULL)
		log_warnx("a worker sent %s", why);
	ipc_free(&ch->ipc);
	/* A failure's delay is not cut short by going away. */
	if (!ch->failed || why != NULL)
		channel_end(ch, why != NULL);
}

static int
do_exchange(struct authenticator *a, struct reader *r, int fd)
{
	struct msg_exchange m;
	struct channel *ch;

	if (msg_get_exchange(r, &m) == -1) {
		close(fd);
		return -1;
	}
	ch = xcalloc(1, sizeof(*ch));
	ch->a = a;
	ch->reported = true;
	ch->number = m.exchange;
	ch->failure_delay_ms = m.failure_delay_ms;
	ch->client = m.client;
	evtimer_assign(&ch->timer, a->base, on_timer, ch);
	ch->ipc = ipc_new(a->base, fd, ROLE_AUTHENTICATOR, ROLE_WORKER,
	    on_worker, on_worker_closed, ch);
	TAILQ_INSERT_TAIL(&a->channels, ch, entry);
	set_timer(ch, IDLE_SECONDS, 0);
	return 0;
}

/* What the broker may say: MSG_EXCHANGE. */
static int
on_broker(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	(void)ipc;
	(void)id;
	return type == MSG_EXCHANGE ? do_exchange(arg, r, fd) : -1;
}

/* It died, and the master sends another; or one of us is out of its mind. */
static void
on_broker_closed(void *arg, struct ipc *ipc, const char *why)
{
	struct authenticator *a = arg;

	(void)ipc;
	if (why != NULL)
		fatalx("the broker sent %s", why);
	ipc_free(&a->broker);
}

/* What it finds under way, a new broker has never heard of. */
static void
set_broker(struct authenticator *a, int fd)
{
	struct msg_sasl_mechs m = { text_of(a->mechanisms) };
	struct channel *ch;
	struct writer w;

	TAILQ_FOREACH (ch, &a->channels, entry)
		ch->reported = false;
	ipc_free(&a->broker);
	a->broker = ipc_new(a->base, fd, ROLE_AUTHENTICATOR, ROLE_BROKER,
	    on_broker, on_broker_closed, a);
	msg_start(&w, MSG_SASL_MECHS, 0);
	msg_put_sasl_mechs(&w, &m);
	(void)ipc_send(a->broker, &w, -1);
}

/* What the master may say: MSG_PEER with the broker's channel, MSG_STOP. */
static int
on_master(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct authenticator *a = arg;
	struct msg_peer m;

	(void)ipc;
	(void)id;
	if (type == MSG_STOP)
		_exit(0);
	if (type == MSG_PEER && msg_get_peer(r, &m) == 0 &&
	    m.role == ROLE_BROKER) {
		set_broker(a, fd);
		return 0;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

/* The users' passwords: in the spool the master's copy, else the file. */
static const char *
sasldb_of(const struct conf *c, const struct sasl_conf *file)
{
	const char *path = c->sasldb_path;

	if (priv_am_root())
		return SASLDB;
	if (path == NULL)
		path = sasl_conf_get(file, "sasldb_path");
	return path != NULL ? path : SASLDB;
}

/* To be freed.  Its folder, since a copy comes in by a rename. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL || slash == path
	    ? xstrdup("/")
	    : xstrndup(path, (size_t)(slash - path));
}

static void
open_library(struct authenticator *a)
{
	const struct role_start *start = a->start;
	size_t bad;

	a->file = sasl_conf_new(
	    handover_get(start->handover, HANDOVER_SASL_CONF, 0), &bad);
	if (a->file == NULL)
		fatalx("Cyrus SASL's configuration does not parse");
	a->setup = (struct sasl_setup){ .conf = start->conf,
		.service = start->protocol->defaults->sasl_service,
		.file = a->file,
		.sasldb = sasldb_of(start->conf, a->file) };
	sasl_open(&a->setup);
}

_Noreturn void
authenticator_main(const struct role_start *start)
{
	struct authenticator a = { .start = start, .base = start->base };
	struct sandbox box = { .role = ROLE_AUTHENTICATOR,
		.network = start->conf->sasl_network };
	char *folder;

	TAILQ_INIT(&a.channels);
	open_library(&a);
	folder = folder_of(a.setup.sasldb);
	box.read_paths[0] = folder;
	box.read_paths[1] = "/dev/urandom";
	role_confine(start, &box, AUTHENTICATOR_FILES, on_master, &a);
	free(folder);
	/* Only now is sasldb the one that will be asked. */
	sasl_mechanisms(a.mechanisms);
	event_base_dispatch(a.base);
	exit(0);
}
