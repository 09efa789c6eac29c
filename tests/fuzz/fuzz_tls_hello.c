/* SPDX-License-Identifier: ISC */
/*
 * fuzz_tls_hello: what is read of a ClientHello before GnuTLS does: views of
 * it, and of a message that is cut nothing; and a ticket's name is that of a
 * key by the key alone.
 */
#include "fuzz.h"
#include "msg.h"
#include "tls_hello.h"
#include "tls_ticket.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = fuzz_copy(data, size), cut;
	static const unsigned char sha[2] = { 0x13, 0x02 };
	char key[TICKET_KEY_LEN];
	struct tls_hello h, g;
	size_t i;
	bool found = false;

	tls_hello_parse(in, &h);
	MUST(fuzz_within(h.suites, in) && fuzz_within(h.ticket, in));
	MUST(h.ticket.p == NULL || h.ticket.len == TLS_TICKET_NAME_LEN);
	MUST(h.ticket.p == NULL || h.suites.p != NULL);
	for (i = 0; i + 1 < h.suites.len; i += 2)
		found = found || memcmp(h.suites.p + i, sha, 2) == 0;
	MUST(found == tls_hello_has_suite(&h, sha));
	/* Its end tells nothing new of what stood before it. */
	cut = fuzz_copy(in.p, size / 2);
	tls_hello_parse(cut, &g);
	MUST(g.suites.p == NULL || h.suites.p == NULL ||
	    fuzz_same(g.suites, h.suites));
	fuzz_free(cut);
	if (h.ticket.p != NULL) {
		memset(key, h.ticket.p[0], sizeof(key));
		MUST(!tls_ticket_is_of(
		    h.ticket, (struct text){ key, sizeof(key) }, 1800000000));
		MUST(!tls_ticket_is_of(h.ticket, h.ticket, 1800000000));
	}
	fuzz_free(in);
	return 0;
}
