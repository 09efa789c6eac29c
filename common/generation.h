/* SPDX-License-Identifier: ISC */
/*
 * generation: what the master read once (configuration, certificates, keys),
 * as one sealed memfd per role.  Runs in the master; keys pass through it
 * from file to memfd inside the kernel.
 */
#ifndef GENERATION_H
#define GENERATION_H

#include "conf.h"

struct generation;

/* NULL, with a message for each file that cannot be had. */
struct generation *generation_new(const struct conf *c);

/* The file of users' passwords that authenticators are to have a copy of. */
const char *generation_sasldb(const struct generation *g);

/*
 * The memfd for role; it stays the generation's.  A nursery loads what its
 * workers are to have, so it has theirs.
 */
int generation_handover(const struct generation *g, enum role role);

#endif
