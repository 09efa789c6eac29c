/* SPDX-License-Identifier: ISC */
/*
 * rate: how often each user has done a thing within an hour, which begins
 * with the first time.  Letter case of names does not matter, nor does what
 * goes beyond RATE_NAME_MAX octets.  The memory is of a fixed size and can be
 * another's, so that what was counted outlives the process.
 */
#ifndef RATE_H
#define RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "text.h"

#define RATE_SECONDS 3600
#define RATE_NAME_MAX 128

struct rate;

/*
 * At most limit times each (0: any number, and nothing is counted), for at
 * most places users at a time: beyond that, whoever of some began first begins
 * anew.  mem: rate_size(places) octets, zeroed before first use, which stay
 * the caller's and may be shared with other processes; NULL: our own.
 */
struct rate *rate_new(unsigned int limit, size_t places, void *mem);
size_t rate_size(size_t places);
void rate_free(struct rate **r);

/* Count one more.  False: it would be too many, and is not counted. */
bool rate_take(struct rate *r, struct text user, time_t now);

#endif
