/* SPDX-License-Identifier: ISC */
/*
 * machine: what a configuration leaves to the machine that it is used on:
 * how many processors it has, how many files it allows, what it is called.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "conf.h"

/* Fill that in; fewer clients where there can be no files for them. */
void machine_fit(struct conf *c);

/*
 * Raise our own limit of open files: each process has a channel to us, and
 * with a process for each client there are far more of them than the usual
 * soft limit (1024) is good for.
 */
void machine_allow_files(void);

#endif
