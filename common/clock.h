/* SPDX-License-Identifier: ISC */
/*
 * clock: the time that only goes forward (CLOCK_MONOTONIC), for limits and
 * ages.  It has nothing to do with the time of day, which is for what outlives
 * the machine's run.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

time_t clock_seconds(void);
int64_t clock_ms(void);
uint32_t clock_wall(void); /* seconds since 1970, until 2106 */

#endif
