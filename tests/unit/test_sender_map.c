/* SPDX-License-Identifier: ISC */
/* sender_map: tables of senders and their owners, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "msg.h"
#include "sender_map.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static struct sender_map *
good(struct text t)
{
	const char *why;
	size_t line;
	struct sender_map *m = sender_map_parse(t, &line, &why);

	if (m == NULL)
		fail_msg("line %zu: %s", line, why);
	return m;
}

static void
test_forms(void **state)
{
	static const struct {
		struct text map;
		size_t line; /* of the fault; 0: none */
	} cases[] = {
		{ TEXT_LIT(""), 0 },
		{ TEXT_LIT("\n \t\n# a b\n  # c\n\r\n"), 0 },
		{ TEXT_LIT("a@x b@x"), 0 },
		{ TEXT_LIT("a@x b@x\r\n"), 0 },
		{ TEXT_LIT("a@x b@x,c@x , d@x\n"), 0 },
		{ TEXT_LIT("a@x\n b@x\n# no\n\n\tc@x\nb@x b@x\n"), 0 },
		{ TEXT_LIT("a@x b@x,\n"), 0 },
		{ TEXT_LIT("a@x b@x\na@y b@x\n"), 0 },
		{ TEXT_LIT("a@x\n"), 1 },
		{ TEXT_LIT("a@x ,\nb@x b@x\n"), 1 },
		{ TEXT_LIT("a@x b\n\nb@x\n#\nc@x c\n"), 3 },
		{ TEXT_LIT("# a\n b@x\n"), 2 },
		{ TEXT_LIT("a@x b\nb@x b\nA@X c\n"), 3 },
		{ TEXT_LIT("a@x b\nc@x b\0\n"), 2 },
	};
	struct sender_map *m;
	const char *why;
	size_t i, line;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		m = sender_map_parse(cases[i].map, &line, &why);
		if ((m == NULL) != (cases[i].line != 0))
			fail_msg("case %zu: %s", i, why);
		if (m == NULL)
			assert_int_equal(line, cases[i].line);
		sender_map_free(&m);
	}
}

static const struct text map =
    TEXT_LIT("# who owns what\n"
             "alice@example.org alice@example.org\n"
             "alice+private@example.org carol@example.org\n"
             "sales@example.org\talice@example.org,\r\n"
             "   # and\n"
             "   bob@example.org carol@example.org\n"
             "@example.org bob@example.org\n"
             "o'neill@example.com oneill\n"
             "plain bob@example.org\n");

static const struct {
	const char *sender, *user;
	bool owns;
} lookups[] = {
	{ "alice@example.org", "alice@example.org", true },
	{ "ALICE@Example.ORG", "Alice@example.org", true },
	{ "alice@example.org", "bob@example.org", false },
	{ "alice@example.org", "alice@example.or", false },
	{ "alice@example.org", "alice", false },
	{ "alice@example.org", "", false },
	{ "sales@example.org", "alice@example.org", true },
	{ "sales@example.org", "bob@example.org", true },
	{ "sales@example.org", "carol@example.org", true },
	{ "sales@example.org", "dave@example.org", false },
	/* the extension's own entry, then the address's, then the domain's */
	{ "alice+private@example.org", "carol@example.org", true },
	{ "alice+private@example.org", "alice@example.org", false },
	{ "alice+shop+x@example.org", "alice@example.org", true },
	{ "alice+shop@example.org", "bob@example.org", false },
	{ "dave+shop@example.org", "bob@example.org", true },
	{ "+alice@example.org", "alice@example.org", false },
	{ "dave@example.org", "bob@example.org", true },
	{ "dave@example.org", "dave@example.org", false },
	/* quotes are no way around */
	{ "\"alice\"@example.org", "bob@example.org", false },
	{ "\"alice\"@example.org", "alice@example.org", true },
	{ "\"\\a\\l\\i\\c\\e\"@example.org", "bob@example.org", false },
	{ "al\"ic\"e@example.org", "alice@example.org", true },
	{ "\"a@b\"@example.org", "bob@example.org", true },
	/* no entry */
	{ "o'neill@example.com", "oneill", true },
	{ "dave@example.com", "bob@example.org", false },
	{ "alice@sub.example.org", "bob@example.org", false },
	{ "plain", "bob@example.org", true },
	{ "plain+x", "bob@example.org", true },
	{ "@example.org", "bob@example.org", true },
	{ "other", "bob@example.org", false },
	{ "", "bob@example.org", false },
};

static void
test_lookups(void **state)
{
	struct sender_map *m = good(map);
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(lookups); i++)
		if (sender_map_owns(m, text_of(lookups[i].sender),
		        text_of(lookups[i].user)) != lookups[i].owns)
			fail_msg(
			    "%s by %s", lookups[i].sender, lookups[i].user);
	sender_map_free(&m);
}

/* Whatever its end is cut off, a table parses or names a line of its own. */
static void
test_cut(void **state)
{
	char part[512];
	struct sender_map *m;
	const char *why;
	size_t n, line;

	(void)state;
	for (n = 0; n <= map.len; n++) {
		memcpy(part, map.p, n);
		m = sender_map_parse((struct text){ part, n }, &line, &why);
		assert_in_range(line, 1, 10);
		memset(part, 'x', sizeof(part)); /* nothing is borrowed */
		if (m != NULL && n == map.len)
			assert_true(sender_map_owns(
			    m, TEXT_LIT("plain"), TEXT_LIT("bob@example.org")));
		sender_map_free(&m);
	}
}

static void
test_sizes(void **state)
{
	static char text[200000], sender[MSG_SENDER_MAX + 1];
	struct sender_map *m;
	size_t i, n = 0;

	(void)state;
	for (i = 0; i < 5000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "u%zu@example.org u%zu\n", i, i);
	m = good((struct text){ text, n });
	for (i = 0; i < 5000; i++) {
		n = (size_t)snprintf(
		    sender, sizeof(sender), "U%zu@example.org", i);
		assert_true(sender_map_owns(m, (struct text){ sender, n },
		    (struct text){ sender, n - strlen("@example.org") }));
	}
	memset(sender, 'a', sizeof(sender));
	assert_false(sender_map_owns(
	    m, (struct text){ sender, sizeof(sender) }, TEXT_LIT("u1")));
	assert_false(sender_map_owns(
	    m, (struct text){ sender, MSG_SENDER_MAX }, TEXT_LIT("u1")));
	sender_map_free(&m);
}

static void
test_files(void **state)
{
	char path[] = "/tmp/test_sender_map.XXXXXX";
	char error[SENDER_MAP_ERROR_MAX];
	struct sender_map *m;
	int fd = mkstemp(path);

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, map.p, map.len), map.len);
	m = sender_map_read(path, "name", error);
	assert_non_null(m);
	sender_map_free(&m);
	assert_int_equal(write(fd, "x\n", 2), 2);
	assert_null(sender_map_read(path, "name", error));
	assert_string_equal(error, "name:10: a sender without a login");
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_null(sender_map_read(path, "name", error));
	assert_string_equal(error, "name: No such file or directory");
	assert_null(sender_map_read("/tmp", "name", error));
	assert_string_equal(error, "name: Invalid argument");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
