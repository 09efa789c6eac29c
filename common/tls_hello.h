/* SPDX-License-Identifier: ISC */
/*
 * tls_hello: what of a ClientHello we must know before GnuTLS has read it.
 * No I/O, no state.
 */
#ifndef TLS_HELLO_H
#define TLS_HELLO_H

#include <stdbool.h>

#include "text.h"

#define TLS_TICKET_NAME_LEN 16 /* octets of a key's name, first in a ticket */

struct tls_hello {
	struct text suites; /* cipher_suites: ids of two octets each */
	/*
	 * The name of the key under which the ticket that it offers is sealed
	 * (its first pre-shared key or else its TLS 1.2 session ticket).
	 */
	struct text ticket;
};

/*
 * in is a ClientHello's body (RFC 8446 4.1.2); what h holds are views into
 * it, TEXT_NONE where there is nothing or in does not parse.
 */
void tls_hello_parse(struct text in, struct tls_hello *h);
bool tls_hello_has_suite(const struct tls_hello *h, const unsigned char id[2]);

#endif
