/* SPDX-License-Identifier: ISC */
/*
 * pace: how much of a TCP connection has gone across, as its peer's kernel has
 * it.  What our own took proves nothing: it keeps hundreds of kilobytes for a
 * peer that takes none of them.
 */
#ifndef PACE_H
#define PACE_H

#include <stdint.h>

struct pace {
	uint64_t acknowledged; /* octets of ours that the peer has */
	uint64_t received;     /* octets of the peer's */
};

/* Of fd.  -1: the kernel does not say; *out is zeroed. */
int pace_of(int fd, struct pace *out);

#endif
