/* SPDX-License-Identifier: ISC */
/* Which files in a folder are pairs. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cert_dir.h"
#include "remove_tree.h"
#include "text.h"
#include "xmalloc.h"

static char folder[] = "/tmp/relais-cert-dir-XXXXXX";

static int
set_up(void **state)
{
	(void)state;
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	return remove_tree(folder);
}

/* A file, and the folder that it is in. */
static void
touch(struct text name)
{
	char *path = xasprintf("%s/%.*s", folder, TEXT_ARG(name));
	char *slash = strrchr(path, '/');
	int fd;

	*slash = '\0';
	if (mkdir(path, 0700) == -1)
		assert_int_equal(errno, EEXIST);
	*slash = '/';
	if (slash[1] != '\0') {
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_int_not_equal(fd, -1);
		close(fd);
	}
	free(path);
}

/* files, with blanks between; wanted: "NAME CERT KEY;NAME CERT KEY". */
static const struct {
	const char *files, *wanted;
} cases[] = {
	{ "", "" },
	/* side by side, as lego does it */
	{ "a.crt a.key a.issuer.crt a.json", "a a.crt a.key" },
	{ "b.cert b.key a.cer a.key", "a a.cer a.key;b b.cert b.key" },
	{ "a.crt a.pem a.key", "a a.crt a.key" },
	{ "a.pem a.key", "a a.pem a.key" },
	/* both in one */
	{ "a.pem", "a a.pem a.pem" },
	{ "mx.1.pem mx.2.pem",
	    "mx.1 mx.1.pem mx.1.pem;mx.2 mx.2.pem mx.2.pem" },
	/* certbot, dehydrated */
	{ "README a/cert.pem a/chain.pem a/fullchain.pem a/privkey.pem "
	  "a/README",
	    "a/ a/fullchain.pem a/privkey.pem" },
	/* acme.sh */
	{ "a/fullchain.cer a/a.key a/a.cer a/ca.cer a/a.csr a/a.conf",
	    "a/ a/fullchain.cer a/a.key" },
	{ "a_ecc/fullchain.cer a_ecc/a.key a_ecc/a.cer",
	    "a_ecc/ a_ecc/fullchain.cer a_ecc/a.key" },
	{ "a/tls.crt a/tls.key", "a/ a/tls.crt a/tls.key" },
	{ "a/cert.pem a/key.pem", "a/ a/cert.pem a/key.pem" },
	{ "a/a.crt a/a.key", "a/ a/a.crt a/a.key" },
	{ "a/a.pem", "a/ a/a.pem a/a.pem" },
	/* half of a pair: the other half is what will be missed */
	{ "a.crt", "a a.crt a.key" }, { "a.key", "a a.crt a.key" },
	{ "a/fullchain.pem", "a/ a/fullchain.pem a/privkey.pem" },
	{ "a/privkey.pem", "a/ a/fullchain.pem a/privkey.pem" },
	/* what is none of our business */
	{ "README .a.pem a.csr a.crt.bak a.key~ a.pem.new a.txt", "" },
	{ "a/README a/a.csr b/ .c/fullchain.pem .c/privkey.pem", "" },
	/* what would be two lines where it is told of, or move a cursor */
	{ "a\nb.pem a\x1b[31m.crt a\x7f.key c.pem", "c c.pem c.pem" },
	{ "a\r\nb/fullchain.pem a\r\nb/privkey.pem", "" },
	{ "a/b/fullchain.pem a/b/privkey.pem", "" }, /* not deeper */
};

static char *
told(const struct cert_dir *d)
{
	char *text = xstrdup(""), *longer;
	size_t i, n = strlen(folder) + 1;

	for (i = 0; i < d->n; i++) {
		longer = xasprintf("%s%s%s %s %s", text, i > 0 ? ";" : "",
		    d->entries[i].name, d->entries[i].cert + n,
		    d->entries[i].key + n);
		free(text);
		text = longer;
	}
	return text;
}

static void
test_layouts(void **state)
{
	struct text rest, word;
	struct cert_dir d;
	char *text;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(set_up(state), 0);
		rest = text_of(cases[i].files);
		while (text_word(&rest, &word)) {
			if (text_eq(word, "a/b/fullchain.pem") ||
			    text_eq(word, "a/b/privkey.pem"))
				touch(TEXT_LIT("a/"));
			touch(word);
		}
		assert_int_equal(cert_dir_read(folder, &d), 0);
		text = told(&d);
		assert_string_equal(text, cases[i].wanted);
		free(text);
		cert_dir_free(&d);
		assert_int_equal(tear_down(state), 0);
	}
}

static void
test_no_folder(void **state)
{
	struct cert_dir d;

	(void)state;
	assert_int_equal(cert_dir_read("/nonexistent/folder", &d), -1);
	assert_int_equal(errno, ENOENT);
	cert_dir_free(&d);
}

/* More than are to be had are counted, not forgotten. */
static void
test_too_many(void **state)
{
	struct cert_dir d;
	char name[32];
	int i;

	assert_int_equal(set_up(state), 0);
	for (i = 0; i < CERT_DIR_MAX + 3; i++) {
		(void)snprintf(name, sizeof(name), "%05d.pem", i);
		touch(text_of(name));
	}
	assert_int_equal(cert_dir_read(folder, &d), 0);
	assert_int_equal(d.n, CERT_DIR_MAX);
	assert_int_equal(d.left_out, 3);
	assert_string_equal(d.entries[0].name, "00000");
	cert_dir_free(&d);
	assert_int_equal(tear_down(state), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
