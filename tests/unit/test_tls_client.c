/* SPDX-License-Identifier: ISC */
/*
 * tls as a client: which certificates of an inner server are taken, with each
 * of Perdition's switches, and what the log says of those that are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tls_peer.h"

/* What the server shows, leaf first. */
enum {
	GOOD,
	OLD,
	YOUNG,
	BOTH_CHAINED,
	ALIEN,
	ALIEN_CHAINED,
	OLD_CA,
	SELF,
	SELF_OLD,
	FORGED,
	CLIENT_ONLY,
	SHOWN
};

enum { CA, ALIEN_CA, EXPIRED_CA, FORGED_CA, NCAS };
static struct pki *cas[NCAS], *leaves[SHOWN];
/* Which CA stands behind the leaf in the file; -1: none. */
static const int behind[SHOWN] = { -1, -1, -1, CA, -1, ALIEN_CA, EXPIRED_CA, -1,
	-1, ALIEN_CA, -1 };

static char priority[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* Switches, as one letter each. */
static void
set_switches(struct conf *c, const char *letters)
{
	*c = (struct conf){ .outgoing_priority = priority,
		.ssl_cert_verify_depth = 9 };
	for (; *letters != '\0'; letters++)
		switch (*letters) {
		case 'a':
			c->ssl_ca_accept_self_signed = true;
			break;
		case 's':
			c->ssl_cert_accept_self_signed = true;
			break;
		case 'e':
			c->ssl_cert_accept_expired = true;
			break;
		case 'y':
			c->ssl_cert_accept_not_yet_valid = true;
			break;
		case 'v':
			c->ssl_no_cert_verify = true;
			break;
		case 'n':
			c->ssl_no_cn_verify = true;
			break;
		case '0':
			c->ssl_cert_verify_depth = 0;
			break;
		default:
			fail_msg("no such switch");
		}
}

static const struct {
	int shown;
	const char *name, *switches;
	const char *error; /* a word of it; NULL: taken */
} cases[] = {
	{ GOOD, "mail.example", "", NULL },
	{ GOOD, "MAIL.example", "", NULL },
	{ GOOD, "a.wild.example", "", NULL },
	{ BOTH_CHAINED, "mail.example", "", NULL },
	{ GOOD, "192.0.2.7", "", NULL },
	{ GOOD, "2001:db8::7", "", "name 2001:db8::7 does not match" },
	{ BOTH_CHAINED, "2001:db8::7", "", NULL },
	{ BOTH_CHAINED, "2001:0db8:0::7", "", NULL },
	/* the name */
	{ GOOD, "other.example", "", "the name other.example does not match" },
	{ GOOD, "192.0.2.8", "", "the name 192.0.2.8 does not match" },
	{ GOOD, "a.b.wild.example", "", "does not match" },
	{ GOOD, "other.example", "n", NULL },
	{ GOOD, "other.example", "aseyn", NULL },
	{ GOOD, "other.example", "asey", "does not match" },
	{ GOOD, "other.example", "v", NULL },
	/* dates */
	{ OLD, "mail.example", "", "expired" },
	{ OLD, "mail.example", "e", NULL },
	{ OLD, "mail.example", "y", "expired" },
	{ OLD, "other.example", "e", "does not match" },
	{ OLD, "other.example", "", "expired" },
	{ YOUNG, "mail.example", "", "not valid yet" },
	{ YOUNG, "mail.example", "y", NULL },
	{ YOUNG, "mail.example", "e", "not valid yet" },
	{ YOUNG, "mail.example", "v", NULL },
	/* who signed it */
	{ ALIEN, "mail.example", "", "CA is not among" },
	{ ALIEN, "mail.example", "asey", "CA is not among" },
	{ ALIEN, "mail.example", "v", NULL },
	{ ALIEN_CHAINED, "mail.example", "", "CA is not among" },
	{ ALIEN_CHAINED, "mail.example", "s", "CA is not among" },
	{ ALIEN_CHAINED, "mail.example", "a", NULL },
	{ ALIEN_CHAINED, "other.example", "a", "does not match" },
	{ ALIEN_CHAINED, "other.example", "an", NULL },
	{ OLD_CA, "mail.example", "a", "expired" },
	{ OLD_CA, "mail.example", "ae", NULL },
	/* the chain's end is accepted, but the leaf is not that CA's work */
	{ FORGED, "mail.example", "", "is not among" },
	{ FORGED, "mail.example", "asey", "" },
	{ SELF, "mail.example", "", "self-signed" },
	{ SELF, "mail.example", "a", "self-signed" },
	{ SELF, "mail.example", "s", NULL },
	{ SELF, "other.example", "s", "does not match" },
	{ SELF_OLD, "mail.example", "s", "expired" },
	{ SELF_OLD, "mail.example", "sy", "expired" },
	{ SELF_OLD, "mail.example", "se", NULL },
	{ CLIENT_ONLY, "mail.example", "", "not one for TLS servers" },
	/* depth */
	{ GOOD, "mail.example", "0", NULL },
	{ BOTH_CHAINED, "mail.example", "0", "chain is too long" },
};

static struct peer *
server_new(int shown, const char *server_priority)
{
	struct peer *p = peer_new(server_priority, GNUTLS_SERVER);
	gnutls_pcert_st *chain = gnutls_calloc(2, sizeof(*chain));
	gnutls_privkey_t key;
	int n = behind[shown] != -1 ? 2 : 1;

	/* as it is: gnutls_certificate_set_x509_key() would drop a root */
	pki_ok(gnutls_pcert_import_x509(&chain[0], leaves[shown]->crt, 0));
	if (n == 2)
		pki_ok(gnutls_pcert_import_x509(
		    &chain[1], cas[behind[shown]]->crt, 0));
	pki_ok(gnutls_privkey_init(&key));
	pki_ok(gnutls_privkey_import_x509(
	    key, leaves[shown]->x, GNUTLS_PRIVKEY_IMPORT_COPY));
	pki_ok(gnutls_certificate_set_key(p->cred, NULL, 0, chain, n, key));
	gnutls_free(chain);
	return p;
}

/* The client speaks first. */
static enum tls_result
handshake(struct tls *t, struct peer *p)
{
	struct tls_io io;
	enum tls_result result;
	int i;

	p->error = GNUTLS_E_AGAIN;
	for (i = 0, result = TLS_WAIT; i < 10; i++) {
		io = peer_io(p, SIZE_MAX);
		if (result == TLS_WAIT)
			result = tls_handshake(t, &io);
		peer_taken(p, &io);
		if (p->error == GNUTLS_E_AGAIN)
			p->error = gnutls_handshake(p->s);
	}
	return result;
}

static void
test_certificates(void **state)
{
	static const char *const versions[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.3",
		"NORMAL:-VERS-ALL:+VERS-TLS1.2" };
	const char *pem = cas[CA]->cert;
	struct handover *h = pki_handover(HANDOVER_CA, &pem, 1);
	struct tls_client *cl;
	struct tls *t;
	struct peer *p;
	struct conf conf;
	const char *why;
	enum tls_result result;
	size_t i, v;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_switches(&conf, cases[i].switches);
		cl = tls_client_new(&conf, h, &why);
		assert_non_null(cl);
		for (v = 0; v < 2; v++) {
			t = tls_connect(cl, cases[i].name);
			p = server_new(cases[i].shown, versions[v]);
			result = handshake(t, p);
			if (cases[i].error == NULL ? result != TLS_OK
			                           : result != TLS_FAILED ||
			            strstr(tls_error(t), cases[i].error) ==
			                NULL)
				fail_msg("case %zu: %s", i, tls_error(t));
			if (cases[i].error != NULL &&
			    p->error != GNUTLS_E_FATAL_ALERT_RECEIVED)
				fail_msg("case %zu: the server was not told: "
				         "%s",
				    i, gnutls_strerror(p->error));
			peer_free(&p);
			tls_free(&t);
		}
		tls_client_free(&cl);
	}
	handover_close(&h);
}

static char sni_seen[64];

static int
note_sni(gnutls_session_t s)
{
	size_t n = sizeof(sni_seen);
	unsigned int type;

	if (gnutls_server_name_get(s, sni_seen, &n, &type, 0) != 0)
		strlcpy(sni_seen, "none", sizeof(sni_seen));
	return 0;
}

/* A name goes into SNI, a numeric address does not (RFC 6066 3). */
static void
test_sni(void **state)
{
	static const struct {
		const char *name, *sni;
	} names[] = { { "mail.example", "mail.example" },
		{ "192.0.2.7", "none" }, { "2001:db8::7", "none" } };
	struct conf conf;
	struct handover *h = pki_handover(HANDOVER_CA, NULL, 0);
	struct tls_client *cl;
	struct tls *t;
	struct peer *p;
	const char *why;
	size_t i;

	(void)state;
	set_switches(&conf, "v");
	cl = tls_client_new(&conf, h, &why);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		t = tls_connect(cl, names[i].name);
		p = server_new(GOOD, "NORMAL");
		gnutls_handshake_set_post_client_hello_function(p->s, note_sni);
		assert_int_equal(handshake(t, p), TLS_OK);
		assert_string_equal(sni_seen, names[i].sni);
		peer_free(&p);
		tls_free(&t);
	}
	tls_client_free(&cl);
	handover_close(&h);
}

/* An inner server of TLS 1.2 may ask for a new handshake: passed over. */
static void
test_hello_request(void **state)
{
	struct conf conf;
	struct handover *h = pki_handover(HANDOVER_CA, NULL, 0);
	struct tls_client *cl;
	struct tls *t;
	struct tls_io io;
	struct peer *p;
	const char *why;
	char got[16];
	size_t n;

	(void)state;
	set_switches(&conf, "v");
	cl = tls_client_new(&conf, h, &why);
	t = tls_connect(cl, "mail.example");
	p = server_new(GOOD, "NORMAL:-VERS-ALL:+VERS-TLS1.2");
	assert_int_equal(handshake(t, p), TLS_OK);
	pki_ok(gnutls_rehandshake(p->s));
	assert_int_equal(gnutls_record_send(p->s, "* OK", 4), 4);
	io = peer_io(p, SIZE_MAX);
	assert_int_equal(tls_decrypt(t, &io, got, sizeof(got), &n), TLS_OK);
	assert_int_equal(n, 4);
	peer_free(&p);
	tls_free(&t);
	tls_client_free(&cl);
	handover_close(&h);
}

static void
test_bad_configuration(void **state)
{
	static char nonsense[] = "NORMAL:+NONSENSE";
	const char *pem = "no certificate\n", *why = NULL;
	struct handover *h = pki_handover(HANDOVER_CA, &pem, 1);
	struct conf conf;

	(void)state;
	set_switches(&conf, "");
	assert_null(tls_client_new(&conf, h, &why));
	assert_non_null(strstr(why, "no certificate"));
	conf.outgoing_priority = nonsense;
	assert_null(tls_client_new(&conf, h, &why));
	assert_non_null(strstr(why, "priority"));
	handover_close(&h);
}

static void
make_certificates(void)
{
	static const struct pki_wish good = {
		.names = { "mail.example", "*.wild.example" }, .ip = "192.0.2.7"
	};
	struct pki_wish w;

	cas[CA] =
	    pki_new((struct pki_wish){ .names = { "Our CA" }, .is_ca = 1 });
	cas[ALIEN_CA] =
	    pki_new((struct pki_wish){ .names = { "Their CA" }, .is_ca = 1 });
	cas[EXPIRED_CA] = pki_new((struct pki_wish){ .names = { "Old CA" },
	    .is_ca = 1,
	    .from = -9 * DAY,
	    .until = -2 * DAY });
	/* has the name of another CA and not its key */
	cas[FORGED_CA] =
	    pki_new((struct pki_wish){ .names = { "Their CA" }, .is_ca = 1 });
	w = good;
	w.issuer = cas[CA];
	leaves[GOOD] = pki_new(w);
	w.ip = "2001:db8::7";
	leaves[BOTH_CHAINED] = pki_new(w);
	w.from = -9 * DAY;
	w.until = -2 * DAY;
	leaves[OLD] = pki_new(w);
	w.from = 9 * DAY;
	w.until = 20 * DAY;
	leaves[YOUNG] = pki_new(w);
	w = good;
	w.issuer = cas[ALIEN_CA];
	leaves[ALIEN] = pki_new(w);
	leaves[ALIEN_CHAINED] = pki_new(w);
	w.issuer = cas[EXPIRED_CA];
	leaves[OLD_CA] = pki_new(w);
	w.issuer = cas[FORGED_CA];
	leaves[FORGED] = pki_new(w);
	w = good;
	leaves[SELF] = pki_new(w);
	w.from = -9 * DAY;
	w.until = -2 * DAY;
	leaves[SELF_OLD] = pki_new(w);
	w = good;
	w.issuer = cas[CA];
	w.purpose = GNUTLS_KP_TLS_WWW_CLIENT;
	leaves[CLIENT_ONLY] = pki_new(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_hello_request),
		cmocka_unit_test(test_bad_configuration),
	};
	int failed, i;

	tls_global_init();
	make_certificates();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (i = 0; i < SHOWN; i++)
		pki_free(&leaves[i]);
	for (i = 0; i < NCAS; i++)
		pki_free(&cas[i]);
	return failed;
}
