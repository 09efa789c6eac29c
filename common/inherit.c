/* SPDX-License-Identifier: ISC */
/*
 * inherit: the sockets that whoever started us has opened.  Runs in the
 * master, first of all.  The environment is trusted as the command line is;
 * what a descriptor is, the kernel says.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inherit.h"
#include "log.h"
#include "text.h"
#include "xmalloc.h"

#define FIRST 3 /* SD_LISTEN_FDS_START of sd-daemon.h */

enum { LISTENS, CONNECTED, USELESS };

/* What fd is, and its own address. */
static int
ask(int fd, struct addr *local)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int listens, type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1 ||
	    type != SOCK_STREAM || addr_local(fd, local) == -1)
		return USELESS; /* none, or not of the Internet */
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1)
		return USELESS;
	if (listens)
		return LISTENS;
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 ||
	    errno == ENOTCONN) /* it was, and has left already */
		return CONNECTED;
	return USELESS;
}

static void
prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		log_warn("descriptor %d", fd);
}

/* Descriptors that are the client: what is printed must not go there. */
static void
cover(struct inherited *in, int socket)
{
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat st, own;

	if (null == -1 || fstat(socket, &own) == -1)
		fatal("/dev/null");
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fstat(fd, &st) == -1 || st.st_ino != own.st_ino ||
		    st.st_dev != own.st_dev)
			continue;
		if (dup2(null, fd) == -1)
			fatal("/dev/null");
		if (fd == STDERR_FILENO)
			in->mute = true;
	}
	if (null > STDERR_FILENO)
		close(null);
}

/* Names are parted by colons, one for each descriptor, in their order. */
static void
take_name(struct text *names, struct inherited_socket *s)
{
	struct text name;

	s->name[0] = '\0';
	if (names->p != NULL && text_split(names, ':', &name))
		(void)text_printable(name, s->name, sizeof(s->name));
}

/* From the service manager: all of them listen, or there is one client. */
static int
find_managed(struct inherited *in, size_t n)
{
	struct text names = text_of(getenv("LISTEN_FDNAMES"));
	struct inherited_socket *s;
	size_t i;
	int what, result = 0;

	for (i = 0; i < n; i++) {
		s = &in->sockets[i];
		s->fd = FIRST + (int)i;
		take_name(&names, s);
		what = ask(s->fd, &s->local);
		if (what == USELESS || (what == CONNECTED && n > 1)) {
			log_warnx("descriptor %d (\"%s\") of the service "
			          "manager is no listening TCP socket",
			    s->fd, s->name);
			result = -1;
			continue;
		}
		prepare(s->fd);
		cover(in, s->fd);
		in->kind = what == LISTENS ? INHERIT_LISTENERS : INHERIT_CLIENT;
	}
	in->n = n;
	return result;
}

/* From inetd, tcpd, or a unit with StandardInput=socket. */
static int
find_standard(struct inherited *in)
{
	struct inherited_socket *s = &in->sockets[0];
	int what = ask(STDIN_FILENO, &s->local);

	if (what == USELESS)
		return 0;
	s->name[0] = '\0';
	s->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FIRST);
	if (s->fd == -1) {
		log_warn("descriptor 0");
		return -1;
	}
	prepare(s->fd);
	cover(in, s->fd);
	in->kind = what == LISTENS ? INHERIT_LISTENERS : INHERIT_CLIENT;
	in->n = 1;
	return 0;
}

/* Are LISTEN_FDS meant for us?  They outlive an exec, and a fork. */
static size_t
managed(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n;

	if (pid == NULL || fds == NULL ||
	    !text_u64(text_of(pid), INT32_MAX, &n) || (pid_t)n != getpid() ||
	    !text_u64(text_of(fds), INT32_MAX, &n))
		return 0;
	return (size_t)n;
}

int
inherit_find(struct inherited *in)
{
	size_t n = managed();

	in->kind = INHERIT_NONE;
	in->mute = false;
	in->n = 0;
	if (n > INHERIT_MAX) {
		log_warnx("LISTEN_FDS: %zu sockets, and %d are the most", n,
		    INHERIT_MAX);
		return -1;
	}
	if (n == 0)
		return find_standard(in);
	return find_managed(in, n);
}

/* Is it one of the variables of sd_notify(3), sd_listen_fds(3) ...? */
static bool
is_managers(const char *variable)
{
	static const char *const names[] = { "LISTEN_FDS=", "LISTEN_PID=",
		"LISTEN_FDNAMES=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=",
		"WATCHDOG_PID=" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

char **
inherit_environment(void)
{
	size_t i, n = 0;
	char **out;

	for (i = 0; environ != NULL && environ[i] != NULL; i++)
		continue;
	out = xcalloc(i + 1, sizeof(*out));
	while (i-- > 0)
		if (!is_managers(environ[i]))
			out[n++] = environ[i];
	return out;
}
