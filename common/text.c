/* SPDX-License-Identifier: ISC */
/*
 * text: looks at octets that belong to somebody else.  Runs in every process
 * on whatever strangers send, so it trusts nothing but the length, and knows
 * no locale: <ctype.h> and strcasecmp(3) would ask one.
 */
#include <string.h>
/* Silences libbsd about strnvis(3), which is not used here. */
#define LIBBSD_OPENBSD_VIS
#include <vis.h>

#include "text.h"

#define TEXT_VIS (VIS_CSTYLE | VIS_OCTAL | VIS_DQ | VIS_TAB | VIS_NL)
#define TEXT_VIS_MAX 4 /* the longest that vis(3) makes of one octet: \ooo */
#define TEXT_CUT "..."

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

struct text
text_of(const char *s)
{
	if (s == NULL)
		return TEXT_NONE;
	return (struct text){ s, strlen(s) };
}

bool
text_eq(struct text a, const char *b)
{
	size_t n = strlen(b);

	return a.len == n && (n == 0 || memcmp(a.p, b, n) == 0);
}

bool
text_caseeq(struct text a, const char *b)
{
	return text_casesame(a, text_of(b));
}

bool
text_casesame(struct text a, struct text b)
{
	size_t i;

	if (a.len != b.len)
		return false;
	for (i = 0; i < a.len; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool
text_caseprefix(struct text a, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n > a.len)
		return false;
	return text_caseeq((struct text){ a.p, n }, prefix);
}

bool
text_has(struct text a, char c)
{
	return a.len > 0 && memchr(a.p, c, a.len) != NULL;
}

bool
text_only(struct text a, const char *octets)
{
	size_t i;

	for (i = 0; i < a.len; i++) {
		if (a.p[i] == '\0' || strchr(octets, a.p[i]) == NULL)
			return false;
	}
	return true;
}

struct text
text_skip(struct text a, size_t n)
{
	if (n == 0)
		return a; /* C has no NULL + 0 */
	return (struct text){ a.p + n, a.len - n };
}

struct text
text_trim(struct text a)
{
	while (a.len > 0 && is_blank(a.p[0]))
		a = text_skip(a, 1);
	while (a.len > 0 && is_blank(a.p[a.len - 1]))
		a.len--;
	return a;
}

bool
text_split(struct text *rest, char sep, struct text *word)
{
	const char *end;

	if (rest->p == NULL)
		return false;
	end = memchr(rest->p, sep, rest->len);
	if (end == NULL) {
		*word = *rest;
		*rest = TEXT_NONE;
		return true;
	}
	*word = (struct text){ rest->p, (size_t)(end - rest->p) };
	*rest = text_skip(*rest, word->len + 1);
	return true;
}

bool
text_word(struct text *rest, struct text *word)
{
	size_t n;

	while (rest->len > 0 && is_blank(rest->p[0]))
		*rest = text_skip(*rest, 1);
	if (rest->len == 0)
		return false;
	for (n = 0; n < rest->len && !is_blank(rest->p[n]); n++)
		continue;
	*word = (struct text){ rest->p, n };
	*rest = text_skip(*rest, n);
	return true;
}

bool
text_has_word(struct text words, struct text word)
{
	struct text t;

	while (text_word(&words, &t))
		if (text_casesame(t, word))
			return true;
	return false;
}

bool
text_u64(struct text a, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	unsigned int digit;
	size_t i;

	if (a.len == 0)
		return false;
	for (i = 0; i < a.len; i++) {
		if (a.p[i] < '0' || a.p[i] > '9')
			return false;
		digit = (unsigned int)(a.p[i] - '0');
		if (digit > max || v > (max - digit) / 10)
			return false; /* v * 10 + digit is above max */
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

struct text
text_decimal(uint64_t n, unsigned int digits, char dst[static TEXT_DECIMAL])
{
	size_t at = TEXT_DECIMAL;

	do {
		dst[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (at > 0 && (n > 0 || TEXT_DECIMAL - at < digits));
	return (struct text){ dst + at, TEXT_DECIMAL - at };
}

/* The log shows it as it is. */
static bool
is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '\\' && c != '"';
}

static size_t
count_plain(struct text a)
{
	size_t n = 0;

	while (n < a.len && is_plain(a.p[n]))
		n++;
	return n;
}

/* One octet as the log shows it, in esc[TEXT_VIS_MAX + 1].  Its length. */
static size_t
printable_octet(struct text a, size_t i, char *esc)
{
	unsigned char c = (unsigned char)a.p[i];
	/* vis(3) must not write \0 before a digit. */
	unsigned char next = i + 1 < a.len ? (unsigned char)a.p[i + 1] : 0;
	char *end = esc;

	if (is_plain(a.p[i]))
		*end++ = (char)c;
	else
		end = vis(esc, c, TEXT_VIS | VIS_NOLOCALE, next);
	if (end == NULL) { /* no memory: vis(3) wants some for each octet */
		end = esc;
		*end++ = '?';
	}
	*end = '\0';
	return (size_t)(end - esc);
}

char *
text_printable(struct text a, char *dst, size_t size)
{
	char esc[TEXT_VIS_MAX + 1];
	size_t i, n, len = 0;
	size_t cut = 0; /* the last place that leaves room for TEXT_CUT */

	n = count_plain(a);
	if (n > 0 && n + sizeof(TEXT_CUT) <= size) { /* mostly all of it */
		memcpy(dst, a.p, n);
		len = n;
	}
	for (i = len; i < a.len; i++) {
		if (len + sizeof(TEXT_CUT) <= size)
			cut = len;
		n = printable_octet(a, i, esc);
		if (n >= size - len) { /* no room for it and the NUL */
			memcpy(dst + cut, TEXT_CUT, sizeof(TEXT_CUT));
			return dst;
		}
		memcpy(dst + len, esc, n);
		len += n;
	}
	dst[len] = '\0';
	return dst;
}

void
text_for_people(struct text t, char *dst, size_t size)
{
	size_t i;

	for (i = 0; i < t.len && i < size - 1; i++)
		dst[i] = t.p[i] >= ' ' && t.p[i] < 0x7f ? t.p[i] : '?';
	dst[i] = '\0';
}

struct text
text_code(struct text *rest)
{
	struct text after = *rest, code;

	if (rest->len == 0 || rest->p[0] != '[' || !text_has(*rest, ']'))
		return TEXT_NONE;
	(void)text_split(&after, ']', &code);
	*rest = text_trim(after);
	return text_skip(code, 1);
}
