/* SPDX-License-Identifier: ISC */
/*
 * conf_set: one value for one directive.  Runs in the master on what the
 * administrator wrote, and in every role on what the master wrote.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_lex.h"
#include "conf_set.h"
#include "log.h"
#include "xmalloc.h"

static void report(struct conf *c, bool is_error, const char *where,
    const char *fmt, va_list ap) __attribute__((format(printf, 4, 0)));

static void
report(struct conf *c, bool is_error, const char *where, const char *fmt,
    va_list ap)
{
	char what[LOG_LINE_MAX];
	char *line;

	if (is_error)
		c->private->nerrors++;
	else if (c->private->in_role)
		return;
	if (c->private->report == NULL)
		return;
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	if (where == NULL) {
		c->private->report(c->private->arg, is_error, what);
		return;
	}
	line = xasprintf("%s: %s", where, what);
	c->private->report(c->private->arg, is_error, line);
	free(line);
}

void
conf_error(struct conf *c, const char *where, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(c, true, where, fmt, ap);
	va_end(ap);
}

void
conf_warn(struct conf *c, const char *where, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(c, false, where, fmt, ap);
	va_end(ap);
}

void
conf_replace(char **dst, struct text text)
{
	free(*dst);
	*dst = xstrndup(text.len == 0 ? "" : text.p, text.len);
}

/* yes or no, 1 or 0; -1: neither. */
static int
flag_value(struct text t)
{
	if (text_caseeq(t, "yes") || text_caseeq(t, "on"))
		return 1;
	if (text_caseeq(t, "no") || text_caseeq(t, "off"))
		return 0;
	return -1;
}

void
conf_store(struct conf *c, const struct conf_directive *d, struct text text)
{
	void *field = (char *)c + d->field;
	uint64_t n;

	switch (d->type) {
	case CONF_FLAG:
		*(bool *)field = flag_value(text) == 1;
		break;
	case CONF_NUMBER:
		if (text_u64(text, UINT_MAX, &n))
			*(unsigned int *)field = (unsigned int)n;
		break;
	case CONF_STRING:
	case CONF_PATH:
		conf_replace(field, text);
		break;
	}
}

/* What an alias stands for; "capability" is this daemon's own list. */
static const struct conf_directive *
resolve(const struct conf *c, const struct conf_directive *d)
{
	const char *name = d->alias;

	if (name == NULL)
		return d;
	if (d->letter == 'I' && c->private->defaults->daemon == CONF_POP3)
		name = "pop_capability";
	if (d->letter == 'I' && c->private->defaults->daemon == CONF_SMTP)
		name = "smtp_capability";
	return conf_table_find(text_of(name));
}

/* A line break that got into a reply of ours would be a reply of its own. */
static bool
has_control(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (((unsigned char)t.p[i] < ' ' && t.p[i] != '\t') ||
		    t.p[i] == 0x7f)
			return true;
	}
	return false;
}

static bool
check_flag(struct conf *c, const struct conf_directive *d, const char *where,
    struct text v)
{
	if (flag_value(v) != -1)
		return true;
	conf_error(c, where, "%s takes no value, or yes or no, not \"%s\"",
	    d->name, CONF_SHOW(v));
	return false;
}

static bool
check_number(struct conf *c, const struct conf_directive *d, const char *where,
    struct text v)
{
	uint64_t n;

	if (text_u64(v, d->high, &n) && n >= d->low)
		return true;
	conf_error(c, where, "%s takes a number from %u to %u, not \"%s\"",
	    d->name, d->low, d->high, CONF_SHOW(v));
	return false;
}

static bool
check_text(struct conf *c, const struct conf_directive *d, const char *where,
    struct text v)
{
	if (v.len > CONF_TOKEN_MAX) { /* on the command line */
		conf_error(c, where, "%s is longer than %d octets", d->name,
		    CONF_TOKEN_MAX);
		return false;
	}
	if (has_control(v)) {
		conf_error(c, where, "%s has a control character in its value",
		    d->name);
		return false;
	}
	if (v.len == 0) {
		if (d->flags & CONF_EMPTY)
			return true;
		conf_error(c, where, "%s must not be empty", d->name);
		return false;
	}
	if (d->type == CONF_PATH && v.p[0] != '/') {
		conf_error(c, where,
		    "%s takes a path from the root on, not \"%s\"", d->name,
		    CONF_SHOW(v));
		return false;
	}
	return true;
}

/* Is the value one that a directive of this type can have? */
static bool
check_value(struct conf *c, const struct conf_directive *d, const char *where,
    struct text v)
{
	switch (d->type) {
	case CONF_FLAG:
		return check_flag(c, d, where, v);
	case CONF_NUMBER:
		return check_number(c, d, where, v);
	case CONF_STRING:
	case CONF_PATH:
		return check_text(c, d, where, v);
	}
	return false;
}

/* May it be set at all?  Reports what the administrator should know. */
static bool
check_fate(struct conf *c, const struct conf_directive *d, const char *where,
    struct text v)
{
	bool off = d->type == CONF_FLAG && flag_value(v) == 0;

	switch (d->fate) {
	case CONF_HONOURED:
	case CONF_HOLDS:
		return true;
	case CONF_IDLE:
		if (!off)
			conf_warn(c, where, "%s has no effect: %s", d->name,
			    d->advice);
		return true;
	case CONF_REFUSED:
		if (off || (d->but != NULL && text_eq(v, d->but)))
			return true;
		conf_error(c, where, "%s: %s", d->name, d->advice);
		return false;
	case CONF_COMMAND:
		conf_warn(c, where,
		    "%s means something on the command line only", d->name);
		return false;
	}
	return false;
}

void
conf_setting_clear(struct conf_setting *s)
{
	size_t i;

	for (i = 0; i < s->nvalues; i++) {
		free(s->values[i].text);
		free(s->values[i].where);
	}
	free(s->values);
	*s = (struct conf_setting){ 0 };
}

/* many: beside what is there, else in its place. */
static void
setting_add(struct conf_setting *s, bool many, enum conf_source source,
    const char *where, struct text v)
{
	struct conf_value *last;

	if (source != s->source || !many)
		conf_setting_clear(s);
	s->source = source;
	s->values = xrecallocarray(
	    s->values, s->nvalues, s->nvalues + 1, sizeof(s->values[0]));
	last = &s->values[s->nvalues++];
	last->text = NULL;
	conf_replace(&last->text, v);
	last->where = xstrdup(where);
}

void
conf_set(struct conf *c, const struct conf_directive *d,
    enum conf_source source, const char *where, struct text value)
{
	struct conf_setting *s;
	bool many;

	d = resolve(c, d);
	if (d->daemons != 0 && !(d->daemons & c->private->defaults->daemon))
		return; /* it is for another daemon that shares this file */
	if (value.p == NULL && d->type == CONF_FLAG)
		value = TEXT_LIT("yes");
	if (value.p == NULL && d->fate != CONF_COMMAND) {
		conf_error(c, where, "%s needs a value", d->name);
		return;
	}
	if (!check_fate(c, d, where, value) || !check_value(c, d, where, value))
		return;
	s = &c->private->settings[conf_table_place(d)];
	if (source < s->source)
		return; /* the command line wins, whatever is read last */
	/* The master writes a list to a role line by line: all of it holds. */
	many = (d->flags & CONF_MANY) != 0 || c->private->in_role;
	setting_add(s, many, source, where, value);
	if (d->field != CONF_NO_FIELD)
		conf_store(c, d, value);
}

const struct conf_setting *
conf_setting(const struct conf *c, const char *name)
{
	const struct conf_directive *d = conf_table_find(text_of(name));

	if (d == NULL)
		fatalx("conf: no directive \"%s\"", name);
	return &c->private->settings[conf_table_place(d)];
}

bool
conf_is_set(const struct conf *c, const char *name)
{
	return conf_setting(c, name)->nvalues > 0;
}

const char *
conf_where(const struct conf *c, const char *name)
{
	const struct conf_setting *s = conf_setting(c, name);

	return s->nvalues > 0 ? s->values[s->nvalues - 1].where : NULL;
}

const char *
conf_initial(const struct conf *c, const struct conf_directive *d)
{
	const struct conf_initial *i = c->private->defaults->initials;

	for (; i != NULL && i->name != NULL; i++)
		if (strcmp(i->name, d->name) == 0)
			return i->value;
	return d->initial;
}

const char *
conf_text(const struct conf *c, const char *name)
{
	const struct conf_setting *s = conf_setting(c, name);

	if (s->nvalues > 0)
		return s->values[s->nvalues - 1].text;
	return conf_initial(c, conf_table_find(text_of(name)));
}

bool
conf_flag(const struct conf *c, const char *name)
{
	return flag_value(text_of(conf_text(c, name))) == 1;
}
