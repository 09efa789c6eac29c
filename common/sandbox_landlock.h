/* SPDX-License-Identifier: ISC */
/*
 * sandbox_landlock: the part of a sandbox that Landlock (landlock(7)) makes:
 * files, TCP ports, signals and abstract sockets.
 */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H

#include "sandbox.h"

/* Returns a set of enum sandbox_missing; fatal() on any other error. */
unsigned int sandbox_landlock(const struct sandbox *s);

/* The same as a kernel with this version of Landlock has it; 0: with none. */
unsigned int sandbox_landlock_at_most(const struct sandbox *s, long abi_max);

#endif
