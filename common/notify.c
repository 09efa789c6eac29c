/* SPDX-License-Identifier: ISC */
/*
 * notify: words to the service manager.  Runs in the master, and trusts the
 * environment that it was started with.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"
#include "text.h"

/* A path, or "@" and a name of the abstract kind. */
static void
read_socket(struct notify *n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	len = strlen(path);
	if (len < 2 || len >= sizeof(n->to.sun_path)) {
		log_warnx("NOTIFY_SOCKET: no path of a socket is so long");
		return;
	}
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, path, len);
	n->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		n->to.sun_path[0] = '\0';
	else
		n->len++; /* the NUL behind it */
}

static void
read_watchdog(struct notify *n)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid;
	uint64_t v;

	pid = getenv("WATCHDOG_PID");
	if (usec == NULL || !text_u64(text_of(usec), INT64_MAX, &v))
		return;
	n->watchdog_us = v;
	if (pid != NULL &&
	    (!text_u64(text_of(pid), INT32_MAX, &v) || (pid_t)v != getpid()))
		n->watchdog_us = 0; /* another process's */
}

void
notify_open(struct notify *n)
{
	*n = (struct notify){ 0 };
	read_socket(n);
	if (n->len != 0)
		read_watchdog(n);
}

/* A socket for each word: they are few, and nothing is to be kept open. */
static void
tell(const struct notify *n, const char *words)
{
	int fd;

	if (n == NULL || n->len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    sendto(fd, words, strlen(words), MSG_NOSIGNAL,
	        (const struct sockaddr *)&n->to, n->len) == -1)
		log_warn("the service manager did not hear \"%.*s\"",
		    (int)strcspn(words, "\n"), words);
	if (fd != -1)
		close(fd);
}

void
notify_ready(const struct notify *n, const char *status)
{
	char words[96];

	(void)snprintf(words, sizeof(words), "READY=1\nSTATUS=%s\n", status);
	tell(n, words);
}

void
notify_reloading(const struct notify *n)
{
	struct timespec now;
	char words[96];

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(words, sizeof(words),
	    "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading\n",
	    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	tell(n, words);
}

void
notify_stopping(const struct notify *n)
{
	tell(n, "STOPPING=1\nSTATUS=stopping\n");
}

void
notify_alive(const struct notify *n)
{
	tell(n, "WATCHDOG=1\n");
}
