/* SPDX-License-Identifier: ISC */
/*
 * smtp_scan: the grammar of SMTP's commands.  Runs in the worker, on lines
 * from clients that nobody has authenticated.  What is outside the grammar is
 * refused, never repaired: what passes is passed on to the inner server as it
 * stands, and there must be one way only to read it.
 */
#include "smtp_scan.h"

#define SIZE_DIGITS_MAX 20 /* RFC 1870 4: size-value */

static const char hex_digits[] = "0123456789ABCDEF";

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_printable(char c)
{
	return c >= ' ' && c < 0x7f;
}

static bool
is_word(char c)
{
	return is_alnum(c) || c == '-';
}

/* Take as many octets as are good; none: an empty view. */
static struct text
take_while(struct text *rest, bool (*good)(char))
{
	struct text out = { rest->p, 0 };

	while (out.len < rest->len && good(rest->p[out.len]))
		out.len++;
	*rest = text_skip(*rest, out.len);
	return out;
}

/* UTF8-octets, RFC 3629 4: no overlong forms, no surrogates. */
size_t
smtp_utf8(struct text t)
{
	static const struct {
		unsigned char first_min, first_max;
		unsigned char min, max; /* of the second octet */
		size_t len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *p = (const unsigned char *)t.p;
	size_t i, k;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (t.len < forms[i].len || p[0] < forms[i].first_min ||
		    p[0] > forms[i].first_max || p[1] < forms[i].min ||
		    p[1] > forms[i].max)
			continue;
		for (k = 2; k < forms[i].len; k++) {
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		}
		return forms[i].len;
	}
	return 0;
}

bool
smtp_parse_command(struct text line, bool utf8, struct smtp_command *c)
{
	struct text t = line;
	size_t n;

	c->verb = take_while(&t, is_word);
	if (c->verb.len == 0 || (t.len > 0 && t.p[0] != ' '))
		return false;
	c->args = text_trim(t);
	while (t.len > 0) {
		n = is_printable(t.p[0]) ? 1 : 0;
		if (n == 0 && utf8)
			n = smtp_utf8(t);
		if (n == 0)
			return false;
		t = text_skip(t, n);
	}
	return true;
}

bool
smtp_parse_helo(struct text args, struct text *name)
{
	struct text t = args;

	*name = take_while(&t, is_printable);
	return name->len > 0 && name->len <= SMTP_DOMAIN_MAX && t.len == 0;
}

bool
smtp_parse_bdat(struct text args, uint64_t *size, bool *last)
{
	struct text word;

	*last = false;
	if (!text_word(&args, &word) || !text_u64(word, INT64_MAX, size))
		return false;
	if (!text_word(&args, &word))
		return true;
	*last = text_caseeq(word, "LAST");
	return *last && !text_word(&args, &word);
}

bool
smtp_parse_size(struct text value, uint64_t *size)
{
	struct text t = value;

	if (t.len == 0 || t.len > SIZE_DIGITS_MAX)
		return false;
	if (text_u64(t, UINT64_MAX, size))
		return true;
	*size = UINT64_MAX;
	return take_while(&t, is_digit).len == value.len;
}

/* esmtp-value, RFC 5321 4.1.2 and RFC 6531 3.3. */
static struct text
take_value(struct text *rest, bool utf8)
{
	struct text t = *rest, out = { t.p, 0 };
	size_t n;

	for (; t.len > 0; t = text_skip(t, n)) {
		n = t.p[0] > ' ' && t.p[0] < 0x7f && t.p[0] != '=' ? 1 : 0;
		if (n == 0 && utf8)
			n = smtp_utf8(t);
		if (n == 0)
			break;
		out.len += n;
	}
	*rest = t;
	return out;
}

enum smtp_param_result
smtp_take_param(struct text *rest, bool utf8, struct smtp_param *param)
{
	struct text t = *rest;

	*param = (struct smtp_param){ .key = TEXT_NONE, .value = TEXT_NONE };
	while (t.len > 0 && t.p[0] == ' ')
		t = text_skip(t, 1);
	if (t.len == 0)
		return SMTP_PARAM_END;
	if (t.p == rest->p || t.p[0] == '-')
		return SMTP_PARAM_BAD;
	param->key = take_while(&t, is_word);
	if (param->key.len == 0)
		return SMTP_PARAM_BAD;
	if (t.len > 0 && t.p[0] == '=') {
		t = text_skip(t, 1);
		param->value = take_value(&t, utf8);
		if (param->value.len == 0)
			return SMTP_PARAM_BAD;
	}
	if (t.len > 0 && t.p[0] != ' ')
		return SMTP_PARAM_BAD;
	*rest = t;
	return SMTP_PARAM_OK;
}

/* xchar, RFC 3461 4. */
static bool
is_xchar(char c)
{
	return c > ' ' && c < 0x7f && c != '+' && c != '=';
}

bool
smtp_xtext_encode(struct text in, char *dst, size_t size, struct text *out)
{
	size_t i, n = 0;
	unsigned char c;

	for (i = 0; i < in.len; i++) {
		c = (unsigned char)in.p[i];
		if (size - n <= (is_xchar(in.p[i]) ? 1 : 3))
			return false; /* no room for it and the NUL */
		if (is_xchar(in.p[i])) {
			dst[n++] = in.p[i];
			continue;
		}
		dst[n++] = '+';
		dst[n++] = hex_digits[c >> 4];
		dst[n++] = hex_digits[c & 0xf];
	}
	dst[n] = '\0';
	*out = (struct text){ dst, n };
	return true;
}
