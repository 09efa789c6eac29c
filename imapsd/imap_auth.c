/* SPDX-License-Identifier: ISC */
/*
 * imap_auth: how a client hands over its credentials: LOGIN and AUTHENTICATE.
 * Runs in the worker, on octets from anybody on the Internet.  What leaves
 * here are credentials_are_good(); every other copy is wiped.
 */
#include <string.h>

#include "imap.h"

/* What cannot be anybody's credentials needs no inner server to say so. */
static enum imap_step
reply_refused(struct session *s)
{
	return imap_reply(
	    s, "NO", "[AUTHENTICATIONFAILED] Authentication failed");
}

enum imap_step
imap_auth_login(struct session *s, struct text args)
{
	struct credentials c = { 0 };
	enum imap_string name = IMAP_STRING_BAD, password = IMAP_STRING_BAD;
	enum imap_step step;

	if (imap_take_char(&args, ' '))
		name = imap_take_astring(&args, c.authn, sizeof(c.authn));
	if (name != IMAP_STRING_BAD && imap_take_char(&args, ' '))
		password =
		    imap_take_astring(&args, c.password, sizeof(c.password));
	if (password == IMAP_STRING_BAD || args.len > 0) {
		step =
		    imap_reply(s, "BAD", "LOGIN takes a name and a password");
	} else if (name != IMAP_STRING_OK || password != IMAP_STRING_OK ||
	    !credentials_are_good(&c)) {
		step = reply_refused(s);
	} else {
		*session_login_space(s) = c;
		step = IMAP_STEP_LOGIN;
	}
	explicit_bzero(&c, sizeof(c));
	return step;
}

/* Where an exchange has led to. */
static enum imap_step
go_on(struct session *s, enum exchange_result r, const struct credentials *c)
{
	struct imap_session *im = s->data;

	switch (r) {
	case EXCHANGE_OK:
		*session_login_space(s) = *c;
		return IMAP_STEP_LOGIN;
	case EXCHANGE_MORE:
		stream_printf(
		    &s->client, "+ %s\r\n", exchange_challenge(&im->exchange));
		return IMAP_STEP_NEXT;
	case EXCHANGE_REFUSED:
		return reply_refused(s);
	case EXCHANGE_BAD: /* BAD, not NO: RFC 3501 6.2.2 */
		return imap_reply(s, "BAD", "Invalid base64");
	case EXCHANGE_CANCELLED:
		break;
	}
	return imap_reply(s, "BAD", "AUTHENTICATE cancelled");
}

/* A line within AUTHENTICATE. */
enum imap_step
imap_auth_answer(struct session *s)
{
	struct imap_session *im = s->data;
	struct credentials c;
	struct text line;
	enum imap_step step;

	switch (imap_scan_line(
	    &im->scan, &s->client.in, EXCHANGE_LINE_MAX, &line)) {
	case LINE_WAIT:
		return IMAP_STEP_WAIT;
	case LINE_TOO_LONG:
		return imap_lost(s, "Line too long", "");
	case LINE_BAD:
		return imap_lost(s, "Invalid octets", "");
	case LINE_OK:
		break;
	}
	step = go_on(s, exchange_answer(&im->exchange, line, &c), &c);
	explicit_bzero(&c, sizeof(c));
	imap_done(s, line);
	return step;
}

enum imap_step
imap_auth_authenticate(struct session *s, struct text args)
{
	struct imap_session *im = s->data;
	struct credentials c;
	struct text name;
	enum imap_step step;

	if (!imap_take_char(&args, ' ') || !imap_take_atom(&args, &name) ||
	    (args.len > 0 && args.p[0] != ' '))
		return imap_reply(s, "BAD", "AUTHENTICATE takes a mechanism");
	if (!exchange_begin(&im->exchange, name))
		return imap_reply(s, "NO", "Unknown mechanism");
	if (args.len == 0)
		return go_on(s, EXCHANGE_MORE, NULL);
	args = text_skip(args, 1);
	if (args.len == 0) {
		exchange_end(&im->exchange);
		return imap_reply(s, "BAD", "The initial response is missing");
	}
	step = go_on(s, exchange_initial(&im->exchange, args, &c), &c);
	explicit_bzero(&c, sizeof(c));
	return step;
}
