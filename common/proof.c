/* SPDX-License-Identifier: ISC */
/* proof: a wrong password, known again.  Runs in workers and authenticators. */
#include "proof.h"

uint16_t
proof_of(const uint8_t key[static SIPHASH_KEY_LEN], struct text user,
    struct text password)
{
	const uint64_t parts[2] = { siphash(key, user.p, user.len),
		siphash(key, password.p, password.len) };

	return (uint16_t)(siphash(key, parts, sizeof(parts)) >> 48) | 1;
}
