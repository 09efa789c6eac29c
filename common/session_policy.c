/* SPDX-License-Identifier: ISC */
/*
 * session_policy: what the configuration has to say on a login at an inner
 * server.  Runs in workers.
 */
#include "session.h"

bool
session_wants_starttls(const struct session *s, bool offered)
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

const char *
session_ok_line(const struct session *s, const char *inner)
{
	if (s->conf->ok_line != NULL && s->conf->ok_line[0] != '\0')
		return s->conf->ok_line;
	return inner[0] != '\0' ? inner : "Logged in";
}
