/* SPDX-License-Identifier: ISC */
/*
 * session_server: the login at an inner server and what comes of it; the
 * shared part of session.h that has to do with the server's side.  Runs in
 * workers; the inner server is not trusted to keep its protocol.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "relay.h"
#include "session_impl.h"
#include "xmalloc.h"

/*
 * With several inner servers, one that takes the connection but does not
 * greet is given up for the next after this.
 */
#define GREETING_SECONDS 8

static void
ask_for_server(struct session *s)
{
	session_enter(s, SESSION_CONNECT);
	s->server_greeted = s->server_started = false;
	s->server_lines = 0;
	worker_connect(s->worker, s);
}

void
session_ask_for_server(struct session *s)
{
	if (s->hops <= 1) {
		log_warnx("a login has come through %d relays; do they lead "
		          "in a ring?",
		    SESSION_HOPS - 1);
		session_login_failed(s, LOGIN_UNAVAILABLE, "Too many hops");
		return;
	}
	s->tried = 0;
	s->login_deadline = clock_seconds() + s->conf->outgoing_timeout;
	ask_for_server(s);
}

struct credentials *
session_login_space(struct session *s)
{
	freezero(s->login, sizeof(*s->login));
	s->login = xcalloc(1, sizeof(*s->login));
	return s->login;
}

void
session_login(struct session *s)
{
	free(s->user);
	free(s->authz);
	s->user = xstrdup(s->login->authn);
	s->authz = s->login->authz[0] != '\0' ? xstrdup(s->login->authz) : NULL;
	free(s->failure_text);
	s->failure_text = NULL;
	s->failure_code = NULL;
	s->server_number = MSG_NO_SERVER;
	s->login_us = stats_now_us();
	s->turned = false;
	if (s->conf->authenticate_in)
		session_sasl_check(
		    s, text_of(s->login->authn), text_of(s->login->password));
	else
		session_ask_for_server(s);
}

/* The login is over: nothing of it stays. */
static void
forget_login(struct session *s)
{
	freezero(s->login, sizeof(*s->login));
	s->login = NULL;
}

void
session_server_close(struct session *s)
{
	s->server_done = false;
	stream_goodbye(&s->server);
	stream_close(&s->server);
	s->server_secure = SECURE_PLAINTEXT;
}

/* The server is not fit: the next one, as long as time allows. */
void
session_next_server(struct session *s)
{
	if (s->server_number < CONF_SERVERS_MAX)
		s->tried |= UINT64_C(1) << s->server_number;
	worker_outcome(s->worker, s, OUTCOME_SERVER);
	session_server_close(s);
	ask_for_server(s);
}

void
session_server_failed(struct session *s, const char *reason)
{
	log_debug("session=%" PRIu32 " server=%u: %s", s->number,
	    s->server_number, reason);
	if (s->lesson) {
		session_learned(s, NULL);
		return;
	}
	switch (s->state) {
	case SESSION_CONNECT:
		break;
	case SESSION_SERVER_HANDSHAKE:
		session_next_server(s); /* it has seen no credentials */
		return;
	case SESSION_LOGIN:
		if (!s->server_greeted) {
			session_next_server(s);
			return;
		}
		worker_outcome(s->worker, s, OUTCOME_SERVER);
		break;
	case SESSION_MAIL:
	case SESSION_MESSAGE:
		session_mail_server_gone(s, reason);
		return;
	case SESSION_ADMIT:
	case SESSION_PROXY:
	case SESSION_LEARN:
	case SESSION_HANDSHAKE:
	case SESSION_DIALOGUE:
	case SESSION_AUTH:
	case SESSION_DELAY:
	case SESSION_RELAY:
	case SESSION_SUBMIT: /* nothing is read from it, nor written to it */
	case SESSION_CLOSING:
	case SESSION_STATES:
		return; /* the login is over already */
	}
	session_login_failed(s, LOGIN_UNAVAILABLE, reason);
}

void
session_server_timeout(struct session *s)
{
	if (!s->lesson && s->state == SESSION_LOGIN && !s->server_greeted &&
	    clock_seconds() < s->login_deadline) {
		session_next_server(s);
		return;
	}
	/* All the time there was is used up, whoever's fault it is. */
	if (s->state != SESSION_CONNECT)
		s->server_greeted = true;
	if (s->lesson || s->state != SESSION_SERVER_HANDSHAKE) {
		session_server_failed(s, "Timeout");
		return;
	}
	worker_outcome(s->worker, s, OUTCOME_SERVER);
	session_login_failed(s, LOGIN_UNAVAILABLE, "Timeout");
}

/* The inner connection is there for the protocol (TLS up or not wanted). */
static void
server_start(struct session *s)
{
	time_t left;

	session_enter(s, SESSION_LOGIN);
	s->server_started = true;
	left = s->login_deadline - clock_seconds();
	if (!s->lesson && s->conf->nservers > 1 && left > GREETING_SECONDS)
		event_add(
		    &s->timer, &(struct timeval){ .tv_sec = GREETING_SECONDS });
	s->protocol->server_start(s);
}

/* Does the inner server speak in lines now? */
static bool
hears_lines(const struct session *s)
{
	return (s->state == SESSION_LOGIN || s->state == SESSION_MAIL ||
	           s->state == SESSION_MESSAGE) &&
	    stream_is_open(&s->server);
}

/* The server's words, for as long as the protocol takes some. */
static void
offer_server_input(struct session *s)
{
	while (hears_lines(s) && s->protocol->server_input(s))
		continue;
	/* An answer may be what the client's next command waited for. */
	if (s->state == SESSION_MAIL)
		s->input = true;
}

static void
server_handshake(struct session *s)
{
	switch (stream_handshake(&s->server)) {
	case STREAM_OK:
		break;
	case STREAM_WAIT:
		return;
	case STREAM_EOF:
		session_server_failed(s, "closed during the TLS handshake");
		return;
	case STREAM_ERROR:
		log_warnx("inner server %s: TLS: %s",
		    s->conf->servers[s->server_number].name,
		    tls_error(s->server.tls));
		session_server_failed(s, "TLS failed");
		return;
	}
	if (!s->server_started) {
		s->server_secure = SECURE_SSL;
		server_start(s);
	} else {
		s->server_secure = SECURE_STARTTLS;
		session_enter(s, SESSION_LOGIN);
		s->protocol->server_tls(s);
	}
	offer_server_input(s);
}

static void
start_server_tls(struct session *s)
{
	struct tls *tls = tls_connect(worker_tls_client(s->worker),
	    s->conf->servers[s->server_number].name);

	stream_set_tls(&s->server, tls);
	session_enter(s, SESSION_SERVER_HANDSHAKE);
}

void
session_server_starttls(struct session *s)
{
	/* What was said in the clear must not be taken for what TLS brings. */
	if (s->server.in.len > 0) {
		session_server_failed(s, "Data from server before TLS");
		return;
	}
	(void)stream_flush(&s->server);
	start_server_tls(s);
	server_handshake(s);
}

static void
server_connected(struct session *s, int fd, uint16_t server)
{
	s->server_number = server;
	s->server_us = stats_now_us();
	stream_tune(fd);
	stream_set_patience(fd, s->conf->acknowledge_timeout);
	stream_open(
	    &s->server, worker_base(s->worker), fd, session_server_ready, s);
	session_send_header(s);
	if (s->conf->outgoing_tls == OUTGOING_SSL) {
		start_server_tls(s);
		server_handshake(s);
	} else {
		server_start(s);
	}
}

void
session_connected(
    struct session *s, int fd, uint16_t server, uint32_t failure_delay_ms)
{
	if (s->state != SESSION_CONNECT ||
	    (fd != -1 && stream_is_open(&s->server))) {
		if (fd != -1)
			close(fd);
		return;
	}
	s->failure_delay_ms = failure_delay_ms;
	if (fd != -1) {
		server_connected(s, fd, server);
	} else {
		s->server_number = server;
		session_login_failed(
		    s, LOGIN_UNAVAILABLE, "Could not connect to server");
	}
	(void)session_leave(s);
}

struct session *
session_new_lesson(struct worker *w, int fd, uint16_t server)
{
	struct session *s = session_new_bare(w);

	s->lesson = true;
	s->login_deadline = clock_seconds() + s->conf->outgoing_timeout;
	server_connected(s, fd, server);
	return session_leave(s) ? s : NULL;
}

void
session_server_greeted(struct session *s)
{
	s->server_greeted = true;
	if (s->state == SESSION_LOGIN)
		session_enter(s, SESSION_LOGIN); /* the whole time again */
}

static void
server_fill(struct session *s)
{
	switch (stream_fill(&s->server)) {
	case STREAM_OK:
		offer_server_input(s);
		break;
	case STREAM_WAIT:
		break;
	case STREAM_EOF:
	case STREAM_ERROR:
		session_server_failed(s, "Connection closed by server");
		break;
	}
}

static void
relay_server(struct session *s)
{
	switch (relay_move(&s->server, &s->client)) {
	case RELAY_MOVED:
		s->active = clock_seconds();
		break;
	case RELAY_IDLE:
		break;
	case RELAY_EOF:
		/* Its own time, not ours, is a slow client's for the rest. */
		stream_shutdown(&s->client);
		if (stream_pending(&s->client))
			break; /* the end is told again, when all has gone */
		session_server_close(s);
		session_close(s, NULL);
		break;
	case RELAY_BROKEN:
		session_server_close(s);
		session_close(s, "the inner server left");
		break;
	}
}

void
session_server_ready(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	if ((what & EV_READ) != 0) {
		if (s->state == SESSION_RELAY) {
			relay_server(s);
			/* Last words and the end go to the client at once. */
			if ((what & EV_CLOSED) != 0 &&
			    s->state == SESSION_RELAY)
				relay_server(s);
		} else if (s->state == SESSION_SERVER_HANDSHAKE)
			server_handshake(s);
		else if (hears_lines(s))
			server_fill(s);
	}
	if ((what & EV_WRITE) != 0)
		session_mail_moves(s);
	(void)session_leave(s);
}

/* Whatever both sides have said beyond the login crosses over. */
static void
hand_over(struct session *s)
{
	struct text t;

	s->client.received = s->client.in.len;
	s->client.sent = 0;
	t = buf_view(&s->client.in);
	stream_write(&s->server, t.p, t.len);
	buf_free(&s->client.in);
	t = buf_view(&s->server.in);
	stream_write(&s->client, t.p, t.len);
	buf_free(&s->server.in);
}

void
session_login_ok(struct session *s)
{
	s->logged_in = true;
	session_count_login(s, STATS_LOGIN_OK);
	session_event(s, EVENT_AUTH, "ok");
	worker_logged_in(s->worker);
	worker_outcome(s->worker, s, OUTCOME_OK);
	forget_login(s);
	hand_over(s);
	session_enter(s, SESSION_RELAY);
}

static void
tell_failure(struct session *s, enum login_failure why)
{
	session_enter(s, s->logged_in ? SESSION_MAIL : SESSION_DIALOGUE);
	s->protocol->login_failed(s, why);
	s->input = true;
}

static void
hold_back(struct session *s)
{
	STATS_ADD(delays, 1);
	STATS_ADD(delays_ms, s->failure_delay_ms);
	session_enter(s, SESSION_DELAY);
}

void
session_login_failed(
    struct session *s, enum login_failure why, const char *reason)
{
	char status[MSG_STATUS_MAX];

	if (reason == NULL)
		reason = "Re-Authentication Failure";
	(void)snprintf(status, sizeof(status), "failed: %s", reason);
	if (!s->logged_in) {
		session_count_login(s,
		    why == LOGIN_REFUSED ? STATS_LOGIN_REFUSED
		                         : STATS_LOGIN_UNAVAILABLE);
		session_event(s, EVENT_AUTH, status);
	}
	if (why == LOGIN_REFUSED) /* which takes note of the password */
		worker_outcome(s->worker, s, OUTCOME_REFUSED);
	forget_login(s);
	/* What a client that logged in before says next is not for this one. */
	if (s->logged_in)
		session_server_close(s);
	else
		s->server_done = true; /* session_leave() closes it */
	if (why == LOGIN_REFUSED) {
		s->refused++;
		hold_back(s);
	} else {
		tell_failure(s, why);
	}
}

void
session_delay_over(struct session *s)
{
	/* The delay is what bounds these; others count as commands. */
	s->commands = 0;
	tell_failure(s, s->turned ? LOGIN_UNAVAILABLE : LOGIN_REFUSED);
	session_check_attempts(s);
}

void
session_check_attempts(struct session *s)
{
	if (s->conf->login_attempts == 0 ||
	    s->refused < s->conf->login_attempts)
		return;
	s->protocol->goodbye(s, "too many failed logins");
	session_close(s, "too many failed logins");
}

/* Not even tried: whoever fails as often is not to use up more. */
static void
turn_away(struct session *s)
{
	session_count_login(s, STATS_LOGIN_TURNED);
	session_event(s, EVENT_AUTH, "failed: too many failed logins");
	forget_login(s);
	s->turned = true;
	s->failure_text = xstrdup("Too many failed logins, try again later");
	s->refused++;
}

void
session_turned_away(struct session *s, uint32_t failure_delay_ms)
{
	if (s->state != SESSION_CONNECT || s->login == NULL)
		return;
	s->failure_delay_ms = failure_delay_ms;
	turn_away(s);
	hold_back(s);
	(void)session_leave(s);
}

/* The broker knows, and the delay is over: it is the authenticator's. */
static void
login_denied(struct session *s)
{
	session_count_login(s, STATS_LOGIN_REFUSED);
	session_event(s, EVENT_AUTH, "failed: local authentication failure");
	forget_login(s);
	s->refused++;
	session_delay_over(s);
}

void
session_login_checked(struct session *s, enum sasl_result result)
{
	switch (result) {
	case AUTH_OK:
		session_ask_for_server(s);
		break;
	case AUTH_FAILED:
		login_denied(s);
		break;
	case AUTH_TURNED:
		turn_away(s);
		session_delay_over(s);
		break;
	case AUTH_CHALLENGE:
	case AUTH_UNAVAILABLE:
	case AUTH_BAD_PROTOCOL:
	case AUTH_NO_MECHANISM:
	case AUTH_RESULTS:
		session_login_failed(
		    s, LOGIN_UNAVAILABLE, "Local authentication unavailable");
		break;
	}
}

bool
session_is_lesson(const struct session *s)
{
	return s->lesson;
}

void
session_learned(struct session *s, const struct capability *list)
{
	worker_learned(s->worker, s->server_number, list);
	if (s->lesson)
		session_close(s, NULL);
}

void
session_broker_back(struct session *s)
{
	if (!s->admitted && !s->lesson && s->state != SESSION_PROXY)
		(void)worker_admit(s->worker, s);
	if (s->state == SESSION_AUTH)
		session_sasl_ask_again(s);
	else if (s->state == SESSION_SUBMIT)
		worker_submit(s->worker, s);
	else if (s->state == SESSION_CONNECT && !s->lesson)
		worker_connect(s->worker, s);
}
