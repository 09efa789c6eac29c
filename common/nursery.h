/* SPDX-License-Identifier: ISC */
/*
 * nursery: where workers that serve one client each come from: a process that
 * loads what a worker needs, once, and forks a worker whenever the master asks
 * for one.
 */
#ifndef NURSERY_H
#define NURSERY_H

#include "role.h"

_Noreturn void nursery_main(const struct role_start *start);

#endif
