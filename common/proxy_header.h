/* SPDX-License-Identifier: ISC */
/*
 * proxy_header: the PROXY protocol, versions 1 and 2 (haproxy.org,
 * proxy-protocol.txt), without I/O: what a proxy says of its client in front
 * of all that the client says.
 */
#ifndef PROXY_HEADER_H
#define PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "text.h"

/*
 * Octets of a header that is taken.  Version 1 has 107 at most (2.1); version
 * 2 could have 65,551, of which proxies use some hundred: a client's
 * certificate is the longest that they add.
 */
#define PROXY_HEADER_MAX 4096
/* Octets of the longest header that is written. */
#define PROXY_HEADER_SIZE 108

enum proxy_result {
	PROXY_OK,
	PROXY_WAIT, /* the rest has not arrived yet; not an error */
	PROXY_BAD   /* it is none, or has a fault: no other octet helps */
};

struct proxy_header {
	/*
	 * The proxy speaks for a client.  False: for itself (LOCAL, a health
	 * check), or it cannot tell (UNKNOWN, UNSPEC, UNIX, not TCP); the
	 * connection's own ends count then (2.1, 2.2), and there is no address.
	 */
	bool relayed;
	struct addr client, local; /* whom the client has connected to */
	uint8_t hops;              /* of proxy_header_write(); 0: not said */
};

/*
 * Read the header that in begins with.  On PROXY_OK *len tells how many of
 * in's octets it has: those behind it are the client's.  On PROXY_WAIT all
 * octets of in belong to the header.
 */
enum proxy_result proxy_header_parse(
    struct text in, struct proxy_header *h, size_t *len);

/*
 * Do these octets look like a header's first?  PROXY_WAIT: so far, but they
 * are too few to tell.
 */
enum proxy_result proxy_header_look(struct text in);

/*
 * Write a header of version 1 or 2; its length is returned.  client NULL: we
 * speak for ourselves.  hops: how many more relays it may pass, told in
 * version 2 alone, in a field that others skip.
 */
size_t proxy_header_write(unsigned int version, const struct addr *client,
    const struct addr *local, uint8_t hops, char dst[static PROXY_HEADER_SIZE]);

#endif
