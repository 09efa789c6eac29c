/* SPDX-License-Identifier: ISC */
/*
 * smtp_record: an event of smtp_log to a record of msg and back.  Runs in the
 * worker and in the master, which trusts no worker to send what fits.  One
 * walk over the fields serves both ways, so that they cannot differ.
 */
#include <string.h>

#include "smtp_record.h"

struct walk {
	struct msg_record *m;
	bool reading;
	unsigned int texts, numbers; /* so far */
	bool bad;
};

/* The next text: *t to the record, or the record's to *t. */
static void
text(struct walk *w, struct text *t)
{
	struct msg_record *m = w->m;

	if (w->texts == (w->reading ? m->ntexts : MSG_RECORD_TEXTS)) {
		w->bad = true;
		return;
	}
	if (w->reading) {
		*t = m->texts[w->texts++];
		return;
	}
	m->texts[w->texts] = *t;
	if (t->len > MSG_RECORD_TEXT_MAX)
		m->texts[w->texts].len = MSG_RECORD_TEXT_MAX;
	m->ntexts = (uint8_t)++w->texts;
}

/* The next number, v or the record's; at most max. */
static uint64_t
number(struct walk *w, uint64_t v, uint64_t max)
{
	struct msg_record *m = w->m;

	if (w->numbers == (w->reading ? m->nnumbers : MSG_RECORD_NUMBERS)) {
		w->bad = true;
		return 0;
	}
	if (w->reading) {
		v = m->numbers[w->numbers++];
		if (v <= max)
			return v;
		w->bad = true;
		return 0;
	}
	m->numbers[w->numbers] = v;
	m->nnumbers = (uint8_t)++w->numbers;
	return v;
}

static uint32_t
number32(struct walk *w, uint32_t v)
{
	return (uint32_t)number(w, v, UINT32_MAX);
}

static bool
flag(struct walk *w, bool v)
{
	return number(w, v, 1) != 0;
}

static enum smtp_verb
place(struct walk *w, enum smtp_verb v)
{
	return (enum smtp_verb)number(w, v, SMTP_PLACES - 1);
}

static void
walk_to(struct walk *w, struct smtp_log_to *t)
{
	size_t i;

	text(w, &t->recipient);
	t->has_relay = flag(w, t->has_relay);
	text(w, &t->relay.name);
	for (i = 0; i < 4; i++)
		t->delays_ms[i] = number32(w, t->delays_ms[i]);
	text(w, &t->dsn);
	t->status =
	    (enum smtp_log_status)number(w, t->status, SMTP_STATUSES - 1);
	text(w, &t->reply);
}

static void
walk_reject(struct walk *w, struct smtp_log_reject *r)
{
	r->verb = place(w, r->verb);
	r->code = (uint16_t)number(w, r->code, 599);
	text(w, &r->dsn);
	text(w, &r->about);
	text(w, &r->reason);
	r->has_sender = flag(w, r->has_sender);
	r->has_recipient = flag(w, r->has_recipient);
	text(w, &r->sender);
	text(w, &r->recipient);
	r->esmtp = flag(w, r->esmtp);
	text(w, &r->helo);
	text(w, &r->user);
}

static void
walk_counts(struct walk *w, struct smtp_log_counts *c)
{
	size_t i;

	_Static_assert(2 * SMTP_VERBS <= MSG_RECORD_NUMBERS,
	    "a record has a place for each");
	for (i = 0; i < SMTP_VERBS; i++) {
		c->of[i].good = number32(w, c->of[i].good);
		c->of[i].all = number32(w, c->of[i].all);
	}
}

static void
walk_event(struct walk *w, struct smtp_log_event *e)
{
	text(w, &e->id);
	text(w, &e->client.name);
	switch (e->type) {
	case SMTP_LOG_CONNECT:
	case SMTP_LOG_REMOVED:
	case SMTP_LOG_TYPES:
		break;
	case SMTP_LOG_CLIENT:
		text(w, &e->login.mechanism);
		text(w, &e->login.user);
		break;
	case SMTP_LOG_MESSAGE_ID:
		text(w, &e->message_id);
		break;
	case SMTP_LOG_FROM:
		text(w, &e->from.sender);
		e->from.size = number(w, e->from.size, UINT64_MAX);
		e->from.recipients = number32(w, e->from.recipients);
		break;
	case SMTP_LOG_TO:
		walk_to(w, &e->to);
		break;
	case SMTP_LOG_REJECT:
		walk_reject(w, &e->reject);
		break;
	case SMTP_LOG_SASL_FAILED:
		text(w, &e->sasl.mechanism);
		text(w, &e->sasl.reason);
		text(w, &e->sasl.user);
		break;
	case SMTP_LOG_LOST:
	case SMTP_LOG_TIMEOUT:
	case SMTP_LOG_TOO_MANY_ERRORS:
	case SMTP_LOG_PIPELINING:
	case SMTP_LOG_TLS_FAILED:
		e->trouble.after = place(w, e->trouble.after);
		e->trouble.octets = number(w, e->trouble.octets, UINT64_MAX);
		text(w, &e->trouble.detail);
		break;
	case SMTP_LOG_DISCONNECT:
		walk_counts(w, &e->counts);
		break;
	}
}

void
smtp_record_put(const struct smtp_log_event *e, struct msg_record *m)
{
	struct walk w = { .m = m };
	struct smtp_log_event copy = *e;

	*m = (struct msg_record){ .type = (uint8_t)e->type,
		.client = e->client.addr };
	if (e->type == SMTP_LOG_TO)
		m->server = e->to.relay.addr;
	walk_event(&w, &copy);
}

bool
smtp_record_get(const struct msg_record *m, struct smtp_log_event *e)
{
	struct msg_record copy = *m;
	struct walk w = { .m = &copy, .reading = true };

	memset(e, 0, sizeof(*e));
	if (m->type >= SMTP_LOG_TYPES)
		return false;
	e->type = (enum smtp_log_type)m->type;
	e->client.addr = m->client;
	walk_event(&w, e);
	if (e->type == SMTP_LOG_TO)
		e->to.relay.addr = m->server;
	return !w.bad && w.texts == m->ntexts && w.numbers == m->nnumbers;
}

int
smtp_record_format(const struct msg_record *m, char dst[static LOG_LINE_MAX])
{
	struct smtp_log_event e;

	return smtp_record_get(m, &e) ? smtp_log_format(&e, dst) : -1;
}

/* As conf/fail2ban has it, which counts those who say much for nothing. */
#define COMMANDS_MANY 20

bool
smtp_record_accuses(const struct msg_record *m)
{
	struct smtp_log_event e;
	uint64_t all = 0;
	size_t i;

	if (!smtp_record_get(m, &e))
		return false;
	if (e.type != SMTP_LOG_DISCONNECT)
		return e.type == SMTP_LOG_SASL_FAILED;
	for (i = 0; i < SMTP_VERBS; i++)
		all += e.counts.of[i].all;
	return all >= COMMANDS_MANY && e.counts.of[SMTP_AUTH].good == 0;
}

_Static_assert(LOG_IDENT_MAX >= SMTP_LOG_IDENT_MAX, "an identity fits");

void
smtp_record_ident(const struct msg_record *m, const char *ident,
    char dst[static LOG_IDENT_MAX])
{
	smtp_log_ident(ident, (enum smtp_log_type)m->type, dst);
}
