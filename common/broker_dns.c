/* SPDX-License-Identifier: ISC */
/*
 * broker_dns: names to addresses.  Runs in the broker.  Name servers are
 * trusted for what they say (broker_ares).
 *
 * c-ares never runs a caller's code: an answer is kept, the queries that
 * waited for it become due, and they are told once c-ares has returned.  So a
 * caller may look up and cancel from within done as it likes.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker_ares.h"
#include "broker_dns.h"
#include "clock.h"
#include "log.h"
#include "xmalloc.h"

/* Seconds that an answer is kept. */
#define TTL_MIN 5     /* a name server that says 0 is not asked per login */
#define TTL_MAX 3600  /* a server that moved is found within the hour */
#define TTL_NONE 60   /* the hosts file knows no time to live */
#define TTL_FAILURE 5 /* RFC 2308 7.1 allows five minutes at most */

/*
 * A login waits for this: 2 s, then 4 s, for each name server.  c-ares' own
 * patience (5, 10, 20, 40 s) would outlast the client's.
 */
#define TIMEOUT_MS 2000
#define TRIES 2

enum name_state {
	NAME_IDLE,     /* what we know holds until its time is over */
	NAME_STARTING, /* within ares_getaddrinfo() */
	NAME_ASKING    /* name servers are to answer */
};

LIST_HEAD(query_list, dns_query);

struct dns_name {
	RB_ENTRY(dns_name) entry;
	struct dns *dns;
	char *text;
	enum name_state state;
	bool failing; /* the last answer was none; addrs may be old ones */
	time_t until;
	struct addr addrs[DNS_ADDRS_MAX];
	size_t naddrs;
	struct query_list waiting; /* the latest first */
};

struct dns_query {
	LIST_ENTRY(dns_query) entry;
	struct dns_name *name; /* NULL: done is running */
	dns_done *done;
	void *arg;
};

RB_HEAD(name_tree, dns_name);

struct dns {
	struct resolver *resolver;
	struct name_tree names;
	struct query_list due; /* answered, not told yet */
};

/* RFC 4343: names do not differ by case. */
static int
compare_names(struct dns_name *a, struct dns_name *b)
{
	return strcasecmp(a->text, b->text);
}

RB_PROTOTYPE(name_tree, dns_name, entry, compare_names)
RB_GENERATE(name_tree, dns_name, entry, compare_names)

static void
tell_due(void *arg)
{
	struct dns *d = arg;
	struct dns_query *q;
	struct dns_name *n;

	while ((q = LIST_FIRST(&d->due)) != NULL) {
		LIST_REMOVE(q, entry);
		n = q->name;
		q->name = NULL;
		q->done(q->arg, n->addrs, n->naddrs);
		free(q);
	}
}

struct dns *
dns_new(struct event_base *base)
{
	struct dns *d = xcalloc(1, sizeof(*d));

	RB_INIT(&d->names);
	LIST_INIT(&d->due);
	d->resolver = resolver_new(base, 0, TIMEOUT_MS, TRIES, tell_due, d);
	return d;
}

static void
free_queries(struct query_list *list)
{
	struct dns_query *q;

	while ((q = LIST_FIRST(list)) != NULL) {
		LIST_REMOVE(q, entry);
		free(q);
	}
}

void
dns_free(struct dns **dp)
{
	struct dns *d = *dp;
	struct dns_name *n;

	if (d == NULL)
		return;
	resolver_free(&d->resolver);
	free_queries(&d->due);
	while ((n = RB_ROOT(&d->names)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		RB_REMOVE(name_tree, &d->names, n);
		free_queries(&n->waiting);
		free(n->text);
		free(n);
	}
	free(d);
	*dp = NULL;
}

int
dns_set_servers(struct dns *d, const char *servers)
{
	return resolver_set_servers(d->resolver, servers);
}

/* The new addresses take the place of the old ones, if there is any. */
static bool
take_addrs(struct dns_name *n, const struct ares_addrinfo *answer)
{
	const struct ares_addrinfo_node *a;
	struct addr addr;
	size_t i = 0;

	for (a = answer->nodes; a != NULL && i < DNS_ADDRS_MAX; a = a->ai_next)
		if (addr_from_sockaddr(a->ai_addr, a->ai_addrlen, &addr) == 0)
			n->addrs[i++] = addr;
	if (i > 0)
		n->naddrs = i;
	return i > 0;
}

static void
succeeded(struct dns_name *n, time_t ttl)
{
	if (n->failing)
		log_info("%s: the name has an address again", n->text);
	n->failing = false;
	n->until = clock_seconds() + ttl;
}

static void
failed(struct dns_name *n, int status)
{
	if (!n->failing)
		log_warnx("%s: no address: %s%s", n->text,
		    ares_strerror(status),
		    n->naddrs > 0 ? "; those known before are used" : "");
	n->failing = true;
	n->until = clock_seconds() + TTL_FAILURE;
}

/* Within c-ares: nobody is told yet. */
static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct dns_name *n = arg;
	struct dns_query *q;
	time_t ttl;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION) /* dns_free() */
		return;
	if (status != ARES_SUCCESS)
		failed(n, status);
	else if (!take_addrs(n, answer))
		failed(n, ARES_ENODATA);
	else {
		/* No name server answers before the question has been put. */
		ttl = n->state == NAME_STARTING
		    ? TTL_NONE
		    : resolver_ttl(answer, TTL_MIN, TTL_MAX);
		succeeded(n, ttl);
	}
	if (answer != NULL)
		ares_freeaddrinfo(answer);
	n->state = NAME_IDLE;
	while ((q = LIST_FIRST(&n->waiting)) != NULL) {
		LIST_REMOVE(q, entry);
		LIST_INSERT_HEAD(&n->dns->due, q, entry);
	}
}

static void
ask(struct dns_name *n)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };

	n->state = NAME_STARTING;
	ares_getaddrinfo(resolver_channel(n->dns->resolver), n->text, NULL,
	    &hints, on_answer, n);
	if (n->state == NAME_STARTING)
		n->state = NAME_ASKING;
	resolver_arm(n->dns->resolver, !LIST_EMPTY(&n->dns->due));
}

static struct dns_name *
find_name(struct dns *d, const char *name)
{
	struct dns_name key = { .text = xstrdup(name) };
	struct dns_name *n = RB_FIND(name_tree, &d->names, &key);

	if (n != NULL) {
		free(key.text);
		return n;
	}
	n = xcalloc(1, sizeof(*n));
	n->dns = d;
	n->text = key.text;
	LIST_INIT(&n->waiting);
	RB_INSERT(name_tree, &d->names, n);
	return n;
}

struct dns_query *
dns_lookup(struct dns *d, const char *name, dns_done *done, void *arg)
{
	struct dns_name *n;
	struct dns_query *q;
	struct addr number;

	/* c-ares 1.18.1 would ask about 192.0.2.1, and take both for true. */
	if (addr_parse(text_of(name), 0, &number) == 0) {
		done(arg, &number, 1);
		return NULL;
	}
	n = find_name(d, name);
	if (n->state == NAME_IDLE && clock_seconds() >= n->until)
		ask(n);
	/*
	 * While name servers are down a login does not wait for them, if there
	 * are old addresses: they are asked all the same (RFC 8767 5).
	 */
	if (n->state == NAME_IDLE || (n->failing && n->naddrs > 0)) {
		done(arg, n->addrs, n->naddrs);
		return NULL;
	}
	q = xcalloc(1, sizeof(*q));
	q->name = n;
	q->done = done;
	q->arg = arg;
	LIST_INSERT_HEAD(&n->waiting, q, entry);
	return q;
}

void
dns_cancel(struct dns_query **qp)
{
	struct dns_query *q = *qp;

	if (q == NULL)
		return;
	*qp = NULL;
	if (q->name == NULL) /* from within its done: tell_due() frees it */
		return;
	LIST_REMOVE(q, entry);
	free(q);
}
