/* SPDX-License-Identifier: ISC */
/*
 * spool_copy: a secret file of the system that is kept as a copy in the
 * spool's etc, for as long as the master lives: users' passwords (sasldb2),
 * and who may send as whom.  Runs in the master, into whose memory no octet of
 * a copy comes.
 */
#ifndef SPOOL_COPY_H
#define SPOOL_COPY_H

#include <sys/types.h>

struct spool_copy;

/* from becomes etc/name in spool, root's, to be read by group and no other. */
struct spool_copy *spool_copy_new(
    const char *spool, const char *name, const char *from, gid_t group);
void spool_copy_free(struct spool_copy **c);

/*
 * Look whether from has changed, and copy it then, by a new file and
 * rename(2).  When it is gone, so is the copy.  0, or -1 with a message
 * logged, and the copy is as it was.
 */
int spool_copy_look(struct spool_copy *c);

#endif
