/* SPDX-License-Identifier: ISC */
/* test_credentials: who may be passed on, under which name, in which form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "credentials.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)
#define NAME_SIZE (CREDENTIALS_NAME_MAX + 1)

static void
test_copy(void **state)
{
	static const struct {
		struct text in;
		size_t size;
		const char *out; /* NULL: refused */
	} cases[] = {
		{ S("joe"), 8, "joe" },
		{ S("joe"), 4, "joe" },
		{ S("joe"), 3, NULL },
		{ S("j\xc3\xb6 \r\n\x01"), 8, "j\xc3\xb6 \r\n\x01" },
		{ S("j\0e"), 8, NULL },
		{ S("joe\0"), 8, NULL },
		{ S("\0"), 8, NULL },
		{ S(""), 8, "" },
		{ S(""), 1, "" },
		{ { NULL, 0 }, 8, "" },
	};
	char dst[9];
	size_t i;
	bool ok;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		memset(dst, 'x', sizeof(dst));
		ok = credentials_copy(cases[i].in, dst, cases[i].size);
		assert_int_equal(ok, cases[i].out != NULL);
		if (ok)
			assert_string_equal(dst, cases[i].out);
		assert_int_equal(dst[cases[i].size], 'x');
	}
}

static void
test_good(void **state)
{
	static const struct {
		struct credentials c;
		bool good;
	} cases[] = {
		{ { "joe", "", "secret" }, true },
		{ { "joe", "boss", "secret" }, true },
		{ { " ", "", " " }, true },
		{ { "j\xc3\xb6\x01\x7f", "\xff", "\xe4\t" }, true },
		{ { "", "", "secret" }, false },
		{ { "", "boss", "secret" }, false },
		{ { "joe", "", "" }, false },
		{ { "joe\r", "", "secret" }, false },
		{ { "j\noe", "", "secret" }, false },
		{ { "joe", "\nboss", "secret" }, false },
		{ { "joe", "bo\rss", "secret" }, false },
		{ { "joe", "", "se\rcret" }, false },
		{ { "joe", "", "secret\n" }, false },
		{ { "joe", "", "\r\n" }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		if (credentials_are_good(&cases[i].c) != cases[i].good)
			fail_msg("case %zu", i);
	}
}

/* The name inside. */
static void
test_rename(void **state)
{
	static const struct {
		bool strip, add, lower;
		const char *delimiter, *domain, *name;
		const char *inside; /* NULL: there is none */
	} cases[] = {
		{ false, false, false, "@", "d", "Joe@E.COM", "Joe@E.COM" },
		{ false, false, true, "@", "d", "Joe@E.COM", "joe@e.com" },
		/* Letters of ASCII alone: what an octet means is unknown. */
		{ false, false, true, "@", "d", "@[Z`{\xc4", "@[z`{\xc4" },
		/* The last delimiter is the one that counts. */
		{ true, false, false, "@", "d", "Joe@E.COM", "Joe" },
		{ true, false, false, "@", "d", "a@b@c", "a@b" },
		{ true, false, false, "@", "d", "joe@", "joe" },
		{ true, false, false, "%%", "d", "a%b%%c", "a%b" },
		{ true, false, false, "@@", "d", "a@@@b", "a@" },
		{ true, false, false, "@", "d", "joe", "joe" },
		{ true, false, false, "", "d", "joe@x", "joe@x" },
		{ true, false, false, NULL, "d", "joe@x", "joe@x" },
		/* No name is left. */
		{ true, false, false, "@", "d", "@x", NULL },
		{ true, true, false, "@", "d", "@x", NULL },
		{ true, false, false, "@", "d", "@@x", "@" },
		{ false, true, false, "@", "d.org", "joe", "joe@d.org" },
		{ false, true, false, "@", "d.org", "joe@x", "joe@x" },
		{ false, true, false, "@", NULL, "joe", "joe" },
		{ false, true, false, NULL, "d.org", "joe", "joe" },
		{ false, true, false, "+at+", "d.org", "joe", "joe+at+d.org" },
		{ true, true, true, "@", "D.org", "JOE@x", "joe@d.org" },
		{ true, true, false, "@", "d.org", "a@b@c", "a@b" },
		/* Nobody's name: no authorisation identity. */
		{ true, true, true, "@", "d.org", "", "" },
	};
	char delimiter[8], domain[8], out[NAME_SIZE];
	struct conf conf;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		conf = (struct conf){ .name_rules = {
			                  .strip_domain = cases[i].strip,
			                  .add_domain = cases[i].add,
			                  .lower_case = cases[i].lower,
			              } };
		if (cases[i].delimiter != NULL) {
			(void)strlcpy(
			    delimiter, cases[i].delimiter, sizeof(delimiter));
			conf.domain_delimiter = delimiter;
		}
		if (cases[i].domain != NULL) {
			(void)strlcpy(domain, cases[i].domain, sizeof(domain));
			conf.explicit_domain = domain;
		}
		ret = credentials_rename(&conf, cases[i].name, out);
		if (ret != (cases[i].inside != NULL ? 0 : -1) ||
		    (ret == 0 && strcmp(out, cases[i].inside) != 0))
			fail_msg("case %zu: %d %s", i, ret, out);
	}
}

/* A name with its domain is as long as may be, and one octet longer. */
static void
test_rename_long(void **state)
{
	static const struct {
		size_t len;
		const char *delimiter;
		int ret;
	} cases[] = {
		{ CREDENTIALS_NAME_MAX - 6, "@", 0 },
		{ CREDENTIALS_NAME_MAX - 5, "@", -1 },
		{ CREDENTIALS_NAME_MAX - 1, "@", -1 },
		{ CREDENTIALS_NAME_MAX - 1, "@@", -1 },
		{ CREDENTIALS_NAME_MAX, "@", -1 },
	};
	char name[NAME_SIZE], out[NAME_SIZE], delimiter[8], domain[] = "d.org";
	struct conf conf = { .name_rules = { .add_domain = true } };
	size_t i;

	(void)state;
	conf.domain_delimiter = delimiter;
	conf.explicit_domain = domain;
	for (i = 0; i < NITEMS(cases); i++) {
		memset(name, 'x', sizeof(name));
		name[cases[i].len] = '\0';
		(void)strlcpy(delimiter, cases[i].delimiter, sizeof(delimiter));
		assert_int_equal(
		    credentials_rename(&conf, name, out), cases[i].ret);
		if (cases[i].ret == 0)
			assert_int_equal(strlen(out), CREDENTIALS_NAME_MAX);
	}
}

static void
test_plain(void **state)
{
	static const struct {
		struct credentials c;
		struct text message;
	} cases[] = {
		{ { "joe", "", "secret" }, S("\0joe\0secret") },
		{ { "joe", "boss", "secret" }, S("boss\0joe\0secret") },
		{ { "j", "", "p" }, S("\0j\0p") },
		{ { "j ", "", " p\xc3\xb6 " }, S("\0j \0 p\xc3\xb6 ") },
	};
	char code[CREDENTIALS_PLAIN_MAX], message[CREDENTIALS_MESSAGE_MAX];
	size_t i, len;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		credentials_plain(&cases[i].c, code);
		assert_int_equal(base64_decode(text_of(code), message,
		                     sizeof(message), &len),
		    0);
		assert_int_equal(len, cases[i].message.len);
		assert_memory_equal(message, cases[i].message.p, len);
	}
	credentials_plain(&cases[0].c, code);
	assert_string_equal(code, "AGpvZQBzZWNyZXQ=");
}

/* The longest of all fills the space, and no more. */
static void
test_plain_long(void **state)
{
	static struct credentials c;
	char code[CREDENTIALS_PLAIN_MAX + 1];

	(void)state;
	memset(c.authn, 'a', CREDENTIALS_NAME_MAX);
	memset(c.authz, 'b', CREDENTIALS_NAME_MAX);
	memset(c.password, 'c', CREDENTIALS_PASSWORD_MAX);
	assert_true(credentials_are_good(&c));
	code[CREDENTIALS_PLAIN_MAX] = '!';
	credentials_plain(&c, code);
	assert_int_equal(strlen(code), CREDENTIALS_PLAIN_MAX - 1);
	assert_int_equal(code[CREDENTIALS_PLAIN_MAX], '!');
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_rename_long),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
