/* SPDX-License-Identifier: ISC */
/*
 * fuzz_keeper: what a worker, which may have been taken over, has a keeper
 * sign: the end of a TLS handshake and nothing else.
 */
#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "fuzz.h"
#include "keeper_sign.h"

#define CONTENT "TLS 1.3, server CertificateVerify"

static struct keeper_key *keys[2];

static void
ok(int error)
{
	if (error < 0)
		fprintf(stderr, "%s\n", gnutls_strerror(error));
	MUST(error >= 0);
}

/* A pair of its own, the same for all inputs. */
static struct keeper_key *
make_key(gnutls_pk_algorithm_t kind, unsigned int bits)
{
	struct keeper_key *k;
	gnutls_x509_privkey_t x;
	gnutls_x509_crt_t crt;
	gnutls_datum_t a, b;
	const char *why = NULL;

	ok(gnutls_x509_privkey_init(&x));
	ok(gnutls_x509_privkey_generate(x, kind, bits, 0));
	ok(gnutls_x509_crt_init(&crt));
	ok(gnutls_x509_crt_set_version(crt, 3));
	ok(gnutls_x509_crt_set_serial(crt, "\1", 1));
	ok(gnutls_x509_crt_set_activation_time(crt, 1000000000));
	ok(gnutls_x509_crt_set_expiration_time(crt, 4000000000));
	ok(gnutls_x509_crt_set_key(crt, x));
	ok(gnutls_x509_crt_sign2(
	    crt, crt, x, bits == 0 ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256, 0));
	ok(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &a));
	ok(gnutls_x509_privkey_export2_pkcs8(
	    x, GNUTLS_X509_FMT_PEM, NULL, 0, &b));
	k = keeper_key_new((struct text){ (char *)a.data, a.size },
	    (struct text){ (char *)b.data, b.size }, TEXT_NONE, &why);
	if (k == NULL)
		fprintf(stderr, "%s\n", why);
	MUST(k != NULL);
	gnutls_free(a.data);
	gnutls_free(b.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(x);
	return k;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	keys[0] = make_key(GNUTLS_PK_EDDSA_ED25519, 0);
	keys[1] = make_key(
	    GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	return 0;
}

/* RFC 8446 4.4.3: 64 blanks, the context, a NUL, a transcript's hash. */
static bool
is_content13(struct text t)
{
	const size_t n = 64 + sizeof(CONTENT);
	size_t i;

	for (i = 0; i < 64 && i < t.len; i++)
		if (t.p[i] != ' ')
			return false;
	return (t.len == n + 32 || t.len == n + 48) &&
	    memcmp(t.p + 64, CONTENT, sizeof(CONTENT)) == 0;
}

/* What is not TLS 1.3's may be a digest, or TLS 1.2's for Ed25519. */
static void
check_signed(const struct msg_sign *m, bool tls12)
{
	if (m->content)
		MUST(is_content13(m->data));
	else
		MUST(tls12 &&
		    (m->data.len == 32 || m->data.len == 48 ||
		        m->data.len == 64 ||
		        (m->data.len > 68 && m->data.p[64] == 3)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in);
	struct text t = fuzz_copy(in.p, in.left);
	struct reader r = { t.p, t.len };
	struct msg_sign m;
	char sig[MSG_SIGNATURE_MAX];
	size_t n = 0;
	enum keeper_result result;

	if (msg_get_sign(&r, &m) == 0) {
		result = keeper_sign(keys[flags & 1], &m, flags & 2, sig, &n);
		if (result == KEEPER_SIGNED) {
			MUST(n > 0 && n <= sizeof(sig));
			check_signed(&m, flags & 2);
		} else if (result == KEEPER_REFUSED && m.content) {
			MUST(is_content13(m.data));
		}
	}
	fuzz_free(t);
	return 0;
}
