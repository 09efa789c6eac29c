/* SPDX-License-Identifier: ISC */
/*
 * worker_room: who gives way where all places of a worker are taken, and what
 * a client hears for whom nobody does.  Runs in the worker.
 *
 * Sessions without a login stand in a queue, in the order in which they came.
 * Who fails at a login begins anew at its end.
 */
#include "clock.h"
#include "worker_impl.h"

void
worker_leave_queue(struct worker *w, struct session *s)
{
	if (!s->queued)
		return;
	if (s->unplaced) {
		TAILQ_REMOVE(&w->unplaced, s, entry);
		w->nunplaced--;
	} else {
		TAILQ_REMOVE(&w->yielding, s, entry);
	}
	s->queued = false;
}

void
worker_set_yield(struct worker *w, struct session *s, enum worker_yield yield)
{
	if (s->unplaced || (yield == YIELD_IN_TURN && s->queued))
		return;
	worker_leave_queue(w, s);
	s->queued = yield != YIELD_NEVER;
	if (yield == YIELD_IN_TURN) {
		s->yields_since = clock_seconds();
		TAILQ_INSERT_TAIL(&w->yielding, s, entry);
	} else if (yield == YIELD_FIRST) {
		s->yields_since = 0;
		TAILQ_INSERT_HEAD(&w->yielding, s, entry);
	}
}

/* Its last words are being said; of too many the oldest hear no more. */
static void
keep_unplaced(struct worker *w, struct session *s)
{
	TAILQ_INSERT_TAIL(&w->unplaced, s, entry);
	s->queued = true;
	if (++w->nunplaced > UNPLACED_MAX)
		session_abandon(TAILQ_FIRST(&w->unplaced));
}

/* Who gives way now, for wanted or, NULL, for whoever is next; NULL: nobody. */
static struct session *
who_yields(const struct worker *w, const struct session *wanted)
{
	struct session *s = TAILQ_FIRST(&w->yielding);

	if (s != NULL && s == wanted)
		s = TAILQ_NEXT(s, entry);
	/* Of the first second there may be next to nothing. */
	if (s == NULL || clock_seconds() - s->yields_since <= SESSION_YOUNG)
		return NULL;
	return s;
}

bool
worker_can_make_room(void *worker)
{
	return who_yields(worker, NULL) != NULL;
}

bool
worker_make_room(struct worker *w, const struct session *wanted)
{
	struct session *s = who_yields(w, wanted);

	if (s == NULL)
		return false;
	worker_leave_queue(w, s);
	worker_unplace(w, s);
	if (wanted != NULL) /* else the place is taken again at once */
		acceptor_set_load(w->acceptor, w->used);
	s->unplaced = true;
	keep_unplaced(w, s);
	session_give_way(s);
	return true;
}

void
worker_refuse(struct worker *w, int fd, unsigned int listener,
    const struct addr *peer, const struct addr *local)
{
	struct session *s;

	s = session_refuse(w, fd, &w->conf->listen[listener], peer, local);
	if (s != NULL)
		keep_unplaced(w, s);
}
