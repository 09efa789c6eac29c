/* SPDX-License-Identifier: ISC */
/*
 * listen: listening descriptors.  Runs in the master.  One socket an address,
 * shared by all workers and held across their deaths: a connection waits in
 * its queue whichever worker is dying.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inherit.h"
#include "listen.h"
#include "log.h"
#include "reload_state.h"
#include "stream.h"
#include "xmalloc.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* linux/in6.h; glibc has no name for it */
#endif

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* Until the address is there nobody can come by it, and then all can. */
static int
bind_early(int fd, const struct conf_listen *l)
{
	const int on = 1;
	char name[ADDR_STRLEN];
	bool six = l->addr.sa.sa_family == AF_INET6;

	if (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
	        six ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on)) == -1 ||
	    bind(fd, &l->addr.sa, addr_len(&l->addr)) == -1)
		return -1;
	log_warnx("%s is no address of this host (yet): it is listened on all "
	          "the same",
	    addr_print(&l->addr, name));
	return 0;
}

static int
bind_to(int fd, const struct conf_listen *l)
{
	if (bind(fd, &l->addr.sa, addr_len(&l->addr)) == 0)
		return 0;
	if (errno != EADDRNOTAVAIL || addr_is_any(&l->addr))
		return -1;
	return bind_early(fd, l);
}

/* listens: not only bound, for a try. */
static int
open_one(const struct conf_listen *l, bool listens)
{
	const int on = 1;
	int fd, save;

	fd = socket(l->addr.sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* IPv4 has a listener of its own. */
	if (l->addr.sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1)
		goto fail;
	stream_tune(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind_to(fd, l) == -1 || (listens && listen(fd, BACKLOG) == -1))
		goto fail;
	return fd;
fail:
	save = errno;
	close(fd);
	errno = save;
	return -1;
}

/* No IPv6 on this host: "all addresses" then means those of IPv4. */
static bool
is_dispensable(const struct conf_listen *l, int error)
{
	return l->addr.sa.sa_family == AF_INET6 && addr_is_any(&l->addr) &&
	    (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

/* -1: it is not among them. */
static int
find(const struct reload_state *before, const struct addr *a)
{
	size_t i;

	for (i = 0; before != NULL && i < before->nlisteners; i++)
		if (addr_eq(&before->listeners[i].addr, a))
			return before->listeners[i].fd;
	return -1;
}

int
listen_try(const struct conf *c, const struct reload_state *before)
{
	char name[ADDR_STRLEN];
	int fd, result = 0;
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		if (find(before, &c->listen[i].addr) != -1)
			continue;
		fd = open_one(&c->listen[i], false);
		if (fd != -1) {
			close(fd);
		} else if (!is_dispensable(&c->listen[i], errno)) {
			log_warn("cannot listen on %s",
			    addr_print(&c->listen[i].addr, name));
			result = -1;
		}
	}
	return result;
}

int
listen_open(struct conf *c, int **fds, const struct reload_state *before)
{
	char name[ADDR_STRLEN];
	size_t i, n = 0;
	int fd, result = 0;

	*fds = xcalloc(c->nlisten, sizeof(**fds));
	for (i = 0; i < c->nlisten; i++) {
		fd = find(before, &c->listen[i].addr);
		if (fd == -1)
			fd = open_one(&c->listen[i], true);
		if (fd == -1 && is_dispensable(&c->listen[i], errno))
			continue;
		if (fd == -1) {
			log_warn("cannot listen on %s",
			    addr_print(&c->listen[i].addr, name));
			result = -1;
		}
		if (fd != -1)
			stream_set_patience(fd, c->acknowledge_timeout);
		c->listen[n] = c->listen[i];
		(*fds)[n++] = fd;
	}
	c->nlisten = n;
	return result;
}

int *
listen_inherited(const struct conf *c, const struct inherited *in)
{
	int *fds = xcalloc(in->n, sizeof(*fds));
	size_t i;

	for (i = 0; i < in->n; i++) {
		fds[i] = in->sockets[i].fd;
		stream_tune(fds[i]);
		stream_set_patience(fds[i], c->acknowledge_timeout);
	}
	return fds;
}
