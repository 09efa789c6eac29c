/* SPDX-License-Identifier: ISC */
/* Cyrus SASL's configuration: what its own reader takes, and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "authenticator_conf.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

static void
test_values(void **state)
{
	static const struct {
		const char *file, *option, *value; /* NULL: it has none */
	} cases[] = {
		{ "pwcheck_method: saslauthd\nmech_list: plain login\n",
		    "pwcheck_method", "saslauthd" },
		{ "pwcheck_method: saslauthd\nmech_list: plain login\n",
		    "mech_list", "plain login" },
		{ "mech_list: plain login", "mech_list", "plain login" },
		{ "mech_list:plain", "mech_list", "plain" },
		{ "  Mech_List:\t plain \t\r\n", "mech_list", "plain" },
		{ "a: 1\na: 2\n", "a", "1" },
		{ "# a: 1\n\n  # b\na: # 1\n", "a", "# 1" },
		{ "sql_select: SELECT x FROM y: z\n", "sql_select",
		    "SELECT x FROM y: z" },
		{ "a-b_9: c", "a-b_9", "c" },
		{ "a: 1", "ab", NULL },
		{ "ab: 1", "a", NULL },
		{ "", "a", NULL },
		{ "\n\n", "a", NULL },
	};
	struct sasl_conf *c;
	const char *value;
	size_t i, bad;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		c = sasl_conf_new(text_of(cases[i].file), &bad);
		assert_non_null(c);
		value = sasl_conf_get(c, cases[i].option);
		if (cases[i].value == NULL)
			assert_null(value);
		else
			assert_string_equal(value, cases[i].value);
		sasl_conf_free(&c);
		assert_null(c);
	}
	/* A file of nothing at all, too. */
	c = sasl_conf_new(TEXT_NONE, &bad);
	assert_non_null(c);
	sasl_conf_free(&c);
}

static void
test_bad_lines(void **state)
{
	static const struct {
		struct text file;
		size_t line;
	} cases[] = {
		{ TEXT_LIT("pwcheck_method saslauthd\n"), 1 },
		{ TEXT_LIT("a: 1\n\nb = 2\n"), 3 },
		{ TEXT_LIT("a:\n"), 1 },
		{ TEXT_LIT("a: \t\n"), 1 },
		{ TEXT_LIT(": 1\n"), 1 },
		{ TEXT_LIT("a : 1\n"), 1 },
		{ TEXT_LIT("a"), 1 },
		{ TEXT_LIT("a: 1\nb: \0c\n"), 2 },
	};
	size_t i, bad;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		assert_null(sasl_conf_new(cases[i].file, &bad));
		assert_int_equal(bad, cases[i].line);
	}
}

static void
test_sort(void **state)
{
	static const struct {
		const char *words, *model, *sorted;
	} cases[] = {
		{ "LOGIN PLAIN", "plain login", "PLAIN LOGIN" },
		{ "PLAIN LOGIN", "login plain", "LOGIN PLAIN" },
		{ "A B C", "c", "C A B" },
		{ "A B C", "", "A B C" },
		{ "A B", "b x b A", "B A" },
		{ "", "plain", "" },
		{ "SCRAM-SHA-1 SCRAM-SHA-256", "scram-sha-256",
		    "SCRAM-SHA-256 SCRAM-SHA-1" },
	};
	char dst[64];
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		sasl_conf_sort(
		    text_of(cases[i].words), text_of(cases[i].model), dst);
		assert_string_equal(dst, cases[i].sorted);
	}
	sasl_conf_sort(TEXT_LIT("A B"), TEXT_NONE, dst);
	assert_string_equal(dst, "A B");
}

static void
test_login(void **state)
{
	static const struct {
		const char *list, *model, *result;
	} cases[] = {
		{ "PLAIN", "", "PLAIN LOGIN" }, { "", " ", "LOGIN" },
		{ "PLAIN", "plain login", "PLAIN LOGIN" },
		{ "PLAIN", "plain", "PLAIN" },
		{ "PLAIN", "plain login2", "PLAIN" },
		{ "LOGIN PLAIN", "", "LOGIN PLAIN" },
		{ "SCRAM-SHA-256-PL", "", "SCRAM-SHA-256-PL" }, /* no room */
	};
	char list[20];
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		(void)strlcpy(list, cases[i].list, sizeof(list));
		sasl_conf_add_login(
		    list, sizeof(list), text_of(cases[i].model));
		assert_string_equal(list, cases[i].result);
	}
	(void)strlcpy(list, "PLAIN", sizeof(list));
	sasl_conf_add_login(list, sizeof(list), TEXT_NONE);
	assert_string_equal(list, "PLAIN LOGIN");
}

static void
test_find(void **state)
{
	char a[] = "/tmp/test_sasl_conf.XXXXXX",
	     b[] = "/tmp/test_sasl_conf.XXXXXX";
	char folders[128], file[64];
	char *path;

	(void)state;
	assert_non_null(mkdtemp(a));
	assert_non_null(mkdtemp(b));
	(void)snprintf(folders, sizeof(folders), "/nonexistent:%s::%s", a, b);
	assert_null(sasl_conf_find(folders, "smtpd"));
	(void)snprintf(file, sizeof(file), "%s/smtpd.conf", b);
	fclose(fopen(file, "w"));
	path = sasl_conf_find(folders, "smtpd");
	assert_string_equal(path, file);
	free(path);
	assert_null(sasl_conf_find(folders, "imapd"));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(a) | rmdir(b), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
