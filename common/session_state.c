/* SPDX-License-Identifier: ISC */
/*
 * session_state: the states of a session: how long each may last, what comes
 * when that is over, and whether its client gives way to others meanwhile.
 */
#include <inttypes.h>

#include "clock.h"
#include "log.h"
#include "session_impl.h"

/* The first client waits so long for the inner servers' list (README). */
#define LEARN_SECONDS 3
/* For the broker, which looks up names meanwhile, to say who is served. */
#define ADMIT_SECONDS 10
/* A proxy says at once for whom it speaks; a lost segment is sent again. */
#define PROXY_SECONDS 5
#define AUTH_SECONDS 10 /* beside two times sasl_timeout */
/* For what is still to be sent when all is said, and for the peer's FIN. */
#define CLOSING_SECONDS 10
#define LINGER_SECONDS 2

static const char *const state_names[] = { "admit", "proxy", "learn",
	"handshake", "dialogue", "auth", "connect", "server-handshake", "login",
	"delay", "relay", "mail", "submit", "message", "closing" };
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == SESSION_STATES,
    "name every state");

static void
set_timer(struct session *s, time_t seconds, uint32_t ms)
{
	struct timeval tv = { .tv_sec = seconds + ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	if (tv.tv_sec < 0)
		tv = (struct timeval){ 0, 0 };
	s->watched_at = 0;
	event_add(&s->timer, &tv);
}

static void
stop_timer(struct session *s)
{
	s->watched_at = 0;
	event_del(&s->timer);
}

/*
 * With each command and each answer the time is put off.  The timer stays as
 * it is when it ends before that: then it is set anew.
 */
void
session_watch(struct session *s)
{
	time_t now, at = 0;

	if (s->answer_by != 0)
		at = s->answer_by;
	else if (s->conf->timeout != 0)
		at = s->active + s->conf->timeout;
	if (s->relog_at != 0 && (at == 0 || s->relog_at < at))
		at = s->relog_at;
	if (s->pace_by != 0 && (at == 0 || s->pace_by < at))
		at = s->pace_by;
	if (at == 0) {
		stop_timer(s);
	} else if (s->watched_at == 0 || s->watched_at > at) {
		now = clock_seconds();
		set_timer(s, at > now ? at - now : 0, 0);
		s->watched_at = at;
	}
}

/* The time until a login, or, where that is less, a part of it. */
static void
await_login(struct session *s, time_t now, unsigned int part)
{
	time_t left = s->began + s->conf->authenticate_timeout - now;

	if (s->conf->authenticate_timeout == 0 ||
	    (part != 0 && (time_t)part < left))
		left = part;
	else if (left < 1)
		left = 0;
	if (s->conf->authenticate_timeout != 0 || part != 0)
		set_timer(s, left, 0);
	else
		stop_timer(s);
}

/*
 * Who has not logged in gives way where all places are taken; not so while
 * its password is being looked at, or the word on that held back.
 */
static enum worker_yield
yield_of(const struct session *s)
{
	static const unsigned int idle = 1U << SESSION_ADMIT |
	    1U << SESSION_PROXY | 1U << SESSION_LEARN |
	    1U << SESSION_HANDSHAKE | 1U << SESSION_DIALOGUE |
	    1U << SESSION_CLOSING;

	return !s->logged_in && !s->lesson && (idle >> s->state & 1) != 0
	    ? YIELD_IN_TURN
	    : YIELD_NEVER;
}

void
session_enter(struct session *s, enum session_state next)
{
	time_t now = clock_seconds();

	log_debug("session=%" PRIu32 " state=%s->%s", s->number,
	    state_names[s->state], state_names[next]);
	s->state = next;
	worker_set_yield(s->worker, s, yield_of(s));
	switch (next) {
	case SESSION_ADMIT:
		await_login(s, now, ADMIT_SECONDS);
		break;
	case SESSION_DIALOGUE:
		await_login(s, now, 0);
		break;
	case SESSION_HANDSHAKE:
		await_login(s, now, s->conf->handshake_timeout);
		break;
	case SESSION_PROXY:
		set_timer(s, PROXY_SECONDS, 0);
		break;
	case SESSION_LEARN:
		set_timer(s, LEARN_SECONDS, 0);
		break;
	case SESSION_AUTH:
		/* For an authenticator's start, its step, a failure's delay. */
		set_timer(
		    s, 2 * (time_t)s->conf->sasl_timeout + AUTH_SECONDS, 0);
		break;
	case SESSION_CONNECT:
	case SESSION_SERVER_HANDSHAKE:
	case SESSION_LOGIN:
		set_timer(s, s->login_deadline - now, 0);
		break;
	case SESSION_DELAY:
		set_timer(s, 0, s->failure_delay_ms);
		break;
	case SESSION_SUBMIT:
		set_timer(s, s->conf->outgoing_timeout, 0);
		break;
	case SESSION_MAIL:
	case SESSION_MESSAGE:
		s->active = now;
		session_watch(s);
		break;
	case SESSION_RELAY:
		s->active = now;
		if (s->conf->connect_relog != 0)
			s->relog_at = now + s->conf->connect_relog;
		session_watch(s);
		break;
	case SESSION_CLOSING:
		set_timer(s, CLOSING_SECONDS, 0);
		break;
	case SESSION_STATES:
		break;
	}
}

void
session_linger(struct session *s)
{
	s->lingers = true;
	if (!s->logged_in)
		worker_set_yield(s->worker, s, YIELD_FIRST);
	set_timer(s, LINGER_SECONDS, 0);
}

static void
relay_timer(struct session *s)
{
	time_t now = clock_seconds();

	if (s->relog_at != 0 && now >= s->relog_at) {
		s->relog_at = now + s->conf->connect_relog;
		session_event(s, EVENT_AUTH, "ok");
	}
	if (s->conf->timeout != 0 && now >= s->active + s->conf->timeout) {
		session_close(s, "Timeout piping data.");
		return;
	}
	session_watch(s);
}

void
session_timer(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	s->watched_at = 0;
	switch (s->state) {
	case SESSION_ADMIT:
		session_not_admitted(s);
		break;
	case SESSION_PROXY:
		session_proxy_late(s);
		break;
	case SESSION_LEARN:
		session_greet(s);
		break;
	case SESSION_HANDSHAKE:
		STATS_ADD(handshakes_failed, 1);
		session_drop(s, "timeout during the TLS handshake");
		break;
	case SESSION_DIALOGUE:
		session_end_late(s);
		break;
	case SESSION_AUTH:
		session_sasl_timeout(s);
		break;
	case SESSION_CONNECT:
	case SESSION_SERVER_HANDSHAKE:
	case SESSION_LOGIN:
		session_server_timeout(s);
		break;
	case SESSION_DELAY:
		session_delay_over(s);
		break;
	case SESSION_RELAY:
		if (!session_pace_timer(s))
			relay_timer(s);
		break;
	case SESSION_SUBMIT:
		session_submit_over(s, SUBMIT_UNAVAILABLE);
		break;
	case SESSION_MAIL:
	case SESSION_MESSAGE:
		if (!session_pace_timer(s))
			session_mail_timer(s);
		break;
	case SESSION_CLOSING:
		s->dead = true;
		break;
	case SESSION_STATES:
		break;
	}
	(void)session_leave(s);
}
