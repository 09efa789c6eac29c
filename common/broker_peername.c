/* SPDX-License-Identifier: ISC */
/*
 * broker_peername: addresses of clients to names.  Runs in the broker.  A
 * client chooses what is asked for, and may own the zones that answer: so all
 * that is kept is bounded, and a name is believed only as far as that it is a
 * host's and has the client's address.
 *
 * An answer to the first question (which name?) leads to the second (which
 * addresses?) within c-ares; those who wait are told once that has returned.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <event2/event_struct.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "broker_ares.h"
#include "broker_peername.h"
#include "clock.h"
#include "log.h"
#include "msg.h"
#include "text.h"
#include "xmalloc.h"

/* Seconds that a name, and that none, is remembered. */
#define TTL_MIN 1
#define TTL_MAX 3600
#define TTL_NONE 60

/* c-ares' patience with each question; answers behind ours count later. */
#define TIMEOUT_MS 500
#define TRIES 2

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

enum peer_state {
	PEER_KNOWN,  /* what it is holds until its time is over */
	PEER_ASKING, /* name servers are to answer, and may be waited for */
	PEER_LATE,   /* the same, but it took too long: unknown meanwhile */
	PEER_DUE     /* known, but those who wait have not been told */
};

/* A client's address. */
struct peername {
	RB_ENTRY(peername) entry;
	TAILQ_ENTRY(peername) age;
	TAILQ_ENTRY(peername) due;
	struct peernames *all;
	struct addr addr;
	enum peer_state state;
	char *name;  /* NULL: unknown */
	char *claim; /* a name that is not confirmed; NULL: none */
	time_t until;
	struct event deadline;
	TAILQ_HEAD(, peername_wait) waiting;
};

struct peername_wait {
	TAILQ_ENTRY(peername_wait) entry;
	struct peername *peer; /* NULL: done is running */
	peername_done *done;
	void *arg;
};

RB_HEAD(peer_tree, peername);
TAILQ_HEAD(peer_list, peername);

struct peernames {
	struct event_base *base;
	struct resolver *resolver;
	struct peer_tree tree;
	struct peer_list ages; /* all of them, the one used last at the end */
	struct peer_list due;  /* answered, not told yet */
	unsigned int known, lookups, waiting;
};

static int
compare_peers(struct peername *a, struct peername *b)
{
	if (a->addr.sa.sa_family != b->addr.sa.sa_family)
		return a->addr.sa.sa_family < b->addr.sa.sa_family ? -1 : 1;
	if (a->addr.sa.sa_family == AF_INET)
		return memcmp(&a->addr.in.sin_addr, &b->addr.in.sin_addr,
		    sizeof(a->addr.in.sin_addr));
	return memcmp(&a->addr.in6.sin6_addr, &b->addr.in6.sin6_addr,
	    sizeof(a->addr.in6.sin6_addr));
}

RB_PROTOTYPE(peer_tree, peername, entry, compare_peers)
RB_GENERATE(peer_tree, peername, entry, compare_peers)

/* All who wait for p hear what is known now. */
static void
tell(struct peername *p)
{
	struct peername_wait *w;

	while ((w = TAILQ_FIRST(&p->waiting)) != NULL) {
		TAILQ_REMOVE(&p->waiting, w, entry);
		p->all->waiting--;
		w->peer = NULL;
		w->done(w->arg, p->name);
		free(w);
	}
}

static void
tell_due(void *arg)
{
	struct peernames *all = arg;
	struct peername *p;

	while ((p = TAILQ_FIRST(&all->due)) != NULL) {
		TAILQ_REMOVE(&all->due, p, due);
		p->state = PEER_KNOWN;
		tell(p);
	}
}

static void
on_deadline(int fd, short what, void *arg)
{
	struct peername *p = arg;

	(void)fd;
	(void)what;
	p->state = PEER_LATE;
	tell(p);
}

/* It is over.  Within c-ares: nobody is told yet. */
static void
finish(struct peername *p, bool confirmed, time_t ttl)
{
	if (confirmed)
		p->name = p->claim;
	else
		free(p->claim);
	p->claim = NULL;
	p->until = clock_seconds() + ttl;
	p->state = PEER_DUE;
	event_del(&p->deadline);
	p->all->lookups--;
	TAILQ_INSERT_TAIL(&p->all->due, p, due);
}

/*
 * The second answer: is the client's address among those of its name?  The
 * name is kept for as long as this answer holds: until then it is the
 * client's, whatever has become of the first.
 */
static void
on_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct peername *p = arg;
	const struct ares_addrinfo_node *a;
	struct addr addr;
	bool confirmed = false;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION) /* peernames_free() */
		return;
	if (status == ARES_SUCCESS)
		for (a = answer->nodes; a != NULL && !confirmed; a = a->ai_next)
			confirmed = addr_from_sockaddr(a->ai_addr,
			                a->ai_addrlen, &addr) == 0 &&
			    addr_eq_host(&addr, &p->addr);
	finish(p, confirmed,
	    confirmed ? resolver_ttl(answer, TTL_MIN, TTL_MAX) : TTL_NONE);
	if (answer != NULL)
		ares_freeaddrinfo(answer);
}

static bool
is_label(struct text t)
{
	size_t i;
	char c;

	for (i = 0; i < t.len; i++) {
		c = t.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return t.len > 0 && t.len <= LABEL_MAX && t.p[0] != '-' &&
	    t.p[t.len - 1] != '-';
}

/*
 * RFC 1123 2.1, and underscores, which there are.  No name is all numbers: it
 * could be taken for an address.
 */
static bool
is_host_name(struct text t)
{
	struct text label;

	if (t.len == 0 || t.len > MSG_PEER_NAME_MAX ||
	    text_only(t, "0123456789.") || t.p[t.len - 1] == '.')
		return false;
	while (t.len > 0 && text_split(&t, '.', &label))
		if (!is_label(label))
			return false;
	return true;
}

/* The first answer: a name that the owner of the address claims. */
static void
on_name(void *arg, int status, int timeouts, struct hostent *host)
{
	struct peername *p = arg;
	/* Their order is nothing to us, and sorting them opens sockets. */
	const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
		.ai_family = p->addr.sa.sa_family,
		.ai_socktype = SOCK_STREAM };

	(void)timeouts;
	if (status == ARES_EDESTRUCTION) /* peernames_free() */
		return;
	if (status != ARES_SUCCESS || !is_host_name(text_of(host->h_name))) {
		finish(p, false, TTL_NONE);
		return;
	}
	p->claim = xstrdup(host->h_name);
	ares_getaddrinfo(resolver_channel(p->all->resolver), p->claim, NULL,
	    &hints, on_addrs, p);
}

static void
ask(struct peername *p)
{
	const struct timeval tv = { PEERNAME_MS / 1000,
		PEERNAME_MS % 1000 * 1000 };
	ares_channel channel = resolver_channel(p->all->resolver);

	free(p->name);
	p->name = NULL;
	p->state = PEER_ASKING;
	p->all->lookups++;
	event_add(&p->deadline, &tv);
	if (p->addr.sa.sa_family == AF_INET)
		ares_gethostbyaddr(channel, &p->addr.in.sin_addr,
		    sizeof(p->addr.in.sin_addr), AF_INET, on_name, p);
	else
		ares_gethostbyaddr(channel, &p->addr.in6.sin6_addr,
		    sizeof(p->addr.in6.sin6_addr), AF_INET6, on_name, p);
	resolver_arm(p->all->resolver, !TAILQ_EMPTY(&p->all->due));
}

static void
peer_free(struct peername *p)
{
	RB_REMOVE(peer_tree, &p->all->tree, p);
	TAILQ_REMOVE(&p->all->ages, p, age);
	p->all->known--;
	event_del(&p->deadline);
	free(p->name);
	free(p->claim);
	free(p);
}

/* Room for one more: the one that was not used for longest goes. */
static bool
make_room(struct peernames *all)
{
	struct peername *p;

	if (all->known < PEERNAME_KNOWN)
		return true;
	TAILQ_FOREACH (p, &all->ages, age) {
		if (p->state != PEER_KNOWN)
			continue;
		peer_free(p);
		return true;
	}
	return false;
}

/* NULL: not known, and there is no room. */
static struct peername *
find_peer(struct peernames *all, const struct addr *addr)
{
	struct peername key = { .addr = *addr };
	struct peername *p = RB_FIND(peer_tree, &all->tree, &key);

	if (p != NULL) {
		TAILQ_REMOVE(&all->ages, p, age);
		TAILQ_INSERT_TAIL(&all->ages, p, age);
		return p;
	}
	/* What could not be asked for is not worth another's place. */
	if (all->lookups >= PEERNAME_LOOKUPS || !make_room(all))
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->all = all;
	p->addr = *addr;
	TAILQ_INIT(&p->waiting);
	if (evtimer_assign(&p->deadline, all->base, on_deadline, p) == -1)
		fatalx("DNS: no timer");
	RB_INSERT(peer_tree, &all->tree, p);
	TAILQ_INSERT_TAIL(&all->ages, p, age);
	all->known++;
	return p;
}

struct peername_wait *
peername_lookup(struct peernames *all, const struct addr *addr,
    peername_done *done, void *arg)
{
	struct peername *p = find_peer(all, addr);
	struct peername_wait *w;

	if (p != NULL && p->state == PEER_KNOWN &&
	    clock_seconds() >= p->until) {
		if (all->lookups < PEERNAME_LOOKUPS)
			ask(p);
		else
			p = NULL;
	}
	if (p == NULL || p->state != PEER_ASKING ||
	    all->waiting >= PEERNAME_WAITING) {
		done(arg, p != NULL ? p->name : NULL);
		return NULL;
	}
	w = xcalloc(1, sizeof(*w));
	w->peer = p;
	w->done = done;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&p->waiting, w, entry);
	all->waiting++;
	return w;
}

void
peername_cancel(struct peername_wait **wp)
{
	struct peername_wait *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
	if (w->peer == NULL) /* from within its done: tell() frees it */
		return;
	TAILQ_REMOVE(&w->peer->waiting, w, entry);
	w->peer->all->waiting--;
	free(w);
}

struct peernames *
peernames_new(struct event_base *base)
{
	struct peernames *all = xcalloc(1, sizeof(*all));

	all->base = base;
	RB_INIT(&all->tree);
	TAILQ_INIT(&all->ages);
	TAILQ_INIT(&all->due);
	/* A name is what it is, whatever domain resolv.conf says is ours. */
	all->resolver = resolver_new(
	    base, ARES_FLAG_NOSEARCH, TIMEOUT_MS, TRIES, tell_due, all);
	return all;
}

void
peernames_free(struct peernames **ap)
{
	struct peernames *all = *ap;
	struct peername_wait *w;
	struct peername *p;

	if (all == NULL)
		return;
	resolver_free(&all->resolver);
	while ((p = TAILQ_FIRST(&all->ages)) != NULL) {
		while ((w = TAILQ_FIRST(&p->waiting)) != NULL)
			peername_cancel(&w);
		peer_free(p);
	}
	free(all);
	*ap = NULL;
}

int
peernames_set_servers(struct peernames *all, const char *servers)
{
	return resolver_set_servers(all->resolver, servers);
}
