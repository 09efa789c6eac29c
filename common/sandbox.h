/* SPDX-License-Identifier: ISC */
/*
 * sandbox: one seccomp filter per role, each allowed call with its reason,
 * and Landlock where the kernel has it.  The last step of confinement: after
 * it a process can do what its row in the README's table says, no more.
 *
 * What an attacker would need (execve, ptrace, socket, unlink, ...) kills the
 * process; what a library may try (open to read) is an error; what nobody has
 * heard of is ENOSYS, so that libraries fall back.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "msg.h" /* enum role */
#include "text.h"

/* What could not be had, for the log: bits of the result of sandbox_enter(). */
enum sandbox_missing {
	SANDBOX_NO_LANDLOCK = 1,       /* none at all: told instead of these */
	SANDBOX_NO_LANDLOCK_NET = 2,   /* too old a kernel: no network rules */
	SANDBOX_NO_LANDLOCK_SCOPE = 4, /* too old: no scoping of signals */
	SANDBOX_NO_SECCOMP = 8 /* not in this kernel, or a SANITIZE build */
};

struct sandbox {
	enum role role;
	/*
	 * What it may read, with all that is beneath; NULL: nothing.  The
	 * broker: etc (c-ares: hosts, resolv.conf), and the folder of
	 * sender_login_map; an authenticator: the
	 * folder of sasldb2, and random octets.
	 */
	const char *read_paths[2];
	/* broker: TCP ports it may connect to */
	const uint16_t *ports;
	size_t nports;
	/* authenticator: a plugin opens connections (sasl_network) */
	bool network;
	/* sandbox_compile()'s for this role; role_confine() puts it in */
	struct text filter;
};

#define SANDBOX_FILTER_MAX 32768 /* octets: BPF_MAXINSNS of 8 */

/*
 * In the master: append role's system call filter to out, whose ceiling is
 * SANDBOX_FILTER_MAX, for any process of this role and sasl_network to load.
 */
void sandbox_compile(enum role role, bool network, struct buf *out);

/* The same of a worker that is born in a nursery, whose filter it has. */
void sandbox_compile_born(struct buf *out);

/* What the master and all that it starts never do: a worker's is narrower. */
void sandbox_compile_master(struct buf *out);

/*
 * The master, once in its life: an image that takes over after a reload has
 * the filter already.  Sets no new privileges, too, which the roles that it
 * starts have in any case.  fatal() on an error that is not the kernel's lack.
 */
void sandbox_enter_master(void);

/*
 * Confine the calling process for good.  No new privileges must be set.
 * Returns a set of enum sandbox_missing; fatal() on an error that is not the
 * kernel's lack.
 */
unsigned int sandbox_enter(const struct sandbox *s);

#endif
