/* SPDX-License-Identifier: ISC */
/*
 * worker: accepts clients and runs their sessions.  Runs as _relais in an
 * empty root; reads what the Internet sends, and may therefore be taken over:
 * nothing it can ask for gives more than a client's own due.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "acceptor.h"
#include "clock.h"
#include "log.h"
#include "tls_key.h"
#include "worker.h"
#include "xmalloc.h"

/* Descriptors beside the clients': channels, listeners, epoll, memfds. */
#define SPARE_FILES 64
/*
 * A client is served at once, and the broker's word on it may come later.
 * After a refusal all wait for so long: a flood is not worth a handshake.
 */
#define WARY_SECONDS 10
#define SETTLING_SECONDS 1 /* how often an old worker's sessions are seen */
/* FD_LOADS, and the listeners behind it; a nursery has these alone. */
enum { FD_BROKER = ROLE_FD_FIRST, FD_KEEPER, FD_LOADS };

struct worker {
	const struct role_start *start;
	const struct conf *conf;
	struct event_base *base;
	struct ipc *master, *broker;
	struct tls_server *tls_server;
	struct tls_client *tls_client;

	struct acceptor *acceptor;

	/* Sessions by place; a session's number is turn * places + place. */
	struct session **sessions;
	unsigned int *turn;
	unsigned int places, used;
	unsigned int *free_places;
	unsigned int nfree;
	bool began; /* it has its channels, and accepts */
	bool stopping;
	bool draining;     /* MSG_DRAIN: the clients it has, and no more */
	bool settled;      /* the same, and all have logged in: MSG_SETTLED */
	struct event settling;
	time_t wary_until; /* CLOCK_MONOTONIC seconds */

	enum worker_list list_state;
	struct capability list;
	char **told; /* of each inner server: its list, as the broker has it */
	char mechanisms[MSG_MECHS_MAX + 1];
	struct sasl_channels *authenticators;
};

struct event_base *
worker_base(struct worker *w)
{
	return w->base;
}

const struct protocol *
worker_protocol(const struct worker *w)
{
	return w->start->protocol;
}

const struct conf *
worker_conf(const struct worker *w)
{
	return w->conf;
}

struct tls_server *
worker_tls_server(struct worker *w)
{
	return w->tls_server;
}

struct tls_client *
worker_tls_client(struct worker *w)
{
	return w->tls_client;
}

enum worker_list
worker_list(const struct worker *w, const struct capability **list)
{
	*list = &w->list;
	return w->list_state;
}

const char *
worker_mechanisms(const struct worker *w)
{
	return w->mechanisms;
}

/* What it need not know at once. */
static void
to_broker_later(struct worker *w, struct writer *m)
{
	if (w->broker != NULL)
		ipc_send_later(w->broker, m);
}

static void
to_broker(struct worker *w, struct writer *m, int fd)
{
	if (w->broker != NULL)
		(void)ipc_send(w->broker, m, fd);
}

bool
worker_admit(struct worker *w, const struct session *s)
{
	struct msg_admit m = { .session = s->number,
		.waits = s->state == SESSION_ADMIT &&
		    (w->conf->peername_lookup ||
		        clock_seconds() < w->wary_until) };
	int fd = s->accepted != -1 ? s->accepted : s->client.fd;
	struct writer msg UNZEROED;

	if (s->proxied)
		m.client = s->client_addr;
	msg_start(&msg, MSG_ADMIT, 0);
	msg_put_admit(&msg, &m);
	to_broker(w, &msg, fd);
	return m.waits;
}

void
worker_connect(struct worker *w, const struct session *s)
{
	struct msg_connect m = { .session = s->number, .tried = s->tried };
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_CONNECT, 0);
	msg_put_connect(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_auth(struct worker *w, const struct session *s)
{
	struct msg_auth m = { .session = s->number };
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_AUTH, 0);
	msg_put_auth(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_submit(struct worker *w, const struct session *s)
{
	struct msg_submit m = { .session = s->number,
		.what = (uint8_t)s->submit_what,
		.user = text_of(s->user),
		.sender = s->submit_sender };
	struct writer msg UNZEROED;

	if (m.user.len > MSG_NAME_MAX)
		m.user.len = MSG_NAME_MAX; /* nobody's name */
	msg_start(&msg, MSG_SUBMIT, 0);
	msg_put_submit(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_outcome(struct worker *w, const struct session *s, enum outcome outcome)
{
	struct msg_outcome m = { .session = s->number,
		.server = s->server_number,
		.outcome = (uint8_t)outcome };
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_OUTCOME, 0);
	msg_put_outcome(&msg, &m);
	if (outcome == OUTCOME_OK)
		to_broker_later(w, &msg);
	else
		to_broker(w, &msg, -1);
}

/* Before the client can know: then it is not taken along by its kin. */
void
worker_logged_in(struct worker *w)
{
	struct writer msg UNZEROED;

	if (w->places > 1)
		return;
	msg_start(&msg, MSG_LOGGED_IN, 0);
	(void)ipc_send(w->master, &msg, -1);
}

/* The broker may have heard otherwise from others: nothing is told yet. */
static void
forget_told(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->conf->nservers; i++) {
		free(w->told[i]);
		w->told[i] = NULL;
	}
}

void
worker_learned(struct worker *w, uint16_t server, const struct capability *list)
{
	struct msg_capability m = { .server = server, .known = list != NULL };
	struct writer msg UNZEROED;

	if (w->conf->capability != NULL)
		return;
	if (list != NULL) {
		m.list = (struct text){ list->text, list->len };
		if (w->told[server] != NULL && text_eq(m.list, w->told[server]))
			return; /* as at each login */
		free(w->told[server]);
		w->told[server] = xstrndup(m.list.p, m.list.len);
	}
	msg_start(&msg, MSG_CAPABILITY, 0);
	msg_put_capability(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_event(struct worker *w, const struct msg_event *e)
{
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_EVENT, 0);
	msg_put_event(&msg, e);
	ipc_send_later(w->master, &msg);
}

void
worker_record(struct worker *w, const struct msg_record *m)
{
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_RECORD, 0);
	msg_put_record(&msg, m);
	ipc_send_later(w->master, &msg);
}

static void
leave_if_done(struct worker *w)
{
	if (w->used == 0 &&
	    (w->stopping || w->draining || w->conf->worker_connections == 1))
		event_base_loopbreak(w->base);
}

/* For whoever looks at the processes. */
static void
show_sessions(const struct worker *w)
{
	setproctitle("old worker %u, %u session%s", w->start->number + 1,
	    w->used, w->used == 1 ? "" : "s");
}

void
worker_forget(struct worker *w, struct session *s)
{
	struct msg_release m = { .session = s->number };
	unsigned int place = s->number % w->places;
	struct writer msg UNZEROED;

	if (s->lesson)
		return;
	msg_start(&msg, MSG_RELEASE, 0);
	msg_put_release(&msg, &m);
	to_broker_later(w, &msg);
	w->sessions[place] = NULL;
	w->free_places[w->nfree++] = place;
	w->used--;
	acceptor_set_load(w->acceptor, w->used);
	if (!w->stopping && !w->draining && w->places > 1)
		acceptor_open(w->acceptor);
	if (w->draining)
		show_sessions(w);
	leave_if_done(w);
}

static struct session *
find(const struct worker *w, uint32_t number)
{
	struct session *s = w->sessions[number % w->places];

	return s != NULL && s->number == number ? s : NULL;
}

/* All places are taken. */
static void
stop_accepting(struct worker *w)
{
	struct writer msg UNZEROED;

	acceptor_close(w->acceptor);
	if (w->places > 1) {
		log_info("all %u worker_connections are taken", w->places);
		return;
	}
	/* A process per client: the master sees to the next one. */
	msg_start(&msg, MSG_BUSY, 0);
	(void)ipc_send(w->master, &msg, -1);
}

static void
on_client(void *arg, int fd, unsigned int listener, const struct addr *peer,
    const struct addr *local)
{
	struct worker *w = arg;
	unsigned int place = w->free_places[--w->nfree];
	uint32_t number = w->turn[place] * w->places + place;
	struct session *s;

	/* So that a number always tells its place. */
	w->turn[place] = (w->turn[place] + 1) % (UINT32_MAX / w->places);
	w->used++;
	acceptor_set_load(w->acceptor, w->used);
	if (w->nfree == 0)
		stop_accepting(w);
	/* A session that ends at once gives its place back by itself. */
	s = session_new(w, fd, &w->conf->listen[listener], peer, local, number);
	if (s != NULL)
		w->sessions[place] = s;
}

static void
set_list(struct worker *w, const struct msg_capability_set *m)
{
	const struct protocol *p = w->start->protocol;
	struct text rest = m->list, entry;
	unsigned int i;

	forget_told(w);
	capability_clear(&w->list);
	/* It comes from another worker, which may have been taken over. */
	while (rest.len > 0 && text_split(&rest, '\n', &entry))
		if (p->is_capability == NULL || p->is_capability(entry))
			(void)capability_add(&w->list, entry);
	w->list_state = m->known ? WORKER_LIST_KNOWN : WORKER_LIST_NONE;
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_list_known(w->sessions[i]);
}

static int
do_admit_reply(struct worker *w, struct reader *r)
{
	struct msg_admit_reply m;
	struct session *s;

	if (msg_get_admit_reply(r, &m) == -1)
		return -1;
	if (m.verdict != ADMIT_OK && m.verdict != ADMIT_GONE)
		w->wary_until = clock_seconds() + WARY_SECONDS;
	s = find(w, m.session);
	if (s == NULL) /* the client has left meanwhile */
		return 0;
	if (m.name.len > 0 && s->client_name == NULL)
		s->client_name = xstrndup(m.name.p, m.name.len);
	session_admitted(s, m.verdict);
	return 0;
}

static int
do_connect_reply(struct worker *w, struct reader *r, int fd)
{
	struct msg_connect_reply m;
	struct session *s;

	if (msg_get_connect_reply(r, &m) == -1 || (m.ok != 0) != (fd != -1) ||
	    (m.ok && m.server >= w->conf->nservers)) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	s = find(w, m.session);
	if (s != NULL)
		session_connected(s, fd, m.server, m.failure_delay_ms);
	else if (fd != -1)
		close(fd); /* the client has left meanwhile */
	return 0;
}

static int
do_auth_reply(struct worker *w, struct reader *r, int fd)
{
	struct sasl_channel *ch = NULL;
	struct msg_auth_reply m;
	struct session *s;

	if (msg_get_auth_reply(r, &m) == -1 || (!m.ok && fd != -1)) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (fd != -1)
		sasl_channels_add(w->authenticators, m.serial, fd);
	if (m.ok)
		ch = sasl_channels_find(w->authenticators, m.serial);
	s = find(w, m.session);
	if (s != NULL)
		session_auth_granted(s, ch, m.exchange);
	else if (ch != NULL) /* the client has left meanwhile */
		sasl_channel_cancel(ch, m.exchange);
	return 0;
}

static int
do_submit_reply(struct worker *w, struct reader *r)
{
	struct msg_submit_reply m;
	struct session *s;

	if (msg_get_submit_reply(r, &m) == -1)
		return -1;
	s = find(w, m.session);
	if (s != NULL)
		session_submit_answered(s, m.verdict);
	return 0;
}

static int
do_mechanisms(struct worker *w, struct reader *r)
{
	struct msg_sasl_mechs m;

	if (msg_get_sasl_mechs(r, &m) == -1)
		return -1;
	memcpy(w->mechanisms, m.list.p, m.list.len);
	w->mechanisms[m.list.len] = '\0';
	return 0;
}

static int
do_learn(struct worker *w, struct reader *r, int fd)
{
	struct msg_learn m;

	if (msg_get_learn(r, &m) == -1 || m.server >= w->conf->nservers) {
		close(fd);
		return -1;
	}
	session_new_lesson(w, fd, m.server);
	return 0;
}

/* What the broker may say. */
static int
on_broker(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct worker *w = arg;
	struct msg_capability_set set;

	(void)ch;
	(void)id;
	switch (type) {
	case MSG_ADMIT_REPLY:
		return do_admit_reply(w, r);
	case MSG_CONNECT_REPLY:
		return do_connect_reply(w, r, fd);
	case MSG_AUTH_REPLY:
		return do_auth_reply(w, r, fd);
	case MSG_SUBMIT_REPLY:
		return do_submit_reply(w, r);
	case MSG_SASL_MECHS:
		return do_mechanisms(w, r);
	case MSG_LEARN:
		return do_learn(w, r, fd);
	case MSG_CAPABILITY_SET:
		if (msg_get_capability_set(r, &set) == -1)
			return -1;
		set_list(w, &set);
		return 0;
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

/* It died, or found fault with us: the master sends another or ends us. */
static void
on_broker_closed(void *arg, struct ipc *ch, const char *why)
{
	struct worker *w = arg;

	(void)ch;
	if (why != NULL)
		log_warnx("the broker sent %s", why);
	ipc_free(&w->broker);
}

/*
 * Tell a new broker whom we serve, and whom we should like to, then ask again
 * what was not answered.
 */
static void
introduce(struct worker *w)
{
	struct msg_held m = { .last = 0 };
	uint32_t held[MSG_HELD_MAX];
	struct writer msg UNZEROED;
	unsigned int i, n = 0;

	for (i = 0; i <= w->places; i++) {
		if (i < w->places && w->sessions[i] != NULL &&
		    w->sessions[i]->admitted)
			held[n++] = htobe32(w->sessions[i]->number);
		if (n < MSG_HELD_MAX && i < w->places)
			continue;
		m.last = i == w->places;
		m.n = (uint16_t)n;
		m.sessions =
		    (struct text){ (const char *)held, n * sizeof(*held) };
		msg_start(&msg, MSG_HELD, 0);
		msg_put_held(&msg, &m);
		to_broker(w, &msg, -1);
		n = 0;
	}
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_broker_back(w->sessions[i]);
}

/* The one that came with us has nothing to hear of before. */
static void
set_broker(struct worker *w, int fd)
{
	forget_told(w);
	ipc_free(&w->broker);
	w->broker = ipc_new(w->base, fd, ROLE_WORKER, ROLE_BROKER, on_broker,
	    on_broker_closed, w);
	if (w->began)
		introduce(w);
}

/* Nothing that was said is lost. */
static _Noreturn void
leave(struct worker *w)
{
	if (w->broker != NULL)
		ipc_flush(w->broker);
	ipc_flush(w->master);
	role_end();
}

static void
on_stop_timeout(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	leave(arg);
}

static void
stop(struct worker *w)
{
	const struct timeval grace = { .tv_sec = w->conf->stop_timeout };
	unsigned int i;

	w->stopping = true;
	acceptor_close(w->acceptor);
	event_base_once(w->base, -1, EV_TIMEOUT, on_stop_timeout, w, &grace);
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_stop(w->sessions[i]);
	leave_if_done(w);
}

static void
tell_settled(struct worker *w)
{
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_SETTLED, 0);
	(void)ipc_send(w->master, &msg, -1);
}

/* Who has logged in needs no signature and no authenticator any more. */
static void
on_settling(int fd, short what, void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	(void)fd;
	(void)what;
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL && !w->sessions[i]->logged_in)
			return;
	w->settled = true;
	event_del(&w->settling);
	tell_settled(w);
}

/*
 * Its listeners are others' now, or nobody's.  The master may say so again,
 * with one more generation, and wants to hear again, too.
 */
static void
drain(struct worker *w)
{
	const struct timeval every = { .tv_sec = SETTLING_SECONDS };

	if (w->draining) {
		if (w->settled)
			tell_settled(w);
		return;
	}
	w->draining = true;
	event_assign(&w->settling, w->base, -1, EV_PERSIST, on_settling, w);
	event_add(&w->settling, &every);
	acceptor_leave(w->acceptor);
	if (w->used > 0)
		log_info("takes no more clients: %u session%s to go", w->used,
		    w->used == 1 ? "" : "s");
	show_sessions(w);
	leave_if_done(w);
}

static int
do_peer(struct worker *w, struct reader *r, int fd)
{
	struct msg_peer m;

	if (msg_get_peer(r, &m) == -1 ||
	    (m.role != ROLE_BROKER && m.role != ROLE_KEEPER)) {
		close(fd);
		return -1;
	}
	if (m.role == ROLE_BROKER)
		set_broker(w, fd);
	else
		tls_key_set_channel(fd);
	return 0;
}

/* Out of a nursery, whose title it has so far: the keys are what comes last. */
static void
accept_now(struct worker *w)
{
	if (w->began || w->stopping || w->draining)
		return;
	w->began = true;
	setproctitle("%s %u", role_name(ROLE_WORKER), w->start->number + 1);
	acceptor_open(w->acceptor);
}

/* What the master may say. */
static int
on_master(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct worker *w = arg;
	struct msg_ticket_key key;

	(void)ch;
	(void)id;
	switch (type) {
	case MSG_PEER:
		return do_peer(w, r, fd);
	case MSG_TICKET_KEY:
		if (msg_get_ticket_key(r, &key) == -1)
			return -1;
		if (w->tls_server != NULL)
			tls_server_set_ticket_key(
			    w->tls_server, key.current, key.previous);
		accept_now(w);
		return 0;
	case MSG_STOP:
		stop(w);
		return 0;
	case MSG_DRAIN:
		drain(w);
		return 0;
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

static void
make_places(struct worker *w)
{
	unsigned int i;

	w->places = w->conf->worker_connections;
	w->sessions = xcalloc(w->places, sizeof(struct session *));
	w->turn = xcalloc(w->places, sizeof(*w->turn));
	w->free_places = xcalloc(w->places, sizeof(*w->free_places));
	for (i = 0; i < w->places; i++)
		w->free_places[i] = w->places - 1 - i;
	w->nfree = w->places;
}

static void
set_up_tls(struct worker *w)
{
	const struct role_start *start = w->start;
	const char *why;

	tls_global_init();
	if (handover_get(start->handover, HANDOVER_CERT, 0).p != NULL)
		w->tls_server = tls_server_new(
		    w->conf, start->handover, start->protocol->alpn);
	if (w->conf->outgoing_tls == OUTGOING_PLAIN)
		return;
	w->tls_client = tls_client_new(w->conf, start->handover, &why);
	if (w->tls_client == NULL)
		fatalx("TLS towards inner servers: %s", why);
}

static void
take_outgoing_password(const struct role_start *start)
{
	struct text t = handover_get(start->handover, HANDOVER_PASSWORD, 0);

	if (t.p != NULL)
		start->conf->outgoing_password = xstrndup(t.p, t.len);
}

struct worker *
worker_load(const struct role_start *start)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	const bool nursery = start->role == ROLE_NURSERY;
	const int loads = nursery ? ROLE_FD_FIRST : FD_LOADS;

	w->start = start;
	w->conf = start->conf;
	w->base = start->base;
	if (start->nfds != loads + 1 - ROLE_FD_FIRST + w->conf->nlisten)
		fatalx("the descriptors handed over are too few");
	make_places(w);
	w->told = xcalloc(w->conf->nservers, sizeof(*w->told));
	stream_global_init();
	set_up_tls(w);
	take_outgoing_password(start);
	w->authenticators = sasl_channels_new(w->base);
	w->acceptor = acceptor_new(w->base, loads,
	    nursery ? ACCEPTOR_NOBODY : start->number, loads + 1,
	    (unsigned int)w->conf->nlisten, on_client, w);
	return w;
}

/* By exec with all its channels; out of a nursery they are on their way. */
static void
begin(struct worker *w)
{
	if (w->start->born)
		return;
	set_broker(w, FD_BROKER);
	tls_key_set_channel(FD_KEEPER);
	w->began = true;
	acceptor_open(w->acceptor);
}

void
worker_serve(struct worker *w, struct text filter)
{
	struct sandbox box = { .role = ROLE_WORKER, .filter = filter };

	if (w->start->born)
		acceptor_set_number(w->acceptor, w->start->number);
	w->master = role_confine(w->start, &box,
	    2 * (w->places + w->conf->authenticators_max) + SPARE_FILES +
	        w->start->nfds,
	    on_master, w);
	begin(w);
	event_base_dispatch(w->base);
	leave(w);
}

void
worker_main(const struct role_start *start)
{
	worker_serve(worker_load(start), TEXT_NONE);
}
