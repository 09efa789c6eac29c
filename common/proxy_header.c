/* SPDX-License-Identifier: ISC */
/*
 * proxy_header: the PROXY protocol.  Runs in workers, on what a proxy sends
 * that the administrator has named; but who reaches that proxy's address may
 * send anything.
 */
#include <netinet/in.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "proxy_header.h"

#define V1_MAX 107 /* octets, CRLF included (2.1) */
#define V1_ADDRESS_OCTETS "0123456789abcdefABCDEF:."
#define V1_ADDRESS4_OCTETS "0123456789."

/* 2.2 */
static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
#define SIGNATURE_LEN (sizeof(signature) - 1)
#define V2_FIXED 16 /* octets in front of the addresses */
#define V2_VERSION 0x20
#define V2_LOCAL 0
#define V2_PROXY 1
#define V2_TCP4 0x11
#define V2_TCP6 0x21

#define TLV_HEAD 3      /* octets: type, length */
#define TLV_CRC32C 0x03 /* 2.2.3 */
#define TLV_HOPS 0xe5   /* ours, among those for applications (2.2.7) */

/* IPv4 address or IPv6 address, decimal ports, one blank between two. */
static bool
take_v1_addr(struct text *rest, bool v6, struct addr *a)
{
	struct text word;

	if (!text_split(rest, ' ', &word) ||
	    !text_only(word, v6 ? V1_ADDRESS_OCTETS : V1_ADDRESS4_OCTETS) ||
	    text_has(word, ':') != v6)
		return false;
	return addr_parse(word, 0, a) == 0;
}

static bool
take_v1_port(struct text *rest, struct addr *a)
{
	struct text word;
	uint64_t port;

	if (!text_split(rest, ' ', &word) ||
	    !text_u64(word, UINT16_MAX, &port) ||
	    (word.len > 1 && word.p[0] == '0'))
		return false;
	addr_set_port(a, (uint16_t)port);
	return true;
}

/* What stands between "PROXY " and CRLF. */
static bool
parse_v1_line(struct text rest, struct proxy_header *h)
{
	struct text word;
	bool v6;

	if (!text_split(&rest, ' ', &word))
		return false;
	if (text_eq(word, "UNKNOWN")) /* whatever is behind it (2.1) */
		return true;
	v6 = text_eq(word, "TCP6");
	if ((!v6 && !text_eq(word, "TCP4")) ||
	    !take_v1_addr(&rest, v6, &h->client) ||
	    !take_v1_addr(&rest, v6, &h->local) ||
	    !take_v1_port(&rest, &h->client) ||
	    !take_v1_port(&rest, &h->local) || rest.p != NULL)
		return false;
	h->relayed = true;
	return true;
}

static enum proxy_result
parse_v1(struct text in, struct proxy_header *h, size_t *len)
{
	const struct text mark = TEXT_LIT("PROXY ");
	size_t end = in.len < V1_MAX ? in.len : V1_MAX;
	const char *lf;

	if (memcmp(in.p, mark.p, in.len < mark.len ? in.len : mark.len) != 0)
		return PROXY_BAD;
	lf = memchr(in.p, '\n', end);
	if (lf == NULL)
		return in.len < V1_MAX ? PROXY_WAIT : PROXY_BAD;
	*len = (size_t)(lf - in.p) + 1;
	if (*len < mark.len + 2 || lf[-1] != '\r')
		return PROXY_BAD;
	in = (struct text){ in.p + mark.len, *len - mark.len - 2 };
	return parse_v1_line(in, h) ? PROXY_OK : PROXY_BAD;
}

static uint16_t
get_be16(const char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

/* CRC-32C (RFC 3720 B.4), the octets from skip to skip + 4 being zeros. */
static uint32_t
crc32c(struct text in, size_t skip)
{
	uint32_t crc = UINT32_MAX;
	size_t i;
	int bit;

	for (i = 0; i < in.len; i++) {
		if (i < skip || i >= skip + sizeof(crc))
			crc ^= (unsigned char)in.p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
	}
	return ~crc;
}

/* all is the whole header; at: where its fields begin. */
static bool
parse_fields(struct text all, size_t at, struct proxy_header *h)
{
	unsigned char type;
	uint32_t crc;
	size_t n;

	for (; at < all.len; at += n) {
		if (all.len - at < TLV_HEAD)
			return false;
		type = (unsigned char)all.p[at];
		n = get_be16(all.p + at + 1);
		at += TLV_HEAD;
		if (n > all.len - at)
			return false;
		if (type == TLV_HOPS && n == 1)
			h->hops = (uint8_t)all.p[at];
		if (type != TLV_CRC32C)
			continue;
		if (n != sizeof(crc))
			return false;
		memcpy(&crc, all.p + at, sizeof(crc));
		if (be32toh(crc) != crc32c(all, at))
			return false;
	}
	return true;
}

/* Source and destination, then the two ports. */
static void
take_addrs4(const char *p, struct proxy_header *h)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	memcpy(&in.sin_addr, p, 4);
	memcpy(&in.sin_port, p + 8, 2);
	(void)addr_from_sockaddr(
	    (const struct sockaddr *)&in, sizeof(in), &h->client);
	memcpy(&in.sin_addr, p + 4, 4);
	memcpy(&in.sin_port, p + 10, 2);
	(void)addr_from_sockaddr(
	    (const struct sockaddr *)&in, sizeof(in), &h->local);
}

static void
take_addrs6(const char *p, struct proxy_header *h)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memcpy(&in6.sin6_addr, p, 16);
	memcpy(&in6.sin6_port, p + 32, 2);
	(void)addr_from_sockaddr(
	    (const struct sockaddr *)&in6, sizeof(in6), &h->client);
	memcpy(&in6.sin6_addr, p + 16, 16);
	memcpy(&in6.sin6_port, p + 34, 2);
	(void)addr_from_sockaddr(
	    (const struct sockaddr *)&in6, sizeof(in6), &h->local);
}

/* all is a whole header of the command PROXY. */
static bool
parse_v2_addrs(struct text all, struct proxy_header *h)
{
	const char *p = all.p + V2_FIXED;
	unsigned char family = (unsigned char)all.p[13];
	size_t n = all.len - V2_FIXED, need;

	switch (family) {
	case V2_TCP4:
		need = 12;
		break;
	case V2_TCP6:
		need = 36;
		break;
	case 0x00: /* UNSPEC, and the rest of what may be said: as that one */
	case 0x12:
	case 0x22:
	case 0x31:
	case 0x32:
		return true;
	default:
		return false;
	}
	if (n < need)
		return false;
	if (family == V2_TCP4)
		take_addrs4(p, h);
	else
		take_addrs6(p, h);
	h->relayed = true;
	return parse_fields(all, V2_FIXED + need, h);
}

static enum proxy_result
parse_v2(struct text in, struct proxy_header *h, size_t *len)
{
	unsigned char command;

	if (memcmp(in.p, signature,
	        in.len < SIGNATURE_LEN ? in.len : SIGNATURE_LEN) != 0)
		return PROXY_BAD;
	if (in.len > SIGNATURE_LEN) {
		command = (unsigned char)in.p[SIGNATURE_LEN];
		if (command != (V2_VERSION | V2_LOCAL) &&
		    command != (V2_VERSION | V2_PROXY))
			return PROXY_BAD;
	}
	if (in.len < V2_FIXED)
		return PROXY_WAIT;
	*len = V2_FIXED + (size_t)get_be16(in.p + 14);
	if (*len > PROXY_HEADER_MAX)
		return PROXY_BAD;
	if (in.len < *len)
		return PROXY_WAIT;
	if (in.p[SIGNATURE_LEN] == (V2_VERSION | V2_LOCAL))
		return PROXY_OK; /* the rest is not looked at (2.2) */
	in.len = *len;
	return parse_v2_addrs(in, h) ? PROXY_OK : PROXY_BAD;
}

enum proxy_result
proxy_header_parse(struct text in, struct proxy_header *h, size_t *len)
{
	memset(h, 0, sizeof(*h));
	*len = 0;
	if (in.len == 0)
		return PROXY_WAIT;
	return in.p[0] == 'P' ? parse_v1(in, h, len) : parse_v2(in, h, len);
}

enum proxy_result
proxy_header_look(struct text in)
{
	static const struct text first[] = { TEXT_LIT("PROXY TCP"),
		TEXT_LIT("PROXY UNKNOWN"), { signature, SIGNATURE_LEN } };
	enum proxy_result r = PROXY_BAD;
	struct text part;
	size_t i;

	for (i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		part = first[i];
		if (part.len > in.len)
			part.len = in.len;
		if (!text_casesame((struct text){ in.p, part.len }, part))
			continue;
		if (part.len == first[i].len)
			return PROXY_OK;
		r = PROXY_WAIT;
	}
	return r;
}

/* Both ends are of one family, as a TCP connection's are; else it is odd. */
static bool
can_tell(const struct addr *client, const struct addr *local)
{
	return client != NULL && client->sa.sa_family == local->sa.sa_family &&
	    (client->sa.sa_family == AF_INET ||
	        client->sa.sa_family == AF_INET6);
}

static size_t
write_v1(const struct addr *client, const struct addr *local, char *dst)
{
	char from[ADDR_STRLEN], to[ADDR_STRLEN];

	if (client == NULL)
		return strlcpy(dst, "PROXY UNKNOWN\r\n", PROXY_HEADER_SIZE);
	return (size_t)snprintf(dst, PROXY_HEADER_SIZE,
	    "PROXY %s %s %s %u %u\r\n",
	    client->sa.sa_family == AF_INET ? "TCP4" : "TCP6",
	    addr_print_ip(client, from), addr_print_ip(local, to),
	    (unsigned int)addr_port(client), (unsigned int)addr_port(local));
}

static size_t
put(char *dst, size_t at, const void *p, size_t n)
{
	memcpy(dst + at, p, n);
	return at + n;
}

static size_t
write_v2(const struct addr *client, const struct addr *local, uint8_t hops,
    char *dst)
{
	const bool v6 = client != NULL && client->sa.sa_family == AF_INET6;
	const char field[] = { (char)TLV_HOPS, 0, 1, (char)hops };
	size_t at = V2_FIXED;
	uint16_t n;

	memset(dst, 0, V2_FIXED);
	memcpy(dst, signature, SIGNATURE_LEN);
	dst[SIGNATURE_LEN] = V2_VERSION | V2_LOCAL;
	if (client == NULL)
		return at;
	dst[SIGNATURE_LEN] = V2_VERSION | V2_PROXY;
	dst[SIGNATURE_LEN + 1] = v6 ? V2_TCP6 : V2_TCP4;
	if (v6) {
		at = put(dst, at, &client->in6.sin6_addr, 16);
		at = put(dst, at, &local->in6.sin6_addr, 16);
		at = put(dst, at, &client->in6.sin6_port, 2);
		at = put(dst, at, &local->in6.sin6_port, 2);
	} else {
		at = put(dst, at, &client->in.sin_addr, 4);
		at = put(dst, at, &local->in.sin_addr, 4);
		at = put(dst, at, &client->in.sin_port, 2);
		at = put(dst, at, &local->in.sin_port, 2);
	}
	at = put(dst, at, field, sizeof(field));
	n = htobe16((uint16_t)(at - V2_FIXED));
	memcpy(dst + V2_FIXED - sizeof(n), &n, sizeof(n));
	return at;
}

size_t
proxy_header_write(unsigned int version, const struct addr *client,
    const struct addr *local, uint8_t hops, char dst[static PROXY_HEADER_SIZE])
{
	if (!can_tell(client, local))
		client = NULL;
	return version == 1 ? write_v1(client, local, dst)
	                    : write_v2(client, local, hops, dst);
}
