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

struct protocol;
struct supervisor;

/*
 * c is settled, with workers, worker_connections and keepers filled in;
 * listeners belong to c->listen.  Certificates and keys are read now, once.
 * NULL, with messages logged, when they cannot be.
 */
struct supervisor *supervise_new(
    const struct conf *c, const struct protocol *p, const int *listeners);

/*
 * Start one keeper, see whether the keys are good, and end it: for
 * --check_config.  0 or -1 (messages are logged).
 */
int supervise_check(struct supervisor *s);

/*
 * Start the roles; -1 when keepers, broker or authenticators do not come up.
 * Then supervise_run() serves until SIGTERM or SIGINT and returns when all
 * processes have ended.
 */
int supervise_start(struct supervisor *s);

/*
 * From now on ask each role, again and again, whether it is alive, replace the
 * one that does not answer, and tell the service manager's watchdog (n, which
 * stays the caller's) that all is well, or is being dealt with; and that we
 * stop, when we do.
 */
struct notify;
void supervise_watch(struct supervisor *s, const struct notify *n);
void supervise_run(struct supervisor *s);

#endif
