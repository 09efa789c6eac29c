/* SPDX-License-Identifier: ISC */
/*
 * certs_look: have the files changed?  Runs in the master.  They are looked at
 * every few seconds rather than watched with inotify(7): that hears nothing of
 * what another machine does on NFS, nor of the far ends of symbolic links, and
 * would be needed only to win a second.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert_dir.h"
#include "certs_impl.h"
#include "handover.h"
#include "log.h"
#include "xmalloc.h"

static void
stamp_file(const char *path, struct cert_stamp *out)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (stat(path, &st) == -1) {
		out->error = errno;
		return;
	}
	out->dev = st.st_dev;
	out->ino = st.st_ino;
	out->size = st.st_size;
	out->mtim = st.st_mtim;
	out->ctim = st.st_ctim;
}

void
cert_stamp(const struct cert_source *src, struct cert_stamps *out)
{
	stamp_file(src->cert, &out->cert);
	stamp_file(src->key, &out->key);
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
is_same_file(const struct cert_stamp *a, const struct cert_stamp *b)
{
	return a->error == b->error && a->dev == b->dev && a->ino == b->ino &&
	    a->size == b->size && is_same_time(&a->mtim, &b->mtim) &&
	    is_same_time(&a->ctim, &b->ctim);
}

static bool
is_same(const struct cert_stamps *a, const struct cert_stamps *b)
{
	return is_same_file(&a->cert, &b->cert) &&
	    is_same_file(&a->key, &b->key);
}

static int
compare_sources(const void *a, const void *b)
{
	const struct cert_source *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int
compare_name(const void *name, const void *source)
{
	return strcmp(name, ((const struct cert_source *)source)->name);
}

/* Among the first so many, which are sorted. */
static struct cert_source *
find(struct certs *s, size_t known, const char *name)
{
	if (known == s->nfixed)
		return NULL;
	return bsearch(name, s->sources + s->nfixed, known - s->nfixed,
	    sizeof(*s->sources), compare_name);
}

/* Other files of the same name: they are looked at anew. */
static void
set_path(char **path, const char *now)
{
	if (strcmp(*path, now) == 0)
		return;
	free(*path);
	*path = xstrdup(now);
}

static void
merge(struct certs *s, const struct cert_dir *d)
{
	const size_t known = s->n;
	struct cert_source *src;
	size_t i;

	for (i = s->nfixed; i < s->n; i++)
		s->sources[i].listed = false;
	for (i = 0; i < d->n; i++) {
		src = find(s, known, d->entries[i].name);
		if (src == NULL)
			src = certs_add_source(s, d->entries[i].name,
			    d->entries[i].cert, d->entries[i].key);
		set_path(&src->cert, d->entries[i].cert);
		set_path(&src->key, d->entries[i].key);
		src->listed = true;
		src->absent = 0;
	}
	for (i = s->nfixed; i < s->n; i++)
		if (!s->sources[i].listed && s->sources[i].absent < 2)
			s->sources[i].absent++;
	if (s->n > s->nfixed)
		qsort(s->sources + s->nfixed, s->n - s->nfixed,
		    sizeof(*s->sources), compare_sources);
}

/* What is not mounted looks like an empty folder. */
static void
keep_all(struct certs *s)
{
	size_t i;

	for (i = s->nfixed; i < s->n; i++)
		s->sources[i].absent = 0;
	if (s->told_empty || s->n == s->nfixed)
		return;
	s->told_empty = true;
	log_warnx("ssl_cert_dir %s: there is no certificate in it any more: "
	          "those in use stay",
	    s->conf->ssl_cert_dir);
}

int
certs_list(struct certs *s)
{
	const char *path = s->conf->ssl_cert_dir;
	struct cert_dir d;

	if (cert_dir_read(path, &d) == -1) {
		if (s->dir_error != errno)
			log_warn("ssl_cert_dir %s", path);
		s->dir_error = errno;
		return -1;
	}
	s->dir_error = 0;
	if (d.n == 0 && s->serving) {
		keep_all(s);
		cert_dir_free(&d);
		return 0;
	}
	s->told_empty = false;
	if (d.left_out > 0 && !s->told_many)
		log_warnx("ssl_cert_dir %s: more than %d pairs: %zu are left "
		          "out",
		    path, CERT_DIR_MAX, d.left_out);
	s->told_many = d.left_out > 0;
	merge(s, &d);
	cert_dir_free(&d);
	return 0;
}

/* Said once for each change. */
static void
tell_missing(const struct cert_source *src, const char *path, int error)
{
	log_at(LOG_ERR, "certificate %s: %s%s", path, handover_strerror(error),
	    src->pair != NULL ? ": the old one stays" : ": it is left out");
}

/* Into the memfd that keepers will be given. */
static void
offer(struct certs *s, struct cert_source *src)
{
	struct cert_stamps after;
	struct cert_pair *p;
	const char *path;

	if (s->offer == -1 && (s->offer = handover_new("pairs")) == -1) {
		log_warn("memory for renewed certificates");
		src->was_tried = false;
		return;
	}
	p = cert_pair_new(s);
	if (certs_add_parts(s->offer, src, p, &path) == -1) {
		tell_missing(src, path, errno);
		certs_let_go(s, &p, 0);
		return;
	}
	cert_stamp(src, &after);
	if (!is_same(&after, &src->tried)) { /* it changed under us */
		src->was_tried = false;
		src->seen = after;
		certs_let_go(s, &p, 0);
		return;
	}
	p->offered = true;
	src->fresh = p;
}

/* New, and as it was at the last look: whoever wrote it has done. */
static void
look_at(struct certs *s, struct cert_source *src, time_t now)
{
	struct cert_stamps stamps;
	bool quiet;

	cert_stamp(src, &stamps);
	quiet = is_same(&stamps, &src->seen);
	src->seen = stamps;
	if (!quiet || src->absent > 0)
		return;
	if (src->was_tried && is_same(&stamps, &src->tried) &&
	    (src->retry_at == 0 || now < src->retry_at))
		return;
	src->was_tried = true;
	src->tried = stamps;
	src->retry_at = 0;
	if (stamps.cert.error != 0)
		tell_missing(src, src->cert, stamps.cert.error);
	else if (stamps.key.error != 0)
		tell_missing(src, src->key, stamps.key.error);
	else
		offer(s, src);
}

bool
certs_look(struct certs *s, time_t now)
{
	bool any = false;
	size_t i;

	if (s->offer != -1) { /* of the last time: it is composed */
		close(s->offer);
		s->offer = -1;
	}
	if (s->conf->ssl_cert_dir != NULL && certs_list(s) == -1)
		for (i = s->nfixed; i < s->n; i++)
			s->sources[i].absent = 0;
	for (i = 0; i < s->n; i++) {
		look_at(s, &s->sources[i], now);
		any = any || s->sources[i].fresh != NULL ||
		    s->sources[i].absent >= 2;
	}
	return any;
}
