/* SPDX-License-Identifier: ISC */
/*
 * broker_socket: the sockets of admitted clients.  Runs in the broker; the
 * descriptors come from workers, and what they are the kernel says.
 */
#include <sys/socket.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stdlib.h>

#include "addr.h"
#include "broker_socket.h"
#include "conf.h"
#include "xmalloc.h"

#define CONNECTS_MAX 64 /* of a session in a second, and all servers */

struct socket {
	RB_ENTRY(socket) by_cookie, by_id;
	uint64_t cookie; /* SO_COOKIE: never the same twice */
	uint32_t worker, session;
	time_t second; /* in which it had that many connections */
	size_t connects;
};

RB_HEAD(socket_cookies, socket);
RB_HEAD(socket_ids, socket);

struct sockets {
	const struct conf *conf;
	struct socket_cookies cookies;
	struct socket_ids ids;
};

static int
compare_cookie(struct socket *a, struct socket *b)
{
	return (a->cookie > b->cookie) - (a->cookie < b->cookie);
}

/* By worker first, so that a worker's sockets are neighbours. */
static int
compare_id(struct socket *a, struct socket *b)
{
	if (a->worker != b->worker)
		return a->worker < b->worker ? -1 : 1;
	return (a->session > b->session) - (a->session < b->session);
}

RB_PROTOTYPE(socket_cookies, socket, by_cookie, compare_cookie)
RB_PROTOTYPE(socket_ids, socket, by_id, compare_id)
RB_GENERATE(socket_cookies, socket, by_cookie, compare_cookie)
RB_GENERATE(socket_ids, socket, by_id, compare_id)

struct sockets *
sockets_new(const struct conf *c)
{
	struct sockets *s = xcalloc(1, sizeof(*s));

	s->conf = c;
	RB_INIT(&s->cookies);
	RB_INIT(&s->ids);
	return s;
}

static void
drop(struct sockets *s, struct socket *one)
{
	RB_REMOVE(socket_cookies, &s->cookies, one);
	RB_REMOVE(socket_ids, &s->ids, one);
	free(one);
}

void
sockets_free(struct sockets **s)
{
	struct socket *one;

	if (*s == NULL)
		return;
	while ((one = RB_ROOT(&(*s)->ids)) != NULL)
		drop(*s, one);
	free(*s);
	*s = NULL;
}

static bool
is_stream(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_STREAM;
}

/*
 * A worker has two kinds of connections: those that it accepted and those to
 * inner servers, which we have made ourselves, from any port to the servers'.
 */
static bool
is_inner(const struct sockets *s, int fd, const struct addr *local)
{
	struct addr peer;
	bool to_server = false;
	size_t i;

	if (addr_peer(fd, &peer) == -1)
		return false;
	for (i = 0; i < s->conf->nservers; i++)
		if (s->conf->servers[i].port == addr_port(&peer))
			to_server = true;
	for (i = 0; to_server && i < s->conf->nlisten; i++)
		if (addr_port(&s->conf->listen[i].addr) == addr_port(local))
			return false;
	return to_server;
}

int
sockets_add(struct sockets *s, int fd, uint32_t worker, uint32_t session)
{
	struct socket key, *one;
	socklen_t len = sizeof(key.cookie);
	struct addr local;

	if (!is_stream(fd) || addr_local(fd, &local) == -1 ||
	    is_inner(s, fd, &local) ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &key.cookie, &len) == -1)
		return -1;
	if (RB_FIND(socket_cookies, &s->cookies, &key) != NULL)
		return -1;
	sockets_remove(s, worker, session);
	one = xcalloc(1, sizeof(*one));
	one->cookie = key.cookie;
	one->worker = worker;
	one->session = session;
	RB_INSERT(socket_cookies, &s->cookies, one);
	RB_INSERT(socket_ids, &s->ids, one);
	return 0;
}

void
sockets_remove(struct sockets *s, uint32_t worker, uint32_t session)
{
	struct socket key = { .worker = worker, .session = session };
	struct socket *one = RB_FIND(socket_ids, &s->ids, &key);

	if (one != NULL)
		drop(s, one);
}

bool
sockets_may_connect(
    struct sockets *s, uint32_t worker, uint32_t session, time_t now)
{
	struct socket key = { .worker = worker, .session = session };
	struct socket *one = RB_FIND(socket_ids, &s->ids, &key);

	if (one == NULL) /* the broker before us has admitted it */
		return true;
	if (one->second != now) {
		one->second = now;
		one->connects = 0;
	}
	return ++one->connects <= CONNECTS_MAX + s->conf->nservers;
}

void
sockets_forget(struct sockets *s, uint32_t worker)
{
	struct socket key = { .worker = worker };
	struct socket *one, *next;

	one = RB_NFIND(socket_ids, &s->ids, &key);
	for (; one != NULL && one->worker == worker; one = next) {
		next = RB_NEXT(socket_ids, &s->ids, one);
		drop(s, one);
	}
}
