/* SPDX-License-Identifier: ISC */
/*
 * sandbox_rules: the system calls of each role, as rows for sandbox_seccomp
 * alone: the names are as short as a table wants them.
 */
#ifndef SANDBOX_RULES_H
#define SANDBOX_RULES_H

#include <stddef.h>

#include <seccomp.h>

#include "sandbox.h"

enum {
	K = 1 << ROLE_KEEPER,
	B = 1 << ROLE_BROKER,
	A = 1 << ROLE_AUTHENTICATOR,
	M = 1 << ROLE_METRICS,
	/*
	 * What a worker may, its nursery may, too: the nursery's filter stays
	 * with what is born in it, and sandbox_compile_born()'s comes on top.
	 */
	N = 1 << ROLE_NURSERY,
	W = 1 << ROLE_WORKER | N,
	C = 1 << ROLE_CONTROL,
	/* an authenticator with sasl_network, and one without */
	NET = 1 << ROLE_MAX,
	NO_NET = NET << 1,
	ALL = K | B | W | A | C | M,
	BUT_N = ALL & ~N,
	BUT_A = ALL & ~A,
	BUT_M = ALL & ~M, /* it gets no channel but its first */
	WORKER = W & ~N,
	/*
	 * The master, which all are born of: what even it never does, nor a
	 * library that a role loads before it is confined.
	 */
	EVEN_M = ALL | 1 << ROLE_MASTER
};

#define RULE_ARGS 4

struct rule {
	unsigned int roles;
	int call; /* negative: this architecture has no such call */
	struct scmp_arg_cmp args[RULE_ARGS]; /* all must hold; op 0: the end */
};

/* Conditions on argument n, counted from 0. */
#define EQ(n, v) SCMP_CMP(n, SCMP_CMP_EQ, v, 0)
#define NE(n, v) SCMP_CMP(n, SCMP_CMP_NE, v, 0)

struct rules {
	const struct rule *rows;
	size_t n;
};

/* What a role needs. */
extern const struct rules sandbox_allowed;
/* What a library may well try, and can live without: an error. */
extern const struct rules sandbox_refused;
/* Changes to files: an error in an authenticator, else they end the process. */
extern const struct rules sandbox_changing;
/* What nobody but an attacker would do ends the process. */
extern const struct rules sandbox_killed;

#endif
