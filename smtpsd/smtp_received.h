/* SPDX-License-Identifier: ISC */
/*
 * smtp_received: the Received field that goes in front of a message
 * (RFC 5321 4.4), in the shape that Postfix gives it:
 *
 *	Received: from c.example.org (c.example.org [203.0.113.50])
 *		(using TLSv1.3 with cipher TLS_AES_... (256/256 bits))
 *		(Authenticated sender: user@example.org)
 *		by gw.example.org (Relais) with ESMTPSA id 6B04EF70003F2A0001
 *		for <x@example.org>; Tue, 24 Nov 2026 01:59:12 +0000
 *
 * The lines of comments are left out on request.
 */
#ifndef SMTP_RECEIVED_H
#define SMTP_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "addr.h"
#include "text.h"

/*
 * Octets of the longest field, CRLF behind each line and a NUL included; no
 * line has more than 998 (RFC 5322 2.1.1).
 */
#define SMTP_RECEIVED_SIZE 2048

struct smtp_received {
	/*
	 * The client; addr NULL: hidden on request, and then nothing is told
	 * of what it calls itself either, which may be a name of a private
	 * network.  The field then comes from hostname.
	 */
	const struct addr *addr;
	struct text helo; /* as the client said it */
	struct text name; /* found for addr; TEXT_NONE: "unknown" */

	struct text tls_version; /* "TLSv1.3"; TEXT_NONE: no such comment */
	struct text tls_cipher;
	unsigned int tls_bits;
	struct text user; /* who logged in; TEXT_NONE: no such comment */

	struct text hostname; /* ours, of the configuration */
	struct text id;       /* smtp_log_id() */
	bool esmtp;           /* it said EHLO, not HELO */
	bool tls, auth;       /* for "with" (RFC 3848) */
	bool utf8;            /* MAIL had SMTPUTF8: the header may have it */
	/*
	 * The address between the brackets, when there is only one recipient:
	 * more would tell one recipient of the other (RFC 5321 7.2).
	 */
	struct text recipient;
	time_t date;
	int zone; /* minutes that local time is ahead of UTC */
};

/*
 * Write the field; its length is returned.  What a client supplied cannot end
 * a line or a comment: an octet that could, that is no printable ASCII and
 * (unless utf8) no well-formed UTF-8, becomes a '?'; a recipient with such an
 * octet is not told, since an address with a '?' would be another one.
 */
size_t smtp_received_format(
    const struct smtp_received *r, char dst[static SMTP_RECEIVED_SIZE]);

#endif
