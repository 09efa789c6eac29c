/* SPDX-License-Identifier: ISC */
/*
 * inherit: the sockets that whoever started us has opened: systemd's
 * (LISTEN_FDS, sd_listen_fds(3)), or inetd's on descriptor 0.  Runs in the
 * master, before it reads anything.  Where a socket is a client's and where it
 * is a listener, the kernel is asked.
 */
#ifndef INHERIT_H
#define INHERIT_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"

#define INHERIT_MAX 64 /* sockets */

enum inherit_kind {
	INHERIT_NONE,
	INHERIT_LISTENERS, /* one or more; inetd's "wait" */
	INHERIT_CLIENT     /* one, connected: inetd's "nowait", Accept=yes */
};

struct inherited {
	enum inherit_kind kind;
	bool mute; /* stderr was the client: words go to the log alone */
	size_t n;
	struct inherited_socket {
		int fd;
		char name[64]; /* FileDescriptorName=; "": none was given */
		struct addr local;
	} sockets[INHERIT_MAX];
};

/*
 * Find them.  All become close-on-exec and non-blocking.  A TCP socket on
 * descriptor 0 is moved out of the way, and descriptors 0 to 2, where they are
 * one of those found, become /dev/null: nothing that is printed reaches a
 * client.  0, or -1 with a message logged for each that is of no use.
 */
int inherit_find(struct inherited *in);

/*
 * The environment for a process that is none of the service manager's
 * concern, without the variables by which it speaks to us: an array to be
 * freed, of strings that stay where they are.
 */
char **inherit_environment(void);

#endif
