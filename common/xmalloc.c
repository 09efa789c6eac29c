/* SPDX-License-Identifier: ISC */
/*
 * xmalloc: allocation that succeeds or ends the process.  Lengths from
 * outside have met their limit before they come here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "xmalloc.h"

static void *
check(void *p)
{
	if (p == NULL)
		fatal("out of memory");
	return p;
}

void *
xmalloc(size_t size)
{
	return check(malloc(size == 0 ? 1 : size));
}

void *
xcalloc(size_t n, size_t size)
{
	return check(calloc(n == 0 ? 1 : n, size));
}

void *
xrecallocarray(void *p, size_t old, size_t n, size_t size)
{
	return check(recallocarray(p, old, n, size));
}

char *
xstrdup(const char *s)
{
	return check(strdup(s));
}

char *
xstrndup(const char *s, size_t n)
{
	return check(strndup(s, n));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return check(n == -1 ? NULL : s);
}
