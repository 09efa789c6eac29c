/* SPDX-License-Identifier: ISC */
/*
 * imap_upstream: the dialogue with an inner server up to the login: greeting,
 * capabilities, STARTTLS, and the responses that do not belong to the login.
 * Runs in the worker.  An inner server may have been taken over, or be the
 * wrong one: each line and their number are bounded, each response must be
 * one that was asked for, and only what imap_login and imap_capability make
 * of it reaches a client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap.h"
#include "log.h"
#include "xmalloc.h"

/* Untagged lines in one login: Dovecot needs 1, Cyrus 3. */
#define LINES_MAX 50

/* Reasons in the log: the first two are Perdition's. */
#define ODD "Connection Negotiation Failure"
#define GONE "Could not connect to server"
#define GARBAGE "Invalid response from server"
#define TOO_LONG "Line from server too long"
#define TOO_MANY "Too many lines from server"
#define LITERAL "Literal from server before login"
#define NO_TLS "STARTTLS not offered by server"
#define TLS_REFUSED "STARTTLS refused by server"

void
imap_upstream_end(struct session *s)
{
	struct imap_session *im = s->data;

	free(im->upstream);
	im->upstream = NULL;
}

void
imap_server_start(struct session *s)
{
	struct imap_session *im = s->data;

	imap_upstream_end(s); /* that of a server that was passed over */
	im->upstream = xcalloc(1, sizeof(*im->upstream));
}

void
imap_upstream_command(struct session *s, enum imap_upstream_state state)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	up->state = state;
	up->number++;
	(void)snprintf(up->tag, sizeof(up->tag), "r%u", up->number);
	stream_printf(&s->server, "%s ", up->tag);
}

enum imap_next
imap_upstream_failed(struct session *s, const char *reason)
{
	struct imap_session *im = s->data;

	im->upstream->reason = reason;
	return IMAP_NEXT_FAILED;
}

/* What is no response at all, or not the one that is due. */
static enum imap_next
garbage(struct session *s)
{
	struct imap_session *im = s->data;

	return imap_upstream_failed(
	    s, im->upstream->state == IMAP_UP_GREETING ? ODD : GARBAGE);
}

static enum imap_next
ask_capability(struct session *s, enum imap_upstream_state state)
{
	struct imap_session *im = s->data;

	im->upstream->known = false;
	imap_upstream_command(s, state);
	stream_printf(&s->server, "CAPABILITY\r\n");
	return IMAP_NEXT_LINE;
}

/* After TLS nothing holds that was said before it (RFC 3501 6.2.1). */
void
imap_server_tls(struct session *s)
{
	(void)ask_capability(s, IMAP_UP_CAPABILITY);
}

/* The server was heard: its list, TLS, then the login, whatever is missing. */
static enum imap_next
negotiate(struct session *s)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	bool starttls;

	if (!up->known)
		return ask_capability(s, IMAP_UP_CAPABILITY);
	starttls = capability_has(&up->list, "STARTTLS");
	if (session_wants_starttls(s, starttls)) {
		if (!starttls)
			return imap_upstream_failed(s, NO_TLS);
		imap_upstream_command(s, IMAP_UP_STARTTLS);
		stream_printf(&s->server, "STARTTLS\r\n");
		return IMAP_NEXT_LINE;
	}
	if (session_is_lesson(s))
		return IMAP_NEXT_LEARNED;
	session_learned(s, &up->list);
	/* From here on it gets a password: no other server is tried. */
	session_server_greeted(s);
	return imap_login_start(s);
}

static enum imap_next
take_list(struct session *s, struct text words)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	capability_clear(&up->list);
	if (imap_add_capability(&up->list, words) == -1)
		return garbage(s);
	up->known = true;
	return IMAP_NEXT_LINE;
}

/* RFC 3501 7.1: an ALERT must be shown to the user; the client can. */
static void
pass_alert(struct session *s, const struct imap_response *r)
{
	char text[IMAP_TEXT_MAX + 1];

	if (session_is_lesson(s) || !text_caseeq(r->code, "ALERT"))
		return;
	text_for_people(r->text, text, sizeof(text));
	stream_printf(&s->client, "* %s [ALERT] %s\r\n",
	    r->status == IMAP_OK ? "OK" : "NO", text);
}

static enum imap_next
take_greeting(struct session *s, const struct imap_response *r)
{
	enum imap_next next = IMAP_NEXT_LINE;

	if (r->kind != IMAP_UNTAGGED)
		return garbage(s);
	switch (r->status) {
	case IMAP_OK:
		break;
	case IMAP_BYE:
		return imap_upstream_failed(s, GONE);
	case IMAP_PREAUTH:
		/* It would let in whoever comes, with any password. */
		log_warnx("an inner server greets with PREAUTH: not used");
		return garbage(s);
	case IMAP_NO:
	case IMAP_BAD:
	case IMAP_DATA:
		return garbage(s);
	}
	pass_alert(s, r);
	if (text_caseeq(r->code, "CAPABILITY"))
		next = take_list(s, r->args);
	return next == IMAP_NEXT_LINE ? negotiate(s) : next;
}

static enum imap_next
take_untagged(struct session *s, const struct imap_response *r)
{
	struct imap_session *im = s->data;

	if (++im->upstream->lines > LINES_MAX)
		return imap_upstream_failed(s, TOO_MANY);
	switch (r->status) {
	case IMAP_OK:
	case IMAP_NO:
	case IMAP_BAD:
		pass_alert(s, r);
		return IMAP_NEXT_LINE;
	case IMAP_BYE:
		return imap_upstream_failed(s, GONE);
	case IMAP_PREAUTH:
		return garbage(s);
	case IMAP_DATA:
		break;
	}
	/* Nothing we ask is answered with one: its octets are not lines. */
	if (imap_ends_in_literal(r->args))
		return imap_upstream_failed(s, LITERAL);
	if (text_caseeq(r->code, "CAPABILITY"))
		return take_list(s, r->args);
	return IMAP_NEXT_LINE;
}

static enum imap_next
take_tagged(struct session *s, const struct imap_response *r)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	bool ok = r->status == IMAP_OK;

	if (!text_eq(r->tag, up->tag))
		return garbage(s);
	switch (up->state) {
	case IMAP_UP_GREETING:
		break;
	case IMAP_UP_CAPABILITY:
		if (ok && up->known)
			return negotiate(s);
		break;
	case IMAP_UP_STARTTLS:
		if (ok)
			return IMAP_NEXT_STARTTLS;
		return imap_upstream_failed(s, TLS_REFUSED);
	case IMAP_UP_LOGIN:
		pass_alert(s, r);
		if (ok && text_caseeq(r->code, "CAPABILITY") &&
		    take_list(s, r->args) != IMAP_NEXT_LINE)
			return IMAP_NEXT_FAILED;
		return imap_login_result(s, r);
	case IMAP_UP_CAPABILITY_AFTER:
		if (ok && up->known)
			return IMAP_NEXT_LOGGED_IN;
		break;
	}
	return garbage(s);
}

static enum imap_next
take_line(struct session *s, struct text line)
{
	struct imap_session *im = s->data;
	struct imap_response r;

	if (!imap_parse_response(line, &r))
		return garbage(s);
	if (im->upstream->state == IMAP_UP_GREETING)
		return take_greeting(s, &r);
	switch (r.kind) {
	case IMAP_UNTAGGED:
		return take_untagged(s, &r);
	case IMAP_TAGGED:
		return take_tagged(s, &r);
	case IMAP_CONTINUE:
		return imap_login_continue(s);
	}
	return IMAP_NEXT_FAILED;
}

/* The line that led to next is consumed.  True: take another. */
static bool
go_on(struct session *s, enum imap_next next)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	switch (next) {
	case IMAP_NEXT_LINE:
		return true;
	case IMAP_NEXT_STARTTLS:
		session_server_starttls(s);
		break;
	case IMAP_NEXT_LEARNED:
		imap_upstream_command(s, up->state);
		stream_printf(&s->server, "LOGOUT\r\n");
		session_learned(s, &up->list);
		break;
	case IMAP_NEXT_LOGGED_IN:
		imap_login_reply(s);
		imap_upstream_end(s);
		im->relaying = true;
		session_login_ok(s);
		break;
	case IMAP_NEXT_REFUSED:
		session_login_failed(s, up->why, up->reason);
		break;
	case IMAP_NEXT_FAILED:
		session_server_failed(s, up->reason);
		break;
	}
	return false;
}

/* Take the next line.  True: there may be more. */
static bool
step(struct session *s)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	struct text line;
	enum imap_next next;

	switch (
	    imap_scan_line(&up->scan, &s->server.in, IMAP_LINE_MAX, &line)) {
	case LINE_WAIT:
		return false;
	case LINE_TOO_LONG:
		return go_on(s, imap_upstream_failed(s, TOO_LONG));
	case LINE_BAD:
		return go_on(s, garbage(s));
	case LINE_OK:
		break;
	}
	next = take_line(s, line);
	buf_consume(&s->server.in, line.len + 2);
	up->scan = (struct imap_scan){ 0 };
	return go_on(s, next);
}

void
imap_server_input(struct session *s)
{
	while (step(s))
		continue;
}
