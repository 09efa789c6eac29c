/* SPDX-License-Identifier: ISC */
/*
 * listen: listening descriptors.  Our own for now; those of the service
 * manager and of inetd will come in here, and nowhere else.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <stddef.h>

#include "conf.h"

/*
 * Bind every listener of c; fds[i] belongs to c->listen[i], close-on-exec.
 * A wildcard IPv6 listener on a host without IPv6 is taken out of c.  -1 with
 * a message logged for each that could not be had.
 */
int listen_open(struct conf *c, int **fds);

#endif
