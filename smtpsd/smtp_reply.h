/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply: what a server says (RFC 5321 4.2), without I/O: one line, and
 * the lines of a reply together.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "text.h"

/*
 * RFC 5321 4.5.3.1.5 has 512 octets in a line, CRLF included, and servers
 * that quote a policy at length have more.
 */
#define SMTP_REPLY_LINE_MAX 2048
#define SMTP_REPLY_LINES_MAX 128
#define SMTP_REPLY_MAX 16384 /* all lines, each with its CRLF */

/* One line, "250-text", "250 text" or "250". */
struct smtp_reply_line {
	unsigned int code; /* 200 to 599 */
	bool last;
	struct text text; /* views the line */
};

/*
 * A line of a server, without its CRLF.  False: none, be it for an octet that
 * is no text (RFC 5321 4.2: a tab, printable; octets above 0x7f also).
 */
bool smtp_parse_reply(struct text line, struct smtp_reply_line *out);

/*
 * Take an enhanced status code (RFC 2034 4, RFC 3463 2), "5.7.1", and the
 * blank behind it from the front of a reply's text; TEXT_NONE, and *rest as
 * it was: none.
 */
struct text smtp_reply_status(struct text *rest);

struct smtp_reply {
	unsigned int code; /* 0: no line yet */
	size_t lines;
	bool whole;
	struct buf octets; /* the lines as they came, each with its CRLF */
};

enum smtp_reply_result {
	SMTP_REPLY_MORE, /* the next line, please */
	SMTP_REPLY_OK,   /* this was the last */
	SMTP_REPLY_BAD   /* no reply, or above a ceiling: give this server up */
};

void smtp_reply_init(struct smtp_reply *r); /* owns nothing */
void smtp_reply_free(struct smtp_reply *r); /* may be used again */
/* The same, but a small buffer stays: there will be a next reply. */
void smtp_reply_reset(struct smtp_reply *r);

/*
 * Add a line of a server, without its CRLF.  All have one code (RFC 5321
 * 4.2.1).  After SMTP_REPLY_OK the caller passes buf_view(&r->octets) on, or
 * reads it, and calls smtp_reply_reset() before the next reply; a line before
 * that is SMTP_REPLY_BAD.
 */
enum smtp_reply_result smtp_reply_add(struct smtp_reply *r, struct text line);

/*
 * The texts of the lines, one by one, *rest being buf_view(&r->octets) at
 * first.  False: there is no other.
 */
bool smtp_reply_next(struct text *rest, struct text *out);

#endif
