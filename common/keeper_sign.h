/* SPDX-License-Identifier: ISC */
/*
 * keeper_sign: what the keeper does with a key, without its processes: parse
 * a pair and check it, decide on a sign request, make the signature.
 */
#ifndef KEEPER_SIGN_H
#define KEEPER_SIGN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "msg.h"
#include "text.h"

struct keeper_key;

/*
 * A certificate chain in PEM (the server's own first) and its private key in
 * PEM, encrypted perhaps: then with the first line of passphrase.  Both may be
 * the same octets.  NULL and a
 * clause for the log in *why (static) when they cannot be used.
 */
struct keeper_key *keeper_key_new(struct text cert, struct text key,
    struct text passphrase, const char **why);
void keeper_key_free(struct keeper_key **k);

bool keeper_key_is_rsa(const struct keeper_key *k);

/* A clause about the certificate's dates, or NULL when now is in between. */
const char *keeper_key_dates(const struct keeper_key *k, time_t now);

enum keeper_result {
	KEEPER_SIGNED,
	KEEPER_REFUSED, /* not with this key or not now; or GnuTLS failed */
	KEEPER_WRONG    /* no worker of ours asks this: the peer is broken */
};

/*
 * Sign what m asks for.  With m->content, data must be what a TLS 1.3 server
 * signs in CertificateVerify (RFC 8446 4.4.3).  Without, and only with tls12,
 * it is what GnuTLS signs in TLS 1.2: a digest of the scheme's length, or for
 * Ed25519, which takes no digest, the randoms and parameters themselves (RFC
 * 8422 5.4).  sig has MSG_SIGNATURE_MAX octets.
 */
enum keeper_result keeper_sign(const struct keeper_key *k,
    const struct msg_sign *m, bool tls12, char *sig, size_t *siglen);

/*
 * How often a worker may ask for what the keeper cannot look into.  The rate
 * is far above what a processor can sign; it bounds what a captured worker
 * gets out of hours of asking.
 */
#define KEEPER_DIGESTS_PER_SECOND 2000
struct keeper_bucket {
	uint64_t last_ms; /* when it was filled */
	uint64_t spent;   /* in thousandths, so that no refill is lost */
};
/* Take one; false: it is empty.  now_ms does not go backwards. */
bool keeper_bucket_take(struct keeper_bucket *b, uint64_t now_ms);

#endif
