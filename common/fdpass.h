/* SPDX-License-Identifier: ISC */
/*
 * fdpass: one message, with at most one descriptor, over a SOCK_SEQPACKET
 * socket: the only door to SCM_RIGHTS (unix(7)).
 */
#ifndef FDPASS_H
#define FDPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Send data, and fd beside it (-1: none; it stays the caller's).  Never
 * blocks, never raises SIGPIPE.  0, or -1 with errno (EAGAIN: no room now).
 */
int fdpass_send(int sock, const void *data, size_t len, int fd);

/*
 * Receive one message of at most size octets; wait for it, if so wanted, as
 * long as the socket's own flags and SO_RCVTIMEO have it.  *fd is the
 * descriptor that came along, close-on-exec and the caller's from now on, or
 * -1.  Returns its length, 0 at the end of the channel, or -1 with errno:
 * EAGAIN, or EBADMSG when it was empty, longer than size, or carried more than
 * one descriptor (those that came are closed).  *fd is FDPASS_LOST where one
 * came, and this process may have no more: close(2) refuses it.
 */
#define FDPASS_LOST (-2)
ssize_t fdpass_recv(int sock, void *data, size_t size, bool wait, int *fd);

#endif
