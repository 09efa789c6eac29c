/* SPDX-License-Identifier: ISC */
/*
 * tls_key: GnuTLS's idea of our private keys, in a worker, which has none: a
 * signature is asked of the keeper, with what it signs laid open as far as
 * TLS allows.  The keeper is trusted; nothing of what it says is parsed here
 * but a signature, which the client checks.
 */
#include <sys/socket.h>
#include <sys/time.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "ipc.h"
#include "log.h"
#include "msg.h"
#include "tls_key.h"
#include "tls_scheme.h"
#include "xmalloc.h"

/*
 * How long a worker's loop may stand still for one signature.  An RSA-4096
 * one takes 8 ms, and several workers may wait for the same keeper.
 */
#define SIGN_TIMEOUT_MS 5000

#define HASH_MAX 64 /* octets of SHA-512 */

/* HelloRetryRequest is a ServerHello with this random (RFC 8446 4.1.3). */
static const unsigned char retry_random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5,
	0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
	0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8,
	0xa8, 0x33, 0x9c };

#define MESSAGE_HASH 254 /* HandshakeType (RFC 8446 4.4.1) */

#define TRANSCRIPT_MAX 262144 /* octets; GnuTLS takes half of it */

/*
 * The handshake's messages so far.  They are hashed when something is to be
 * signed: then the hash is known, and a session that resumes needs none.
 */
struct tls_transcript {
	struct buf messages;
	size_t
	    retried; /* octets before a HelloRetryRequest; 0: there was none */
	bool failed; /* too long */
};

struct tls_key {
	uint16_t number;
	gnutls_pk_algorithm_t pk;
	unsigned int bits;
};

static int channel = -1;
static uint32_t last_id;
static gnutls_session_t current;
static struct tls_transcript *current_transcript;

void
tls_key_set_channel(int fd)
{
	const struct timeval limit = { .tv_sec = SIGN_TIMEOUT_MS / 1000 };

	if (channel != -1)
		close(channel);
	channel = fd;
	if (fd != -1 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
	        -1)
		fatal("the channel to the keeper");
}

void
tls_key_set_current(gnutls_session_t s, struct tls_transcript *t)
{
	current = s;
	current_transcript = t;
}

struct tls_transcript *
tls_transcript_new(void)
{
	struct tls_transcript *t = xcalloc(1, sizeof(*t));

	buf_init(&t->messages, TRANSCRIPT_MAX);
	return t;
}

void
tls_transcript_free(struct tls_transcript **t)
{
	if (*t == NULL)
		return;
	buf_free(&(*t)->messages);
	free(*t);
	*t = NULL;
}

static bool
is_retry(unsigned int type, const void *body, size_t len)
{
	const unsigned char *p = body;

	if (type == GNUTLS_HANDSHAKE_HELLO_RETRY_REQUEST)
		return true;
	return type == GNUTLS_HANDSHAKE_SERVER_HELLO && len >= 34 &&
	    memcmp(p + 2, retry_random, sizeof(retry_random)) == 0;
}

void
tls_transcript_add(
    struct tls_transcript *t, unsigned int type, const void *body, size_t len)
{
	unsigned char head[4] = { (unsigned char)type,
		(unsigned char)(len >> 16), (unsigned char)(len >> 8),
		(unsigned char)len };

	if (is_retry(type, body, len)) {
		head[0] = GNUTLS_HANDSHAKE_SERVER_HELLO;
		t->retried = t->messages.len;
	} else if (type > UINT8_MAX) {
		return; /* GnuTLS's own number, not on the wire */
	}
	if (buf_append(&t->messages, head, sizeof(head)) == -1 ||
	    buf_append(&t->messages, body, len) == -1)
		t->failed = true;
}

/*
 * What was said before a HelloRetryRequest stays in the transcript as a
 * message that holds its hash alone (RFC 8446 4.4.1).
 */
static int
hash_retried(
    gnutls_hash_hd_t h, gnutls_digest_algorithm_t digest, struct text before)
{
	unsigned char message[4 + HASH_MAX] = { MESSAGE_HASH };

	message[3] = (unsigned char)gnutls_hash_get_len(digest);
	if (gnutls_hash_fast(digest, before.p, before.len, message + 4) != 0)
		return -1;
	return gnutls_hash(h, message, 4U + message[3]);
}

/* The transcript's hash; dst has room for HASH_MAX octets. */
static int
hash_transcript(
    const struct tls_transcript *t, gnutls_digest_algorithm_t digest, char *dst)
{
	struct text all = buf_view(&t->messages);
	struct text rest = text_skip(all, t->retried);
	gnutls_hash_hd_t h;
	int result = 0;

	if (t->failed || gnutls_hash_init(&h, digest) != 0)
		return -1;
	if (t->retried > 0)
		result =
		    hash_retried(h, digest, (struct text){ all.p, t->retried });
	if (result == 0)
		result = gnutls_hash(h, rest.p, rest.len);
	gnutls_hash_deinit(h, dst);
	return result;
}

/* The content of CertificateVerify (RFC 8446 4.4.3). */
static int
make_content(struct text *out, char *dst)
{
	const size_t n = TLS_CONTENT_PREFIX_LEN;
	gnutls_digest_algorithm_t digest =
	    (gnutls_digest_algorithm_t)gnutls_prf_hash_get(current);

	if (current_transcript == NULL ||
	    (digest != GNUTLS_DIG_SHA256 && digest != GNUTLS_DIG_SHA384))
		return -1;
	memcpy(dst, tls_content_prefix, n);
	*out = (struct text){ dst, n + gnutls_hash_get_len(digest) };
	return hash_transcript(current_transcript, digest, dst + n);
}

/* Does GnuTLS want to sign what we think?  If not, the keeper will not. */
static bool
same_content(const struct tls_scheme *s, struct text content,
    const gnutls_datum_t *asked)
{
	unsigned char hash[HASH_MAX];

	if (s->digest == GNUTLS_DIG_UNKNOWN)
		return asked->size == content.len &&
		    memcmp(asked->data, content.p, content.len) == 0;
	return gnutls_hash_fast(s->digest, content.p, content.len, hash) == 0 &&
	    asked->size == gnutls_hash_get_len(s->digest) &&
	    memcmp(asked->data, hash, asked->size) == 0;
}

static int
fill_signature(struct text in, gnutls_datum_t *out)
{
	if ((out->data = gnutls_malloc(in.len)) == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(out->data, in.p, in.len);
	out->size = (unsigned int)in.len;
	return 0;
}

/*
 * One request and its answer.  A channel that broke is given up: the master
 * sees the keeper's death and sends a new one.
 */
static int
ask_keeper(const struct msg_sign *m, gnutls_datum_t *signature)
{
	struct msg_sign_reply reply;
	struct writer w UNZEROED;
	struct reader r;
	char space[MSG_MAX] UNZEROED;
	bool broken;

	if (channel == -1)
		return GNUTLS_E_PK_SIGN_FAILED;
	msg_start(&w, MSG_SIGN, ++last_id);
	msg_put_sign(&w, m);
	if (ipc_call(channel, ROLE_WORKER, ROLE_KEEPER, &w, last_id,
	        MSG_SIGN_REPLY, SIGN_TIMEOUT_MS, space, &r) == -1) {
		broken = errno != ETIMEDOUT;
		log_warn("the keeper does not answer");
		if (broken)
			tls_key_set_channel(-1);
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	if (msg_get_sign_reply(&r, &reply) == -1) {
		log_warnx("the keeper's answer is malformed");
		tls_key_set_channel(-1);
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	if (!reply.ok || reply.signature.len == 0)
		return GNUTLS_E_PK_SIGN_FAILED;
	return fill_signature(reply.signature, signature);
}

static int
sign(const struct tls_key *k, const struct tls_scheme *s,
    const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	struct msg_sign m = { .key = k->number, .scheme = s->number };
	char content[TLS_CONTENT_PREFIX_LEN + HASH_MAX];

	m.data = (struct text){ (const char *)data->data, data->size };
	if (gnutls_protocol_get_version(current) == GNUTLS_TLS1_3) {
		m.content = 1;
		if (make_content(&m.data, content) == -1 ||
		    !same_content(s, m.data, data)) {
			log_warnx("GnuTLS signs another handshake than ours");
			return GNUTLS_E_PK_SIGN_FAILED;
		}
	}
	if (m.data.len > MSG_SIGN_MAX)
		return GNUTLS_E_PK_SIGN_FAILED;
	return ask_keeper(&m, signature);
}

/*
 * RSA PKCS #1 v1.5 comes as a DigestInfo to be signed raw (RFC 8017 9.2).
 * Only the digest goes to the keeper, which makes a DigestInfo of its own.
 */
static const struct tls_scheme *
open_digest_info(gnutls_datum_t *data, unsigned char *digest)
{
	gnutls_digest_algorithm_t algorithm;
	unsigned int len = HASH_MAX;

	if (gnutls_decode_ber_digest_info(data, &algorithm, digest, &len) != 0)
		return NULL;
	*data = (gnutls_datum_t){ digest, len };
	return tls_scheme_pkcs1(algorithm);
}

static int
sign_callback(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm,
    void *arg, unsigned int flags, const gnutls_datum_t *asked,
    gnutls_datum_t *signature)
{
	const struct tls_scheme *s;
	unsigned char digest[HASH_MAX];
	gnutls_datum_t data = *asked;

	(void)key;
	(void)flags;
	if (algorithm == GNUTLS_SIGN_RSA_RAW)
		s = open_digest_info(&data, digest);
	else
		s = tls_scheme_by_sign(algorithm);
	if (s == NULL || current == NULL)
		return GNUTLS_E_PK_SIGN_FAILED;
	return sign(arg, s, &data, signature);
}

static int
info_callback(gnutls_privkey_t key, unsigned int flags, void *arg)
{
	const struct tls_key *k = arg;
	const struct tls_scheme *s;

	(void)key;
	if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0)
		return (int)k->pk;
	if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0)
		return (int)k->bits;
	if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0) {
		s = tls_scheme_by_sign(GNUTLS_FLAGS_TO_SIGN_ALGO(flags));
		return s != NULL && tls_scheme_fits(s, k->pk, k->bits, false);
	}
	return -1;
}

static void
deinit_callback(gnutls_privkey_t key, void *arg)
{
	(void)key;
	free(arg);
}

gnutls_privkey_t
tls_key_new(uint16_t number, gnutls_pubkey_t pub)
{
	struct tls_key *k = xcalloc(1, sizeof(*k));
	gnutls_privkey_t key;
	int pk;

	if ((pk = gnutls_pubkey_get_pk_algorithm(pub, &k->bits)) < 0)
		fatalx("key %u: %s", (unsigned int)number, gnutls_strerror(pk));
	k->number = number;
	k->pk = (gnutls_pk_algorithm_t)pk;
	if (gnutls_privkey_init(&key) != 0 ||
	    gnutls_privkey_import_ext4(key, k, sign_callback, sign_callback,
	        NULL, deinit_callback, info_callback, 0) != 0)
		fatalx("key %u cannot be made", (unsigned int)number);
	return key;
}
