/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_chunk: a message in BDAT's chunks, cut into pieces, against what
 * can be said of the whole: its octets pass by number and unchanged, and a
 * bare CR or LF or a NUL is found before the last octet is given.
 */
#include "fuzz.h"
#include "smtp_chunk.h"

#define CHUNKS 16
#define PIECES 40 /* as small as the input says */

struct run {
	struct smtp_chunk c;
	struct text all; /* the octets of all chunks */
	char *out;       /* what was passed on of them */
	size_t out_len;
	size_t at;   /* octets of all that were announced */
	unsigned int pieces;
	bool unsaid; /* condemned before the last chunk was begun */
};

/* One chunk of n octets, in pieces of at most step. */
static void
feed(struct run *r, size_t n, size_t step, bool last)
{
	enum smtp_chunk_result res = SMTP_CHUNK_MORE;
	struct text piece, out;
	size_t taken, end = r->at + n;

	smtp_chunk_begin(&r->c, n, last);
	r->unsaid = r->c.watch.fault != SMTP_FAULT_NONE;
	while (r->at < end) {
		/* Octets behind the chunk are there, too, and left alone. */
		n = r->all.len - r->at;
		if (r->pieces++ < PIECES && step < n)
			n = step;
		piece = fuzz_copy(r->all.p + r->at, n);
		res = smtp_chunk_feed(&r->c, piece, &taken, &out);
		MUST(taken > 0 && taken <= n && taken <= end - r->at);
		MUST(out.len == taken || out.len == 0);
		MUST((out.len == 0) == (r->c.watch.fault != SMTP_FAULT_NONE));
		if (out.len > 0)
			memcpy(r->out + r->out_len, out.p, out.len);
		r->out_len += out.len;
		r->at += taken;
		MUST((res == SMTP_CHUNK_END) == (r->at == end));
		fuzz_free(piece);
	}
}

static bool
is_dirty(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (t.p[i] == '\0' ||
		    (t.p[i] == '\n' && (i == 0 || t.p[i - 1] != '\r')) ||
		    (t.p[i] == '\r' && (i + 1 == t.len || t.p[i + 1] != '\n')))
			return true;
	return false;
}

static void
check(const struct run *r, struct text t, uint64_t limit)
{
	enum smtp_fault fault = r->c.watch.fault;

	if (fault == SMTP_FAULT_NONE) {
		MUST(r->out_len == t.len);
		MUST(t.len == 0 || memcmp(r->out, t.p, t.len) == 0);
		MUST(limit == 0 || t.len <= limit);
		MUST(r->c.binary || !is_dirty(t));
		MUST(r->c.watch.size == t.len);
	} else {
		/* The inner server never has all of it. */
		MUST(r->out_len < t.len || r->unsaid);
		MUST(r->out_len == 0 || memcmp(r->out, t.p, r->out_len) == 0);
		if (fault == SMTP_FAULT_TOO_BIG)
			MUST(limit != 0 && t.len > limit);
		if (fault == SMTP_FAULT_BARE || fault == SMTP_FAULT_NUL)
			MUST(!r->c.binary && is_dirty(t));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in), sizes[CHUNKS], n, i;
	uint64_t limit = flags & 2 ? input_u8(&in) : 0;
	size_t step = 1 + input_u8(&in) % 80U, left;
	struct run r = { .out = NULL };

	n = (uint8_t)(1 + (flags >> 4));
	for (i = 0; i < n; i++)
		sizes[i] = input_u8(&in);
	r.all = fuzz_copy(in.p, in.left);
	r.out = malloc(in.left + 1);
	smtp_chunk_init(&r.c, limit, flags & 1);
	for (i = 0; i < n; i++) {
		left = r.all.len - r.at;
		if (i + 1 < n && sizes[i] < left)
			left = sizes[i];
		feed(&r, left, step, i + 1 == n);
	}
	check(&r, r.all, limit);
	fuzz_free(r.all);
	free(r.out);
	return 0;
}
