/* SPDX-License-Identifier: ISC */
/*
 * mailload: clients of IMAP, POP3 and SMTP, many at a time, in one event
 * loop.  It trusts the server it is pointed at; what it saw there comes out
 * as one line of JSON.  Its TLS is OpenSSL, so that what it meets is tried by
 * another implementation than its own.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "load_dialogue.h"
#include "load_session.h"
#include "pattern.h"

enum { EVENTS = 256, TICK_MS = 50 };

/* Ends what takes too long; held sessions may stay. */
static void
overdue(struct load *l)
{
	static double checked;
	double now = tally_now();
	struct session *s;

	if (now - checked < 0.5)
		return;
	checked = now;
	for (s = l->slots; s < l->slots + l->nslots; s++)
		if (s->state != LOAD_FREE && s->state != LOAD_HELD &&
		    s->state != LOAD_SILENT && now - s->begin > l->o.timeout)
			session_end(s, "timeout");
}

static void
turn(struct load *l)
{
	struct epoll_event events[EVENTS];
	struct session *s;
	int i, n;

	n = epoll_wait(l->epoll, events, EVENTS, TICK_MS);
	for (i = 0; i < n; i++) {
		s = events[i].data.ptr;
		if (s->state == LOAD_FREE)
			continue;
		if (s->state == LOAD_CONNECT && (events[i].events & EPOLLERR))
			session_end(s, "connect");
		else
			session_drive(s);
	}
	overdue(l);
}

/* n sessions, so many at a time, until each has ended or stays. */
static void
run(struct load *l, int n, bool silent)
{
	double stop = tally_now() + l->o.duration;
	struct session *s;

	while (n > 0 || l->busy > 0) {
		if (tally_now() > stop)
			n = 0;
		for (; n > 0 && l->busy < l->o.at_once; n--) {
			s = STAILQ_FIRST(&l->free);
			STAILQ_REMOVE_HEAD(&l->free, entry);
			session_begin(s, silent);
		}
		if (l->busy > 0)
			turn(l);
	}
}

/* Holds what is open until standard input ends, then asks some of them. */
static void
hold(struct load *l)
{
	struct session *s;
	char c;
	int left = l->o.probes;

	printf("{\"held\":%d}\n", l->tally.held);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (s = l->slots; s < l->slots + l->nslots && left > 0; s++) {
		if (s->state != LOAD_HELD)
			continue;
		left--;
		l->tally.held--;
		l->busy++;
		dialogue_probe(s);
		session_drive(s);
		while (l->busy > 0)
			turn(l);
	}
}

static void
prepare(struct load *l)
{
	struct rlimit limit;
	int i;

	/* a session is a descriptor */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	l->nslots = l->o.at_once;
	if (l->o.mode == LOAD_IDLE || l->o.mode == LOAD_STORM)
		l->nslots += l->o.sessions;
	l->slots = calloc((size_t)l->nslots, sizeof(*l->slots));
	if (l->slots == NULL)
		err(2, "calloc");
	STAILQ_INIT(&l->free);
	for (i = 0; i < l->nslots; i++) {
		l->slots[i].load = l;
		STAILQ_INSERT_TAIL(&l->free, &l->slots[i], entry);
	}
	samples_init(
	    &l->tally.logins, (size_t)l->o.sessions + (size_t)l->o.probes);
	samples_init(&l->tally.probes, (size_t)l->o.probes);
	l->ctx = session_context(&l->o);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll == -1)
		err(2, "epoll_create1");
}

int
main(int argc, char **argv)
{
	static struct load l;
	double begin;

	signal(SIGPIPE, SIG_IGN);
	load_options(&l.o, argc, argv);
	pattern_init();
	prepare(&l);
	begin = tally_now();
	run(&l, l.o.sessions, l.o.mode == LOAD_STORM);
	l.tally.plateau = l.tally.held;
	if (l.o.mode == LOAD_IDLE)
		hold(&l);
	else if (l.o.mode == LOAD_STORM) {
		usleep(500000); /* the server has taken all of them in */
		run(&l, l.o.probes, false);
	}
	tally_print(&l.tally, tally_now() - begin);
	return l.tally.failed > 0 || l.tally.bad > 0;
}
