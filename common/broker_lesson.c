/* SPDX-License-Identifier: ISC */
/*
 * broker_lesson: learns what the inner servers can do.  Runs in the broker.
 * The lists come through workers: they are bounded and checked as text, and
 * decide only what clients are told, never what is done.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "broker_lesson.h"
#include "capability.h"
#include "clock.h"
#include "log.h"
#include "xmalloc.h"

#define ANSWER_SECONDS 20 /* for a worker to learn one list */
#define RETRY_MAX 30      /* seconds between two tries at a silent server */
#define SECOND_SECONDS 1  /* between two questions for a second opinion */

struct pupil {
	struct lessons *lessons;
	uint16_t number;
	struct attempt *attempt;
	bool waiting; /* for a worker's answer */
	bool known, failed;
	unsigned int failures;
	struct capability list;
	struct event timer;
	/* what one worker says (0: nobody does), and another is to confirm */
	uint32_t claimant;
	struct capability claim;
	time_t asked; /* when another was asked */
	bool alone;   /* there was no other */
};

struct lessons {
	struct event_base *base;
	const struct conf *conf;
	struct upstreams *upstreams;
	lesson_merge *merge;
	lesson_give *give;
	lesson_tell *tell;
	void *arg;
	bool started;
	bool decided; /* something can be told: a list, or that there is none */
	bool known;
	struct capability list;
	struct pupil *pupils;
};

static void
set_timer(struct pupil *p, unsigned int seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	event_add(&p->timer, &tv);
}

/* What all known lists have in common; told to all when it is news. */
static void
decide(struct lessons *l)
{
	struct capability all;
	struct writer w;
	bool known = false, open = false;
	size_t i;

	capability_clear(&all);
	for (i = 0; i < l->conf->nservers; i++) {
		struct pupil *p = &l->pupils[i];

		if (!p->known && !p->failed)
			open = true;
		if (!p->known)
			continue;
		if (known)
			l->merge(&all, &p->list);
		else
			all = p->list;
		known = true;
	}
	if (!known && open)
		return; /* the first answer is still to come */
	if (l->decided && l->known == known && capability_same(&l->list, &all))
		return;
	l->decided = true;
	l->known = known;
	l->list = all;
	if (lessons_put(l, &w))
		l->tell(l->arg, &w);
}

static void
failed(struct pupil *p)
{
	unsigned int wait = p->failures < 5 ? 1U << p->failures : RETRY_MAX;

	p->failures++;
	p->failed = true;
	p->waiting = false;
	set_timer(p, wait > RETRY_MAX ? RETRY_MAX : wait);
	decide(p->lessons);
}

static void
on_connected(void *arg, int fd, uint16_t server)
{
	struct pupil *p = arg;
	struct msg_learn m = { .server = p->number };
	struct writer w;

	(void)server;
	p->attempt = NULL;
	if (fd == -1) {
		failed(p);
		return;
	}
	msg_start(&w, MSG_LEARN, 0);
	msg_put_learn(&w, &m);
	if (p->lessons->give(p->lessons->arg, &w, fd, p->claimant, &p->alone) ==
	    -1) {
		failed(p);
	} else {
		p->waiting = true;
		set_timer(p, ANSWER_SECONDS);
	}
	close(fd);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct pupil *p = arg;

	(void)fd;
	(void)what;
	if (p->waiting) { /* its worker died, or the server is silent */
		failed(p);
		return;
	}
	if (p->attempt == NULL)
		p->attempt = upstreams_connect_to(
		    p->lessons->upstreams, p->number, on_connected, p);
}

struct lessons *
lessons_new(struct event_base *base, const struct conf *c, struct upstreams *u,
    lesson_merge *merge, lesson_give *give, lesson_tell *tell, void *arg)
{
	struct lessons *l = xcalloc(1, sizeof(*l));
	size_t i;

	l->base = base;
	l->conf = c;
	l->upstreams = u;
	l->merge = merge;
	l->give = give;
	l->tell = tell;
	l->arg = arg;
	l->pupils = xcalloc(c->nservers, sizeof(*l->pupils));
	for (i = 0; i < c->nservers; i++) {
		l->pupils[i].lessons = l;
		l->pupils[i].number = (uint16_t)i;
		evtimer_assign(
		    &l->pupils[i].timer, base, on_timer, &l->pupils[i]);
	}
	return l;
}

void
lessons_start(struct lessons *l)
{
	size_t i;

	if (l->started || l->conf->capability != NULL)
		return;
	l->started = true;
	for (i = 0; i < l->conf->nservers; i++)
		set_timer(&l->pupils[i], 0);
}

/* Entries, each with LF; -1 when they are not. */
static int
parse_list(struct text list, struct capability *out)
{
	struct text entry;

	capability_clear(out);
	while (list.len > 0) {
		if (!text_split(&list, '\n', &entry) || list.p == NULL ||
		    capability_add(out, entry) == -1)
			return -1;
	}
	return 0;
}

/* The list of this server is that, until a worker says otherwise. */
static void
adopt(struct pupil *p, const struct capability *list)
{
	p->list = *list;
	p->known = true;
	p->claimant = 0;
	decide(p->lessons);
}

/* One worker's news: have another asked, unless one was just now. */
static void
claim(struct pupil *p, const struct capability *list, uint32_t worker)
{
	p->claimant = worker;
	p->claim = *list;
	p->alone = false;
	if (clock_seconds() - p->asked < SECOND_SECONDS) {
		set_timer(p, SECOND_SECONDS);
		return;
	}
	p->asked = clock_seconds();
	set_timer(p, 0);
}

/* Does it hold that the server can do this? */
static void
weigh(struct pupil *p, const struct capability *list, uint32_t worker)
{
	const bool claimed =
	    p->claimant != 0 && capability_same(&p->claim, list);

	if (!p->known)
		adopt(p, list);
	else if (capability_same(&p->list, list))
		p->claimant = 0;
	else if (claimed && (p->claimant != worker || p->alone))
		adopt(p, list);
	else if (!claimed)
		claim(p, list, worker);
	else /* it repeats itself: the other is still to be asked */
		set_timer(p, SECOND_SECONDS);
}

int
lessons_answer(
    struct lessons *l, const struct msg_capability *m, uint32_t worker)
{
	struct pupil *p = &l->pupils[m->server];
	struct capability list;

	if (!m->known) {
		if (p->waiting)
			failed(p);
		return 0;
	}
	if (parse_list(m->list, &list) == -1)
		return -1;
	p->failed = p->waiting = false;
	p->failures = 0;
	upstreams_report(l->upstreams, m->server, true);
	if (l->started)
		set_timer(p, l->conf->capability_refresh);
	weigh(p, &list, worker);
	return 0;
}

bool
lessons_put(const struct lessons *l, struct writer *w)
{
	struct msg_capability_set m = { .known = l->known,
		.list = { l->list.text, l->list.len } };

	if (!l->decided)
		return false;
	msg_start(w, MSG_CAPABILITY_SET, 0);
	msg_put_capability_set(w, &m);
	return true;
}
