/* SPDX-License-Identifier: ISC */
/*
 * metrics_listen: the socket on which numbers are served.  Runs in the master,
 * which never reads from it.
 */
#ifndef METRICS_LISTEN_H
#define METRICS_LISTEN_H

#include "conf.h"

struct reload_state;

/*
 * What c->metrics_listen asks for: the very socket that before (NULL: nobody)
 * has open there, or a new one, close-on-exec.  -1 with a message logged.
 */
int metrics_listen_open(
    const struct conf *c, const struct reload_state *before);

/* Could that be had?  Nothing is kept, and nobody is disturbed.  0 or -1. */
int metrics_listen_try(const struct conf *c, const struct reload_state *before);

/* Nobody listens there any more: a UNIX socket's name (NULL: none) goes. */
void metrics_listen_remove(const char *path);

#endif
