/* SPDX-License-Identifier: ISC */
/*
 * The text of a message, on which load and sink agree: lines of 64 octets,
 * CRLF included, of letters and digits alone.  It repeats itself, so both
 * sides send from one buffer and compare what they receive with it.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PATTERN_LINE = 64,
	PATTERN_PERIOD = 64 * 1024,
	PATTERN_RUN = 1024 * 1024 /* octets at least behind pattern_at() */
};

/* Makes the text; before anything else. */
void pattern_init(void);

/* The text from an offset in a message on, PATTERN_RUN octets of it. */
const char *pattern_at(uint64_t offset);

/* Whether these n octets are the text at that offset. */
bool pattern_ok(const char *p, size_t n, uint64_t offset);

#endif
