/* SPDX-License-Identifier: ISC */
/*
 * wipe: memory that goes back wiped.  Runs in workers and authenticators, for
 * GnuTLS and libsasl2.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "wipe.h"

#define STACK_WIPED 65536 /* libsasl2's deepest call has 16 KiB */

void
wipe_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *
wipe_realloc(void *p, size_t size)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *q;

	if (p != NULL && size > 0 && size <= old)
		return p;
	/* Of 0 octets, what realloc() makes of them. */
	/* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI) */
	q = malloc(size);
	if (q == NULL)
		return NULL;
	if (old > 0)
		memcpy(q, p, old < size ? old : size);
	wipe_free(p);
	return q;
}

void __attribute__((noinline)) wipe_stack(void)
{
	/* It is wiped once: not by the compiler before that. */
	char space[STACK_WIPED] __attribute__((uninitialized));

	explicit_bzero(space, sizeof(space));
}
