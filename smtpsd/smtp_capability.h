/* SPDX-License-Identifier: ISC */
/*
 * smtp_capability: what the reply to EHLO may promise.  An entry is an
 * EHLO keyword with its parameters ("SIZE 10240000"), parted by one blank
 * each (RFC 5321 4.1.1.1).
 *
 * The list for a client is made in three steps: the table, by
 * capability_rewrite(), or by capability_edit() on an administrator's list;
 * then, on the former, smtp_capability_settle(); then, on either,
 * smtp_capability_auth().
 */
#ifndef SMTP_CAPABILITY_H
#define SMTP_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capability.h"
#include "text.h"

#define SMTP_NRULES 40
extern const struct capability_rule smtp_rules[];

/*
 * What is promised while nothing is known of the inner server: the rest would
 * be a promise in its name.  In the form of smtp_parse_capability().
 */
#define SMTP_MINIMUM "PIPELINING"

#define SMTP_KEYWORD_LINE_MAX 510 /* RFC 5321 4.5.3.1.5, without CRLF */

/*
 * Add one line of an inner server's reply to EHLO, any but the first, without
 * its code and its CRLF.  "AUTH=PLAIN LOGIN", as old servers have it, becomes
 * "AUTH PLAIN LOGIN".  Of two lines with one keyword the first counts.  -1,
 * and nothing added, when the line is not in the grammar (RFC 5321 4.1.1.1,
 * ehlo-line; more than one blank is taken), or when there are too many.
 */
int smtp_add_keyword(struct capability *c, struct text line);

/*
 * An administrator's smtp_capability to entries; -1 when it has no good form.
 * Entries stand between commas:
 *
 *	"PIPELINING, SIZE 10240000, AUTH, 8BITMIME, DSN"
 *
 * A blank would not do, since entries have them, nor pop_capability's dot,
 * which parameters may have.  A parameter with a comma cannot be written.
 * A keyword that takes no parameter and has one ("8BITMIME DSN") is the
 * mistake of who forgot the comma, and refused.
 */
int smtp_parse_capability(const char *text, struct capability *out);

/* What the relay itself has to say about a learned list. */
struct smtp_offer {
	uint64_t message_size; /* octets of a client's message; 0: no limit */
	uint32_t recipients;   /* of one message; 0: no limit */
	bool inner_tls;        /* no inner server is ever spoken to in clear */
};

/*
 * After the table: SIZE and LIMITS become what both sides can take, each in
 * its place, and what rests on another promise goes when that is not there.
 * Entries that a stuffed list leaves no place for are dropped from its end.
 */
void smtp_capability_settle(struct capability *c, const struct smtp_offer *o);

/*
 * all becomes what both lists have, in its order: of SIZE and LIMITS the
 * lower numbers.  A server's limit holds whatever the other one says of it.
 */
void smtp_capability_merge(
    struct capability *all, const struct capability *other);

/*
 * Put "AUTH" and mechanisms (a list parted by blanks, as libsasl2 has it)
 * where the list has its first AUTH, or at the end; with broken_clients
 * "AUTH=" and the same behind it, for clients older than RFC 2554.  Words
 * that are no mechanism's name (RFC 4422 3.1) are left out; when there is no
 * mechanism, AUTH is taken off the list: for who may not log in (yet),
 * mechanisms is TEXT_NONE.
 */
void smtp_capability_auth(
    struct capability *c, struct text mechanisms, bool broken_clients);

/* The number behind SIZE; 0: no limit, or none that was told (RFC 1870 4). */
uint64_t smtp_capability_size(const struct capability *c);

/*
 * How many octets a client's message may have: own is message_size_limit,
 * inner what smtp_capability_size() found, 0 being no limit in both and in
 * the result.  The Received field has to fit into the inner one as well.
 */
uint64_t smtp_size_limit(uint64_t own, uint64_t inner);

#endif
