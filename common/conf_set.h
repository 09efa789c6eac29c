/* SPDX-License-Identifier: ISC */
/*
 * conf_set: what the files conf*.c share: where a value came from, how it is
 * stored, how a fault is reported.  Nobody else includes this.
 */
#ifndef CONF_SET_H
#define CONF_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "conf_table.h"
#include "text.h"

/* The later wins. */
enum conf_source { FROM_DEFAULT, FROM_FILE, FROM_ARGS };

struct conf_value {
	char *text;
	char *where; /* "imapsd.conf:12" or "command line" */
};

/* A directive that was set; only with CONF_MANY to several values. */
struct conf_setting {
	enum conf_source source;
	struct conf_value *values;
	size_t nvalues;
};

/* What Perdition's protocol directive, or what stood for it, said. */
enum conf_protocol { PROTOCOL_UNKNOWN, PROTOCOL_CLEAR, PROTOCOL_TLS };

struct conf_private {
	const struct conf_defaults *defaults;
	conf_report *report;
	void *arg;
	unsigned int nerrors;
	bool in_role; /* no warnings, nothing is required */
	const struct inherited *inherited; /* NULL: nothing was */
	enum conf_protocol protocol;
	char *protocol_where;          /* who said so; NULL: nobody */
	struct conf_setting *settings; /* by place in the table */
};

/*
 * Report a fault.  where is a value's, or NULL when there is no such place.
 */
void conf_error(struct conf *c, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warn(struct conf *c, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Set directive d (not CONF_COMMAND) to value; p == NULL: it was given none.
 * Checks everything that can be said of the value alone and reports.
 */
void conf_set(struct conf *c, const struct conf_directive *d,
    enum conf_source source, const char *where, struct text value);

void conf_setting_clear(struct conf_setting *s);

/* Store text in d's field, which it fits. */
void conf_store(
    struct conf *c, const struct conf_directive *d, struct text text);

/* By name, which is in the table.  Never NULL. */
const struct conf_setting *conf_setting(const struct conf *c, const char *name);
/* The default of directive d in this daemon; NULL: none. */
const char *conf_initial(const struct conf *c, const struct conf_directive *d);
bool conf_is_set(const struct conf *c, const char *name);
/* The last value, or the default; NULL: neither. */
const char *conf_text(const struct conf *c, const char *name);
bool conf_flag(const struct conf *c, const char *name);

/* A copy of text in *dst, in place of what was there. */
void conf_replace(char **dst, struct text text);

/* Octets of a client's, an administrator's or a file's text in a message. */
#define CONF_SHOW_MAX 72
#define CONF_SHOW(t)                                                           \
	text_printable((t), (char[CONF_SHOW_MAX]){ 0 }, CONF_SHOW_MAX)

#endif
