/* SPDX-License-Identifier: ISC */
/* The inner server's SMTP: what clients of the bench say, and no more. */
#include <string.h>

#include "pattern.h"
#include "sink.h"

static void
logged_in(struct sink_conn *c)
{
	sink_stats.logins++;
	sink_say(c, "235 2.7.0 logged in\r\n");
}

static void
authenticate(struct sink_conn *c, const char *mechanism)
{
	bool more = strchr(mechanism, ' ') == NULL;

	if (sink_is(mechanism, "PLAIN") && !more) {
		logged_in(c);
		return;
	}
	c->login_steps = sink_is(mechanism, "LOGIN") && more ? 2 : 1;
	sink_say(c, "334 \r\n");
}

static void
message_end(struct sink_conn *c)
{
	if (c->got == 0 || c->got % PATTERN_LINE != 0)
		c->spoilt = true;
	sink_message_end(c);
	sink_say(c, "250 2.0.0 taken\r\n");
}

/* A field of the header, a line that continues one, or the empty one. */
static bool
in_header(const struct sink_conn *c, const char *line)
{
	return c->got == 0 &&
	    (line[0] == '\0' || line[0] == ' ' || line[0] == '\t' ||
	        strchr(line, ':') != NULL);
}

/* What was put before the text goes by. */
static void
message_line(struct sink_conn *c, const char *line)
{
	if (strcmp(line, ".") == 0) { /* RFC 5321 4.5.2 */
		message_end(c);
	} else if (!in_header(c, line)) {
		sink_piece(c, line, strlen(line));
		sink_piece(c, "\r\n", 2);
		c->in_bulk = true;
	}
}

static void
smtp_line(struct sink_conn *c, char *line)
{
	if (c->in_message) {
		message_line(c, line);
	} else if (c->login_steps > 0) {
		if (--c->login_steps == 0)
			logged_in(c);
		else
			sink_say(c, "334 \r\n");
	} else if (sink_is(line, "EHLO")) {
		sink_say(c,
		    "250-mailsink\r\n250-PIPELINING\r\n"
		    "250-SIZE 1000000000\r\n250-8BITMIME\r\n"
		    "250-AUTH PLAIN LOGIN\r\n"
		    "250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n");
	} else if (sink_is(line, "AUTH")) {
		authenticate(c, line + strlen("AUTH "));
	} else if (sink_is(line, "DATA")) {
		sink_message(c);
		sink_say(c, "354 go ahead\r\n");
	} else if (sink_is(line, "XCLIENT")) {
		sink_say(c, "220 mailsink ESMTP\r\n");
	} else {
		sink_say(c, "250 2.0.0 ok\r\n"); /* MAIL, RCPT, RSET, QUIT */
		c->closing = sink_is(line, "QUIT");
	}
}

/* The text has no dot in it: with one begins the end, or what is wrong. */
static size_t
smtp_bulk(struct sink_conn *c, const char *p, size_t n)
{
	const char *dot = memchr(p, '.', n);

	if (dot == p) {
		c->in_bulk = false;
		return 0;
	}
	if (dot != NULL)
		n = (size_t)(dot - p);
	sink_piece(c, p, n);
	return n;
}

const struct sink_protocol sink_smtp = { "220 mailsink ESMTP\r\n", smtp_line,
	smtp_bulk };
