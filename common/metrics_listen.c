/* SPDX-License-Identifier: ISC */
/*
 * metrics_listen: an address of the loopback interface, or a UNIX socket with
 * a name.  Runs in the master.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "metrics_listen.h"
#include "priv.h"
#include "reload_state.h"

#define BACKLOG 16
#define SOCKET_MODE 0660

static int
open_inet(const struct addr *a)
{
	const int on = 1;
	int save,
	    fd = socket(
	        a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, &a->sa, addr_len(a)) == 0)
		return fd;
	save = errno;
	close(fd);
	errno = save;
	return -1;
}

/* Of a socket that nobody listens on only the name is left. */
static void
remove_stale(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd == -1)
		return;
	if (lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)un, sizeof(*un)) == -1 &&
	    errno == ECONNREFUSED)
		(void)unlink(un->sun_path);
	close(fd);
}

/* -1 with a message: the group has no number. */
static int
find_group(const struct conf *c, gid_t *gid)
{
	*gid = (gid_t)-1;
	if (c->metrics_group == NULL ||
	    priv_lookup_group(c->metrics_group, gid) == 0)
		return 0;
	log_warnx("metrics_group: there is no group %s", c->metrics_group);
	errno = EINVAL;
	return -1;
}

static int
open_unix(const struct conf *c)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	mode_t before;
	gid_t gid;
	int fd, save, bound;

	if (find_group(c, &gid) == -1)
		return -1;
	(void)strlcpy(un.sun_path, c->metrics_path, sizeof(un.sun_path));
	remove_stale(&un);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	before = umask(0777 & ~SOCKET_MODE);
	bound = bind(fd, (struct sockaddr *)&un, sizeof(un));
	save = errno;
	(void)umask(before);
	errno = save;
	if (bound == 0 && lchown(un.sun_path, (uid_t)-1, gid) == 0)
		return fd;
	save = errno;
	if (bound == 0)
		(void)unlink(un.sun_path);
	close(fd);
	errno = save;
	return -1;
}

/* The same socket goes on. */
static bool
is_open(const struct conf *c, const struct reload_state *before)
{
	return before != NULL && before->metrics_listen != NULL &&
	    before->metrics_fd != -1 &&
	    strcmp(before->metrics_listen, c->metrics_listen) == 0;
}

static int
bind_it(const struct conf *c)
{
	int fd = c->metrics_path != NULL ? open_unix(c)
	                                 : open_inet(&c->metrics_addr);

	if (fd == -1)
		log_warn(
		    "metrics_listen: cannot listen on %s", c->metrics_listen);
	return fd;
}

int
metrics_listen_open(const struct conf *c, const struct reload_state *before)
{
	int fd;

	if (is_open(c, before))
		return before->metrics_fd;
	fd = bind_it(c);
	if (fd == -1 || listen(fd, BACKLOG) == 0)
		return fd;
	log_warn("metrics_listen: cannot listen on %s", c->metrics_listen);
	close(fd);
	return -1;
}

int
metrics_listen_try(const struct conf *c, const struct reload_state *before)
{
	int fd;

	if (c->metrics_listen == NULL || is_open(c, before))
		return 0;
	fd = bind_it(c);
	if (fd == -1)
		return -1;
	close(fd);
	metrics_listen_remove(c->metrics_path);
	return 0;
}

void
metrics_listen_remove(const char *path)
{
	if (path != NULL)
		(void)unlink(path);
}
