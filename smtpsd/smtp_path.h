/* SPDX-License-Identifier: ISC */
/*
 * smtp_path: the paths of MAIL and RCPT (RFC 5321 4.1.2), without I/O.
 */
#ifndef SMTP_PATH_H
#define SMTP_PATH_H

#include <stdbool.h>

#include "text.h"

/* RFC 5321 4.5.3.1.  A path has no room for a domain above its 255. */
#define SMTP_PATH_MAX 256 /* with angle brackets, a source route also */
#define SMTP_LOCAL_MAX 64

enum smtp_path_kind {
	SMTP_FROM, /* "FROM:<...>", the null path also */
	SMTP_TO    /* "TO:<...>", "<Postmaster>" also */
};

enum smtp_path_result {
	SMTP_PATH_OK,
	SMTP_PATH_BAD,       /* not in the grammar: 501 5.1.7, 5.1.3 */
	SMTP_PATH_TOO_LONG,  /* good, but above a limit: the same */
	SMTP_PATH_NO_DOMAIN, /* good, but not "user@domain"; the same */
	SMTP_PATH_UTF8       /* good, but needs SMTPUTF8: 553 5.6.7 */
};

/* Views of the line; on SMTP_PATH_BAD nothing. */
struct smtp_path {
	struct text address; /* as it stands; empty: the null path */
	struct text local;   /* its quotes also, if it has them */
	struct text domain;  /* or address literal, with its brackets */
	bool utf8;           /* there are octets above 0x7f, in UTF-8 */
};

/*
 * Take "FROM:" or "TO:" and a path from the front of *rest.  Blanks behind
 * the colon are taken as in Postfix; a source route is taken and not in the
 * result (RFC 5321 4.1.1.3: it is to be ignored).  An unquoted local part may
 * have dots anywhere, as old addresses do that still get mail.  utf8: octets
 * above 0x7f are allowed (RFC 6531 3.3).
 *
 * *rest is then empty, or begins with the blank before the first parameter.
 */
enum smtp_path_result smtp_take_path(struct text *rest,
    enum smtp_path_kind kind, bool utf8, struct smtp_path *path);

#endif
