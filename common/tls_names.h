/* SPDX-License-Identifier: ISC */
/*
 * tls_names: whose a certificate is.
 */
#ifndef TLS_NAMES_H
#define TLS_NAMES_H

#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>

#define TLS_NAME_MAX 253 /* octets of a host's name (RFC 1035 2.3.4) */

/* A name as it stands there: octets of any kind.  False: that is enough. */
typedef bool tls_name_visitor(void *arg, const char *name, size_t len);

/*
 * The DNS names of the subjectAltName, in order; the common name where there
 * is none (RFC 6125 6.4.4).  Those that no host can have for their length are
 * left out.
 */
void tls_names_visit(gnutls_x509_crt_t crt, tls_name_visitor *f, void *arg);

#endif
