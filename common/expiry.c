/* SPDX-License-Identifier: ISC */
/*
 * expiry: which certificates are in use, and until when.  Written in the
 * master, read in metrics and control.  All of it travels at once, in a
 * memfd: so those that are gone are gone, and nobody is told half.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs.h"
#include "expiry.h"
#include "handover.h"
#include "xmalloc.h"

#define NAMES_MAX (MSG_PAIR_NAMES_MAX * 4) /* escaped */

static int
add(int fd, uint16_t number, const struct expiry *e)
{
	struct writer w UNZEROED;

	msg_start(&w, MSG_EXPIRIES, 0);
	w.len = 0; /* the fields alone */
	put_u64(&w, (uint64_t)e->not_after);
	put_text(&w, text_of(e->file));
	put_text(&w, text_of(e->names));
	if (w.failed) {
		errno = EMSGSIZE;
		return -1;
	}
	return handover_add(
	    fd, HANDOVER_EXPIRY, number, (struct text){ w.data, w.len });
}

static int
compare(const void *a, const void *b)
{
	const struct expiry *x = a, *y = b;

	if (x->not_after != y->not_after)
		return x->not_after < y->not_after ? -1 : 1;
	return strcmp(x->file, y->file);
}

/* In the order in which they end: no role has to sort (sysinfo(2)). */
static struct expiry *
in_order(const struct certs *s, size_t *n)
{
	struct expiry *all = xcalloc(certs_count(s) + 1, sizeof(*all));
	size_t at = 0;

	for (*n = 0; certs_expiry(s, &at, &all[*n]); (*n)++)
		;
	qsort(all, *n, sizeof(*all), compare);
	return all;
}

int
expiry_compose(const struct certs *s, uint32_t *len)
{
	int save, result = 0, fd = handover_new("expiry");
	struct expiry *all;
	size_t i, n;

	if (fd == -1)
		return -1;
	all = in_order(s, &n);
	for (i = 0; i < n && result == 0; i++)
		result = add(fd, (uint16_t)i, &all[i]);
	free(all);
	if (result == 0 && handover_seal(fd) == 0) {
		*len = (uint32_t)lseek(fd, 0, SEEK_END);
		return fd;
	}
	save = errno;
	close(fd);
	errno = save;
	return -1;
}

static int
take(struct expiry_list *l, const struct handover_part *part)
{
	struct reader r = { part->data.p, part->data.len };
	struct text file, names;
	uint64_t not_after;

	if (part->kind != HANDOVER_EXPIRY || get_u64(&r, &not_after) == -1 ||
	    not_after > INT64_MAX || get_text(&r, PATH_MAX, &file) == -1 ||
	    get_text(&r, NAMES_MAX, &names) == -1 || get_end(&r) == -1) {
		errno = EBADMSG;
		return -1;
	}
	l->all = xrecallocarray(l->all, l->n, l->n + 1, sizeof(*l->all));
	l->all[l->n++] = (struct expiry){ xstrndup(file.p, file.len),
		xstrndup(names.p, names.len), (time_t)not_after };
	return 0;
}

int
expiry_read(struct expiry_list *l, int fd, size_t len)
{
	struct expiry_list fresh = { NULL, 0 };
	struct handover_part part;
	struct handover *h = NULL;
	size_t at = 0;
	int result = 0;

	if (len > 0 && (h = handover_map(fd, len)) == NULL)
		return -1;
	while (h != NULL && result == 0 && handover_next(h, &at, &part))
		result = take(&fresh, &part);
	handover_close(&h);
	if (result == -1) {
		expiry_free(&fresh);
		errno = EBADMSG;
		return -1;
	}
	expiry_free(l);
	*l = fresh;
	return 0;
}

void
expiry_free(struct expiry_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		free((char *)(uintptr_t)l->all[i].file);
		free((char *)(uintptr_t)l->all[i].names);
	}
	free(l->all);
	*l = (struct expiry_list){ NULL, 0 };
}
