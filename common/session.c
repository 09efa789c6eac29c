/* SPDX-License-Identifier: ISC */
/*
 * session: the life of one client, from its admission to its last octet.
 * Runs in workers; trusts neither the client nor the inner server.
 *
 * Whatever happens (an event, a timer, a broker's answer) is a turn: it may
 * change the state and write, and ends in session_leave(), the only place
 * that frees a session.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "session_impl.h"
#include "xmalloc.h"

/*
 * Commands until a login, or between two refusals: a client uses five or so.
 * Bounds what commands of a few octets can make us write, and logins that no
 * delay holds back can make an inner server do.
 */
#define COMMANDS_MAX 100

struct session *
session_new_bare(struct worker *w)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->worker = w;
	s->protocol = worker_protocol(w);
	s->conf = worker_conf(w);
	s->server_number = MSG_NO_SERVER;
	s->accepted = -1;
	s->hops = s->hops_told = SESSION_HOPS;
	s->began = s->active = clock_seconds();
	s->data = xcalloc(1, s->protocol->data_size);
	stream_init(&s->client, SESSION_IN_MAX);
	s->client.counted = true;
	stream_init(&s->server, SESSION_IN_MAX);
	evtimer_assign(&s->timer, worker_base(w), session_timer, s);
	return s;
}

struct session *
session_new_client(struct worker *w, int fd, const struct conf_listen *l,
    const struct addr *local)
{
	struct session *s = session_new_bare(w);

	s->accepted = fd;
	s->clear_login = l->clear_login;
	s->can_starttls = l->mode == LISTEN_STARTTLS;
	if (l->mode == LISTEN_SSL)
		s->client_secure = SECURE_SSL;
	s->local_addr = *local;
	return s;
}

struct session *
session_new(struct worker *w, int fd, const struct conf_listen *l,
    const struct addr *peer, const struct addr *local, uint32_t number)
{
	struct session *s = session_new_client(w, fd, l, local);

	s->number = number;
	if (conf_is_proxy(s->conf, peer)) {
		s->proxy_addr = *peer;
		session_proxy_begin(s);
		return session_leave(s) ? s : NULL;
	}
	s->client_addr = *peer;
	if (worker_admit(w, s)) {
		session_enter(s, SESSION_ADMIT);
		return s;
	}
	session_begin(s);
	return session_leave(s) ? s : NULL;
}

/* The line that Perdition's users know. */
static void
perdition_event(struct session *s, enum event_type type, const char *status)
{
	struct msg_event e = { .type = (uint8_t)type,
		.client_secure = (uint8_t)s->client_secure,
		.server_secure = (uint8_t)s->server_secure,
		.has_authz = s->authz != NULL,
		.client = s->client_addr,
		.local = s->local_addr,
		.authz = text_of(s->authz),
		.authn = text_of(s->user),
		.server = s->server_number,
		.status = text_of(status),
		.received = s->client.received,
		.sent = s->client.sent,
		.seconds = (uint32_t)(clock_seconds() - s->began) };

	worker_event(s->worker, &e);
}

void
session_event(struct session *s, enum event_type type, const char *status)
{
	if (s->protocol->event != NULL)
		s->protocol->event(s, type, status);
	else
		perdition_event(s, type, status);
}

static void
destroy(struct session *s)
{
	if (!s->lesson && s->client_addr.sa.sa_family != AF_UNSPEC)
		session_event(s, s->logged_in ? EVENT_CLOSE : EVENT_CLOSE_NULL,
		    s->end_reason);
	event_del(&s->timer);
	worker_forget(s->worker, s);
	session_sasl_cancel(s);
	if (s->data != NULL && s->protocol->end != NULL)
		s->protocol->end(s);
	free(s->data);
	freezero(s->login, sizeof(*s->login));
	if (s->accepted != -1)
		close(s->accepted);
	stream_close(&s->client);
	session_server_close(s);
	free(s->client_name);
	free(s->user);
	free(s->authz);
	free(s->failure_text);
	free(s);
}

void
session_drop(struct session *s, const char *reason)
{
	if (s->end_reason == NULL)
		s->end_reason = reason;
	s->dead = true;
}

void
session_client_gone(struct session *s)
{
	if (s->state != SESSION_DELAY &&
	    (s->state != SESSION_MAIL || s->answer_by == 0)) {
		session_drop(s, "the client left");
		return;
	}
	stream_close(&s->client);
	s->client_eof = true;
}

void
session_close(struct session *s, const char *reason)
{
	if (s->dead || s->state == SESSION_CLOSING)
		return;
	s->end_reason = reason;
	session_enter(s, SESSION_CLOSING);
}

/* What was written has gone: say that nothing follows. */
static void
finish_closing(struct session *s)
{
	if (s->client_eof || !stream_is_open(&s->client)) {
		s->dead = true;
		return;
	}
	/*
	 * Closing with octets unread would make the kernel send a reset, which
	 * may overtake our last words at the client: read on for a moment.
	 */
	session_linger(s);
}

static bool
takes_commands(const struct session *s)
{
	return s->state == SESSION_DIALOGUE || s->state == SESSION_MAIL;
}

/* What the client and the log hear of session_stop(), session_kick(). */
static const char *
farewell(const struct session *s)
{
	return s->kicked ? "ended by the administrator" : "shutting down";
}

static const char *
end_of(const struct session *s)
{
	return s->kicked ? "kicked" : "shutting down";
}

/* session_stop() has waited for the inner server's word on a message. */
static void
see_off(struct session *s)
{
	if (!s->stopping || !takes_commands(s) || s->answer_by != 0)
		return;
	s->protocol->goodbye(s, farewell(s));
	session_close(s, end_of(s));
}

/* Logins that failed may have taken all the time there was. */
static bool
is_late(const struct session *s)
{
	return s->conf->authenticate_timeout != 0 &&
	    clock_seconds() >= s->began + s->conf->authenticate_timeout;
}

void
session_end_late(struct session *s)
{
	s->protocol->goodbye(s, "too long without a login");
	session_close(s, "timeout before login");
}

/* Offer input to the protocol for as long as it takes some. */
static void
offer_input(struct session *s)
{
	see_off(s);
	if (s->input && s->state == SESSION_DIALOGUE && is_late(s))
		session_end_late(s);
	session_refuse_header(s);
	if (s->input && session_is_http(s)) {
		s->protocol->goodbye(s, "this is no web server");
		session_close(s, "a request of HTTP");
	}
	while (s->input && takes_commands(s) && !s->dead) {
		if (s->state == SESSION_DIALOGUE &&
		    s->commands > COMMANDS_MAX) {
			s->protocol->goodbye(s, "too many commands");
			session_close(s, "too many commands");
			break;
		}
		s->input = s->protocol->client_input(s);
		s->commands += s->input;
	}
	if (s->tls_due)
		session_client_start_tls(s);
	if (s->state == SESSION_MESSAGE && s->client.in.len > 0)
		session_offer_message(s);
	if (s->state == SESSION_MESSAGE && s->client_eof)
		session_drop(s, "the client left within a message");
	/* It may still listen: what it asked for is answered. */
	if (s->client_eof && takes_commands(s) && s->answer_by == 0)
		session_close(s, "the client left");
}

/* Which side may be read now. */
static void
arm(struct session *s)
{
	bool client = !s->client_eof, server = true;

	if (s->state == SESSION_RELAY) {
		client = client && !stream_pending(&s->server);
		server = server && !stream_pending(&s->client);
	} else if (s->state == SESSION_MESSAGE) {
		client = client && !stream_pending(&s->server);
		server = server && stream_has_room(&s->server);
	} else if (s->state == SESSION_SUBMIT) {
		client = client && stream_has_room(&s->client);
		server = false; /* what it says is heard in SESSION_MAIL */
	} else if (s->state == SESSION_CLOSING) {
		server = false;
	} else if (s->state == SESSION_ADMIT || s->state == SESSION_PROXY) {
		/* What is behind a header may be a ClientHello. */
		client = s->state == SESSION_PROXY;
	} else {
		client = client && stream_has_room(&s->client);
		server = server && stream_has_room(&s->server);
	}
	if (stream_is_open(&s->client))
		stream_want_read(&s->client, client);
	if (stream_is_open(&s->server))
		stream_want_read(&s->server, server);
}

/* A peer that takes octets is not silent. */
static enum stream_result
flush_stream(struct session *s, struct stream *st)
{
	size_t before = st->out.len;
	enum stream_result r = stream_flush(st);

	if (st->out.len < before)
		s->active = clock_seconds();
	return r;
}

/* The client's words and the server's go out. */
static void
flush(struct session *s)
{
	if (flush_stream(s, &s->client) == STREAM_ERROR)
		session_client_gone(s);
	if (flush_stream(s, &s->server) != STREAM_ERROR)
		return;
	if (s->state == SESSION_RELAY || s->state == SESSION_CLOSING) {
		session_server_close(s);
		session_close(s, "the inner server left");
	} else {
		session_server_failed(s, "Connection closed by server");
	}
}

/* The relay goes on by itself. */
static void
settle_relay(struct session *s)
{
	/* Nothing is invented: the inner server gets the client's end. */
	if (s->client_eof)
		stream_shutdown(&s->server);
	if (s->data == NULL)
		return;
	/* Only the dialogue needed it: an idle session is small. */
	if (s->protocol->end != NULL)
		s->protocol->end(s);
	free(s->data);
	s->data = NULL;
}

bool
session_leave(struct session *s)
{
	do {
		offer_input(s);
		if (s->server_done)
			session_server_close(s);
		if (s->state == SESSION_CLOSING) {
			/* Half a command may have half a password. */
			buf_free(&s->client.in);
			stream_shutdown(&s->client);
		}
		/* A failure may end a login, and input counts again. */
		flush(s);
	} while (
	    !s->dead && (s->server_done || (s->input && takes_commands(s))));

	if (s->state == SESSION_RELAY)
		settle_relay(s);
	if (s->state == SESSION_CLOSING && !s->lingers && !s->dead &&
	    !stream_pending(&s->client) && !stream_pending(&s->server))
		finish_closing(s);
	if (s->dead) {
		destroy(s);
		return false;
	}
	arm(s);
	session_pace(s);
	return true;
}

void
session_stop(struct session *s)
{
	s->stopping = true;
	if (s->answer_by != 0 || s->state == SESSION_MESSAGE)
		return; /* see_off(), if the worker's time allows */
	if (takes_commands(s) || s->state == SESSION_SUBMIT ||
	    s->state == SESSION_DELAY)
		s->protocol->goodbye(s, farewell(s));
	/* Elsewhere the stream is not at a place to say a word. */
	if (stream_is_open(&s->client))
		session_close(s, end_of(s));
	else
		session_drop(s, end_of(s));
	(void)session_leave(s);
}

void
session_kick(struct session *s)
{
	s->kicked = true;
	session_stop(s);
}

bool
session_is_owed(const struct session *s)
{
	return s->protocol->is_owed != NULL && s->data != NULL &&
	    s->protocol->is_owed(s);
}

void
session_cut(struct session *s)
{
	if (!s->kicked || session_is_owed(s))
		return;
	session_drop(s, end_of(s));
	(void)session_leave(s);
}
