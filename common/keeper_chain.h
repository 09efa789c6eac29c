/* SPDX-License-Identifier: ISC */
/*
 * keeper_chain: the public part of a pair as the keeper hands it on: whether
 * it is whole, its names, its dates.
 */
#ifndef KEEPER_CHAIN_H
#define KEEPER_CHAIN_H

#include <time.h>

#include "msg.h"
#include "text.h"

#define KEEPER_CHAIN_CERTS 16 /* certificates in one chain */

struct keeper_chain {
	char *pem; /* the certificates of the file and nothing else */
	size_t len;
	char names[MSG_PAIR_NAMES_MAX + 1]; /* printable; "..." when more */
	time_t not_before, not_after;       /* of the first one */
};

/*
 * in is what stands in the file, which may have a key in it, too.  0, and
 * *c is to be freed; or -1 and a clause for the log in *why (static).
 */
int keeper_chain_read(struct text in, struct keeper_chain *c, const char **why);
void keeper_chain_free(struct keeper_chain *c);

#endif
