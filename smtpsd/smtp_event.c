/* SPDX-License-Identifier: ISC */
/*
 * smtp_event: what is told to the log, in the worker: events in the life of a
 * session and of a message, as records for the master.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "smtp.h"
#include "smtp_record.h"
#include "stats.h"
#include "worker.h"

static void
record(struct session *s, struct smtp_log_event *e)
{
	struct msg_record m;

	e->client.addr = s->client_addr;
	e->client.name = text_of(s->client_name);
	smtp_record_put(e, &m);
	worker_record(s->worker, &m);
}

static void
plain(struct session *s, enum smtp_log_type type)
{
	struct smtp_log_event e = { .type = type };

	record(s, &e);
}

/* TLS has begun and is not up. */
static bool
in_handshake(const struct session *s)
{
	return (s->client.tls != NULL || s->client.awaited != NULL) &&
	    (!s->greeted || s->client_secure == SECURE_PLAINTEXT);
}

/* Postfix's words for how it ended; false: with a good word. */
static bool
trouble_of(const struct session *s, enum smtp_log_type *type)
{
	const struct smtp_session *p = s->data;
	struct text reason = text_of(s->end_reason);

	if (p->errors >= SMTP_ERRORS_MAX ||
	    text_eq(reason, "too many failed logins"))
		*type = SMTP_LOG_TOO_MANY_ERRORS;
	else if (text_caseprefix(reason, "timeout"))
		*type = SMTP_LOG_TIMEOUT;
	else if (in_handshake(s))
		*type = SMTP_LOG_TLS_FAILED;
	else if (text_caseprefix(reason, "the client left"))
		*type = SMTP_LOG_LOST;
	else
		return false;
	return true;
}

/* There was no place for it: Postfix has such a line of postscreen's. */
static bool
log_no_place(struct session *s)
{
	const struct smtp_session *p = s->data;
	struct smtp_log_event e = { .type = SMTP_LOG_REJECT,
		.reject = { .verb = p->verb,
		    .code = 421,
		    .dsn = TEXT_LIT("4.3.2"),
		    .reason = text_of(s->end_reason),
		    .esmtp = p->esmtp,
		    .helo = text_of(p->helo) } };

	if (!s->unplaced)
		return false;
	if (!s->greeted)
		e.reject.verb = SMTP_CONNECT;
	record(s, &e);
	return true;
}

static void
log_end(struct session *s, const char *status)
{
	const struct smtp_session *p = s->data;
	struct smtp_log_event e = { .type = SMTP_LOG_LOST };

	if (!log_no_place(s) && trouble_of(s, &e.type)) {
		e.trouble.after = p->verb;
		if (s->state == SESSION_MESSAGE)
			e.trouble.octets = p->mail.bdat
			    ? p->mail.chunk.watch.size
			    : p->mail.data.watch.size;
		if (e.type == SMTP_LOG_TLS_FAILED)
			e.trouble.detail = text_of(status);
		record(s, &e);
	}
	e = (struct smtp_log_event){ .type = SMTP_LOG_DISCONNECT,
		.counts = p->counts };
	record(s, &e);
}

void
smtp_event(struct session *s, enum event_type type, const char *status)
{
	struct smtp_session *p = s->data;

	switch (type) {
	case EVENT_CONNECT:
		p->known = true;
		plain(s, SMTP_LOG_CONNECT);
		break;
	case EVENT_CLOSE:
	case EVENT_CLOSE_NULL:
		if (!p->known) /* it was turned away */
			plain(s, SMTP_LOG_CONNECT);
		log_end(s, status);
		break;
	case EVENT_AUTH: /* smtp_auth has said it */
	case EVENT_TYPES:
		break;
	}
}

void
smtp_log_client(struct session *s)
{
	struct smtp_session *p = s->data;
	struct smtp_log_event e = { .type = SMTP_LOG_CLIENT };
	static uint32_t sequence; /* of this process */
	static pid_t pid;

	if (pid == 0)
		pid = getpid();
	smtp_log_id(time(NULL), pid, sequence++, p->mail.id);
	e.id = text_of(p->mail.id);
	e.login.mechanism = text_of(p->mechanism);
	e.login.user = text_of(s->user);
	record(s, &e);
}

void
smtp_log_message(struct session *s)
{
	const struct smtp_session *p = s->data;
	const struct smtp_mail *m = &p->mail;
	const struct smtp_watch *w = m->bdat ? &m->chunk.watch : &m->data.watch;
	struct smtp_log_event e = { .type = SMTP_LOG_MESSAGE_ID,
		.id = text_of(m->id),
		.message_id = smtp_watch_message_id(w) };

	record(s, &e);
	e = (struct smtp_log_event){ .type = SMTP_LOG_FROM,
		.id = text_of(m->id),
		.from = { text_of(m->sender), w->size, (uint32_t)m->taken } };
	record(s, &e);
}

/* "250-first" and "250 last" to "250 first last": the texts in one line. */
static void
join(struct text reply, char dst[static MSG_RECORD_TEXT_MAX])
{
	struct text rest = reply, t;
	size_t n, at = 0;

	dst[0] = '\0';
	if (reply.len < 3)
		return;
	(void)strlcpy(dst, (char[]){ reply.p[0], reply.p[1], reply.p[2], 0 },
	    MSG_RECORD_TEXT_MAX);
	at = strlen(dst);
	while (smtp_reply_next(&rest, &t)) {
		if (at + 2 >= MSG_RECORD_TEXT_MAX)
			break;
		n = MSG_RECORD_TEXT_MAX - at - 2;
		if (n > t.len)
			n = t.len;
		dst[at++] = ' ';
		if (n > 0) /* there may be none, and no pointer */
			memcpy(dst + at, t.p, n);
		at += n;
		dst[at] = '\0';
	}
}

static void
set_status(struct smtp_log_to *to, struct text reply)
{
	static const char *const usual[] = { [SMTP_SENT] = "2.0.0",
		[SMTP_DEFERRED] = "4.0.0",
		[SMTP_BOUNCED] = "5.0.0" };
	struct text rest = reply, t = TEXT_NONE;

	to->status = SMTP_DEFERRED;
	if (reply.len > 0 && reply.p[0] == '2')
		to->status = SMTP_SENT;
	else if (reply.len > 0 && reply.p[0] == '5')
		to->status = SMTP_BOUNCED;
	(void)smtp_reply_next(&rest, &t);
	to->dsn = smtp_reply_status(&t);
	if (to->dsn.len == 0)
		to->dsn = text_of(usual[to->status]);
}

static void
count_message(const struct smtp_mail *m, enum smtp_log_status status)
{
	static const enum stats_message results[] = {
		[SMTP_SENT] = STATS_ACCEPTED,
		[SMTP_DEFERRED] = STATS_DEFERRED,
		[SMTP_BOUNCED] = STATS_REJECTED,
	};

	STATS_ADD(messages[results[status]], 1);
	STATS_ADD(recipients[results[status]], m->taken);
	STATS_ADD(
	    message_bytes, m->bdat ? m->chunk.watch.size : m->data.watch.size);
}

static uint32_t
ms_between(int64_t from, int64_t to)
{
	return from > 0 && to > from ? (uint32_t)(to - from) : 0;
}

void
smtp_log_deliveries(struct session *s, struct text reply)
{
	const struct smtp_session *p = s->data;
	const struct smtp_mail *m = &p->mail;
	char words[MSG_RECORD_TEXT_MAX] UNZEROED;
	struct smtp_log_event e = { .type = SMTP_LOG_TO, .id = text_of(m->id) };
	size_t i;

	set_status(&e.to, reply);
	count_message(m, e.to.status);
	join(reply, words);
	e.to.reply = text_of(words);
	if (reply.len == 0)
		e.to.reply = TEXT_LIT("lost connection behind the message");
	e.to.has_relay = true;
	if (s->server_number < s->conf->nservers)
		e.to.relay.name =
		    text_of(s->conf->servers[s->server_number].name);
	e.to.relay.addr = p->server_addr;
	e.to.delays_ms[0] = ms_between(m->begun_ms, m->passed_ms);
	e.to.delays_ms[3] = ms_between(m->passed_ms, clock_ms());
	for (i = 0; i < m->taken; i++) {
		e.to.recipient = text_of(m->recipients[i]);
		record(s, &e);
	}
	e = (struct smtp_log_event){ .type = SMTP_LOG_REMOVED,
		.id = text_of(m->id) };
	record(s, &e);
}

void
smtp_log_sasl_failed(struct session *s, const char *reason)
{
	const struct smtp_session *p = s->data;
	struct smtp_log_event e = { .type = SMTP_LOG_SASL_FAILED,
		.sasl = { text_of(p->mechanism), text_of(reason),
		    text_of(p->claimed) } };

	record(s, &e);
}

void
smtp_log_out_of_step(struct session *s)
{
	const struct smtp_session *p = s->data;
	struct smtp_log_event e = { .type = SMTP_LOG_PIPELINING,
		.trouble = { .after = p->verb } };

	record(s, &e);
}

void
smtp_log_reject(struct session *s, enum smtp_verb verb, unsigned int code,
    struct text dsn, struct text reason, struct text about)
{
	const struct smtp_session *p = s->data;
	struct smtp_log_event e = { .type = SMTP_LOG_REJECT,
		.id = text_of(p->mail.id) };
	struct smtp_log_reject *r = &e.reject;

	STATS_ADD(rejects, 1);
	r->verb = verb;
	r->code = (uint16_t)code;
	r->dsn = dsn;
	r->reason = reason;
	r->about = about;
	r->has_sender = p->mail.sender != NULL;
	r->sender = text_of(p->mail.sender);
	r->has_recipient = verb == SMTP_RCPT && about.p != NULL;
	r->recipient = about;
	r->esmtp = p->esmtp;
	r->helo = text_of(p->helo);
	if (s->logged_in)
		r->user = text_of(s->user);
	record(s, &e);
}
