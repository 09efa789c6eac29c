/* SPDX-License-Identifier: ISC */
/* siphash: SipHash-2-4, as in its authors' paper.  Runs anywhere. */
#include <endian.h>
#include <string.h>

#include "siphash.h"

static uint64_t
rotate(uint64_t v, unsigned int bits)
{
	return v << bits | v >> (64 - bits);
}

static void
turn(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void
take(uint64_t v[static 4], uint64_t word)
{
	v[3] ^= word;
	turn(v);
	turn(v);
	v[0] ^= word;
}

/* At most 8 octets, the first one the lowest. */
static uint64_t
word_of(const uint8_t *p, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, p, len);
	return le64toh(word);
}

uint64_t
siphash(const uint8_t key[static SIPHASH_KEY_LEN], const void *data, size_t len)
{
	const uint64_t k0 = word_of(key, 8), k1 = word_of(key + 8, 8);
	const uint8_t *p = data;
	uint64_t v[4] = { k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573) };
	size_t left = len;
	int i;

	for (; left >= 8; left -= 8, p += 8)
		take(v, word_of(p, 8));
	take(v, (left > 0 ? word_of(p, left) : 0) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		turn(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
