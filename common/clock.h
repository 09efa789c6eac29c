/* SPDX-License-Identifier: ISC */
/*
 * clock: the time that only goes forward (CLOCK_MONOTONIC), for limits and
 * ages.  It has nothing to do with the time of day.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

time_t clock_seconds(void);
int64_t clock_ms(void);

#endif
