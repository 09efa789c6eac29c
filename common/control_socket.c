/* SPDX-License-Identifier: ISC */
/*
 * control_socket: the control socket's place in the file system.  Runs in the
 * master, in a folder that nobody else can write in, and in whoever asks.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"
#include "log.h"
#include "priv.h"
#include "xmalloc.h"

#define BACKLOG 64

char *
control_socket_path(const struct conf *c, const char *name)
{
	if (c->one_client)
		return NULL; /* a process for one client needs none */
	if (c->control_socket == NULL)
		return xasprintf("%s/run/%s.sock", c->spool_directory, name);
	return *c->control_socket == '\0' ? NULL : xstrdup(c->control_socket);
}

/* -1 with ENAMETOOLONG. */
static int
address_of(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (strlcpy(un->sun_path, path, sizeof(un->sun_path)) >=
	    sizeof(un->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int
control_socket_connect(const char *path)
{
	struct sockaddr_un un;
	int fd, save;

	if (address_of(path, &un) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	save = errno;
	close(fd);
	errno = save;
	return -1;
}

/*
 * Is it another daemon's?  A reload executes another program in the same
 * process, so what that has left is ours.
 */
static bool
is_anothers(const char *path)
{
	int fd = control_socket_connect(path);
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	if (fd == -1) /* EAGAIN: it has more clients than it takes */
		return errno != ECONNREFUSED && errno != ENOENT;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	close(fd);
	return peer.pid != getpid();
}

/* Nobody can connect before it listens, and only then it is in its place. */
static int
listen_at(const char *fresh, gid_t group)
{
	struct sockaddr_un un;
	mode_t mask;
	int fd, r, save;

	if (address_of(fresh, &un) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	(void)unlink(fresh);
	mask = umask(group == (gid_t)-1 ? 0177 : 0117);
	r = bind(fd, (const struct sockaddr *)&un, sizeof(un));
	(void)umask(mask);
	if (r == -1 ||
	    (group != (gid_t)-1 && lchown(fresh, (uid_t)-1, group) == -1) ||
	    listen(fd, BACKLOG) == -1) {
		save = errno;
		(void)unlink(fresh);
		close(fd);
		errno = save;
		return -1;
	}
	return fd;
}

/* What is no socket was not left by a daemon. */
static bool
is_foreign(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode);
}

int
control_socket_open(const char *path, gid_t group)
{
	/* Who is not root may have no spool, and can do without. */
	const int level = priv_am_root() ? LOG_WARNING : LOG_INFO;
	char *fresh;
	int fd, save;

	if (is_foreign(path)) {
		log_at(level,
		    "control_socket %s: there is a file that is no "
		    "socket; there is none",
		    path);
		return -1;
	}
	if (is_anothers(path)) {
		log_at(level,
		    "control_socket %s: another daemon has it; this one has "
		    "none",
		    path);
		return -1;
	}
	fresh = xasprintf("%s.new", path);
	fd = listen_at(fresh, group);
	if (fd != -1 && rename(fresh, path) == -1) {
		save = errno;
		(void)unlink(fresh);
		close(fd);
		errno = save;
		fd = -1;
	}
	if (fd == -1)
		log_at(level, "control_socket %s: %s; there is none", path,
		    strerror(errno));
	free(fresh);
	return fd;
}

void
control_socket_remove(const char *path)
{
	if (!is_foreign(path) && !is_anothers(path))
		(void)unlink(path);
}
