/* SPDX-License-Identifier: ISC */
/*
 * crew: an old generation's processes.  Runs in the master.
 */
#include <sys/wait.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "crew.h"
#include "log.h"
#include "reload_state.h"
#include "xmalloc.h"

#define END_SECONDS 2 /* after stop_timeout, until SIGKILL */

static void
no_report(void *arg, bool is_error, const char *text)
{
	(void)arg;
	(void)is_error;
	(void)text;
}

bool
crew_is_foreign(const struct crew *c)
{
	return c->messages != MSG_VERSION;
}

/* An older program's may not parse: then ours names its servers. */
static struct conf *
conf_of(const struct supervisor *s, const char *text)
{
	struct conf *c = conf_new(s->protocol->defaults, no_report, NULL);

	if (conf_read_role(c, text_of(text)) == -1)
		conf_free(&c);
	return c;
}

/* They are running late, or a session that would not end. */
static void
on_deadline(int fd, short what, void *arg)
{
	struct crew *c = arg;
	const struct timeval grace = {
		.tv_sec = (time_t)(c->conf != NULL ? c->conf->stop_timeout
		                                   : c->s->conf->stop_timeout) +
		    END_SECONDS
	};
	size_t i;

	(void)fd;
	(void)what;
	for (i = 0; i < c->nplaces; i++)
		if (c->stopping)
			place_end(&c->places[i]);
		else if (c->places[i].role == ROLE_WORKER)
			place_send(&c->places[i], MSG_STOP);
	if (!c->stopping)
		log_info("generation %" PRIu32 ": drain_timeout is over: its "
		         "sessions end",
		    c->generation);
	c->stopping = true;
	event_add(&c->deadline, &grace);
}

static void
add_place(struct crew *c, const struct reload_role *r)
{
	struct place *p = &c->places[c->nplaces++];

	place_init(c->s, p, (enum role)r->role, r->number);
	p->crew = c;
	p->serial = r->serial;
	p->pid = r->pid;
	p->ready = true;
	p->started = clock_seconds();
	if (r->fd != -1)
		place_open(p, r->fd);
	if (p->ch != NULL && crew_is_foreign(c))
		ipc_set_foreign(p->ch);
}

static struct crew *
crew_new(struct supervisor *s, const struct reload_state *st,
    const struct reload_crew *from)
{
	struct crew *c = xcalloc(1, sizeof(*c));
	size_t i;

	c->s = s;
	c->generation = from->generation;
	c->messages = from->messages;
	c->until = from->until;
	c->counters = from->counters;
	c->conf_text = xstrdup(from->conf);
	c->conf = conf_of(s, from->conf);
	c->places = xcalloc(st->nroles + 1, sizeof(*c->places));
	evtimer_assign(&c->deadline, s->base, on_deadline, c);
	for (i = 0; i < st->nroles; i++)
		if (st->roles[i].generation == c->generation)
			add_place(c, &st->roles[i]);
	if (crew_is_foreign(c))
		log_at(LOG_NOTICE,
		    "generation %" PRIu32 ": its program has other messages: "
		    "its sessions go on, but what they would log is lost",
		    c->generation);
	return c;
}

static void
crew_free(struct crew *c)
{
	const uint32_t none = 0;
	size_t i;

	TAILQ_REMOVE(&c->s->crews, c, entry);
	event_del(&c->deadline);
	for (i = 0; i < c->nplaces; i++)
		ipc_free(&c->places[i].ch);
	supervise_stats_keep(c->s, c->generation);
	/* Our broker counts nobody of it any more. */
	if (c->counters != -1) {
		if (pwrite(c->counters, &none, sizeof(none), 0) == -1)
			log_warn("an old generation's counters");
		close(c->counters);
	}
	conf_free(&c->conf);
	free(c->conf_text);
	free(c->places);
	free(c);
}

static unsigned int
count(const struct crew *c, bool workers_only)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < c->nplaces; i++)
		if (c->places[i].pid != 0 &&
		    (!workers_only || c->places[i].role == ROLE_WORKER))
			n++;
	return n;
}

unsigned int
crews_running(const struct supervisor *s, bool workers_only)
{
	const struct crew *c;
	unsigned int n = 0;

	TAILQ_FOREACH (c, &s->crews, entry)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		n += count(c, workers_only);
	return n;
}

void
crews_visit(
    const struct supervisor *s, bool foreign, place_visitor *f, void *arg)
{
	const struct crew *c;
	size_t i;

	TAILQ_FOREACH (c, &s->crews, entry)
		for (i = 0; i < c->nplaces && (foreign || !crew_is_foreign(c));
		     i++)
			f(&c->places[i], arg);
}

static void
set_title(const struct supervisor *s)
{
	unsigned int n = crews_running(s, true);

	if (n == 0)
		setproctitle("master");
	else
		setproctitle("master, %u old worker%s", n, n == 1 ? "" : "s");
}

void
crews_adopt(struct supervisor *s, const struct reload_state *st)
{
	struct crew *c;
	size_t i;

	for (i = 0; i < st->ncrews; i++) {
		c = crew_new(s, st, &st->crews[i]);
		TAILQ_INSERT_TAIL(&s->crews, c, entry);
	}
	set_title(s);
}

/* Nobody needs role any more. */
static void
dismiss(struct crew *c, enum role role)
{
	struct place *p;
	size_t i;

	for (i = 0; i < c->nplaces; i++) {
		p = &c->places[i];
		if (p->role != role)
			continue;
		p->given_up = true; /* it may go as it likes */
		if (role == ROLE_AUTHENTICATOR)
			place_end(p); /* its step may have no end */
		else
			place_send(p, MSG_STOP);
	}
}

void
crews_dismiss_control(struct supervisor *s)
{
	struct crew *c;

	TAILQ_FOREACH (c, &s->crews, entry)
		dismiss(c, ROLE_CONTROL);
}

void
crew_settled(struct crew *c)
{
	size_t i;

	for (i = 0; i < c->nplaces; i++)
		if (c->places[i].role == ROLE_WORKER && c->places[i].pid != 0 &&
		    !c->places[i].settled)
			return;
	dismiss(c, ROLE_KEEPER);
	dismiss(c, ROLE_AUTHENTICATOR);
}

void
crews_go_on(struct supervisor *s)
{
	struct crew *c, *next;

	for (c = TAILQ_FIRST(&s->crews); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		crew_settled(c);
		if (count(c, true) > 0)
			continue;
		if (count(c, false) > 0) {
			dismiss(c, ROLE_BROKER);
			dismiss(c, ROLE_METRICS);
			dismiss(c, ROLE_CONTROL);
			continue;
		}
		if (!s->stopping)
			log_info(
			    "generation %" PRIu32 " has ended", c->generation);
		crew_free(c);
	}
	set_title(s);
}

static void
drain(struct crew *c)
{
	const time_t now = clock_seconds();
	struct timeval left = { .tv_sec = 0 };
	size_t i;

	for (i = 0; i < c->nplaces; i++)
		place_send(&c->places[i], MSG_DRAIN);
	dismiss(c, ROLE_METRICS); /* ours tells of it, too */
	if (c->until == 0 && c->s->conf->drain_timeout != 0)
		c->until = (uint64_t)now + c->s->conf->drain_timeout;
	if (c->until > (uint64_t)now)
		left.tv_sec = (time_t)c->until - now;
	if (c->until != 0 && !event_pending(&c->deadline, EV_TIMEOUT, NULL))
		event_add(&c->deadline, &left);
}

void
crews_drain(struct supervisor *s)
{
	struct crew *c;

	TAILQ_FOREACH (c, &s->crews, entry)
		drain(c);
	crews_go_on(s);
}

void
crews_stop(struct supervisor *s)
{
	struct crew *c;
	size_t i;

	TAILQ_FOREACH (c, &s->crews, entry) {
		event_del(&c->deadline);
		for (i = 0; i < c->nplaces; i++)
			if (c->places[i].role == ROLE_WORKER)
				place_send(&c->places[i], MSG_STOP);
	}
}

void
crews_kill(struct supervisor *s)
{
	struct crew *c;
	size_t i;

	TAILQ_FOREACH (c, &s->crews, entry)
		for (i = 0; i < c->nplaces; i++)
			place_end(&c->places[i]);
}

struct place *
crew_place_of(const struct supervisor *s, pid_t pid)
{
	struct crew *c;
	size_t i;

	TAILQ_FOREACH (c, &s->crews, entry)
		for (i = 0; i < c->nplaces; i++)
			if (c->places[i].pid == pid)
				return &c->places[i];
	return NULL;
}

/* Those who were dead before stand in no list: there may be none. */
struct place *
crew_place(const struct crew *c, enum role role, unsigned int number)
{
	size_t i;

	for (i = 0; i < c->nplaces; i++)
		if (c->places[i].role == role && c->places[i].number == number)
			return &c->places[i];
	return NULL;
}

/*
 * As supervise_nursery.c does: with a process for each client they may have
 * the same address layout.  Who has logged in has settled by now.
 */
static void
give_up_kin(struct crew *c)
{
	struct place *p;
	size_t i;

	if (c->conf == NULL || c->conf->worker_connections != 1)
		return;
	for (i = 0; i < c->nplaces; i++) {
		p = &c->places[i];
		if (p->role != ROLE_WORKER || p->settled)
			continue;
		p->given_up = true;
		place_end(p);
	}
}

void
crew_died(struct place *p, int status)
{
	struct crew *c = p->crew;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	bool hung = p->accused && p->role == ROLE_AUTHENTICATOR;
	char fate[64];

	p->pid = 0;
	ipc_free(&p->ch);
	supervise_stats_ended(p);
	/* A worker is accused at every end, by those it had a channel to. */
	if (!good && !hung && !p->given_up && !c->stopping && !c->s->stopping &&
	    (p->role == ROLE_WORKER || count(c, true) > 0)) {
		log_warnx("old %s %u %s", role_name(p->role), p->number + 1,
		    child_fate(status, fate, sizeof(fate)));
		if (p->role == ROLE_WORKER) {
			supervise_change_ticket_key(c->s);
			give_up_kin(c);
		}
	}
	crews_go_on(c->s);
}
