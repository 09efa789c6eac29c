/* SPDX-License-Identifier: ISC */
/* The text of a message; in load and sink. */
#include <string.h>

#include "pattern.h"

static char text[PATTERN_RUN + PATTERN_PERIOD];

void
pattern_init(void)
{
	static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t i, j, line;

	for (i = 0; i < sizeof(text); i += PATTERN_LINE) {
		line = i % PATTERN_PERIOD / PATTERN_LINE;
		for (j = 0; j < PATTERN_LINE - 2; j++)
			text[i + j] = alnum[(line * 7 + j * 3) % 62];
		memcpy(text + i + j, "\r\n", 2);
	}
}

const char *
pattern_at(uint64_t offset)
{
	return text + offset % PATTERN_PERIOD;
}

bool
pattern_ok(const char *p, size_t n, uint64_t offset)
{
	size_t take;

	for (; n > 0; p += take, n -= take, offset += take) {
		take = n < PATTERN_RUN ? n : PATTERN_RUN;
		if (memcmp(p, pattern_at(offset), take) != 0)
			return false;
	}
	return true;
}
