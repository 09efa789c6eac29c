/* SPDX-License-Identifier: ISC */
/*
 * master: options, configuration, listeners, then the daemon's life.  Runs as
 * root with the few capabilities it needs; parses nothing from the network
 * but the bounded fields of messages.
 */
#ifndef MASTER_H
#define MASTER_H

struct protocol;

/* The whole of a daemon's main().  Returns the exit status. */
int master_main(const struct protocol *p, int argc, char *argv[]);

#endif
