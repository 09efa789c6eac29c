/* SPDX-License-Identifier: ISC */
/*
 * session_pace: minimum_rate, the least that a peer may take or send once a
 * client has logged in.  Runs in workers, against clients and inner servers
 * that drip.
 *
 * Only who owes octets is watched: one for whom some are pending, or a client
 * within a command or a message of SMTP.  A relayed client that is idle owes
 * nothing, and what it owes its inner server is for that one to know.
 */
#include "clock.h"
#include "log.h"
#include "pace.h"
#include "session_impl.h"

/* Until a debtor is watched. */
#define GRACE_SECONDS 1

static enum session_debtor
debtor_of(const struct session *s)
{
	if (s->conf->minimum_rate == 0 ||
	    (s->state != SESSION_RELAY && s->state != SESSION_MAIL &&
	        s->state != SESSION_MESSAGE))
		return DEBTOR_NONE;
	if (stream_pending(&s->client))
		return DEBTOR_CLIENT_TAKES;
	if (stream_pending(&s->server))
		return DEBTOR_SERVER_TAKES;
	/* An answer that is owed has a time of its own. */
	if (s->answer_by != 0 || s->client_eof)
		return DEBTOR_NONE;
	return s->state == SESSION_MESSAGE ||
	        (s->state == SESSION_MAIL && s->client.in.len > 0)
	    ? DEBTOR_CLIENT_SENDS
	    : DEBTOR_NONE;
}

/* -1: the kernel does not say. */
static int
paid_by(const struct session *s, uint64_t *octets)
{
	const bool server = s->debtor == DEBTOR_SERVER_TAKES;
	struct pace p;
	int result = pace_of(server ? s->server.fd : s->client.fd, &p);

	*octets =
	    s->debtor == DEBTOR_CLIENT_SENDS ? p.received : p.acknowledged;
	return result;
}

/* The window begins. */
static void
begin_window(struct session *s)
{
	s->pace_begins = false;
	s->pace_by = paid_by(s, &s->paid) == 0
	    ? clock_seconds() + (time_t)s->conf->minimum_rate_time
	    : 0;
}

/* Most pay at once: the kernel is not asked about those. */
static void
watch_debtor(struct session *s)
{
	s->pace_begins = s->debtor != DEBTOR_NONE;
	s->pace_by = s->pace_begins ? clock_seconds() + GRACE_SECONDS : 0;
}

void
session_pace(struct session *s)
{
	const enum session_debtor debtor = debtor_of(s);

	if (debtor == s->debtor)
		return;
	s->debtor = debtor;
	watch_debtor(s);
	if (s->pace_by != 0)
		session_watch(s);
}

/* Who does not take octets will not hear a word either. */
static void
end_slow(struct session *s)
{
	static const char reason[] = "slower than minimum_rate";
	char name[ADDR_STRLEN];

	log_info("the %s %s is %s",
	    s->debtor == DEBTOR_SERVER_TAKES ? "inner server of" : "client",
	    addr_print(&s->client_addr, name), reason);
	switch (s->debtor) {
	case DEBTOR_CLIENT_TAKES:
		session_drop(s, reason);
		break;
	case DEBTOR_SERVER_TAKES:
		if (s->state != SESSION_RELAY) {
			session_server_failed(s, reason);
			break;
		}
		session_server_close(s);
		session_close(s, reason);
		break;
	case DEBTOR_CLIENT_SENDS:
		s->protocol->goodbye(s, "timeout");
		session_close(s, "timeout by minimum_rate");
		break;
	case DEBTOR_NONE:
		break;
	}
}

bool
session_pace_timer(struct session *s)
{
	uint64_t octets;

	if (s->pace_by == 0 || clock_seconds() < s->pace_by)
		return false;
	if (s->pace_begins || paid_by(s, &octets) == -1 ||
	    octets - s->paid >=
	        (uint64_t)s->conf->minimum_rate * s->conf->minimum_rate_time) {
		begin_window(s);
		return false;
	}
	s->pace_by = 0;
	end_slow(s);
	return true;
}
