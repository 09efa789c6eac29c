/* SPDX-License-Identifier: ISC */
/*
 * relay: copies between two streams with back-pressure.  No byte is looked
 * at.  What one side does not take is kept (by its stream), and the other
 * side is not read until it is gone.
 */
#ifndef RELAY_H
#define RELAY_H

#include "stream.h"

enum relay_result {
	RELAY_MOVED, /* octets went from one to the other */
	RELAY_IDLE,  /* there was nothing */
	RELAY_EOF,   /* from has ended its side; to has been told so far */
	RELAY_BROKEN /* from is broken */
};

/*
 * Move what from has to to, one read's worth; stream_flush(to) is the
 * caller's.  An error of to shows in to's own next read or flush.
 */
enum relay_result relay_move(struct stream *from, struct stream *to);

#endif
