/* SPDX-License-Identifier: ISC */
/*
 * smtp_introduce: who the client is, and who we are, as inner servers that
 * ask for it are told between EHLO and MAIL: XCLIENT, EHLO again, AUTH; or
 * XFORWARD before each MAIL.  Runs in the worker; the inner server is not
 * trusted to keep its protocol.
 */
#include <string.h>

#include "base64.h"
#include "credentials.h"
#include "log.h"
#include "smtp.h"
#include "smtp_attribute.h"

static void
warn_refused(const struct session *s, const char *what)
{
	const struct smtp_session *p = s->data;
	struct text rest = buf_view(&p->reply.octets), line;
	char shown[LOG_LINE_MAX / 2];

	if (!text_split(&rest, '\r', &line))
		line = TEXT_NONE;
	log_warnx("inner server %s: %s refused: %s",
	    s->conf->servers[s->server_number].name, what,
	    text_printable(line, shown, sizeof(shown)));
}

/* As much of what is to be told as one command holds. */
static void
tell(struct session *s, const char *keyword, enum smtp_asked asked)
{
	struct smtp_session *p = s->data;
	const struct smtp_attributes who = {
		.name = text_of(s->client_name),
		.helo = text_of(p->helo),
		.login = text_of(s->user),
		.esmtp = p->esmtp,
		.addr = s->client_addr,
		.local = s->local_addr,
	};
	char command[SMTP_ATTRIBUTE_SIZE];

	p->telling = smtp_attributes_next(&who, keyword, &p->to_tell, command);
	smtp_upstream_ask(s, asked, command);
}

/*
 * A login of our own, always without an initial response: one that is too
 * long for it there may be (RFC 4954 4).
 */
static void
log_in(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (s->conf->outgoing_user == NULL ||
	    (p->told & SMTP_ATTRIBUTE_BIT(SMTP_ATTRIBUTE_LOGIN)) != 0) {
		smtp_upstream_fit(s);
	} else if (capability_has_argument(p->list, "AUTH", "PLAIN")) {
		smtp_upstream_ask(s, SMTP_ASKED_PLAIN, "AUTH PLAIN");
	} else if (capability_has_argument(p->list, "AUTH", "LOGIN")) {
		smtp_upstream_ask(s, SMTP_ASKED_LOGIN_NAME, "AUTH LOGIN");
	} else {
		log_warnx("inner server %s: no AUTH PLAIN or LOGIN offered",
		    s->conf->servers[s->server_number].name);
		session_server_failed(s, "No AUTH offered by server");
	}
}

/* Its last list is known: what will go before each MAIL? */
static void
settle(struct session *s)
{
	struct smtp_session *p = s->data;

	if (s->conf->outgoing_client_info && !p->posing)
		p->forward = smtp_attributes_wanted(p->list, "XFORWARD");
	log_in(s);
}

/* XCLIENT makes a server begin again, and then it wants another EHLO. */
static void
go_on(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (p->to_tell != 0)
		tell(s, "XCLIENT", SMTP_ASKED_XCLIENT);
	else if (p->posing)
		smtp_upstream_ehlo(s,
		    p->helo != NULL ? SMTP_ASKED_EHLO_POSING
		                    : SMTP_ASKED_EHLO_AGAIN);
	else
		settle(s);
}

void
smtp_introduce(struct session *s)
{
	struct smtp_session *p = s->data;

	if (s->conf->outgoing_client_info)
		p->to_tell = smtp_attributes_wanted(p->list, "XCLIENT");
	go_on(s);
}

static void
xclient_answer(struct session *s, bool yes)
{
	struct smtp_session *p = s->data;

	if (yes) {
		p->posing = true;
		p->told |= p->telling;
	} else {
		warn_refused(s, "XCLIENT");
		p->to_tell = 0;
	}
	go_on(s);
}

/* A NUL-terminated string in base64 is the answer to a challenge. */
static void
respond(struct session *s, const char *string, enum smtp_asked asked)
{
	char octets[BASE64_LEN(CREDENTIALS_NAME_MAX) + 1];

	/* Names and passwords have met their limits. */
	(void)base64_encode(string, strlen(string), octets, sizeof(octets));
	smtp_upstream_ask(s, asked, octets);
	explicit_bzero(octets, sizeof(octets));
}
_Static_assert(CREDENTIALS_PASSWORD_MAX <= CREDENTIALS_NAME_MAX,
    "a password has room where a name has");

static void
respond_plain(struct session *s)
{
	struct credentials c = { .authz = "" };
	char octets[CREDENTIALS_PLAIN_MAX];

	(void)strlcpy(c.authn, s->conf->outgoing_user, sizeof(c.authn));
	(void)strlcpy(
	    c.password, s->conf->outgoing_password, sizeof(c.password));
	credentials_plain(&c, octets);
	smtp_upstream_ask(s, SMTP_ASKED_AUTH, octets);
	explicit_bzero(&c, sizeof(c));
	explicit_bzero(octets, sizeof(octets));
}

/* asked is one of a login's steps. */
static void
auth_answer(struct session *s, enum smtp_asked asked)
{
	const struct smtp_session *p = s->data;

	if (p->reply.code / 100 > 3) {
		warn_refused(s, "outgoing_user");
		session_server_failed(s, "Login refused by server");
	} else if (asked == SMTP_ASKED_PLAIN) {
		respond_plain(s);
	} else if (asked == SMTP_ASKED_LOGIN_NAME) {
		respond(s, s->conf->outgoing_user, SMTP_ASKED_LOGIN_PASSWORD);
	} else if (asked == SMTP_ASKED_LOGIN_PASSWORD) {
		respond(s, s->conf->outgoing_password, SMTP_ASKED_AUTH);
	} else {
		smtp_upstream_fit(s); /* and no EHLO: RFC 4954 4 */
	}
}

/* XFORWARD holds for one transaction. */
static void
forward(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (p->to_tell != 0)
		tell(s, "XFORWARD", SMTP_ASKED_XFORWARD);
	else
		smtp_upstream_ask(s, SMTP_ASKED_MAIL, p->mail.command);
}

void
smtp_introduce_mail(struct session *s)
{
	struct smtp_session *p = s->data;

	p->to_tell = p->forward;
	forward(s);
}

static void
xforward_answer(struct session *s, bool yes)
{
	struct smtp_session *p = s->data;

	if (!yes) {
		warn_refused(s, "XFORWARD");
		p->to_tell = p->forward = 0;
	}
	forward(s);
}

void
smtp_introduce_answer(struct session *s, enum smtp_asked asked)
{
	const struct smtp_session *p = s->data;
	bool yes = p->reply.code / 100 == 2;

	switch (asked) {
	case SMTP_ASKED_XCLIENT:
		xclient_answer(s, yes);
		break;
	case SMTP_ASKED_EHLO_POSING:
	case SMTP_ASKED_EHLO_AGAIN:
		settle(s);
		break;
	case SMTP_ASKED_PLAIN:
	case SMTP_ASKED_LOGIN_NAME:
	case SMTP_ASKED_LOGIN_PASSWORD:
	case SMTP_ASKED_AUTH:
		auth_answer(s, asked);
		break;
	case SMTP_ASKED_XFORWARD:
		xforward_answer(s, yes);
		break;
	case SMTP_ASKED_NOTHING:
	case SMTP_ASKED_GREETING:
	case SMTP_ASKED_EHLO:
	case SMTP_ASKED_STARTTLS:
	case SMTP_ASKED_MAIL:
	case SMTP_ASKED_RCPT:
	case SMTP_ASKED_DATA:
	case SMTP_ASKED_DOT:
	case SMTP_ASKED_BDAT:
	case SMTP_ASKED_LAST:
	case SMTP_ASKED_RSET:
	case SMTP_ASKED_CLEANUP:
		break;
	}
}
