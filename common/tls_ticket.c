/* SPDX-License-Identifier: ISC */
/*
 * tls_ticket: the names that GnuTLS gives to ticket keys.  Runs in the worker
 * on a name from the Internet, which it compares and nothing else.
 */
#include <gnutls/crypto.h>
#include <string.h>

#include "msg.h"
#include "tls_hello.h"
#include "tls_ticket.h"

/*
 * GnuTLS does not use a key as it is given but, so that it changes by itself
 * with time, SHA3-512(period || key), whose first octets are the name.  A
 * period is three lifetimes; tickets of the one before are still taken.
 * Should another GnuTLS do otherwise, no name is known any more and tickets
 * of the previous key cost a full handshake: nothing worse.
 */
#define PERIOD (3 * TLS_TICKET_LIFETIME)

static bool
is_of_period(struct text name, struct text key, uint64_t period)
{
	unsigned char in[8 + TICKET_KEY_LEN], out[64];
	bool same;
	int i;

	for (i = 0; i < 8; i++)
		in[i] = (unsigned char)(period >> (56 - 8 * i));
	memcpy(in + 8, key.p, TICKET_KEY_LEN);
	same =
	    gnutls_hash_fast(GNUTLS_DIG_SHA3_512, in, sizeof(in), out) == 0 &&
	    memcmp(out, name.p, TLS_TICKET_NAME_LEN) == 0;
	explicit_bzero(in, sizeof(in));
	explicit_bzero(out, sizeof(out));
	return same;
}

bool
tls_ticket_is_of(struct text name, struct text key, time_t now)
{
	uint64_t period = (uint64_t)now / PERIOD;

	if (name.len != TLS_TICKET_NAME_LEN || key.len != TICKET_KEY_LEN)
		return false;
	return is_of_period(name, key, period) ||
	    is_of_period(name, key, period - 1);
}
