/* SPDX-License-Identifier: ISC */
/*
 * listen: listening descriptors: our own, or those that the service manager
 * or inetd gave us (inherit).
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <stddef.h>

#include "conf.h"

struct inherited;

/*
 * Bind every listener of c; fds[i] belongs to c->listen[i], close-on-exec.
 * A wildcard IPv6 listener on a host without IPv6 is taken out of c.  An
 * address that this host does not have (yet: the network may come late) is
 * bound all the same, with a warning, and serves once it is there.  -1 with a
 * message logged for each that could not be had.
 */
int listen_open(struct conf *c, int **fds);

/* The sockets that were inherited, which c->listen is about already. */
int *listen_inherited(const struct inherited *in);

#endif
