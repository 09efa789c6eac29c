/* SPDX-License-Identifier: ISC */
/*
 * smtp_data: the message as it comes behind DATA (RFC 5321 4.1.1.4), octet
 * for octet as it is passed on to the inner server, and where it ends.
 *
 * The end is CRLF "." CRLF and nothing else, or "." CRLF at the beginning.
 * What is passed on is the message up to and including the CRLF before the
 * dot, still dot-stuffed (RFC 5321 4.5.2), without a bare CR, a bare LF, a
 * NUL, and without a line that is a dot alone.  The inner server is thus at
 * the beginning of a line when the end has come, and SMTP_DATA_DOT, which
 * ends the message there, is the caller's to write, or to withhold.
 */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include <stdint.h>

#include "smtp_watch.h"
#include "text.h"

#define SMTP_DATA_DOT ".\r\n"

/* What becomes of CR and LF that are no CRLF. */
enum smtp_bare {
	SMTP_BARE_REFUSE,   /* the message is condemned */
	SMTP_BARE_NORMALIZE /* each is passed on as CRLF */
};

enum smtp_data_state {
	SMTP_DATA_LINE,  /* behind CRLF, or at the beginning */
	SMTP_DATA_MADE,  /* behind a CRLF of ours */
	SMTP_DATA_TEXT,  /* in a line */
	SMTP_DATA_CR,    /* a CR is withheld */
	SMTP_DATA_POINT, /* the dot that begins a line is withheld */
	SMTP_DATA_POINT_CR,
	SMTP_DATA_DONE
};

struct smtp_data {
	struct smtp_watch watch; /* fault, size, Message-ID: for the caller */
	enum smtp_bare bare;
	enum smtp_data_state state;
};

/* limit: of the message's octets, dots unstuffed; 0: none. */
void smtp_data_init(struct smtp_data *d, enum smtp_bare bare, uint64_t limit);

enum smtp_data_result {
	SMTP_DATA_MORE, /* the end has not come yet */
	SMTP_DATA_END   /* nothing more is taken or passed on */
};

/*
 * Take *taken octets from the front of in, and view in *out what is to be
 * passed on for them: octets of in, which belong to the caller, or constant
 * ones; often none.  Each call with octets in in either takes or gives some
 * until the end has come: the caller passes *out on and calls again with the
 * rest of in.  Octets behind the end are left alone.  *out is empty on
 * SMTP_DATA_END.
 *
 * Once d->watch.fault says so, nothing more is given; the end is still looked
 * for, by the same rule.  What was given before is the beginning of a message
 * that must not be completed.
 *
 * Under SMTP_BARE_NORMALIZE the message is what RFC 5321 has a receiver make
 * of the client's octets, lines being parted by CRLF alone, with each bare CR
 * and bare LF in it replaced by CRLF.
 */
enum smtp_data_result smtp_data_feed(
    struct smtp_data *d, struct text in, size_t *taken, struct text *out);

#endif
