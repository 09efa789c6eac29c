/* SPDX-License-Identifier: ISC */
/* line: takes CRLF-terminated lines out of a buf. */
#ifndef LINE_H
#define LINE_H

#include "buf.h"

enum line_result {
	LINE_OK,       /* one line is in *out */
	LINE_WAIT,     /* the rest has not arrived yet; not an error */
	LINE_TOO_LONG, /* no CRLF within max octets */
	LINE_BAD       /* NUL, bare CR or bare LF (RFC 5321 2.3.8) */
};

/*
 * View the next line of in without taking it.  max counts octets, CRLF
 * included.  On LINE_OK, *out views the line without its CRLF; the octets
 * belong to in and stay valid until the next call that changes in; the
 * caller consumes out->len + 2.  On any other result *out is left alone.
 */
enum line_result line_peek(const struct buf *in, size_t max, struct text *out);

/* line_peek() starting at octet from; for protocols with literals. */
enum line_result line_peek_at(
    const struct buf *in, size_t from, size_t max, struct text *out);

#endif
