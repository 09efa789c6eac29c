/* SPDX-License-Identifier: ISC */
/*
 * hostname: what this host is called.  It asks the resolver where it must,
 * which may take long: for the master, before it serves.
 */
#ifndef HOSTNAME_H
#define HOSTNAME_H

/*
 * The system's name, or, when that has no domain, the one that DNS or hosts
 * have for it.  To be freed.  NULL: none has a domain, which was logged.
 */
char *hostname_full(void);

#endif
