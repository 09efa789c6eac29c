/* SPDX-License-Identifier: ISC */
/*
 * spool: the folder that is the root of broker and authenticators, and within
 * it empty/, the root of workers and keepers, as Postfix has it.  Runs in the
 * master, as root.
 */
#ifndef SPOOL_H
#define SPOOL_H

/*
 * Make what is missing, with the right owner and mode, and copy in what
 * resolving names takes (etc/resolv.conf, hosts, nsswitch.conf, services,
 * localtime), each by a new file and rename(2), only where it changed.
 * Several daemons may do so at once.  0, or -1 with a message logged.
 */
int spool_prepare(const char *path);

#endif
