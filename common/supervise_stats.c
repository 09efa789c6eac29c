/* SPDX-License-Identifier: ISC */
/*
 * supervise_stats: whose page is which, and the master's own.  Runs in the
 * master, which reads nothing from a page but numbers to be added.
 */
#include <sys/resource.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "reload_state.h"
#include "supervise_impl.h"
#include "supervise_stats.h"
#include "xmalloc.h"

void
supervise_stats_init(struct supervisor *s)
{
	struct stats_book *b = &s->stats;

	b->kept = stats_page_new(&b->kept_fd);
	stats_own = b->kept;
	STATS_SET(started_at, (uint64_t)time(NULL));
	STATS_SET(reloaded_at, (uint64_t)time(NULL));
	STATS_SET(generation, 1);
}

static void
add(struct stats_book *b, const struct stats_entry *e)
{
	b->entries =
	    xrecallocarray(b->entries, b->n, b->n + 1, sizeof(*b->entries));
	b->entries[b->n++] = *e;
}

/* The master's own of before: what it has of one moment is of before, too. */
static void
adopt_kept(struct supervisor *s, struct stats *kept, int fd)
{
	const uint64_t started = kept->started_at;

	stats_page_close(s->stats.kept, s->stats.kept_fd);
	s->stats.kept = stats_own = kept;
	s->stats.kept_fd = fd;
	kept->sequence &= ~UINT64_C(1);
	stats_clear_gauges(kept);
	STATS_SET(started_at, started);
	STATS_SET(reloaded_at, (uint64_t)time(NULL));
	STATS_SET(generation, s->number);
}

void
supervise_stats_adopt(struct supervisor *s, const struct reload_state *before)
{
	struct stats_entry e;
	size_t i;

	for (i = 0; i < before->nstats; i++) {
		e.generation = before->stats[i].generation;
		e.role = (enum role)before->stats[i].role;
		e.number = before->stats[i].number;
		e.fd = before->stats[i].fd;
		e.page = stats_page_open(e.fd);
		if (e.page == NULL)
			close(e.fd);
		else if (e.role == ROLE_MASTER)
			adopt_kept(s, e.page, e.fd);
		else
			add(&s->stats, &e);
	}
}

void
supervise_stats_put(const struct supervisor *s, struct reload_state *st)
{
	const struct stats_book *b = &s->stats;
	size_t i;

	st->nstats = b->n + 1;
	st->stats = xcalloc(st->nstats, sizeof(*st->stats));
	for (i = 0; i < b->n; i++)
		st->stats[i] = (struct reload_stats){ b->entries[i].generation,
			(uint8_t)b->entries[i].role,
			(uint16_t)b->entries[i].number, b->entries[i].fd };
	st->stats[i] =
	    (struct reload_stats){ .role = ROLE_MASTER, .fd = b->kept_fd };
}

static uint32_t
generation_of(const struct place *p)
{
	return p->crew != NULL ? p->crew->generation : p->s->number;
}

static struct stats_entry *
find(const struct place *p)
{
	const struct stats_book *b = &p->s->stats;
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->entries[i].role == p->role &&
		    b->entries[i].number == p->number &&
		    b->entries[i].generation == generation_of(p))
			return &b->entries[i];
	return NULL;
}

/* The metrics process may read it, and no more. */
static void
tell(struct supervisor *s, int fd, enum role role, uint32_t generation)
{
	struct place *p = &s->metrics;
	struct msg_stats m = { .role = (uint8_t)role,
		.old = role != ROLE_MASTER && generation != s->number };
	struct writer w;
	int readable;

	if (p->ch == NULL || (readable = stats_page_readable(fd)) == -1)
		return;
	msg_start(&w, MSG_STATS, 0);
	msg_put_stats(&w, &m);
	(void)ipc_send(p->ch, &w, readable);
	close(readable);
}

void
supervise_stats_tell(struct place *p)
{
	const struct stats_book *b = &p->s->stats;
	size_t i;

	tell(p->s, b->kept_fd, ROLE_MASTER, 0);
	for (i = 0; i < b->n; i++)
		tell(p->s, b->entries[i].fd, b->entries[i].role,
		    b->entries[i].generation);
}

int
supervise_stats_fd(struct place *p)
{
	struct stats_entry e = { .generation = generation_of(p),
		.role = p->role,
		.number = p->number };
	struct stats_entry *found = find(p);

	STATS_ADD(started[p->role], 1);
	if (found != NULL)
		return found->fd;
	e.page = stats_page_new(&e.fd);
	add(&p->s->stats, &e);
	tell(p->s, e.fd, e.role, e.generation);
	return e.fd;
}

void
supervise_stats_ended(struct place *p)
{
	struct stats_entry *e = find(p);

	/* A nursery's workers live on; the master counts what they are. */
	if (e != NULL)
		stats_clear_gauges(e->page);
}

void
supervise_stats_keep(struct supervisor *s, uint32_t generation)
{
	struct stats_book *b = &s->stats;
	size_t i, left = 0;

	for (i = 0; i < b->n; i++) {
		if (b->entries[i].generation != generation) {
			b->entries[left++] = b->entries[i];
			continue;
		}
		stats_keep(b->kept, b->entries[i].page, b->entries[i].role);
		stats_page_close(b->entries[i].page, b->entries[i].fd);
	}
	b->n = left;
}

void
supervise_stats_sum(const struct supervisor *s, struct stats *sum)
{
	const struct stats_book *b = &s->stats;
	size_t i;

	memset(sum, 0, sizeof(*sum));
	stats_add_page(sum, b->kept, ROLE_MASTER, false);
	for (i = 0; i < b->n; i++)
		stats_add_page(sum, b->entries[i].page, b->entries[i].role,
		    b->entries[i].generation != s->number);
}

/* --- what holds now ------------------------------------------------------ */

static void
count_place(struct place *p, void *arg)
{
	struct stats *now = arg;
	const struct conf *c = p->s->conf;

	if (p->crew != NULL && p->crew->conf != NULL)
		c = p->crew->conf;
	if (p->pid == 0)
		return;
	now->processes[p->role]++;
	if (p->role != ROLE_WORKER)
		return;
	if (p->crew != NULL)
		now->workers[STATS_OLD]++;
	else if (c->worker_connections == 1 && !p->busy)
		now->workers[STATS_SPARE]++;
	else
		now->workers[STATS_BUSY]++;
	if (c->worker_connections > 1) /* it counts them itself */
		return;
	/* An old one without a client is at its end. */
	now->clients += p->busy || p->crew != NULL;
	now->sessions += p->logged_in || p->crew != NULL;
}

static void
look_at_files(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	struct rlimit r;

	if (fd == -1)
		return;
	close(fd); /* the lowest that is free */
	STATS_SET(open_files, (uint64_t)fd);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0)
		STATS_SET(max_files, (uint64_t)r.rlim_cur);
}

static void
look_at_log(struct stats_book *b)
{
	const struct log_counts now = log_counts();

	STATS_ADD(log_lines, now.lines - b->logged.lines);
	STATS_ADD(log_lines_lost, now.lost - b->logged.lost);
	b->logged = now;
}

void
supervise_stats_look(struct supervisor *s)
{
	struct stats now = { .version = 0 };
	size_t i;

	supervise_visit(s, count_place, &now);
	now.processes[ROLE_MASTER] = 1;
	for (i = 0; i < ROLE_MAX; i++)
		STATS_SET(processes[i], now.processes[i]);
	for (i = 0; i < STATS_SPARES; i++)
		STATS_SET(workers[i], now.workers[i]);
	STATS_SET(clients, now.clients);
	STATS_SET(sessions, now.sessions);
	STATS_SET(generation, s->number);
	look_at_files();
	look_at_log(&s->stats);
}
