/* SPDX-License-Identifier: ISC */
/*
 * cert_dir: looks for pairs in a folder.  Runs in the master, which looks at
 * names and never into the files.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cert_dir.h"
#include "xmalloc.h"

#define NAMES_MAX 65536 /* that are looked at in one folder */

/* The names in a folder, sorted. */
struct names {
	char **p;
	size_t n;
};

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
names_free(struct names *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->p[i]);
	free(l->p);
	l->p = NULL;
	l->n = 0;
}

/*
 * Hidden ones are not meant; and one with a control octet would end a line of
 * the log, or of what metrics tell.
 */
static bool
is_meant(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	if (*p == '.')
		return false;
	while (*p >= ' ' && *p != 0x7f)
		p++;
	return *p == '\0';
}

static int
names_read(const char *path, struct names *l)
{
	struct dirent *e;
	DIR *d = opendir(path);
	int save;

	*l = (struct names){ NULL, 0 };
	if (d == NULL)
		return -1;
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (!is_meant(e->d_name) || l->n == NAMES_MAX)
			continue;
		l->p = xrecallocarray(l->p, l->n, l->n + 1, sizeof(*l->p));
		l->p[l->n++] = xstrdup(e->d_name);
	}
	save = errno;
	closedir(d);
	if (save != 0) {
		names_free(l);
		errno = save;
		return -1;
	}
	if (l->n > 0)
		qsort(l->p, l->n, sizeof(*l->p), compare);
	return 0;
}

static bool
names_has(const struct names *l, const char *base, const char *suffix)
{
	char *name = xasprintf("%s%s", base, suffix);
	bool has = l->n > 0 &&
	    bsearch(&name, l->p, l->n, sizeof(*l->p), compare) != NULL;

	free(name);
	return has;
}

static void
add(struct cert_dir *d, const char *name, const char *folder, const char *cert,
    const char *key)
{
	struct cert_entry *e;

	if (d->n == CERT_DIR_MAX) {
		d->left_out++;
		return;
	}
	d->entries =
	    xrecallocarray(d->entries, d->n, d->n + 1, sizeof(*d->entries));
	e = &d->entries[d->n++];
	e->name = xstrdup(name);
	e->cert = xasprintf("%s/%s", folder, cert);
	e->key = xasprintf("%s/%s", folder, key);
}

/* The name without this end, to be freed; NULL: it has another one. */
static char *
without(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	if (n <= m || strcmp(name + n - m, suffix) != 0)
		return NULL;
	return xstrndup(name, n - m);
}

/* In the order of preference; .pem may be both, and is last. */
static const char *const cert_suffixes[] = { ".crt", ".cert", ".cer", ".pem" };
#define NSUFFIXES (sizeof(cert_suffixes) / sizeof(cert_suffixes[0]))

/* The end of NAME's certificate's file; NULL: it has none. */
static const char *
cert_suffix(const struct names *l, const char *base)
{
	size_t i;

	for (i = 0; i < NSUFFIXES; i++)
		if (names_has(l, base, cert_suffixes[i]))
			return cert_suffixes[i];
	return NULL;
}

/* lego has the issuer's certificate in NAME.issuer.crt. */
static bool
is_issuer(const struct names *l, const char *base)
{
	char *name = without(base, ".issuer");
	bool is = name != NULL && names_has(l, name, ".key");

	free(name);
	return is;
}

/* NAME.crt (.cert, .cer, .pem) and NAME.key, or NAME.pem alone. */
static void
add_base(struct cert_dir *d, const struct names *l, const char *entry,
    const char *folder, const char *base)
{
	const char *suffix = cert_suffix(l, base);
	char *cert, *key;

	if (suffix == NULL)
		suffix = ".crt"; /* a key alone: this is what is missing */
	cert = xasprintf("%s%s", base, suffix);
	key = xasprintf("%s.key", base);
	if (strcmp(suffix, ".pem") == 0 && !names_has(l, base, ".key"))
		add(d, entry, folder, cert, cert);
	else
		add(d, entry, folder, cert, key);
	free(cert);
	free(key);
}

/* What ACME's clients and others call the two files in a folder of a pair. */
static const struct {
	const char *cert, *key;
} pair_names[] = {
	{ "fullchain.pem", "privkey.pem" }, /* certbot, dehydrated */
	{ "fullchain.pem", "key.pem" },
	{ "tls.crt", "tls.key" }, /* Kubernetes */
	{ "cert.pem", "key.pem" },
	{ "cert.pem", "privkey.pem" },
};
#define NPAIR_NAMES (sizeof(pair_names) / sizeof(pair_names[0]))

/* acme.sh: fullchain.cer and NAME.key.  NULL: there is not just one key. */
static const char *
only_key(const struct names *l)
{
	const char *found = NULL;
	char *base;
	size_t i;

	for (i = 0; i < l->n; i++) {
		base = without(l->p[i], ".key");
		if (base != NULL && found != NULL) {
			free(base);
			return NULL;
		}
		if (base != NULL)
			found = l->p[i];
		free(base);
	}
	return found;
}

/* False: nothing in it looks like a pair. */
static bool
add_known(struct cert_dir *d, const struct names *l, const char *entry,
    const char *folder)
{
	size_t i;

	for (i = 0; i < NPAIR_NAMES; i++)
		if (names_has(l, pair_names[i].cert, "") &&
		    names_has(l, pair_names[i].key, "")) {
			add(d, entry, folder, pair_names[i].cert,
			    pair_names[i].key);
			return true;
		}
	if (names_has(l, "fullchain.cer", "") && only_key(l) != NULL) {
		add(d, entry, folder, "fullchain.cer", only_key(l));
		return true;
	}
	for (i = 0; i < NPAIR_NAMES; i++) /* half a pair */
		if (names_has(l, pair_names[i].cert, "") ||
		    names_has(l, pair_names[i].key, "")) {
			add(d, entry, folder, pair_names[i].cert,
			    pair_names[i].key);
			return true;
		}
	return false;
}

/* A folder of one pair, whose files may have the folder's name, too. */
static void
add_folder(struct cert_dir *d, const char *path, const char *name)
{
	char *folder = xasprintf("%s/%s", path, name);
	char *entry = xasprintf("%s/", name);
	struct names l;

	if (names_read(folder, &l) == 0) {
		if (!add_known(d, &l, entry, folder) &&
		    (cert_suffix(&l, name) != NULL ||
		        names_has(&l, name, ".key")))
			add_base(d, &l, entry, folder, name);
		names_free(&l);
	}
	free(entry);
	free(folder);
}

/*
 * One of NAME's files; NAME is added with the first of them, in the order in
 * which they would be taken.
 */
static void
add_file(
    struct cert_dir *d, const struct names *l, const char *path, const char *f)
{
	const char *first;
	char *base = NULL;
	size_t i;

	for (i = 0; i < NSUFFIXES && base == NULL; i++)
		base = without(f, cert_suffixes[i]);
	if (base != NULL) {
		first = cert_suffix(l, base);
		if (strcmp(f + strlen(base), first) == 0 && !is_issuer(l, base))
			add_base(d, l, base, path, base);
	} else if ((base = without(f, ".key")) != NULL &&
	    cert_suffix(l, base) == NULL) {
		add_base(d, l, base, path, base);
	}
	free(base);
}

static int
compare_entries(const void *a, const void *b)
{
	const struct cert_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int
cert_dir_read(const char *path, struct cert_dir *d)
{
	struct names l;
	struct stat st;
	char *file;
	size_t i;

	*d = (struct cert_dir){ NULL, 0, 0 };
	if (names_read(path, &l) == -1)
		return -1;
	for (i = 0; i < l.n; i++) {
		file = xasprintf("%s/%s", path, l.p[i]);
		if (stat(file, &st) == -1)
			st.st_mode = S_IFREG; /* to be told, if it matters */
		free(file);
		if (S_ISDIR(st.st_mode))
			add_folder(d, path, l.p[i]);
		else if (S_ISREG(st.st_mode))
			add_file(d, &l, path, l.p[i]);
	}
	names_free(&l);
	if (d->n > 0)
		qsort(d->entries, d->n, sizeof(*d->entries), compare_entries);
	return 0;
}

void
cert_dir_free(struct cert_dir *d)
{
	size_t i;

	for (i = 0; i < d->n; i++) {
		free(d->entries[i].name);
		free(d->entries[i].cert);
		free(d->entries[i].key);
	}
	free(d->entries);
	*d = (struct cert_dir){ NULL, 0, 0 };
}
