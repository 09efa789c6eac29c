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
smtp_mail_cancel(struct session *s)
{
	smtp_mail_abandon(s);
}

unsigned int
smtp_reply_code(const struct smtp_session *p)
{
	return p->reply.code;
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

/* No, for this sender or recipient, and a line in the log. */
static void
reject(struct session *s, unsigned int code, const char *dsn, const char *text,
    struct text recipient)
{
	const struct smtp_session *p = s->data;

	smtp_log_reject(
	    s, p->verb, code, text_of(dsn), text_of(text), recipient);
	smtp_error(s, code, dsn, text);
}

static void
reject_path(struct session *s, enum smtp_path_result r, bool of_mail)
{
	if (r == SMTP_PATH_UTF8)
		smtp_error(s, 553, "5.6.7", "SMTPUTF8 is needed for that");
	else
		smtp_error(
		    s, 501, of_mail ? "5.1.7" : "5.1.3", "Bad address syntax");
}

/* An address without a domain is the inner server's to complete. */
static bool
is_good(enum smtp_path_result r)
{
	return r == SMTP_PATH_OK || r == SMTP_PATH_NO_DOMAIN;
}

/* Said again to each inner server until one has answered it. */
static void
say_mail(struct session *s)
{
	const struct smtp_session *p = s->data;

	smtp_upstream_ask(s, SMTP_ASKED_MAIL, p->mail.command);
}

void
smtp_mail_go_on(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (p->mail.command != NULL)
		say_mail(s);
}

/* False: the client was told why not. */
static bool
take_mail(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	char command[SMTP_COMMAND_OUT_MAX];
	enum smtp_path_result r;
	struct smtp_path path;

	r = smtp_take_path(&args, SMTP_FROM, true, &path);
	if (!is_good(r)) {
		reject_path(s, r, true);
		return false;
	}
	(void)snprintf(command, sizeof(command), "MAIL FROM:<%.*s>",
	    TEXT_ARG(path.address));
	if (!smtp_add_mail_params(s, args, command, sizeof(command)))
		return false;
	if (path.utf8 && !p->mail.utf8) {
		reject_path(s, SMTP_PATH_UTF8, true);
		return false;
	}
	p->mail.command = xstrdup(command);
	p->mail.sender = xstrndup(path.address.p, path.address.len);
	p->mail.begun_ms = clock_ms();
	return true;
}

void
smtp_mail_from(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;

	if (s->state != SESSION_MAIL) {
		reject(s, 530, "5.7.0",
		    session_may_login(s)
		        ? "Authentication required"
		        : "Must issue a STARTTLS command first",
		    TEXT_NONE);
		return;
	}
	if (p->mail.begun && p->mail.trouble == SMTP_TROUBLE_NONE) {
		smtp_error(s, 503, "5.5.1", "Error: nested MAIL command");
		return;
	}
	smtp_mail_abandon(s);
	if (!take_mail(s, args))
		smtp_mail_forget(p);
	else if (stream_is_open(&s->server))
		say_mail(s);
	else
		session_mail_connect(s);
}

void
smtp_login_failed(struct session *s, enum login_failure why)
{
	struct smtp_session *p = s->data;

	(void)why; /* there is but one answer to it */
	p->mail.trouble = SMTP_TROUBLE_UNAVAILABLE;
	smtp_log_reject(s, SMTP_MAIL, 451, TEXT_LIT("4.4.1"),
	    TEXT_LIT("The mail server is not available"), TEXT_NONE);
	smtp_mail_say_trouble(s);
}

/* RCPTs go on while RCPTs are owed, if the inner server can. */
bool
smtp_mail_can_pipeline(const struct smtp_session *p)
{
	return p->asked == SMTP_ASKED_RCPT && p->pipelining &&
	    p->owed < SMTP_PIPELINE_MAX;
}

static void
add_recipient(struct smtp_mail *m, struct text address)
{
	if (m->nrecipients % 16 == 0)
		m->recipients = xrecallocarray(m->recipients, m->nrecipients,
		    m->nrecipients + 16, sizeof(*m->recipients));
	m->recipients[m->nrecipients++] = xstrndup(address.p, address.len);
}

/* The recipient that the oldest owed reply was about is none. */
static void
drop_recipient(struct smtp_mail *m)
{
	free(m->recipients[m->taken]);
	m->nrecipients--;
	memmove(&m->recipients[m->taken], &m->recipients[m->taken + 1],
	    (m->nrecipients - m->taken) * sizeof(*m->recipients));
}

/* The rest of RCPT, which has a good path. */
static void
pass_rcpt(struct session *s, struct text params, const struct smtp_path *path)
{
	struct smtp_session *p = s->data;
	char command[SMTP_COMMAND_OUT_MAX];

	(void)snprintf(command, sizeof(command), "RCPT TO:<%.*s>",
	    TEXT_ARG(path->address));
	if (!smtp_add_rcpt_params(s, params, command, sizeof(command)))
		return;
	add_recipient(&p->mail, path->address);
	smtp_upstream_ask(s, SMTP_ASKED_RCPT, command);
}

void
smtp_mail_to(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;
	enum smtp_path_result r;
	struct smtp_path path;

	if (m->trouble != SMTP_TROUBLE_NONE) {
		smtp_mail_say_trouble(s);
		return;
	}
	if (!m->begun) {
		smtp_error(s, 503, "5.5.1", "Error: need MAIL command");
		return;
	}
	if (m->bdat) {
		smtp_error(s, 503, "5.5.1", "Error: BDAT has begun");
		return;
	}
	r = smtp_take_path(&args, SMTP_TO, m->utf8, &path);
	if (!is_good(r))
		reject_path(s, r, false);
	else if (m->nrecipients >= s->conf->recipient_limit)
		reject(s, 452, "4.5.3", "Error: too many recipients",
		    path.address);
	else
		pass_rcpt(s, args, &path);
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
		drop_recipient(m);
		return;
	}
	m->taken++;
	if (m->taken == 1)
		smtp_log_client(s);
	smtp_mail_pass_reply(s);
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
		smtp_mail_pass_reply(s);
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

	if (asked == SMTP_ASKED_MAIL) {
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
}
