/* SPDX-License-Identifier: ISC */
/*
 * tls_hello: reads a ClientHello as far as we need it.  Runs in the worker on
 * octets from the Internet; GnuTLS reads the same message after us, so that
 * what does not parse here is none of our business: nothing was found.
 */
#include "msg.h"
#include "tls_hello.h"

/* ExtensionType */
#define EXT_SESSION_TICKET 35 /* RFC 5077 3.2 */
#define EXT_PRE_SHARED_KEY 41 /* RFC 8446 4.2.11 */

static int
take(struct reader *r, size_t n, struct text *out)
{
	if (r->left < n)
		return -1;
	*out = (struct text){ r->p, n };
	r->p += n;
	r->left -= n;
	return 0;
}

/* Vectors with a length of one or two octets before them (RFC 8446 3.4). */
static int
take_vector8(struct reader *r, struct text *out)
{
	uint8_t n;

	return get_u8(r, &n) == -1 ? -1 : take(r, n, out);
}

static int
take_vector16(struct reader *r, struct text *out)
{
	uint16_t n;

	return get_u16(r, &n) == -1 ? -1 : take(r, n, out);
}

static struct text
name_in(struct text ticket)
{
	if (ticket.len < TLS_TICKET_NAME_LEN)
		return TEXT_NONE;
	return (struct text){ ticket.p, TLS_TICKET_NAME_LEN };
}

/* The first identity of PskIdentity identities<7..2^16-1>. */
static struct text
name_in_psk(struct text extension)
{
	struct reader r = { extension.p, extension.len };
	struct text identities, first;

	if (take_vector16(&r, &identities) == -1)
		return TEXT_NONE;
	r = (struct reader){ identities.p, identities.len };
	if (take_vector16(&r, &first) == -1)
		return TEXT_NONE;
	return name_in(first);
}

/* The ticket's name among the extensions; -1: they are malformed. */
static int
find_ticket(struct text extensions, struct text *name)
{
	struct reader r = { extensions.p, extensions.len };
	struct text extension;
	uint16_t type;

	while (r.left > 0) {
		if (get_u16(&r, &type) == -1 ||
		    take_vector16(&r, &extension) == -1)
			return -1;
		if (type == EXT_PRE_SHARED_KEY) { /* the last one, always */
			*name = name_in_psk(extension);
			return 0;
		}
		if (type == EXT_SESSION_TICKET)
			*name = name_in(extension);
	}
	return 0;
}

void
tls_hello_parse(struct text in, struct tls_hello *h)
{
	struct reader r = { in.p, in.len };
	struct text skipped, suites, extensions, ticket = TEXT_NONE;

	*h = (struct tls_hello){ TEXT_NONE, TEXT_NONE };
	if (take(&r, 2 + 32, &skipped) == -1 || /* version, random */
	    take_vector8(&r, &skipped) == -1 || /* session id */
	    take_vector16(&r, &suites) == -1 ||
	    take_vector8(&r, &skipped) == -1) /* compression */
		return;
	if (r.left > 0 &&
	    (take_vector16(&r, &extensions) == -1 ||
	        find_ticket(extensions, &ticket) == -1))
		return;
	h->suites = suites;
	h->ticket = ticket;
}

bool
tls_hello_has_suite(const struct tls_hello *h, const unsigned char id[2])
{
	size_t i;

	for (i = 0; i + 1 < h->suites.len; i += 2)
		if ((unsigned char)h->suites.p[i] == id[0] &&
		    (unsigned char)h->suites.p[i + 1] == id[1])
			return true;
	return false;
}
