/* SPDX-License-Identifier: ISC */
/*
 * tls_names: whose a certificate is.  Runs in keepers, which tell, and in
 * workers, which choose by it.
 */
#include "tls_names.h"

void
tls_names_visit(gnutls_x509_crt_t crt, tls_name_visitor *f, void *arg)
{
	char name[TLS_NAME_MAX + 1];
	bool alternative = false;
	unsigned int i;
	size_t n;
	int type;

	for (i = 0;; i++) {
		n = sizeof(name);
		type = gnutls_x509_crt_get_subject_alt_name(
		    crt, i, name, &n, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (type == GNUTLS_SAN_DNSNAME && !f(arg, name, n))
			return;
		alternative = alternative || type == GNUTLS_SAN_DNSNAME ||
		    type == GNUTLS_E_SHORT_MEMORY_BUFFER;
	}
	n = sizeof(name);
	if (!alternative &&
	    gnutls_x509_crt_get_dn_by_oid(
	        crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &n) == 0)
		(void)f(arg, name, n);
}
