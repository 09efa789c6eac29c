/* SPDX-License-Identifier: ISC */
/*
 * What a client of the load says, by protocol and mode.  No I/O: commands go
 * into the session's out, and its state says what is to be done.  It begins
 * in LOAD_GREETING.
 */
#ifndef LOAD_DIALOGUE_H
#define LOAD_DIALOGUE_H

#include <stddef.h>

#include "load.h"

/* A held session proves that it is alive. */
void dialogue_probe(struct session *s);

/* Takes octets from the server.  Returns NULL, or what is wrong with them. */
const char *dialogue_feed(struct session *s, const char *p, size_t n);

#endif
