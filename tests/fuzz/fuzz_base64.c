/* SPDX-License-Identifier: ISC */
/* fuzz_base64: one content has one code, and bounds are kept. */
#include "base64.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = fuzz_copy(data, size);
	size_t most = BASE64_LEN(size), len, n;
	char *code = malloc(most + 1), *out = malloc(size + 1);

	/* Any octets have a code that gives them back; and one octet less of
	 * room is too little. */
	MUST(base64_encode(in.p, size, code, most + 1) == 0);
	MUST(strlen(code) == most);
	MUST(base64_decode(text_of(code), out, size, &len) == 0);
	MUST(fuzz_same(in, (struct text){ out, len }));
	if (size > 0)
		MUST(base64_decode(text_of(code), out, size - 1, &len) == -1);
	MUST(base64_encode(in.p, size, code, most) == -1);
	/* What is decoded was the code. */
	if (base64_decode(in, out, size, &n) == 0) {
		MUST(BASE64_LEN(n) == size);
		MUST(base64_encode(out, n, code, most + 1) == 0);
		MUST(fuzz_same(in, text_of(code)));
	}
	free(code);
	free(out);
	fuzz_free(in);
	return 0;
}
