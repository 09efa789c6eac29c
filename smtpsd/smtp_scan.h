/* SPDX-License-Identifier: ISC */
/*
 * smtp_scan: what a client says (RFC 5321 4.1), line by line without its
 * CRLF, without I/O.  Its paths are in smtp_path, what a server says is in
 * smtp_reply.  Results view the line they come from.
 */
#ifndef SMTP_SCAN_H
#define SMTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Octets, CRLF included. */
#define SMTP_LINE_MAX 2048  /* 512 (RFC 5321 4.5.3.1.4), and all extensions */
#define SMTP_AUTH_MAX 12288 /* RFC 4954 4 */

#define SMTP_DOMAIN_MAX 255 /* RFC 5321 4.5.3.1.2 */

struct smtp_command {
	struct text verb; /* compare without regard to case */
	struct text args; /* without blanks around them; may be empty */
};

/*
 * A line of a client.  False: no command (500 5.5.2): no word of letters,
 * digits and hyphens in front; a control octet (a tab is one); an octet above
 * 0x7f that is not in UTF-8, or that is there without SMTPUTF8 being offered.
 */
bool smtp_parse_command(struct text line, bool utf8, struct smtp_command *c);

/*
 * The argument of EHLO and HELO: a domain or address literal, or what clients
 * think is one, as in Postfix: printable ASCII of SMTP_DOMAIN_MAX octets at
 * most.  False: anything else.
 */
bool smtp_parse_helo(struct text args, struct text *name);

/* The argument of BDAT (RFC 3030 2); size is at most 2^63 - 1. */
bool smtp_parse_bdat(struct text args, uint64_t *size, bool *last);

/*
 * The value of SIZE (RFC 1870 4), 20 digits at most; UINT64_MAX also for
 * numbers above it.
 */
bool smtp_parse_size(struct text value, uint64_t *size);

enum smtp_param_result {
	SMTP_PARAM_OK,
	SMTP_PARAM_END, /* there is no other */
	SMTP_PARAM_BAD  /* not in the grammar: 501 5.5.4 */
};

struct smtp_param {
	struct text key;   /* compare without regard to case */
	struct text value; /* p == NULL: a key alone */
};

/*
 * Take an ESMTP parameter (RFC 5321 4.1.2) from the front of *rest, which
 * begins behind a path or another parameter.  utf8: values may have UTF-8 in
 * them (RFC 6531 3.3).
 */
enum smtp_param_result smtp_take_param(
    struct text *rest, bool utf8, struct smtp_param *param);

/* Well-formed UTF-8 (RFC 3629 4) at the front of t above 0x7f; 0: none. */
size_t smtp_utf8(struct text t);

/*
 * xtext (RFC 3461 4), into dst with a NUL behind it; *out views it there.
 * False: dst of size octets (1 at least) does not hold it.
 */
bool smtp_xtext_encode(
    struct text in, char *dst, size_t size, struct text *out);

#endif
