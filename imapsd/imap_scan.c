/* SPDX-License-Identifier: ISC */
/*
 * imap_scan: the grammar of IMAP as far as a relay needs it.  Runs in the
 * worker, on octets from clients that nobody has authenticated and from inner
 * servers that may have been taken over; it trusts neither.  What is outside
 * the grammar is refused, never repaired: an octet that two programs read in
 * two ways is how commands are smuggled.
 */
#include <string.h>

#include "imap_scan.h"

/* A literal as a line's end announces it. */
struct literal {
	uint64_t size;
	bool sync;   /* {n}: the client waits to be invited */
	bool number; /* size is right: at most 32 bits (RFC 3501 9, number) */
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ATOM-CHAR, RFC 3501 9: any CHAR except atom-specials. */
static bool
is_atom_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("(){%*\"\\]", c) == NULL;
}

static bool
is_astring_char(char c)
{
	return is_atom_char(c) || c == ']';
}

static bool
find_literal(struct text line, struct literal *l)
{
	size_t begin, end = line.len;

	if (end == 0 || line.p[--end] != '}')
		return false;
	l->sync = end == 0 || line.p[end - 1] != '+';
	if (!l->sync)
		end--;
	for (begin = end; begin > 0 && is_digit(line.p[begin - 1]); begin--)
		continue;
	if (begin == end || begin == 0 || line.p[begin - 1] != '{')
		return false;
	l->number = text_u64(
	    (struct text){ line.p + begin, end - begin }, UINT32_MAX, &l->size);
	return true;
}

bool
imap_ends_in_literal(struct text line, uint64_t *size)
{
	struct literal l;

	if (!find_literal(line, &l))
		return false;
	*size = l.number ? l.size : UINT64_MAX;
	return true;
}

enum line_result
imap_scan_line(
    struct imap_scan *scan, const struct buf *in, size_t max, struct text *out)
{
	struct text have = buf_view(in), tail;
	enum line_result result;

	result = line_peek_at(
	    in, scan->scanned, scan->line + max - scan->scanned, &tail);
	if (result == LINE_WAIT) {
		/* A CR at the end is looked at again, with its LF. */
		scan->scanned = have.len;
		if (have.len > scan->line && have.p[have.len - 1] == '\r')
			scan->scanned--;
	}
	if (result == LINE_OK) {
		out->p = have.p + scan->line;
		out->len = (size_t)(tail.p + tail.len - out->p);
	}
	return result;
}

/*
 * AUTHENTICATE carries tokens that are longer than other lines.  Looks at no
 * more than a tag and a verb, however long the line is.
 */
static size_t
line_max(const struct imap_scan *scan, const struct buf *in)
{
	struct text t = buf_view(in), word;
	const size_t enough = IMAP_TAG_MAX + sizeof(" AUTHENTICATE ");

	if (t.len > enough)
		t.len = enough;
	if (scan->line == 0 && imap_take_tag(&t, &word) &&
	    imap_take_char(&t, ' ') && imap_take_atom(&t, &word) &&
	    text_caseeq(word, "AUTHENTICATE"))
		return IMAP_AUTHENTICATE_MAX;
	return IMAP_LINE_MAX;
}

/* What to do with l, which begins at octet at of the command. */
static enum imap_scan_result
judge_literal(const struct literal *l, size_t at)
{
	bool fits = l->number && l->size <= IMAP_LITERAL_MAX &&
	    at <= IMAP_COMMAND_MAX && l->size <= IMAP_COMMAND_MAX - at;

	if (!l->sync)
		return fits ? IMAP_SCAN_OK : IMAP_SCAN_LOST_LITERAL;
	if (!l->number)
		return IMAP_SCAN_BAD_NUMBER;
	return fits ? IMAP_SCAN_INVITE : IMAP_SCAN_TOO_BIG;
}

enum imap_scan_result
imap_scan_command(
    struct imap_scan *scan, const struct buf *in, struct text *out)
{
	struct text have = buf_view(in), line;
	struct literal l;
	enum imap_scan_result result;

	/* Less is there while a literal is on its way. */
	while (have.len >= scan->line) {
		switch (imap_scan_line(scan, in, line_max(scan, in), &line)) {
		case LINE_WAIT:
			return IMAP_SCAN_WAIT;
		case LINE_TOO_LONG:
			return IMAP_SCAN_LOST_LINE;
		case LINE_BAD:
			return IMAP_SCAN_LOST_OCTET;
		case LINE_OK:
			break;
		}
		out->p = have.p;
		out->len = scan->line + line.len;
		if (!find_literal(line, &l))
			return IMAP_SCAN_OK;
		result = judge_literal(&l, out->len + 2);
		if (result != IMAP_SCAN_OK && result != IMAP_SCAN_INVITE)
			return result;
		scan->line = scan->scanned = out->len + 2 + (size_t)l.size;
		if (result == IMAP_SCAN_INVITE)
			return result;
	}
	return IMAP_SCAN_WAIT;
}

/* Take as many octets as are good, but one at least. */
static bool
take_while(struct text *rest, bool (*good)(char), struct text *out)
{
	size_t n;

	for (n = 0; n < rest->len && good(rest->p[n]); n++)
		continue;
	if (n == 0)
		return false;
	*out = (struct text){ rest->p, n };
	*rest = text_skip(*rest, n);
	return true;
}

static bool
is_tag_char(char c)
{
	return is_astring_char(c) && c != '+';
}

bool
imap_take_tag(struct text *rest, struct text *tag)
{
	return take_while(rest, is_tag_char, tag);
}

bool
imap_take_atom(struct text *rest, struct text *atom)
{
	return take_while(rest, is_atom_char, atom);
}

bool
imap_take_char(struct text *rest, char c)
{
	if (rest->len == 0 || rest->p[0] != c)
		return false;
	*rest = text_skip(*rest, 1);
	return true;
}

static enum imap_string
copy_string(struct text t, char *dst, size_t size)
{
	if (t.len >= size)
		return IMAP_STRING_TOO_LONG;
	if (t.len > 0)
		memcpy(dst, t.p, t.len);
	dst[t.len] = '\0';
	return IMAP_STRING_OK;
}

/*
 * Octets above 0x7f pass, as RFC 9051 9 has UTF-8 here and clients of all
 * times send it.  A backslash goes before a quote or a backslash alone.
 */
static enum imap_string
take_quoted(struct text *rest, char *dst, size_t size)
{
	struct text t = text_skip(*rest, 1); /* the quote */
	size_t n = 0;

	for (; t.len > 0 && t.p[0] != '"'; t = text_skip(t, 1)) {
		if (t.p[0] == '\r' || t.p[0] == '\n' || t.p[0] == '\0')
			return IMAP_STRING_BAD;
		if (t.p[0] == '\\') {
			t = text_skip(t, 1);
			if (t.len == 0 || (t.p[0] != '"' && t.p[0] != '\\'))
				return IMAP_STRING_BAD;
		}
		if (n < size)
			dst[n] = t.p[0];
		n++;
	}
	if (!imap_take_char(&t, '"'))
		return IMAP_STRING_BAD;
	*rest = t;
	if (n >= size)
		return IMAP_STRING_TOO_LONG;
	dst[n] = '\0';
	return IMAP_STRING_OK;
}

static enum imap_string
take_literal(struct text *rest, char *dst, size_t size)
{
	struct text t = text_skip(*rest, 1); /* the brace */
	struct text digits, octets;
	uint64_t n;

	if (!take_while(&t, is_digit, &digits) ||
	    !text_u64(digits, IMAP_LITERAL_MAX, &n))
		return IMAP_STRING_BAD;
	(void)imap_take_char(&t, '+');
	if (!imap_take_char(&t, '}') || !imap_take_char(&t, '\r') ||
	    !imap_take_char(&t, '\n') || n > t.len)
		return IMAP_STRING_BAD;
	octets = (struct text){ t.p, (size_t)n };
	if (text_has(octets, '\0'))
		return IMAP_STRING_BAD;
	*rest = text_skip(t, (size_t)n);
	return copy_string(octets, dst, size);
}

enum imap_string
imap_take_string(struct text *rest, char *dst, size_t size)
{
	if (rest->len == 0)
		return IMAP_STRING_BAD;
	if (rest->p[0] == '"')
		return take_quoted(rest, dst, size);
	if (rest->p[0] == '{')
		return take_literal(rest, dst, size);
	return IMAP_STRING_BAD;
}

enum imap_string
imap_take_astring(struct text *rest, char *dst, size_t size)
{
	struct text word;

	if (take_while(rest, is_astring_char, &word))
		return copy_string(word, dst, size);
	return imap_take_string(rest, dst, size);
}

/* "[CODE args] text", the code being absent more often than not. */
static void
parse_status_text(struct text t, struct imap_response *r)
{
	struct text rest = t, inside;

	if (imap_take_char(&rest, '[') && text_has(rest, ']')) {
		(void)text_split(&rest, ']', &inside);
		if (imap_take_atom(&inside, &r->code))
			r->args = text_trim(inside);
		t = rest;
	}
	r->text = text_trim(t);
}

static bool
parse_status(struct text word, enum imap_status *status)
{
	static const struct {
		const char *word;
		enum imap_status status;
	} words[] = {
		{ "OK", IMAP_OK },
		{ "NO", IMAP_NO },
		{ "BAD", IMAP_BAD },
		{ "BYE", IMAP_BYE },
		{ "PREAUTH", IMAP_PREAUTH },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (text_caseeq(word, words[i].word)) {
			*status = words[i].status;
			return true;
		}
	}
	return false;
}

bool
imap_parse_response(struct text line, struct imap_response *r)
{
	struct text word;

	*r = (struct imap_response){ .kind = IMAP_UNTAGGED };
	if (imap_take_char(&line, '+')) {
		r->kind = IMAP_CONTINUE;
		/* Some servers leave the blank out behind an empty one. */
		return line.len == 0 || imap_take_char(&line, ' ');
	}
	if (!imap_take_char(&line, '*')) {
		r->kind = IMAP_TAGGED;
		if (!imap_take_tag(&line, &r->tag))
			return false;
	}
	if (!imap_take_char(&line, ' ') || !imap_take_atom(&line, &word))
		return false;
	if (line.len > 0 && !imap_take_char(&line, ' '))
		return false;
	if (parse_status(word, &r->status)) {
		parse_status_text(line, r);
		/* RFC 3501 9: BYE and PREAUTH are never tagged. */
		return r->kind == IMAP_UNTAGGED || r->status <= IMAP_BAD;
	}
	r->status = IMAP_DATA;
	r->code = word;
	r->args = text_trim(line);
	return r->kind == IMAP_UNTAGGED;
}
