/* SPDX-License-Identifier: ISC */
/*
 * sender_map: the table of senders and their owners.  Runs in the broker,
 * and in the master for a check; the file is the administrator's, the sender
 * that is looked up anybody's.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "msg.h"
#include "sender_map.h"
#include "xmalloc.h"

#define GROW 1024 /* entries */

/* One for each login of a sender. */
struct entry {
	struct text sender, login;
	size_t line; /* where the sender stands */
};

struct sender_map {
	char *octets; /* what the entries are views of */
	struct entry *entries;
	size_t n;
};

struct parser {
	struct sender_map *map;
	struct text sender; /* of the entry so far; TEXT_NONE: none */
	size_t line, first; /* this one, and that of sender */
	size_t before;      /* entries in front of sender's */
};

/* Any order will do, as long as letter case plays no part in it. */
static int
compare(struct text a, struct text b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return strncasecmp(a.p, b.p, a.len);
}

static int
compare_entries(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	int c = compare(a->sender, b->sender);

	return c != 0 ? c : (a->line > b->line) - (a->line < b->line);
}

static void
add_entry(const struct parser *p, struct text login)
{
	struct sender_map *m = p->map;

	if (m->n % GROW == 0)
		m->entries = xrecallocarray(
		    m->entries, m->n, m->n + GROW, sizeof(*m->entries));
	m->entries[m->n++] = (struct entry){ p->sender, login, p->first };
}

static bool
is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t';
}

static bool
next_login(struct text *rest, struct text *login)
{
	size_t n = 0;

	while (rest->len > 0 && is_separator(rest->p[0]))
		*rest = text_skip(*rest, 1);
	while (n < rest->len && !is_separator(rest->p[n]))
		n++;
	*login = (struct text){ rest->p, n };
	*rest = text_skip(*rest, n);
	return n > 0;
}

/* Nothing more comes for the sender.  NULL, or what is wrong. */
static const char *
end_sender(struct parser *p)
{
	if (p->sender.len == 0 || p->map->n > p->before)
		return NULL;
	p->line = p->first;
	return "a sender without a login";
}

/* A line without its end, as Postfix has it.  NULL, or what is wrong. */
static const char *
take_line(struct parser *p, struct text line)
{
	struct text rest = line, word;
	const char *why;

	if (line.len > 0 && line.p[line.len - 1] == '\r')
		rest.len = --line.len;
	word = text_trim(line);
	if (word.len == 0 || word.p[0] == '#')
		return NULL;
	if (word.p == line.p) { /* it continues no line */
		if ((why = end_sender(p)) != NULL)
			return why;
		(void)text_word(&rest, &p->sender);
		p->first = p->line;
		p->before = p->map->n;
	} else if (p->sender.len == 0) {
		return "a line that begins with a blank continues none";
	}
	while (next_login(&rest, &word))
		add_entry(p, word);
	return NULL;
}

/* Two entries for one sender: one of them would be without effect. */
static const char *
find_double(struct parser *p)
{
	const struct entry *e = p->map->entries;
	size_t i;

	for (i = 1; i < p->map->n; i++) {
		p->line = e[i].line;
		if (e[i].line != e[i - 1].line &&
		    compare(e[i].sender, e[i - 1].sender) == 0)
			return "this sender has an entry already";
	}
	return NULL;
}

static const char *
parse(struct parser *p, struct text t)
{
	const char *why;
	struct text line;

	while (text_split(&t, '\n', &line)) {
		p->line++;
		if (text_has(line, '\0'))
			return "a NUL";
		if ((why = take_line(p, line)) != NULL)
			return why;
	}
	if ((why = end_sender(p)) != NULL)
		return why;
	if (p->map->n > 0)
		qsort(p->map->entries, p->map->n, sizeof(*p->map->entries),
		    compare_entries);
	return find_double(p);
}

struct sender_map *
sender_map_parse(struct text t, size_t *line, const char **why)
{
	struct sender_map *m = xcalloc(1, sizeof(*m));
	struct parser p = { .map = m };

	m->octets = xmalloc(t.len + 1);
	if (t.len > 0)
		memcpy(m->octets, t.p, t.len);
	*why = parse(&p, (struct text){ m->octets, t.len });
	*line = p.line;
	if (*why != NULL)
		sender_map_free(&m);
	return m;
}

void
sender_map_free(struct sender_map **mp)
{
	struct sender_map *m = *mp;

	if (m == NULL)
		return;
	free(m->entries);
	free(m->octets);
	free(m);
	*mp = NULL;
}

/* -1 with errno. */
static int
read_all(int fd, struct buf *b)
{
	char part[16384];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	while ((n = read(fd, part, sizeof(part))) > 0)
		if (buf_append(b, part, (size_t)n) == -1) {
			errno = EFBIG;
			return -1;
		}
	return n == -1 ? -1 : 0;
}

struct sender_map *
sender_map_read(
    const char *path, const char *name, char error[static SENDER_MAP_ERROR_MAX])
{
	/* A FIFO must not make us wait for somebody to write into it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct sender_map *m = NULL;
	const char *why;
	struct buf b;
	size_t line;

	buf_init(&b, SENDER_MAP_MAX);
	if (fd == -1 || read_all(fd, &b) == -1) {
		(void)snprintf(error, SENDER_MAP_ERROR_MAX, "%s: %s", name,
		    strerror(errno));
	} else {
		m = sender_map_parse(buf_view(&b), &line, &why);
		if (m == NULL)
			(void)snprintf(error, SENDER_MAP_ERROR_MAX,
			    "%s:%zu: %s", name, line, why);
	}
	buf_free(&b);
	if (fd != -1)
		close(fd);
	return m;
}

/* The first entry of sender; n: there is none. */
static size_t
find(const struct sender_map *m, struct text sender)
{
	size_t low = 0, high = m->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare(m->entries[middle].sender, sender) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->n && compare(m->entries[low].sender, sender) == 0
	    ? low
	    : m->n;
}

/* *decided: sender has an entry. */
static bool
is_among(const struct sender_map *m, struct text sender, struct text user,
    bool *decided)
{
	size_t i = find(m, sender);

	*decided = i < m->n;
	for (; i < m->n && compare(m->entries[i].sender, sender) == 0; i++)
		if (text_casesame(m->entries[i].login, user))
			return true;
	return false;
}

/*
 * The local part without quotes: "alice"@example.org is alice's, whoever may
 * send for the rest of the domain.  Returns its length.
 */
static size_t
unquote(struct text local, char dst[static MSG_SENDER_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < local.len; i++) {
		if (local.p[i] == '\\' && i + 1 < local.len)
			i++;
		else if (local.p[i] == '"')
			continue;
		dst[n++] = local.p[i];
	}
	return n;
}

bool
sender_map_owns(
    const struct sender_map *m, struct text sender, struct text user)
{
	char name[MSG_SENDER_MAX];
	struct text local = sender, domain = text_skip(sender, sender.len);
	const char *p;
	bool decided, owns;
	size_t n;

	if (sender.len == 0 || sender.len > sizeof(name))
		return false;
	p = memrchr(sender.p, '@', sender.len);
	if (p != NULL) {
		local.len = (size_t)(p - sender.p);
		domain = text_skip(sender, local.len);
	}
	n = unquote(local, name);
	memcpy(name + n, domain.p, domain.len);
	owns =
	    is_among(m, (struct text){ name, n + domain.len }, user, &decided);
	p = n > 0 ? memchr(name + 1, '+', n - 1) : NULL;
	if (!decided && p != NULL) {
		n = (size_t)(p - name);
		memcpy(name + n, domain.p, domain.len);
		owns = is_among(
		    m, (struct text){ name, n + domain.len }, user, &decided);
	}
	return decided ? owns : is_among(m, domain, user, &decided);
}
