/* SPDX-License-Identifier: ISC */
/*
 * supervise_metrics: the role that tells numbers, and its listener, at a
 * start, a reload and the end.  Runs in the master.
 */
#include <string.h>
#include <unistd.h>

#include "metrics_listen.h"
#include "reload_state.h"
#include "supervise_impl.h"
#include "xmalloc.h"

/* A daemon that cannot tell its numbers is not what was asked for. */
int
supervise_metrics_start(struct supervisor *s)
{
	if (s->conf->metrics_listen == NULL || s->conf->one_client)
		return 0;
	s->metrics_fd = metrics_listen_open(s->conf, s->before);
	if (s->metrics_fd == -1)
		return -1;
	place_spawn(&s->metrics);
	return 0;
}

void
supervise_metrics_put(const struct supervisor *s, struct reload_state *st)
{
	const struct reload_state *b = s->before;

	st->metrics_fd = -1;
	if (!supervise_is_idle(s) && s->metrics_fd != -1) {
		st->metrics_listen = xstrdup(s->conf->metrics_listen);
		st->metrics_fd = s->metrics_fd;
	} else if (supervise_is_idle(s) && b != NULL && b->metrics_fd != -1) {
		st->metrics_listen = xstrdup(b->metrics_listen);
		st->metrics_fd = b->metrics_fd;
	}
}

static void
drop(int fd, const char *listen)
{
	close(fd);
	if (listen[0] == '/')
		metrics_listen_remove(listen);
}

/* There is no new generation: what was opened for it goes. */
void
supervise_metrics_give_up(struct supervisor *s)
{
	if (s->metrics_fd != -1 && s->metrics_fd != s->before->metrics_fd)
		drop(s->metrics_fd, s->conf->metrics_listen);
	s->metrics_fd = -1;
}

/* The new generation serves: what the old one had goes. */
void
supervise_metrics_take_over(struct supervisor *s)
{
	const struct reload_state *b = s->before;

	if (b->metrics_fd != -1 && b->metrics_fd != s->metrics_fd)
		drop(b->metrics_fd, b->metrics_listen);
}

void
supervise_metrics_end(struct supervisor *s)
{
	if (s->metrics_fd != -1)
		drop(s->metrics_fd, s->conf->metrics_listen);
	s->metrics_fd = -1;
}
