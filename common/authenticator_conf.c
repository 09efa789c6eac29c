/* SPDX-License-Identifier: ISC */
/*
 * authenticator_conf: Cyrus SASL's configuration of an application.  Runs in
 * the master and in authenticators; the file is the administrator's.  It is
 * read as libsasl2 2.1.28 reads it (lib/config.c).
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authenticator_conf.h"
#include "xmalloc.h"

struct sasl_conf {
	struct option {
		char *name, *value;
	} * options;
	size_t n;
};

char *
sasl_conf_find(const char *folders, const char *application)
{
	struct text rest = text_of(folders), folder;
	char *path;

	while (text_split(&rest, ':', &folder)) {
		if (folder.len == 0)
			continue;
		path = xasprintf("%.*s/%s.conf", TEXT_ARG(folder), application);
		if (access(path, F_OK) == 0)
			return path;
		free(path);
	}
	errno = ENOENT;
	return NULL;
}

static bool
is_name_octet(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

static struct text
trim(struct text t)
{
	while (t.len > 0 && isspace((unsigned char)t.p[0]))
		t = text_skip(t, 1);
	while (t.len > 0 && isspace((unsigned char)t.p[t.len - 1]))
		t.len--;
	return t;
}

static void
add(struct sasl_conf *c, struct text name, struct text value)
{
	struct option *o;

	c->options =
	    xrecallocarray(c->options, c->n, c->n + 1, sizeof(*c->options));
	o = &c->options[c->n++];
	o->name = xstrndup(name.p, name.len);
	o->value = xstrndup(value.p, value.len);
}

/* One line, which is not empty and no comment. */
static bool
read_line(struct sasl_conf *c, struct text line)
{
	struct text name = { line.p, 0 };

	while (name.len < line.len && is_name_octet(line.p[name.len]))
		name.len++;
	if (name.len == 0 || name.len == line.len || line.p[name.len] != ':')
		return false;
	line = trim(text_skip(line, name.len + 1));
	if (line.len == 0 || text_has(line, '\0'))
		return false;
	add(c, name, line);
	return true;
}

struct sasl_conf *
sasl_conf_new(struct text file, size_t *bad)
{
	struct sasl_conf *c = xcalloc(1, sizeof(*c));
	struct text line;

	for (*bad = 1; text_split(&file, '\n', &line); (*bad)++) {
		line = trim(line);
		if (line.len > 0 && line.p[0] != '#' && !read_line(c, line)) {
			sasl_conf_free(&c);
			return NULL;
		}
	}
	return c;
}

void
sasl_conf_free(struct sasl_conf **cp)
{
	struct sasl_conf *c = *cp;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->n; i++) {
		free(c->options[i].name);
		free(c->options[i].value);
	}
	free(c->options);
	free(c);
	*cp = NULL;
}

const char *
sasl_conf_get(const struct sasl_conf *c, const char *option)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (text_caseeq(text_of(c->options[i].name), option))
			return c->options[i].value;
	return NULL;
}

static void
append(char *dst, struct text word)
{
	size_t n = strlen(dst);

	if (n > 0)
		dst[n++] = ' ';
	memcpy(dst + n, word.p, word.len);
	dst[n + word.len] = '\0';
}

/* wanted as it stands in words; TEXT_NONE: it does not. */
static struct text
find_word(struct text words, struct text wanted)
{
	struct text word;

	while (text_word(&words, &word))
		if (text_casesame(word, wanted))
			return word;
	return TEXT_NONE;
}

/* word, once. */
static void
append_new(char *dst, struct text word)
{
	if (word.p != NULL && find_word(text_of(dst), word).p == NULL)
		append(dst, word);
}

void
sasl_conf_add_login(char *list, size_t size, struct text model)
{
	const struct text login = TEXT_LIT("LOGIN");

	if (text_has_word(text_of(list), login) ||
	    (text_trim(model).len > 0 && !text_has_word(model, login)) ||
	    size - strlen(list) <= login.len + 1)
		return;
	append(list, login);
}

void
sasl_conf_sort(struct text words, struct text model, char *dst)
{
	struct text word;

	*dst = '\0';
	while (text_word(&model, &word))
		append_new(dst, find_word(words, word));
	for (model = words; text_word(&model, &word);)
		append_new(dst, word);
}
