/* SPDX-License-Identifier: ISC */
/*
 * fuzz_proxy_header: a PROXY header cut at any octet is waited for, and with
 * any octets behind it is the same; one that is written is read.
 */
#include "fuzz.h"
#include "proxy_header.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = fuzz_copy(data, size), part;
	struct proxy_header h, g;
	enum proxy_result r, s;
	size_t len = 0, n, other;
	bool was_bad = false;

	memset(&h, 0, sizeof(h));
	r = proxy_header_parse(in, &h, &len);
	if (r == PROXY_OK) {
		MUST(len > 0 && len <= size && len <= PROXY_HEADER_MAX);
		MUST(proxy_header_look(in) == PROXY_OK);
	}
	for (n = 0; n <= size && n <= 300; n++) {
		part = fuzz_copy(in.p, n);
		memset(&g, 0, sizeof(g));
		s = proxy_header_parse(part, &g, &other);
		fuzz_free(part);
		MUST(!was_bad || s == PROXY_BAD);
		was_bad = s == PROXY_BAD;
		if (r == PROXY_OK)
			MUST(s == (n < len ? PROXY_WAIT : PROXY_OK));
		else if (n == size)
			MUST(s == r);
		else
			MUST(s != PROXY_OK);
		if (s == PROXY_OK) {
			MUST(other == len);
			check_same(&h, &g);
		}
	}
	if (r == PROXY_OK)
		check_again(&h);
	fuzz_free(in);
	return 0;
}
