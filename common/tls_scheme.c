/* SPDX-License-Identifier: ISC */
/*
 * tls_scheme: signature schemes by number and by GnuTLS's names.  One table,
 * in the worker and in the keeper; no state, nothing from outside.
 */
#include <stddef.h>

#include "tls_scheme.h"

const char tls_content_prefix[TLS_CONTENT_PREFIX_LEN] =
    "                                                                "
    "TLS 1.3, server CertificateVerify";

/* In TLS 1.2 the hash of ECDSA is free (RFC 8446 4.2.3), in 1.3 it is not. */
static const struct tls_scheme schemes[] = {
	{ 0x0403, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, GNUTLS_SIGN_ECDSA_SHA256,
	    GNUTLS_PK_ECDSA, 256, GNUTLS_DIG_SHA256, true },
	{ 0x0503, GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, GNUTLS_SIGN_ECDSA_SHA384,
	    GNUTLS_PK_ECDSA, 384, GNUTLS_DIG_SHA384, true },
	{ 0x0603, GNUTLS_SIGN_ECDSA_SECP521R1_SHA512, GNUTLS_SIGN_ECDSA_SHA512,
	    GNUTLS_PK_ECDSA, 521, GNUTLS_DIG_SHA512, true },
	{ 0x0807, GNUTLS_SIGN_EDDSA_ED25519, GNUTLS_SIGN_EDDSA_ED25519,
	    GNUTLS_PK_EDDSA_ED25519, 0, GNUTLS_DIG_UNKNOWN, true },
	{ 0x0804, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256,
	    GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, GNUTLS_PK_RSA, 0,
	    GNUTLS_DIG_SHA256, true },
	{ 0x0805, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384,
	    GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, GNUTLS_PK_RSA, 0,
	    GNUTLS_DIG_SHA384, true },
	{ 0x0806, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512,
	    GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, GNUTLS_PK_RSA, 0,
	    GNUTLS_DIG_SHA512, true },
	{ 0x0401, GNUTLS_SIGN_RSA_SHA256, GNUTLS_SIGN_RSA_SHA256, GNUTLS_PK_RSA,
	    0, GNUTLS_DIG_SHA256, false },
	{ 0x0501, GNUTLS_SIGN_RSA_SHA384, GNUTLS_SIGN_RSA_SHA384, GNUTLS_PK_RSA,
	    0, GNUTLS_DIG_SHA384, false },
	{ 0x0601, GNUTLS_SIGN_RSA_SHA512, GNUTLS_SIGN_RSA_SHA512, GNUTLS_PK_RSA,
	    0, GNUTLS_DIG_SHA512, false },
};
#define NSCHEMES (sizeof(schemes) / sizeof(schemes[0]))

const struct tls_scheme *
tls_scheme_by_number(uint16_t number)
{
	size_t i;

	for (i = 0; i < NSCHEMES; i++)
		if (schemes[i].number == number)
			return &schemes[i];
	return NULL;
}

const struct tls_scheme *
tls_scheme_by_sign(gnutls_sign_algorithm_t sign)
{
	size_t i;

	for (i = 0; i < NSCHEMES; i++)
		if (schemes[i].sign == sign || schemes[i].sign12 == sign)
			return &schemes[i];
	return NULL;
}

const struct tls_scheme *
tls_scheme_pkcs1(gnutls_digest_algorithm_t digest)
{
	size_t i;

	for (i = 0; i < NSCHEMES; i++)
		if (!schemes[i].in13 && schemes[i].digest == digest)
			return &schemes[i];
	return NULL;
}

bool
tls_scheme_key_known(gnutls_pk_algorithm_t pk, unsigned int bits)
{
	size_t i;

	for (i = 0; i < NSCHEMES; i++)
		if (tls_scheme_fits(&schemes[i], pk, bits, true))
			return true;
	return false;
}

bool
tls_scheme_fits(const struct tls_scheme *s, gnutls_pk_algorithm_t pk,
    unsigned int bits, bool tls13)
{
	if (s->pk != pk)
		return false;
	if (!tls13)
		return true;
	return s->in13 && (s->bits == 0 || s->bits == bits);
}
