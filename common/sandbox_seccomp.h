/* SPDX-License-Identifier: ISC */
/*
 * sandbox_seccomp: the part of a sandbox that a system call filter makes
 * (seccomp(2)).
 */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include "sandbox.h"

/* SANDBOX_NO_SECCOMP or 0; fatal() on any other error. */
unsigned int sandbox_seccomp(const struct sandbox *s);

#endif
