/* SPDX-License-Identifier: ISC */
/*
 * fuzz_proxy_header: a PROXY header cut anywhere is waited for, and with any
 * octets behind it is the same; one that is written is read.
 */
#include "fuzz.h"
#include "proxy_header.h"

#define CUT_MAX 300 /* where it is cut: in longer ones, nothing new is */

static void
check_same(const struct proxy_header *a, const struct proxy_header *b)
{
	MUST(a->relayed == b->relayed && a->hops == b->hops);
	if (!a->relayed)
		return;
	MUST(addr_eq(&a->client, &b->client) && addr_eq(&a->local, &b->local));
}

/* Written in both versions, and read again. */
static void
check_again(const struct proxy_header *h)
{
	char line[PROXY_HEADER_SIZE];
	struct proxy_header again;
	unsigned int version;
	size_t n, len;

	for (version = 1; version <= 2; version++) {
		n = proxy_header_write(version, h->relayed ? &h->client : NULL,
		    &h->local, h->hops, line);
		MUST(n <= PROXY_HEADER_SIZE);
		memset(&again, 0, sizeof(again));
		MUST(proxy_header_parse(
		         (struct text){ line, n }, &again, &len) == PROXY_OK &&
		    len == n);
		if (version == 1)
			again.hops = h->hops;
		if (h->relayed &&
		    h->client.sa.sa_family == h->local.sa.sa_family)
			check_same(h, &again);
	}
}

/* What is made of in, and of its first n octets, which are fewer. */
static enum proxy_result
check_cut(struct text in, size_t n, enum proxy_result r, size_t len,
    const struct proxy_header *h)
{
	struct text part = fuzz_copy(in.p, n);
	struct proxy_header g;
	enum proxy_result s;
	size_t other;

	memset(&g, 0, sizeof(g));
	s = proxy_header_parse(part, &g, &other);
	fuzz_free(part);
	if (r == PROXY_OK)
		MUST(s == (n < len ? PROXY_WAIT : PROXY_OK));
	else
		MUST(s != PROXY_OK && (r != PROXY_WAIT || s == r));
	if (s == PROXY_OK) {
		MUST(other == len);
		check_same(h, &g);
	}
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = fuzz_copy(data, size);
	struct fuzz_cuts cuts = fuzz_cuts(in);
	struct proxy_header h;
	enum proxy_result r, s;
	size_t len = 0, n, end = size < CUT_MAX ? size : CUT_MAX;
	bool was_bad = false;

	memset(&h, 0, sizeof(h));
	r = proxy_header_parse(in, &h, &len);
	if (r == PROXY_OK) {
		MUST(len > 0 && len <= size && len <= PROXY_HEADER_MAX);
		MUST(proxy_header_look(in) == PROXY_OK);
	}
	for (n = 0; n < end; n += fuzz_cut(&cuts, end - n)) {
		s = check_cut(in, n, r, len, &h);
		MUST(!was_bad || s == PROXY_BAD);
		was_bad = s == PROXY_BAD;
	}
	MUST(!was_bad || r == PROXY_BAD);
	if (r == PROXY_OK) {
		(void)check_cut(in, len - 1, r, len, &h);
		(void)check_cut(in, len, r, len, &h);
		check_again(&h);
	}
	fuzz_free(in);
	return 0;
}
