/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_command: what an IMAP client says, its literals included: a
 * command is found in the same place however it arrives, and a string that is
 * taken can be said again.
 */
#include "fuzz.h"
#include "imap_scan.h"

#define STRING_MAX 256
#define ITEMS_MAX 40

/* Say dst as a quoted string, or as a literal where that is not possible. */
static void
check_string(const char *dst)
{
	char said[3 * STRING_MAX], again[STRING_MAX];
	size_t i, n = 0, len = strlen(dst);
	struct text rest;
	bool quoted = true;

	for (i = 0; i < len; i++)
		quoted = quoted && dst[i] != '\r' && dst[i] != '\n' &&
		    (unsigned char)dst[i] < 0x80;
	said[n++] = '"';
	for (i = 0; i < len; i++) {
		if (dst[i] == '"' || dst[i] == '\\')
			said[n++] = '\\';
		said[n++] = dst[i];
	}
	said[n++] = '"';
	if (quoted) {
		rest = (struct text){ said, n };
		MUST(imap_take_string(&rest, again, sizeof(again)) ==
		    IMAP_STRING_OK);
		MUST(rest.len == 0 && strcmp(dst, again) == 0);
	}
	n = (size_t)snprintf(said, sizeof(said), "{%zu}\r\n%s", len, dst);
	rest = (struct text){ said, n };
	MUST(imap_take_string(&rest, again, sizeof(again)) == IMAP_STRING_OK);
	MUST(rest.len == 0 && strcmp(dst, again) == 0);
}

/* Strings and atoms, one after the other, as LOGIN and ID have them. */
static void
take_all(struct text args)
{
	char dst[STRING_MAX], small[2];
	struct text rest = args, copy, atom;
	enum imap_string r, s;
	unsigned int n = 0;

	do {
		copy = rest;
		s = imap_take_string(&copy, dst, sizeof(dst));
		if (s == IMAP_STRING_OK)
			check_string(dst);
		MUST(s != IMAP_STRING_BAD || fuzz_same(copy, rest));
		copy = rest;
		s = imap_take_astring(&copy, small, sizeof(small));
		atom = rest;
		r = imap_take_astring(&rest, dst, sizeof(dst));
		/* Room says nothing of the grammar. */
		MUST((r == IMAP_STRING_BAD) == (s == IMAP_STRING_BAD));
		MUST(fuzz_same(copy, rest) && fuzz_within(rest, args));
		if (r == IMAP_STRING_OK)
			check_string(dst);
		if (s == IMAP_STRING_OK)
			MUST(strlen(dst) < sizeof(small));
		if (r == IMAP_STRING_BAD)
			MUST(fuzz_same(rest, atom));
		copy = rest;
		if (imap_take_atom(&copy, &atom))
			MUST(atom.len > 0 && fuzz_within(atom, args) &&
			    fuzz_printable(atom));
	} while (r != IMAP_STRING_BAD && ++n < ITEMS_MAX &&
	    (imap_take_char(&rest, ' ') || imap_take_char(&rest, '(')));
}

/* What was found in an input: the same, however it arrives. */
struct found {
	uint64_t commands; /* a sum of where they were */
	enum imap_scan_result result;
	size_t len, left; /* of what follows the last */
};

/* A command, or a literal that is invited; false: it cannot go on. */
static bool
take_command(struct buf *b, struct imap_scan *scan, struct found *found)
{
	enum imap_scan_result r;
	struct text out, tag, verb;

	r = imap_scan_command(scan, b, &out);
	if (r == IMAP_SCAN_INVITE)
		MUST(out.p[out.len - 1] == '}');
	if (r != IMAP_SCAN_OK)
		return r == IMAP_SCAN_INVITE;
	MUST(fuzz_within(out, buf_view(b)) && out.len + 2 <= b->len);
	MUST(out.p == buf_view(b).p);
	MUST(memcmp(out.p + out.len, "\r\n", 2) == 0);
	MUST(out.len <= IMAP_COMMAND_MAX + IMAP_AUTHENTICATE_MAX);
	found->commands = found->commands * 31 + out.len + 1;
	if (imap_take_tag(&out, &tag)) {
		MUST(tag.len > 0 && fuzz_printable(tag));
		MUST(!text_has(tag, '+') && !text_has(tag, ' '));
		if (imap_take_char(&out, ' ') && imap_take_atom(&out, &verb) &&
		    imap_take_char(&out, ' '))
			take_all(out);
	}
	buf_consume(b, out.len + 2 + (size_t)(out.p - buf_view(b).p));
	*scan = (struct imap_scan){ 0, 0 };
	return true;
}

static struct found
read_all(struct text in, struct fuzz_cuts cuts)
{
	struct imap_scan scan = { 0, 0 };
	struct found found = { 0 };
	struct text out = TEXT_NONE;
	struct buf b;
	size_t n;

	buf_init(&b, 1 << 20);
	while (in.len > 0) {
		n = fuzz_cut(&cuts, in.len);
		MUST(buf_append(&b, in.p, n) == 0);
		in = text_skip(in, n);
		while (take_command(&b, &scan, &found))
			continue;
	}
	found.result = imap_scan_command(&scan, &b, &out);
	if (found.result == IMAP_SCAN_INVITE ||
	    found.result == IMAP_SCAN_TOO_BIG ||
	    found.result == IMAP_SCAN_BAD_NUMBER)
		MUST(fuzz_within(out, buf_view(&b)));
	found.len = out.len;
	found.left = b.len;
	buf_free(&b);
	return found;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = fuzz_copy(data, size);
	struct found whole = read_all(in, (struct fuzz_cuts){ 0, 0 }),
	             parts = read_all(in, fuzz_cuts(in));

	MUST(whole.commands == parts.commands && whole.result == parts.result);
	MUST(whole.len == parts.len && whole.left == parts.left);
	take_all(in);
	fuzz_free(in);
	return 0;
}
