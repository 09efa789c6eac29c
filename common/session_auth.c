/* SPDX-License-Identifier: ISC */
/*
 * session_auth: what a client was promised before its login, and what its
 * credentials, once they are there, lead to.  Runs in workers.
 */
#include <string.h>

#include "session.h"
#include "stats.h"

bool
session_promises(const struct session *s, const char *keyword)
{
	struct capability c;

	session_capability(s, &c);
	return capability_has_keyword(&c, keyword);
}

void
session_begin_login(struct session *s, const struct credentials *c)
{
	s->mechanism = MECHANISM_COMMAND;
	*session_login_space(s) = *c;
	session_login(s);
}

const char *
session_exchange(struct session *s, const struct exchange *e,
    enum exchange_result r, struct credentials *c)
{
	const char *fault = NULL;

	switch (r) {
	case EXCHANGE_OK:
		*session_login_space(s) = *c;
		s->mechanism = e->is_login ? MECHANISM_LOGIN : MECHANISM_PLAIN;
		session_login(s);
		break;
	case EXCHANGE_MORE:
		stream_printf(&s->client, "+ %s\r\n", exchange_challenge(e));
		break;
	case EXCHANGE_REFUSED:
		fault = "Authentication failed";
		break;
	case EXCHANGE_BAD:
		fault = "Invalid base64";
		break;
	case EXCHANGE_CANCELLED:
		fault = "Authentication cancelled";
		break;
	}
	explicit_bzero(c, sizeof(*c));
	return fault;
}
