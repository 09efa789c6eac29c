/* SPDX-License-Identifier: ISC */
/*
 * conf_print: a configuration as text: for --print_config, and for the roles,
 * each of which is handed what the table says it needs, in the same language.
 * Runs in the master.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "conf.h"
#include "conf_set.h"
#include "conf_settle.h"
#include "conf_table.h"
#include "log.h"

#define NUMBER_LEN 16

static void put(struct buf *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A configuration that was cut would be another one. */
static void
put(struct buf *out, const char *fmt, ...)
{
	char *s;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n == -1)
		fatal("conf_print");
	if (buf_append(out, s, (size_t)n) == -1)
		fatalx("conf_print: the configuration does not fit");
	free(s);
}

static bool
is_plain(char k)
{
	return (k >= 'a' && k <= 'z') || (k >= 'A' && k <= 'Z') ||
	    (k >= '0' && k <= '9') || strchr("_-+./:,@*%[]", k) != NULL;
}

/* As conf_lex reads it back: in double quotes where there is any doubt. */
static void
put_value(struct buf *out, const char *value)
{
	bool plain = *value != '\0';
	const char *p;

	for (p = value; *p != '\0'; p++)
		plain = plain && is_plain(*p);
	if (plain) {
		put(out, "%s", value);
		return;
	}
	put(out, "\"");
	for (p = value; *p != '\0'; p++)
		put(out, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
	put(out, "\"");
}

/* where NULL: without a word on it. */
static void
put_line(
    struct buf *out, const char *name, const char *value, const char *where)
{
	put(out, "%s ", name);
	put_value(out, value);
	if (where != NULL)
		put(out, "  # %s", where);
	put(out, "\n");
}

/*
 * The value as it is now, the master's own settling included; NULL: none.
 * number is room for the digits.
 */
static const char *
current(const struct conf *c, const struct conf_directive *d,
    char number[NUMBER_LEN])
{
	const void *field;

	if (d->field == CONF_NO_FIELD)
		return conf_text(c, d->name);
	field = (const char *)c + d->field;
	switch (d->type) {
	case CONF_FLAG:
		return *(const bool *)field ? "yes" : "no";
	case CONF_NUMBER:
		(void)snprintf(
		    number, NUMBER_LEN, "%u", *(const unsigned int *)field);
		return number;
	case CONF_STRING:
	case CONF_PATH:
		return *(char *const *)field;
	}
	return NULL;
}

/* The one directive that a file's name can have set. */
static const char *
protocol_by_name(const struct conf *c)
{
	const struct conf_defaults *d = c->private->defaults;

	switch (c->private->protocol) {
	case PROTOCOL_UNKNOWN:
		return NULL;
	case PROTOCOL_CLEAR:
		return d->protocol;
	case PROTOCOL_TLS:
		return d->protocol_tls;
	}
	return NULL;
}

static bool
is_named(const struct conf_directive *d, const char *name)
{
	return strcmp(d->name, name) == 0;
}

/* ssl_pair or ssl_cert_dir alone replaces the default pair. */
static bool
default_pair_holds(const struct conf *c)
{
	return (!conf_is_set(c, "ssl_pair") &&
	           !conf_is_set(c, "ssl_cert_dir")) ||
	    conf_is_set(c, "ssl_cert_file") || conf_is_set(c, "ssl_key_file");
}

static void
print_default(
    const struct conf *c, const struct conf_directive *d, struct buf *out)
{
	const char *value, *where = "default";
	char number[NUMBER_LEN];

	if ((is_named(d, "ssl_cert_file") || is_named(d, "ssl_key_file")) &&
	    !default_pair_holds(c))
		return;
	value = current(c, d, number);
	if (value == NULL && is_named(d, "protocol")) {
		value = protocol_by_name(c);
		where = "the file's name";
	}
	if (value == NULL)
		put(out, "# %s is not set\n", d->name);
	else
		put_line(out, d->name, value, where);
}

/* Each value that was set, with its place where places is set. */
static void
put_values(const struct conf *c, const struct conf_directive *d, bool places,
    struct buf *out)
{
	const struct conf_setting *s = conf_setting(c, d->name);
	char number[NUMBER_LEN];
	const char *value;
	size_t i;

	for (i = 0; i < s->nvalues; i++) {
		value = d->flags & CONF_MANY ? s->values[i].text
		                             : current(c, d, number);
		if (value != NULL) /* ok_line that server_resp_line put out */
			put_line(out, d->name, value,
			    places ? s->values[i].where : NULL);
	}
}

static bool
is_ours(const struct conf *c, const struct conf_directive *d)
{
	return d->alias == NULL && d->fate != CONF_COMMAND &&
	    (d->daemons == 0 ||
	        (d->daemons & c->private->defaults->daemon) != 0);
}

/* NULL: plain, for which there is no word. */
static const char *
outgoing_word(enum conf_outgoing_tls tls)
{
	switch (tls) {
	case OUTGOING_PLAIN:
		return NULL;
	case OUTGOING_SSL:
		return "ssl_outgoing";
	case OUTGOING_STARTTLS:
		return "tls_outgoing";
	case OUTGOING_STARTTLS_FORCE:
		return "tls_outgoing_force";
	}
	return NULL;
}

/* The settled listeners as directives; prefix: "", or that of a comment. */
static void
put_listeners(const struct conf *c, const char *prefix, struct buf *out)
{
	char a[ADDR_STRLEN];
	size_t i;

	for (i = 0; i < c->nlisten; i++)
		put(out, "%slisten \"%s %s\"\n", prefix,
		    addr_print(&c->listen[i].addr, a),
		    conf_listen_mode_name(c->listen[i].mode));
}

static void
put_servers(const struct conf *c, const char *prefix, struct buf *out)
{
	const char *tls = outgoing_word(c->outgoing_tls);
	const struct conf_server *s;
	bool colons;
	size_t i;

	if (tls != NULL)
		put(out, "%sssl_mode %s\n", prefix, tls);
	for (i = 0; i < c->nservers; i++) {
		s = &c->servers[i];
		colons = strchr(s->name, ':') != NULL; /* IPv6 */
		put(out, "%soutgoing_server %s%s%s:%u\n", prefix,
		    colons ? "[" : "", s->name, colons ? "]" : "", s->port);
	}
}

void
conf_print(const struct conf *c, struct buf *out)
{
	const struct conf_directive *d;
	size_t i;

	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		if (!is_ours(c, d))
			continue;
		if (conf_is_set(c, d->name))
			put_values(c, d, true, out);
		else if (d->fate == CONF_HONOURED)
			print_default(c, d, out);
	}
	put(out, "\n# In other words:\n");
	put_listeners(c, "#   ", out);
	put_servers(c, "#   ", out);
}

/* One directive as a role needs it. */
static void
write_directive(
    const struct conf *c, const struct conf_directive *d, struct buf *out)
{
	char number[NUMBER_LEN];
	const char *value;

	if (d->flags & CONF_MANY) {
		put_values(c, d, false, out);
		return;
	}
	value = current(c, d, number);
	if (value != NULL)
		put_line(out, d->name, value, NULL);
}

void
conf_write_role(const struct conf *c, enum role role, struct buf *out)
{
	const struct conf_directive *d;
	size_t i;

	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		if (is_ours(c, d) && (d->roles & CONF_ROLE(role)) != 0)
			write_directive(c, d, out);
	}
	if (role != ROLE_WORKER && role != ROLE_BROKER &&
	    role != ROLE_CONTROL && role != ROLE_METRICS)
		return;
	if (role != ROLE_METRICS)
		put_listeners(c, "", out);
	put_servers(c, "", out);
}
