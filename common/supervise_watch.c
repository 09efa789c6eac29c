/* SPDX-License-Identifier: ISC */
/*
 * supervise_watch: are the roles alive?  Runs in the master.  Each is asked,
 * and has until the next time to answer: one that hangs is killed, and then
 * replaced like any that died.  What the service manager's watchdog hears is
 * the master's word that this goes on.
 */
#include "clock.h"
#include "crew.h"
#include "log.h"
#include "supervise_impl.h"

#define ALIVE_SECONDS 30 /* where no watchdog wants it otherwise */
#define USEC 1000000

static void
visit_now(struct supervisor *s, place_visitor *f, void *arg)
{
	unsigned int i;

	f(&s->broker, arg);
	f(&s->metrics, arg);
	f(&s->control, arg);
	for (i = 0; i < s->nkeepers; i++)
		f(&s->keepers[i], arg);
	for (i = 0; i < s->nauthenticators; i++)
		f(&s->authenticators[i], arg);
	for (i = 0; i < s->nnurseries; i++)
		f(&s->nurseries[i], arg);
	for (i = 0; i < s->nworkers; i++)
		f(&s->workers[i], arg);
}

void
supervise_visit(struct supervisor *s, place_visitor *f, void *arg)
{
	visit_now(s, f, arg);
	crews_visit(s, false, f, arg);
}

void
supervise_visit_all(struct supervisor *s, place_visitor *f, void *arg)
{
	visit_now(s, f, arg);
	crews_visit(s, true, f, arg);
}

/*
 * An authenticator hears nobody while Cyrus SASL thinks, and the broker sees
 * to it that this ends (sasl_timeout).
 */
static time_t
patience(const struct place *p)
{
	return (time_t)p->s->patience +
	    (p->role == ROLE_AUTHENTICATOR ? (time_t)p->s->conf->sasl_timeout
	                                   : 0);
}

/* Kill it if it owes us an answer; ask it again if it does not. */
static void
look(struct place *p, void *arg)
{
	time_t now = clock_seconds();
	bool *lost = arg;

	if (p->pid == 0 || p->ch == NULL)
		return;
	if (p->overdue) {
		*lost = true; /* not even SIGKILL has ended it */
	} else if (p->asked == 0) {
		place_send(p, MSG_ALIVE);
		p->asked = now;
	} else if (now - p->asked >= patience(p)) {
		log_warnx("%s %u does not answer and is ended",
		    role_name(p->role), p->number + 1);
		p->overdue = true;
		place_end(p);
	}
}

static void
on_alive(int fd, short what, void *arg)
{
	struct supervisor *s = arg;
	bool lost = false;

	(void)fd;
	(void)what;
	/* On the way out they are asked nothing; SIGKILL is there for them. */
	if (!s->stopping)
		supervise_visit(s, look, &lost);
	if (!lost)
		notify_alive(s->notify);
}

int
place_alive(struct place *p, struct reader *r)
{
	/* An old role may answer what the image before has asked. */
	if ((p->asked == 0 && p->crew == NULL) || get_end(r) == -1)
		return -1;
	p->asked = 0;
	return 0;
}

/*
 * Half the watchdog's time, as sd_watchdog_enabled(3) advises.  Answers are
 * counted in whole seconds, and have at least two of them.
 */
void
supervise_watch(struct supervisor *s, const struct notify *n)
{
	struct timeval every = { .tv_sec = ALIVE_SECONDS };

	s->notify = n;
	if (n->watchdog_us != 0) {
		every.tv_sec = (time_t)(n->watchdog_us / 2 / USEC);
		every.tv_usec = (suseconds_t)(n->watchdog_us / 2 % USEC);
	}
	s->patience = every.tv_sec < 2 ? 2 : (unsigned int)every.tv_sec;
	event_assign(&s->alive, s->base, -1, EV_PERSIST, on_alive, s);
	event_add(&s->alive, &every);
}
