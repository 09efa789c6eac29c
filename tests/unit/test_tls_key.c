/* SPDX-License-Identifier: ISC */
/*
 * tls_key: handshakes of a GnuTLS server whose key is in a keeper's process,
 * for each kind of key and TLS version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>

#include "pki.h"

struct end {
	gnutls_session_t s;
	struct wire *in, *out;
	struct tls_transcript *transcript;
	int retries; /* HelloRetryRequests seen */
};

static struct wire to_server, to_client;

static ssize_t
push(gnutls_transport_ptr_t arg, const void *p, size_t n)
{
	struct end *e = arg;

	wire_put(e->out, p, n);
	return (ssize_t)n;
}

static ssize_t
pull(gnutls_transport_ptr_t arg, void *p, size_t n)
{
	struct end *e = arg;

	if (e->in->len > 0)
		return (ssize_t)wire_get(e->in, p, n);
	gnutls_transport_set_errno(e->s, EAGAIN);
	return -1;
}

static int
hook(gnutls_session_t s, unsigned int type, unsigned int when,
    unsigned int incoming, const gnutls_datum_t *msg)
{
	struct end *e = gnutls_session_get_ptr(s);

	(void)when;
	(void)incoming;
	if (type == GNUTLS_HANDSHAKE_HELLO_RETRY_REQUEST ||
	    (type == GNUTLS_HANDSHAKE_SERVER_HELLO && msg->size > 2 &&
	        msg->data[2] == 0xcf && msg->data[3] == 0x21))
		e->retries++;
	tls_transcript_add(e->transcript, type, msg->data, msg->size);
	return 0;
}

static void
end_start(struct end *e, unsigned int flags, const char *priority,
    gnutls_certificate_credentials_t cred)
{
	pki_ok(gnutls_init(&e->s, flags | GNUTLS_NONBLOCK));
	pki_ok(gnutls_priority_set_direct(e->s, priority, NULL));
	pki_ok(gnutls_credentials_set(e->s, GNUTLS_CRD_CERTIFICATE, cred));
	gnutls_session_set_ptr(e->s, e);
	gnutls_transport_set_ptr(e->s, e);
	gnutls_transport_set_push_function(e->s, push);
	gnutls_transport_set_pull_function(e->s, pull);
	gnutls_handshake_set_timeout(e->s, 0);
}

static int
run(struct end *s, struct end *c)
{
	int es = GNUTLS_E_AGAIN, ec = GNUTLS_E_AGAIN, i;

	for (i = 0; i < 10 && (es == GNUTLS_E_AGAIN || ec == GNUTLS_E_AGAIN);
	     i++) {
		if (ec == GNUTLS_E_AGAIN)
			ec = gnutls_handshake(c->s);
		tls_key_set_current(s->s, s->transcript);
		if (es == GNUTLS_E_AGAIN)
			es = gnutls_handshake(s->s);
		tls_key_set_current(NULL, NULL);
	}
	return es != 0 ? es : ec;
}

/* One handshake with pair's key at number; GnuTLS's error or 0. */
static int
handshake(const struct pki *pair, uint16_t number, const char *sp,
    const char *cp, int *retries)
{
	static struct end zero;
	struct end s = zero, c = zero;
	gnutls_certificate_credentials_t sc, cc;
	gnutls_datum_t pem = { (unsigned char *)xstrdup(pair->cert),
		(unsigned int)strlen(pair->cert) };
	gnutls_pcert_st pcert;
	int error;

	to_server.len = to_client.len = 0;
	pki_ok(gnutls_certificate_allocate_credentials(&sc));
	pki_ok(gnutls_certificate_allocate_credentials(&cc));
	pki_ok(
	    gnutls_pcert_import_x509_raw(&pcert, &pem, GNUTLS_X509_FMT_PEM, 0));
	free(pem.data);
	gnutls_certificate_set_flags(
	    sc, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	pki_ok(gnutls_certificate_set_key(
	    sc, NULL, 0, &pcert, 1, tls_key_new(number, pcert.pubkey)));
	end_start(&s, GNUTLS_SERVER, sp, sc);
	end_start(&c, GNUTLS_CLIENT | GNUTLS_KEY_SHARE_TOP, cp, cc);
	s.in = c.out = &to_server;
	c.in = s.out = &to_client;
	s.transcript = tls_transcript_new();
	gnutls_handshake_set_hook_function(
	    s.s, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, hook);
	error = run(&s, &c);
	*retries = s.retries;
	tls_transcript_free(&s.transcript);
	assert_null(s.transcript);
	gnutls_deinit(s.s);
	gnutls_deinit(c.s);
	gnutls_certificate_free_credentials(sc);
	gnutls_certificate_free_credentials(cc);
	return error;
}

#define V13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define V12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define ECDSA12 V12 ":-SIGN-ALL:+SIGN-ECDSA-SHA"
#define RETRY V13 ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP384R1"
#define P384 V13 ":-GROUP-ALL:+GROUP-SECP384R1"
#define SHA384 ":-CIPHER-ALL:+AES-256-GCM"
#define SHA256 ":-CIPHER-ALL:+AES-128-GCM"
#define SIGN(s) ":-SIGN-ALL:+SIGN-" s

enum { EC, EC384, RSA, ED, NKEYS };
static struct pki *pairs[NKEYS];

static const struct {
	int key;
	const char *server, *client;
	bool tls12;
	int error, retries;
} cases[] = {
	/* TLS 1.3: the keeper sees the content and signs nothing else */
	{ EC, V13 SHA256, V13, false, 0, 0 },
	{ EC, V13 SHA384, V13, false, 0, 0 },
	{ EC384, V13, V13, false, 0, 0 },
	{ RSA, V13, V13, false, 0, 0 },
	{ RSA, V13, V13 SIGN("RSA-PSS-RSAE-SHA384"), false, 0, 0 },
	{ RSA, V13, V13 SIGN("RSA-PSS-RSAE-SHA512"), false, 0, 0 },
	{ ED, V13, V13, false, 0, 0 },
	/* after a HelloRetryRequest */
	{ EC, P384 SHA256, RETRY, false, 0, 1 },
	{ EC, P384 SHA384, RETRY, false, 0, 1 },
	{ ED, P384, RETRY, false, 0, 1 },
	/* TLS 1.2: digests, or the parameters for Ed25519 */
	{ EC, V12, V12, true, 0, 0 },
	{ EC, V12, ECDSA12 "384:+SIGN-ECDSA-SHA256", true, 0, 0 },
	{ EC, V12, V12 SIGN("ECDSA-SHA512"), true, 0, 0 },
	{ EC384, V12, V12, true, 0, 0 },
	{ RSA, V12, V12, true, 0, 0 },
	{ RSA, V12, V12 SIGN("RSA-SHA256"), true, 0, 0 },
	{ RSA, V12, V12 SIGN("RSA-SHA384"), true, 0, 0 },
	{ RSA, V12, V12 SIGN("RSA-SHA512"), true, 0, 0 },
	{ ED, V12, V12, true, 0, 0 },
	{ EC, V12, V12, false, GNUTLS_E_PK_SIGN_FAILED, 0 },
	{ RSA, V12, V12, false, GNUTLS_E_PK_SIGN_FAILED, 0 },
	{ ED, V12, V12, false, GNUTLS_E_PK_SIGN_FAILED, 0 },
};

static void
test_handshakes(void **state)
{
	pid_t pid[2];
	size_t i;
	int error, retries, t;

	(void)state;
	for (t = 0; t < 2; t++) {
		pid[t] = pki_keeper_start(pairs, NKEYS, t == 1);
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			if (cases[i].tls12 != (t == 1))
				continue;
			error = handshake(pairs[cases[i].key],
			    (uint16_t)cases[i].key, cases[i].server,
			    cases[i].client, &retries);
			if (error != cases[i].error ||
			    retries != cases[i].retries)
				fail_msg("case %zu: %s, %d retries", i,
				    gnutls_strerror(error), retries);
		}
		pki_keeper_stop(pid[t]);
	}
}

static void
test_without_keeper(void **state)
{
	int retries, fds[2];

	(void)state;
	tls_key_set_channel(-1);
	assert_int_equal(handshake(pairs[EC], EC, V13, V13, &retries),
	    GNUTLS_E_PK_SIGN_FAILED);
	/* and with one that has died */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	close(fds[1]);
	tls_key_set_channel(fds[0]);
	assert_int_equal(handshake(pairs[EC], EC, V13, V13, &retries),
	    GNUTLS_E_PK_SIGN_FAILED);
	assert_int_equal(write(fds[0], "", 1), -1); /* it was given up */
	assert_int_equal(errno, EBADF);
}

/* The key signs nothing outside of a handshake. */
static void
test_no_session(void **state)
{
	gnutls_pubkey_t pub;
	gnutls_privkey_t key;
	gnutls_datum_t data = { (unsigned char *)pairs[EC]->cert, 32 }, sig;

	(void)state;
	pki_ok(gnutls_pubkey_init(&pub));
	pki_ok(gnutls_pubkey_import_x509(pub, pairs[EC]->crt, 0));
	key = tls_key_new(EC, pub);
	assert_int_equal(gnutls_privkey_sign_hash2(
	                     key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &sig),
	    GNUTLS_E_PK_SIGN_FAILED);
	gnutls_privkey_deinit(key);
	gnutls_pubkey_deinit(pub);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_without_keeper),
		cmocka_unit_test(test_no_session),
	};
	int failed, i;

	signal(SIGPIPE, SIG_IGN);
	pairs[EC] = pki_new((struct pki_wish){ .names = { "a.example" } });
	pairs[EC384] = pki_new((struct pki_wish){ .names = { "b.example" },
	    .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1) });
	pairs[RSA] = pki_new(
	    (struct pki_wish){ .names = { "c.example" }, .pk = GNUTLS_PK_RSA });
	pairs[ED] = pki_new((struct pki_wish){ .names = { "d.example" },
	    .pk = GNUTLS_PK_EDDSA_ED25519,
	    .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519) });
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (i = 0; i < NKEYS; i++)
		pki_free(&pairs[i]);
	return failed;
}
