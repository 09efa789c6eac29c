/* SPDX-License-Identifier: ISC */
/*
 * worker: accepts clients and runs their sessions.  Runs as _relais in an
 * empty root; reads what the Internet sends, and may therefore be taken over:
 * nothing it can ask for gives more than a client's own due.
 */
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "stats.h"
#include "tls_key.h"
#include "worker_impl.h"
#include "xmalloc.h"

/* Descriptors beside the clients': channels, listeners, epoll, memfds. */
#define SPARE_FILES (64 + UNPLACED_MAX)
#define FULL_SECONDS 60 /* from one word on that to the next */
/* FD_LOADS, and the listeners behind it; a nursery has these alone. */
enum { FD_BROKER = ROLE_FD_FIRST, FD_KEEPER, FD_LOADS };

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

/* Before the client can know: then it is not taken along by its kin. */
void
worker_logged_in(struct worker *w)
{
	struct writer msg UNZEROED;

	if (w->places > 1) {
		STATS_ADD(sessions, 1);
		return;
	}
	msg_start(&msg, MSG_LOGGED_IN, 0);
	(void)ipc_send(w->master, &msg, -1);
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

void
worker_unplace(struct worker *w, struct session *s)
{
	unsigned int place = s->number % w->places;

	worker_release(w, s);
	w->sessions[place] = NULL;
	w->free_places[w->nfree++] = place;
	w->used--;
	if (w->places > 1) { /* else the master counts who there is */
		STATS_SUB(clients, 1);
		STATS_SUB(sessions, s->logged_in);
	}
}

void
worker_forget(struct worker *w, struct session *s)
{
	if (s->lesson)
		return;
	worker_leave_queue(w, s);
	if (!s->unplaced) {
		worker_unplace(w, s);
		acceptor_set_load(w->acceptor, w->used);
	}
	if (w->draining)
		worker_show_sessions(w);
	worker_leave_if_done(w);
}

/* All places are taken. */
static void
become_full(struct worker *w)
{
	time_t now = clock_seconds();
	struct writer msg UNZEROED;

	if (w->places > 1) { /* others give way now, or clients are told */
		if (w->told_full == 0 || now - w->told_full >= FULL_SECONDS) {
			log_info(
			    "all %u worker_connections are taken", w->places);
			w->told_full = now;
		}
		return;
	}
	acceptor_close(w->acceptor);
	/* A process per client: the master sees to the next one. */
	msg_start(&msg, MSG_BUSY, 0);
	(void)ipc_send(w->master, &msg, -1);
}

static void
on_client(void *arg, int fd, unsigned int listener, const struct addr *peer,
    const struct addr *local)
{
	struct worker *w = arg;
	unsigned int place;
	uint32_t number;
	struct session *s;

	STATS_ADD(connections, 1);
	if (w->nfree == 0 && !worker_make_room(w, NULL)) {
		worker_refuse(w, fd, listener, peer, local);
		return;
	}
	/* So that a number always tells its place. */
	place = w->free_places[--w->nfree];
	number = w->turn[place] * w->places + place;
	w->turn[place] = (w->turn[place] + 1) % (UINT32_MAX / w->places);
	w->used++;
	if (w->places > 1)
		STATS_ADD(clients, 1);
	acceptor_set_load(w->acceptor, w->used);
	if (w->nfree == 0)
		become_full(w);
	/* A session that ends at once gives its place back by itself. */
	s = session_new(w, fd, &w->conf->listen[listener], peer, local, number);
	if (s != NULL)
		w->sessions[place] = s;
}

static int
do_peer(struct worker *w, struct reader *r, int fd)
{
	struct msg_peer m;

	if (msg_get_peer(r, &m) == -1 ||
	    (m.role != ROLE_BROKER && m.role != ROLE_KEEPER &&
	        m.role != ROLE_CONTROL)) {
		close(fd);
		return -1;
	}
	if (m.role == ROLE_BROKER)
		worker_set_broker(w, fd);
	else if (m.role == ROLE_CONTROL)
		worker_set_control(w, fd);
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

int
worker_do_certificates(struct worker *w, struct reader *r, int fd)
{
	struct handover *h = NULL;
	struct msg_certificates m;
	int result = -1;

	if (msg_get_certificates(r, &m) == 0)
		h = handover_map(fd, m.len);
	close(fd);
	if (h != NULL && w->tls_server != NULL)
		result = tls_server_update(w->tls_server, h);
	handover_close(&h);
	return result;
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
	case MSG_CERTIFICATES:
		return worker_do_certificates(w, r, fd);
	case MSG_STOP:
		worker_stop(w);
		return 0;
	case MSG_DRAIN:
		worker_drain(w);
		return 0;
	case MSG_GIVE_WAY:
		(void)worker_make_room(w, NULL);
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
	TAILQ_INIT(&w->yielding);
	TAILQ_INIT(&w->unplaced);
}

/* Some of ours serve without TLS. */
static bool
has_certificate(const struct handover *h)
{
	struct handover_part part;
	size_t at = 0;

	while (handover_next(h, &at, &part))
		if (part.kind == HANDOVER_CERT)
			return true;
	return false;
}

static void
set_up_tls(struct worker *w)
{
	const struct role_start *start = w->start;
	const char *why;

	tls_global_init();
	if (has_certificate(start->handover))
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

static void
take_proof_key(struct worker *w)
{
	struct text t = handover_get(w->start->handover, HANDOVER_PROOF, 0);

	if (t.len != sizeof(w->proof_key))
		fatalx("the key of proofs was not handed over");
	memcpy(w->proof_key, t.p, sizeof(w->proof_key));
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
	take_proof_key(w);
	make_places(w);
	w->told = xcalloc(w->conf->nservers, sizeof(*w->told));
	stream_global_init();
	set_up_tls(w);
	take_outgoing_password(start);
	w->authenticators = sasl_channels_new(w->base);
	w->acceptor = acceptor_new(w->base, loads,
	    nursery ? ACCEPTOR_NOBODY : start->number, loads + 1,
	    (unsigned int)w->conf->nlisten, on_client, w);
	if (w->places > 1)
		acceptor_set_places(
		    w->acceptor, w->places, worker_can_make_room);
	return w;
}

/* By exec with all its channels; out of a nursery they are on their way. */
static void
begin(struct worker *w)
{
	if (w->start->born)
		return;
	worker_set_broker(w, FD_BROKER);
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
	worker_leave(w);
}

void
worker_main(const struct role_start *start)
{
	worker_serve(worker_load(start), TEXT_NONE);
}
