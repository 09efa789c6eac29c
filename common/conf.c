/* SPDX-License-Identifier: ISC */
/*
 * conf: a new configuration, its end, and reading it from a file.  Runs in
 * the master, which trusts the administrator but not his fingers, and in
 * every role.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "conf_lex.h"
#include "conf_set.h"
#include "conf_table.h"
#include "xmalloc.h"

#define FILE_MAX_LEN (1024 * 1024) /* octets; a real one has a few thousand */
#define WHERE_MAX 256

static size_t
table_size(void)
{
	size_t n = 0;

	while (conf_table(n) != NULL)
		n++;
	return n;
}

struct conf *
conf_new(const struct conf_defaults *defaults, conf_report *report, void *arg)
{
	const struct conf_directive *d;
	struct conf *c = xcalloc(1, sizeof(*c));
	size_t i;

	c->private = xcalloc(1, sizeof(*c->private));
	c->private->defaults = defaults;
	c->private->report = report;
	c->private->arg = arg;
	c->private->settings =
	    xcalloc(table_size(), sizeof(c->private->settings[0]));
	c->ssl_passphrase_fd = -1;
	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		/* What another daemon has, this one has not. */
		if (d->daemons != 0 && !(d->daemons & defaults->daemon))
			continue;
		if (d->field != CONF_NO_FIELD && conf_initial(c, d) != NULL)
			conf_store(c, d, text_of(conf_initial(c, d)));
	}
	return c;
}

static void
free_private(struct conf_private *p)
{
	size_t i;

	for (i = 0; conf_table(i) != NULL; i++)
		conf_setting_clear(&p->settings[i]);
	free(p->settings);
	free(p->protocol_where);
	free(p);
}

/* Free what conf_store() allocated. */
static void
free_fields(struct conf *c)
{
	const struct conf_directive *d;
	void *field;
	size_t i;

	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		if (d->field == CONF_NO_FIELD ||
		    (d->type != CONF_STRING && d->type != CONF_PATH))
			continue;
		field = (char *)c + d->field;
		free(*(char **)field);
		*(char **)field = NULL; /* two directives may share a field */
	}
}

void
conf_free(struct conf **cp)
{
	struct conf *c = *cp;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nservers; i++)
		free(c->servers[i].name);
	for (i = 0; i < c->npairs; i++) {
		free(c->pairs[i].cert_file);
		free(c->pairs[i].key_file);
	}
	free(c->listen);
	free(c->servers);
	free(c->proxies);
	free(c->trusted);
	free(c->pairs);
	free(c->metrics_path);
	free(c->listen_priority);
	free(c->outgoing_priority);
	if (c->outgoing_password != NULL)
		freezero(c->outgoing_password, strlen(c->outgoing_password));
	free_fields(c);
	free_private(c->private);
	free(c);
	*cp = NULL;
}

static struct text
token_text(const struct conf_token *t)
{
	return (struct text){ t->text, t->len };
}

/* Who writes "name = value" gets told; an = in quotes is anybody's. */
static void
report_equals(struct conf *c, const char *where, struct text name)
{
	struct text left;

	text_split(&name, '=', &left);
	conf_error(c, where,
	    "leave the \"=\" out: it is \"%s\", a blank, and the value",
	    CONF_SHOW(left));
}

static void
report_unknown(struct conf *c, const char *where, struct text name)
{
	const struct conf_directive *near = conf_table_nearest(name);

	if (near != NULL)
		conf_error(c, where, "unknown directive \"%s\"; is it \"%s\"?",
		    CONF_SHOW(name), near->name);
	else
		conf_error(
		    c, where, "unknown directive \"%s\"", CONF_SHOW(name));
}

static void
read_statement(
    struct conf *c, const char *where, const struct conf_statement *st)
{
	const struct conf_directive *d;
	struct text name = token_text(&st->name);

	if (st->equals) {
		report_equals(c, where, name);
		return;
	}
	d = name.len == 1 ? conf_table_letter(name.p[0])
	                  : conf_table_find(name);
	if (d == NULL) {
		report_unknown(c, where, name);
		return;
	}
	conf_set(c, d, FROM_FILE, where,
	    st->has_value ? token_text(&st->value) : TEXT_NONE);
}

static unsigned int
count_lines(struct text t)
{
	unsigned int n = 1;
	size_t i;

	for (i = 0; i < t.len; i++)
		n += t.p[i] == '\n';
	return n;
}

/* name is a path, or "handover": printable from here on. */
static char *
where_of(const char *name, unsigned int line)
{
	char shown[WHERE_MAX];

	text_printable(text_of(name), shown, sizeof(shown));
	return xasprintf("%s:%u", shown, line);
}

/* What the lexer found, but its end. */
static void
read_result(struct conf *c, const char *where, enum conf_lex_result result,
    const struct conf_statement *st)
{
	switch (result) {
	case CONF_LEX_STATEMENT:
		read_statement(c, where, st);
		break;
	case CONF_LEX_TOO_LONG:
		conf_error(c, where, "longer than %d octets", CONF_TOKEN_MAX);
		break;
	case CONF_LEX_QUOTE:
		conf_error(c, where, "a quote is opened and never closed");
		break;
	case CONF_LEX_COMMENT:
		conf_warn(c, where,
		    "a backslash does not continue a comment; in Perdition it "
		    "made the next line part of it");
		break;
	case CONF_LEX_END:
		break;
	}
}

unsigned int
conf_read_text(struct conf *c, const char *name, struct text t)
{
	unsigned int before = c->private->nerrors;
	enum conf_lex_result result;
	struct conf_statement st;
	struct conf_lex lx;
	const char *nul;
	char *where;

	nul = t.len > 0 ? memchr(t.p, '\0', t.len) : NULL;
	if (nul != NULL) {
		t.len = (size_t)(nul - t.p);
		where = where_of(name, count_lines(t));
		conf_error(c, where, "a NUL octet: this is not a text file");
		free(where);
		return c->private->nerrors - before;
	}
	conf_lex_init(&lx, t);
	while ((result = conf_lex_next(&lx, &st)) != CONF_LEX_END) {
		where = where_of(name, st.line);
		read_result(c, where, result, &st);
		free(where);
	}
	return c->private->nerrors - before;
}

/* All of a file into *b.  -1 with errno. */
static int
slurp(int fd, struct buf *b)
{
	char part[4096];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	while ((n = read(fd, part, sizeof(part))) > 0) {
		if (buf_append(b, part, (size_t)n) == -1) {
			errno = EFBIG;
			return -1;
		}
	}
	return n == -1 ? -1 : 0;
}

unsigned int
conf_read_file(struct conf *c, const char *path)
{
	unsigned int before = c->private->nerrors;
	struct buf b;
	int fd;

	buf_init(&b, FILE_MAX_LEN);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1 || slurp(fd, &b) == -1)
		conf_error(
		    c, NULL, "%s: cannot be read: %s", path, strerror(errno));
	else
		conf_read_text(c, path, buf_view(&b));
	if (fd != -1)
		close(fd);
	buf_free(&b);
	return c->private->nerrors - before;
}

const char *
conf_protocol_name(const struct conf *c, enum conf_listen_mode mode)
{
	const struct conf_defaults *d = c->private->defaults;

	return mode == LISTEN_SSL ? d->protocol_tls : d->protocol;
}
