/* SPDX-License-Identifier: ISC */
/*
 * sandbox_seccomp: the part of a sandbox that a system call filter makes
 * (seccomp(2)).
 */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include "sandbox.h"

/* Load what sandbox_compile() made: SANDBOX_NO_SECCOMP or 0, or fatal(). */
unsigned int sandbox_seccomp(struct text filter);

#endif
