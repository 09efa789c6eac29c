/* SPDX-License-Identifier: ISC */
/*
 * session_client: admission, TLS and dialogue with the client, and what it
 * may be promised; the shared part of session.h that has to do with the
 * client's side.  Runs in workers, on what anybody on the Internet sends.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "relay.h"
#include "session_impl.h"

/* TLS with the client is up. */
static void
client_secured(struct session *s)
{
	if (log_wants(LOG_DEBUG))
		log_debug("session=%" PRIu32 " client %s%s", s->number,
		    tls_describe(s->client.tls),
		    tls_resumed(s->client.tls) ? " resumed" : "");
	session_count_handshake(s);
	s->can_starttls = false;
	if (!s->greeted) {
		session_greet(s);
		return;
	}
	s->client_secure = SECURE_STARTTLS;
	session_enter(s, SESSION_DIALOGUE);
	s->protocol->client_reset(s);
	s->commands = 0;
	s->input = true;
}

static void
handshake(struct session *s)
{
	switch (stream_handshake(&s->client)) {
	case STREAM_OK:
		client_secured(s);
		break;
	case STREAM_WAIT:
		break;
	case STREAM_EOF:
		STATS_ADD(handshakes_failed, 1);
		session_drop(s, "the client left during the TLS handshake");
		break;
	case STREAM_ERROR:
		STATS_ADD(handshakes_failed, 1);
		/* An alert may be waiting that tells the client why. */
		session_close(s,
		    s->client.tls != NULL ? tls_error(s->client.tls)
		                          : "the client left");
		break;
	}
}

void
session_greet(struct session *s)
{
	const struct capability *list;

	if (s->conf->capability == NULL && s->state != SESSION_LEARN &&
	    worker_list(s->worker, &list) == WORKER_LIST_AWAITED) {
		session_enter(s, SESSION_LEARN);
		return;
	}
	session_enter(s, SESSION_DIALOGUE);
	s->greeted = true;
	s->protocol->greet(s);
	s->input = true;
}

void
session_list_known(struct session *s)
{
	if (s->state != SESSION_LEARN)
		return;
	session_greet(s);
	(void)session_leave(s);
}

/*
 * Is the client's stream at a place for a word of ours?  One that was served
 * before the broker had spoken may be anywhere.
 */
static bool
can_be_told(const struct session *s)
{
	return s->state != SESSION_HANDSHAKE && s->state != SESSION_RELAY &&
	    s->state != SESSION_MESSAGE;
}

/* Refused, each in the way that it can be told of. */
static void
turn_away(struct session *s, const char *reason)
{
	if (s->client_secure == SECURE_SSL && !s->greeted) {
		/* A handshake, or the rest of it, is more than we have. */
		stream_refuse(&s->client);
		session_drop(s, reason);
		return;
	}
	if (can_be_told(s))
		s->protocol->goodbye(s, reason);
	session_close(s, reason);
}

static void
open_client(struct session *s)
{
	stream_open(&s->client, worker_base(s->worker), s->accepted,
	    session_client_ready, s);
	s->accepted = -1;
}

void
session_not_admitted(struct session *s)
{
	if (s->accepted != -1)
		open_client(s);
	turn_away(s, "not admitted in time");
}

struct session *
session_refuse(struct worker *w, int fd, const struct conf_listen *l,
    const struct addr *peer, const struct addr *local)
{
	struct session *s = session_new_client(w, fd, l, local);

	s->unplaced = true;
	s->client_addr = *peer;
	open_client(s);
	STATS_ADD(refused[REFUSED_TOO_MANY], 1);
	turn_away(s, "all places are taken");
	return session_leave(s) ? s : NULL;
}

void
session_give_way(struct session *s)
{
	STATS_ADD(refused[REFUSED_GAVE_WAY], 1);
	if (s->client_addr.sa.sa_family == AF_UNSPEC) /* a proxy, and silent */
		s->client_addr = s->proxy_addr;
	if (s->accepted != -1)
		open_client(s);
	if (s->state == SESSION_CLOSING)
		session_drop(s, NULL); /* it was told to go already */
	else
		turn_away(s, "no login so far, and others wait");
	(void)session_leave(s);
}

void
session_abandon(struct session *s)
{
	session_drop(s, NULL);
	(void)session_leave(s);
}

static void
shake_hands(struct session *s)
{
	if (s->handshakes < UINT8_MAX)
		s->handshakes++;
	stream_await_tls(&s->client, worker_tls_server(s->worker));
}

void
session_begin(struct session *s)
{
	if (s->accepted != -1)
		open_client(s);
	session_event(s, EVENT_CONNECT, NULL);
	if (s->client_secure != SECURE_SSL) {
		session_greet(s);
		return;
	}
	shake_hands(s);
	session_enter(s, SESSION_HANDSHAKE);
	handshake(s); /* the ClientHello is most often there by now */
}

/* connection_limit: the oldest of this worker gives way, if there is such. */
static bool
another_gives_way(struct session *s)
{
	if (s->retried || !worker_make_room(s->worker, s))
		return false;
	s->retried = true;
	/* With what it has asked for meanwhile: that was not answered. */
	session_broker_back(s);
	return true;
}

void
session_admitted(struct session *s, enum admit_verdict v)
{
	if (s->admitted || s->dead || s->state == SESSION_CLOSING)
		return;
	if (v == ADMIT_TOO_MANY && another_gives_way(s))
		return;
	s->admitted = true;
	if (v != ADMIT_OK && s->accepted != -1)
		open_client(s);
	switch (v) {
	case ADMIT_TOO_MANY:
		STATS_ADD(refused[REFUSED_TOO_MANY], 1);
		turn_away(s, "too many connections");
		break;
	case ADMIT_TOO_MANY_ADDRESS:
		turn_away(s, "too many connections from your address");
		break;
	case ADMIT_TOO_OFTEN:
		turn_away(s, "too many attempts from your address");
		break;
	case ADMIT_LOOP:
		turn_away(s, "connected to itself");
		break;
	case ADMIT_GONE:
		session_drop(s, "the client left");
		break;
	case ADMIT_OK:
	case ADMIT_VERDICTS:
		if (s->state != SESSION_ADMIT)
			return; /* it did not wait */
		session_begin(s);
		break;
	}
	(void)session_leave(s);
}

void
session_starttls(struct session *s)
{
	session_enter(s, SESSION_HANDSHAKE);
	s->tls_due = true;
}

void
session_client_start_tls(struct session *s)
{
	s->tls_due = false;
	(void)stream_flush(&s->client);
	/* What came in clear behind STARTTLS must never count (RFC 2595). */
	buf_free(&s->client.in);
	s->hops = s->hops_told;
	shake_hands(s);
}

/* Read what the client sends while no login is through. */
static void
client_fill(struct session *s)
{
	switch (stream_fill(&s->client)) {
	case STREAM_OK:
		s->input = true;
		break;
	case STREAM_WAIT:
		break;
	case STREAM_EOF:
		/* It may still listen: what it asked for is answered. */
		s->client_eof = true;
		break;
	case STREAM_ERROR:
		session_client_gone(s);
		break;
	}
}

static void
relay_client(struct session *s)
{
	switch (relay_move(&s->client, &s->server)) {
	case RELAY_MOVED:
		s->active = clock_seconds();
		break;
	case RELAY_IDLE:
		break;
	case RELAY_EOF:
		/* Nothing is invented: the inner server gets the same end. */
		s->client_eof = true;
		break;
	case RELAY_BROKEN:
		session_drop(s, "the client left");
		break;
	}
}

void
session_client_ready(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	if ((what & EV_READ) != 0)
		switch (s->state) {
		case SESSION_HANDSHAKE:
			handshake(s);
			break;
		case SESSION_RELAY:
			relay_client(s);
			break;
		case SESSION_MESSAGE:
			session_read_message(s);
			break;
		case SESSION_MAIL:
			s->active = clock_seconds();
			/* Passwords are behind it: as in relay.c. */
			tls_set_wiping(false);
			client_fill(s);
			tls_set_wiping(true);
			break;
		case SESSION_CLOSING:
			/* Past caring what it is. */
			switch (stream_discard(&s->client)) {
			case STREAM_OK:
			case STREAM_WAIT:
				break;
			case STREAM_EOF:
			case STREAM_ERROR:
				s->client_eof = true;
				s->dead = s->lingers;
				break;
			}
			break;
		case SESSION_PROXY:
			session_proxy_ready(s);
			break;
		case SESSION_LEARN:
		case SESSION_DIALOGUE:
		case SESSION_AUTH:
		case SESSION_CONNECT:
		case SESSION_SERVER_HANDSHAKE:
		case SESSION_LOGIN:
		case SESSION_DELAY:
		case SESSION_SUBMIT:
			client_fill(s);
			break;
		case SESSION_ADMIT: /* nobody reads it yet */
		case SESSION_STATES:
			break;
		}
	(void)session_leave(s);
}

bool
session_may_login(const struct session *s)
{
	return !s->conf->login_disabled &&
	    (s->client_secure != SECURE_PLAINTEXT || s->clear_login);
}

static unsigned int
situation(const struct session *s)
{
	if (s->client_secure != SECURE_PLAINTEXT)
		return s->conf->login_disabled ? CAPABILITY_CLEAR
		                               : CAPABILITY_TLS;
	return (session_may_login(s) ? CAPABILITY_CLEAR_LOGIN
	                             : CAPABILITY_CLEAR) |
	    (s->can_starttls ? CAPABILITY_STARTTLS : 0);
}

void
session_capability(const struct session *s, struct capability *out)
{
	const struct protocol *p = s->protocol;
	const struct capability *list;
	struct capability set;

	if (s->conf->capability != NULL) {
		/* The master checked its form. */
		capability_clear(&set);
		(void)p->parse_capability(s->conf->capability, &set);
		capability_edit(p->rules, p->nrules, situation(s), &set, out);
		return;
	}
	if (worker_list(s->worker, &list) != WORKER_LIST_KNOWN) {
		capability_clear(&set);
		(void)p->parse_capability(p->minimum, &set);
		list = &set;
	}
	capability_rewrite(p->rules, p->nrules, situation(s), list, out);
}

void
session_capability_after(const struct session *s,
    const struct capability *inner, struct capability *out)
{
	capability_rewrite(s->protocol->rules, s->protocol->nrules,
	    CAPABILITY_AFTER, inner, out);
}
