/* SPDX-License-Identifier: ISC */
/*
 * siphash: SipHash-2-4 (Aumasson, Bernstein, 2012), a keyed hash of 64 bits:
 * who does not know the key can neither tell what was hashed nor make two
 * things collide.
 */
#ifndef SIPHASH_H
#define SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_LEN 16

uint64_t siphash(
    const uint8_t key[static SIPHASH_KEY_LEN], const void *data, size_t len);

#endif
