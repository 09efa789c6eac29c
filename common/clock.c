/* SPDX-License-Identifier: ISC */
/*
 * clock: the time that only goes forward, and the other one.  Runs in every
 * process.
 */
#include "clock.h"

time_t
clock_seconds(void)
{
	struct timespec t;

	/* It cannot fail: the clock is there and t is ours. */
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

int64_t
clock_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint32_t
clock_wall(void)
{
	return (uint32_t)time(NULL);
}
