/* SPDX-License-Identifier: ISC */
/*
 * tls as a server: handshakes with clients of many kinds, which certificate
 * they see, data in pieces of any size, and endings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tls_peer.h"

#define ALL (1U << 30) /* no limit on octets at a time */
#define SERVER                                                                 \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-GROUP-ALL:" \
	"+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"
#define V13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define V12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define ONLY_EC ":-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256"

enum { RSA, EC, ED, NPAIRS };
static struct pki *pairs[NPAIRS];
static struct handover *handover;
static char priority[] = SERVER;
static struct conf conf = { .listen_priority = priority };

static const char *
subject(struct peer *c)
{
	static char dn[256];
	size_t len = sizeof(dn);
	unsigned int n;
	const gnutls_datum_t *der = gnutls_certificate_get_peers(c->s, &n);
	gnutls_x509_crt_t crt;

	if (der == NULL)
		return NULL;
	pki_ok(gnutls_x509_crt_init(&crt));
	pki_ok(gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER));
	pki_ok(gnutls_x509_crt_get_dn(crt, dn, &len));
	gnutls_x509_crt_deinit(crt);
	return dn;
}

static const struct {
	const char *priority, *sni, *alpn;
	const char *cn;    /* NULL: it fails, ... */
	int alert;         /* ... with this one */
	const char *error; /* ... and a word of tls_error() */
} handshakes[] = {
	{ V13, NULL, NULL, "CN=rsa.example", 0, NULL },
	{ V12, NULL, NULL, "CN=rsa.example", 0, NULL },
	/* names */
	{ V13, "mail.example", NULL, "CN=mail.example", 0, NULL },
	{ V12, "mail.example", NULL, "CN=mail.example", 0, NULL },
	{ V13, "MAIL.Example", NULL, "CN=mail.example", 0, NULL },
	{ V13, "a.wild.example", NULL, "CN=mail.example", 0, NULL },
	{ V12, "a.wild.example", NULL, "CN=mail.example", 0, NULL },
	{ V13, "a.b.wild.example", NULL, "CN=rsa.example", 0, NULL },
	{ V13, "ed.example", NULL, "CN=ed.example", 0, NULL },
	{ V12, "ed.example", NULL, "CN=ed.example", 0, NULL },
	{ V13, "nobody.example", NULL, "CN=rsa.example", 0, NULL },
	/* what the client can check comes before what it calls us */
	{ V13 ONLY_EC, NULL, NULL, "CN=mail.example", 0, NULL },
	{ V12 ONLY_EC, NULL, NULL, "CN=mail.example", 0, NULL },
	{ V13 ONLY_EC, "rsa.example", NULL, "CN=mail.example", 0, NULL },
	{ V12 ONLY_EC, "ed.example", NULL, "CN=mail.example", 0, NULL },
	{ V12 ":-KX-ALL:+ECDHE-ECDSA", NULL, NULL, "CN=mail.example", 0, NULL },
	{ V12 ":-KX-ALL:+ECDHE-RSA", "mail.example", NULL, "CN=rsa.example", 0,
	    NULL },
	/* ALPN (RFC 7301 3.2) */
	{ V13, NULL, "imap", "CN=rsa.example", 0, NULL },
	{ V12, NULL, "imap", "CN=rsa.example", 0, NULL },
	{ V13, NULL, "http/1.1", NULL, GNUTLS_A_NO_APPLICATION_PROTOCOL,
	    "ALPN" },
	{ V12, NULL, "http/1.1", NULL, GNUTLS_A_NO_APPLICATION_PROTOCOL,
	    "ALPN" },
	/* nothing in common */
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.1", NULL, NULL, NULL,
	    GNUTLS_A_PROTOCOL_VERSION, "version" },
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", NULL, NULL, NULL,
	    GNUTLS_A_HANDSHAKE_FAILURE, "no common cipher" },
	{ V12 ":-KX-ALL:+DHE-RSA", NULL, NULL, NULL, GNUTLS_A_HANDSHAKE_FAILURE,
	    "no common cipher" },
	{ V13 ":-GROUP-ALL:+GROUP-SECP521R1", NULL, NULL, NULL,
	    GNUTLS_A_HANDSHAKE_FAILURE, "no common group" },
	{ V13 ":-SIGN-ALL:+SIGN-ECDSA-SECP521R1-SHA512", NULL, NULL, NULL,
	    GNUTLS_A_HANDSHAKE_FAILURE, "our certificate" },
};

static void
set_names(struct peer *c, const char *sni, const char *alpn)
{
	gnutls_datum_t a;

	if (sni != NULL)
		pki_ok(gnutls_server_name_set(
		    c->s, GNUTLS_NAME_DNS, sni, strlen(sni)));
	if (alpn == NULL)
		return;
	a = (gnutls_datum_t){ (unsigned char *)xstrdup(alpn),
		(unsigned int)strlen(alpn) };
	pki_ok(gnutls_alpn_set_protocols(c->s, &a, 1, 0));
	free(a.data);
}

static void
check_handshake(size_t i, struct tls *t, struct peer *c, size_t max)
{
	enum tls_result result;

	set_names(c, handshakes[i].sni, handshakes[i].alpn);
	result = peer_handshake(t, c, max);
	if (handshakes[i].cn == NULL) {
		if (result != TLS_FAILED ||
		    c->error != GNUTLS_E_FATAL_ALERT_RECEIVED ||
		    (int)gnutls_alert_get(c->s) != handshakes[i].alert ||
		    strstr(tls_error(t), handshakes[i].error) == NULL)
			fail_msg("case %zu: %d, alert %d, %s", i, (int)result,
			    (int)gnutls_alert_get(c->s), tls_error(t));
	} else if (result != TLS_OK || c->error != 0) {
		fail_msg("case %zu: %s, %s", i, tls_error(t),
		    gnutls_strerror(c->error));
	} else if (strcmp(subject(c), handshakes[i].cn) != 0)
		fail_msg("case %zu: %s", i, subject(c));
}

static void
test_handshakes(void **state)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c;
	size_t i, pieces;

	(void)state;
	for (i = 0; i < sizeof(handshakes) / sizeof(handshakes[0]); i++)
		for (pieces = 0; pieces < 2; pieces++) {
			t = tls_accept(s);
			c = peer_new(handshakes[i].priority, GNUTLS_CLIENT);
			check_handshake(i, t, c, pieces ? 1 : ALL);
			peer_free(&c);
			tls_free(&t);
			assert_null(t);
		}
	tls_server_free(&s);
	assert_null(s);
}

/* A client that sends something else than TLS. */
static void
test_not_tls(void **state)
{
	static const char *const texts[] = { "a LOGIN joe secret\r\n",
		"GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\xff\xff", "\x80\x2e",
		"\x16\x03\x01\0\4\1\0\0\0" };
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct peer *c = xcalloc(1, sizeof(*c));
	struct tls *t;
	struct tls_io io;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		t = tls_accept(s);
		io = (struct tls_io){ .out = wire_put,
			.arg = &c->in,
			.in = { texts[i], i == 4 ? 9 : strlen(texts[i]) } };
		if (i == 3) /* an SSL 2 header waits for its body */
			assert_int_equal(tls_handshake(t, &io), TLS_WAIT);
		else {
			assert_int_equal(tls_handshake(t, &io), TLS_FAILED);
			assert_string_not_equal(tls_error(t), "no error");
		}
		tls_free(&t);
	}
	free(c);
	tls_server_free(&s);
}

/* A session that is up. */
static void
connect_pair(struct tls_server *s, struct tls **t, struct peer **c,
    const char *client_priority)
{
	*t = tls_accept(s);
	*c = peer_new(client_priority, GNUTLS_CLIENT);
	assert_int_equal(peer_handshake(*t, *c, ALL), TLS_OK);
	assert_int_equal((*c)->error, 0);
}

static const char *const versions[] = { V13, V12 };

#define BIG 100000
static char big[BIG], got[BIG + TLS_DECRYPT_EXTRA + 4096];

/* Take all the peer has sent, max octets of records at a time. */
static size_t
decrypt_all(struct tls *t, struct peer *c, size_t max, size_t dst,
    enum tls_result *last)
{
	struct tls_io io;
	size_t n, total = 0;

	do {
		io = peer_io(c, max);
		*last = tls_decrypt(t, &io, got + total, dst, &n);
		peer_taken(c, &io);
		total += n;
		assert_true(total <= BIG);
		if (*last == TLS_OK)
			assert_true(n > 0);
	} while (*last == TLS_OK || (*last == TLS_WAIT && c->out.len > 0));
	return total;
}

static void
test_decrypt(void **state)
{
	static const struct {
		size_t max, dst;
	} cases[] = { { ALL, BIG }, { 1, BIG }, { 7, 1 }, { ALL, 1000 },
		{ 16384, 16384 }, { 5000, 77 } };
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c;
	enum tls_result last;
	size_t i, v, at;
	ssize_t n;

	(void)state;
	for (v = 0; v < 2; v++) {
		connect_pair(s, &t, &c, versions[v]);
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			if (v == 0) /* a new key first: no data for us */
				pki_ok(gnutls_session_key_update(c->s, 0));
			for (at = 0; at < BIG; at += (size_t)n) {
				n = gnutls_record_send(
				    c->s, big + at, BIG - at);
				assert_true(n > 0);
			}
			assert_int_equal(decrypt_all(t, c, cases[i].max,
			                     cases[i].dst, &last),
			    BIG);
			assert_int_equal(last, TLS_WAIT);
			assert_memory_equal(big, got, BIG);
		}
		pki_ok(gnutls_bye(c->s, GNUTLS_SHUT_WR));
		assert_int_equal(decrypt_all(t, c, ALL, BIG, &last), 0);
		assert_int_equal(last, TLS_CLOSED);
		peer_free(&c);
		tls_free(&t);
	}
	tls_server_free(&s);
}

/* With room enough nothing stays behind in GnuTLS: tls.h says so. */
static void
test_decrypt_used_up(void **state)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c;
	struct tls_io io;
	size_t n, total = 0, at = 0, piece, room;

	(void)state;
	connect_pair(s, &t, &c, V13);
	while (at < BIG) { /* with a message that is not data in between */
		pki_ok(gnutls_session_key_update(c->s, 0));
		at += (size_t)gnutls_record_send(c->s, big + at, BIG - at);
	}
	for (piece = 1; c->out.len > 0; piece = piece * 2 % 50021) {
		io = peer_io(c, piece);
		room = io.in.len + TLS_DECRYPT_EXTRA;
		tls_decrypt(t, &io, got + total, room, &n);
		assert_int_equal(io.in.len, 0);
		assert_true(n < room);
		peer_taken(c, &io);
		total += n;
	}
	assert_int_equal(total, BIG);
	assert_memory_equal(big, got, BIG);
	peer_free(&c);
	tls_free(&t);
	tls_server_free(&s);
}

static void
test_encrypt(void **state)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c;
	struct tls_io io;
	size_t v, total;
	ssize_t n;

	(void)state;
	for (v = 0; v < 2; v++) {
		connect_pair(s, &t, &c, versions[v]);
		io = peer_io(c, ALL);
		assert_int_equal(tls_encrypt(t, &io, big, BIG), TLS_OK);
		tls_bye(t, &io);
		for (total = 0; total<BIG; total += n> 0 ? (size_t)n : 0) {
			n = gnutls_record_recv(c->s, got + total, BIG - total);
			assert_true(n > 0 || n == GNUTLS_E_AGAIN);
		}
		assert_memory_equal(big, got, BIG);
		assert_int_equal(gnutls_record_recv(c->s, got, 1), 0);
		peer_free(&c);
		tls_free(&t);
	}
	tls_server_free(&s);
}

/* An octet changed on the way, and a client that wants to renegotiate. */
static void
test_bad_records(void **state)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c;
	enum tls_result last;
	size_t v;

	(void)state;
	for (v = 0; v < 2; v++) {
		connect_pair(s, &t, &c, versions[v]);
		assert_int_equal(gnutls_record_send(c->s, "hello", 5), 5);
		c->out.data[c->out.start + 8] ^= 1;
		assert_int_equal(decrypt_all(t, c, ALL, BIG, &last), 0);
		assert_int_equal(last, TLS_FAILED);
		assert_non_null(strstr(tls_error(t), "damaged"));
		peer_free(&c);
		tls_free(&t);
	}
	connect_pair(s, &t, &c, V12);
	assert_int_equal(gnutls_handshake(c->s), GNUTLS_E_AGAIN);
	assert_int_equal(decrypt_all(t, c, ALL, BIG, &last), 0);
	assert_int_equal(last, TLS_FAILED);
	assert_non_null(strstr(tls_error(t), "renegotiation"));
	peer_free(&c);
	tls_free(&t);
	tls_server_free(&s);
}

static void
test_describe(void **state)
{
	static const struct {
		const char *priority, *text;
	} cases[] = {
		{ V13 ":-CIPHER-ALL:+AES-256-GCM:-GROUP-ALL:+GROUP-X25519",
		    "TLS1.3 TLS_AES_256_GCM_SHA384 X25519" },
		{ V12 ":-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-SECP256R1"
		      ":-KX-ALL:+ECDHE-ECDSA",
		    "TLS1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 "
		    "SECP256R1" },
	};
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		connect_pair(s, &t, &c, cases[i].priority);
		assert_string_equal(tls_describe(t), cases[i].text);
		assert_ptr_equal(tls_describe(t), tls_describe(t));
		peer_free(&c);
		tls_free(&t);
	}
	tls_server_free(&s);
}

static void
test_keeper_dies(void **state)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t = tls_accept(s);
	struct peer *c = peer_new(V13, GNUTLS_CLIENT);

	(void)state;
	tls_key_set_channel(-1);
	assert_int_equal(peer_handshake(t, c, ALL), TLS_FAILED);
	assert_non_null(strstr(tls_error(t), "keeper"));
	assert_int_equal(c->error, GNUTLS_E_FATAL_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(c->s), GNUTLS_A_INTERNAL_ERROR);
	peer_free(&c);
	tls_free(&t);
	tls_server_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_not_tls),
		cmocka_unit_test(test_decrypt),
		cmocka_unit_test(test_decrypt_used_up),
		cmocka_unit_test(test_encrypt),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_keeper_dies),
	};
	const char *pem[NPAIRS];
	pid_t keeper;
	int failed, i;

	tls_global_init();
	pki_ok(gnutls_rnd(GNUTLS_RND_NONCE, big, sizeof(big)));
	pairs[RSA] = pki_new((struct pki_wish){
	    .names = { "rsa.example" }, .pk = GNUTLS_PK_RSA });
	pairs[EC] = pki_new(
	    (struct pki_wish){ .names = { "mail.example", "*.wild.example" } });
	pairs[ED] = pki_new((struct pki_wish){ .names = { "ed.example" },
	    .pk = GNUTLS_PK_EDDSA_ED25519,
	    .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519) });
	for (i = 0; i < NPAIRS; i++)
		pem[i] = pairs[i]->cert;
	handover = pki_handover(HANDOVER_CERT, pem, NPAIRS);
	keeper = pki_keeper_start(pairs, NPAIRS, true);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pki_keeper_stop(keeper);
	handover_close(&handover);
	for (i = 0; i < NPAIRS; i++)
		pki_free(&pairs[i]);
	return failed;
}
