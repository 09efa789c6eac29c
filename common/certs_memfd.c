/* SPDX-License-Identifier: ISC */
/*
 * certs_memfd: what keepers and workers are handed of certificates.  Runs in
 * the master.  Keys go from file to memfd and from memfd to memfd inside the
 * kernel.
 */
#include <sys/sendfile.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs_impl.h"
#include "handover.h"
#include "xmalloc.h"

/* In the order in which the keeper reads them (keeper_pairs.c). */
int
certs_add_parts(int fd, const struct cert_source *src, struct cert_pair *p,
    const char **path)
{
	char *name = xasprintf("%s, %s", src->cert, src->key);
	const bool both = strcmp(src->cert, src->key) == 0;
	int result;

	p->off = lseek(fd, 0, SEEK_CUR);
	*path = src->cert;
	result = handover_add(
	    fd, HANDOVER_NAME, p->number, text_of(both ? src->cert : name));
	if (result == 0 && !src->required)
		result =
		    handover_add(fd, HANDOVER_EXTRA, p->number, TEXT_LIT(""));
	if (result == 0 && !both)
		result =
		    handover_add_file(fd, HANDOVER_CERT, p->number, src->cert);
	if (result == 0) {
		*path = src->key;
		result =
		    handover_add_file(fd, HANDOVER_KEY, p->number, src->key);
	}
	free(name);
	if (result == -1) { /* as if nothing had been begun */
		int save = errno;

		if (ftruncate(fd, p->off) == 0)
			(void)lseek(fd, p->off, SEEK_SET);
		errno = save;
		return -1;
	}
	p->len = (size_t)(lseek(fd, 0, SEEK_CUR) - p->off);
	return 0;
}

static int
copy(int to, int from, off_t off, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = sendfile(to, from, &off, len);
		if (n == -1)
			return -1;
		if (n == 0) {
			errno = EIO;
			return -1;
		}
		len -= (size_t)n;
	}
	return 0;
}

/* Seal it, or let it go where something failed. */
static int
finish(int fd, int result)
{
	int save = errno;

	if (result == 0 && handover_seal(fd) == 0)
		return fd;
	save = result == 0 ? errno : save;
	close(fd);
	errno = save;
	return -1;
}

int
certs_compose_keeper(struct certs *s, int old)
{
	struct cert_pair *p;
	off_t at;
	size_t i;
	int fd = handover_new("keeper"), result;

	if (fd == -1)
		return -1;
	result = copy(fd, old, 0, s->base);
	for (i = 0; i < s->n && result == 0; i++)
		if ((p = s->sources[i].pair) != NULL)
			result = copy(
			    fd, p->offered ? s->offer : old, p->off, p->len);
	if ((fd = finish(fd, result)) == -1)
		return -1;
	for (i = 0, at = (off_t)s->base; i < s->n; i++)
		if ((p = s->sources[i].pair) != NULL) {
			p->off = at;
			p->offered = false;
			at += (off_t)p->len;
		}
	return fd;
}

/* The folder's pairs are not meant without SNI, but the first is at a pinch. */
static int
add_order(const struct certs *s, int fd)
{
	uint16_t *order = xcalloc(s->n + 1, sizeof(*order));
	size_t i, n = 0, defaults = 0;
	int result;

	for (i = 0; i < s->n; i++)
		if (s->sources[i].pair != NULL) {
			order[n++] = htobe16(s->sources[i].pair->number);
			defaults += i < s->nfixed;
		}
	result = handover_add(fd, HANDOVER_ORDER, (uint16_t)defaults,
	    (struct text){ (const char *)order, n * sizeof(*order) });
	free(order);
	return result;
}

static int
add_certificates(struct certs *s, int fd, bool all)
{
	const struct cert_pair *p;
	size_t i;
	int result = add_order(s, fd);

	for (i = 0; i < s->n && result == 0; i++)
		if ((p = s->sources[i].pair) != NULL &&
		    (all || !p->told_to_workers))
			result = handover_add(fd, HANDOVER_CERT, p->number,
			    (struct text){ p->chain, p->chain_len });
	return result;
}

int
certs_compose_worker(struct certs *s, int old, size_t base)
{
	int fd = handover_new("worker"), result;

	if (fd == -1)
		return -1;
	result = copy(fd, old, 0, base);
	if (result == 0 && certs_count(s) > 0)
		result = add_certificates(s, fd, true);
	return finish(fd, result);
}

int
certs_compose_news(struct certs *s, uint32_t *len)
{
	int fd = handover_new("certificates");
	size_t i;

	if (fd == -1)
		return -1;
	if ((fd = finish(fd, add_certificates(s, fd, false))) == -1)
		return -1;
	*len = (uint32_t)lseek(fd, 0, SEEK_END);
	for (i = 0; i < s->n; i++)
		if (s->sources[i].pair != NULL)
			s->sources[i].pair->told_to_workers = true;
	return fd;
}

int
certs_offer(struct certs *s, uint32_t *len)
{
	struct cert_source *src;
	size_t i;
	int result = 0;

	for (i = 0; i < s->n; i++) {
		src = &s->sources[i];
		if (src->fresh != NULL)
			break;
	}
	if (i == s->n || s->offer == -1)
		return -1;
	result = handover_add(s->offer, HANDOVER_STRICT, 0, TEXT_LIT(""));
	if (result == -1 || handover_seal(s->offer) == -1) {
		certs_forget_offer(s);
		return -1;
	}
	*len = (uint32_t)lseek(s->offer, 0, SEEK_END);
	return s->offer;
}
