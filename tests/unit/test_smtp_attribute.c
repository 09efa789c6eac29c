/* SPDX-License-Identifier: ISC */
/* test_smtp_attribute: what XCLIENT and XFORWARD say, and that it fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp_attribute.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

#define BIT(name) SMTP_ATTRIBUTE_BIT(SMTP_ATTRIBUTE_##name)
#define ALL (SMTP_ATTRIBUTE_BIT(SMTP_ATTRIBUTES) - 1)

static struct smtp_attributes
usual(const char *addr)
{
	struct smtp_attributes who = { .name = TEXT_LIT("c.example.org"),
		.helo = TEXT_LIT("[192.168.1.5]"),
		.login = TEXT_LIT("alice@example.org"),
		.esmtp = true };

	assert_int_equal(addr_parse(text_of(addr), 4711, &who.addr), 0);
	assert_int_equal(addr_parse(TEXT_LIT("192.0.2.1"), 465, &who.local), 0);
	return who;
}

/* The server's entry, the keyword looked for, what is wanted. */
static const struct {
	const char *entry, *keyword;
	unsigned int wanted;
} lists[] = {
	{ "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR "
	  "DESTPORT",
	    "XCLIENT", ALL & ~BIT(SOURCE) },
	{ "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", "XFORWARD",
	    ALL & ~(BIT(LOGIN) | BIT(DESTADDR) | BIT(DESTPORT)) },
	{ "xclient addr", "XCLIENT", BIT(ADDR) },
	{ "XCLIENT NAMES ADD", "XCLIENT", 0 },
	{ "XCLIENT", "XCLIENT", 0 },
	{ "XCLIENT NAME", "XFORWARD", 0 },
	{ "8BITMIME", "XCLIENT", 0 },
};

static void
test_wanted(void **state)
{
	struct capability list;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(lists); i++) {
		capability_clear(&list);
		assert_int_equal(
		    capability_add(&list, text_of(lists[i].entry)), 0);
		assert_int_equal(
		    smtp_attributes_wanted(&list, lists[i].keyword),
		    lists[i].wanted);
	}
}

/* One attribute alone, as it is told. */
static void
check(const struct smtp_attributes *who, unsigned int bit, const char *value,
    bool known)
{
	char line[SMTP_ATTRIBUTE_SIZE], expected[SMTP_ATTRIBUTE_SIZE];
	unsigned int left = bit;

	(void)snprintf(expected, sizeof(expected), "XCLIENT %s", value);
	assert_int_equal(
	    smtp_attributes_next(who, "XCLIENT", &left, line), known ? bit : 0);
	assert_string_equal(line, expected);
	assert_int_equal(left, 0);
}

static void
test_values(void **state)
{
	struct smtp_attributes who = usual("203.0.113.50");

	(void)state;
	check(&who, BIT(NAME), "NAME=c.example.org", true);
	check(&who, BIT(ADDR), "ADDR=203.0.113.50", true);
	check(&who, BIT(PORT), "PORT=4711", true);
	check(&who, BIT(PROTO), "PROTO=ESMTP", true);
	check(&who, BIT(HELO), "HELO=[192.168.1.5]", true);
	check(&who, BIT(LOGIN), "LOGIN=alice@example.org", true);
	check(&who, BIT(DESTADDR), "DESTADDR=192.0.2.1", true);
	check(&who, BIT(DESTPORT), "DESTPORT=465", true);
	check(&who, BIT(SOURCE), "SOURCE=REMOTE", true);
	who.esmtp = false;
	check(&who, BIT(PROTO), "PROTO=SMTP", true);
}

static void
test_addresses(void **state)
{
	struct smtp_attributes who = usual("2001:db8::1");

	(void)state;
	check(&who, BIT(ADDR), "ADDR=IPV6:2001:db8::1", true);
	who = usual("::ffff:192.0.2.7"); /* which is IPv4 */
	check(&who, BIT(ADDR), "ADDR=192.0.2.7", true);
	who = usual("fe80::1%lo"); /* the scope is no business of theirs */
	check(&who, BIT(ADDR), "ADDR=IPV6:fe80::1", true);
}

static void
test_unavailable(void **state)
{
	struct smtp_attributes who = usual("203.0.113.50");
	char name[600];

	(void)state;
	who.name = who.helo = who.login = TEXT_NONE;
	check(&who, BIT(NAME), "NAME=[UNAVAILABLE]", false);
	check(&who, BIT(HELO), "HELO=[UNAVAILABLE]", false);
	check(&who, BIT(LOGIN), "LOGIN=[UNAVAILABLE]", false);
	memset(name, 'x', sizeof(name));
	who.login = (struct text){ name, sizeof(name) }; /* too long */
	check(&who, BIT(LOGIN), "LOGIN=[UNAVAILABLE]", false);
}

/* What would end a value, a line, or xtext itself. */
static void
test_xtext(void **state)
{
	struct smtp_attributes who = usual("203.0.113.50");

	(void)state;
	who.helo = TEXT_LIT("a b ADDR=1+\r\n\0\xc3\xa9");
	check(&who, BIT(HELO), "HELO=a+20b+20ADDR+3D1+2B+0D+0A+00+C3+A9", true);
}

/* All in one line if it holds them, ADDR at the end of the last. */
static void
test_split(void **state)
{
	struct smtp_attributes who = usual("2001:db8::1");
	char line[SMTP_ATTRIBUTE_SIZE], name[492];
	unsigned int left = ALL & ~BIT(SOURCE), told;

	(void)state;
	told = smtp_attributes_next(&who, "XCLIENT", &left, line);
	assert_string_equal(line,
	    "XCLIENT NAME=c.example.org PORT=4711 PROTO=ESMTP "
	    "HELO=[192.168.1.5] LOGIN=alice@example.org DESTADDR=192.0.2.1 "
	    "DESTPORT=465 ADDR=IPV6:2001:db8::1");
	assert_int_equal(told, ALL & ~BIT(SOURCE));
	assert_int_equal(left, 0);

	memset(name, 'x', sizeof(name));
	who.login = (struct text){ name, sizeof(name) };
	left = BIT(NAME) | BIT(LOGIN) | BIT(ADDR);
	assert_int_equal(
	    smtp_attributes_next(&who, "XCLIENT", &left, line), BIT(NAME));
	assert_string_equal(line, "XCLIENT NAME=c.example.org");
	assert_int_equal(
	    smtp_attributes_next(&who, "XCLIENT", &left, line), BIT(LOGIN));
	assert_int_equal(strlen(line), strlen("XCLIENT LOGIN=") + sizeof(name));
	assert_int_equal(
	    smtp_attributes_next(&who, "XCLIENT", &left, line), BIT(ADDR));
	assert_string_equal(line, "XCLIENT ADDR=IPV6:2001:db8::1");
	assert_int_equal(left, 0);
}

/* 510 octets are the most. */
static void
test_full(void **state)
{
	struct smtp_attributes who = usual("203.0.113.50");
	char line[SMTP_ATTRIBUTE_SIZE], octets[292];
	unsigned int left = BIT(NAME) | BIT(HELO);

	(void)state;
	memset(octets, 'x', sizeof(octets));
	who.name = (struct text){ octets, 200 };
	who.helo = (struct text){ octets, sizeof(octets) - 1 };
	(void)smtp_attributes_next(&who, "XCLIENT", &left, line);
	assert_int_equal(strlen(line), 510);
	assert_int_equal(left, 0);
	left = BIT(NAME) | BIT(HELO);
	who.helo.len++;
	(void)smtp_attributes_next(&who, "XCLIENT", &left, line);
	assert_int_equal(left, BIT(HELO));
}

/* Whatever the lengths, all is told in lines of 512 octets, CRLF included. */
static void
test_lengths(void **state)
{
	struct smtp_attributes who = usual("203.0.113.50");
	char line[SMTP_ATTRIBUTE_SIZE], octets[600];
	unsigned int left, lines;
	size_t i;

	(void)state;
	memset(octets, '=', sizeof(octets)); /* three octets each */
	for (i = 0; i <= sizeof(octets); i++) {
		who.name = (struct text){ octets, i };
		who.helo = (struct text){ octets, i / 2 };
		left = ALL;
		for (lines = 0; left != 0; lines++) {
			(void)smtp_attributes_next(
			    &who, "XFORWARD", &left, line);
			assert_true(
			    strlen(line) + 2 <= SMTP_ATTRIBUTE_COMMAND_MAX);
		}
		assert_true(lines >= 1 && lines <= 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_unavailable),
		cmocka_unit_test(test_xtext),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
