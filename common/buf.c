/* SPDX-License-Identifier: ISC */
/*
 * buf: octets on their way in or out.  Runs in every process; what fills it
 * comes from strangers, so the ceiling is checked before any arithmetic, and
 * it may be a password, so no copy is left in memory that is given back,
 * moved out of or forgotten.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "xmalloc.h"

#define BUF_FIRST 256 /* octets of the first allocation: a line, mostly */

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_free(struct buf *b)
{
	if (b->data != NULL)
		freezero(b->data, b->size);
	buf_init(b, b->max);
}

size_t
buf_room(const struct buf *b)
{
	return b->max - b->len;
}

struct text
buf_view(const struct buf *b)
{
	if (b->len == 0)
		return TEXT_NONE;
	return (struct text){ b->data + b->start, b->len };
}

/* Move what is held to the front, and wipe where it was. */
static void
buf_pull_up(struct buf *b)
{
	if (b->start == 0)
		return;
	memmove(b->data, b->data + b->start, b->len);
	explicit_bzero(b->data + b->len, b->start);
	b->start = 0;
}

/* Make room for n octets behind what is held; n is at most buf_room(). */
static void
buf_reserve(struct buf *b, size_t n)
{
	size_t want = b->len + n;
	size_t size = b->size > 0 ? b->size : BUF_FIRST;

	if (n <= b->size - b->start - b->len)
		return;
	buf_pull_up(b);
	if (want <= b->size)
		return;
	/* Doubling keeps the cost of many small appends linear. */
	while (size < want && size <= b->max / 2)
		size *= 2;
	if (size < want || size > b->max)
		size = b->max;
	/* recallocarray(3) wipes what it leaves behind. */
	b->data = xrecallocarray(b->data, b->size, size, 1);
	b->size = size;
}

int
buf_append(struct buf *b, const void *p, size_t n)
{
	if (n > buf_room(b)) {
		errno = ENOBUFS;
		return -1;
	}
	if (n == 0)
		return 0;
	buf_reserve(b, n);
	memcpy(b->data + b->start + b->len, p, n);
	b->len += n;
	return 0;
}

int
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t size;
	char *s;
	int n, ret, save;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return -1;
	/* vasprintf(3) may leave copies of a secret behind as it grows. */
	size = (size_t)n + 1;
	s = xmalloc(size);
	n = vsnprintf(s, size, fmt, ap);
	ret = n < 0 ? -1 : buf_append(b, s, (size_t)n);
	save = errno;
	freezero(s, size);
	errno = save;
	return ret;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return ret;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	explicit_bzero(b->data + b->start, n);
	b->start += n;
	b->len -= n;
	if (b->len == 0)
		b->start = 0;
}
