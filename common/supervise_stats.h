/* SPDX-License-Identifier: ISC */
/*
 * supervise_stats: the pages that the processes count on (stats.h), and what
 * the master counts itself.  Runs in the master.
 *
 * A page belongs to a place: whoever is there next goes on with it.  Workers
 * out of a nursery count on the nursery's.  When a generation has ended, the
 * totals of its pages go to the master's own, which survives reloads.
 */
#ifndef SUPERVISE_STATS_H
#define SUPERVISE_STATS_H

#include <stdint.h>

#include "log.h"
#include "stats.h"

struct place;
struct reload_state;
struct supervisor;

struct stats_entry {
	uint32_t generation;
	enum role role;
	unsigned int number;
	int fd;
	struct stats *page;
};

struct stats_book {
	struct stats *kept; /* the master's own page: stats_own */
	int kept_fd;
	struct stats_entry *entries;
	size_t n;
	struct log_counts logged; /* that are on kept already */
};

void supervise_stats_init(struct supervisor *s);
/* The pages that the image before had; what is of another form is dropped. */
void supervise_stats_adopt(
    struct supervisor *s, const struct reload_state *before);
/* For the next image. */
void supervise_stats_put(const struct supervisor *s, struct reload_state *st);

/* The page for a process of p, which is about to begin; stays ours. */
int supervise_stats_fd(struct place *p);
/* Its process has ended. */
void supervise_stats_ended(struct place *p);
/* A generation has ended: its totals are kept, its pages go. */
void supervise_stats_keep(struct supervisor *s, uint32_t generation);

/* p is a new metrics process: tell it of all pages. */
void supervise_stats_tell(struct place *p);

/* Everything that all have counted so far, and what holds now. */
void supervise_stats_sum(const struct supervisor *s, struct stats *sum);
/* What holds now, of the master's; each second. */
void supervise_stats_look(struct supervisor *s);

#endif
