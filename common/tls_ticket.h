/* SPDX-License-Identifier: ISC */
/*
 * tls_ticket: which of our keys does GnuTLS call by this name?  No I/O, no
 * state.
 */
#ifndef TLS_TICKET_H
#define TLS_TICKET_H

#include <stdbool.h>
#include <time.h>

#include "text.h"

/*
 * How long a ticket is good for: as long as a key is kept, an hour to issue
 * and another to accept.
 */
#define TLS_TICKET_LIFETIME 7200 /* seconds */

/*
 * Does GnuTLS give key (TICKET_KEY_LEN octets) this name (of a ticket, see
 * tls_hello.h) at this time?
 */
bool tls_ticket_is_of(struct text name, struct text key, time_t now);

#endif
