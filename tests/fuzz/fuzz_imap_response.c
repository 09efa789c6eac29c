/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_response: what an inner IMAP server says: lines in pieces,
 * responses, and the capability lists in them.
 */
#include "fuzz.h"
#include "imap.h"

static void
check_list(struct text words, uint8_t situation)
{
	struct capability list, out;
	struct text entry;
	size_t at = 0;

	capability_clear(&list);
	if (imap_add_capability(&list, words) == -1)
		return;
	while (capability_next(&list, &at, &entry)) {
		/* None can end the response code that it stands in. */
		MUST(imap_is_capability(entry) && !text_has(entry, ']'));
		MUST(!text_has(entry, ' ') && !text_has(entry, '"'));
	}
	capability_rewrite(
	    imap_rules, IMAP_NRULES, 1U << situation % 5, &list, &out);
	if (1U << situation % 5 != CAPABILITY_CLEAR)
		return;
	MUST(!capability_has(&out, "STARTTLS"));
	MUST(capability_has(&out, "LOGINDISABLED"));
	for (at = 0; capability_next(&out, &at, &entry);)
		MUST(!text_caseprefix(entry, "AUTH="));
}

static void
check_response(const struct imap_response *r, struct text line, uint8_t flags)
{
	MUST(fuzz_within(r->code, line) && fuzz_within(r->args, line));
	MUST(fuzz_within(r->text, line));
	MUST(!text_has(r->code, ']') || r->status == IMAP_DATA);
	if (r->kind == IMAP_TAGGED) {
		MUST(fuzz_within(r->tag, line) && r->tag.len > 0);
		MUST(r->status == IMAP_OK || r->status == IMAP_NO ||
		    r->status == IMAP_BAD);
	}
	if (r->kind != IMAP_CONTINUE && text_caseeq(r->code, "CAPABILITY"))
		check_list(r->args, flags);
}

/* A sum of the lines that were found. */
static uint64_t
read_lines(struct text in, struct fuzz_cuts cuts, uint8_t flags)
{
	struct imap_scan scan = { 0, 0 };
	enum line_result res = LINE_WAIT;
	struct imap_response r;
	struct text line;
	uint64_t literal, found = 0;
	struct buf b;
	size_t n;

	buf_init(&b, 1 << 20);
	for (; in.len > 0 && (res == LINE_WAIT); in = text_skip(in, n)) {
		n = fuzz_cut(&cuts, in.len);
		MUST(buf_append(&b, in.p, n) == 0);
		while ((res = imap_scan_line(
		            &scan, &b, IMAP_LINE_MAX, &line)) == LINE_OK) {
			MUST(!text_has(line, '\n') && !text_has(line, '\0') &&
			    !text_has(line, '\r'));
			found = found * 31 + line.len + 1;
			if (imap_parse_response(line, &r))
				check_response(&r, line, flags);
			if (imap_ends_in_literal(line, &literal))
				MUST(line.p[line.len - 1] == '}');
			buf_consume(&b, line.len + 2);
			scan = (struct imap_scan){ 0, 0 };
		}
	}
	buf_free(&b);
	return found;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in);
	struct text t = fuzz_copy(in.p, in.left);
	struct imap_response r;
	struct capability c;
	char *set;

	MUST(read_lines(t, (struct fuzz_cuts){ 0, 0 }, flags) ==
	    read_lines(t, fuzz_cuts(t), flags));
	if (!text_has(t, '\0') && !text_has(t, '\r') && !text_has(t, '\n') &&
	    imap_parse_response(t, &r))
		check_response(&r, t, flags);
	check_list(t, flags);
	set = strndup(t.p, t.len);
	(void)imap_parse_capability(set, &c);
	free(set);
	fuzz_free(t);
	return 0;
}
