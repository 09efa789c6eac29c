/* SPDX-License-Identifier: ISC */
/*
 * launch: who started us, and what came along: a command line, the service
 * manager's or inetd's sockets, or the master whose place we take.  Runs in
 * the master, and in the child that checks for a reload.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "inherit.h"
#include "notify.h"
#include "reload_state.h"
#include "supervise.h"

struct launch {
	struct inherited inherited; /* when the daemon was started */
	struct notify notify;
	struct reload_state *before;   /* NULL: this is a start */
	struct supervise_launch again; /* how to be executed once more */
	bool asks; /* another one that runs, and does not start */
};

/*
 * Find out, first of all.  Sockets that were inherited at the start are so for
 * each image that follows.  0, or -1 with messages; a state that cannot be
 * read ends the process.
 */
int launch_find(struct launch *l, int argc, char *const *argv);

/* We are not the check that comes before, but the next image itself. */
bool launch_is_successor(const struct launch *l);

#endif
