/* SPDX-License-Identifier: ISC */
/*
 * tls_expiry: until when a certificate is good.  Runs in the metrics role, on
 * what the master has read.
 */
#include <gnutls/x509.h>

#include "tls_expiry.h"

time_t
tls_expiry(struct text pem)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)pem.p,
		(unsigned int)pem.len };
	gnutls_x509_crt_t crt;
	time_t at = -1;

	if (gnutls_x509_crt_init(&crt) != 0)
		return -1;
	if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM) == 0)
		at = gnutls_x509_crt_get_expiration_time(crt);
	gnutls_x509_crt_deinit(crt);
	return at;
}
