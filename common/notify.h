/* SPDX-License-Identifier: ISC */
/*
 * notify: what the service manager wants to hear, as datagrams to the socket
 * that it names in NOTIFY_SOCKET (sd_notify(3), which is stable and meant to
 * be written by hand).  Runs in the master.
 *
 * Without such a socket every call does nothing.  Nothing here blocks or
 * fails: a word that does not get through is a line in the log.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include <stdint.h>

struct notify {
	struct sockaddr_un to;
	socklen_t len;        /* 0: nobody wants to hear */
	uint64_t watchdog_us; /* it wants to at least so often; 0: not */
};

/*
 * From the environment, which stays as it is: the image that replaces this
 * one by exec, in the same process, is to read it again.
 */
void notify_open(struct notify *n);

/* status: a word for those who ask how it is, "serving". */
void notify_ready(const struct notify *n, const char *status);
/* From here until notify_ready(): with the time, as sd_notify(3) asks. */
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);
void notify_alive(const struct notify *n); /* the watchdog */

#endif
