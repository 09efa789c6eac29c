/* SPDX-License-Identifier: ISC */
/*
 * smtp_attribute: what is told of a client in XCLIENT and XFORWARD (Postfix:
 * XCLIENT_README, XFORWARD_README), without I/O.
 */
#ifndef SMTP_ATTRIBUTE_H
#define SMTP_ATTRIBUTE_H

#include <stdbool.h>

#include "addr.h"
#include "capability.h"
#include "text.h"

/* In the order in which they are told. */
enum smtp_attribute {
	SMTP_ATTRIBUTE_NAME,
	SMTP_ATTRIBUTE_PORT,
	SMTP_ATTRIBUTE_PROTO,
	SMTP_ATTRIBUTE_HELO,
	SMTP_ATTRIBUTE_LOGIN,
	SMTP_ATTRIBUTE_DESTADDR,
	SMTP_ATTRIBUTE_DESTPORT,
	SMTP_ATTRIBUTE_SOURCE,
	SMTP_ATTRIBUTE_ADDR, /* last: our right to speak may go with it */
	SMTP_ATTRIBUTES
};

#define SMTP_ATTRIBUTE_BIT(a) (1U << (a))

/* Whom it is about. */
struct smtp_attributes {
	struct text name, helo, login; /* TEXT_NONE: not known */
	bool esmtp;                    /* it said EHLO, not HELO */
	struct addr addr, local;
};

/*
 * The attributes, as bits, that a server wants to hear of behind keyword
 * ("XCLIENT"); 0: it does not offer that.
 */
unsigned int smtp_attributes_wanted(
    const struct capability *list, const char *keyword);

/* RFC 5321 4.5.3.1.4: octets of a command, CRLF included; here: a NUL. */
#define SMTP_ATTRIBUTE_COMMAND_MAX 512
#define SMTP_ATTRIBUTE_SIZE (SMTP_ATTRIBUTE_COMMAND_MAX - 1)

/*
 * Write a command, keyword and as many of the attributes in *left (not 0) as
 * one line holds, without CRLF, and take them out of *left.  Returns those
 * whose values are told: one that is not known, or would not fit into any
 * command, is "[UNAVAILABLE]".
 */
unsigned int smtp_attributes_next(const struct smtp_attributes *who,
    const char *keyword, unsigned int *left,
    char dst[static SMTP_ATTRIBUTE_SIZE]);

#endif
