/* SPDX-License-Identifier: ISC */
/*
 * tls_pairs: the certificates that a worker serves, their names, and which
 * of them a client is meant by the name it asks for (SNI).
 */
#ifndef TLS_PAIRS_H
#define TLS_PAIRS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

#include "handover.h"
#include "text.h"
#include "tls_names.h"

#define TLS_CHAIN_MAX 16 /* certificates in one chain */

struct tls_pair {
	uint16_t number;   /* the keeper's key has the same */
	unsigned int refs; /* the set's, and each handshake's */
	bool rsa, loaded;
	gnutls_pk_algorithm_t pk;
	unsigned int bits;
	char *pem; /* until it is loaded */
	size_t len;
	char **names; /* lower case; "*.DOMAIN" is a wildcard */
	size_t nnames;
	/* when it is loaded: */
	gnutls_pcert_st *chain;
	unsigned int nchain;
	gnutls_privkey_t key;
};

struct tls_pairs;

/*
 * Every HANDOVER_CERT of h, in HANDOVER_ORDER's order if there is one.
 * fatal() on one that does not parse: the keeper has looked at them.
 */
struct tls_pairs *tls_pairs_new(const struct handover *h);
void tls_pairs_free(struct tls_pairs **s);
/*
 * MSG_CERTIFICATES: HANDOVER_ORDER's are there from now on, and no others;
 * HANDOVER_CERT has those that are new.  -1: h is malformed.
 */
int tls_pairs_update(struct tls_pairs *s, const struct handover *h);

/*
 * The best pair for name (SNI's; TEXT_NONE: none was said): the first one
 * with exactly that name that fits() says the client can use, the first with
 * a wildcard for it, the first of the default ones; or the very first.  Never
 * NULL; for the length of a handshake it is to be held.
 */
typedef bool tls_pair_fits(void *arg, const struct tls_pair *p);
struct tls_pair *tls_pairs_choose(
    struct tls_pairs *s, struct text name, tls_pair_fits *fits, void *arg);
size_t tls_pairs_count(const struct tls_pairs *s);
const struct tls_pair *tls_pairs_first(const struct tls_pairs *s);

struct tls_pair *tls_pair_hold(struct tls_pair *p);
void tls_pair_release(struct tls_pair **p); /* may be NULL */

/*
 * A name as it is looked for: lower case in dst, of TLS_NAME_MAX + 1 octets.
 * False: no host has such a name (RFC 952, RFC 1123 2.1; "_" passes).
 * wildcard: "*." may stand before two labels or more (RFC 6125 6.4.3).
 */
bool tls_name_clean(struct text name, bool wildcard, char *dst);

#endif
