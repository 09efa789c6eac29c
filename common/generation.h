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

/*
 * NULL, with a message for each file that cannot be had.  strict: keepers are
 * to take no certificate that is not valid today.
 */
struct generation *generation_new(const struct conf *c, bool strict);

/*
 * What ssl_passphrase_fd gave, for the generation after a reload, since there
 * it cannot be read again: a sealed memfd, the generation's, or -1.
 */
int generation_passphrase(const struct generation *g);

/* The file of users' passwords that authenticators are to have a copy of. */
const char *generation_sasldb(const struct generation *g);

/*
 * The memfd for role; it stays the generation's.  A nursery loads what its
 * workers are to have, so it has theirs.
 */
int generation_handover(const struct generation *g, enum role role);

#endif
