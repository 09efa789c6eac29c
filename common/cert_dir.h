/* SPDX-License-Identifier: ISC */
/*
 * cert_dir: what of a folder of certificates (ssl_cert_dir) are pairs, by the
 * names that certbot, lego, acme.sh, dehydrated and administrators give.
 */
#ifndef CERT_DIR_H
#define CERT_DIR_H

#include <stddef.h>

#define CERT_DIR_MAX 4000 /* pairs; reports of all fit into one channel */

/*
 * One pair: paths of its files, which are one and the same where a file is to
 * have both in it.  One of them may not be there: half a pair is a fault that
 * is worth a word.
 */
struct cert_entry {
	char *name; /* in the folder; a folder's ends with a slash */
	char *cert, *key;
};

struct cert_dir {
	struct cert_entry *entries; /* by name, in the order of strcmp(3) */
	size_t n;
	size_t left_out; /* more than CERT_DIR_MAX */
};

/* 0, or -1 with errno; *d is to be freed. */
int cert_dir_read(const char *path, struct cert_dir *d);
void cert_dir_free(struct cert_dir *d);

#endif
