/* SPDX-License-Identifier: ISC */
/*
 * exchange: how a client hands over its credentials by the SASL mechanisms
 * PLAIN (RFC 4616) and LOGIN (which has no RFC; old clients know no other).
 * Without I/O: the protocol carries the lines.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "credentials.h"

/* Octets of a line, CRLF included: base64 of some 12,288, RFC 5034 4. */
#define EXCHANGE_LINE_MAX 16384

/* What the client's next line is. */
enum exchange_stage {
	EXCHANGE_NONE,
	EXCHANGE_PLAIN,
	EXCHANGE_LOGIN_NAME,
	EXCHANGE_LOGIN_PASSWORD
};

/* Starts zeroed. */
struct exchange {
	enum exchange_stage stage;
	char *name; /* EXCHANGE_LOGIN_PASSWORD: whose */
	bool is_login; /* by LOGIN, not PLAIN; it stays when all is over */
};

enum exchange_result {
	EXCHANGE_OK,      /* *c is filled, and credentials_are_good() */
	EXCHANGE_MORE,    /* exchange_challenge() is to be sent */
	EXCHANGE_REFUSED, /* these cannot be anybody's credentials */
	EXCHANGE_BAD,     /* no base64 */
	EXCHANGE_CANCELLED
};

/* Begin; false: a mechanism that is not ours. */
bool exchange_begin(struct exchange *e, struct text mechanism);

/* What stands behind "+ ". */
const char *exchange_challenge(const struct exchange *e);

/*
 * A line of the client, without its CRLF, or an initial response (RFC 4959,
 * RFC 5034), in which "=" means an empty one.  But for EXCHANGE_MORE the
 * exchange is over, and nothing of it is left in *e.  *c is filled on
 * EXCHANGE_OK alone; the caller wipes it.
 */
enum exchange_result exchange_answer(
    struct exchange *e, struct text line, struct credentials *c);
enum exchange_result exchange_initial(
    struct exchange *e, struct text response, struct credentials *c);

/* End it, wherever it is. */
void exchange_end(struct exchange *e);

#endif
