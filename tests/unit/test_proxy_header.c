/* SPDX-License-Identifier: ISC */
/*
 * proxy_header: headers of both versions, whole, in every two parts and octet
 * by octet; those that are none; and what we write ourselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy_header.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)
#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define PROXY SIG "\x21"
#define LOCAL SIG "\x20"
#define V4 "\x11"
#define V6 "\x21"
#define ENDS4                                                                  \
	"\xc0\0\2\1"                                                           \
	"\xcb\0\x71\2"                                                         \
	"\xff\xff\3\xe1"
#define IP6 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define ENDS6                                                                  \
	IP6 "\1" IP6 "\2"                                                      \
	    "\1\2\3\4"
#define TOLD4 "192.0.2.1:65535>203.0.113.2:993"
#define TOLD6 "[2001:db8::1]:258>[2001:db8::2]:772"
#define LONG_V6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct {
	struct text in;
	const char *told; /* "": by nobody of anybody; NULL: it is bad */
} cases[] = {
	/* Version 1. */
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 65535 993\r\n"), TOLD4 },
	{ S("PROXY TCP6 2001:db8::1 2001:db8::2 258 772\r\n"), TOLD6 },
	{ S("PROXY TCP6 " LONG_V6 " " LONG_V6 " 65535 65535\r\n"),
	    "[" LONG_V6 "]:65535>[" LONG_V6 "]:65535" },
	{ S("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:203.0.113.2 65535 993\r\n"),
	    TOLD4 },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 0 0\r\n"),
	    "192.0.2.1:0>203.0.113.2:0" },
	{ S("PROXY UNKNOWN\r\n"), "" },
	{ S("PROXY UNKNOWN " LONG_V6 " " LONG_V6 " 65535 65535\r\n"), "" },
	{ S("PROXY UNKNOWN what ever\r\n"), "" },
	{ S("PROXY \r\n"), NULL },
	{ S("PROXY\r\n"), NULL },
	{ S("PROXY UNKNOWN\n"), NULL },
	{ S("PROXY UNKNOWNX\r\n"), NULL },
	{ S("proxy UNKNOWN\r\n"), NULL },
	{ S("PROXY tcp4 192.0.2.1 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP5 192.0.2.1 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP4\r\n"), NULL },
	{ S("PROXY TCP4  192.0.2.1 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY  TCP4 192.0.2.1 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1 2 3\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1 2 \r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1 \r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1 65536\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 01 2\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 +1 2\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1 18446744073709551617\r\n"),
	    NULL },
	{ S("PROXY TCP4 192.0.2.01 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP4 ::1 ::1 1 2\r\n"), NULL },
	{ S("PROXY TCP4 localhost 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP6 192.0.2.1 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP6 [::1] [::1] 1 2\r\n"), NULL },
	{ S("PROXY TCP6 fe80::1%1 fe80::2 1 2\r\n"), NULL },
	{ S("PROXY TCP6 1::2::3 ::1 1 2\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1\0 203.0.113.2 1 2\r\n"), NULL },
	{ S("PROXY TCP4 192.0.2.1 203.0.113.2 1 2\r\r\n"), NULL },

	/* Version 2. */
	{ S(PROXY V4 "\0\xc" ENDS4), TOLD4 },
	{ S(PROXY V6 "\0\x24" ENDS6), TOLD6 },
	{ S(LOCAL "\0\0\0"), "" },
	{ S(LOCAL V4 "\0\xc" ENDS4), "" },
	{ S(LOCAL "\xff\0\3xyz"), "" },
	{ S(PROXY "\0\0\0"), "" },
	{ S(PROXY "\0\0\3xyz"), "" },
	{ S(PROXY "\x12\0\xc" ENDS4), "" }, /* a datagram */
	{ S(PROXY "\x22\0\0"), "" },
	{ S(PROXY "\x31\0\4path"), "" },
	{ S(PROXY "\x32\0\0"), "" },
	{ S(PROXY "\1\0\0"), NULL },
	{ S(PROXY "\x10\0\0"), NULL },
	{ S(PROXY "\x13\0\xc" ENDS4), NULL },
	{ S(PROXY "\x41\0\0"), NULL },
	{ S(SIG "\x22" V4 "\0\xc" ENDS4), NULL }, /* a command */
	{ S(SIG "\x11" V4 "\0\xc" ENDS4), NULL }, /* a version */
	{ S(SIG "\x31" V4 "\0\xc" ENDS4), NULL },
	{ S("\r\n\r\n\0\r\nQUIT\r\x21" V4 "\0\xc" ENDS4), NULL },
	{ S("\r\n\r\n\r\n\r\nQUIT\n\x21" V4 "\0\xc" ENDS4), NULL },
	{ S(PROXY V4 "\0\xb" ENDS4), NULL }, /* shorter than its ends */
	{ S(PROXY V4 "\0\0"), NULL },
	{ S(PROXY V6 "\0\xc" ENDS4), NULL },
	{ S(PROXY V6 "\0\x23" ENDS6), NULL },
	{ S(PROXY V4 "\xff\xff"), NULL }, /* longer than anybody's */
	{ S(LOCAL "\0\x0f\xf1"), NULL },
	/* Its fields. */
	{ S(PROXY V4 "\0\xf" ENDS4 "\4\0\0"), TOLD4 },
	{ S(PROXY V4 "\0\x13" ENDS4 "\1\0\4imap"), TOLD4 },
	{ S(PROXY V4 "\0\x16" ENDS4 "\4\0\0"
	             "\2\0\4host"),
	    TOLD4 },
	{ S(PROXY V4 "\0\xd" ENDS4 "\4"), NULL },
	{ S(PROXY V4 "\0\xe" ENDS4 "\4\0"), NULL },
	{ S(PROXY V4 "\0\xf" ENDS4 "\4\0\1"), NULL },
	{ S(PROXY V4 "\0\xf" ENDS4 "\4\xff\xff"), NULL },
	{ S(PROXY V4 "\0\x10" ENDS4 "\xe5\0\1\3"), TOLD4 "/3" },
	{ S(PROXY V4 "\0\x11" ENDS4 "\xe5\0\2\3\3"), TOLD4 },
	{ S(PROXY V4 "\0\x13" ENDS4 "\3\0\4\x7a\x1e\x98\x41"), TOLD4 },
	{ S(PROXY V4 "\0\x13" ENDS4 "\3\0\4\x7a\x1e\x98\x42"), NULL },
	{ S(PROXY V4 "\0\x12" ENDS4 "\3\0\3\0\0\0"), NULL },

	/* Neither. */
	{ S("\x16\3\1\2\0\1\0\1\xfc\3\3"), NULL },
	{ S("EHLO client.example.net\r\n"), NULL },
	{ S("PASS secret\r\n"), NULL },
};

static void
show(const struct proxy_header *h, char dst[static 2 * ADDR_STRLEN + 8])
{
	char a[ADDR_STRLEN], b[ADDR_STRLEN];

	dst[0] = '\0';
	if (h->relayed)
		(void)snprintf(dst, 2 * ADDR_STRLEN, "%s>%s",
		    addr_print(&h->client, a), addr_print(&h->local, b));
	if (h->hops != 0)
		(void)snprintf(dst + strlen(dst), 8, "/%u", h->hops);
}

/*
 * A copy that ends where in ends, so that a sanitizer sees who reads behind
 * it.
 */
static enum proxy_result
parse(struct text in, struct proxy_header *h, size_t *len)
{
	char *copy = malloc(in.len + (in.len == 0));
	enum proxy_result r;

	assert_non_null(copy);
	memcpy(copy, in.p, in.len);
	r = proxy_header_parse((struct text){ copy, in.len }, h, len);
	free(copy);
	return r;
}

static void
test_whole(void **state)
{
	char told[2 * ADDR_STRLEN + 8];
	struct proxy_header h;
	enum proxy_result r;
	size_t i, len;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		r = parse(cases[i].in, &h, &len);
		if (r != (cases[i].told != NULL ? PROXY_OK : PROXY_BAD))
			fail_msg("case %zu: %d", i, (int)r);
		if (r != PROXY_OK)
			continue;
		show(&h, told);
		assert_string_equal(told, cases[i].told);
		assert_int_equal(len, cases[i].in.len);
	}
}

/* Any part of a good header is waited for, and of a bad one never good. */
static void
test_parts(void **state)
{
	struct proxy_header h;
	enum proxy_result r;
	size_t i, n, len;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		for (n = 0; n < cases[i].in.len; n++) {
			r = parse((struct text){ cases[i].in.p, n }, &h, &len);
			if (r == PROXY_OK ||
			    (r == PROXY_BAD && cases[i].told != NULL))
				fail_msg("case %zu, %zu octets", i, n);
		}
}

/* What is behind is the client's, whatever it is. */
static void
test_rest(void **state)
{
	static const struct text rests[] = { S("\x16\3\1\2\0\1\0\1\xfc"),
		S("\r\n"), S("PROXY UNKNOWN\r\n"), S(LOCAL "\0\0\0"), S("\0") };
	char both[512];
	struct proxy_header h;
	size_t i, j, len, n;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		for (j = 0; j < NITEMS(rests); j++) {
			n = cases[i].in.len;
			assert_true(n + rests[j].len <= sizeof(both));
			memcpy(both, cases[i].in.p, n);
			memcpy(both + n, rests[j].p, rests[j].len);
			if (cases[i].told == NULL)
				continue;
			assert_int_equal(
			    parse((struct text){ both, n + rests[j].len }, &h,
			        &len),
			    PROXY_OK);
			assert_int_equal(len, n);
		}
}

/* A line without an end, and a length that is never reached. */
static void
test_endless(void **state)
{
	char octets[PROXY_HEADER_MAX];
	struct proxy_header h;
	size_t n, len;

	(void)state;
	memset(octets, ' ', sizeof(octets));
	memcpy(octets, "PROXY UNKNOWN", 13);
	for (n = 13; n < 200; n++)
		assert_int_equal(parse((struct text){ octets, n }, &h, &len),
		    n < 107 ? PROXY_WAIT : PROXY_BAD);
	memcpy(octets + 105, "\r\n", 2);
	assert_int_equal(
	    parse((struct text){ octets, 107 }, &h, &len), PROXY_OK);
	memcpy(octets + 105, " \r\n", 3);
	assert_int_equal(
	    parse((struct text){ octets, 108 }, &h, &len), PROXY_BAD);

	memset(octets, 0, sizeof(octets));
	memcpy(octets, LOCAL "\0\x0f\xf0", 16);
	for (n = 16; n < sizeof(octets); n += 120)
		assert_int_equal(
		    parse((struct text){ octets, n }, &h, &len), PROXY_WAIT);
	assert_int_equal(
	    parse((struct text){ octets, sizeof(octets) }, &h, &len), PROXY_OK);
	assert_int_equal(len, PROXY_HEADER_MAX);
}

static void
test_look(void **state)
{
	static const struct text good[] = { S("PROXY TCP4 1"),
		S("PROXY UNKNOWN\r\n"), S(SIG), S(SIG "\x21") };
	static const size_t whole[] = { 9, 13, 12, 12 };
	struct text t;
	size_t i, n;

	(void)state;
	for (i = 0; i < NITEMS(good); i++)
		for (n = 0; n <= good[i].len; n++) {
			t = (struct text){ good[i].p, n };
			assert_int_equal(proxy_header_look(t),
			    n < whole[i] ? PROXY_WAIT : PROXY_OK);
		}
	assert_int_equal(proxy_header_look(S("PROXY NOOP\r\n")), PROXY_BAD);
	assert_int_equal(proxy_header_look(S("PROXY N")), PROXY_BAD); /* IMAP */
	assert_int_equal(proxy_header_look(S("\r\n\r\nQ")), PROXY_BAD);
	assert_int_equal(proxy_header_look(S("\r\n\r\n\r")), PROXY_BAD);
	assert_int_equal(proxy_header_look(S("\x16\3")), PROXY_BAD);
}

static struct addr
address(const char *host, uint16_t port)
{
	struct addr a;

	assert_int_equal(addr_parse(text_of(host), port, &a), 0);
	return a;
}

/* What is written is what is read; and the octets of it are known. */
static void
test_write(void **state)
{
	static const struct {
		unsigned int version;
		const char *client, *local; /* NULL: none */
		struct text octets;
	} wanted[] = {
		{ 1, "192.0.2.1", "203.0.113.2",
		    S("PROXY TCP4 192.0.2.1 203.0.113.2 65535 993\r\n") },
		{ 1, "fe80::1%7", "2001:db8::2",
		    S("PROXY TCP6 fe80::1 2001:db8::2 65535 993\r\n") },
		{ 1, LONG_V6, LONG_V6,
		    S("PROXY TCP6 " LONG_V6 " " LONG_V6 " 65535 993\r\n") },
		{ 1, "192.0.2.1", "2001:db8::2", S("PROXY UNKNOWN\r\n") },
		{ 1, NULL, "203.0.113.2", S("PROXY UNKNOWN\r\n") },
		{ 2, "192.0.2.1", "203.0.113.2",
		    S(PROXY V4 "\0\x10" ENDS4 "\xe5\0\1\4") },
		{ 2, "2001:db8::1", "2001:db8::2",
		    S(PROXY V6 "\0\x28" IP6 "\1" IP6 "\2"
		               "\xff\xff\3\xe1\xe5\0\1\4") },
		{ 2, "192.0.2.1", "2001:db8::2", S(LOCAL "\0\0\0") },
		{ 2, NULL, "203.0.113.2", S(LOCAL "\0\0\0") },
	};
	char octets[PROXY_HEADER_SIZE];
	struct addr client = { 0 }, local;
	struct proxy_header h;
	size_t i, n, len;

	(void)state;
	for (i = 0; i < NITEMS(wanted); i++) {
		local = address(wanted[i].local, 993);
		if (wanted[i].client != NULL)
			client = address(wanted[i].client, 65535);
		n = proxy_header_write(wanted[i].version,
		    wanted[i].client != NULL ? &client : NULL, &local, 4,
		    octets);
		if (n != wanted[i].octets.len ||
		    memcmp(octets, wanted[i].octets.p, n) != 0)
			fail_msg("case %zu: %.*s", i, (int)n, octets);
		assert_int_equal(
		    parse((struct text){ octets, n }, &h, &len), PROXY_OK);
		assert_int_equal(len, n);
		assert_int_equal(
		    h.hops, h.relayed && wanted[i].version == 2 ? 4 : 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
