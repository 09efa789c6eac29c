/* SPDX-License-Identifier: ISC */
/* What the load has counted, and the line of JSON that says so. */
#ifndef LOAD_TALLY_H
#define LOAD_TALLY_H

#include <stdint.h>
#include <stdio.h>

struct samples {
	double *seconds;
	size_t n, max;
};

struct tally {
	uint64_t ok, failed;
	uint64_t handshakes, returning, resumed; /* returning: with a ticket */
	uint64_t messages, bytes, bad;           /* bad: pieces not the text */
	int held;                                /* sessions that stay, now */
	int plateau;                             /* held when all were there */
	uint64_t lost;                           /* of those, ended by others */
	struct samples logins, probes;
	char tls[128];   /* what the first handshake negotiated */
	char error[256]; /* the first failure */
};

/* The monotonic clock, in seconds. */
double tally_now(void);

/* Room for so many; what comes beyond is not kept. */
void samples_init(struct samples *s, size_t max);
void samples_add(struct samples *s, double seconds);

/* Remembers why a session failed, if it is the first. */
void tally_failed(struct tally *t, const char *why, const char *line);

/* Prints all of it, as one line; wall is the run's length in seconds. */
void tally_print(struct tally *t, double wall);

#endif
