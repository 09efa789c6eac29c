/* SPDX-License-Identifier: ISC */
/*
 * smtp_watch: what is looked at in a message on its way to the inner server,
 * however it comes (DATA or BDAT): octets that no message has, its size, and
 * two fields of its header.  Constant memory, whatever the message.
 */
#ifndef SMTP_WATCH_H
#define SMTP_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Received fields: as Postfix has it.  RFC 5321 6.3 asks for "large". */
#define SMTP_RECEIVED_MAX 50
#define SMTP_MESSAGE_ID_MAX 250 /* for the log; what is behind is cut */
#define SMTP_FIELD_MAX 10       /* the longest name sought: Message-ID */

/* Why a message is condemned: the first reason stays. */
enum smtp_fault {
	SMTP_FAULT_NONE,
	SMTP_FAULT_BARE,    /* CR or LF alone (RFC 5321 2.3.8): 550 5.6.11 */
	SMTP_FAULT_NUL,     /* RFC 5322 4: 550 5.6.11 */
	SMTP_FAULT_TOO_BIG, /* RFC 1870 6.3: 552 5.3.4 */
	SMTP_FAULT_LOOP,    /* too many Received fields: 554 5.4.6 */
	SMTP_FAULT_REFUSED  /* the caller's own reason */
};

/* Where in the header we are. */
enum smtp_header {
	SMTP_HEADER_LINE,      /* before the first octet of a line */
	SMTP_HEADER_UNSTUFFED, /* the same, the dot of RFC 5321 4.5.2 gone */
	SMTP_HEADER_NAME,      /* in the name of a field */
	SMTP_HEADER_COLON,     /* blanks before the colon (RFC 5322 4.5) */
	SMTP_HEADER_VALUE,     /* in a value that is kept */
	SMTP_HEADER_SKIP,      /* in a value that is not */
	SMTP_HEADER_END        /* the rest is the body */
};

/* The field that a continuation line belongs to. */
enum smtp_field { SMTP_FIELD_NONE, SMTP_FIELD_MESSAGE_ID, SMTP_FIELD_OTHER };

/* The caller may read fault, size and received. */
struct smtp_watch {
	enum smtp_fault fault;
	uint64_t size;         /* octets of the message, dots unstuffed */
	uint64_t limit;        /* of size; 0: none */
	unsigned int received; /* fields of that name */
	bool stuffed;          /* lines come dot-stuffed */
	enum smtp_header header;
	enum smtp_field field;
	size_t name_len;
	size_t id_len;
	char name[SMTP_FIELD_MAX + 1]; /* full: too long to be sought */
	char id[SMTP_MESSAGE_ID_MAX];
};

void smtp_watch_init(struct smtp_watch *w, uint64_t limit, bool stuffed);

/* From here on nothing passes.  A fault found earlier stays. */
void smtp_watch_condemn(struct smtp_watch *w, enum smtp_fault fault);

/* n octets are to come: condemn now what would be too big then. */
void smtp_watch_expect(struct smtp_watch *w, uint64_t n);

/*
 * out is about to be passed on, and stuffing of its octets are dots that are
 * no part of the message.  Gives out, or nothing once there is a fault, which
 * may have been found in out.
 */
struct text smtp_watch_pass(
    struct smtp_watch *w, struct text out, size_t stuffing);

/*
 * Has the header been passed on?  It ends before an empty line, or before one
 * that can be no field.
 */
bool smtp_watch_header_ended(const struct smtp_watch *w);

/*
 * The value of the first Message-ID field that has one, unfolded and without
 * blanks around it; may be empty.  It holds any octet but CR and LF.  The
 * view is valid as long as *w.
 */
struct text smtp_watch_message_id(const struct smtp_watch *w);

/*
 * How many octets at the front of t have nothing to be judged in them: a line
 * and its CRLF, then *line is true, or a part of one without CR, LF and NUL.
 * 0: t is empty, or begins with NUL, with a CR or LF that is no CRLF, or is a
 * CR whose LF may still be on its way.
 */
size_t smtp_watch_clean(struct text t, bool *line);

/*
 * The same for many lines at a time, in big steps: how many octets at the
 * front of t have nothing to be judged in them, nor a dot that begins a line.
 * They may end anywhere but behind a CR.  The octet before t.p is there, and
 * was judged as clean.
 */
size_t smtp_watch_sweep(struct text t);

#endif
