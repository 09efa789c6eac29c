/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sender_map: a map of senders, and questions: an address that the file
 * does not name, in whatever case, is nobody's.
 */
#include <strings.h>

#include "fuzz.h"
#include "sender_map.h"

static bool
names(struct text file, struct text word)
{
	size_t i;

	for (i = 0; word.len > 0 && i + word.len <= file.len; i++)
		if (strncasecmp(file.p + i, word.p, word.len) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct text sender = input_line(&in), user = input_line(&in), file;
	struct text domain, rest;
	struct sender_map *m;
	const char *why = NULL;
	size_t line = 0, lines = 1, i;

	file = fuzz_copy(in.p, in.left);
	for (i = 0; i < file.len; i++)
		lines += file.p[i] == '\n';
	m = sender_map_parse(file, &line, &why);
	if (m == NULL) {
		MUST(why != NULL && line >= 1 && line <= lines);
	} else if (sender.len <= 256 && sender_map_owns(m, sender, user)) {
		/* Somebody said so: of the address, or of its domain. */
		rest = sender;
		while (text_split(&rest, '@', &domain))
			continue;
		MUST(names(file, user));
		MUST(!text_has(sender, '@') || names(file, domain));
		MUST(user.len > 0);
	}
	sender_map_free(&m);
	MUST(m == NULL);
	fuzz_free(file);
	return 0;
}
