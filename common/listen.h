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
struct reload_state;

/*
 * Bind every listener of c; fds[i] belongs to c->listen[i], close-on-exec.
 * A wildcard IPv6 listener on a host without IPv6 is taken out of c.  An
 * address that this host does not have (yet: the network may come late) is
 * bound all the same, with a warning, and serves once it is there.  What
 * before has open already (NULL: nothing) is taken from there, the very same
 * socket.  -1 with a message logged for each that could not be had.
 */
int listen_open(struct conf *c, int **fds, const struct reload_state *before);

/*
 * Could that be had, before not NULL?  Only those that before has not are
 * tried, and let go again.  -1 with messages.
 */
int listen_try(const struct conf *c, const struct reload_state *before);

/* The sockets that were inherited, which c->listen is about already. */
int *listen_inherited(const struct conf *c, const struct inherited *in);

#endif
