/* SPDX-License-Identifier: ISC */
/*
 * tls_server: what clients are served with: certificates whose keys are the
 * keeper's, the choice among them by name, ALPN, and session tickets.  Runs
 * in the worker; what a client says (names, tickets) is from strangers.
 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "msg.h"
#include "tls_hello.h"
#include "tls_impl.h"
#include "tls_key.h"
#include "tls_pairs.h"
#include "tls_scheme.h"
#include "tls_ticket.h"
#include "xmalloc.h"

#define SNI_MAX 256  /* a host name and its NUL (RFC 1035 2.3.4) */

/* A cipher suite of TLS 1.2 that we offer, and the key that goes with it. */
struct suite {
	unsigned char id[2];
	bool rsa; /* else ECDSA or Ed25519 (RFC 8422 2) */
};

struct tls_server {
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	const char *alpn;
	struct tls_pairs *pairs;
	struct suite *suites;
	size_t nsuites;
	bool tickets; /* there is a key */
	bool has_previous;
	char current[TICKET_KEY_LEN], previous[TICKET_KEY_LEN];
};

/* GnuTLS failed at something that the keeper has already checked. */
static void
must(int error, const char *what)
{
	if (error < 0)
		fatalx("%s: %s", what, gnutls_strerror(error));
}

/* Our suites of TLS 1.2, which name a kind of key; those of 1.3 do not. */
static void
load_suites(struct tls_server *s)
{
	struct suite suite;
	gnutls_kx_algorithm_t kx;
	unsigned int i, index;
	int error;

	for (i = 0;; i++) {
		error = gnutls_priority_get_cipher_suite_index(
		    s->priority, i, &index);
		if (error == GNUTLS_E_UNKNOWN_CIPHER_SUITE)
			continue; /* one that GnuTLS cannot do after all */
		if (error != 0)
			return;
		if (gnutls_cipher_suite_info(
		        index, suite.id, &kx, NULL, NULL, NULL) == NULL)
			continue;
		if (kx != GNUTLS_KX_ECDHE_RSA && kx != GNUTLS_KX_ECDHE_ECDSA)
			continue;
		suite.rsa = kx == GNUTLS_KX_ECDHE_RSA;
		s->suites = xrecallocarray(
		    s->suites, s->nsuites, s->nsuites + 1, sizeof(*s->suites));
		s->suites[s->nsuites++] = suite;
	}
}

/* In TLS 1.2, which kinds of key have a suite that the client and we have? */
static void
note_suites(struct tls *t, const struct tls_hello *hello)
{
	const struct tls_server *s = t->server;
	size_t i;

	for (i = 0; i < s->nsuites; i++) {
		if (!tls_hello_has_suite(hello, s->suites[i].id))
			continue;
		if (s->suites[i].rsa)
			t->rsa12 = true;
		else
			t->ecdsa12 = true;
	}
}

/* Can the client check a signature of this pair's key? */
static bool
is_usable(void *arg, const struct tls_pair *p)
{
	const struct tls *t = arg;
	const struct tls_scheme *scheme;
	gnutls_sign_algorithm_t algorithm;
	gnutls_session_t session = t->session;
	bool tls13 = gnutls_protocol_get_version(session) == GNUTLS_TLS1_3;
	size_t i;

	if (!tls13 && !(p->pk == GNUTLS_PK_RSA ? t->rsa12 : t->ecdsa12))
		return false;
	for (i = 0;
	     gnutls_sign_algorithm_get_requested(session, i, &algorithm) == 0;
	     i++) {
		scheme = tls_scheme_by_sign(algorithm);
		if (scheme != NULL &&
		    tls_scheme_fits(scheme, p->pk, p->bits, tls13))
			return true;
	}
	return false;
}

/* The server name that the client wants, "" when it says none. */
static void
get_sni(gnutls_session_t session, char *dst, size_t size)
{
	unsigned int type;
	size_t len = size;

	if (gnutls_server_name_get(session, dst, &len, &type, 0) != 0 ||
	    type != GNUTLS_NAME_DNS)
		dst[0] = '\0';
}

/* It stays until the handshake is over, even if it is renewed meanwhile. */
static const struct tls_pair *
choose_pair(struct tls *t)
{
	struct tls_pairs *pairs = t->server->pairs;
	struct text name = TEXT_NONE;
	struct tls_pair *p;
	char sni[SNI_MAX];

	if (tls_pairs_count(pairs) > 1) {
		get_sni(t->session, sni, sizeof(sni));
		name = text_of(sni);
	}
	p = tls_pair_hold(tls_pairs_choose(pairs, name, is_usable, t));
	tls_pair_release(&t->pair); /* of before a HelloRetryRequest */
	t->pair = p;
	return p;
}

/*
 * GnuTLS's own choice knows neither wildcards nor capital letters, hence this
 * one.  What it gets stays ours (no GNUTLS_CERT_RETR_DEINIT_ALL).
 */
static int
retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **chain, unsigned int *nchain, gnutls_ocsp_data_st **ocsp,
    unsigned int *nocsp, gnutls_privkey_t *key, unsigned int *flags)
{
	struct tls *t = gnutls_session_get_ptr(session);
	const struct tls_pair *p = choose_pair(t);
	union {
		const gnutls_pcert_st *in;
		gnutls_pcert_st *out; /* GnuTLS only reads them */
	} c = { .in = p->chain };

	(void)info;
	*chain = c.out;
	*nchain = p->nchain;
	*ocsp = NULL;
	*nocsp = 0;
	*key = p->key;
	*flags = 0;
	return 0;
}

struct tls_server *
tls_server_new(const struct conf *c, const struct handover *h, const char *alpn)
{
	struct tls_server *s = xcalloc(1, sizeof(*s));
	const char *at;

	s->alpn = alpn;
	if (gnutls_priority_init(&s->priority, c->listen_priority, &at) != 0)
		fatalx("TLS priority string: not understood from \"%s\"", at);
	must(gnutls_certificate_allocate_credentials(&s->cred),
	    "TLS credentials");
	s->pairs = tls_pairs_new(h);
	load_suites(s);
	gnutls_certificate_set_retrieve_function3(s->cred, retrieve);
	return s;
}

void
tls_server_free(struct tls_server **s)
{
	if (*s == NULL)
		return;
	tls_pairs_free(&(*s)->pairs);
	free((*s)->suites);
	gnutls_certificate_free_credentials((*s)->cred);
	gnutls_priority_deinit((*s)->priority);
	freezero(*s, sizeof(**s));
	*s = NULL;
}

int
tls_server_update(struct tls_server *s, const struct handover *h)
{
	return tls_pairs_update(s->pairs, h);
}

void
tls_server_set_ticket_key(
    struct tls_server *s, struct text current, struct text previous)
{
	if (current.len != TICKET_KEY_LEN)
		fatalx("a ticket key of %zu octets", current.len);
	memcpy(s->current, current.p, TICKET_KEY_LEN);
	s->tickets = true;
	s->has_previous = previous.len == TICKET_KEY_LEN;
	explicit_bzero(s->previous, TICKET_KEY_LEN);
	if (s->has_previous)
		memcpy(s->previous, previous.p, TICKET_KEY_LEN);
}

static void
enable_tickets(struct tls *t, const char *key)
{
	gnutls_datum_t d = tls_datum((struct text){ key, TICKET_KEY_LEN });

	must(gnutls_session_ticket_enable_server(t->session, &d),
	    "session tickets");
}

/*
 * A session has one ticket key, which GnuTLS lets be exchanged until it has
 * been used.  So the previous one is put in its place only for a ticket that
 * is sealed with it, before GnuTLS reads the ClientHello.
 */
static void
choose_ticket_key(struct tls *t, struct text name)
{
	const struct tls_server *s = t->server;
	struct text previous = { s->previous, TICKET_KEY_LEN };

	if (!s->has_previous || t->old_ticket ||
	    !tls_ticket_is_of(name, previous, time(NULL)))
		return;
	enable_tickets(t, s->previous);
	t->old_ticket = true;
}

static void
on_hello(struct tls *t, const gnutls_datum_t *msg)
{
	struct tls_hello hello;

	tls_hello_parse(
	    (struct text){ (const char *)msg->data, msg->size }, &hello);
	note_suites(t, &hello);
	choose_ticket_key(t, hello.ticket);
}

/* A handshake message, before GnuTLS reads it or after it has written it. */
static int
on_message(gnutls_session_t session, unsigned int type, unsigned int when,
    unsigned int incoming, const gnutls_datum_t *msg)
{
	struct tls *t = gnutls_session_get_ptr(session);

	(void)when;
	if (t->transcript != NULL)
		tls_transcript_add(t->transcript, type, msg->data, msg->size);
	if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO && incoming)
		on_hello(t, msg);
	return 0;
}

struct tls *
tls_accept(struct tls_server *s)
{
	struct tls *t;
	gnutls_datum_t alpn = tls_datum(text_of(s->alpn));

	t = tls_new(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET |
	        (s->tickets ? 0 : GNUTLS_NO_TICKETS),
	    s->priority, s->cred);
	t->server = s;
	/* No ALPN from the client is fine, another protocol's is not. */
	must(gnutls_alpn_set_protocols(
	         t->session, &alpn, 1, GNUTLS_ALPN_MANDATORY),
	    "ALPN");
	gnutls_db_set_cache_expiration(t->session, TLS_TICKET_LIFETIME);
	if (s->tickets)
		enable_tickets(t, s->current);
	t->transcript = tls_transcript_new();
	gnutls_handshake_set_hook_function(
	    t->session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, on_message);
	return t;
}

/*
 * GnuTLS by itself would send two at each handshake.  Never one under the
 * previous key: it is kept for decryption only, for it may be known to whom
 * a worker was lost.
 */
int
tls_server_send_ticket(struct tls *t)
{
	if (!t->server->tickets || t->old_ticket ||
	    gnutls_protocol_get_version(t->session) != GNUTLS_TLS1_3)
		return 0;
	return gnutls_session_ticket_send(t->session, 1, 0);
}
