/* SPDX-License-Identifier: ISC */
/*
 * session_line: the lines of the two dialogues.  Runs in workers; neither
 * side is trusted to keep its protocol.
 */
#include <string.h>

#include "line.h"
#include "session.h"

/*
 * Lines in a dialogue: Dovecot needs 12 or so for IMAP, and 20 for POP3 with
 * its list.
 */
#define LINES_MAX 100

bool
session_client_line(struct session *s, size_t max, struct text *line)
{
	const char *fault = "line too long";

	switch (line_peek(&s->client.in, max, line)) {
	case LINE_OK:
		return true;
	case LINE_WAIT:
		return false;
	case LINE_TOO_LONG:
		break;
	case LINE_BAD:
		fault = "invalid octets";
		break;
	}
	s->protocol->goodbye(s, fault);
	session_close(s, fault);
	return false;
}

bool
session_server_line(struct session *s, char dst[static SESSION_SERVER_LINE_MAX],
    struct text *line)
{
	switch (line_peek(&s->server.in, SESSION_SERVER_LINE_MAX, line)) {
	case LINE_WAIT:
		return false;
	case LINE_TOO_LONG:
		session_server_failed(s, "Line from server too long");
		return false;
	case LINE_BAD:
		s->server_lines++;
		session_server_garbage(s);
		return false;
	case LINE_OK:
		break;
	}
	if (++s->server_lines > LINES_MAX) {
		session_server_failed(s, "Too many lines from server");
		return false;
	}
	memcpy(dst, line->p, line->len);
	buf_consume(&s->server.in, line->len + 2);
	line->p = dst;
	return true;
}

void
session_server_garbage(struct session *s)
{
	session_server_failed(s,
	    s->server_lines > 1 ? "Invalid response from server"
	                        : "Connection Negotiation Failure");
}
