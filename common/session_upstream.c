/* SPDX-License-Identifier: ISC */
/*
 * session_upstream: what every dialogue with an inner server needs.  Runs in
 * workers; the inner server is not trusted to keep its protocol.
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

static bool
wants_starttls(const struct session *s, bool offered)
{
	if (s->server_secure != SECURE_PLAINTEXT)
		return false;
	switch (s->conf->outgoing_tls) {
	case OUTGOING_PLAIN:
	case OUTGOING_SSL:
		return false;
	case OUTGOING_STARTTLS:
		return offered;
	case OUTGOING_STARTTLS_FORCE:
		break;
	}
	return true;
}

/* The name in dst becomes the one that inner servers know. */
static int
rename_in_place(const struct session *s, char dst[CREDENTIALS_NAME_MAX + 1])
{
	char name[CREDENTIALS_NAME_MAX + 1];

	if (credentials_rename(s->conf, dst, name) == -1)
		return -1;
	memcpy(dst, name, sizeof(name));
	return 0;
}

enum session_say
session_server_known(
    struct session *s, const struct capability *list, const char *starttls)
{
	bool offered = capability_has(list, starttls);

	if (wants_starttls(s, offered)) {
		if (offered)
			return SESSION_SAY_STARTTLS;
		session_server_failed(s, "STARTTLS not offered by server");
		return SESSION_SAY_NOTHING;
	}
	session_learned(s, list);
	if (session_is_lesson(s))
		return SESSION_SAY_LOGOUT;
	session_server_greeted(s);
	if (rename_in_place(s, s->login->authn) == 0 &&
	    rename_in_place(s, s->login->authz) == 0)
		return SESSION_SAY_LOGIN;
	session_login_failed(s, LOGIN_REFUSED, NULL);
	return SESSION_SAY_NOTHING;
}

const char *
session_ok_line(const struct session *s, const char *inner)
{
	if (s->conf->ok_line != NULL && s->conf->ok_line[0] != '\0')
		return s->conf->ok_line;
	return inner[0] != '\0' ? inner : "Logged in";
}
