/* SPDX-License-Identifier: ISC */
/*
 * failures: which networks failed to log in lately; a part of limit, which
 * alone includes this.  A table of a fixed number of networks in memory that
 * outlives the process; the one that failed longest ago makes room.
 */
#ifndef FAILURES_H
#define FAILURES_H

#include <stddef.h>
#include <time.h>

#include "addr.h"

struct failures;

/* Octets of shared memory, a multiple of 8. */
size_t failures_size(void);

/* Take over mem, aligned to 8, as limit_new() does. */
struct failures *failures_new(void *mem);
void failures_free(struct failures **f);

/* now is CLOCK_MONOTONIC time in seconds. */
void failures_add(struct failures *f, struct addr_net net, time_t now);
void failures_remove(struct failures *f, struct addr_net net);
unsigned int failures_count(
    struct failures *f, struct addr_net net, time_t now);

#endif
