/* SPDX-License-Identifier: ISC */
/*
 * smtp_submit: the broker's word on what a user sends: whose the sender is,
 * and how much it is in an hour.  Runs in the worker, which trusts the broker.
 */
#include <stdio.h>

#include "smtp.h"
#include "smtp_path.h"

#define USER_SHOWN 128 /* octets of a name: a reply has 512 at most */

/* The broker said no: a reply and a line in the log, both as in Postfix. */
static void
refuse_user(struct session *s, unsigned int code, const char *dsn,
    const char *what, struct text about)
{
	const struct smtp_session *p = s->data;
	char user[USER_SHOWN + 1], reason[USER_SHOWN + 128];
	char reply[SMTP_PATH_MAX + sizeof(reason) + 8];

	text_for_people(text_of(s->user), user, sizeof(user));
	(void)snprintf(reason, sizeof(reason), "%s %s", what, user);
	smtp_log_reject(s, p->verb, code, text_of(dsn), text_of(reason), about);
	(void)snprintf(
	    reply, sizeof(reply), "<%.*s>: %s", TEXT_ARG(about), reason);
	smtp_error(s, code, dsn, reply);
}

static void
refuse_submit(
    struct session *s, enum submit_verdict v, bool of_mail, struct text about)
{
	switch (v) {
	case SUBMIT_NOT_OWNED:
		refuse_user(s, 553, "5.7.1",
		    "Sender address rejected: not owned by user", about);
		break;
	case SUBMIT_TOO_MANY:
		refuse_user(s, 450, "4.7.1",
		    of_mail ? "Sender address rejected: too much mail from"
		            : "Recipient address rejected: too many "
		              "recipients from",
		    about);
		break;
	case SUBMIT_UNAVAILABLE:
		refuse_user(s, 451, "4.3.0",
		    "Temporary failure: cannot look up the rules for", about);
		break;
	case SUBMIT_OK:
	case SUBMIT_VERDICTS:
		break;
	}
}

void
smtp_submit_reply(struct session *s, enum submit_verdict v)
{
	struct smtp_session *p = s->data;
	struct smtp_mail *m = &p->mail;
	bool of_mail = !m->begun;

	if (v == SUBMIT_OK && of_mail) {
		smtp_mail_pass(s);
	} else if (v == SUBMIT_OK) {
		smtp_upstream_ask(s, SMTP_ASKED_RCPT, m->command);
	} else if (of_mail) {
		refuse_submit(s, v, true, text_of(m->sender));
		smtp_mail_forget(p);
	} else {
		refuse_submit(s, v, false, text_of(m->recipients[m->taken]));
		smtp_mail_drop_recipient(m);
	}
}
