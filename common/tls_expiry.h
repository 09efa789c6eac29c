/* SPDX-License-Identifier: ISC */
/*
 * tls_expiry: until when a certificate is good.
 */
#ifndef TLS_EXPIRY_H
#define TLS_EXPIRY_H

#include <time.h>

#include "text.h"

/* Of the first certificate in a PEM chain; -1: there is none to be read. */
time_t tls_expiry(struct text pem);

#endif
