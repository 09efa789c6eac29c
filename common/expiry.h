/* SPDX-License-Identifier: ISC */
/*
 * expiry: which certificates are in use, and until when each is good: the list
 * that the master hands to those who tell it, metrics and control.
 */
#ifndef EXPIRY_H
#define EXPIRY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct certs;

struct expiry {
	const char *file;  /* of the certificate */
	const char *names; /* in it, printable, parted by blanks */
	time_t not_after;
};
struct expiry_list {
	struct expiry *all; /* those that end first are first */
	size_t n;           /* CERT_DIR_MAX and the configuration's own */
};

/*
 * In the master: a sealed memfd (the caller's) for MSG_EXPIRIES, and its
 * length; -1 with errno.
 */
int expiry_compose(const struct certs *s, uint32_t *len);

/*
 * In the role: such a list in the place of the one in l, {0} at first.  -1
 * with errno: l is as it was; fd stays the caller's.
 */
int expiry_read(struct expiry_list *l, int fd, size_t len);
void expiry_free(struct expiry_list *l); /* what is in it */

#endif
