/* SPDX-License-Identifier: ISC */
/*
 * spool: the folder that is the root of broker and authenticators, and within
 * it empty/, the root of workers and keepers, as Postfix has it.  Runs in the
 * master, as root.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include <time.h>

/*
 * Make what is missing, with the right owner and mode, and copy in what
 * resolving names takes (etc/resolv.conf, hosts, nsswitch.conf, services,
 * localtime), each by a new file and rename(2), only where it changed.
 * Several daemons may do so at once.  0, or -1 with a message logged.
 */
int spool_prepare(const char *path);

/*
 * The same files again, those that have changed since the last call with this
 * seen (at first all zero): a network that comes late brings its resolv.conf
 * along.  What cannot be copied is logged, and tried when it changes.
 */
#define SPOOL_FILES 5
struct spool_seen {
	struct timespec changed[SPOOL_FILES]; /* st_ctim; 0: it is not there */
};
void spool_follow(const char *path, struct spool_seen *seen);

#endif
