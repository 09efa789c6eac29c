/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply: the grammar of SMTP's replies.  Runs in the worker, on lines of
 * an inner server that may have been taken over: its replies go to a client
 * as they came, so what passes here is lines of text, of a bounded number and
 * size, and nothing that a client could take for something else.
 */
#include "smtp_reply.h"

#define CODE_LEN 3
#define KEPT_MAX 512        /* octets of a buffer between two replies */
#define NUMBER_DIGITS_MAX 3 /* of subject and detail, RFC 3463 2 */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reply-code, RFC 5321 4.2. */
static bool
take_code(struct text *rest, unsigned int *code)
{
	const char *p = rest->p;

	if (rest->len < CODE_LEN || p[0] < '2' || p[0] > '5' ||
	    !is_digit(p[1]) || !is_digit(p[2]))
		return false;
	*code = (unsigned int)((p[0] - '0') * 100 + (p[1] - '0') * 10 +
	    (p[2] - '0'));
	*rest = text_skip(*rest, CODE_LEN);
	return true;
}

static bool
is_text(struct text t)
{
	size_t i;
	unsigned char c;

	for (i = 0; i < t.len; i++) {
		c = (unsigned char)t.p[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

bool
smtp_parse_reply(struct text line, struct smtp_reply_line *out)
{
	struct text t = line;

	*out = (struct smtp_reply_line){ .last = true };
	if (!take_code(&t, &out->code) || !is_text(t))
		return false;
	if (t.len == 0)
		return true; /* Reply-line lets the blank go with the text */
	if (t.p[0] != ' ' && t.p[0] != '-')
		return false;
	out->last = t.p[0] == ' ';
	out->text = text_skip(t, 1);
	return true;
}

/* "." and a number. */
static bool
take_number(struct text *rest)
{
	size_t n = 0;

	if (rest->len == 0 || rest->p[0] != '.')
		return false;
	*rest = text_skip(*rest, 1);
	while (n < rest->len && is_digit(rest->p[n]))
		n++;
	*rest = text_skip(*rest, n);
	return n > 0 && n <= NUMBER_DIGITS_MAX;
}

struct text
smtp_reply_status(struct text *rest)
{
	struct text t = *rest, status;

	if (t.len == 0 || (t.p[0] != '2' && t.p[0] != '4' && t.p[0] != '5'))
		return TEXT_NONE;
	t = text_skip(t, 1);
	if (!take_number(&t) || !take_number(&t) ||
	    (t.len > 0 && t.p[0] != ' '))
		return TEXT_NONE;
	status = (struct text){ rest->p, rest->len - t.len };
	*rest = text_skip(t, t.len > 0 ? 1 : 0);
	return status;
}

void
smtp_reply_init(struct smtp_reply *r)
{
	*r = (struct smtp_reply){ .code = 0 };
	buf_init(&r->octets, SMTP_REPLY_MAX);
}

void
smtp_reply_free(struct smtp_reply *r)
{
	buf_free(&r->octets);
	smtp_reply_init(r);
}

void
smtp_reply_reset(struct smtp_reply *r)
{
	struct buf octets = r->octets;

	if (octets.size > KEPT_MAX) {
		smtp_reply_free(r);
		return;
	}
	buf_consume(&octets, octets.len);
	*r = (struct smtp_reply){ .octets = octets };
}

enum smtp_reply_result
smtp_reply_add(struct smtp_reply *r, struct text line)
{
	struct smtp_reply_line l;

	if (r->whole || !smtp_parse_reply(line, &l) ||
	    (r->lines > 0 && l.code != r->code) ||
	    ++r->lines > SMTP_REPLY_LINES_MAX ||
	    buf_append(&r->octets, line.p, line.len) == -1 ||
	    buf_append(&r->octets, "\r\n", 2) == -1)
		return SMTP_REPLY_BAD;
	r->code = l.code;
	r->whole = l.last;
	return l.last ? SMTP_REPLY_OK : SMTP_REPLY_MORE;
}

bool
smtp_reply_next(struct text *rest, struct text *out)
{
	struct smtp_reply_line l;
	struct text line;

	if (rest->len == 0 || !text_split(rest, '\n', &line))
		return false;
	line.len--; /* the CR, which smtp_reply_add() put there */
	if (!smtp_parse_reply(line, &l))
		return false;
	*out = l.text;
	return true;
}
