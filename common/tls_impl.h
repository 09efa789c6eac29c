/* SPDX-License-Identifier: ISC */
/* tls_impl: what the files tls*.c share and nobody else includes. */
#ifndef TLS_IMPL_H
#define TLS_IMPL_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "text.h"
#include "tls.h"

struct tls_pair;
struct tls_transcript;

struct tls {
	gnutls_session_t session;
	struct tls_io *io;                 /* of the call that is running */
	const struct tls_server *server;   /* we serve, or else ... */
	const struct tls_client *client;   /* ... we are the client */
	struct tls_transcript *transcript; /* server, in the handshake only */
	struct tls_pair *pair;             /* server, likewise; or NULL */
	bool rsa12, ecdsa12; /* server: TLS 1.2 could do with such a key */
	bool old_ticket;     /* server: resumes under the previous ticket key */
	enum tls_result end; /* TLS_OK: more may come; else how it ended */
	char *name;          /* client: whom the certificate must name */
	char *error;         /* of the last TLS_FAILED */
	char *description;
};

/* A session with what both sides have in common; flags of gnutls_init(). */
struct tls *tls_new(unsigned int flags, gnutls_priority_t priority,
    gnutls_certificate_credentials_t cred);

/* Remember why; the first reason stays. */
void tls_set_error(struct tls *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

gnutls_datum_t tls_datum(struct text t);

/* tls_server: after the handshake, one ticket in TLS 1.3.  0 or GnuTLS's. */
int tls_server_send_ticket(struct tls *t);

#endif
