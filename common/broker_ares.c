/* SPDX-License-Identifier: ISC */
/*
 * broker_ares: c-ares in libevent's loop.  Runs in the broker, and is where
 * c-ares is started and woken.  Name servers are trusted for what they say,
 * since whoever answers for the name of an inner server is sent passwords;
 * that is why query numbers must be random (RFC 5452 4.3).
 */
#include <sys/queue.h>
#include <sys/stat.h>

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "broker_ares.h"
#include "log.h"
#include "xmalloc.h"

#define SEED_FILE "/dev/urandom" /* where c-ares has its randomness from */
#define SERVERS_FILE "/etc/resolv.conf"
#define FOLLOW_SECONDS 3 /* how often that is looked at */

/* A socket of c-ares'. */
struct resolver_socket {
	LIST_ENTRY(resolver_socket) entry;
	ares_socket_t fd;
	struct event event;
};

struct resolver {
	struct event_base *base;
	ares_channel channel;
	struct event timer, follow;
	struct timespec seen; /* SERVERS_FILE's st_ctim; 0: there is none */
	bool looked, waiting; /* waiting: for what is under way to end */
	LIST_HEAD(, resolver_socket) sockets;
	void (*settle)(void *arg);
	void *arg;
};

void
resolver_arm(struct resolver *r, bool at_once)
{
	struct timeval tv = { 0 };

	if (!at_once && ares_timeout(r->channel, NULL, &tv) == NULL)
		event_del(&r->timer);
	else
		event_add(&r->timer, &tv);
}

static void
process(struct resolver *r, ares_socket_t readable, ares_socket_t writable)
{
	ares_process_fd(r->channel, readable, writable);
	r->settle(r->arg);
	resolver_arm(r, false);
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

static struct resolver_socket *
find_socket(struct resolver *r, ares_socket_t fd)
{
	struct resolver_socket *s;

	LIST_FOREACH(s, &r->sockets, entry)
	if (s->fd == fd)
		break;
	return s;
}

static struct resolver_socket *
add_socket(struct resolver *r, ares_socket_t fd)
{
	struct resolver_socket *s = xcalloc(1, sizeof(*s));

	s->fd = fd;
	LIST_INSERT_HEAD(&r->sockets, s, entry);
	return s;
}

/* What c-ares waits for at fd from now on; nothing: it is about to close it. */
static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	struct resolver_socket *s = find_socket(r, fd);
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
		s = add_socket(r, fd);
	if (event_assign(&s->event, r->base, fd, (short)(what | EV_PERSIST),
	        on_socket, r) == -1 ||
	    event_add(&s->event, NULL) == -1)
		fatalx("DNS: no event for a socket");
}

/*
 * Those that SERVERS_FILE names now.  A channel of its own is made to read it:
 * the one that asks keeps its seed, which is not to be had inside.
 */
static int
read_servers(struct resolver *r)
{
	struct ares_options options = { .flags = ARES_FLAG_NOALIASES };
	struct ares_addr_port_node *servers = NULL;
	ares_channel reader;
	int rc;

	rc = ares_init_options(&reader, &options, ARES_OPT_FLAGS);
	if (rc != ARES_SUCCESS)
		return rc;
	rc = ares_get_servers_ports(reader, &servers);
	if (rc == ARES_SUCCESS)
		rc = ares_set_servers_ports(r->channel, servers);
	if (servers != NULL)
		ares_free_data(servers);
	ares_destroy(reader);
	return rc;
}

/* Servers cannot change while one is asked; too late an answer is none. */
static void
change_servers(struct resolver *r)
{
	struct timeval tv;
	int rc;

	if (ares_timeout(r->channel, NULL, &tv) != NULL) {
		if (!r->waiting) {
			r->waiting = true;
			return;
		}
		ares_cancel(r->channel);
		r->settle(r->arg);
	}
	rc = read_servers(r);
	if (rc == ARES_ENOTIMP) /* asked anew by those who were told */
		return;
	r->waiting = false;
	if (rc != ARES_SUCCESS)
		log_warnx(SERVERS_FILE ": %s", ares_strerror(rc));
	else
		log_info(SERVERS_FILE " has changed: other name servers");
}

/* A network that comes late, or changes, brings its name servers along. */
static void
on_follow(int fd, short what, void *arg)
{
	const struct timeval every = { .tv_sec = FOLLOW_SECONDS };
	struct resolver *r = arg;
	struct timespec now = { 0 };
	struct stat st;

	(void)fd;
	(void)what;
	if (stat(SERVERS_FILE, &st) == 0)
		now = st.st_ctim;
	/* The first look is from inside the root directory that we are in. */
	if (r->looked &&
	    (r->waiting || now.tv_sec != r->seen.tv_sec ||
	        now.tv_nsec != r->seen.tv_nsec))
		change_servers(r);
	r->seen = now;
	r->looked = true;
	event_add(&r->follow, &every);
}

struct resolver *
resolver_new(struct event_base *base, int flags, int timeout_ms, int tries,
    void (*settle)(void *arg), void *arg)
{
	struct resolver *r = xcalloc(1, sizeof(*r));
	struct ares_options options = {
		.flags =
		    flags | ARES_FLAG_NOALIASES, /* $HOSTALIASES is a file */
		.timeout = timeout_ms,
		.tries = tries,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	const struct timeval at_once = { 0 };
	int rc;

	/* Without it c-ares goes on, with numbers that anybody can guess. */
	if (access(SEED_FILE, R_OK) == -1)
		fatal("%s", SEED_FILE);
	r->base = base;
	r->settle = settle;
	r->arg = arg;
	LIST_INIT(&r->sockets);
	if (evtimer_assign(&r->timer, base, on_timer, r) == -1 ||
	    evtimer_assign(&r->follow, base, on_follow, r) == -1 ||
	    evtimer_add(&r->follow, &at_once) == -1)
		fatalx("DNS: no timer");
	rc = ares_library_init(ARES_LIB_INIT_ALL);
	if (rc == ARES_SUCCESS)
		rc = ares_init_options(&r->channel, &options,
		    ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		        ARES_OPT_SOCK_STATE_CB);
	if (rc != ARES_SUCCESS)
		fatalx("DNS: %s", ares_strerror(rc));
	return r;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	if (r == NULL)
		return;
	ares_destroy(r->channel); /* which gives up its sockets, too */
	ares_library_cleanup();
	event_del(&r->timer);
	event_del(&r->follow);
	free(r);
	*rp = NULL;
}

ares_channel
resolver_channel(struct resolver *r)
{
	return r->channel;
}

int
resolver_set_servers(struct resolver *r, const char *servers)
{
	int rc = ares_set_servers_ports_csv(r->channel, servers);

	return rc == ARES_SUCCESS ? 0 : -1;
}

time_t
resolver_ttl(const struct ares_addrinfo *answer, int min, int max)
{
	const struct ares_addrinfo_cname *c;
	const struct ares_addrinfo_node *a;
	int ttl = max;

	for (c = answer->cnames; c != NULL; c = c->next)
		if (c->ttl < ttl)
			ttl = c->ttl;
	for (a = answer->nodes; a != NULL; a = a->ai_next)
		if (a->ai_ttl < ttl)
			ttl = a->ai_ttl;
	/* Less than 0 is a top bit that should not be set: RFC 2181 8. */
	return ttl < min ? min : ttl;
}
