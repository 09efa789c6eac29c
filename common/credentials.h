/* SPDX-License-Identifier: ISC */
/*
 * credentials: whom a client claims to be, as it is passed on to an inner
 * server.  No I/O.
 */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "base64.h"
#include "conf.h"
#include "text.h"

/* Octets: RFC 4616 has no limit; Dovecot and Cyrus take 1,024 at most. */
#define CREDENTIALS_NAME_MAX 1024
#define CREDENTIALS_PASSWORD_MAX 1024

/* Whoever holds it wipes it. */
struct credentials {
	char authn[CREDENTIALS_NAME_MAX + 1];
	char authz[CREDENTIALS_NAME_MAX + 1]; /* "": none given */
	char password[CREDENTIALS_PASSWORD_MAX + 1];
};

/* t and a NUL into dst; false when it does not fit or has a NUL in it. */
bool credentials_copy(struct text t, char *dst, size_t size);

/*
 * May an inner server see them?  A name or a password with a line end in it
 * is nobody's, and would end a line elsewhere.  An empty password is refused
 * here, since there are directories that take it as "anonymous" and say yes
 * (RFC 4513 5.1.2).
 */
bool credentials_are_good(const struct credentials *c);

/*
 * The name that an inner server knows, by the configuration's name_rules in
 * Perdition's order; "" stays "".  -1: there is none of that name, or it
 * would be too long.
 */
int credentials_rename(const struct conf *conf, const char *name,
    char out[static CREDENTIALS_NAME_MAX + 1]);

/* authz NUL authn NUL password (RFC 4616 2) in base64, and a NUL. */
#define CREDENTIALS_MESSAGE_MAX                                                \
	(2 * CREDENTIALS_NAME_MAX + CREDENTIALS_PASSWORD_MAX + 2)
#define CREDENTIALS_PLAIN_MAX (BASE64_LEN(CREDENTIALS_MESSAGE_MAX) + 1)
void credentials_plain(
    const struct credentials *c, char dst[static CREDENTIALS_PLAIN_MAX]);

#endif
