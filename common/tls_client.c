/* SPDX-License-Identifier: ISC */
/*
 * tls_client: TLS towards inner servers: whom to trust and the check of what
 * they show.  Runs in the worker; a server's certificates are from strangers
 * until they are verified, and with them the worth of the passwords sent.
 */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "addr.h"
#include "log.h"
#include "tls_impl.h"
#include "xmalloc.h"

#define CHAIN_MAX 16 /* certificates of a server; GnuTLS takes no more */

struct tls_client {
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	/* What of the check is left out (Perdition's ssl_* switches). */
	bool no_check, no_name;
	bool self_signed, self_signed_ca;
	bool expired, not_yet_valid;
	unsigned int depth;
};

/* The certificates that a server showed, its own first. */
struct chain {
	gnutls_x509_crt_t crts[CHAIN_MAX];
	unsigned int n;
};

static const char *
load_cas(struct tls_client *cl, const struct handover *h)
{
	struct text pem;
	gnutls_datum_t d;
	uint16_t i;

	for (i = 0; i < UINT16_MAX; i++) {
		pem = handover_get(h, HANDOVER_CA, i);
		if (pem.p == NULL)
			break;
		d = tls_datum(pem);
		if (gnutls_certificate_set_x509_trust_mem(
		        cl->cred, &d, GNUTLS_X509_FMT_PEM) <= 0)
			return "a file of CAs has no certificate in PEM";
	}
	if (i > 0 || cl->no_check || cl->self_signed)
		return NULL;
	if (gnutls_certificate_set_x509_system_trust(cl->cred) <= 0)
		return "the system has no CAs and ssl_ca_file names none";
	return NULL;
}

static int verify(gnutls_session_t session);

struct tls_client *
tls_client_new(const struct conf *c, const struct handover *h, const char **why)
{
	struct tls_client *cl = xcalloc(1, sizeof(*cl));

	cl->no_check = c->ssl_no_cert_verify;
	cl->no_name = c->ssl_no_cn_verify;
	cl->self_signed = c->ssl_cert_accept_self_signed;
	cl->self_signed_ca = c->ssl_ca_accept_self_signed;
	cl->expired = c->ssl_cert_accept_expired;
	cl->not_yet_valid = c->ssl_cert_accept_not_yet_valid;
	cl->depth = c->ssl_cert_verify_depth;
	if (gnutls_certificate_allocate_credentials(&cl->cred) != 0)
		fatalx("TLS credentials cannot be made");
	if (gnutls_priority_init(&cl->priority, c->outgoing_priority, NULL) !=
	    0)
		*why = "the priority string is not understood";
	else
		*why = load_cas(cl, h);
	if (*why != NULL) {
		tls_client_free(&cl);
		return NULL;
	}
	gnutls_certificate_set_verify_function(cl->cred, verify);
	if (cl->expired || cl->not_yet_valid) /* check_dates() does it */
		gnutls_certificate_set_verify_flags(
		    cl->cred, GNUTLS_VERIFY_DISABLE_TIME_CHECKS);
	return cl;
}

void
tls_client_free(struct tls_client **cl)
{
	if (*cl == NULL)
		return;
	gnutls_certificate_free_credentials((*cl)->cred);
	if ((*cl)->priority != NULL)
		gnutls_priority_deinit((*cl)->priority);
	free(*cl);
	*cl = NULL;
}

struct tls *
tls_connect(struct tls_client *cl, const char *name)
{
	struct tls *t = tls_new(GNUTLS_CLIENT, cl->priority, cl->cred);
	struct addr numeric;

	t->client = cl;
	t->name = xstrdup(name);
	/* No literal addresses in SNI (RFC 6066 3). */
	if (addr_parse(text_of(name), 0, &numeric) == -1 &&
	    gnutls_server_name_set(
	        t->session, GNUTLS_NAME_DNS, name, strlen(name)) != 0)
		log_warnx("the name of an inner server cannot be sent in SNI");
	return t;
}

static void
chain_free(struct chain *c)
{
	while (c->n > 0)
		gnutls_x509_crt_deinit(c->crts[--c->n]);
}

static int
chain_get(struct chain *c, gnutls_session_t session)
{
	const gnutls_datum_t *der;
	unsigned int n;

	c->n = 0;
	der = gnutls_certificate_get_peers(session, &n);
	if (der == NULL || n == 0 || n > CHAIN_MAX)
		return -1;
	for (; c->n < n; c->n++) {
		if (gnutls_x509_crt_init(&c->crts[c->n]) != 0)
			break;
		if (gnutls_x509_crt_import(
		        c->crts[c->n], &der[c->n], GNUTLS_X509_FMT_DER) != 0) {
			gnutls_x509_crt_deinit(c->crts[c->n]);
			break;
		}
	}
	if (c->n == n)
		return 0;
	chain_free(c);
	return -1;
}

/* GnuTLS's verdict on the chain, with the CAs that we have. */
static int
check_chain(struct tls *t, unsigned int *status)
{
	gnutls_typed_vdata_st data[2] = {
		{ GNUTLS_DT_KEY_PURPOSE_OID, NULL, 0 },
		{ GNUTLS_DT_DNS_HOSTNAME, NULL, 0 }, /* addresses, too */
	};
	char purpose[] = GNUTLS_KP_TLS_WWW_SERVER;

	data[0].data = (unsigned char *)purpose;
	data[1].data = (unsigned char *)t->name;
	return gnutls_certificate_verify_peers(
	    t->session, data, t->client->no_name ? 1 : 2, status);
}

static bool
is_self_signed(gnutls_x509_crt_t crt)
{
	return gnutls_x509_crt_check_issuer(crt, crt) != 0;
}

/* Does a switch let us take the chain's last certificate for a CA? */
static bool
end_is_accepted(const struct tls_client *cl, const struct chain *c)
{
	if (!is_self_signed(c->crts[c->n - 1]))
		return false;
	return c->n == 1 ? cl->self_signed : cl->self_signed_ca;
}

/*
 * The verdict again, with the chain's last certificate trusted, so that all
 * the rest of it, its signatures and the name, is checked all the same.
 */
static int
check_chain_itself(const struct tls *t, struct chain *c, unsigned int *status)
{
	gnutls_x509_trust_list_t list;
	gnutls_typed_vdata_st data = { GNUTLS_DT_DNS_HOSTNAME, NULL, 0 };
	unsigned int flags = GNUTLS_VERIFY_ALLOW_X509_V1_CA_CRT;
	int error;

	if (t->client->expired || t->client->not_yet_valid)
		flags |= GNUTLS_VERIFY_DISABLE_TIME_CHECKS;
	data.data = (unsigned char *)t->name;
	if ((error = gnutls_x509_trust_list_init(&list, 0)) != 0)
		return error;
	error = gnutls_x509_trust_list_add_cas(list, &c->crts[c->n - 1], 1, 0);
	if (error >= 0)
		error = gnutls_x509_trust_list_verify_crt2(list, c->crts, c->n,
		    &data, t->client->no_name ? 0 : 1, flags, status, NULL);
	gnutls_x509_trust_list_deinit(list, 0);
	return error;
}

/* With one of the two switches, GnuTLS checks neither: the other is ours. */
static unsigned int
check_dates(const struct tls_client *cl, const struct chain *c)
{
	unsigned int status = 0, i;
	time_t now = time(NULL);

	if (!cl->expired && !cl->not_yet_valid)
		return 0;
	for (i = 0; i < c->n; i++) {
		if (!cl->expired &&
		    gnutls_x509_crt_get_expiration_time(c->crts[i]) < now)
			status |= GNUTLS_CERT_EXPIRED;
		if (!cl->not_yet_valid &&
		    gnutls_x509_crt_get_activation_time(c->crts[i]) > now)
			status |= GNUTLS_CERT_NOT_ACTIVATED;
	}
	return status;
}

/* Of several faults, the one that explains the others comes first. */
static const struct {
	unsigned int bit;
	const char *phrase;
} faults[] = {
	{ GNUTLS_CERT_EXPIRED, "the certificate is expired" },
	{ GNUTLS_CERT_NOT_ACTIVATED, "the certificate is not valid yet" },
	{ GNUTLS_CERT_REVOKED, "the certificate is revoked" },
	{ GNUTLS_CERT_SIGNATURE_FAILURE,
	    "a signature in the certificate chain is wrong" },
	{ GNUTLS_CERT_INSECURE_ALGORITHM,
	    "a certificate is signed with an insecure algorithm" },
	{ GNUTLS_CERT_SIGNER_NOT_CA,
	    "the certificate is signed by one that is not a CA's" },
	{ GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE,
	    "the certificate is beyond what its CA may sign" },
	{ GNUTLS_CERT_PURPOSE_MISMATCH,
	    "the certificate is not one for TLS servers" },
};

static void
set_fault(struct tls *t, const struct chain *c, unsigned int status)
{
	size_t i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if ((status & faults[i].bit) != 0)
			tls_set_error(t, "%s", faults[i].phrase);
	if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0)
		tls_set_error(t, "%s",
		    c->n == 1 && is_self_signed(c->crts[0])
		        ? "the certificate is self-signed"
		        : "the certificate's CA is not among the trusted ones");
	if ((status & GNUTLS_CERT_UNEXPECTED_OWNER) != 0)
		tls_set_error(t, "the name %s does not match", t->name);
	tls_set_error(t, "the certificate is not good");
}

static int
verify_chain(struct tls *t, struct chain *c)
{
	unsigned int status = 0;
	int error;

	if (c->n - 1 > t->client->depth) {
		tls_set_error(t, "the certificate chain is too long");
		return -1;
	}
	error = check_chain(t, &status);
	if (error == 0 && (status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0 &&
	    end_is_accepted(t->client, c))
		error = check_chain_itself(t, c, &status);
	if (error < 0) {
		tls_set_error(t, "the certificate cannot be checked: %s",
		    gnutls_strerror(error));
		return -1;
	}
	status |= check_dates(t->client, c);
	if (status == 0)
		return 0;
	set_fault(t, c, status);
	return -1;
}

/* GnuTLS calls it within the handshake and tells the server the outcome. */
static int
verify(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);
	struct chain c;
	int good;

	if (t->client->no_check)
		return 0;
	if (chain_get(&c, session) == -1) {
		tls_set_error(t, "the certificate is malformed");
		return GNUTLS_E_CERTIFICATE_ERROR;
	}
	good = verify_chain(t, &c);
	chain_free(&c);
	return good == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}
