/* SPDX-License-Identifier: ISC */
/*
 * fuzz_capability: sets of capability words and what rules make of them.
 */
#include "capability.h"
#include "fuzz.h"

static const struct capability_rule rules[] = {
	{ "STLS", 0, CAPABILITY_STARTTLS, true, "" },
	{ "AUTH=*", CAPABILITY_TLS, 0, true, "" },
	{ "SASL*", CAPABILITY_TLS | CAPABILITY_CLEAR_LOGIN, 0, false, "" },
	{ "LOGIN", 0, CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS, false, "" },
	{ "*", CAPABILITY_TLS | CAPABILITY_AFTER, 0, false, "" },
};

static void
check(const struct capability *c)
{
	struct capability again = *c;
	struct text entry;
	size_t at = 0, n = 0;

	MUST(c->len <= CAPABILITY_MAX);
	while (capability_next(c, &at, &entry)) {
		MUST(entry.len > 0 && fuzz_printable(entry));
		/* The very same is there once. */
		MUST(capability_add(&again, entry) == 0);
		n++;
	}
	MUST(again.len == c->len && capability_same(c, &again));
	for (at = 0; capability_next(c, &at, &entry);)
		n--;
	MUST(n == 0);
}

static void
check_print(const struct capability *c)
{
	char line[CAPABILITY_MAX + 1];
	struct capability again;

	MUST(capability_print(c, "\n", line, sizeof(line)) == 0);
	MUST(strlen(line) <= c->len);
	if (capability_print(c, " ", line, 16) == 0)
		MUST(strlen(line) < 16);
	MUST(capability_print(c, " ", line, sizeof(line)) == 0);
	capability_clear(&again);
	/* A blank parts words, and an entry may have one. */
	if (capability_add_words(&again, text_of(line)) == 0)
		check(&again);
}

static void
check_rules(const struct capability *c, unsigned int situation)
{
	struct capability out, edited;
	struct text entry;
	size_t at = 0;

	capability_rewrite(rules, NITEMS(rules), situation, c, &out);
	capability_edit(rules, NITEMS(rules), situation, c, &edited);
	check(&out);
	check(&edited);
	if (situation == CAPABILITY_CLEAR) {
		MUST(!capability_has_keyword(&out, "AUTH"));
		MUST(!capability_has(&out, "LOGIN"));
		MUST(!capability_has_keyword(&edited, "AUTH"));
	}
	while (capability_next(&out, &at, &entry))
		MUST(text_caseeq(entry, "STLS") ||
		    text_caseeq(entry, "LOGIN") || c->len > 0);
	edited = out;
	capability_intersect(&edited, c);
	check(&edited);
	for (at = 0; capability_next(&edited, &at, &entry);) {
		char word[CAPABILITY_MAX + 1];

		(void)snprintf(word, sizeof(word), "%.*s", TEXT_ARG(entry));
		MUST(capability_has(c, word) && capability_has(&out, word));
		MUST(capability_has_keyword(c, word) ||
		    strpbrk(word, " =") != NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned int situation = 1U << input_u8(&in) % 5;
	struct capability c;
	struct text line;
	char *word;

	capability_clear(&c);
	while (in.left > 0) {
		line = input_line(&in);
		line = fuzz_copy(line.p, line.len);
		word = strndup(line.p, line.len);
		if (line.len > 0 && line.p[0] == '-') {
			capability_remove(&c, word + 1);
			MUST(!capability_has(&c, word + 1));
		} else if (line.len > 0 && line.p[0] == '+') {
			(void)capability_add_words(&c, text_skip(line, 1));
		} else if (capability_add(&c, line) == 0) {
			MUST(capability_has(&c, word));
			(void)capability_has_argument(&c, "SASL", word);
		}
		free(word);
		fuzz_free(line);
	}
	check(&c);
	check_print(&c);
	check_rules(&c, situation);
	return 0;
}
