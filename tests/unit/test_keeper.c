/* SPDX-License-Identifier: ISC */
/*
 * keeper: which pairs are taken, what is signed and what is not, how often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "pki.h"
#include "tls_scheme.h"

enum { EC, EC384, RSA, ED, EXPIRED, FUTURE, ODD, NPAIRS };
static struct pki *pairs[NPAIRS];
static struct keeper_key *keys[ED + 1];

/* What `openssl ecparam -genkey` writes before the key. */
#define EC_PARAMETERS                                                          \
	"-----BEGIN EC PARAMETERS-----\n"                                      \
	"BggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

/* Forms in which a key may come; each returns its PEM in dst. */
static void
as_it_is(const struct pki *p, char *dst, size_t size)
{
	strlcpy(dst, p->key, size);
}

static void
export_encrypted(const struct pki *p, char *dst, size_t size)
{
	pki_ok(gnutls_x509_privkey_export_pkcs8(p->x, GNUTLS_X509_FMT_PEM,
	    "open sesame", GNUTLS_PKCS_PBES2_AES_256, dst, &size));
}

static void
export_traditional(const struct pki *p, char *dst, size_t size)
{
	size_t head;

	head = strlcpy(dst, EC_PARAMETERS, size);
	size -= head;
	pki_ok(gnutls_x509_privkey_export(
	    p->x, GNUTLS_X509_FMT_PEM, dst + head, &size));
}

static void
cut_short(const struct pki *p, char *dst, size_t size)
{
	strlcpy(dst, p->key, size);
	dst[strlen(dst) / 2] = '\0';
}

static void
nothing(const struct pki *p, char *dst, size_t size)
{
	(void)p;
	(void)size;
	*dst = '\0';
}

typedef void key_form(const struct pki *, char *, size_t);

static const struct {
	int cert, key;
	key_form *form;
	const char *passphrase;
	const char *why; /* a word of it; NULL: taken */
} pair_cases[] = {
	{ EC, EC, as_it_is, NULL, NULL },
	{ EC, EC, as_it_is, "not needed\n", NULL },
	{ EC, EC, export_traditional, NULL, NULL },
	{ EC384, EC384, as_it_is, NULL, NULL },
	{ RSA, RSA, as_it_is, NULL, NULL },
	{ ED, ED, as_it_is, NULL, NULL },
	{ EXPIRED, EXPIRED, as_it_is, NULL, NULL },
	{ EC, EC, export_encrypted, "open sesame\n", NULL },
	{ EC, EC, export_encrypted, "open sesame\r\nline 2\n", NULL },
	{ EC, EC, export_encrypted, "open sesame", NULL },
	{ EC, EC, export_encrypted, "open", "with the passphrase" },
	{ EC, EC, export_encrypted, "\n", "with the passphrase" },
	{ EC, EC, export_encrypted, NULL, "no passphrase" },
	{ EC, EC384, as_it_is, NULL, "not that of" },
	{ EC, RSA, as_it_is, NULL, "not that of" },
	{ EC, FUTURE, as_it_is, NULL, "not that of" },
	{ EC, EC, cut_short, NULL, "not a private key" },
	{ EC, EC, nothing, NULL, "not a private key" },
	{ ODD, ODD, as_it_is, NULL, "another kind" },
};

static void
test_pairs(void **state)
{
	struct keeper_key *k;
	const char *why;
	char key[8192];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pair_cases) / sizeof(pair_cases[0]); i++) {
		pair_cases[i].form(pairs[pair_cases[i].key], key, sizeof(key));
		k = keeper_key_new(text_of(pairs[pair_cases[i].cert]->cert),
		    text_of(key), text_of(pair_cases[i].passphrase), &why);
		if (pair_cases[i].why == NULL && k == NULL)
			fail_msg("case %zu: %s", i, why);
		if (pair_cases[i].why != NULL &&
		    (k != NULL || strstr(why, pair_cases[i].why) == NULL))
			fail_msg("case %zu: %s", i, k != NULL ? "ok" : why);
		keeper_key_free(&k);
		assert_null(k);
	}
}

static void
test_certificate_files(void **state)
{
	struct text key = text_of(pairs[EC]->key);
	const char *why;
	char *both = xasprintf("%s%s", pairs[EC]->cert, pairs[EC]->key);
	char *chain = xasprintf("%s%s", pairs[EC]->cert, pairs[RSA]->cert);
	char *swapped = xasprintf("%s%s", pairs[RSA]->cert, pairs[EC]->cert);
	struct keeper_key *k;

	(void)state;
	k = keeper_key_new(text_of(chain), key, TEXT_NONE, &why);
	assert_non_null(k);
	keeper_key_free(&k);
	assert_null(keeper_key_new(text_of(swapped), key, TEXT_NONE, &why));
	assert_non_null(strstr(why, "first certificate"));
	/* workers would see it */
	assert_null(keeper_key_new(text_of(both), key, TEXT_NONE, &why));
	assert_non_null(strstr(why, "holds a private key"));
	assert_null(keeper_key_new(TEXT_LIT("oh"), key, TEXT_NONE, &why));
	assert_non_null(strstr(why, "not one in PEM"));
	assert_null(keeper_key_new(TEXT_NONE, key, TEXT_NONE, &why));
	free(both);
	free(chain);
	free(swapped);
}

static void
test_dates(void **state)
{
	static const struct {
		int pair;
		const char *word;
	} cases[] = { { EC, NULL }, { EXPIRED, "expired" },
		{ FUTURE, "not valid yet" } };
	struct keeper_key *k;
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k = keeper_key_new(text_of(pairs[cases[i].pair]->cert),
		    text_of(pairs[cases[i].pair]->key), TEXT_NONE, &why);
		assert_non_null(k);
		why = keeper_key_dates(k, time(NULL));
		if (cases[i].word == NULL)
			assert_null(why);
		else
			assert_non_null(strstr(why, cases[i].word));
		keeper_key_free(&k);
	}
}

/* What a request's data is like: its form, then how long. */
#define CONTENT 1 /* 64 spaces, the context, NUL, and so many octets */
#define DIGEST 2  /* so many octets */
#define PARAMS 3  /* randoms, curve, and a point of so many octets */
#define LYING 4   /* the same, but the point says it is one shorter */

static struct text
make_data(int form, size_t n, char *dst)
{
	memset(dst, 'd', 4096);
	if (form == CONTENT) {
		memcpy(dst, tls_content_prefix, TLS_CONTENT_PREFIX_LEN);
		n += TLS_CONTENT_PREFIX_LEN;
	}
	if (form == PARAMS || form == LYING) {
		dst[64] = 3;
		dst[67] = (char)(form == LYING ? n - 1 : n);
		n += 68;
	}
	return (struct text){ dst, n };
}

static const struct {
	int key;
	uint16_t scheme;
	uint8_t content;
	bool tls12;
	int form;
	size_t n;
	enum keeper_result result;
} sign_cases[] = {
	/* TLS 1.3, and TLS 1.2 being on or off makes no difference */
	{ EC, 0x0403, 1, false, CONTENT, 32, KEEPER_SIGNED },
	{ EC, 0x0403, 1, true, CONTENT, 48, KEEPER_SIGNED },
	{ EC384, 0x0503, 1, false, CONTENT, 48, KEEPER_SIGNED },
	{ RSA, 0x0804, 1, false, CONTENT, 32, KEEPER_SIGNED },
	{ RSA, 0x0805, 1, false, CONTENT, 32, KEEPER_SIGNED },
	{ RSA, 0x0806, 1, false, CONTENT, 32, KEEPER_SIGNED },
	{ ED, 0x0807, 1, false, CONTENT, 32, KEEPER_SIGNED },
	/* a scheme that is another key's */
	{ EC, 0x0503, 1, true, CONTENT, 32, KEEPER_REFUSED },
	{ EC, 0x0804, 1, true, CONTENT, 32, KEEPER_REFUSED },
	{ RSA, 0x0403, 1, true, CONTENT, 32, KEEPER_REFUSED },
	{ ED, 0x0403, 1, true, CONTENT, 32, KEEPER_REFUSED },
	{ EC, 0x0807, 1, true, CONTENT, 32, KEEPER_REFUSED },
	/* no content of TLS 1.3, or a scheme that it does not have */
	{ EC, 0x0403, 1, true, CONTENT, 0, KEEPER_WRONG },
	{ EC, 0x0403, 1, true, CONTENT, 31, KEEPER_WRONG },
	{ EC, 0x0403, 1, true, CONTENT, 33, KEEPER_WRONG },
	{ EC, 0x0403, 1, true, CONTENT, 64, KEEPER_WRONG },
	{ EC, 0x0403, 1, true, DIGEST, 32, KEEPER_WRONG },
	{ EC, 0x0403, 1, true, DIGEST, 0, KEEPER_WRONG },
	{ ED, 0x0807, 1, true, PARAMS, 32, KEEPER_WRONG },
	{ RSA, 0x0401, 1, true, CONTENT, 32, KEEPER_WRONG },
	{ EC, 0x0203, 1, true, CONTENT, 32, KEEPER_WRONG }, /* SHA-1 */
	{ EC, 0, 1, true, CONTENT, 32, KEEPER_WRONG },
	/* TLS 1.2 */
	{ EC, 0x0403, 0, true, DIGEST, 32, KEEPER_SIGNED },
	{ EC, 0x0503, 0, true, DIGEST, 48, KEEPER_SIGNED },
	{ EC, 0x0603, 0, true, DIGEST, 64, KEEPER_SIGNED },
	{ EC384, 0x0403, 0, true, DIGEST, 32, KEEPER_SIGNED },
	{ RSA, 0x0401, 0, true, DIGEST, 32, KEEPER_SIGNED },
	{ RSA, 0x0501, 0, true, DIGEST, 48, KEEPER_SIGNED },
	{ RSA, 0x0601, 0, true, DIGEST, 64, KEEPER_SIGNED },
	{ RSA, 0x0804, 0, true, DIGEST, 32, KEEPER_SIGNED },
	{ ED, 0x0807, 0, true, PARAMS, 32, KEEPER_SIGNED },
	{ ED, 0x0807, 0, true, PARAMS, 133, KEEPER_SIGNED },
	/* but not where TLS 1.3 is all there is */
	{ EC, 0x0403, 0, false, DIGEST, 32, KEEPER_REFUSED },
	{ RSA, 0x0401, 0, false, DIGEST, 32, KEEPER_REFUSED },
	{ ED, 0x0807, 0, false, PARAMS, 32, KEEPER_REFUSED },
	/* digests of another length; RSA is no raw oracle (51: DigestInfo) */
	{ EC, 0x0403, 0, true, DIGEST, 31, KEEPER_WRONG },
	{ EC, 0x0403, 0, true, DIGEST, 48, KEEPER_WRONG },
	{ EC, 0x0403, 0, true, CONTENT, 32, KEEPER_WRONG },
	{ RSA, 0x0401, 0, true, DIGEST, 51, KEEPER_WRONG },
	{ RSA, 0x0401, 0, true, DIGEST, 256, KEEPER_WRONG },
	{ RSA, 0x0201, 0, true, DIGEST, 20, KEEPER_WRONG },
	{ ED, 0x0807, 0, true, DIGEST, 32, KEEPER_WRONG },
	{ ED, 0x0807, 0, true, DIGEST, 0, KEEPER_WRONG },
	{ ED, 0x0807, 0, true, PARAMS, 0, KEEPER_WRONG },
	{ ED, 0x0807, 0, true, LYING, 32, KEEPER_WRONG },
	{ ED, 0x0807, 0, true, CONTENT, 32, KEEPER_WRONG },
	{ RSA, 0x0403, 0, true, DIGEST, 32, KEEPER_REFUSED },
};

/* GnuTLS's own opinion of the signature. */
static int
check_signature(
    const struct pki *p, const struct msg_sign *m, char *sig, size_t siglen)
{
	const struct tls_scheme *s = tls_scheme_by_number(m->scheme);
	gnutls_datum_t d = { xmalloc(m->data.len), (unsigned int)m->data.len };
	gnutls_datum_t g = { (unsigned char *)sig, (unsigned int)siglen };
	gnutls_pubkey_t pub;
	int error;

	memcpy(d.data, m->data.p, m->data.len);
	pki_ok(gnutls_pubkey_init(&pub));
	pki_ok(gnutls_pubkey_import_x509(pub, p->crt, 0));
	if (m->content || s->digest == GNUTLS_DIG_UNKNOWN)
		error = gnutls_pubkey_verify_data2(pub, s->sign, 0, &d, &g);
	else
		error = gnutls_pubkey_verify_hash2(pub, s->sign12, 0, &d, &g);
	gnutls_pubkey_deinit(pub);
	free(d.data);
	return error;
}

static void
test_sign(void **state)
{
	static char data[4096];
	char sig[MSG_SIGNATURE_MAX];
	struct msg_sign m;
	enum keeper_result result;
	size_t i, siglen;

	(void)state;
	for (i = 0; i < sizeof(sign_cases) / sizeof(sign_cases[0]); i++) {
		m = (struct msg_sign){ .scheme = sign_cases[i].scheme,
			.content = sign_cases[i].content,
			.data = make_data(
			    sign_cases[i].form, sign_cases[i].n, data) };
		siglen = 0;
		result = keeper_sign(keys[sign_cases[i].key], &m,
		    sign_cases[i].tls12, sig, &siglen);
		if (result != sign_cases[i].result)
			fail_msg("case %zu: %d", i, (int)result);
		if (result == KEEPER_SIGNED &&
		    check_signature(pairs[sign_cases[i].key], &m, sig, siglen) <
		        0)
			fail_msg("case %zu: a wrong signature", i);
	}
}

/* Any octet of what precedes the hash being another, any other length. */
static void
test_content_octets(void **state)
{
	static char data[4096];
	char sig[MSG_SIGNATURE_MAX];
	struct msg_sign m = { .scheme = 0x0403, .content = 1 };
	size_t i, siglen;

	(void)state;
	m.data = make_data(CONTENT, 32, data);
	for (i = 0; i < TLS_CONTENT_PREFIX_LEN; i++) {
		data[i] ^= 1;
		assert_int_equal(keeper_sign(keys[EC], &m, true, sig, &siglen),
		    KEEPER_WRONG);
		data[i] ^= 1;
	}
	for (m.data.len = 0; m.data.len <= MSG_SIGN_MAX; m.data.len++)
		assert_int_equal(keeper_sign(keys[EC], &m, true, sig, &siglen),
		    m.data.len == 130 || m.data.len == 146 ? KEEPER_SIGNED
		                                           : KEEPER_WRONG);
	memcpy(data + 64, "TLS 1.3, client", 15);
	m.data.len = 130;
	assert_int_equal(
	    keeper_sign(keys[EC], &m, true, sig, &siglen), KEEPER_WRONG);
}

static unsigned int
drain(struct keeper_bucket *b, uint64_t now)
{
	unsigned int n = 0;

	while (n <= 2 * KEEPER_DIGESTS_PER_SECOND && keeper_bucket_take(b, now))
		n++;
	return n;
}

static void
test_bucket(void **state)
{
	struct keeper_bucket b = { .last_ms = 5000 };
	unsigned int n = 0;
	uint64_t t;

	(void)state;
	assert_int_equal(drain(&b, 5000), KEEPER_DIGESTS_PER_SECOND);
	assert_int_equal(drain(&b, 5000), 0);
	assert_int_equal(drain(&b, 5001), KEEPER_DIGESTS_PER_SECOND / 1000);
	assert_int_equal(drain(&b, 5501), KEEPER_DIGESTS_PER_SECOND / 2);
	/* never more than a second's worth is saved up */
	assert_int_equal(drain(&b, 3600000), KEEPER_DIGESTS_PER_SECOND);
	for (t = 3600001; t <= 3610000; t++)
		n += drain(&b, t);
	assert_int_equal(n, 10 * KEEPER_DIGESTS_PER_SECOND);
}

static void
make_pairs(void)
{
	pairs[EC] = pki_new((struct pki_wish){ .names = { "a.example" } });
	pairs[EC384] = pki_new((struct pki_wish){ .names = { "b.example" },
	    .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1) });
	pairs[RSA] = pki_new(
	    (struct pki_wish){ .names = { "c.example" }, .pk = GNUTLS_PK_RSA });
	pairs[ED] = pki_new((struct pki_wish){ .names = { "d.example" },
	    .pk = GNUTLS_PK_EDDSA_ED25519,
	    .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519) });
	pairs[EXPIRED] = pki_new((struct pki_wish){
	    .names = { "e.example" }, .from = -9 * DAY, .until = -2 * DAY });
	pairs[FUTURE] = pki_new(
	    (struct pki_wish){ .names = { "f.example" }, .from = 9 * DAY });
	pairs[ODD] = pki_new((struct pki_wish){ .names = { "g.example" },
	    .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP224R1) });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_certificate_files),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_content_octets),
		cmocka_unit_test(test_bucket),
	};
	const char *why;
	int failed, i;

	make_pairs();
	for (i = EC; i <= ED; i++)
		keys[i] = keeper_key_new(text_of(pairs[i]->cert),
		    text_of(pairs[i]->key), TEXT_NONE, &why);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (i = EC; i <= ED; i++)
		keeper_key_free(&keys[i]);
	for (i = 0; i < NPAIRS; i++)
		pki_free(&pairs[i]);
	return failed;
}
