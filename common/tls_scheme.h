/* SPDX-License-Identifier: ISC */
/*
 * tls_scheme: the signature schemes that a server of ours signs with, as TLS
 * numbers them (RFC 8446 4.2.3) and as GnuTLS names them.  Shared by the two
 * ends of MSG_SIGN: tls_key asks, keeper answers.
 */
#ifndef TLS_SCHEME_H
#define TLS_SCHEME_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What stands before the transcript's hash in the content that a TLS 1.3
 * server signs, the NUL being part of it (RFC 8446 4.4.3).
 */
#define TLS_CONTENT_PREFIX_LEN 98
extern const char tls_content_prefix[TLS_CONTENT_PREFIX_LEN];

struct tls_scheme {
	uint16_t number;
	gnutls_sign_algorithm_t sign;   /* GnuTLS's name in TLS 1.3 ... */
	gnutls_sign_algorithm_t sign12; /* ... and in TLS 1.2 */
	gnutls_pk_algorithm_t pk;
	unsigned int bits; /* of the curve TLS 1.3 binds it to; 0: any key */
	gnutls_digest_algorithm_t digest; /* of what is signed; or UNKNOWN: */
	                                  /* Ed25519 signs the content itself */
	bool in13; /* signs in TLS 1.3; in TLS 1.2 all do */
};

/* NULL: not one of ours (SHA-1, DSA, ...). */
const struct tls_scheme *tls_scheme_by_number(uint16_t number);
const struct tls_scheme *tls_scheme_by_sign(gnutls_sign_algorithm_t sign);
/* RSA PKCS #1 v1.5, for which GnuTLS names the digest alone. */
const struct tls_scheme *tls_scheme_pkcs1(gnutls_digest_algorithm_t digest);

/* Does any scheme sign with such a key? */
bool tls_scheme_key_known(gnutls_pk_algorithm_t pk, unsigned int bits);

/* Does s sign with such a key, in TLS 1.3 or else in TLS 1.2? */
bool tls_scheme_fits(const struct tls_scheme *s, gnutls_pk_algorithm_t pk,
    unsigned int bits, bool tls13);

#endif
