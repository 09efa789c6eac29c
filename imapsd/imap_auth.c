/* SPDX-License-Identifier: ISC */
/*
 * imap_auth: how a client hands over its credentials: LOGIN and AUTHENTICATE.
 * Runs in the worker, on octets from anybody on the Internet.  What leaves
 * here are credentials_are_good(); every other copy is wiped.
 */
#include <string.h>

#include "imap.h"

/* What cannot be anybody's credentials needs no inner server to say so. */
static void
reply_refused(struct session *s)
{
	imap_reply(s, "NO", "[AUTHENTICATIONFAILED] Authentication failed");
}

void
imap_auth_login(struct session *s, struct text args)
{
	struct credentials c = { 0 };
	enum imap_string name = IMAP_STRING_BAD, password = IMAP_STRING_BAD;

	if (imap_take_char(&args, ' '))
		name = imap_take_astring(&args, c.authn, sizeof(c.authn));
	if (name != IMAP_STRING_BAD && imap_take_char(&args, ' '))
		password =
		    imap_take_astring(&args, c.password, sizeof(c.password));
	if (password == IMAP_STRING_BAD || args.len > 0)
		imap_reply(s, "BAD", "LOGIN takes a name and a password");
	else if (name != IMAP_STRING_OK || password != IMAP_STRING_OK ||
	    !credentials_are_good(&c))
		reply_refused(s);
	else
		session_begin_login(s, &c);
	explicit_bzero(&c, sizeof(c));
}

/* Where an exchange has led to; *c is wiped. */
static void
go_on(struct session *s, enum exchange_result r, struct credentials *c)
{
	const struct imap_session *im = s->data;
	const char *fault = session_exchange(s, &im->exchange, r, c);

	if (r == EXCHANGE_REFUSED)
		reply_refused(s);
	else if (fault != NULL) /* BAD, not NO: RFC 3501 6.2.2 */
		imap_reply(s, "BAD", fault);
}

bool
imap_auth_answer(struct session *s)
{
	struct imap_session *im = s->data;
	struct credentials c;
	struct text line;

	switch (imap_scan_line(
	    &im->scan, &s->client.in, EXCHANGE_LINE_MAX, &line)) {
	case LINE_WAIT:
		return false;
	case LINE_TOO_LONG:
		imap_lost(s, "Line too long", "");
		return false;
	case LINE_BAD:
		imap_lost(s, "Invalid octets", "");
		return false;
	case LINE_OK:
		break;
	}
	go_on(s, exchange_answer(&im->exchange, line, &c), &c);
	imap_done(s, line);
	return true;
}

void
imap_auth_authenticate(struct session *s, struct text args)
{
	struct imap_session *im = s->data;
	struct credentials c;
	struct text name;

	if (!imap_take_char(&args, ' ') || !imap_take_atom(&args, &name) ||
	    (args.len > 0 && args.p[0] != ' ')) {
		imap_reply(s, "BAD", "AUTHENTICATE takes a mechanism");
	} else if (!exchange_begin(&im->exchange, name)) {
		imap_reply(s, "NO", "Unknown mechanism");
	} else if (args.len == 0) {
		go_on(s, EXCHANGE_MORE, &c);
	} else if (args.len == 1) {
		exchange_end(&im->exchange);
		imap_reply(s, "BAD", "The initial response is missing");
	} else {
		args = text_skip(args, 1);
		go_on(s, exchange_initial(&im->exchange, args, &c), &c);
	}
}
