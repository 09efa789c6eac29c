/* SPDX-License-Identifier: ISC */
/*
 * fuzz: what the targets share.  A target is one file, fuzz_X.c, with
 * libFuzzer's two functions; it asserts more than that nothing crashes: MUST()
 * ends the process where an invariant does not hold.  Included once.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "text.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define MUST(what)                                                             \
	do {                                                                   \
		if (!(what)) {                                                 \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
			    __LINE__, #what);                                  \
			abort();                                               \
		}                                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What is left of an input.  At its end all numbers are 0. */
struct input {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t
input_u8(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t
input_u16(struct input *in)
{
	uint16_t high = input_u8(in);

	return (uint16_t)(high << 8 | input_u8(in));
}

/* n octets, or what there is of them: a view. */
static inline struct text
input_text(struct input *in, size_t n)
{
	struct text t;

	if (n > in->left)
		n = in->left;
	t = (struct text){ (const char *)in->p, n };
	in->p += n;
	in->left -= n;
	return t;
}

/* To the next LF, or all. */
static inline struct text
input_line(struct input *in)
{
	const uint8_t *lf = in->left > 0 ? memchr(in->p, '\n', in->left) : NULL;
	struct text t =
	    input_text(in, lf != NULL ? (size_t)(lf - in->p) : in->left);

	(void)input_u8(in);
	return t;
}

/* In memory of exactly that size, so that one octet too far is seen. */
static inline struct text
fuzz_copy(const void *p, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);

	MUST(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	return (struct text){ copy, n };
}

static inline void
fuzz_free(struct text t)
{
	char *p;

	memcpy(&p, &t.p, sizeof(p)); /* it is fuzz_copy()'s */
	free(p);
}

static inline bool
fuzz_same(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Is part a view into whole (an empty one may be anywhere)? */
static inline bool
fuzz_within(struct text part, struct text whole)
{
	return part.len == 0 ||
	    (part.p >= whole.p && part.len <= whole.len &&
	        (size_t)(part.p - whole.p) <= whole.len - part.len);
}

static inline bool
fuzz_printable(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (t.p[i] < 0x20 || t.p[i] > 0x7e)
			return false;
	return true;
}

static inline void
fuzz_drop_message(void *arg, int priority, const char *text)
{
	(void)priority;
	MUST(text != NULL);
	if (arg != NULL)
		fprintf(stderr, "%s\n", text);
}

/*
 * Where an input is cut: a few of its octets each time, small pieces and
 * larger ones by turns, then all the rest.  The input's octets say where, so
 * that it is the same each time; every cut of a long input would cost a square
 * of its length, and of a short one, each octet is a piece.
 */
struct fuzz_cuts {
	uint32_t state;
	unsigned int n; /* pieces, but for the rest */
};

#define FUZZ_CUTS 24
#define FUZZ_SHORT 48

static inline struct fuzz_cuts
fuzz_cuts(struct text t)
{
	struct fuzz_cuts c = { 2166136261U, FUZZ_CUTS };
	size_t i;

	for (i = 0; i < t.len; i++)
		c.state = (c.state ^ (unsigned char)t.p[i]) * 16777619U;
	if (t.len <= FUZZ_SHORT)
		c = (struct fuzz_cuts){ 0, FUZZ_SHORT };
	return c;
}

/* How many octets the next piece has of the left, which are not 0. */
static inline size_t
fuzz_cut(struct fuzz_cuts *c, size_t left)
{
	size_t n;

	if (c->n == 0)
		return left;
	c->n--;
	if (c->state == 0)
		return 1;
	c->state ^= c->state << 13;
	c->state ^= c->state >> 17;
	c->state ^= c->state << 5;
	n = c->state & 1 ? 1 + c->state / 2 % 3
	                 : 1 + c->state / 2 % (left / 4 + 1);
	return n < left ? n : left;
}

/* A number that the input's octets say: which of some slow checks is made. */
static inline uint32_t
fuzz_luck(const uint8_t *data, size_t size)
{
	struct text t = { (const char *)data, size };

	return fuzz_cuts(t).state >> 16;
}

/* What the next descriptor will be: the same again where none was left open. */
static inline int
fuzz_lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD, 0);

	MUST(fd != -1);
	close(fd);
	return fd;
}

/* Whatever is logged goes nowhere, but with FUZZ_SHOW=1 to stderr. */
static inline void
fuzz_quiet(void)
{
	char *show = getenv("FUZZ_SHOW");

	log_set_sink(fuzz_drop_message, show);
	if (show != NULL)
		log_set_level(LOG_DEBUG);
}

#endif
