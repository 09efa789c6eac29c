/* SPDX-License-Identifier: ISC */
/*
 * broker_dns: names to addresses.  Runs in the broker, and is the only door
 * to c-ares.  Name servers are trusted for what they say, since whoever
 * answers for the name of an inner server is sent passwords; that is why
 * query numbers must be random (RFC 5452 4.3).
 *
 * c-ares never runs a caller's code: an answer is kept, the queries that
 * waited for it become due, and they are told once c-ares has returned.  So a
 * caller may look up and cancel from within done as it likes.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <ares.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

#define SEED_FILE "/dev/urandom" /* where c-ares has its randomness from */

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

/* A socket of c-ares'. */
struct dns_socket {
	LIST_ENTRY(dns_socket) entry;
	ares_socket_t fd;
	struct event event;
};

RB_HEAD(name_tree, dns_name);

struct dns {
	struct event_base *base;
	ares_channel channel;
	struct event timer;
	struct name_tree names;
	LIST_HEAD(, dns_socket) sockets;
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

/* Wake up when c-ares wants to, and at once for what is due. */
static void
arm(struct dns *d)
{
	struct timeval tv = { 0 };

	if (LIST_EMPTY(&d->due) && ares_timeout(d->channel, NULL, &tv) == NULL)
		event_del(&d->timer);
	else
		event_add(&d->timer, &tv);
}

static void
tell_due(struct dns *d)
{
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

static void
process(struct dns *d, ares_socket_t readable, ares_socket_t writable)
{
	ares_process_fd(d->channel, readable, writable);
	tell_due(d);
	arm(d);
}

static void
on_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	process(arg, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void
on_socket(int fd, short what, void *arg)
{
	process(arg, (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
}

static struct dns_socket *
find_socket(struct dns *d, ares_socket_t fd)
{
	struct dns_socket *s;

	LIST_FOREACH(s, &d->sockets, entry)
	if (s->fd == fd)
		break;
	return s;
}

static struct dns_socket *
add_socket(struct dns *d, ares_socket_t fd)
{
	struct dns_socket *s = xcalloc(1, sizeof(*s));

	s->fd = fd;
	LIST_INSERT_HEAD(&d->sockets, s, entry);
	return s;
}

/* What c-ares waits for at fd from now on; nothing: it is about to close it. */
static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = arg;
	struct dns_socket *s = find_socket(d, fd);
	int what = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);

	if (s != NULL)
		event_del(&s->event);
	if (what == 0) {
		if (s != NULL) {
			LIST_REMOVE(s, entry);
			free(s);
		}
		return;
	}
	if (s == NULL)
		s = add_socket(d, fd);
	if (event_assign(&s->event, d->base, fd, (short)(what | EV_PERSIST),
	        on_socket, d) == -1 ||
	    event_add(&s->event, NULL) == -1)
		fatalx("DNS: no event for a socket");
}

struct dns *
dns_new(struct event_base *base)
{
	struct dns *d = xcalloc(1, sizeof(*d));
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES, /* $HOSTALIASES is a file */
		.timeout = TIMEOUT_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = d,
	};
	int rc;

	/* Without it c-ares goes on, with numbers that anybody can guess. */
	if (access(SEED_FILE, R_OK) == -1)
		fatal("%s", SEED_FILE);
	d->base = base;
	RB_INIT(&d->names);
	LIST_INIT(&d->sockets);
	LIST_INIT(&d->due);
	if (evtimer_assign(&d->timer, base, on_timer, d) == -1)
		fatalx("DNS: no timer");
	rc = ares_library_init(ARES_LIB_INIT_ALL);
	if (rc == ARES_SUCCESS)
		rc = ares_init_options(&d->channel, &options,
		    ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		        ARES_OPT_SOCK_STATE_CB);
	if (rc != ARES_SUCCESS)
		fatalx("DNS: %s", ares_strerror(rc));
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
	ares_destroy(d->channel); /* which gives up its sockets, too */
	ares_library_cleanup();
	event_del(&d->timer);
	free_queries(&d->due);
	while ((n = RB_ROOT(&d->names)) != NULL) {
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
	int rc = ares_set_servers_ports_csv(d->channel, servers);

	return rc == ARES_SUCCESS ? 0 : -1;
}

/* The shortest of the answer, aliases on the way to the addresses included. */
static time_t
time_to_live(const struct ares_addrinfo *answer)
{
	const struct ares_addrinfo_cname *c;
	const struct ares_addrinfo_node *a;
	int ttl = TTL_MAX;

	for (c = answer->cnames; c != NULL; c = c->next)
		if (c->ttl < ttl)
			ttl = c->ttl;
	for (a = answer->nodes; a != NULL; a = a->ai_next)
		if (a->ai_ttl < ttl)
			ttl = a->ai_ttl;
	/* Less than 0 is a top bit that should not be set: RFC 2181 8. */
	return ttl < TTL_MIN ? TTL_MIN : ttl;
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
		ttl =
		    n->state == NAME_STARTING ? TTL_NONE : time_to_live(answer);
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
	ares_getaddrinfo(n->dns->channel, n->text, NULL, &hints, on_answer, n);
	if (n->state == NAME_STARTING)
		n->state = NAME_ASKING;
	arm(n->dns);
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
