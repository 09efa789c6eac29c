/* SPDX-License-Identifier: ISC */
/*
 * fuzz_text: views of octets, and lines: the smallest parsers, which all the
 * others stand on.
 */
#include "fuzz.h"
#include "line.h"

static void
check_printable(struct text t, size_t size)
{
	char *dst = malloc(size), *people = malloc(size);

	MUST(text_printable(t, dst, size) == dst);
	MUST(strlen(dst) < size && fuzz_printable(text_of(dst)));
	MUST(strchr(dst, '"') == NULL || strstr(dst, "\\\"") != NULL);
	text_for_people(t, people, size);
	MUST(strlen(people) < size && fuzz_printable(text_of(people)));
	free(dst);
	free(people);
}

static void
check_words(struct text t)
{
	struct text rest = t, word, code;
	size_t n = 0, commas = 0, i;

	while (text_split(&rest, ',', &word)) {
		MUST(fuzz_within(word, t) && !text_has(word, ','));
		n++;
	}
	for (i = 0; i < t.len; i++)
		commas += t.p[i] == ',';
	MUST(n == commas + 1);
	for (rest = t; text_word(&rest, &word);) {
		MUST(word.len > 0 && fuzz_within(word, t));
		MUST(!text_has(word, ' ') && !text_has(word, '\t'));
		MUST(text_has_word(t, word));
	}
	word = text_trim(t);
	MUST(fuzz_same(text_trim(word), word) && fuzz_within(word, t));
	rest = t;
	code = text_code(&rest);
	if (code.p != NULL)
		MUST(fuzz_within(code, t) && rest.len < t.len &&
		    !text_has(code, ']'));
	else
		MUST(fuzz_same(rest, t));
}

static void
check_number(struct text t)
{
	char line[32];
	uint64_t n, again;

	if (!text_u64(t, UINT64_MAX, &n))
		return;
	(void)snprintf(line, sizeof(line), "%llu", (unsigned long long)n);
	MUST(text_u64(text_of(line), n, &again) && again == n);
	MUST(n == 0 || !text_u64(t, n - 1, &again));
}

/* The same line, wherever it is cut in arriving. */
static void
check_line(struct text t, size_t max)
{
	enum line_result whole, part;
	struct text line = TEXT_NONE, early = TEXT_NONE;
	struct fuzz_cuts cuts = fuzz_cuts(t);
	size_t before = 0, n, early_len;
	struct buf b;

	buf_init(&b, t.len + 1);
	part = line_peek(&b, max, &early);
	while (b.len < t.len && part == LINE_WAIT) {
		before = b.len;
		n = fuzz_cut(&cuts, t.len - b.len);
		MUST(buf_append(&b, t.p + b.len, n) == 0);
		part = line_peek(&b, max, &early);
	}
	if (part == LINE_OK)
		MUST(early.len + 2 > before && early.len + 2 <= b.len &&
		    early.len + 2 <= max);
	early_len = early.len;
	MUST(buf_append(&b, t.p + b.len, t.len - b.len) == 0);
	whole = line_peek(&b, max, &line);
	if (part == LINE_OK || whole == LINE_OK) {
		MUST(part == whole && line.len == early_len);
		MUST(!text_has(line, '\r') && !text_has(line, '\n') &&
		    !text_has(line, '\0'));
	}
	MUST((part == LINE_WAIT) == (whole == LINE_WAIT));
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t n = input_u8(&in);
	struct text t = fuzz_copy(in.p, in.left);

	check_printable(t, 8 + n);
	check_words(t);
	check_number(t);
	check_line(t, n);
	check_line(t, 4096);
	fuzz_free(t);
	return 0;
}
