/* SPDX-License-Identifier: ISC */
/*
 * session_upstream: what every dialogue with an inner server needs.  Runs in
 * workers; the inner server is not trusted to keep its protocol.
 */
#include <stdlib.h>
#include <string.h>

#include "session_impl.h"
#include "xmalloc.h"

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
	session_count_greeting(s);
	session_learned(s, list);
	if (session_is_lesson(s))
		return SESSION_SAY_LOGOUT;
	if (s->login == NULL) /* session_mail_connect() */
		return SESSION_SAY_LOGIN;
	session_server_greeted(s);
	if (rename_in_place(s, s->login->authn) == 0 &&
	    rename_in_place(s, s->login->authz) == 0)
		return SESSION_SAY_LOGIN;
	session_login_failed(s, LOGIN_REFUSED, NULL);
	return SESSION_SAY_NOTHING;
}

void
session_login_answered(struct session *s, enum login_failure why,
    const char *reason, const char *code, struct text text)
{
	s->failure_code = code;
	free(s->failure_text);
	s->failure_text = NULL;
	if (text.len > 0) {
		s->failure_text = xmalloc(SESSION_TEXT_MAX + 1);
		text_for_people(text, s->failure_text, SESSION_TEXT_MAX + 1);
	}
	session_login_failed(s, why, reason);
}

const char *
session_failure_text(const struct session *s, enum login_failure why)
{
	if (s->failure_text != NULL)
		return s->failure_text;
	switch (why) {
	case LOGIN_REFUSED:
		break;
	case LOGIN_UNAVAILABLE:
		return "The mail server is not available, try again later";
	case LOGIN_MISMATCH:
		return "The mail server cannot take this login";
	}
	return "Authentication failed";
}

const char *
session_ok_line(const struct session *s, const char *inner)
{
	if (s->conf->ok_line != NULL && s->conf->ok_line[0] != '\0')
		return s->conf->ok_line;
	return inner[0] != '\0' ? inner : "Logged in";
}
