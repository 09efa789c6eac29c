/* SPDX-License-Identifier: ISC */
/*
 * keeper_sign: private keys and what is signed with them.  Runs in the
 * keeper.  It trusts the administrator's files to be no worse than broken and
 * a worker not at all: what it signs must have a form that only a TLS server
 * signs, as far as TLS lets that be seen.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "keeper_sign.h"
#include "tls_scheme.h"
#include "xmalloc.h"

#define PASSPHRASE_MAX 1024 /* octets of its line */

/* In what Ed25519 signs in TLS 1.2, the curve's parameters (RFC 8422 5.4). */
#define RANDOMS_LEN 64 /* the client's and the server's */
#define NAMED_CURVE 3  /* ECCurveType */

struct keeper_key {
	gnutls_privkey_t key;
	gnutls_pk_algorithm_t pk;
	unsigned int bits;
	time_t not_before, not_after;
};

static gnutls_datum_t
datum_of(struct text t)
{
	union {
		const char *in;
		unsigned char *out; /* GnuTLS's datum is for both directions */
	} p = { .in = t.p };

	return (gnutls_datum_t){ p.out, (unsigned int)t.len };
}

/* Take the first line as a string; it may be longer in a file than it is. */
static int
passphrase_line(struct text in, char *dst, size_t size)
{
	struct text line;

	if (!text_split(&in, '\n', &line))
		return -1;
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	if (line.len >= size || text_has(line, '\0'))
		return -1;
	memcpy(dst, line.p, line.len);
	dst[line.len] = '\0';
	return 0;
}

static int
import_key(gnutls_x509_privkey_t x, struct text key, struct text passphrase,
    const char **why)
{
	gnutls_datum_t d = datum_of(key);
	char line[PASSPHRASE_MAX];
	int error;

	error =
	    gnutls_x509_privkey_import2(x, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (error == GNUTLS_E_SUCCESS)
		return 0;
	if (error != GNUTLS_E_DECRYPTION_FAILED) {
		*why = "its key is not a private key in PEM";
		return -1;
	}
	if (passphrase_line(passphrase, line, sizeof(line)) == -1) {
		*why = "its key is encrypted and there is no passphrase";
		return -1;
	}
	error =
	    gnutls_x509_privkey_import2(x, &d, GNUTLS_X509_FMT_PEM, line, 0);
	explicit_bzero(line, sizeof(line));
	if (error == GNUTLS_E_SUCCESS)
		return 0;
	*why = "its key cannot be decrypted with the passphrase";
	return -1;
}

/* Is crt the certificate of this key? */
static bool
same_key(gnutls_x509_crt_t crt, gnutls_x509_privkey_t x)
{
	unsigned char a[64], b[64];
	size_t na = sizeof(a), nb = sizeof(b);

	return gnutls_x509_crt_get_key_id(
	           crt, GNUTLS_KEYID_USE_SHA256, a, &na) == 0 &&
	    gnutls_x509_privkey_get_key_id(
	        x, GNUTLS_KEYID_USE_SHA256, b, &nb) == 0 &&
	    na == nb && memcmp(a, b, na) == 0;
}

/*
 * A certificate's file is open to more people than a key's: it is no place
 * for a key, but where it is said to be both (ssl_cert_dir).
 */
static bool
has_private_key(struct text t)
{
	return memmem(t.p, t.len, "PRIVATE KEY-----", 16) != NULL;
}

static int
import_cert(
    gnutls_x509_crt_t crt, struct text cert, bool combined, const char **why)
{
	gnutls_datum_t d = datum_of(cert);

	if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM) != 0) {
		*why = "its certificate is not one in PEM";
		return -1;
	}
	if (!combined && has_private_key(cert)) {
		*why = "its certificate's file holds a private key too, which "
		       "processes that read from the network would then see: "
		       "put each into a file of its own";
		return -1;
	}
	return 0;
}

static struct keeper_key *
pair_of(gnutls_x509_crt_t crt, gnutls_x509_privkey_t x, const char **why)
{
	struct keeper_key *k = xcalloc(1, sizeof(*k));

	k->not_before = gnutls_x509_crt_get_activation_time(crt);
	k->not_after = gnutls_x509_crt_get_expiration_time(crt);
	if (!same_key(crt, x))
		*why = "its key is not that of its first certificate";
	else if (gnutls_privkey_init(&k->key) != 0 ||
	    gnutls_privkey_import_x509(k->key, x, GNUTLS_PRIVKEY_IMPORT_COPY) !=
	        0)
		*why = "its key cannot be used";
	else {
		k->pk = gnutls_privkey_get_pk_algorithm(k->key, &k->bits);
		if (tls_scheme_key_known(k->pk, k->bits))
			return k;
		*why = "its key is of another kind than RSA, ECDSA (P-256, "
		       "P-384, P-521) and Ed25519";
	}
	keeper_key_free(&k);
	return NULL;
}

struct keeper_key *
keeper_key_new(
    struct text cert, struct text key, struct text passphrase, const char **why)
{
	struct keeper_key *k = NULL;
	gnutls_x509_crt_t crt = NULL;
	gnutls_x509_privkey_t x = NULL;

	*why = "there is no memory for it";
	if (gnutls_x509_crt_init(&crt) == 0 &&
	    gnutls_x509_privkey_init(&x) == 0 &&
	    import_cert(crt, cert, cert.p == key.p, why) == 0 &&
	    import_key(x, key, passphrase, why) == 0)
		k = pair_of(crt, x, why);
	if (x != NULL)
		gnutls_x509_privkey_deinit(x);
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	return k;
}

void
keeper_key_free(struct keeper_key **k)
{
	if (*k == NULL)
		return;
	if ((*k)->key != NULL)
		gnutls_privkey_deinit((*k)->key);
	free(*k);
	*k = NULL;
}

bool
keeper_key_is_rsa(const struct keeper_key *k)
{
	return k->pk == GNUTLS_PK_RSA;
}

const char *
keeper_key_dates(const struct keeper_key *k, time_t now)
{
	if (now > k->not_after)
		return "its certificate is expired";
	if (now < k->not_before)
		return "its certificate is not valid yet";
	return NULL;
}

/* Exactly what a TLS 1.3 server signs, with a hash that a suite of it has? */
static bool
is_content13(struct text t)
{
	const size_t n = TLS_CONTENT_PREFIX_LEN;

	return (t.len == n + 32 || t.len == n + 48) &&
	    memcmp(t.p, tls_content_prefix, n) == 0;
}

/* Two randoms, a named curve, a point that fills the rest (RFC 8422 5.4). */
static bool
is_content12(struct text t)
{
	size_t n = RANDOMS_LEN + 4; /* type, curve (2 octets), length */

	return t.len > n && t.p[RANDOMS_LEN] == NAMED_CURVE &&
	    (unsigned char)t.p[n - 1] == t.len - n;
}

static bool
is_well_formed(const struct tls_scheme *s, const struct msg_sign *m)
{
	if (m->content)
		return s->in13 && is_content13(m->data);
	if (s->digest == GNUTLS_DIG_UNKNOWN)
		return is_content12(m->data);
	return m->data.len == gnutls_hash_get_len(s->digest);
}

enum keeper_result
keeper_sign(const struct keeper_key *k, const struct msg_sign *m, bool tls12,
    char *sig, size_t *siglen)
{
	const struct tls_scheme *s = tls_scheme_by_number(m->scheme);
	gnutls_datum_t data = datum_of(m->data), out = { NULL, 0 };
	enum keeper_result result = KEEPER_REFUSED;
	int error;

	if (s == NULL || !is_well_formed(s, m))
		return KEEPER_WRONG;
	if (!m->content && !tls12)
		return KEEPER_REFUSED;
	if (!tls_scheme_fits(s, k->pk, k->bits, m->content))
		return KEEPER_REFUSED;
	if (m->content || s->digest == GNUTLS_DIG_UNKNOWN)
		error =
		    gnutls_privkey_sign_data2(k->key, s->sign, 0, &data, &out);
	else
		error = gnutls_privkey_sign_hash2(
		    k->key, s->sign12, 0, &data, &out);
	if (error == 0 && out.size <= MSG_SIGNATURE_MAX) {
		memcpy(sig, out.data, out.size);
		*siglen = out.size;
		result = KEEPER_SIGNED;
	}
	gnutls_free(out.data);
	return result;
}

bool
keeper_bucket_take(struct keeper_bucket *b, uint64_t now_ms)
{
	const uint64_t one = 1000, full = KEEPER_DIGESTS_PER_SECOND * one;
	uint64_t passed = now_ms - b->last_ms, refill = full;

	if (passed < 1000)
		refill = passed * KEEPER_DIGESTS_PER_SECOND;
	b->last_ms = now_ms;
	b->spent = b->spent > refill ? b->spent - refill : 0;
	if (b->spent + one > full)
		return false;
	b->spent += one;
	return true;
}
