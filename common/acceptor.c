/* SPDX-License-Identifier: ISC */
/*
 * acceptor: takes clients from the listeners that all workers share.  Runs in
 * workers.  What the siblings say of their load is a hint of fairness,
 * trusted for nothing else.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "acceptor.h"
#include "clock.h"
#include "log.h"
#include "role.h"
#include "xmalloc.h"

/* Who has this many clients more than the idlest worker lets it go first. */
#define LEAD_MIN 2
#define YIELD_US 2000 /* for so long */
/*
 * Who is full lets those that are not go first: they take what comes within a
 * turn of their loop.  Unless they stand still: so often it is looked whether
 * somebody waits and none of them has moved, and then there is no other.  One
 * that was taken over may only seem to move: so often it is looked in any case.
 */
#define FULL_US 100000
#define FULL_LOOKS 10
#define FULL_LOOKS_MAX 30
/*
 * Clients in one turn of the loop, and a pause behind it: 8,000 a second.  More
 * lines of the log the master would take for a worker that was taken over.
 */
#define FULL_BATCH 16
/*
 * Nothing left to accept with: the client stays where it is, and the listener
 * stays ready, so it is looked at again only after this.
 */
#define SCARCE_US 100000
#define SCARCE_SECONDS 60 /* from one word on that to the next */

struct listener {
	struct acceptor *acceptor;
	unsigned int number;
	int client; /* it is none: this is the one client; else -1 */
	struct addr local;
	struct event ready;
};

struct acceptor {
	/*
	 * CLOSED: it takes none; YIELDING: the others go first; FULL: the
	 * same, and for longer; SCARCE: the kernel has no descriptor or
	 * memory for one.
	 */
	enum { CLOSED, OPEN, YIELDING, FULL, SCARCE } state;
	time_t told_scarce; /* 0: not yet */
	struct listener *listeners;
	unsigned int nlisteners;
	struct event yielded;
	bool gave_way;   /* the next client is ours, if it is still there */
	uint32_t others; /* FULL: how many clients they had at the last look */
	unsigned int looks; /* and at how many it was the same */
	unsigned int all_looks;
	unsigned int load;       /* our clients */
	_Atomic uint32_t *loads; /* clients of each worker, as it says */
	unsigned int nloads, number;
	unsigned int places; /* of each worker */
	acceptor_room *can_make_room;
	acceptor_client *client;
	void *arg;
};

/* Wait at the listeners, or not. */
static void
watch(struct acceptor *a, bool on)
{
	struct event *ev;
	unsigned int i;

	for (i = 0; i < a->nlisteners; i++) {
		ev = &a->listeners[i].ready;
		if (event_get_fd(ev) != -1 &&
		    (on ? event_add(ev, NULL) : event_del(ev)) == -1)
			fatalx("cannot watch a listener");
		/* a client: it is there, or it has been given */
		if (event_get_fd(ev) == -1 && !on)
			event_del(ev);
		else if (a->listeners[i].client != -1)
			event_active(ev, EV_TIMEOUT, 1);
	}
}

/* Of our own nobody else has a say: they can all write there. */
static uint32_t
load_of(const struct acceptor *a, unsigned int number)
{
	if (number == a->number)
		return a->load;
	return atomic_load_explicit(&a->loads[number], memory_order_relaxed);
}

static bool
is_full(const struct acceptor *a)
{
	return a->load >= a->places;
}

/* How many clients the siblings have; it wraps, and only has to change. */
static uint32_t
load_of_others(const struct acceptor *a)
{
	uint32_t sum = 0;
	unsigned int i;

	for (i = 0; i < a->nloads; i++)
		if (i != a->number)
			sum += load_of(a, i);
	return sum;
}

/* The others have had their time. */
static bool
has_waited(const struct acceptor *a)
{
	return a->looks >= FULL_LOOKS || a->all_looks >= FULL_LOOKS_MAX;
}

static struct timeval
pause_of(const struct acceptor *a, int state)
{
	if (state == SCARCE)
		return (struct timeval){ .tv_usec = SCARCE_US };
	if (state == FULL && !has_waited(a))
		return (struct timeval){ .tv_usec = FULL_US };
	return (struct timeval){ .tv_usec = YIELD_US };
}

/* The only place that changes a->state. */
static void
enter(struct acceptor *a, int next)
{
	const struct timeval pause = pause_of(a, next);

	if ((a->state == OPEN) != (next == OPEN))
		watch(a, next == OPEN);
	if (next == YIELDING || next == FULL || next == SCARCE)
		event_add(&a->yielded, &pause);
	else
		event_del(&a->yielded);
	a->state = next;
}

/* The client that we were born with: there is nothing to wait for. */
static void
on_born_with(int fd, short what, void *arg)
{
	struct listener *l = arg;
	struct addr peer;
	int client = l->client;

	(void)fd;
	(void)what;
	l->client = -1;
	if (addr_peer(client, &peer) == -1)
		role_end(); /* it has left already */
	l->acceptor->client(
	    l->acceptor->arg, client, l->number, &peer, &l->local);
}

/*
 * A connection wakes every worker that waits, and the quickest would get most
 * of them: who has many already lets the others go first.
 */
static bool
is_ahead(const struct acceptor *a)
{
	uint32_t least = UINT32_MAX;
	unsigned int i;

	for (i = 0; i < a->nloads; i++)
		if (load_of(a, i) < least)
			least = load_of(a, i);
	return a->load > least + least / 8 + LEAD_MIN;
}

/* Whose connection is it?  A listener with one address need not be asked. */
static int
ends_of(const struct listener *l, int client, const struct sockaddr *from,
    socklen_t len, struct addr *peer, struct addr *local)
{
	if (addr_from_sockaddr(from, len, peer) == -1)
		return -1; /* it has gone already, or is not of the Internet */
	*local = l->local;
	return addr_is_any(local) ? addr_local(client, local) : 0;
}

static void
run_short(struct acceptor *a)
{
	time_t now = clock_seconds();

	if (a->told_scarce == 0 || now - a->told_scarce >= SCARCE_SECONDS) {
		log_warn("clients wait: none can be accepted");
		a->told_scarce = now;
	}
	enter(a, SCARCE);
}

static bool
is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM;
}

/* False: there was none, or none to be had. */
static bool
take_one(struct listener *l)
{
	struct acceptor *a = l->acceptor;
	struct sockaddr_storage ss;
	struct sockaddr *from = (struct sockaddr *)&ss;
	struct addr peer, local;
	socklen_t len = sizeof(ss);
	int client;

	client = accept4(
	    event_get_fd(&l->ready), from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client == -1) {
		if (is_shortage(errno))
			run_short(a);
		return false; /* a sibling was quicker, or it left */
	}
	if (ends_of(l, client, from, len, &peer, &local) == -1)
		close(client);
	else
		a->client(a->arg, client, l->number, &peer, &local);
	return true;
}

/* Full, and nobody else has taken those that wait by now. */
static void
take_waiting(struct acceptor *a)
{
	const unsigned int each = FULL_BATCH / a->nlisteners + 1;
	struct listener *l = a->listeners;
	unsigned int n;

	for (; l < a->listeners + a->nlisteners; l++)
		for (n = 0; n < each && is_full(a); n++)
			if (a->state == SCARCE || !take_one(l))
				break;
}

/* Has one of the others room, as far as can be known? */
static bool
others_have_room(const struct acceptor *a)
{
	unsigned int i;

	for (i = 0; i < a->nloads; i++)
		if (i != a->number && load_of(a, i) < a->places)
			return true;
	return false;
}

/* The others go first: a look at how they fare, or a moment. */
static bool
lets_others_go(struct acceptor *a)
{
	if (is_full(a) && others_have_room(a)) {
		a->others = load_of_others(a);
		a->looks = a->all_looks = 0;
		enter(a, FULL);
	} else if (!a->gave_way &&
	    (is_full(a) ? !a->can_make_room(a->arg) : is_ahead(a))) {
		enter(a, YIELDING);
	}
	return a->state != OPEN;
}

/*
 * One in a turn of the loop, which comes again for more: those that are
 * served are not starved, and nobody asks in vain whether there is another.
 */
static void
on_ready(int fd, short what, void *arg)
{
	struct listener *l = arg;
	struct acceptor *a = l->acceptor;

	(void)fd;
	(void)what;
	if (a->state != OPEN || lets_others_go(a))
		return;
	a->gave_way = false;
	(void)take_one(l);
}

static bool
has_client(const struct acceptor *a)
{
	struct pollfd p = { .events = POLLIN };
	unsigned int i;

	for (i = 0; i < a->nlisteners; i++) {
		p.fd = event_get_fd(&a->listeners[i].ready);
		if (poll(&p, 1, 0) == 1)
			return true;
	}
	return false;
}

/* Does somebody wait at a port, and do the others leave him there? */
static void
look_again(struct acceptor *a)
{
	uint32_t others = load_of_others(a);

	a->looks = others == a->others ? a->looks + 1 : 0;
	a->others = others;
	a->all_looks++;
	if (!others_have_room(a) || !has_client(a)) {
		enter(a, OPEN);
		return;
	}
	if (has_waited(a))
		take_waiting(a);
	if (a->state == FULL)
		enter(a, FULL);
}

/* The others had their chance: one is taken, come what may. */
static void
on_yielded(int fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd;
	(void)what;
	if (a->state == FULL) {
		look_again(a);
		return;
	}
	if (a->state == YIELDING && is_full(a)) {
		/* not whoever comes next: another may give way for him */
		take_waiting(a);
		if (a->state == YIELDING)
			enter(a, OPEN);
		return;
	}
	enter(a, OPEN);
	a->gave_way = true;
}

void
acceptor_open(struct acceptor *a)
{
	if (a->state == CLOSED)
		enter(a, OPEN);
}

void
acceptor_close(struct acceptor *a)
{
	enter(a, CLOSED);
}

void
acceptor_leave(struct acceptor *a)
{
	unsigned int i;

	enter(a, CLOSED);
	for (i = 0; i < a->nlisteners; i++)
		close(event_get_fd(&a->listeners[i].ready));
	a->nlisteners = 0; /* acceptor_open() finds none */
}

void
acceptor_set_load(struct acceptor *a, unsigned int clients)
{
	a->load = clients;
	atomic_store_explicit(
	    &a->loads[a->number], clients, memory_order_relaxed);
	if (a->state == FULL && !is_full(a))
		enter(a, OPEN);
}

void
acceptor_set_places(
    struct acceptor *a, unsigned int places, acceptor_room *can_make_room)
{
	a->places = places;
	a->can_make_room = can_make_room;
}

void
acceptor_set_number(struct acceptor *a, unsigned int number)
{
	if (number >= a->nloads)
		fatalx("the loads' memory is too small");
	a->number = number;
	acceptor_set_load(a, 0);
}

static void
map_loads(struct acceptor *a, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		fatal("the loads' memory");
	a->nloads = (unsigned int)((size_t)st.st_size / sizeof(*a->loads));
	a->loads = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (a->loads == MAP_FAILED)
		fatal("the loads' memory");
	close(fd);
}

static void
arm_listener(struct listener *l, struct event_base *base, int fd)
{
	socklen_t len = sizeof(int);
	int listens;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1)
		fatal("a listener");
	l->client = listens ? -1 : fd;
	if (listens)
		event_assign(
		    &l->ready, base, fd, EV_READ | EV_PERSIST, on_ready, l);
	else
		evtimer_assign(&l->ready, base, on_born_with, l);
}

struct acceptor *
acceptor_new(struct event_base *base, int loads, unsigned int number,
    int first_listener, unsigned int nlisteners, acceptor_client *client,
    void *arg)
{
	struct acceptor *a = xcalloc(1, sizeof(*a));
	struct listener *l;
	unsigned int i;

	a->nlisteners = nlisteners;
	a->places = UINT_MAX;
	a->client = client;
	a->arg = arg;
	map_loads(a, loads);
	if (number != ACCEPTOR_NOBODY)
		acceptor_set_number(a, number);
	a->listeners = xcalloc(nlisteners, sizeof(*a->listeners));
	for (i = 0; i < nlisteners; i++) {
		l = &a->listeners[i];
		l->acceptor = a;
		l->number = i;
		if (addr_local(first_listener + (int)i, &l->local) == -1)
			fatal("a listener");
		arm_listener(l, base, first_listener + (int)i);
	}
	evtimer_assign(&a->yielded, base, on_yielded, a);
	return a;
}
