/* SPDX-License-Identifier: ISC */
/* Whether a file may hold secrets of Cyrus SASL 1, as it changes. */
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sasldb_legacy.h"

static char path[] = "/tmp/test_legacy.XXXXXX";

/* Long enough ago for what is found to be kept. */
#define SETTLE() usleep(150000)

/* n octets with word at a place. */
static void
write_file(size_t n, size_t at, const char *word)
{
	char *p = calloc(1, n);
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_non_null(p);
	assert_int_not_equal(fd, -1);
	memcpy(p + at, word, strlen(word));
	assert_int_equal(write(fd, p, n), n);
	close(fd);
	free(p);
}

static void
test_found(void **state)
{
	static const struct {
		size_t size, at;
		const char *word;
		bool found;
	} cases[] = {
		{ 12288, 0, "", false },
		{ 12288, 100, "userPassword", false },
		{ 12288, 100, "cmusaslsecretPLAIN", true },
		{ 12288, 12270, "cmusaslsecretPLAIN", true },
		/* over the end of what is read at once */
		{ 65536, 16383, "cmusaslsecretPLAIN", true },
		{ 65536, 16380, "cmusaslsecretPLAIN", true },
		{ 65536, 16370, "cmusaslsecretPLAIN", true },
		{ 65536, 32760, "cmusaslsecretPLAIN", true },
		/* over the end of a page */
		{ 12288, 510, "cm----usaslsecretPLAIN", true },
		{ 12288, 510, "cmusaslsecret----PLAIN", true },
		{ 12288, 510, "cmusasl--secret--PLAIN", false },
		{ 17 * 1024 * 1024, 0, "", true }, /* not looked at */
		{ 4, 0, "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sasldb_legacy l = { .looked = false };

		write_file(cases[i].size, cases[i].at, cases[i].word);
		SETTLE();
		assert_int_equal(
		    sasldb_legacy_may_be(&l, path), cases[i].found);
		assert_int_equal(
		    sasldb_legacy_may_be(&l, path), cases[i].found);
	}
}

static void
test_changes(void **state)
{
	struct sasldb_legacy l = { .looked = false };
	char other[sizeof(path) + 2];

	(void)state;
	write_file(4096, 0, "");
	assert_true(sasldb_legacy_may_be(&l, path)); /* too fresh */
	SETTLE();
	assert_false(sasldb_legacy_may_be(&l, path));
	write_file(4096, 7, SASLDB_LEGACY_PROPERTY); /* of the same size */
	assert_true(sasldb_legacy_may_be(&l, path));
	SETTLE();
	assert_true(sasldb_legacy_may_be(&l, path));
	/* As the copy in the spool comes: by a rename. */
	(void)snprintf(other, sizeof(other), "%s.2", path);
	assert_int_equal(rename(path, other), 0);
	assert_true(sasldb_legacy_may_be(&l, path)); /* there is none */
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	write_file(4096, 0, "");
	SETTLE();
	assert_false(sasldb_legacy_may_be(&l, path));
	assert_int_equal(rename(other, path), 0);
	SETTLE();
	assert_true(sasldb_legacy_may_be(&l, path));
}

static void
test_no_file(void **state)
{
	struct sasldb_legacy l = { .looked = false };

	(void)state;
	assert_true(sasldb_legacy_may_be(&l, "/nonexistent/sasldb2"));
	assert_true(sasldb_legacy_may_be(&l, "/dev"));
	assert_true(sasldb_legacy_may_be(&l, "/dev/null"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_no_file),
	};
	int fd = mkstemp(path), failed;

	if (fd == -1)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return failed;
}
