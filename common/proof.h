/* SPDX-License-Identifier: ISC */
/*
 * proof: that a wrong password is the same as the one before, in 16 bits of a
 * keyed hash: enough to know it again, and too little to find out what it was.
 * The key is of one generation of the daemon's processes, and in no file.
 */
#ifndef PROOF_H
#define PROOF_H

#include <stdint.h>

#include "siphash.h"
#include "text.h"

/* Never 0, which stands for none. */
uint16_t proof_of(const uint8_t key[static SIPHASH_KEY_LEN], struct text user,
    struct text password);

#endif
