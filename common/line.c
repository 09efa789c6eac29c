/* SPDX-License-Identifier: ISC */
/*
 * line: finds CRLF-terminated lines.  Runs wherever a protocol is spoken, on
 * octets from strangers: two ends that disagree on where a line ends can be
 * talked into different commands, so anything but CRLF is refused, not
 * repaired.
 *
 * A line that arrives octet by octet is looked at as often, from its
 * beginning; memchr(3) keeps that cheaper than receiving it.
 */
#include <string.h>

#include "line.h"

static bool
has(const char *p, size_t n, char c)
{
	return n > 0 && memchr(p, c, n) != NULL;
}

enum line_result
line_peek(const struct buf *in, size_t max, struct text *out)
{
	return line_peek_at(in, 0, max, out);
}

enum line_result
line_peek_at(const struct buf *in, size_t from, size_t max, struct text *out)
{
	struct text t = buf_view(in);
	const char *lf = NULL;
	size_t end, n;
	bool cr;

	t = text_skip(t, from < t.len ? from : t.len);
	end = t.len < max ? t.len : max;
	if (end > 0)
		lf = memchr(t.p, '\n', end);
	n = lf != NULL ? (size_t)(lf - t.p) : end;

	/* A CR may stand at the end only: before its LF, or waiting for it. */
	cr = n > 0 && t.p[n - 1] == '\r';
	if (cr)
		n--;
	if (has(t.p, n, '\0') || has(t.p, n, '\r') || (lf != NULL && !cr))
		return LINE_BAD;
	if (lf != NULL) {
		*out = (struct text){ t.p, n };
		return LINE_OK;
	}
	return t.len < max ? LINE_WAIT : LINE_TOO_LONG;
}
