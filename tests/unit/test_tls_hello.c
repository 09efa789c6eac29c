/* SPDX-License-Identifier: ISC */
/* tls_hello: ClientHellos, whole and cut at each octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tls_hello.h"

#define VERSION_RANDOM                                                         \
	"\3\3"                                                                 \
	"0123456789abcdef0123456789abcdef"
#define HEAD                                                                   \
	VERSION_RANDOM "\0"                                                    \
	               "\0\4\x13\1\xc0\x2b"                                    \
	               "\1\0"
#define NAME "NAMENAMENAMENAME"
#define OTHER "OTHEROTHEROTHERO"
#define EXT_NONE "\0\0\0\0" /* server_name, empty */
#define EXT_TICKET "\0\x23\0\x12" NAME "xx"
#define EXT_TICKET_OTHER "\0\x23\0\x10" OTHER
#define EXT_TICKET_EMPTY "\0\x23\0\0"
#define EXT_TICKET_SHORT                                                       \
	"\0\x23\0\xf"                                                          \
	"NAMENAMENAMENAM"
#define EXT_PSK                                                                \
	"\0\x29\0\x1a"                                                         \
	"\0\x18"                                                               \
	"\0\x12" NAME "xx"                                                     \
	"\0\0\0\1"

#define HELLO(extensions) HEAD extensions, sizeof(HEAD extensions) - 1

static const struct {
	const char *hello;
	size_t len;
	const char *name; /* NULL: none */
} cases[] = {
	{ HELLO(""), NULL }, /* no extensions at all */
	{ HELLO("\0\0"), NULL },
	{ HELLO("\0\4" EXT_NONE), NULL },
	{ HELLO("\0\x16" EXT_TICKET), NAME },
	{ HELLO("\0\x1a" EXT_NONE EXT_TICKET), NAME },
	{ HELLO("\0\4" EXT_TICKET_EMPTY), NULL },
	{ HELLO("\0\x13" EXT_TICKET_SHORT), NULL },
	{ HELLO("\0\x1e" EXT_PSK), NAME },
	{ HELLO("\0\x32" EXT_TICKET_OTHER EXT_PSK), NAME },
	{ HELLO("\0\x22" EXT_TICKET_EMPTY EXT_PSK), NAME },
	/* lengths that lie */
	{ HELLO("\0\x17" EXT_TICKET), NULL }, /* one more than there is */
	{ HELLO("\0\x15" EXT_TICKET), NULL }, /* one less */
	{ HELLO("\0\x16"
	        "\0\x23\0\x13" NAME "xx"),
	    NULL },
	{ HELLO("\0\6"
	        "\0\x29\0\2"
	        "\0\1"),
	    NULL },
	{ HELLO("\0\x8"
	        "\0\x29\0\4"
	        "\0\2"
	        "\0\1"),
	    NULL },
	{ HELLO("\0\4"
	        "\0\x29\0\0"),
	    NULL },
};

static struct text
name_of(const char *hello, size_t len)
{
	struct tls_hello h;
	struct text name;
	char *copy = malloc(len > 0 ? len : 1); /* so that ASan sees its end */

	memcpy(copy, hello, len);
	tls_hello_parse((struct text){ copy, len }, &h);
	name = h.ticket;
	if (name.p != NULL)
		name.p = hello + (name.p - copy);
	free(copy);
	return name;
}

static void
test_names(void **state)
{
	struct text name;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		name = name_of(cases[i].hello, cases[i].len);
		if (cases[i].name == NULL ? name.p != NULL
		                          : !text_eq(name, cases[i].name))
			fail_msg("case %zu", i);
	}
}

/* The length of the extensions says that something is missing. */
static void
test_cut_anywhere(void **state)
{
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (n = 0; n < cases[i].len; n++)
			if (name_of(cases[i].hello, n).p != NULL)
				fail_msg("case %zu cut at %zu", i, n);
}

static void
test_suites(void **state)
{
	static const struct {
		const char *hello;
		size_t len;
		unsigned char id[2];
		bool has;
	} suites[] = {
		{ HELLO(""), { 0x13, 0x01 }, true },
		{ HELLO("\0\4" EXT_NONE), { 0xc0, 0x2b }, true },
		{ HELLO("\0\4" EXT_NONE), { 0x01, 0xc0 }, false },
		{ HELLO("\0\4" EXT_NONE), { 0x13, 0x02 }, false },
		{ HELLO("\0\5" EXT_NONE), { 0x13, 0x01 }, false },
		{ VERSION_RANDOM "\0"
		                 "\0\3\x13\1\x13"
		                 "\1\0",
		    42, { 0x13, 0x01 }, true }, /* half of one at the end */
		{ "", 0, { 0x13, 0x01 }, false },
	};
	struct tls_hello h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		tls_hello_parse(
		    (struct text){ suites[i].hello, suites[i].len }, &h);
		if (tls_hello_has_suite(&h, suites[i].id) != suites[i].has)
			fail_msg("case %zu", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_suites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
