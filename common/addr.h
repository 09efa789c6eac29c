/* SPDX-License-Identifier: ISC */
/*
 * addr: socket addresses.  An IPv4 address mapped into IPv6 (::ffff:a.b.c.d)
 * is made IPv4 wherever an addr is filled, so that one client has one name.
 */
#ifndef ADDR_H
#define ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "text.h"

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

#define ADDR_STRLEN 80 /* "[IPv6%scope]:port" and a NUL */

/* Numeric address, IPv6 with or without brackets; no names.  0 or -1. */
int addr_parse(struct text host, uint16_t port, struct addr *a);
int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len,
    struct addr *a);                    /* -1: not IPv4 or IPv6 */
int addr_peer(int fd, struct addr *a);  /* getpeername(2) */
int addr_local(int fd, struct addr *a); /* getsockname(2) */

socklen_t addr_len(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
bool addr_eq(const struct addr *a, const struct addr *b);      /* with port */
bool addr_eq_host(const struct addr *a, const struct addr *b); /* without */
bool addr_is_any(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
/* Loopback, RFC 1918, RFC 6598, RFC 4193, link-local: not the Internet. */
bool addr_is_private(const struct addr *a);

/* An address, or a network: those whose first bits are the same. */
struct addr_range {
	struct addr addr; /* port 0 */
	unsigned int bits;
};

/* "192.0.2.0/24", "2001:db8::/32", or one address.  0 or -1. */
int addr_range_parse(struct text t, struct addr_range *r);
bool addr_in_range(const struct addr *a, const struct addr_range *r);

/* Who counts as one client: an IPv4 address or an IPv6 /64 (RFC 6177). */
struct addr_net {
	uint32_t family;
	uint64_t net;
};
struct addr_net addr_net(const struct addr *a);
/* Less than, equal to or greater than 0; for trees. */
int addr_net_compare(const struct addr_net *a, const struct addr_net *b);

/* "192.0.2.1:993" or "[2001:db8::1]:993"; dst has ADDR_STRLEN.  Returns dst. */
char *addr_print(const struct addr *a, char *dst);
char *addr_print_host(const struct addr *a, char *dst); /* no port, no [ ] */
/* The same for another host, to which a scope means nothing. */
char *addr_print_ip(const struct addr *a, char *dst);

/*
 * Split "host[:port]", "[v6]:port", "*:port" into views; a bare IPv6 address
 * is a host without port.  *port is TEXT_NONE when absent.  0, or -1.
 */
int addr_split(struct text in, struct text *host, struct text *port);

#endif
