/* SPDX-License-Identifier: ISC */
/*
 * child: starts a role by fork and exec of the running image, and says how
 * long one that keeps dying is to wait.  Runs in the master.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "msg.h"

/*
 * Start role as place number.  fds become the descriptors from 3 on, in this
 * order (role.h); they stay the caller's.  Returns the pid, or -1 with errno.
 */
pid_t child_spawn(const char *daemon, enum role role, unsigned int number,
    uint32_t serial, const int *fds, size_t nfds);

/*
 * Milliseconds until a child is to be started again that has died failures
 * times in a row, each soon after its start: 0 at first, then growing.
 */
unsigned int child_backoff_ms(unsigned int failures);
#define CHILD_SETTLED 10 /* seconds of life after which it does not count */

/* "exited with 1", "killed by signal 9"; dst of size octets.  Returns dst. */
char *child_fate(int status, char *dst, size_t size);

#endif
