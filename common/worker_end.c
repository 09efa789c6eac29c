/* SPDX-License-Identifier: ISC */
/*
 * worker_end: how a worker ends: when it is told to stop, or, of an old
 * generation, with its last client.  Runs in the worker, at the master's word.
 */
#include <unistd.h>

#include "log.h"
#include "worker_impl.h"

#define SETTLING_SECONDS 1 /* how often an old worker's sessions are seen */

void
worker_leave_if_done(struct worker *w)
{
	if (w->used == 0 && w->nunplaced == 0 &&
	    (w->stopping || w->draining || w->conf->worker_connections == 1))
		event_base_loopbreak(w->base);
}

/* For whoever looks at the processes. */
void
worker_show_sessions(const struct worker *w)
{
	setproctitle("old worker %u, %u session%s", w->start->number + 1,
	    w->used, w->used == 1 ? "" : "s");
}

/* Nothing that was said is lost. */
_Noreturn void
worker_leave(struct worker *w)
{
	if (w->broker != NULL)
		ipc_flush(w->broker);
	ipc_flush(w->master);
	role_end();
}

static void
on_stop_timeout(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_leave(arg);
}

void
worker_stop(struct worker *w)
{
	const struct timeval grace = { .tv_sec = w->conf->stop_timeout };
	unsigned int i;

	w->stopping = true;
	acceptor_close(w->acceptor);
	event_base_once(w->base, -1, EV_TIMEOUT, on_stop_timeout, w, &grace);
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_stop(w->sessions[i]);
	worker_leave_if_done(w);
}

static void
tell_settled(struct worker *w)
{
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_SETTLED, 0);
	(void)ipc_send(w->master, &msg, -1);
}

/* Who has logged in needs no signature and no authenticator any more. */
static void
on_settling(int fd, short what, void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	(void)fd;
	(void)what;
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL && !w->sessions[i]->logged_in)
			return;
	w->settled = true;
	event_del(&w->settling);
	tell_settled(w);
}

/*
 * Its listeners are others' now, or nobody's.  The master may say so again,
 * with one more generation, and wants to hear again, too.
 */
void
worker_drain(struct worker *w)
{
	const struct timeval every = { .tv_sec = SETTLING_SECONDS };

	if (w->draining) {
		if (w->settled)
			tell_settled(w);
		return;
	}
	w->draining = true;
	event_assign(&w->settling, w->base, -1, EV_PERSIST, on_settling, w);
	event_add(&w->settling, &every);
	acceptor_leave(w->acceptor);
	if (w->used > 0)
		log_info("takes no more clients: %u session%s to go", w->used,
		    w->used == 1 ? "" : "s");
	worker_show_sessions(w);
	worker_bereft(w);
	worker_leave_if_done(w);
}
