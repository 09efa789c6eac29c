/* SPDX-License-Identifier: ISC */
/*
 * conf_lex: configuration text to names and values.  Runs in the master on
 * the administrator's files, and in every role on what the master wrote.
 */
#include "conf_lex.h"

#define BOM "\xef\xbb\xbf" /* UTF-8's; editors on Windows write it */

/* A token in the making. */
struct maker {
	struct conf_token *to;
	size_t keep; /* octets that a trailing blank does not touch */
	bool given;  /* something stands there, be it "" */
	bool too_long;
};

enum stop { STOP_END, STOP_QUOTE };

void
conf_lex_init(struct conf_lex *lx, struct text text)
{
	if (text_caseprefix(text, BOM))
		text = text_skip(text, sizeof(BOM) - 1);
	*lx = (struct conf_lex){ .rest = text, .line = 1 };
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Octets of the line end that stands here: LF, CRLF, a CR at the very end. */
static size_t
line_end(struct text t)
{
	if (t.len > 0 && t.p[0] == '\n')
		return 1;
	if (t.len > 0 && t.p[0] == '\r' && (t.len == 1 || t.p[1] == '\n'))
		return t.len == 1 ? 1 : 2;
	return 0;
}

static void
skip(struct conf_lex *lx, size_t n)
{
	lx->rest = text_skip(lx->rest, n);
}

/* Go behind a line end, if one stands here. */
static bool
skip_line_end(struct conf_lex *lx)
{
	size_t n = line_end(lx->rest);

	if (n == 0)
		return false;
	skip(lx, n);
	lx->line++;
	return true;
}

static void
skip_blanks(struct conf_lex *lx)
{
	while (lx->rest.len > 0 && is_blank(lx->rest.p[0]))
		skip(lx, 1);
}

/* Go to the end of the line; true: a backslash stands before it. */
static bool
skip_comment(struct conf_lex *lx)
{
	bool backslash = false;

	while (lx->rest.len > 0 && line_end(lx->rest) == 0) {
		backslash = lx->rest.p[0] == '\\';
		skip(lx, 1);
	}
	return backslash && lx->rest.len > 0;
}

/* Add an octet.  Blanks count only once something comes behind them. */
static void
add(struct maker *m, char c, bool keep)
{
	if (m->to->len == CONF_TOKEN_MAX) {
		m->too_long = m->too_long || keep;
		return;
	}
	m->to->text[m->to->len++] = c;
	if (keep)
		m->keep = m->to->len;
}

/* A backslash: the next octet is itself; with a line end it joins lines. */
static void
escape(struct conf_lex *lx, struct maker *m)
{
	skip(lx, 1);
	if (lx->rest.len == 0 || skip_line_end(lx))
		return;
	m->given = true;
	add(m, lx->rest.p[0], true);
	skip(lx, 1);
}

/* From an opening quote behind its closing one; lines end unseen in it. */
static enum stop
quoted(struct conf_lex *lx, struct maker *m)
{
	char quote = lx->rest.p[0];

	m->given = true;
	m->keep = m->to->len; /* blanks before it are in the middle now */
	skip(lx, 1);
	while (lx->rest.len > 0 && lx->rest.p[0] != quote) {
		if (skip_line_end(lx))
			continue;
		if (lx->rest.p[0] == '\\' && quote == '"') {
			escape(lx, m);
			continue;
		}
		add(m, lx->rest.p[0], true);
		skip(lx, 1);
	}
	if (lx->rest.len == 0)
		return STOP_QUOTE;
	skip(lx, 1);
	return STOP_END;
}

/* One token, up to a comment or the line's end; a name ends at a blank, too. */
static enum stop
token(struct conf_lex *lx, struct maker *m, bool is_name)
{
	char c;

	while (lx->rest.len > 0 && line_end(lx->rest) == 0) {
		c = lx->rest.p[0];
		if (c == '#')
			break;
		if (c == '\\') {
			escape(lx, m);
			continue;
		}
		if (c == '"' || c == '\'') {
			if (quoted(lx, m) == STOP_QUOTE)
				return STOP_QUOTE;
			continue;
		}
		if (!is_blank(c)) {
			m->given = true;
			add(m, c, true);
		} else if (m->given && is_name) {
			break;
		} else if (m->given) {
			add(m, c, false);
		}
		skip(lx, 1);
	}
	m->to->len = m->keep;
	return STOP_END;
}

/* Is there an = that nobody quoted, where name and value meet? */
static bool
has_equals(struct text name, struct text value)
{
	size_t i;

	if (value.len > 0 && value.p[0] == '=')
		return true;
	for (i = 0; i < name.len; i++) {
		if (name.p[i] == '"' || name.p[i] == '\'' || name.p[i] == '\\')
			return false;
		if (name.p[i] == '=')
			return true;
	}
	return false;
}

/* Name, blanks, value.  *given: there was one, not only joined lines. */
static enum stop
statement(
    struct conf_lex *lx, struct conf_statement *st, bool *given, bool *too_long)
{
	struct maker name = { .to = &st->name };
	struct maker value = { .to = &st->value };
	struct text start = lx->rest;

	st->name.len = st->value.len = 0;
	st->equals = st->has_value = false;
	if (token(lx, &name, true) == STOP_QUOTE)
		return STOP_QUOTE;
	start.len -= lx->rest.len;
	skip_blanks(lx);
	st->equals = has_equals(start, lx->rest);
	if (token(lx, &value, false) == STOP_QUOTE)
		return STOP_QUOTE;
	st->has_value = value.given;
	*given = name.given || value.given;
	*too_long = name.too_long || value.too_long;
	return STOP_END;
}

enum conf_lex_result
conf_lex_next(struct conf_lex *lx, struct conf_statement *st)
{
	struct conf_lex begin;
	bool given, too_long;

	for (;;) {
		skip_blanks(lx);
		begin = *lx;
		st->line = lx->line;
		if (lx->rest.len == 0)
			return CONF_LEX_END;
		if (skip_line_end(lx))
			continue;
		if (lx->rest.p[0] == '#') {
			if (skip_comment(lx))
				return CONF_LEX_COMMENT;
			continue;
		}
		if (statement(lx, st, &given, &too_long) == STOP_QUOTE) {
			*lx = begin;
			skip_comment(lx); /* and whatever that line has */
			return CONF_LEX_QUOTE;
		}
		if (given)
			return too_long ? CONF_LEX_TOO_LONG
			                : CONF_LEX_STATEMENT;
	}
}
