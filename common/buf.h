/* SPDX-License-Identifier: ISC */
/*
 * buf: a byte buffer with a ceiling that is fixed when it is created.  It
 * holds no memory before the first octet and after buf_free().  A buf may
 * have held a password: memory is wiped before it goes back.
 */
#ifndef BUF_H
#define BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "text.h"

struct buf {
	char *data;
	size_t start, len; /* what is held: data + start, len octets */
	size_t size;       /* allocated */
	size_t max;        /* the ceiling */
};

void buf_init(struct buf *b, size_t max);
/* Wipe and give the memory back; the buf may be used again. */
void buf_free(struct buf *b);

size_t buf_room(const struct buf *b);      /* octets until the ceiling */
struct text buf_view(const struct buf *b); /* valid until the buf changes */

/* 0, or -1 with errno ENOBUFS and nothing added: the ceiling is in the way. */
int buf_append(struct buf *b, const void *p, size_t n);
int buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Forget the first n octets (n <= len) and wipe them. */
void buf_consume(struct buf *b, size_t n);

#endif
