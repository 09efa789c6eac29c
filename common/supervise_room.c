/* SPDX-License-Identifier: ISC */
/*
 * supervise_room: with a process for each client, who gives way when there are
 * nearly as many clients as there may be.  Runs in the master, which alone
 * knows how many there are and who has logged in; what workers say of that
 * decides about nothing else.
 *
 * Workers that have one client cannot make room for each other, as the
 * sessions of one do (worker_room.c).  So some places are kept free for those
 * who come next: for each client that takes one of these, and each second that
 * they are taken, the one that has been longest without a login is asked to
 * go.  It does not while its password is being looked at.
 */
#include "broker.h"
#include "clock.h"
#include "crew.h"
#include "session.h"
#include "supervise_impl.h"

/* Of all places: so many at most are kept free, and no more than spares. */
#define FREE_PART 8
#define LOOK_SECONDS 1

static unsigned int
places_to_fill(const struct conf *c)
{
	unsigned int most = broker_places(c) - c->workers;
	unsigned int room = most / FREE_PART;

	return most - (room < c->workers ? room : c->workers);
}

static bool
may_be_asked(const struct place *p, time_t now)
{
	return p->busy && !p->logged_in && !p->given_up && p->ch != NULL &&
	    now - p->busy_since > SESSION_YOUNG;
}

void
supervise_make_room(struct supervisor *s)
{
	const struct timeval soon = { .tv_sec = LOOK_SECONDS };
	struct place *p, *oldest = NULL;
	time_t now = clock_seconds();
	unsigned int busy;

	if (s->conf->worker_connections != 1 || s->conf->one_client ||
	    s->stopping)
		return;
	busy = crews_running(s, true); /* they count in the broker's book */
	for (p = s->workers; p < s->workers + s->nworkers; p++) {
		busy += p->busy && p->ch != NULL;
		if (may_be_asked(p, now) &&
		    (oldest == NULL || p->busy_since < oldest->busy_since))
			oldest = p;
	}
	if (busy <= places_to_fill(s->conf))
		return;
	event_add(&s->crowd, &soon);
	if (oldest == NULL)
		return;
	oldest->busy_since = now;
	place_send(oldest, MSG_GIVE_WAY);
}

static void
on_crowd(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	supervise_make_room(arg);
}

void
supervise_room_init(struct supervisor *s)
{
	evtimer_assign(&s->crowd, s->base, on_crowd, s);
}
