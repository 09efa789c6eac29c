/* SPDX-License-Identifier: ISC */
/*
 * authenticator: the process in which libsasl2 runs.  As _relaisd with the
 * group sasl, in the spool.  It trusts the master and the broker, which says
 * whose client it is and how long a failure is held back; the workers may have
 * been taken over, and are served what the broker granted them.
 *
 * Whoever guesses passwords learns of a failure after the delay only, and gets
 * no other exchange before that, whatever his worker does.
 */
#include <sys/mman.h>
#include <sys/queue.h>

#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abuse.h"
#include "authenticator.h"
#include "authenticator_sasl.h"
#include "ledger_file.h"
#include "log.h"
#include "priv.h"
#include "proof.h"
#include "session.h"
#include "stats.h"
#include "xmalloc.h"

#define AUTHENTICATOR_FILES 16384 /* descriptors: a channel to each worker */
#define QUOTA 50000               /* messages of a worker in a second */
/* A worker that has its grant speaks at once, or nobody waits for it. */
#define BEGIN_SECONDS 1
/* For the client's next answer: sessions have their own, shorter limits. */
#define IDLE_SECONDS 300
#define SASLDB "/etc/sasldb2" /* inside the spool, and by default outside */

struct authenticator {
	const struct role_start *start;
	struct event_base *base;
	struct ipc *broker;
	unsigned int brokers; /* how many there have been */
	struct abuse *abuse;  /* only to be asked */
	uint8_t proof_key[SIPHASH_KEY_LEN];
	TAILQ_HEAD(, channel) channels;
	struct sasl_conf *file;
	struct sasl_setup setup;
	char mechanisms[MSG_MECHS_MAX + 1];
};

/* To a worker. */
struct channel {
	TAILQ_ENTRY(channel) entry;
	struct authenticator *a;
	struct ipc *ipc;
	uint16_t number;
	uint32_t serial;
	TAILQ_HEAD(, grant) grants;
};

struct grant {
	TAILQ_ENTRY(grant) entry;
	struct authenticator *a;
	struct channel *ch;  /* NULL: nobody waits for the end */
	unsigned int broker; /* which one knows of it */
	bool expected;       /* to begin, as the broker has it */
	bool failed;         /* the word of that is held back: */
	enum sasl_result held;
	bool strict;    /* strangers are to be turned away */
	uint16_t proof; /* of what the client last said */
	uint32_t number;
	uint32_t failure_delay_ms;
	uint32_t step_us; /* stats_now_us() at the begin of a step */
	struct addr client;
	struct dialogue *dialogue; /* NULL: it has not begun */
	struct event timer;
};

/* What it finds under way, a new broker has never heard of. */
static void
tell(struct grant *g, enum step step)
{
	struct msg_step m = { .exchange = g->number, .step = (uint8_t)step };
	struct writer w UNZEROED;

	if (g->broker != g->a->brokers || g->a->broker == NULL)
		return;
	if (g->dialogue != NULL && step != STEP_BEGINS && step != STEP_WAITS)
		m.user = dialogue_user(g->dialogue);
	m.proof = step == STEP_REFUSED ? g->proof : 0;
	msg_start(&w, MSG_STEP, 0);
	msg_put_step(&w, &m);
	(void)ipc_send(g->a->broker, &w, -1);
}

static void
set_timer(struct grant *g, time_t seconds, uint32_t ms)
{
	const struct timeval tv = { .tv_sec = seconds + ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	event_add(&g->timer, &tv);
}

static void
leave_channel(struct grant *g)
{
	if (g->ch != NULL)
		TAILQ_REMOVE(&g->ch->grants, g, entry);
	g->ch = NULL;
}

/* The end of an exchange, with STEP_OK or STEP_OVER. */
static void
grant_end(struct grant *g, enum step last)
{
	tell(g, last);
	event_del(&g->timer);
	leave_channel(g);
	dialogue_free(&g->dialogue);
	free(g);
}

static void
reply(struct grant *g, enum sasl_result result, struct text text)
{
	struct msg_sasl_reply m = { (uint8_t)result, text };
	struct writer w UNZEROED;

	if (g->ch == NULL)
		return;
	msg_start(&w, MSG_SASL_REPLY, g->number);
	msg_put_sasl_reply(&w, &m);
	(void)ipc_send(g->ch->ipc, &w, -1);
}

static void
wait_for_client(struct grant *g)
{
	tell(g, STEP_WAITS);
	set_timer(g, IDLE_SECONDS, 0);
}

static void
count(const struct grant *g, enum sasl_result result)
{
	stats_time(&stats_own->check_seconds, g->step_us);
	if (result == AUTH_OK)
		STATS_ADD(checks[STATS_CHECK_OK], 1);
	else if (result == AUTH_FAILED)
		STATS_ADD(checks[STATS_CHECK_REFUSED], 1);
	else if (result != AUTH_CHALLENGE && result != AUTH_TURNED)
		STATS_ADD(checks[STATS_CHECK_UNAVAILABLE], 1);
}

/* What a step has led to. */
static void
conclude(struct grant *g, enum sasl_result result, struct text text)
{
	if (result == AUTH_FAILED && g->dialogue != NULL &&
	    dialogue_turned(g->dialogue))
		result = AUTH_TURNED;
	count(g, result);
	switch (result) {
	case AUTH_CHALLENGE:
		reply(g, result, text);
		wait_for_client(g);
		break;
	case AUTH_FAILED:
	case AUTH_TURNED:
		tell(g, result == AUTH_FAILED ? STEP_REFUSED : STEP_TURNED);
		dialogue_free(&g->dialogue);
		g->failed = true;
		g->held = result;
		STATS_ADD(delays, 1);
		STATS_ADD(delays_ms, g->failure_delay_ms);
		set_timer(g, 0, g->failure_delay_ms);
		break;
	case AUTH_OK:
	case AUTH_UNAVAILABLE:
	case AUTH_BAD_PROTOCOL:
	case AUTH_NO_MECHANISM:
	case AUTH_RESULTS:
		reply(g, result, text);
		grant_end(g, result == AUTH_OK ? STEP_OK : STEP_OVER);
		break;
	}
}

/* The delay of a failure is over, or the client's time. */
static void
on_timer(int fd, short what, void *arg)
{
	struct grant *g = arg;

	(void)fd;
	(void)what;
	if (g->expected) {
		g->expected = false;
		wait_for_client(g);
		return;
	}
	reply(g, g->failed ? g->held : AUTH_UNAVAILABLE, TEXT_NONE);
	grant_end(g, STEP_OVER);
}

static bool
may_ask(void *arg, struct text user)
{
	const struct grant *g = arg;

	return abuse_may_ask(g->a->abuse, &g->client, user, g->strict);
}

/* NULL: there can be none. */
static struct dialogue *
begin_dialogue(struct grant *g, const struct addr *local, uint16_t ssf)
{
	g->dialogue = dialogue_new(&g->client, local, ssf);
	if (g->dialogue != NULL)
		dialogue_guard(g->dialogue, may_ask, g);
	return g->dialogue;
}

/*
 * Of a password the proof is the same each time, and of an answer to a
 * challenge never.
 */
static void
take_proof(struct grant *g, struct text said)
{
	g->proof = proof_of(g->a->proof_key,
	    g->dialogue != NULL ? dialogue_user(g->dialogue) : TEXT_NONE, said);
}

static void
begin_step(struct grant *g)
{
	if (!g->expected)
		tell(g, STEP_BEGINS);
	g->expected = false;
	g->step_us = stats_now_us();
}

static int
do_start(struct grant *g, struct reader *r)
{
	enum sasl_result result = AUTH_UNAVAILABLE;
	struct text out = TEXT_NONE;
	struct msg_sasl_start m;

	if (msg_get_sasl_start(r, &m) == -1 || g->dialogue != NULL)
		return -1;
	begin_step(g);
	if (begin_dialogue(g, &m.local, m.ssf) != NULL)
		result = dialogue_start(
		    g->dialogue, m.mechanism, m.has_initial, m.initial, &out);
	take_proof(g, m.initial);
	conclude(g, result, out);
	return 0;
}

static int
do_check(struct grant *g, struct reader *r)
{
	enum sasl_result result = AUTH_UNAVAILABLE;
	struct text out = TEXT_NONE;
	struct msg_sasl_check m;

	if (msg_get_sasl_check(r, &m) == -1 || g->dialogue != NULL)
		return -1;
	begin_step(g);
	if (begin_dialogue(g, &m.local, m.ssf) != NULL)
		result = dialogue_check(g->dialogue, m.name, m.password, &out);
	take_proof(g, m.password);
	conclude(g, result, out);
	return 0;
}

static int
do_step(struct grant *g, struct reader *r)
{
	enum sasl_result result;
	struct msg_sasl_step m;
	struct text out;

	if (msg_get_sasl_step(r, &m) == -1 || g->dialogue == NULL)
		return -1;
	begin_step(g);
	result = dialogue_step(g->dialogue, m.data, &out);
	take_proof(g, m.data);
	conclude(g, result, out);
	return 0;
}

/* A failure's delay is not cut short by going away. */
static void
cancel(struct grant *g)
{
	if (g->failed)
		leave_channel(g);
	else
		grant_end(g, STEP_OVER);
}

/* The newest first: it is the one most likely to speak. */
static struct grant *
find_grant(const struct channel *ch, uint32_t number)
{
	struct grant *g;

	TAILQ_FOREACH (g, &ch->grants, entry)
		if (g->number == number)
			return g;
	return NULL;
}

/* The broker's word comes first, but not always first to be read. */
static struct grant *
find_granted(const struct channel *ch, uint32_t number)
{
	struct grant *g = find_grant(ch, number);

	if (g != NULL || ch->a->broker == NULL)
		return g;
	ipc_drain(ch->a->broker);
	return find_grant(ch, number);
}

/*
 * What a worker may say of an exchange: a beginning, then steps; nothing after
 * a failure.  What it says of one that has just ended was on its way.
 */
static int
on_worker(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct grant *g = find_granted(arg, id);

	(void)ipc;
	(void)fd; /* msg_allowed(): none of these brings one */
	if (type == MSG_SASL_CANCEL) {
		if (g != NULL)
			cancel(g);
		return get_end(r);
	}
	if (g == NULL)
		return type == MSG_SASL_STEP ? 0 : -1;
	if (g->failed)
		return -1;
	switch (type) {
	case MSG_SASL_START:
		return do_start(g, r);
	case MSG_SASL_CHECK:
		return do_check(g, r);
	case MSG_SASL_STEP:
		return do_step(g, r);
	default:
		return -1;
	}
}

static void
tell_broken(struct channel *ch)
{
	struct msg_broken m = { ch->number, ch->serial };
	struct writer w UNZEROED;

	if (ch->a->broker == NULL)
		return;
	msg_start(&w, MSG_BROKEN, 0);
	msg_put_broken(&w, &m);
	(void)ipc_send(ch->a->broker, &w, -1);
}

static void
on_worker_closed(void *arg, struct ipc *ipc, const char *why)
{
	struct channel *ch = arg;
	struct grant *g;

	(void)ipc;
	if (why != NULL) {
		log_warnx("worker %u sent %s", ch->number + 1U, why);
		tell_broken(ch);
	}
	while ((g = TAILQ_FIRST(&ch->grants)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		cancel(g);
	TAILQ_REMOVE(&ch->a->channels, ch, entry);
	ipc_free(&ch->ipc);
	free(ch);
}

static struct channel *
channel_new(struct authenticator *a, const struct msg_exchange *m, int fd)
{
	struct channel *ch = xcalloc(1, sizeof(*ch));

	ch->a = a;
	ch->number = m->number;
	ch->serial = m->serial;
	TAILQ_INIT(&ch->grants);
	ch->ipc = ipc_new(a->base, fd, ROLE_AUTHENTICATOR, ROLE_WORKER,
	    on_worker, on_worker_closed, ch);
	ipc_set_quota(ch->ipc, QUOTA);
	/* Before one that an earlier broker made. */
	TAILQ_INSERT_HEAD(&a->channels, ch, entry);
	return ch;
}

static struct channel *
find_channel(struct authenticator *a, uint32_t serial)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &a->channels, entry)
		if (ch->serial == serial)
			return ch;
	return NULL;
}

static int
do_exchange(struct authenticator *a, struct reader *r, int fd)
{
	struct msg_exchange m;
	struct grant *g;

	if (msg_get_exchange(r, &m) == -1) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	g = xcalloc(1, sizeof(*g));
	g->a = a;
	g->broker = a->brokers;
	g->number = m.exchange;
	g->failure_delay_ms = m.failure_delay_ms;
	g->client = m.client;
	g->strict = m.strict != 0;
	g->expected = true;
	evtimer_assign(&g->timer, a->base, on_timer, g);
	g->ch = fd != -1 ? channel_new(a, &m, fd) : find_channel(a, m.serial);
	if (g->ch == NULL) { /* that worker has just gone */
		grant_end(g, STEP_OVER);
		return 0;
	}
	TAILQ_INSERT_HEAD(&g->ch->grants, g, entry);
	set_timer(g, BEGIN_SECONDS, 0);
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

static void
set_broker(struct authenticator *a, int fd)
{
	struct msg_sasl_mechs m = { text_of(a->mechanisms) };
	struct writer w UNZEROED;

	if (a->broker != NULL)
		ipc_drain(a->broker); /* what it granted, is */
	a->brokers++;
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
open_ledger(struct authenticator *a)
{
	struct text key = handover_get(a->start->handover, HANDOVER_PROOF, 0);
	struct ledger *l = ledger_file_map(ROLE_FD_FIRST, PROT_READ);

	if (l == NULL || key.len != sizeof(a->proof_key))
		fatalx("the ledger handed over is none");
	close(ROLE_FD_FIRST);
	memcpy(a->proof_key, key.p, sizeof(a->proof_key));
	a->abuse = abuse_new(a->start->conf, l);
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
	open_ledger(&a);
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
