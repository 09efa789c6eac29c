/* SPDX-License-Identifier: ISC */
/*
 * smtp_message: DATA and BDAT: the message on its way, and the word on it.
 * Runs in the worker.  The octets pass as they come; only a Received field
 * goes in front.  A message with a fault is never completed: the inner
 * connection is closed in its middle.
 */
#include <sys/types.h>

#include <inttypes.h>
#include <time.h>

#include "clock.h"
#include "smtp.h"
#include "smtp_received.h"
#include "smtp_scan.h"

static const struct fault {
	unsigned int code;
	const char *dsn, *text;
} faults[] = {
	[SMTP_FAULT_NONE] = { 0, NULL, NULL },
	[SMTP_FAULT_BARE] = { 550, "5.6.11",
	    "Error: bare CR or LF in the message" },
	[SMTP_FAULT_NUL] = { 550, "5.6.11", "Error: NUL in the message" },
	[SMTP_FAULT_TOO_BIG] = { 552, "5.3.4", "Error: message file too big" },
	[SMTP_FAULT_LOOP] = { 554, "5.4.6", "Error: too many hops" },
	[SMTP_FAULT_REFUSED] = { 503, "5.5.1", NULL },
};

static struct smtp_watch *
watch(struct smtp_mail *m)
{
	return m->bdat ? &m->chunk.watch : &m->data.watch;
}

static size_t
format_received(const struct session *s, char dst[static SMTP_RECEIVED_SIZE])
{
	const struct smtp_session *p = s->data;
	const struct tls *tls = s->client.tls;
	struct smtp_received r = {
		.addr = s->conf->received_client ? &s->client_addr : NULL,
		.name = text_of(s->client_name),
		.helo = text_of(p->helo),
		.hostname = text_of(s->conf->hostname),
		.id = text_of(p->mail.id),
		.esmtp = p->esmtp,
		.tls = s->client_secure != SECURE_PLAINTEXT,
		.auth = true,
		.utf8 = p->mail.utf8,
		.date = time(NULL)
	};

	if (s->conf->received_tls && tls != NULL) {
		r.tls_version = text_of(tls_version(tls));
		r.tls_cipher = text_of(tls_cipher(tls));
		r.tls_bits = tls_strength(tls);
	}
	if (s->conf->received_user)
		r.user = text_of(s->user);
	if (p->mail.taken == 1)
		r.recipient = text_of(p->mail.recipients[0]);
	return smtp_received_format(&r, dst);
}

/*
 * May the message come?  False: the client was told why not.  Whatever it
 * says, nobody is to send a message behind it.
 */
static bool
may_come(struct session *s)
{
	struct smtp_session *p = s->data;
	const struct smtp_mail *m = &p->mail;

	if (m->trouble != SMTP_TROUBLE_NONE)
		smtp_mail_say_trouble(s);
	else if (!m->begun)
		smtp_error(s, 503, "5.5.1", "Error: need MAIL command");
	else if (m->taken == 0)
		smtp_error(s, 554, "5.5.1", "Error: no valid recipients");
	else
		return true;
	return false;
}

void
smtp_data_command(struct session *s)
{
	struct smtp_session *p = s->data;

	if (!may_come(s))
		return;
	if (p->mail.bdat || p->mail.binary) /* RFC 3030 2, 3 */
		smtp_error(s, 503, "5.5.1", "Error: BDAT is needed");
	else
		smtp_upstream_ask(s, SMTP_ASKED_DATA, "DATA");
}

void
smtp_data_refused(struct session *s)
{
	if (s->client.in.len > 0)
		smtp_out_of_step(s);
}

void
smtp_data_answer(struct session *s)
{
	struct smtp_session *p = s->data;

	if (p->reply.code / 100 != 3) {
		smtp_mail_pass_reply(s);
		smtp_mail_abandon(s);
		smtp_data_refused(s);
		return;
	}
	smtp_mail_pass_reply(s);
	smtp_data_init(&p->mail.data,
	    s->conf->normalize_newlines ? SMTP_BARE_NORMALIZE
	                                : SMTP_BARE_REFUSE,
	    smtp_message_limit(s));
	session_message(s, true);
}

/* The first chunk: what holds for all of them. */
static void
begin_chunks(struct session *s)
{
	struct smtp_session *p = s->data;

	p->mail.bdat = true;
	smtp_chunk_init(&p->mail.chunk, smtp_message_limit(s), p->mail.binary);
}

/* Announce the chunk to the inner server, the Received field within. */
static void
announce_chunk(struct session *s, uint64_t size, bool last, bool first)
{
	char received[SMTP_RECEIVED_SIZE] UNZEROED;
	size_t n = first ? format_received(s, received) : 0;

	stream_printf(&s->server, "BDAT %" PRIu64 "%s\r\n", size + n,
	    last ? " LAST" : "");
	stream_write(&s->server, received, n);
}

void
smtp_bdat_command(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;
	bool last, first = !m->bdat, passes;
	uint64_t size;

	if (!smtp_parse_bdat(args, &size, &last)) {
		/* How many octets are to be no commands, nobody knows. */
		smtp_error(s, 501, "5.5.4", "Syntax: BDAT count [LAST]");
		session_close(s, "BDAT without a count");
		return;
	}
	if (s->state != SESSION_MAIL) {
		smtp_error(s, 530, "5.7.0", "Authentication required");
		session_close(s, "BDAT without a login");
		return;
	}
	if (first)
		begin_chunks(s);
	smtp_chunk_begin(&m->chunk, size, last);
	passes = m->begun && m->taken > 0 && m->trouble == SMTP_TROUBLE_NONE &&
	    p->chunking;
	if (!passes)
		smtp_watch_condemn(watch(m), SMTP_FAULT_REFUSED);
	if (watch(m)->fault == SMTP_FAULT_NONE)
		announce_chunk(s, size, last, first);
	session_message(s, true);
	if (size == 0) /* there are no octets that would tell */
		(void)smtp_message(s, TEXT_NONE);
}

/* The message, or a chunk, is over, and has a fault. */
static void
refuse(struct session *s)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;
	const struct fault *f = &faults[watch(m)->fault];
	bool last = !m->bdat || m->chunk.last;

	if (watch(m)->fault != SMTP_FAULT_REFUSED) {
		smtp_log_reject(s, SMTP_END_OF_MESSAGE, f->code,
		    text_of(f->dsn), text_of(f->text), TEXT_NONE);
		smtp_error(s, f->code, f->dsn, f->text);
	} else if (may_come(s)) {
		smtp_error(s, f->code, f->dsn, "Error: BDAT is not possible");
	}
	if (last)
		smtp_mail_forget(p);
	else if (m->trouble == SMTP_TROUBLE_NONE)
		m->trouble = SMTP_TROUBLE_REFUSED;
}

/* The inner server may have made the message its own by now. */
bool
smtp_is_owed(const struct session *s)
{
	const struct smtp_session *p = s->data;

	return p->owed > 0 &&
	    (p->asked == SMTP_ASKED_DOT || p->asked == SMTP_ASKED_LAST);
}

/* All octets of the message, or of a chunk, have come. */
static void
all_has_come(struct session *s)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;

	session_message(s, false);
	m->passed_ms = clock_ms();
	if (watch(m)->fault != SMTP_FAULT_NONE) {
		refuse(s);
	} else if (m->trouble != SMTP_TROUBLE_NONE) {
		smtp_mail_say_trouble(s);
		if (!m->bdat || m->chunk.last)
			smtp_mail_forget(p);
	} else if (m->bdat && !m->chunk.last) {
		smtp_upstream_ask(s, SMTP_ASKED_BDAT, NULL);
	} else if (m->bdat) {
		smtp_log_message(s);
		smtp_upstream_ask(s, SMTP_ASKED_LAST, NULL);
	} else {
		smtp_log_message(s);
		stream_printf(&s->server, SMTP_DATA_DOT);
		smtp_upstream_ask(s, SMTP_ASKED_DOT, NULL);
	}
}

/* Give some octets on; true: the last of them was among them. */
static bool
feed(struct session *s, struct text *octets)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;
	struct text out;
	size_t taken;
	bool end;

	end = m->bdat
	    ? smtp_chunk_feed(&m->chunk, *octets, &taken, &out) ==
	        SMTP_CHUNK_END
	    : smtp_data_feed(&m->data, *octets, &taken, &out) == SMTP_DATA_END;
	stream_write(&s->server, out.p, out.len);
	*octets = text_skip(*octets, taken);
	return end;
}

/* With the first octets of the message, for both to go in one segment. */
static void
write_received(struct session *s)
{
	struct smtp_session *p = s->data;
	char received[SMTP_RECEIVED_SIZE] UNZEROED;

	stream_write(&s->server, received, format_received(s, received));
	p->mail.traced = true;
}

size_t
smtp_message(struct session *s, struct text octets)
{
	struct smtp_session *p = s->data;
	size_t all = octets.len;
	bool end;

	if (!p->mail.bdat && !p->mail.traced)
		write_received(s);
	do
		end = feed(s, &octets);
	while (!end && octets.len > 0);
	/* The inner server has its beginning and must not have its end. */
	if (watch(&p->mail)->fault != SMTP_FAULT_NONE &&
	    watch(&p->mail)->fault != SMTP_FAULT_REFUSED)
		session_mail_disconnect(s);
	if (end)
		all_has_come(s);
	return all - octets.len;
}

void
smtp_bdat_answer(struct session *s)
{
	struct smtp_session *p = s->data;

	smtp_mail_pass_reply(s);
	if (p->reply.code / 100 != 2)
		p->mail.trouble = SMTP_TROUBLE_REFUSED;
}

void
smtp_message_answer(struct session *s)
{
	struct smtp_session *p = s->data;
	struct text t = buf_view(&p->reply.octets);
	bool farewell = p->reply.code == 421, chunks = p->mail.bdat;

	smtp_log_deliveries(s, t);
	smtp_mail_pass_reply(s);
	if (p->reply.code / 100 == 2)
		p->errors = 0; /* as in Postfix: who sends mail is no abuser */
	if (farewell)
		session_mail_disconnect(s);
	if (chunks && p->reply.code / 100 != 2)
		smtp_mail_abandon(s); /* RFC 3030 leaves open if it is over */
	else
		smtp_mail_forget(p);
	p->verb = SMTP_END_OF_MESSAGE;
}

/* Nobody will ever know; whoever sends it again may send it twice. */
void
smtp_message_lost(struct session *s)
{
	struct smtp_session *p = s->data;

	smtp_log_deliveries(s, TEXT_NONE);
	smtp_mail_say_trouble(s);
	smtp_mail_forget(p);
	p->verb = SMTP_END_OF_MESSAGE;
}
