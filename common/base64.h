/* SPDX-License-Identifier: ISC */
/* base64: strict coding (RFC 4648 4) into bounds that the caller gives. */
#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>

#include "text.h"

#define BASE64_LEN(n) (((n) + 2) / 3 * 4) /* octets of the code, no NUL */

/*
 * 0 with *len octets in out, or -1: an octet outside the alphabet, missing or
 * misplaced padding, spare bits that are not zero, or more than size octets.
 */
int base64_decode(struct text in, void *out, size_t size, size_t *len);

/* Write BASE64_LEN(len) octets and a NUL; -1 when size does not hold them. */
int base64_encode(const void *in, size_t len, char *out, size_t size);

#endif
