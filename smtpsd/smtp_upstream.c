/* SPDX-License-Identifier: ISC */
/*
 * smtp_upstream: the dialogue with an inner server: greeting, EHLO, STARTTLS,
 * and which reply belongs to which command from then on.  Runs in the worker;
 * the inner server is not trusted to keep its protocol: what it was not asked
 * for reaches no client.
 */
#include <stdlib.h>
#include <string.h>

#include "smtp.h"
#include "xmalloc.h"

/* Line by line; a reply is complete before anything is made of it. */
_Static_assert(
    SMTP_REPLY_LINE_MAX <= SESSION_SERVER_LINE_MAX, "a reply's line fits");

/* RFC 5321 4.5.3.2; 0: session counts the time until a server is fit. */
static const unsigned int seconds_of[] = {
	[SMTP_ASKED_NOTHING] = 0,
	[SMTP_ASKED_GREETING] = 0,
	[SMTP_ASKED_EHLO] = 0,
	[SMTP_ASKED_STARTTLS] = 0,
	[SMTP_ASKED_XCLIENT] = 0,
	[SMTP_ASKED_EHLO_POSING] = 0,
	[SMTP_ASKED_EHLO_AGAIN] = 0,
	[SMTP_ASKED_PLAIN] = 0,
	[SMTP_ASKED_LOGIN_NAME] = 0,
	[SMTP_ASKED_LOGIN_PASSWORD] = 0,
	[SMTP_ASKED_AUTH] = 0,
	[SMTP_ASKED_XFORWARD] = 300,
	[SMTP_ASKED_MAIL] = 300,
	[SMTP_ASKED_RCPT] = 300,
	[SMTP_ASKED_DATA] = 120,
	[SMTP_ASKED_DOT] = 600,
	[SMTP_ASKED_BDAT] = 600,
	[SMTP_ASKED_LAST] = 600,
	[SMTP_ASKED_RSET] = 300,
	[SMTP_ASKED_CLEANUP] = 300,
};

void
smtp_upstream_ask(struct session *s, enum smtp_asked asked, const char *command)
{
	struct smtp_session *p = s->data;

	p->asked = asked;
	p->owed++;
	if (command != NULL)
		stream_printf(&s->server, "%s\r\n", command);
	if (seconds_of[asked] != 0)
		session_await(s, seconds_of[asked]);
}

static void
forget_list(struct smtp_session *p)
{
	free(p->list);
	p->list = NULL;
}

void
smtp_upstream_forget(struct smtp_session *p)
{
	smtp_reply_free(&p->reply);
	forget_list(p);
	p->asked = SMTP_ASKED_NOTHING;
	p->owed = 0;
	p->pipelining = p->chunking = p->posing = false;
	p->told = p->to_tell = p->forward = 0;
	p->inner_size = 0;
}

void
smtp_server_start(struct session *s)
{
	struct smtp_session *p = s->data;

	smtp_upstream_forget(p);
	p->fresh = true;
	(void)addr_peer(s->server.fd, &p->server_addr); /* for the log */
	smtp_upstream_ask(s, SMTP_ASKED_GREETING, NULL);
}

void
smtp_upstream_ehlo(struct session *s, enum smtp_asked asked)
{
	struct smtp_session *p = s->data;

	forget_list(p);
	p->list = xcalloc(1, sizeof(*p->list));
	stream_printf(&s->server, "EHLO %s\r\n",
	    asked == SMTP_ASKED_EHLO_POSING ? p->helo : s->conf->hostname);
	smtp_upstream_ask(s, asked, NULL);
}

/* After TLS nothing holds that was said before it (RFC 3207 4.2). */
void
smtp_server_tls(struct session *s)
{
	smtp_upstream_ehlo(s, SMTP_ASKED_EHLO);
}

/* What is no keyword is none that we could make use of. */
static void
take_keywords(struct smtp_session *p)
{
	struct text rest = buf_view(&p->reply.octets), line;

	(void)smtp_reply_next(&rest, &line); /* its name and a greeting */
	while (smtp_reply_next(&rest, &line))
		(void)smtp_add_keyword(p->list, line);
}

void
smtp_upstream_fit(struct session *s)
{
	struct smtp_session *p = s->data;

	p->pipelining = capability_has(p->list, "PIPELINING");
	p->chunking = capability_has(p->list, "CHUNKING");
	p->inner_size = smtp_capability_size(p->list);
	forget_list(p);
	session_mail_ready(s);
	smtp_mail_go_on(s);
}

/* Its list is known: TLS, then who it is that comes. */
static void
negotiate(struct session *s)
{
	const struct smtp_session *p = s->data;

	switch (session_server_known(s, p->list, "STARTTLS")) {
	case SESSION_SAY_NOTHING:
		break;
	case SESSION_SAY_STARTTLS:
		smtp_upstream_ask(s, SMTP_ASKED_STARTTLS, "STARTTLS");
		break;
	case SESSION_SAY_LOGOUT:
		stream_printf(&s->server, "QUIT\r\n");
		break;
	case SESSION_SAY_LOGIN:
		smtp_introduce(s);
		break;
	}
}

/* The client's name may be one that the server does not take. */
static void
ehlo_answer(struct session *s, enum smtp_asked asked, bool yes)
{
	if (!yes && asked == SMTP_ASKED_EHLO_POSING) {
		smtp_upstream_ehlo(s, SMTP_ASKED_EHLO_AGAIN);
		return;
	}
	if (!yes) {
		session_server_failed(s, "EHLO refused by server");
		return;
	}
	take_keywords(s->data);
	if (asked == SMTP_ASKED_EHLO)
		negotiate(s);
	else
		smtp_introduce_answer(s, asked);
}

/* The reply to what was asked for is whole. */
static void
take_answer(struct session *s, enum smtp_asked asked)
{
	struct smtp_session *p = s->data;
	bool yes = p->reply.code / 100 == 2;

	switch (asked) {
	case SMTP_ASKED_NOTHING: /* smtp_server_input() has seen to it */
		break;
	case SMTP_ASKED_GREETING:
		if (yes)
			smtp_upstream_ehlo(s, SMTP_ASKED_EHLO);
		else
			session_server_failed(s, "Could not connect to server");
		break;
	case SMTP_ASKED_EHLO:
	case SMTP_ASKED_EHLO_POSING:
	case SMTP_ASKED_EHLO_AGAIN:
		ehlo_answer(s, asked, yes);
		break;
	case SMTP_ASKED_STARTTLS:
		if (yes)
			session_server_starttls(s);
		else
			session_server_failed(s, "STARTTLS refused by server");
		break;
	case SMTP_ASKED_XCLIENT:
	case SMTP_ASKED_PLAIN:
	case SMTP_ASKED_LOGIN_NAME:
	case SMTP_ASKED_LOGIN_PASSWORD:
	case SMTP_ASKED_AUTH:
	case SMTP_ASKED_XFORWARD:
		smtp_introduce_answer(s, asked);
		break;
	case SMTP_ASKED_MAIL:
	case SMTP_ASKED_RCPT:
	case SMTP_ASKED_DATA:
	case SMTP_ASKED_DOT:
	case SMTP_ASKED_BDAT:
	case SMTP_ASKED_LAST:
	case SMTP_ASKED_RSET:
	case SMTP_ASKED_CLEANUP:
		smtp_mail_answer(s, asked);
		break;
	}
}

/*
 * It is about to close (RFC 5321 3.8), which is not the client's affair: but
 * behind a message it is the word on that.
 */
static bool
says_farewell(const struct smtp_session *p)
{
	return p->reply.code == 421 && p->asked != SMTP_ASKED_DOT &&
	    p->asked != SMTP_ASKED_LAST;
}

/* DATA and the steps of AUTH may be answered: go on (3yz). */
static bool
may_go_on(enum smtp_asked asked)
{
	return asked == SMTP_ASKED_DATA || asked == SMTP_ASKED_PLAIN ||
	    asked == SMTP_ASKED_LOGIN_NAME ||
	    asked == SMTP_ASKED_LOGIN_PASSWORD;
}

/* And these not with 2yz, nor any other with 3yz. */
static bool
is_an_answer(const struct smtp_session *p)
{
	return p->reply.code / 100 != (may_go_on(p->asked) ? 2 : 3);
}

/* It has answered more than the greeting or EHLO, before it was asked. */
static bool
is_ahead(const struct session *s)
{
	const struct smtp_session *p = s->data;

	return s->server.in.len > 0 &&
	    (p->asked == SMTP_ASKED_GREETING || p->asked == SMTP_ASKED_EHLO);
}

static void
take_reply(struct session *s)
{
	struct smtp_session *p = s->data;
	enum smtp_asked asked = p->asked;

	s->server_lines = 0; /* the ceiling is for one reply */
	if (!is_an_answer(p)) {
		session_server_garbage(s);
		return;
	}
	if (is_ahead(s)) {
		session_server_failed(s, "Unasked reply from server");
		return;
	}
	if (says_farewell(p)) {
		session_server_failed(s, "Server closes");
		return;
	}
	if (--p->owed == 0) {
		p->asked = SMTP_ASKED_NOTHING;
		if (seconds_of[asked] != 0)
			session_await(s, 0);
	}
	take_answer(s, asked);
}

bool
smtp_server_input(struct session *s)
{
	struct smtp_session *p = s->data;
	char octets[SESSION_SERVER_LINE_MAX] UNZEROED;
	struct text line;

	/*
	 * Perhaps 421, as it is about to close (RFC 5321 3.8).  Not even the
	 * beginning of a line may stay, to be taken for a later answer's.
	 */
	if (p->asked == SMTP_ASKED_NOTHING && s->server.in.len > 0) {
		session_server_failed(s, "Unasked reply from server");
		return true;
	}
	if (!session_server_line(s, octets, &line))
		return false;
	switch (smtp_reply_add(&p->reply, line)) {
	case SMTP_REPLY_MORE:
		return true;
	case SMTP_REPLY_BAD:
		session_server_garbage(s);
		return true;
	case SMTP_REPLY_OK:
		break;
	}
	take_reply(s);
	smtp_reply_reset(&p->reply);
	return true;
}

void
smtp_server_gone(struct session *s, const char *reason)
{
	struct smtp_session *p = s->data;
	enum smtp_asked asked = p->asked;
	unsigned int owed = p->owed;

	(void)reason; /* session has logged it */
	smtp_upstream_forget(p);
	smtp_mail_lost(s, asked, owed);
}
