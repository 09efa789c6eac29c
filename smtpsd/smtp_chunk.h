/* SPDX-License-Identifier: ISC */
/*
 * smtp_chunk: the message as it comes in the chunks of BDAT (RFC 3030), where
 * the count alone says where it ends and no dot is stuffed.
 */
#ifndef SMTP_CHUNK_H
#define SMTP_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "smtp_watch.h"
#include "text.h"

struct smtp_chunk {
	struct smtp_watch watch; /* fault, size, Message-ID: for the caller */
	uint64_t left;           /* octets of this chunk still to come */
	bool last;               /* this chunk is the last */
	bool binary;             /* BODY=BINARYMIME: every octet is good */
	bool cr;                 /* the message so far ends in CR */
};

/* Before the first chunk of a message.  limit: of all chunks; 0: none. */
void smtp_chunk_init(struct smtp_chunk *c, uint64_t limit, bool binary);

/*
 * A chunk of size octets begins.  A size that the limit does not allow
 * condemns the message here, before the first of them, and so does the end of
 * the message behind a bare CR: the caller looks at c->watch.fault before it
 * announces the chunk to the inner server.
 */
void smtp_chunk_begin(struct smtp_chunk *c, uint64_t size, bool last);

enum smtp_chunk_result {
	SMTP_CHUNK_MORE, /* octets of this chunk are still to come */
	SMTP_CHUNK_END   /* this was the chunk; octets behind are left alone */
};

/*
 * Take *taken octets from the front of in, all of this chunk's that are
 * there, and view in *out those to be passed on: all that are taken, or, once
 * c->watch.fault says so, none: the chunk is swallowed by count, and so are
 * those that follow.  A chunk that the caller itself refuses is condemned
 * (SMTP_FAULT_REFUSED) and fed the same way.
 *
 * Any other fault is found before the last octet of the last chunk is given,
 * so the inner server never has a condemned message whole.  Until then, a CR at
 * the end of a buffer or chunk may have been given whose LF did not follow: the
 * octets of a chunk are promised by number, so none can wait.  Nor can one be
 * added: a bare CR or LF is always refused, unless the message is binary.
 */
enum smtp_chunk_result smtp_chunk_feed(
    struct smtp_chunk *c, struct text in, size_t *taken, struct text *out);

#endif
