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

enum generation_use {
	GENERATION_SERVES,
	GENERATION_CHECKS, /* --check_config: all of ssl_cert_dir must be good
	                    */
	GENERATION_RELOADS /* the same before a reload: keepers are to take no
	                    */
	                   /* certificate that is not valid today */
};

/* NULL, with a message for each file that cannot be had. */
struct generation *generation_new(
    const struct conf *c, enum generation_use use);

/* What is known of its certificates; it stays the generation's. */
struct certs;
struct certs *generation_certs(const struct generation *g);
/*
 * They have changed, and what starts from now on has them.  The memfds are
 * others then.  -1 with errno: to be done again.
 */
int generation_renew(struct generation *g);

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
