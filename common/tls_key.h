/* SPDX-License-Identifier: ISC */
/*
 * tls_key: a key object in a worker whose signatures the keeper makes.  The
 * worker blocks while the keeper signs (GnuTLS cannot wait there: E_AGAIN
 * ruins the handshake), with a deadline; on a dead channel the handshake
 * fails and the master, who sees the keeper's death, sends a new channel.
 */
#ifndef TLS_KEY_H
#define TLS_KEY_H

#include <gnutls/abstract.h>
#include <stdint.h>

/* The channel to the keeper; -1: there is none at present.  Takes over fd. */
void tls_key_set_channel(int fd);

/* A private key (the caller's) for pair number key with this certificate. */
gnutls_privkey_t tls_key_new(uint16_t key, gnutls_pubkey_t pub);

/*
 * The handshake that is being worked on, whose messages tls.c records: the
 * content of a TLS 1.3 signature is worked out from them, so that the keeper
 * can see what it signs (RFC 8446 4.4.3).
 */
struct tls_transcript;
struct tls_transcript *tls_transcript_new(void);
void tls_transcript_free(struct tls_transcript **t);
void tls_transcript_add(
    struct tls_transcript *t, unsigned int type, const void *body, size_t len);
/* Which session signs next; NULL: none. */
void tls_key_set_current(gnutls_session_t s, struct tls_transcript *t);

#endif
