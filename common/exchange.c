/* SPDX-License-Identifier: ISC */
/*
 * exchange: SASL PLAIN and LOGIN with a client.  Runs in workers, on octets
 * from anybody on the Internet.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "exchange.h"
#include "xmalloc.h"

/* Octets that base64 in a line can stand for. */
#define ANSWER_MAX (EXCHANGE_LINE_MAX / 4 * 3)

static const struct {
	const char *name;
	enum exchange_stage first;
} mechanisms[] = {
	{ "PLAIN", EXCHANGE_PLAIN },
	{ "LOGIN", EXCHANGE_LOGIN_NAME },
};

bool
exchange_begin(struct exchange *e, struct text mechanism)
{
	size_t i;

	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		if (text_caseeq(mechanism, mechanisms[i].name)) {
			e->stage = mechanisms[i].first;
			e->is_login = e->stage == EXCHANGE_LOGIN_NAME;
			return true;
		}
	}
	return false;
}

const char *
exchange_challenge(const struct exchange *e)
{
	switch (e->stage) {
	case EXCHANGE_NONE:
	case EXCHANGE_PLAIN:
		break;
	case EXCHANGE_LOGIN_NAME:
		return "VXNlcm5hbWU6"; /* "Username:" */
	case EXCHANGE_LOGIN_PASSWORD:
		return "UGFzc3dvcmQ6"; /* "Password:" */
	}
	return "";
}

void
exchange_end(struct exchange *e)
{
	if (e->name != NULL)
		freezero(e->name, strlen(e->name) + 1);
	*e = (struct exchange){ .stage = EXCHANGE_NONE,
		.is_login = e->is_login };
}

/* [authzid] NUL authcid NUL passwd (RFC 4616 2). */
static bool
take_plain(struct text rest, struct credentials *c)
{
	struct text authz, authn;

	return text_split(&rest, '\0', &authz) &&
	    text_split(&rest, '\0', &authn) && rest.p != NULL &&
	    credentials_copy(authz, c->authz, sizeof(c->authz)) &&
	    credentials_copy(authn, c->authn, sizeof(c->authn)) &&
	    credentials_copy(rest, c->password, sizeof(c->password));
}

static enum exchange_result
take_answer(struct exchange *e, struct text answer, struct credentials *c)
{
	bool ok = false;

	memset(c, 0, sizeof(*c));
	switch (e->stage) {
	case EXCHANGE_NONE:
		break;
	case EXCHANGE_PLAIN:
		ok = take_plain(answer, c);
		break;
	case EXCHANGE_LOGIN_NAME:
		if (!credentials_copy(answer, c->authn, sizeof(c->authn)))
			break;
		e->name = xstrdup(c->authn);
		e->stage = EXCHANGE_LOGIN_PASSWORD;
		return EXCHANGE_MORE;
	case EXCHANGE_LOGIN_PASSWORD:
		ok = credentials_copy(
		         text_of(e->name), c->authn, sizeof(c->authn)) &&
		    credentials_copy(answer, c->password, sizeof(c->password));
		break;
	}
	return ok && credentials_are_good(c) ? EXCHANGE_OK : EXCHANGE_REFUSED;
}

static enum exchange_result
decode(struct exchange *e, struct text code, struct credentials *c)
{
	char answer[ANSWER_MAX];
	enum exchange_result r = EXCHANGE_BAD;
	size_t len;

	if (base64_decode(code, answer, sizeof(answer), &len) == 0) {
		r = take_answer(e, (struct text){ answer, len }, c);
		explicit_bzero(answer, len);
	}
	if (r != EXCHANGE_MORE)
		exchange_end(e);
	return r;
}

enum exchange_result
exchange_answer(struct exchange *e, struct text line, struct credentials *c)
{
	if (text_eq(line, "*")) {
		exchange_end(e);
		return EXCHANGE_CANCELLED;
	}
	return decode(e, line, c);
}

enum exchange_result
exchange_initial(
    struct exchange *e, struct text response, struct credentials *c)
{
	if (text_eq(response, "="))
		response.len = 0;
	return decode(e, response, c);
}
