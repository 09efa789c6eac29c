/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_trace: what strangers supply on its way outward: the Received
 * field in front of a message, and XCLIENT and XFORWARD: whatever it is, it
 * ends no line, no comment and no command.
 */
#include "fuzz.h"
#include "smtp_attribute.h"
#include "smtp_received.h"

static void
check_field(struct text t, bool utf8)
{
	struct text line;
	size_t i, n;

	MUST(t.len > 2 && memcmp(t.p + t.len - 2, "\r\n", 2) == 0);
	MUST(text_caseprefix(t, "Received: "));
	while (t.len > 0) {
		for (n = 0; t.p[n] != '\n'; n++)
			MUST(n + 1 < t.len);
		MUST(n > 1 && t.p[n - 1] == '\r' && n <= 999);
		line = (struct text){ t.p, n - 1 };
		for (i = 0; i < line.len; i++)
			MUST(line.p[i] == '\t' ||
			    (unsigned char)line.p[i] >= 0x20);
		if (!utf8)
			for (i = 0; i < line.len; i++)
				MUST((unsigned char)line.p[i] < 0x7f);
		t = text_skip(t, n + 1);
		MUST(t.len == 0 || t.p[0] == '\t'); /* one field */
	}
}

/* Parentheses stand for each other, whatever is in them. */
static void
check_comments(struct text t)
{
	int depth = 0;
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] == '\\')
			i++;
		else if (t.p[i] == '(')
			depth++;
		else if (t.p[i] == ')')
			MUST(--depth >= 0);
	}
	MUST(depth == 0);
}

static void
try_received(struct input *in, const struct addr *a)
{
	char dst[SMTP_RECEIVED_SIZE];
	uint8_t flags = input_u8(in), zone = input_u8(in);
	struct smtp_received r = { .addr = flags & 1 ? a : NULL,
		.helo = input_line(in),
		.name = input_line(in),
		.user = flags & 2 ? input_line(in) : TEXT_NONE,
		.recipient = flags & 4 ? input_line(in) : TEXT_NONE,
		.tls_version = flags & 8 ? TEXT_LIT("TLSv1.3") : TEXT_NONE,
		.tls_cipher = TEXT_LIT("TLS_AES_256_GCM_SHA384"),
		.tls_bits = 256,
		.hostname = TEXT_LIT("gw.example.org"),
		.id = TEXT_LIT("6B04EF70003F2A0001"),
		.esmtp = flags & 16,
		.tls = flags & 8,
		.auth = true,
		.utf8 = flags & 32,
		.date = 1800000000,
		.zone = (zone - 128) * 7 };
	size_t n = smtp_received_format(&r, dst);

	MUST(n < SMTP_RECEIVED_SIZE && dst[n] == '\0' && strlen(dst) == n);
	check_field((struct text){ dst, n }, r.utf8);
	check_comments((struct text){ dst, n });
}

static void
try_attributes(struct input *in, const struct addr *a)
{
	static const char *const keywords[] = { "XCLIENT", "XFORWARD" };
	char dst[SMTP_ATTRIBUTE_SIZE];
	const char *keyword = keywords[input_u8(in) % 2];
	struct smtp_attributes who = { .helo = input_line(in),
		.name = input_line(in),
		.login = input_line(in),
		.esmtp = true,
		.addr = *a,
		.local = *a };
	unsigned int left = input_u16(in) & ((1U << SMTP_ATTRIBUTES) - 1),
	             before, told;
	struct text rest, word;

	while (left != 0) {
		before = left;
		told = smtp_attributes_next(&who, keyword, &left, dst);
		MUST(left < before && (left & ~before) == 0);
		MUST((told & ~(before & ~left)) == 0);
		MUST(strlen(dst) < SMTP_ATTRIBUTE_SIZE &&
		    fuzz_printable(text_of(dst)));
		rest = text_of(dst);
		MUST(text_word(&rest, &word) && text_eq(word, keyword));
		while (text_word(&rest, &word))
			MUST(text_has(word, '='));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text t = fuzz_copy(data, size);
	struct input in = { (const uint8_t *)t.p, t.len };
	struct addr a;

	MUST(addr_parse(input_u8(&in) & 1 ? TEXT_LIT("2001:db8::7")
	                                  : TEXT_LIT("192.0.2.7"),
	         4711, &a) == 0);
	if (input_u8(&in) & 1)
		try_received(&in, &a);
	else
		try_attributes(&in, &a);
	fuzz_free(t);
	return 0;
}
