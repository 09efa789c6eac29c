/* SPDX-License-Identifier: ISC */
/*
 * wipe: memory that goes back wiped, for libraries that handle secrets and
 * can be told whom to ask for memory; and what their calls leave on the stack.
 */
#ifndef WIPE_H
#define WIPE_H

#include <stddef.h>

void wipe_free(void *p);
void *wipe_realloc(void *p, size_t size); /* NULL: as realloc(3) */

/* What functions that have returned left below, some 64 KiB of it. */
void wipe_stack(void);

#endif
