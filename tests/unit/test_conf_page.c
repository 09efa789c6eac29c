/* SPDX-License-Identifier: ISC */
/*
 * The manual page documents every directive, and nothing else as one; the
 * sample configuration is good.  Both are found from the top of the tree.
 */
#include <stdlib.h>

#include "conf_fixture.h"
#include "conf_table.h"

#define PAGE "conf/relais.conf.5"
#define ITEM ".It Cm "

/* A whole file as a string; the caller frees it. */
static char *
slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t size = 0;
	char *s = NULL;

	if (f == NULL)
		fail_msg("%s: cannot be opened", path);
	if (getdelim(&s, &size, '\0', f) == -1)
		fail_msg("%s: cannot be read", path);
	fclose(f);
	return s;
}

/* Is there a line ".It Cm name ..." in the page? */
static bool
has_item(const char *page, const char *name)
{
	const char *p;
	char c;

	for (p = strstr(page, ITEM); p != NULL; p = strstr(p + 1, ITEM)) {
		if (strncmp(p + strlen(ITEM), name, strlen(name)) != 0)
			continue;
		c = p[strlen(ITEM) + strlen(name)];
		if (c == ' ' || c == '\n')
			return true;
	}
	return false;
}

static void
test_page_has_each(void **state)
{
	char *page = slurp(PAGE);
	unsigned int missing = 0;
	size_t i;

	(void)state;
	for (i = 0; conf_directive(i) != NULL; i++) {
		if (has_item(page, conf_directive(i)))
			continue;
		print_message("%s lacks %s\n", PAGE, conf_directive(i));
		missing++;
	}
	assert_int_equal(missing, 0);
	free(page);
}

/* The word behind ITEM, which must be a directive's name. */
static void
test_page_has_no_other(void **state)
{
	char *page = slurp(PAGE);
	struct text name;
	const char *p;

	(void)state;
	for (p = strstr(page, ITEM); p != NULL; p = strstr(p + 1, ITEM)) {
		name.p = p + strlen(ITEM);
		name.len = strcspn(name.p, " \n");
		if (conf_table_find(name) == NULL)
			fail_msg("%s: no directive %.*s", PAGE, TEXT_ARG(name));
	}
	free(page);
}

/* The letters that the page tells are the table's. */
static void
test_page_letters(void **state)
{
	char *page = slurp(PAGE), want[128];
	const struct conf_directive *d;
	size_t i;

	(void)state;
	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		if (d->letter == '\0')
			continue;
		snprintf(want, sizeof(want), ITEM "%s Po Fl %c Pc", d->name,
		    d->letter);
		if (strstr(page, want) == NULL)
			fail_msg("%s lacks \"%s\"", PAGE, want);
	}
	free(page);
}

static void
test_sample(void **state)
{
	struct said said;
	struct conf *c = fixture_new(&said);

	(void)state;
	conf_read_file(c, "conf/imapsd.conf");
	conf_settle(c, "conf/imapsd.conf");
	fixture_check("the sample", &said, 0, NULL);
	assert_int_equal(c->nlisten, 4);
	assert_int_equal(c->nservers, 1);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_has_each),
		cmocka_unit_test(test_page_has_no_other),
		cmocka_unit_test(test_page_letters),
		cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
