/* SPDX-License-Identifier: ISC */
/*
 * certs_impl: what certs.c (the pairs), certs_look.c (their files) and
 * certs_memfd.c (what roles are handed) know of each other.
 */
#ifndef CERTS_IMPL_H
#define CERTS_IMPL_H

#include <sys/stat.h>

#include "certs.h"

/* What tells one state of a file from another. */
struct cert_stamp {
	int error; /* of stat(2); 0: it is there */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtim, ctim;
};
struct cert_stamps {
	struct cert_stamp cert, key;
};

struct cert_pair {
	uint16_t number;
	bool heard, bad;
	char *why; /* NULL: it is fine */
	char *names, *chain;
	size_t chain_len;
	time_t not_before, not_after;
	bool offered; /* its parts are in s->offer, else in the keepers' */
	off_t off;    /* its parts there */
	size_t len;   /* octets of them */
	bool told_to_workers;
};

struct cert_source {
	char *name; /* in the folder; of the configuration's own NULL */
	char *cert, *key;
	bool required; /* at the start */
	struct cert_stamps seen, tried;
	bool was_tried;
	bool listed;         /* the folder has it */
	unsigned int absent; /* looks at which it had not */
	time_t retry_at;     /* it begins to be valid then; 0: never */
	struct cert_pair *pair, *fresh; /* in use; the keepers are asked */
};

struct cert_dropped {
	uint16_t number;
	time_t at;
};

struct certs {
	const struct conf *conf;
	struct cert_source *sources; /* those of the folder are last */
	size_t n, nfixed;
	size_t base; /* octets of the keepers' memfd before the pairs */
	int offer;   /* -1: none is made */
	char numbers[UINT16_MAX + 1]; /* those in use */
	struct cert_dropped *dropped;
	size_t ndropped;
	int dir_error; /* it was told; 0: it is fine */
	bool told_empty, told_many;
	bool serving; /* after the start */
	time_t warn_at;
};

struct cert_pair *cert_pair_new(struct certs *s);
void cert_pair_free(struct cert_pair **p);
/* Add the parts of a pair to fd.  -1 with errno; *path is whose fault it is. */
int certs_add_parts(int fd, const struct cert_source *src, struct cert_pair *p,
    const char **path);
void cert_stamp(const struct cert_source *src, struct cert_stamps *out);
/* Find the folder's pairs.  -1: reported, and all is as it was. */
int certs_list(struct certs *s);
struct cert_source *certs_add_source(
    struct certs *s, const char *name, const char *cert, const char *key);
/* Its key is to be dropped; frees it. */
void certs_let_go(struct certs *s, struct cert_pair **p, time_t now);

#endif
