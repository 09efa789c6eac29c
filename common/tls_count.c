/* SPDX-License-Identifier: ISC */
/*
 * tls_count: a connection's version and cipher as they are counted.
 */
#include "stats.h"
#include "tls_impl.h"

static const struct {
	gnutls_cipher_algorithm_t gnutls;
	enum stats_cipher ours;
} ciphers[] = {
	{ GNUTLS_CIPHER_AES_128_GCM, CIPHER_AES_128_GCM },
	{ GNUTLS_CIPHER_AES_256_GCM, CIPHER_AES_256_GCM },
	{ GNUTLS_CIPHER_CHACHA20_POLY1305, CIPHER_CHACHA20_POLY1305 },
	{ GNUTLS_CIPHER_AES_128_CCM, CIPHER_AES_128_CCM },
	{ GNUTLS_CIPHER_AES_256_CCM, CIPHER_AES_256_CCM },
	{ GNUTLS_CIPHER_AES_128_CBC, CIPHER_AES_128_CBC },
	{ GNUTLS_CIPHER_AES_256_CBC, CIPHER_AES_256_CBC },
};

void
tls_count(const struct tls *t, enum stats_tls_version *version,
    enum stats_cipher *cipher)
{
	const gnutls_cipher_algorithm_t c = gnutls_cipher_get(t->session);
	size_t i;

	*version = gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3
	    ? STATS_TLS_1_3
	    : STATS_TLS_1_2;
	*cipher = CIPHER_OTHER;
	for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++)
		if (ciphers[i].gnutls == c)
			*cipher = ciphers[i].ours;
}
