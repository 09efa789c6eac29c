/* SPDX-License-Identifier: ISC */
/* Tests of expiry: the list as the master writes it and roles read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert_dir.h"
#include "certs_impl.h"
#include "handover.h"

#define MANY (CERT_DIR_MAX + 64)

static char first[] = "/b.crt", second[] = "/a.crt", gone[] = "/gone.crt";
static char names[] = "example.org *.example.org", none[] = "";
static struct cert_pair late = { .names = names, .not_after = 2000000000 },
                        early = { .names = none, .not_after = 1900000000 };

/* What the list is of, read back. */
static struct expiry_list
list_of(struct cert_source *sources, size_t n)
{
	const struct certs s = { .sources = sources, .n = n };
	struct expiry_list l = { NULL, 0 };
	uint32_t len;
	int fd = expiry_compose(&s, &len);

	assert_int_not_equal(fd, -1);
	assert_int_equal(expiry_read(&l, fd, len), 0);
	close(fd);
	return l;
}

/* Those that end first are first; what is not in use is not there. */
static void
test_list(void **state)
{
	struct cert_source sources[] = { { .cert = first, .pair = &late },
		{ .cert = gone, .fresh = &early },
		{ .cert = second, .pair = &early } };
	struct expiry_list l = list_of(sources, 3);

	(void)state;
	assert_int_equal(l.n, 2);
	assert_string_equal(l.all[0].file, second);
	assert_string_equal(l.all[0].names, "");
	assert_true(l.all[0].not_after == 1900000000);
	assert_string_equal(l.all[1].file, first);
	assert_string_equal(l.all[1].names, names);
	assert_true(l.all[1].not_after == 2000000000);
	expiry_free(&l);
	assert_null(l.all);
}

static void
test_none(void **state)
{
	struct expiry_list l = list_of(NULL, 0);

	(void)state;
	assert_int_equal(l.n, 0);
	expiry_free(&l);
}

static void
test_many(void **state)
{
	struct cert_source *sources = calloc(MANY, sizeof(*sources));
	struct expiry_list l;
	size_t i;

	(void)state;
	assert_non_null(sources);
	for (i = 0; i < MANY; i++)
		sources[i] =
		    (struct cert_source){ .cert = first, .pair = &late };
	l = list_of(sources, MANY);
	assert_int_equal(l.n, MANY);
	expiry_free(&l);
	free(sources);
}

/* The list that was stays: octets cut off, octets too many, another kind. */
static void
test_malformed(void **state)
{
	static const struct {
		enum handover_kind kind;
		struct text data;
	} cases[] = {
		{ HANDOVER_EXPIRY, TEXT_LIT("") },
		{ HANDOVER_EXPIRY, TEXT_LIT("\0\0\0\0\0\0\0\1\0\0\0\1a") },
		{ HANDOVER_EXPIRY,
		    TEXT_LIT("\0\0\0\0\0\0\0\1\0\0\0\1a\0\0\0\0x") },
		{ HANDOVER_EXPIRY,
		    TEXT_LIT("\200\0\0\0\0\0\0\1\0\0\0\1a\0\0\0\0") },
		{ HANDOVER_CERT,
		    TEXT_LIT("\0\0\0\0\0\0\0\1\0\0\0\1a\0\0\0\0") },
	};
	struct cert_source source = { .cert = first, .pair = &late };
	struct expiry_list l = list_of(&source, 1);
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = handover_new("expiry");
		assert_int_not_equal(fd, -1);
		assert_int_equal(
		    handover_add(fd, cases[i].kind, 0, cases[i].data), 0);
		assert_int_equal(
		    expiry_read(&l, fd, (size_t)lseek(fd, 0, SEEK_END)), -1);
		close(fd);
		assert_int_equal(l.n, 1);
		assert_string_equal(l.all[0].file, first);
	}
	expiry_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
