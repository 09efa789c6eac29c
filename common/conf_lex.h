/* SPDX-License-Identifier: ISC */
/*
 * conf_lex: the language of Perdition's configuration files: statements of a
 * name, blanks and a value, with comments, quotes and backslashes.  It knows
 * no directive and does no I/O.
 *
 * Where Perdition loses what was written (an indented line, a last line
 * without LF, a backslash before CRLF), it is kept.
 */
#ifndef CONF_LEX_H
#define CONF_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define CONF_TOKEN_MAX 4093 /* octets; Perdition cuts there, we refuse */

struct conf_token {
	char text[CONF_TOKEN_MAX];
	size_t len;
};

/* "name value" or "name" alone. */
struct conf_statement {
	unsigned int line; /* where it begins */
	struct conf_token name, value;
	bool has_value; /* true for "" as well */
	bool equals;    /* an unquoted = where a blank or the value should be */
};

enum conf_lex_result {
	CONF_LEX_STATEMENT,
	CONF_LEX_END,
	CONF_LEX_TOO_LONG, /* a name or value above CONF_TOKEN_MAX */
	CONF_LEX_QUOTE,    /* a quote is never closed; its first line is lost */
	/*
	 * A comment that ends in a backslash.  Perdition would take the next
	 * line as part of it.
	 */
	CONF_LEX_COMMENT
};

struct conf_lex {
	struct text rest; /* borrowed */
	unsigned int line;
};

/* text is the whole file, without NUL; a byte order mark is skipped. */
void conf_lex_init(struct conf_lex *lx, struct text text);

/*
 * Take the next statement.  After each result but CONF_LEX_END there may be
 * more.  st->line is always set, the rest on CONF_LEX_STATEMENT.
 */
enum conf_lex_result conf_lex_next(
    struct conf_lex *lx, struct conf_statement *st);

#endif
