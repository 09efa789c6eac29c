/* SPDX-License-Identifier: ISC */
/*
 * smtp_chunk: the message stream of BDAT.  Runs in the worker, between a user
 * and an inner server.  A count cannot be smuggled past the inner server, but
 * that one may have to send the message on with DATA: so the octets by which
 * an end could be smuggled there are refused here too.
 */
#include "smtp_chunk.h"

void
smtp_chunk_init(struct smtp_chunk *c, uint64_t limit, bool binary)
{
	*c = (struct smtp_chunk){ .binary = binary };
	smtp_watch_init(&c->watch, limit, false);
}

/* A message that ends in CR has a bare one. */
static void
check_end(struct smtp_chunk *c)
{
	if (c->last && c->left == 0 && c->cr)
		smtp_watch_condemn(&c->watch, SMTP_FAULT_BARE);
}

void
smtp_chunk_begin(struct smtp_chunk *c, uint64_t size, bool last)
{
	c->left = size;
	c->last = last;
	smtp_watch_expect(&c->watch, size);
	check_end(c); /* BDAT 0 LAST */
}

/* t is not empty. */
static void
inspect(struct smtp_chunk *c, struct text t)
{
	bool line;
	size_t n = 0;

	if (c->cr && t.p[0] == '\n')
		n = 1;
	else if (c->cr)
		smtp_watch_condemn(&c->watch, SMTP_FAULT_BARE);
	c->cr = false;
	do {
		t = text_skip(t, n);
		t = text_skip(t, n > 0 ? smtp_watch_sweep(t) : 0);
		n = smtp_watch_clean(t, &line);
	} while (n > 0);
	if (t.len == 0)
		return;
	c->cr = t.len == 1 && t.p[0] == '\r';
	if (!c->cr)
		smtp_watch_condemn(&c->watch,
		    t.p[0] == '\0' ? SMTP_FAULT_NUL : SMTP_FAULT_BARE);
}

enum smtp_chunk_result
smtp_chunk_feed(
    struct smtp_chunk *c, struct text in, size_t *taken, struct text *out)
{
	if (in.len > c->left)
		in.len = (size_t)c->left; /* less than in.len was */
	*taken = in.len;
	*out = TEXT_NONE;
	if (in.len > 0) {
		c->left -= in.len;
		if (!c->binary && c->watch.fault == SMTP_FAULT_NONE)
			inspect(c, in);
		check_end(c);
		*out = smtp_watch_pass(&c->watch, in, 0);
	}
	return c->left == 0 ? SMTP_CHUNK_END : SMTP_CHUNK_MORE;
}
