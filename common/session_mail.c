/* SPDX-License-Identifier: ISC */
/*
 * session_mail: a session whose two dialogues both go on after the login, as
 * in SMTP.  Runs in workers; trusts neither the client nor the inner server.
 */
#include "clock.h"
#include "session_impl.h"
#include "tls.h"

void
session_mail(struct session *s)
{
	s->logged_in = true;
	worker_logged_in(s->worker);
	session_enter(s, SESSION_MAIL);
	s->input = true;
}

void
session_mail_connect(struct session *s)
{
	if (!s->logged_in)
		fatalx("an inner server without a login");
	session_ask_for_server(s);
}

void
session_mail_next(struct session *s)
{
	s->login_deadline = clock_seconds() + s->conf->outgoing_timeout;
	session_next_server(s);
}

void
session_mail_ready(struct session *s)
{
	worker_outcome(s->worker, s, OUTCOME_OK);
	session_enter(s, SESSION_MAIL);
	s->input = true;
}

void
session_submit(struct session *s, enum submit_what what, struct text sender)
{
	s->submit_what = what;
	s->submit_sender = sender;
	session_enter(s, SESSION_SUBMIT);
	worker_submit(s->worker, s);
}

void
session_submit_over(struct session *s, enum submit_verdict v)
{
	session_enter(s, SESSION_MAIL);
	s->submit_sender = TEXT_NONE;
	s->protocol->submit_reply(s, v);
	s->input = true;
}

void
session_submit_answered(struct session *s, enum submit_verdict v)
{
	if (s->state != SESSION_SUBMIT)
		return; /* too late */
	session_submit_over(s, v);
	(void)session_leave(s);
}

void
session_message(struct session *s, bool on)
{
	if (!s->logged_in)
		fatalx("a message without a login");
	session_enter(s, on ? SESSION_MESSAGE : SESSION_MAIL);
	s->input = !on;
}

void
session_await(struct session *s, unsigned int seconds)
{
	s->active = clock_seconds();
	s->answer_seconds = seconds;
	s->answer_by = seconds != 0 ? s->active + seconds : 0;
	session_watch(s);
}

void
session_mail_disconnect(struct session *s)
{
	session_server_close(s);
	session_await(s, 0);
}

void
session_mail_server_gone(struct session *s, const char *reason)
{
	session_mail_disconnect(s);
	s->protocol->server_gone(s, reason);
	s->input = s->state == SESSION_MAIL;
}

/* Its time for an answer runs from the last octet of what was asked. */
void
session_mail_moves(struct session *s)
{
	if (s->state == SESSION_MAIL || s->state == SESSION_MESSAGE)
		session_await(s, s->answer_seconds);
}

void
session_mail_timer(struct session *s)
{
	time_t now = clock_seconds();
	bool silent = s->conf->timeout != 0 &&
	    now >= s->active + (time_t)s->conf->timeout;

	/* A server that does not take the message is what it waits for. */
	if (s->answer_by != 0 ? now >= s->answer_by
	                      : silent && stream_pending(&s->server)) {
		session_server_failed(s, "Timeout");
	} else if (s->answer_by == 0 && silent) {
		s->protocol->goodbye(s, "timeout");
		session_close(s, "timeout");
	} else {
		session_watch(s);
	}
}

/* What had come before the message was awaited. */
void
session_offer_message(struct session *s)
{
	struct text t = buf_view(&s->client.in);

	buf_consume(&s->client.in, s->protocol->message(s, t));
	if (s->state == SESSION_MAIL)
		s->input = true;
}

void
session_read_message(struct session *s)
{
	enum stream_result r;
	struct text t;
	size_t taken;

	tls_set_wiping(false); /* as in relay.c */
	r = stream_read(&s->client, &t);
	tls_set_wiping(true);
	switch (r) {
	case STREAM_OK:
		break;
	case STREAM_WAIT:
		return;
	case STREAM_EOF:
		session_drop(s, "the client left within a message");
		return;
	case STREAM_ERROR:
		session_drop(s, "the client left");
		return;
	}
	s->active = clock_seconds();
	taken = s->protocol->message(s, t);
	/* What is behind the message: there is room for it, see stream.h. */
	if (taken < t.len &&
	    buf_append(&s->client.in, t.p + taken, t.len - taken) == -1)
		session_drop(s, "too much behind a message");
}
