/* SPDX-License-Identifier: ISC */
/*
 * base64: the code in which SASL exchanges travel.  Runs in the worker, on
 * octets from clients and from inner servers.  One content has one code here
 * (RFC 4648 3.5): what is decoded leniently by one program and strictly by
 * the next can name two users.
 */
#include <stdint.h>
#include <string.h>

#include "base64.h"

#define PAD '='

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";
_Static_assert(sizeof(alphabet) - 1 == 64, "RFC 4648 4, table 1");

/* The six bits that c stands for, or -1. */
static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

/* The 6 * n bits of n characters, n at most 4, or -1. */
static int
group_of(const char *p, size_t n)
{
	int bits = 0, v;
	size_t i;

	for (i = 0; i < n; i++) {
		if ((v = value_of(p[i])) == -1)
			return -1;
		bits = bits * 64 + v;
	}
	return bits;
}

/* Three octets for four characters, fewer if the last are padding; or 0. */
static size_t
decode_group(const char *p, bool last, unsigned char out[3])
{
	size_t n = 4;
	int bits, spare;

	while (last && n > 2 && p[n - 1] == PAD)
		n--;
	if ((bits = group_of(p, n)) == -1)
		return 0;
	/* 12 or 18 bits hold whole octets and 4 or 2 that say nothing. */
	spare = (int)(4 - n) * 2;
	if ((bits & ((1 << spare) - 1)) != 0)
		return 0;
	bits <<= (4 - n) * 6;
	out[0] = (unsigned char)(bits >> 16 & 0xff);
	out[1] = (unsigned char)(bits >> 8 & 0xff);
	out[2] = (unsigned char)(bits & 0xff);
	return n - 1;
}

int
base64_decode(struct text in, void *out, size_t size, size_t *len)
{
	unsigned char group[3], *dst = out;
	size_t i, n, done = 0;

	if (in.len % 4 != 0)
		return -1;
	for (i = 0; i < in.len; i += 4) {
		n = decode_group(in.p + i, in.len - i == 4, group);
		if (n == 0 || n > size - done)
			goto fail;
		memcpy(dst + done, group, n);
		done += n;
	}
	explicit_bzero(group, sizeof(group));
	*len = done;
	return 0;

fail: /* what was decoded so far may be the better part of a password */
	explicit_bzero(group, sizeof(group));
	if (done > 0)
		explicit_bzero(out, done);
	return -1;
}

int
base64_encode(const void *in, size_t len, char *out, size_t size)
{
	const unsigned char *p = in;
	uint32_t bits;
	size_t i, n;

	/* BASE64_LEN(len) > size - 1, said so that nothing can wrap. */
	if (size == 0 || len > (size - 1) / 4 * 3)
		return -1;
	for (i = 0; i < len; i += n) {
		n = len - i < 3 ? len - i : 3;
		bits = (uint32_t)p[i] << 16;
		if (n > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (n > 2)
			bits |= p[i + 2];
		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = n > 1 ? alphabet[bits >> 6 & 63] : PAD;
		*out++ = n > 2 ? alphabet[bits & 63] : PAD;
	}
	*out = '\0';
	return 0;
}
