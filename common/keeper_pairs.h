/* SPDX-License-Identifier: ISC */
/*
 * keeper_pairs: the keeper's keys by number, and what the master is told of
 * each when it comes.
 */
#ifndef KEEPER_PAIRS_H
#define KEEPER_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handover.h"
#include "ipc.h"
#include "keeper_sign.h"

struct keeper_pairs;

struct keeper_pairs *keeper_pairs_new(void);
void keeper_pairs_free(struct keeper_pairs **p);

/*
 * At the start: every pair in h, so that all faults are told at once, each
 * on the log (of those that are merely left out, the first keeper's).  -1: one
 * of those that must be good is not.  What the master is to be told waits for
 * keeper_pairs_tell().
 */
int keeper_pairs_load(
    struct keeper_pairs *p, const struct handover *h, bool first);

/*
 * MSG_PAIRS: the same while we serve.  A pair that is not complete, does not
 * match or is not valid today is let go; nothing is logged, the master does.
 */
void keeper_pairs_add(struct keeper_pairs *p, const struct handover *h);

/* Say MSG_PAIR of each that came, and MSG_PAIRS_REPLY. */
void keeper_pairs_tell(struct keeper_pairs *p, struct ipc *master, uint32_t id);

void keeper_pairs_drop(struct keeper_pairs *p, uint16_t number);

/* NULL: there is none. */
const struct keeper_key *keeper_pairs_get(
    const struct keeper_pairs *p, uint16_t number);
/* Was there ever one, in case there is none now? */
bool keeper_pairs_had(const struct keeper_pairs *p, uint16_t number);
/* Said once, by the first keeper, and in --check_config. */
void keeper_pairs_advise(const struct keeper_pairs *p);

#endif
