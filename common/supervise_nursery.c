/* SPDX-License-Identifier: ISC */
/*
 * supervise_nursery: workers that serve one client each, forked by a nursery
 * rather than executed.  Runs in the master, whose children they are.
 *
 * All that came of one nursery have its address layout and its canary: who can
 * read addresses in one worker knows those of its kin.  To guess them gains
 * nothing, since a guess that fails ends a worker: then the nursery is given up
 * and all of it in which nobody has logged in, so that who holds connections to
 * several has no second guess, and the next client meets another layout.
 * No nursery has more than a hundred, nor for longer than an hour.
 *
 * There are two, so that the second is ready when the first has had its share
 * or is given up.
 */
#include <sys/prctl.h>

#include "log.h"
#include "supervise_impl.h"

/*
 * Workers of one nursery.  What each says of itself there (MSG_BORN) has room
 * in a socket, should we not read for a while: nothing of it may wait.
 */
#define KIN_MAX 100

void
nursery_init(struct supervisor *s)
{
	unsigned int i;

	s->nnurseries = NURSERIES;
	for (i = 0; i < s->nnurseries; i++)
		place_init(s, &s->nurseries[i], ROLE_NURSERY, i);
}

void
nursery_start(struct supervisor *s)
{
	unsigned int i;

	/* An orphan of the nursery's is ours (nursery.c). */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == -1)
		fatal("subreaper");
	for (i = 0; i < s->nnurseries; i++)
		place_spawn(&s->nurseries[i]);
}

/* busy: it has had its share. */
static bool
bears(const struct place *n)
{
	return n->ch != NULL && n->ready && !n->busy && !n->given_up;
}

/* The one that has begun, or any. */
static const struct place *
current(const struct supervisor *s)
{
	const struct place *n, *best = NULL;

	for (n = s->nurseries; n < s->nurseries + s->nnurseries; n++)
		if (bears(n) && (best == NULL || n->borne > best->borne))
			best = n;
	return best;
}

bool
nursery_can_bear(const struct supervisor *s)
{
	return s->nnurseries == 0 || current(s) != NULL;
}

/* It ends when it has borne what it was asked for. */
static void
retire(struct place *n)
{
	n->busy = true;
	place_send(n, MSG_STOP);
}

void
nursery_bear(struct place *p, int fd)
{
	struct msg_birth m = { .number = (uint16_t)p->number,
		.serial = p->serial };
	const struct place *found = current(p->s);
	struct place *n;
	struct writer w;

	if (found == NULL)
		fatalx("there is no nursery for a worker");
	n = &p->s->nurseries[found->number];
	msg_start(&w, MSG_BIRTH, 0);
	msg_put_birth(&w, &m);
	(void)ipc_send(n->ch, &w, fd);
	p->kin = n->serial;
	if (++n->borne == KIN_MAX)
		retire(n);
}

int
nursery_born(struct place *nursery, struct reader *r)
{
	struct supervisor *s = nursery->s;
	struct msg_born m;
	struct place *p;

	if (msg_get_born(r, &m) == -1 || m.number >= s->nworkers)
		return -1;
	p = &s->workers[m.number];
	if (p->serial != m.serial)
		return 0; /* its channel broke: it is at its end */
	if (p->kin != nursery->serial || p->pid != 0)
		return -1;
	p->pid = (pid_t)m.pid;
	if (p->given_up || p->ch == NULL)
		place_end(p);
	return 0;
}

void
nursery_listen(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nnurseries; i++)
		if (s->nurseries[i].ch != NULL)
			ipc_drain(s->nurseries[i].ch);
}

void
nursery_died(struct place *nursery)
{
	struct supervisor *s = nursery->s;
	unsigned int i;

	for (i = 0; i < s->nworkers; i++)
		if (s->workers[i].kin == nursery->serial &&
		    s->workers[i].pid == 0)
			ipc_free(&s->workers[i].ch);
	supervise_want_spares(s);
}

static void
give_up(struct place *p)
{
	p->given_up = true;
	place_end(p);
}

/* Who has logged in meanwhile has said so, and is left alone. */
static void
give_up_unless_logged_in(struct place *p)
{
	if (p->ch != NULL)
		ipc_drain(p->ch);
	if (!p->logged_in)
		give_up(p);
}

void
nursery_give_up_kin(struct place *worker)
{
	struct supervisor *s = worker->s;
	struct place *p;

	if (worker->kin == 0)
		return;
	for (p = s->nurseries; p < s->nurseries + s->nnurseries; p++)
		if (p->serial == worker->kin)
			give_up(p);
	for (p = s->workers; p < s->workers + s->nworkers; p++)
		if (p->kin == worker->kin && (p->pid != 0 || p->ch != NULL))
			give_up_unless_logged_in(p);
	log_info("the workers of its kind without a login are replaced");
	supervise_want_spares(s);
}

void
nursery_renew(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nnurseries; i++)
		if (bears(&s->nurseries[i]) && s->nurseries[i].borne > 0)
			retire(&s->nurseries[i]);
}
