/* SPDX-License-Identifier: ISC */
/*
 * broker_connect: inner servers and their sockets.  Runs in the broker, which
 * alone may open an Internet socket.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "broker_connect.h"
#include "broker_dns.h"
#include "clock.h"
#include "log.h"
#include "stats.h"
#include "xmalloc.h"

#define CONNECT_SECONDS 5 /* for each address: a SYN and two repeats */
#define ALONE_MAX 60      /* seconds a dead server is left alone at most */
#define RECENT 1024       /* local ends that are remembered, by port */
#define RECENT_SECONDS 30 /* a loop shows at once */

struct upstream {
	const struct conf_server *conf;
	unsigned int failures; /* in a row */
	time_t failed, alone_until;
};

struct upstreams {
	struct event_base *base;
	struct dns *dns;
	struct upstream *servers;
	size_t n;
	bool in_order; /* turn stays 0 */
	size_t turn;
	struct {
		struct addr local, remote;
		time_t when;
	} recent[RECENT];
};

struct attempt {
	struct upstreams *u;
	uint64_t tried;
	upstream_done *done;
	void *arg;
	size_t server;
	struct dns_query *query;
	struct addr addrs[DNS_ADDRS_MAX];
	size_t naddrs, at; /* at: the next one to try */
	int fd;
	uint32_t since_us; /* of this connect(2) */
	struct event connected, start;
};

static void next_address(struct attempt *a);
static void next_server(struct attempt *a);
static void on_start(int fd, short what, void *arg);

struct upstreams *
upstreams_new(struct event_base *base, const struct conf *c, struct dns *dns)
{
	struct upstreams *u = xcalloc(1, sizeof(*u));
	size_t i;

	u->base = base;
	u->dns = dns;
	u->n = c->nservers;
	u->servers = xcalloc(u->n, sizeof(*u->servers));
	for (i = 0; i < u->n; i++)
		u->servers[i].conf = &c->servers[i];
	for (i = 0; i < u->n; i++)
		STATS_SET(server_up[i], 1); /* nobody has said otherwise */
	u->in_order = c->outgoing_in_order;
	if (!u->in_order)
		/* Several gateways should not all begin with the first. */
		u->turn = arc4random_uniform((uint32_t)u->n);
	return u;
}

void
upstreams_free(struct upstreams **up)
{
	if (*up == NULL)
		return;
	free((*up)->servers);
	free(*up);
	*up = NULL;
}

void
upstreams_report(struct upstreams *u, uint16_t server, bool good)
{
	struct upstream *s;
	unsigned int alone;

	if (server >= u->n)
		return;
	s = &u->servers[server];
	STATS_SET(server_up[server], good);
	if (good) {
		if (s->failures > 0)
			log_info("inner server %s:%u serves again",
			    s->conf->name, s->conf->port);
		s->failures = 0;
		s->alone_until = 0;
		return;
	}
	alone = s->failures < 6 ? 1U << s->failures : ALONE_MAX;
	if (alone > ALONE_MAX)
		alone = ALONE_MAX;
	if (s->failures++ == 0)
		log_warnx("inner server %s:%u does not serve", s->conf->name,
		    s->conf->port);
	s->failed = clock_seconds();
	s->alone_until = s->failed + alone;
}

void
upstreams_tell(const struct upstreams *u, struct msg_servers_reply *m)
{
	time_t now = clock_seconds();
	const struct upstream *s;
	size_t i;

	m->n = (uint8_t)u->n;
	for (i = 0; i < u->n; i++) {
		s = &u->servers[i];
		m->servers[i].failures = s->failures;
		m->servers[i].alone =
		    s->alone_until > now ? (uint32_t)(s->alone_until - now) : 0;
	}
}

/* Whose turn it is; n when there is none left. */
static size_t
choose(struct upstreams *u, uint64_t tried)
{
	size_t i, s, best = u->n;
	time_t t = clock_seconds();

	for (i = 0; i < u->n; i++) {
		s = (u->turn + i) % u->n;
		if ((tried & UINT64_C(1) << s) != 0)
			continue;
		if (u->servers[s].alone_until <= t) {
			if (!u->in_order)
				u->turn = s + 1;
			return s;
		}
		if (best == u->n ||
		    u->servers[s].failed < u->servers[best].failed)
			best = s;
	}
	return best;
}

static void
remember(struct upstreams *u, int fd, const struct addr *to)
{
	struct addr local;
	size_t i;

	if (addr_local(fd, &local) == -1)
		return;
	i = addr_port(&local) % RECENT;
	u->recent[i].local = local;
	u->recent[i].remote = *to;
	u->recent[i].when = clock_seconds();
}

bool
upstreams_is_ours(const struct upstreams *u, const struct addr *peer, int fd)
{
	size_t i = addr_port(peer) % RECENT;
	struct addr local;

	return addr_eq(&u->recent[i].local, peer) &&
	    u->recent[i].when + RECENT_SECONDS >= clock_seconds() &&
	    addr_local(fd, &local) == 0 &&
	    addr_eq(&u->recent[i].remote, &local);
}

void
attempt_cancel(struct attempt **ap)
{
	struct attempt *a = *ap;

	if (a == NULL)
		return;
	*ap = NULL;
	event_del(&a->start);
	dns_cancel(&a->query);
	if (a->fd != -1) {
		event_del(&a->connected);
		close(a->fd);
	}
	free(a);
}

static void
finish(struct attempt *a, int fd)
{
	upstream_done *done = a->done;
	void *arg = a->arg;
	uint16_t server = (uint16_t)a->server;

	if (fd != -1) {
		STATS_ADD(server_connects[server][STATS_CONNECTED], 1);
		stats_time(&stats_own->connect_seconds[server], a->since_us);
	}
	a->fd = -1;
	attempt_cancel(&a);
	done(arg, fd, server);
}

static void
on_connected(int fd, short what, void *arg)
{
	struct attempt *a = arg;
	int error = ETIMEDOUT;
	socklen_t len = sizeof(error);

	if ((what & EV_WRITE) != 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error == 0) {
		finish(a, fd);
		return;
	}
	log_debug("connect: %s", strerror(error));
	close(fd);
	a->fd = -1;
	next_address(a);
}

/* A server on this very machine answers at once. */
static bool
is_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

static void
next_address(struct attempt *a)
{
	const struct timeval limit = { .tv_sec = CONNECT_SECONDS };
	const struct addr *to;
	int fd;

	while (a->at < a->naddrs) {
		to = &a->addrs[a->at++];
		fd = socket(to->sa.sa_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd == -1)
			continue;
		a->since_us = stats_now_us();
		if (connect(fd, &to->sa, addr_len(to)) == -1 &&
		    errno != EINPROGRESS) {
			close(fd);
			continue;
		}
		a->fd = fd;
		remember(a->u, fd, to);
		if (is_connected(fd)) {
			finish(a, fd);
			return;
		}
		event_assign(
		    &a->connected, a->u->base, fd, EV_WRITE, on_connected, a);
		event_add(&a->connected, &limit);
		return;
	}
	STATS_ADD(server_connects[a->server][STATS_NOT_CONNECTED], 1);
	upstreams_report(a->u, (uint16_t)a->server, false);
	next_server(a);
}

static void
on_resolved(void *arg, const struct addr *addrs, size_t n)
{
	struct attempt *a = arg;
	size_t i;

	a->query = NULL;
	if (n == 0)
		log_warnx("inner server %s: the name has no address",
		    a->u->servers[a->server].conf->name);
	for (i = 0; i < n && i < DNS_ADDRS_MAX; i++) {
		a->addrs[i] = addrs[i];
		addr_set_port(
		    &a->addrs[i], a->u->servers[a->server].conf->port);
	}
	a->naddrs = i;
	a->at = 0;
	next_address(a);
}

static void
start_server(struct attempt *a)
{
	const struct conf_server *c = a->u->servers[a->server].conf;
	struct dns_query *q;

	if (c->numeric) {
		a->addrs[0] = c->addr;
		addr_set_port(&a->addrs[0], c->port);
		a->naddrs = 1;
		a->at = 0;
		next_address(a);
		return;
	}
	q = dns_lookup(a->u->dns, c->name, on_resolved, a);
	if (q != NULL) /* else it is all done, and a may be gone */
		a->query = q;
}

static void
next_server(struct attempt *a)
{
	a->server = choose(a->u, a->tried);
	if (a->server == a->u->n) {
		a->server = UINT16_MAX;
		finish(a, -1);
		return;
	}
	a->tried |= UINT64_C(1) << a->server;
	start_server(a);
}

/* From the loop, so that done never comes before the attempt is known. */
static void
on_start(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	next_server(arg);
}

struct attempt *
upstreams_connect(
    struct upstreams *u, uint64_t tried, upstream_done *done, void *arg)
{
	struct attempt *a = xcalloc(1, sizeof(*a));

	a->u = u;
	a->tried = tried;
	a->done = done;
	a->arg = arg;
	a->fd = -1;
	evtimer_assign(&a->start, u->base, on_start, a);
	event_active(&a->start, EV_TIMEOUT, 0);
	return a;
}

struct attempt *
upstreams_connect_to(
    struct upstreams *u, uint16_t server, upstream_done *done, void *arg)
{
	return upstreams_connect(u, ~(UINT64_C(1) << server), done, arg);
}
