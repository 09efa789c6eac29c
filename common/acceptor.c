/* SPDX-License-Identifier: ISC */
/*
 * acceptor: takes clients from the listeners that all workers share.  Runs in
 * workers.  What the siblings say of their load is a hint of fairness,
 * trusted for nothing else.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "acceptor.h"
#include "log.h"
#include "xmalloc.h"

/* Clients taken in one turn, so that those that are served are not starved. */
#define BATCH 16
/* Who has this many clients more than the idlest worker lets it go first. */
#define LEAD_MIN 2
#define YIELD_US 2000 /* for so long */

struct acceptor {
	/* CLOSED: it takes none; YIELDING: the others go first. */
	enum { CLOSED, OPEN, YIELDING } state;
	int epoll; /* the listeners, each with EPOLLEXCLUSIVE */
	struct event ready, yielded;
	int first_listener;
	unsigned int nlisteners;
	_Atomic uint32_t *loads; /* clients of each worker */
	unsigned int nloads, number;
	acceptor_client *client;
	void *arg;
};

/* Wait at the listeners, or not. */
static void
watch(struct acceptor *a, bool on)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	unsigned int i;

	for (i = 0; i < a->nlisteners; i++) {
		ev.data.u32 = i;
		if (epoll_ctl(a->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
		        a->first_listener + (int)i, &ev) == -1)
			fatal("cannot watch a listener");
	}
}

/* The only place that changes a->state. */
static void
enter(struct acceptor *a, int next)
{
	const struct timeval yield = { .tv_usec = YIELD_US };

	if ((a->state == OPEN) != (next == OPEN))
		watch(a, next == OPEN);
	if (next == YIELDING)
		event_add(&a->yielded, &yield);
	else
		event_del(&a->yielded);
	a->state = next;
}

static uint32_t
load_of(const struct acceptor *a, unsigned int number)
{
	return atomic_load_explicit(&a->loads[number], memory_order_relaxed);
}

/*
 * A connection wakes every worker that waits (EPOLLEXCLUSIVE does not reach
 * through an epoll descriptor within another), and the quickest would get
 * most of them: who has many already lets the others go first.
 */
static bool
is_ahead(const struct acceptor *a)
{
	uint32_t least = UINT32_MAX;
	unsigned int i;

	for (i = 0; i < a->nloads; i++)
		if (load_of(a, i) < least)
			least = load_of(a, i);
	return load_of(a, a->number) > least + least / 8 + LEAD_MIN;
}

static void
take_clients(struct acceptor *a)
{
	struct epoll_event evs[8];
	unsigned int taken = 0;
	int n, i, fd;

	n = epoll_wait(a->epoll, evs, 8, 0);
	for (i = 0; i < n; i++)
		while (a->state == OPEN && taken < BATCH) {
			fd = accept4(a->first_listener + (int)evs[i].data.u32,
			    NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd == -1)
				break; /* a sibling was quicker, or it left */
			a->client(a->arg, fd, evs[i].data.u32);
			taken++;
		}
}

static void
on_ready(int fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd;
	(void)what;
	if (is_ahead(a))
		enter(a, YIELDING);
	else
		take_clients(a);
}

/* The others had their chance. */
static void
on_yielded(int fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd;
	(void)what;
	enter(a, OPEN);
	take_clients(a);
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
acceptor_set_load(struct acceptor *a, unsigned int clients)
{
	atomic_store_explicit(
	    &a->loads[a->number], clients, memory_order_relaxed);
}

static void
map_loads(struct acceptor *a, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		fatal("the loads' memory");
	a->nloads = (unsigned int)((size_t)st.st_size / sizeof(*a->loads));
	if (a->number >= a->nloads)
		fatalx("the loads' memory is too small");
	a->loads = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (a->loads == MAP_FAILED)
		fatal("the loads' memory");
	close(fd);
}

struct acceptor *
acceptor_new(struct event_base *base, int loads, unsigned int number,
    int first_listener, unsigned int nlisteners, acceptor_client *client,
    void *arg)
{
	struct acceptor *a = xcalloc(1, sizeof(*a));

	a->number = number;
	a->first_listener = first_listener;
	a->nlisteners = nlisteners;
	a->client = client;
	a->arg = arg;
	map_loads(a, loads);
	acceptor_set_load(a, 0);
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (a->epoll == -1)
		fatal("epoll_create1");
	event_assign(
	    &a->ready, base, a->epoll, EV_READ | EV_PERSIST, on_ready, a);
	event_add(&a->ready, NULL);
	evtimer_assign(&a->yielded, base, on_yielded, a);
	return a;
}
