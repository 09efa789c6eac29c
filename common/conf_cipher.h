/* SPDX-License-Identifier: ISC */
/*
 * conf_cipher: OpenSSL's cipher strings (ciphers(1)), as Perdition's files
 * have them, to what GnuTLS is told.  Such a string can leave suites out and
 * put them in order; it cannot bring back what Relais does not offer: only
 * suites with forward secrecy (ECDHE), and with an AEAD cipher where TLS 1.2
 * is the least that is spoken.
 */
#ifndef CONF_CIPHER_H
#define CONF_CIPHER_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

enum conf_cipher {
	CIPHER_AES_256_GCM,
	CIPHER_AES_128_GCM,
	CIPHER_CHACHA20_POLY1305,
	CIPHER_AES_256_CBC, /* with SHA-1; for TLS before 1.2 */
	CIPHER_AES_128_CBC,
	CIPHER_MAX
};

struct conf_ciphers {
	enum conf_cipher order[CIPHER_MAX]; /* the one to be preferred first */
	size_t n;
	bool rsa, ecdsa; /* which certificates */
};

/* What is offered unless a string says otherwise; cbc: for old versions. */
void conf_cipher_default(bool cbc, struct conf_ciphers *out);

/*
 * Evaluate a string.  NULL when it went well, else why not (static); *word
 * is then what that is about, or the whole string.
 */
const char *conf_cipher_map(
    struct text string, bool cbc, struct conf_ciphers *out, struct text *word);

#endif
