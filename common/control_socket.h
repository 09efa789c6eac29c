/* SPDX-License-Identifier: ISC */
/*
 * control_socket: the control socket's place in the file system.
 */
#ifndef CONTROL_SOCKET_H
#define CONTROL_SOCKET_H

#include "conf.h"

/*
 * Its path (to be freed): control_socket, or run/NAME.sock in the spool, name
 * being the daemon's.  NULL: there is to be none.
 */
char *control_socket_path(const struct conf *c, const char *name);

/*
 * In the master: listen at path, for root (or whoever we run as) and group
 * (-1: no group).  What a master with our process number has left there is
 * replaced in one step, and so is what nobody listens at any more.  -1 with a
 * message.
 */
int control_socket_open(const char *path, gid_t group);
/* Take it away, if it is ours. */
void control_socket_remove(const char *path);

/* Connect to it: a descriptor, or -1 with errno. */
int control_socket_connect(const char *path);

#endif
