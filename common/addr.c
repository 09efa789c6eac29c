/* SPDX-License-Identifier: ISC */
/*
 * addr: socket addresses as values.  Runs in every process; what it parses
 * comes from the configuration, from DNS or from the kernel.  It asks no
 * resolver; only a scope that is given by an interface's name ("fe80::1%eth0",
 * as a configuration may) makes it ask the kernel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

/* A copy with a NUL for inet_pton(3) and its like. */
static int
copy_text(struct text t, char *dst, size_t size)
{
	if (t.len == 0 || t.len >= size || text_has(t, '\0'))
		return -1;
	memcpy(dst, t.p, t.len);
	dst[t.len] = '\0';
	return 0;
}

static int
parse_v4(struct text host, struct in_addr *in)
{
	char s[INET_ADDRSTRLEN];

	if (copy_text(host, s, sizeof(s)) == -1)
		return -1;
	return inet_pton(AF_INET, s, in) == 1 ? 0 : -1;
}

/* The address itself goes to *in6, what stands behind a '%' to *scope. */
static int
parse_v6(struct text host, struct in6_addr *in6, struct text *scope)
{
	char s[INET6_ADDRSTRLEN];
	struct text number;

	if (!text_split(&host, '%', &number) ||
	    copy_text(number, s, sizeof(s)) == -1)
		return -1;
	*scope = host;
	return inet_pton(AF_INET6, s, in6) == 1 ? 0 : -1;
}

/* RFC 4007 11: an interface's number or name. */
static int
parse_scope(struct text scope, uint32_t *id)
{
	char name[IF_NAMESIZE];
	uint64_t v;

	if (text_u64(scope, UINT32_MAX, &v)) {
		*id = (uint32_t)v;
		return 0;
	}
	if (copy_text(scope, name, sizeof(name)) == -1)
		return -1;
	*id = if_nametoindex(name);
	return *id != 0 ? 0 : -1;
}

static void
set_v4(struct addr *a, struct in_addr in, in_port_t port)
{
	memset(a, 0, sizeof(*a));
	a->in.sin_family = AF_INET;
	a->in.sin_port = port;
	a->in.sin_addr = in;
}

static void
set_v6(struct addr *a, const struct in6_addr *in6, in_port_t port, uint32_t id)
{
	struct in_addr in;

	if (IN6_IS_ADDR_V4MAPPED(in6)) {
		memcpy(&in, in6->s6_addr + 12, sizeof(in));
		set_v4(a, in, port);
		return;
	}
	memset(a, 0, sizeof(*a));
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = port;
	a->in6.sin6_addr = *in6;
	/* Elsewhere a scope means nothing and must not make a difference. */
	if (IN6_IS_ADDR_LINKLOCAL(in6))
		a->in6.sin6_scope_id = id;
}

static struct text
strip_brackets(struct text t)
{
	if (t.len < 2 || t.p[0] != '[' || t.p[t.len - 1] != ']')
		return t;
	return (struct text){ t.p + 1, t.len - 2 };
}

int
addr_parse(struct text host, uint16_t port, struct addr *a)
{
	struct in_addr in;
	struct in6_addr in6;
	struct text scope;
	uint32_t id = 0;

	if (parse_v4(host, &in) == 0) {
		set_v4(a, in, htons(port));
		return 0;
	}
	if (parse_v6(strip_brackets(host), &in6, &scope) == -1)
		goto bad;
	if (scope.p != NULL &&
	    (!IN6_IS_ADDR_LINKLOCAL(&in6) || parse_scope(scope, &id) == -1))
		goto bad;
	set_v6(a, &in6, htons(port), id);
	return 0;

bad:
	errno = EINVAL;
	return -1;
}

int
addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	/* Copies, since sa need not be aligned for what it is. */
	if (len >= sizeof(in) && sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		set_v4(a, in.sin_addr, in.sin_port);
		return 0;
	}
	if (len >= sizeof(in6) && sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		set_v6(a, &in6.sin6_addr, in6.sin6_port, in6.sin6_scope_id);
		return 0;
	}
	errno = EAFNOSUPPORT;
	return -1;
}

int
addr_peer(int fd, struct addr *a)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	return addr_from_sockaddr((struct sockaddr *)&ss, len, a);
}

int
addr_local(int fd, struct addr *a)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	return addr_from_sockaddr((struct sockaddr *)&ss, len, a);
}

socklen_t
addr_len(const struct addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

uint16_t
addr_port(const struct addr *a)
{
	return ntohs(
	    a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else
		a->in6.sin6_port = htons(port);
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	return addr_eq_host(a, b) && addr_port(a) == addr_port(b);
}

bool
addr_eq_host(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
	    a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

bool
addr_is_any(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* Is the IPv4 address in within net/bits, net in host order? */
static bool
v4_within(struct in_addr in, uint32_t net, unsigned int bits)
{
	return (ntohl(in.s_addr) ^ net) >> (32 - bits) == 0;
}

bool
addr_is_loopback(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return v4_within(a->in.sin_addr, INADDR_LOOPBACK, 8);
	return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

bool
addr_is_private(const struct addr *a)
{
	static const struct {
		uint32_t net;
		unsigned int bits;
	} nets[] = {
		{ 0x0a000000, 8 },  /* 10.0.0.0, RFC 1918 */
		{ 0xac100000, 12 }, /* 172.16.0.0, RFC 1918 */
		{ 0xc0a80000, 16 }, /* 192.168.0.0, RFC 1918 */
		{ 0x64400000, 10 }, /* 100.64.0.0, RFC 6598 */
		{ 0xa9fe0000, 16 }, /* 169.254.0.0, RFC 3927 */
	};
	size_t i;

	if (addr_is_loopback(a))
		return true;
	if (a->sa.sa_family != AF_INET)
		return IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr) ||
		    (a->in6.sin6_addr.s6_addr[0] & 0xfe) == 0xfc; /* RFC 4193 */
	for (i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		if (v4_within(a->in.sin_addr, nets[i].net, nets[i].bits))
			return true;
	}
	return false;
}

static const unsigned char *
octets_of(const struct addr *a, unsigned int *bits)
{
	if (a->sa.sa_family == AF_INET) {
		*bits = 32;
		return (const unsigned char *)&a->in.sin_addr;
	}
	*bits = 128;
	return a->in6.sin6_addr.s6_addr;
}

/* Is any bit of an address set from number from on? */
static bool
has_bits_from(const struct addr *a, unsigned int from)
{
	const unsigned char *p;
	unsigned int i, all;

	p = octets_of(a, &all);
	for (i = from; i < all; i++)
		if ((p[i / 8] >> (7 - i % 8) & 1) != 0)
			return true;
	return false;
}

int
addr_range_parse(struct text t, struct addr_range *r)
{
	struct text host;
	uint64_t bits;
	unsigned int all;

	if (!text_split(&t, '/', &host) || addr_parse(host, 0, &r->addr) == -1)
		goto bad;
	(void)octets_of(&r->addr, &all);
	r->bits = all;
	if (t.p == NULL)
		return 0;
	/* Of a mapped IPv4 address nobody knows what the bits are of. */
	if (!text_u64(t, all, &bits) ||
	    (r->addr.sa.sa_family == AF_INET && text_has(host, ':')) ||
	    has_bits_from(&r->addr, (unsigned int)bits))
		goto bad;
	r->bits = (unsigned int)bits;
	return 0;

bad:
	errno = EINVAL;
	return -1;
}

bool
addr_in_range(const struct addr *a, const struct addr_range *r)
{
	const unsigned char *p, *q;
	unsigned int all, whole = r->bits / 8, rest = r->bits % 8;

	if (a->sa.sa_family != r->addr.sa.sa_family)
		return false;
	p = octets_of(a, &all);
	q = octets_of(&r->addr, &all);
	return memcmp(p, q, whole) == 0 &&
	    (rest == 0 || (p[whole] ^ q[whole]) >> (8 - rest) == 0);
}

struct addr_net
addr_net(const struct addr *a)
{
	struct addr_net n = { .family = a->sa.sa_family };
	size_t i;

	if (a->sa.sa_family == AF_INET) {
		n.net = ntohl(a->in.sin_addr.s_addr);
		return n;
	}
	for (i = 0; i < 8; i++)
		n.net = n.net << 8 | a->in6.sin6_addr.s6_addr[i];
	return n;
}

int
addr_net_compare(const struct addr_net *a, const struct addr_net *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return (a->net > b->net) - (a->net < b->net);
}

/* Each line of the log has one or two: inet_ntop(3) calls sprintf(3). */
static void
print_v4(const struct in_addr *in, char *dst)
{
	const unsigned char *octets = (const unsigned char *)&in->s_addr;
	size_t i;

	for (i = 0; i < 4; i++) {
		if (octets[i] >= 100)
			*dst++ = (char)('0' + octets[i] / 100);
		if (octets[i] >= 10)
			*dst++ = (char)('0' + octets[i] / 10 % 10);
		*dst++ = (char)('0' + octets[i] % 10);
		*dst++ = i < 3 ? '.' : '\0';
	}
}

char *
addr_print_host(const struct addr *a, char *dst)
{
	size_t n;

	if (a->sa.sa_family == AF_INET) {
		print_v4(&a->in.sin_addr, dst);
		return dst;
	}
	dst[0] = '\0'; /* inet_ntop(3) fails for no family of ours */
	inet_ntop(AF_INET6, &a->in6.sin6_addr, dst, ADDR_STRLEN);
	if (a->in6.sin6_scope_id != 0) {
		/* By number: a worker may not ask for the interface's name. */
		n = strlen(dst);
		(void)snprintf(dst + n, ADDR_STRLEN - n, "%%%u",
		    (unsigned int)a->in6.sin6_scope_id);
	}
	return dst;
}

char *
addr_print_ip(const struct addr *a, char *dst)
{
	struct addr copy = *a;

	if (copy.sa.sa_family == AF_INET6)
		copy.in6.sin6_scope_id = 0;
	return addr_print_host(&copy, dst);
}

char *
addr_print(const struct addr *a, char *dst)
{
	char host[ADDR_STRLEN];
	bool v4 = a->sa.sa_family == AF_INET;

	addr_print_host(a, host);
	(void)snprintf(dst, ADDR_STRLEN, v4 ? "%s:%u" : "[%s]:%u", host,
	    (unsigned int)addr_port(a));
	return dst;
}

static bool
is_v6(struct text t)
{
	struct in6_addr in6;
	struct text scope;

	return parse_v6(t, &in6, &scope) == 0;
}

/* "[v6]" and what follows it, which is ":port" or nothing. */
static int
split_brackets(struct text in, struct text *host, struct text *rest)
{
	struct text inside;

	if (!text_split(&in, ']', &inside) || in.p == NULL)
		return -1;
	inside = text_skip(inside, 1); /* the '[' */
	if (!is_v6(inside))
		return -1;
	*host = inside;
	*rest = in;
	return 0;
}

int
addr_split(struct text in, struct text *host, struct text *port)
{
	struct text rest = in, name;

	if (in.len > 0 && in.p[0] == '[') {
		if (split_brackets(in, &name, &rest) == -1)
			goto bad;
		if (rest.len == 0)
			rest = TEXT_NONE;
		else if (rest.p[0] == ':')
			rest = text_skip(rest, 1);
		else
			goto bad;
	} else if (is_v6(in)) {
		name = in;
		rest = TEXT_NONE;
	} else if (!text_split(&rest, ':', &name) || text_has(rest, ':')) {
		goto bad;
	}
	if (name.len == 0 || (rest.p != NULL && rest.len == 0))
		goto bad;
	*host = name;
	*port = rest;
	return 0;

bad:
	errno = EINVAL;
	return -1;
}
