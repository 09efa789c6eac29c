/* SPDX-License-Identifier: ISC */
/*
 * json: text as a JSON string.  Runs in the role control, on names that
 * clients chose.
 */
#include "json.h"

#define REPLACEMENT 0xfffdU

/*
 * The code point at the front of t (RFC 3629 3), and its octets; what is
 * too long, a surrogate or beyond Unicode is none.
 */
static uint32_t
next_point(struct text t, size_t *n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)t.p;
	size_t i,
	    want = p[0] < 0x80            ? 1
	    : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
	    : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
	    : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
	                                  : 0;
	uint32_t c;

	*n = 1;
	if (want == 1)
		return p[0];
	if (want == 0 || want > t.len)
		return REPLACEMENT;
	c = p[0] & (0x7fU >> want);
	for (i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if (c < least[want] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return REPLACEMENT;
	*n = want;
	return c;
}

static int
put_point(struct buf *b, uint32_t c)
{
	if (c == '"' || c == '\\')
		return buf_printf(b, "\\%c", (char)c);
	if (c >= 0x20 && c < 0x7f)
		return buf_printf(b, "%c", (char)c);
	if (c < 0x10000)
		return buf_printf(b, "\\u%04x", c);
	c -= 0x10000;
	return buf_printf(
	    b, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

int
json_put(struct buf *b, struct text t)
{
	size_t n;

	if (buf_printf(b, "\"") == -1)
		return -1;
	while (t.len > 0) {
		if (put_point(b, next_point(t, &n)) == -1)
			return -1;
		t = text_skip(t, n);
	}
	return buf_printf(b, "\"");
}
