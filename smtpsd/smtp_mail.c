/* SPDX-License-Identifier: ISC */
/*
 * smtp_mail: a mail transaction (RFC 5321 3.3): MAIL, RCPT and RSET as they
 * are passed on, and the inner server's word for the client.  Runs in the
 * worker.  A command that is passed on is put together anew from what was
 * understood of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "smtp.h"
#include "smtp_path.h"
#include "xmalloc.h"

void
smtp_mail_forget(struct smtp_session *p)
{
	struct smtp_mail *m = &p->mail;
	size_t i;

	for (i = 0; i < m->nrecipients; i++)
		free(m->recipients[i]);
	free(m->recipients);
	free(m->sender);
	free(m->command);
	*m = (struct smtp_mail){ .begun = false };
}

void
smtp_mail_abandon(struct session *s)
{
	struct smtp_session *p = s->data;

	if (p->mail.begun && stream_is_open(&s->server))
		smtp_upstream_ask(s, SMTP_ASKED_CLEANUP, "RSET");
	smtp_mail_forget(p);
}

void
smtp_mail_pass_reply(struct session *s)
{
	struct smtp_session *p = s->data;
	struct text t = buf_view(&p->reply.octets);

	stream_write(&s->client, t.p, t.len);
	if (p->reply.code / 100 == 2)
		smtp_count_good(p);
}

void
smtp_mail_say_trouble(struct session *s)
{
	const struct smtp_session *p = s->data;

	switch (p->mail.trouble) {
	case SMTP_TROUBLE_NONE:
		break;
	case SMTP_TROUBLE_UNAVAILABLE:
		smtp_say(s, 451, "4.4.1", "The mail server is not available");
		break;
	case SMTP_TROUBLE_LOST:
		smtp_say(s, 451, "4.4.2", "The mail server was lost");
		break;
	case SMTP_TROUBLE_REFUSED:
		smtp_say(s, 503, "5.5.1", "Error: the message was refused");
		break;
	}
}

static const struct smtp_refusal bad_sender = { 501, "5.1.7",
	"Bad sender address syntax", false };
static const struct smtp_refusal bad_recipient = { 501, "5.1.3",
	"Bad recipient address syntax", false };
static const struct smtp_refusal needs_utf8 = { 553, "5.6.7",
	"SMTPUTF8 is needed for that", false };
static const struct smtp_refusal needs_login = { 530, "5.7.0",
	"Authentication required", true };
static const struct smtp_refusal needs_tls = { 530, "5.7.0",
	"Must issue a STARTTLS command first", true };
static const struct smtp_refusal nested = { 503, "5.5.1",
	"Error: nested MAIL command", false };
static const struct smtp_refusal needs_mail = { 503, "5.5.1",
	"Error: need MAIL command", false };
static const struct smtp_refusal has_chunks = { 503, "5.5.1",
	"Error: BDAT has begun", false };
static const struct smtp_refusal too_many = { 452, "4.5.3",
	"Error: too many recipients", true };

/* Recipient TEXT_NONE: it is not about one. */
static void
refuse(struct session *s, const struct smtp_refusal *r, struct text recipient)
{
	const struct smtp_session *p = s->data;

	if (r->logged)
		smtp_log_reject(s, p->verb, r->code, text_of(r->dsn),
		    text_of(r->text), recipient);
	if (r->code / 100 == 4) /* no fault of the client's */
		smtp_say(s, r->code, r->dsn, r->text);
	else
		smtp_error(s, r->code, r->dsn, r->text);
}

/* An address without a domain is the inner server's to complete. */
static bool
is_good(enum smtp_path_result r)
{
	return r == SMTP_PATH_OK || r == SMTP_PATH_NO_DOMAIN;
}

/* MAIL is said again to each inner server until one has answered it. */
void
smtp_mail_go_on(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (p->mail.command != NULL)
		smtp_introduce_mail(s);
}

/* MAIL as the inner server is told; NULL, or why not. */
static const struct smtp_refusal *
take_mail(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	char command[SMTP_COMMAND_OUT_MAX] UNZEROED;
	const struct smtp_refusal *refusal;
	enum smtp_path_result r;
	struct smtp_path path;

	r = smtp_take_path(&args, SMTP_FROM, true, &path);
	if (!is_good(r))
		return r == SMTP_PATH_UTF8 ? &needs_utf8 : &bad_sender;
	(void)snprintf(command, sizeof(command), "MAIL FROM:<%.*s>",
	    TEXT_ARG(path.address));
	p->mail.sender = path.address.len > 0
	    ? xstrndup(path.address.p, path.address.len)
	    : xstrdup(""); /* the null path */
	refusal = smtp_add_params(s, args, true, command, sizeof(command));
	if (refusal != NULL)
		return refusal;
	if (path.utf8 && !p->mail.utf8)
		return &needs_utf8;
	p->mail.command = xstrdup(command);
	p->mail.begun_ms = clock_ms();
	return NULL;
}

void
smtp_mail_pass(struct session *s)
{
	if (stream_is_open(&s->server))
		smtp_introduce_mail(s);
	else
		session_mail_connect(s);
}

void
smtp_mail_from(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	const struct smtp_refusal *r;

	if (s->state != SESSION_MAIL) {
		refuse(s, session_may_login(s) ? &needs_login : &needs_tls,
		    TEXT_NONE);
		return;
	}
	if (p->mail.begun && p->mail.trouble == SMTP_TROUBLE_NONE) {
		refuse(s, &nested, TEXT_NONE);
		return;
	}
	if (p->mail.begun) /* what is in trouble ends with its connection */
		session_mail_disconnect(s);
	smtp_mail_forget(p);
	r = take_mail(s, args);
	if (r != NULL) {
		refuse(s, r, TEXT_NONE);
		smtp_mail_forget(p);
	} else if (s->conf->sender_login_map != NULL ||
	    s->conf->user_message_limit != 0) {
		session_submit(s, SUBMIT_MAIL, text_of(p->mail.sender));
	} else {
		smtp_mail_pass(s);
	}
}

void
smtp_login_failed(struct session *s, enum login_failure why)
{
	struct smtp_session *p = s->data;

	(void)why; /* there is but one answer to it */
	smtp_upstream_forget(p);
	p->mail.trouble = SMTP_TROUBLE_UNAVAILABLE;
	smtp_log_reject(s, SMTP_MAIL, 451, TEXT_LIT("4.4.1"),
	    TEXT_LIT("The mail server is not available"), TEXT_NONE);
	smtp_mail_say_trouble(s);
}

static void
add_recipient(struct smtp_mail *m, struct text address)
{
	if (m->nrecipients % 16 == 0)
		m->recipients = xrecallocarray(m->recipients, m->nrecipients,
		    m->nrecipients + 16, sizeof(*m->recipients));
	m->recipients[m->nrecipients++] = xstrndup(address.p, address.len);
}

void
smtp_mail_drop_recipient(struct smtp_mail *m)
{
	free(m->recipients[m->taken]);
	m->nrecipients--;
	memmove(&m->recipients[m->taken], &m->recipients[m->taken + 1],
	    (m->nrecipients - m->taken) * sizeof(*m->recipients));
}

/* RCPT as the inner server is told; NULL, or why not. */
static const struct smtp_refusal *
read_rcpt(struct session *s, struct text args, struct smtp_path *path,
    char command[static SMTP_COMMAND_OUT_MAX])
{
	const struct smtp_session *p = s->data;
	const struct smtp_mail *m = &p->mail;
	enum smtp_path_result r;

	*path = (struct smtp_path){ .address = TEXT_NONE };
	if (!m->begun)
		return &needs_mail;
	if (m->bdat)
		return &has_chunks;
	r = smtp_take_path(&args, SMTP_TO, m->utf8, path);
	if (!is_good(r))
		return r == SMTP_PATH_UTF8 ? &needs_utf8 : &bad_recipient;
	if (m->nrecipients >= s->conf->recipient_limit)
		return &too_many;
	(void)snprintf(command, SMTP_COMMAND_OUT_MAX, "RCPT TO:<%.*s>",
	    TEXT_ARG(path->address));
	return smtp_add_params(s, args, false, command, SMTP_COMMAND_OUT_MAX);
}

static void
pass_rcpt(struct session *s, const struct smtp_path *path, const char *command)
{
	struct smtp_session *p = s->data;

	add_recipient(&p->mail, path->address);
	if (s->conf->user_recipient_limit == 0) {
		smtp_upstream_ask(s, SMTP_ASKED_RCPT, command);
		return;
	}
	free(p->mail.command);
	p->mail.command = xstrdup(command);
	session_submit(s, SUBMIT_RCPT, TEXT_NONE);
}

void
smtp_mail_to(struct session *s, struct text args)
{
	const struct smtp_session *p = s->data;
	char command[SMTP_COMMAND_OUT_MAX] UNZEROED;
	const struct smtp_refusal *r;
	struct smtp_path path;

	if (p->mail.trouble != SMTP_TROUBLE_NONE) {
		smtp_mail_say_trouble(s);
		return;
	}
	r = read_rcpt(s, args, &path, command);
	if (r == NULL)
		pass_rcpt(s, &path, command);
	else
		refuse(s, r, path.address);
}

bool
smtp_mail_to_ahead(struct session *s, struct text args)
{
	const struct smtp_session *p = s->data;
	char command[SMTP_COMMAND_OUT_MAX] UNZEROED;
	struct smtp_path path;

	if (p->asked != SMTP_ASKED_RCPT || !p->pipelining ||
	    s->conf->user_recipient_limit != 0 || /* the broker is asked */
	    p->owed == SMTP_PIPELINE_MAX ||
	    read_rcpt(s, args, &path, command) != NULL)
		return false;
	pass_rcpt(s, &path, command);
	return true;
}

void
smtp_mail_reset(struct session *s)
{
	struct smtp_session *p = s->data;
	bool pass = p->mail.begun && stream_is_open(&s->server);

	smtp_mail_forget(p);
	if (pass)
		smtp_upstream_ask(s, SMTP_ASKED_RSET, "RSET");
	else
		smtp_say(s, 250, "2.0.0", "Ok");
}

/* The inner server's refusal goes to the client, and to the log. */
static void
pass_refusal(struct session *s, enum smtp_verb verb, struct text recipient)
{
	const struct smtp_session *p = s->data;
	struct text rest = buf_view(&p->reply.octets), t, dsn;

	if (!smtp_reply_next(&rest, &t))
		t = TEXT_NONE;
	dsn = smtp_reply_status(&t);
	smtp_log_reject(s, verb, p->reply.code, dsn, t, recipient);
	smtp_mail_pass_reply(s);
}

static void
mail_answer(struct session *s, bool yes)
{
	struct smtp_session *p = s->data;

	p->fresh = false;
	p->mail.begun = yes;
	if (yes) {
		smtp_mail_pass_reply(s);
		return;
	}
	pass_refusal(s, SMTP_MAIL, TEXT_NONE);
	smtp_mail_forget(p);
}

static void
rcpt_answer(struct session *s, bool yes)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;

	if (!yes) {
		pass_refusal(s, SMTP_RCPT, text_of(m->recipients[m->taken]));
		smtp_mail_drop_recipient(m);
		return;
	}
	m->taken++;
	if (m->taken == 1)
		smtp_log_client(s);
	smtp_mail_pass_reply(s);
}

/* To the client it always succeeds (RFC 5321 4.1.1.5). */
static void
reset_answer(struct session *s, bool yes)
{
	if (yes) {
		smtp_mail_pass_reply(s);
		return;
	}
	session_mail_disconnect(s); /* who knows what it holds */
	smtp_say(s, 250, "2.0.0", "Ok");
}

void
smtp_mail_answer(struct session *s, enum smtp_asked asked)
{
	struct smtp_session *p = s->data;
	bool yes = p->reply.code / 100 == 2;

	switch (asked) {
	case SMTP_ASKED_NOTHING:
	case SMTP_ASKED_GREETING:
	case SMTP_ASKED_EHLO:
	case SMTP_ASKED_STARTTLS:
	case SMTP_ASKED_XCLIENT:
	case SMTP_ASKED_EHLO_POSING:
	case SMTP_ASKED_EHLO_AGAIN:
	case SMTP_ASKED_PLAIN:
	case SMTP_ASKED_LOGIN_NAME:
	case SMTP_ASKED_LOGIN_PASSWORD:
	case SMTP_ASKED_AUTH:
	case SMTP_ASKED_XFORWARD:
		break;
	case SMTP_ASKED_MAIL:
		mail_answer(s, yes);
		break;
	case SMTP_ASKED_RCPT:
		rcpt_answer(s, yes);
		break;
	case SMTP_ASKED_DATA:
		smtp_data_answer(s);
		break;
	case SMTP_ASKED_BDAT:
		smtp_bdat_answer(s);
		break;
	case SMTP_ASKED_DOT:
	case SMTP_ASKED_LAST:
		smtp_message_answer(s);
		break;
	case SMTP_ASKED_RSET:
		reset_answer(s, yes);
		break;
	case SMTP_ASKED_CLEANUP:
		if (!yes) /* who knows what it holds */
			session_mail_disconnect(s);
		break;
	}
}

/* MAIL has had no answer: another server, or this one again. */
static void
say_mail_elsewhere(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (p->fresh)
		session_mail_next(s);
	else
		session_mail_connect(s);
}

void
smtp_mail_lost(struct session *s, enum smtp_asked asked, unsigned int owed)
{
	struct smtp_session *p = s->data;

	if (asked == SMTP_ASKED_MAIL || asked == SMTP_ASKED_XFORWARD) {
		say_mail_elsewhere(s);
		return;
	}
	if (asked == SMTP_ASKED_RSET) {
		smtp_say(s, 250, "2.0.0", "Ok");
		return;
	}
	if (!p->mail.begun)
		return;
	p->mail.trouble = SMTP_TROUBLE_LOST;
	if (asked == SMTP_ASKED_DOT || asked == SMTP_ASKED_LAST) {
		smtp_message_lost(s);
		return;
	}
	while (owed-- > 0)
		smtp_mail_say_trouble(s);
	if (asked == SMTP_ASKED_DATA)
		smtp_data_refused(s);
}
