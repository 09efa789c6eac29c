/* SPDX-License-Identifier: ISC */
/*
 * imap_scan: tags, atoms, quoted strings and literals (RFC 3501 9, RFC 9051
 * 9), without I/O.  Both directions: commands of clients before login, and
 * responses of an inner server during login.
 */
#ifndef IMAP_SCAN_H
#define IMAP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "line.h"
#include "text.h"

/* Octets, CRLF included where a line is meant. */
#define IMAP_LINE_MAX 8192          /* RFC 7162 4 */
#define IMAP_AUTHENTICATE_MAX 16384 /* with an initial response */
#define IMAP_LITERAL_MAX 4096       /* as LITERAL-, RFC 7888 5 */
#define IMAP_COMMAND_MAX 24576      /* before its last line: a long ID */
#define IMAP_TAG_MAX 64 /* no limit in the RFCs; clients use a few octets */

/* How far the octets at the front of a buf were looked at; starts zeroed. */
struct imap_scan {
	size_t line;    /* where the line under way begins, or will begin */
	size_t scanned; /* no line end is before this */
};

enum imap_scan_result {
	IMAP_SCAN_OK,         /* a whole command */
	IMAP_SCAN_WAIT,       /* the rest has not arrived yet */
	IMAP_SCAN_INVITE,     /* {n}: the client waits for "+ " or a refusal */
	IMAP_SCAN_TOO_BIG,    /* {n} that will not be taken */
	IMAP_SCAN_BAD_NUMBER, /* {n} that is no 32-bit number */
	/* From here on nobody knows where the next command begins. */
	IMAP_SCAN_LOST_LINE,    /* too long */
	IMAP_SCAN_LOST_OCTET,   /* NUL, bare CR or bare LF */
	IMAP_SCAN_LOST_LITERAL, /* {n+} that will not be taken */
};

/*
 * Find the command at the front of in, its literals included.  A line that
 * ends in {n} or {n+} is followed by n octets and another line, whatever the
 * command makes of it: its author sends it so.
 *
 * On OK, INVITE, TOO_BIG and BAD_NUMBER, *out views what is there, from the
 * tag on, without its last CRLF.  The caller either is done with it and
 * consumes out->len + 2 octets and zeroes *scan, or, on INVITE, lets the
 * client go on and calls again.
 */
enum imap_scan_result imap_scan_command(
    struct imap_scan *scan, const struct buf *in, struct text *out);

/*
 * line_peek() that does not look twice at what arrives octet by octet.  After
 * LINE_OK the caller consumes out->len + 2 octets and zeroes *scan.
 */
enum line_result imap_scan_line(
    struct imap_scan *scan, const struct buf *in, size_t max, struct text *out);

/* Take one thing from the front of *rest; false leaves *rest where it was. */
bool imap_take_tag(struct text *rest, struct text *tag);
bool imap_take_atom(struct text *rest, struct text *atom);
bool imap_take_char(struct text *rest, char c);

enum imap_string {
	IMAP_STRING_OK,      /* dst holds it and a NUL */
	IMAP_STRING_BAD,     /* not in the grammar */
	IMAP_STRING_TOO_LONG /* good, and taken, but dst does not hold it */
};

/*
 * Take a string (quoted or literal), or an astring (an atom also), decoded
 * into dst of size octets.  No string has a NUL in it (CHAR8, RFC 3501 9).
 */
enum imap_string imap_take_string(struct text *rest, char *dst, size_t size);
enum imap_string imap_take_astring(struct text *rest, char *dst, size_t size);

enum imap_kind { IMAP_UNTAGGED, IMAP_TAGGED, IMAP_CONTINUE };
enum imap_status {
	IMAP_OK,
	IMAP_NO,
	IMAP_BAD,
	IMAP_BYE,
	IMAP_PREAUTH,
	IMAP_DATA /* untagged, no status: "* CAPABILITY ..." */
};

struct imap_response {
	enum imap_kind kind;
	enum imap_status status; /* not of IMAP_CONTINUE */
	struct text tag;         /* of IMAP_TAGGED */
	/* "[CODE args] text"; of IMAP_DATA: "CODE args", no text. */
	struct text code, args, text;
};

/* A line of a server.  False when it is none (RFC 3501 7). */
bool imap_parse_response(struct text line, struct imap_response *r);

/*
 * Does line announce a literal, {n} or {n+}, at its end?  *size is n,
 * UINT64_MAX where that is no number.
 */
bool imap_ends_in_literal(struct text line, uint64_t *size);

#endif
