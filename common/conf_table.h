/* SPDX-License-Identifier: ISC */
/*
 * conf_table: the one table of directives: what each is called, what it
 * takes, where its value goes, who needs it, and what becomes of those that
 * Perdition has and Relais has not.  The file reader, the command line,
 * --help, --print_config, the hand-over to the roles and the test of the
 * manual page all work from it.
 */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

/* What a directive takes, and what its field in struct conf is. */
enum conf_type {
	CONF_FLAG,   /* nothing, or yes, no, on, off; bool */
	CONF_NUMBER, /* digits, low to high; unsigned int */
	CONF_STRING, /* any text; char *, NULL when it was not set */
	CONF_PATH    /* the same, beginning with a slash */
};

/* What becomes of a directive. */
enum conf_fate {
	CONF_HONOURED,
	CONF_HOLDS,   /* nothing to do: it is so in Relais, always */
	CONF_IDLE,    /* without meaning here: a warning with advice */
	CONF_REFUSED, /* an error with advice, unless the value is but */
	CONF_COMMAND  /* on the command line only */
};

#define CONF_MANY 1                /* may be repeated; all values are kept */
#define CONF_EMPTY 2               /* "" is a value */
#define CONF_NO_FIELD ((size_t)-1) /* conf_settle() looks at the text */

struct conf_directive {
	const char *name;
	char letter; /* Perdition's short form; NUL: none */
	enum conf_type type;
	enum conf_fate fate;
	unsigned int flags;
	unsigned int daemons;   /* enum conf_daemon; 0: all */
	unsigned int roles;     /* CONF_ROLE() of those that get to know it */
	unsigned int low, high; /* of a number */
	size_t field;           /* offset in struct conf or CONF_NO_FIELD */
	const char *initial;    /* the default; NULL: none */
	const char *alias;      /* the directive that this one stands for */
	const char *but;        /* the one value that is not refused */
	const char *arg;        /* its value's name in --help */
	const char *meaning;    /* for --help */
	const char *advice;     /* why it is idle or refused, what to do */
};

#define CONF_ROLE(role) (1U << (role))

/* By place in the table; NULL behind the last. */
const struct conf_directive *conf_table(size_t i);
size_t conf_table_place(const struct conf_directive *d);

/* A name, or a letter; NULL when there is none. */
const struct conf_directive *conf_table_find(struct text name);
const struct conf_directive *conf_table_letter(char letter);

/* The directive whose name is most like name; NULL: none is. */
const struct conf_directive *conf_table_nearest(struct text name);

#endif
