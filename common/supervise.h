/* SPDX-License-Identifier: ISC */
/*
 * supervise: the processes of one daemon: starts the roles, gives them their
 * channels to each other, replaces those that die, writes the log for them,
 * and ends them.  Runs in the master.
 */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

struct pid_file;
struct protocol;
struct reload_state;
struct supervisor;

/* How the daemon was started: what a reload executes again. */
struct supervise_launch {
	const char *program; /* a path */
	char *const *argv;   /* a copy: a process's title goes over the first */
	const char *folder;  /* the working directory; relative paths */
	bool background;
	const struct inherited *inherited; /* may be of the kind INHERIT_NONE */
	const struct pid_file *pid_file;   /* NULL: none */
};

/*
 * c is settled, with workers, worker_connections and keepers filled in;
 * listeners belong to c->listen.  Certificates and keys are read now, once.
 * NULL, with messages logged, when they cannot be.
 */
struct supervisor *supervise_new(
    const struct conf *c, const struct protocol *p, const int *listeners);

/*
 * The same in a program that was executed by a reload: before's processes
 * are its own from now on, and before is kept.  Never NULL: where there is no
 * new generation to be had (listeners NULL, or a message was logged), those
 * of before go on.
 */
struct supervisor *supervise_resume(const struct conf *c,
    const struct protocol *p, const int *listeners,
    const struct reload_state *before);

/*
 * Start one keeper, see whether the keys are good, and end it: for
 * --check_config.  strict: a certificate that is not valid today is a fault.
 * 0 or -1 (messages are logged).
 */
int supervise_check(
    const struct conf *c, const struct protocol *p, bool strict);

/*
 * Start the roles; -1 when keepers, broker or authenticators do not come up.
 * Then supervise_run() serves until SIGTERM or SIGINT and returns when all
 * processes have ended: 0, or -1 when they did so by themselves.  launch is
 * kept.  SIGHUP: it executes the program again and then does not return.
 */
int supervise_start(struct supervisor *s);
int supervise_run(struct supervisor *s, const struct supervise_launch *launch);

/*
 * From now on ask each role, again and again, whether it is alive, replace the
 * one that does not answer, and tell the service manager's watchdog (n, which
 * stays the caller's) that all is well, or is being dealt with; and that we
 * stop, when we do.
 */
struct notify;
void supervise_watch(struct supervisor *s, const struct notify *n);

#endif
