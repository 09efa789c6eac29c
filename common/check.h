/* SPDX-License-Identifier: ISC */
/*
 * check: everything a start needs of the machine, looked at beforehand:
 * files that must be readable, users, folders.  Keys are checked by the
 * keeper, who alone may parse them.  Runs in the master, before it serves.
 */
#ifndef CHECK_H
#define CHECK_H

#include "conf.h"

struct protocol;

/* Report each fault through report; returns how many there were. */
unsigned int check_machine(const struct conf *c, const struct protocol *p,
    conf_report *report, void *arg);

#endif
