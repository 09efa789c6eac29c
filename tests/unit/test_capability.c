/* SPDX-License-Identifier: ISC */
/* test_capability: the set, and what of it a client is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "capability.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static void
words(struct capability *c, const char *s)
{
	capability_clear(c);
	assert_int_equal(capability_add_words(c, text_of(s)), 0);
}

static void
assert_words(const struct capability *c, const char *expected)
{
	char out[CAPABILITY_MAX];

	assert_int_equal(capability_print(c, " ", out, sizeof(out)), 0);
	assert_string_equal(out, expected);
}

static void
test_add(void **state)
{
	static const struct {
		struct text in;
		int ret;
	} cases[] = {
		{ TEXT_LIT("IDLE"), 0 },
		{ TEXT_LIT("SIZE 1000"), 0 },
		{ TEXT_LIT("~ AUTH=X"), 0 },
		{ TEXT_LIT(""), -1 },
		{ { NULL, 0 }, -1 },
		{ TEXT_LIT("A\nB"), -1 },
		{ TEXT_LIT("A\r"), -1 },
		{ TEXT_LIT("A\0"), -1 },
		{ TEXT_LIT("A\tB"), -1 },
		{ TEXT_LIT("\x7f"), -1 },
		{ TEXT_LIT("\x1f"), -1 },
		{ TEXT_LIT("\xc3\xa4"), -1 },
	};
	struct capability c;
	struct text entry;
	size_t i, at;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		capability_clear(&c);
		at = 0;
		assert_int_equal(capability_add(&c, cases[i].in), cases[i].ret);
		assert_int_equal(
		    capability_next(&c, &at, &entry), cases[i].ret == 0);
		if (cases[i].ret == 0)
			assert_true(text_casesame(entry, cases[i].in));
		assert_false(capability_next(&c, &at, &entry));
	}
}

static void
test_set(void **state)
{
	struct capability a, b;

	(void)state;
	words(&a, "  IMAP4rev1 idle\tID IDLE AUTH=PLAIN id ");
	assert_words(&a, "IMAP4rev1 idle ID AUTH=PLAIN");
	assert_true(capability_has(&a, "IDLE"));
	assert_true(capability_has(&a, "auth=plain"));
	assert_false(capability_has(&a, "AUTH"));
	assert_false(capability_has(&a, "IMAP4rev1 idle"));
	assert_false(capability_has(&a, ""));

	/* All words or none. */
	assert_int_equal(capability_add_words(&a, text_of("SORT T\x01 X")), -1);
	assert_words(&a, "IMAP4rev1 idle ID AUTH=PLAIN");
	assert_int_equal(capability_add_words(&a, text_of(" ")), 0);

	words(&b, "imap4REV1 IDLE id auth=plain");
	assert_true(capability_same(&a, &b));
	words(&b, "IDLE IMAP4REV1 ID AUTH=PLAIN");
	assert_false(capability_same(&a, &b));
	words(&b, "IMAP4REV1 IDLE ID");
	assert_false(capability_same(&a, &b));

	words(&b, "AUTH=PLAIN IDLE SORT");
	capability_intersect(&a, &b);
	assert_words(&a, "idle AUTH=PLAIN");
	capability_clear(&b);
	capability_intersect(&a, &b);
	assert_words(&a, "");
	assert_true(capability_same(&a, &b));
}

/* Entries of more than one word: POP3's CAPA, SMTP's EHLO. */
static void
test_keyword(void **state)
{
	static const struct {
		const char *keyword, *argument;
		bool has_keyword, has_argument;
	} cases[] = {
		{ "SASL", "PLAIN", true, true },
		{ "sasl", "login", true, true },
		{ "SASL", "GSSAPI", true, true }, /* in another entry */
		{ "SASL", "PLAI", true, false },
		{ "SASL", "PLAINS", true, false },
		{ "SASL", "SASL", true, false },
		{ "SASL", "PLAIN LOGIN", true, false },
		{ "SASL", "", true, false },
		{ "SAS", "PLAIN", false, false },
		{ "SASLX", "PLAIN", false, false },
		{ "PLAIN", "LOGIN", false, false },
		{ "USER", "USER", true, false },
		{ "USER", "CRAM-MD5", true, false }, /* of the next entry */
		{ "UTF8", "USER", true, true },
		{ "EXPIRE", "60", true, true },
		{ "EXPIRE", "NEVER", true, true },
		{ "EXPIRE", "6", true, false },
		{ "TOP", "TOP", true, false },
		{ "", "SASL", false, false },
		{ "", "", false, false },
	};
	static const char *const entries[] = { "  ", "SASL PLAIN LOGIN", "USER",
		"SASL  CRAM-MD5   GSSAPI ", "UTF8 USER", "EXPIRE 60 NEVER",
		" TOP" };
	struct capability c;
	size_t i;

	(void)state;
	capability_clear(&c);
	assert_false(capability_has_keyword(&c, "SASL"));
	assert_false(capability_has_argument(&c, "SASL", "PLAIN"));
	for (i = 0; i < NITEMS(entries); i++)
		assert_int_equal(capability_add(&c, text_of(entries[i])), 0);
	for (i = 0; i < NITEMS(cases); i++) {
		if (capability_has_keyword(&c, cases[i].keyword) !=
		        cases[i].has_keyword ||
		    capability_has_argument(&c, cases[i].keyword,
		        cases[i].argument) != cases[i].has_argument)
			fail_msg("%s %s", cases[i].keyword, cases[i].argument);
	}
}

static void
test_remove(void **state)
{
	static const struct {
		const char *pattern, *left;
	} cases[] = {
		{ "IDLE", "AUTH=PLAIN IMAP4 AUTH=LOGIN AUTH" },
		{ "idl", "AUTH=PLAIN IMAP4 IDLE AUTH=LOGIN AUTH" },
		{ "AUTH=*", "IMAP4 IDLE AUTH" },
		{ "auth*", "IMAP4 IDLE" },
		{ "AUTH", "AUTH=PLAIN IMAP4 IDLE AUTH=LOGIN" },
		{ "*", "" },
		{ "", "AUTH=PLAIN IMAP4 IDLE AUTH=LOGIN AUTH" },
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		words(&c, "AUTH=PLAIN IMAP4 IDLE AUTH=LOGIN AUTH");
		capability_remove(&c, cases[i].pattern);
		assert_words(&c, cases[i].left);
	}
}

static void
test_print(void **state)
{
	static const struct {
		const char *sep;
		size_t size;
		const char *out; /* NULL: refused */
	} cases[] = {
		{ " ", 9, "AB CD EF" },
		{ " ", 8, NULL },
		{ " ", 3, NULL },
		{ "\r\n", 11, "AB\r\nCD\r\nEF" },
		{ "\r\n", 10, NULL },
		{ "\r\n", 4, NULL },
		{ "", 7, "ABCDEF" },
		{ " ", 0, NULL },
	};
	struct capability c;
	char out[16];
	size_t i;
	int ret;

	(void)state;
	words(&c, "AB CD EF");
	for (i = 0; i < NITEMS(cases); i++) {
		memset(out, 'x', sizeof(out));
		ret = capability_print(&c, cases[i].sep, out, cases[i].size);
		assert_int_equal(ret, cases[i].out != NULL ? 0 : -1);
		if (ret == 0)
			assert_string_equal(out, cases[i].out);
		assert_int_equal(out[cases[i].size], 'x');
	}
	capability_clear(&c);
	assert_int_equal(capability_print(&c, " ", out, 1), 0);
	assert_string_equal(out, "");
}

static void
test_full(void **state)
{
	struct capability c;
	char big[CAPABILITY_MAX];

	(void)state;
	memset(big, 'x', sizeof(big));
	capability_clear(&c);
	assert_int_equal(
	    capability_add(&c, (struct text){ big, sizeof(big) }), -1);
	assert_int_equal(
	    capability_add(&c, (struct text){ big, sizeof(big) - 3 }), 0);
	assert_int_equal(capability_add(&c, TEXT_LIT("ab")), -1);
	assert_int_equal(capability_add(&c, TEXT_LIT("a")), 0);
	assert_int_equal(c.len, CAPABILITY_MAX);
	assert_int_equal(capability_add(&c, TEXT_LIT("b")), -1);
	assert_int_equal(capability_add(&c, TEXT_LIT("a")), 0);
}

#define BEFORE (CAPABILITY_CLEAR | CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define LOGIN (CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define CLEAR CAPABILITY_CLEAR
#define TLS CAPABILITY_TLS
#define AFTER CAPABILITY_AFTER
#define STARTTLS CAPABILITY_STARTTLS

static const struct capability_rule rules[] = {
	{ "IMAP4rev1", BEFORE | AFTER, 0, false, "a common word" },
	{ "STARTTLS", STARTTLS, STARTTLS, true, "the relay's own" },
	{ "LOGINDISABLED", 0, CLEAR, true, "the relay's own" },
	{ "AUTH=PLAIN", 0, LOGIN, false, "comes before what removes it" },
	{ "AUTH=*", 0, 0, false, "the inner server's" },
	{ "COMPRESS=DEFLATE", AFTER, 0, false, "opaque" },
	{ "ID", BEFORE | AFTER, BEFORE, false, "both have it" },
	{ "X-NEVER", 0, 0, true, "edited away" },
};
static const struct capability_rule any[] = {
	{ "AUTH=*", 0, 0, false, "the inner server's" },
	{ "*", AFTER, 0, false, "passed when nothing is promised by us" },
	{ "AUTH=PLAIN", AFTER, 0, false, "too late to matter" },
};

static void
test_rewrite(void **state)
{
	static const struct {
		unsigned int situation;
		const char *inner, *out;
	} cases[] = {
		/* What is kept stays; what is added comes behind, by rule. */
		{ TLS, "ID AUTH=LOGIN IMAP4rev1 COMPRESS=DEFLATE",
		    "ID IMAP4rev1 AUTH=PLAIN" },
		{ TLS, "IMAP4rev1", "IMAP4rev1 AUTH=PLAIN ID" },
		{ TLS, "auth=plain id imap4rev1 starttls logindisabled",
		    "id imap4rev1 AUTH=PLAIN" },
		{ CLEAR, "IMAP4rev1", "IMAP4rev1 LOGINDISABLED ID" },
		{ CLEAR | STARTTLS, "IMAP4rev1 ID",
		    "IMAP4rev1 ID STARTTLS LOGINDISABLED" },
		{ CLEAR | STARTTLS, "STARTTLS IMAP4rev1",
		    "STARTTLS IMAP4rev1 LOGINDISABLED ID" },
		{ CAPABILITY_CLEAR_LOGIN | STARTTLS, "LOGINDISABLED IMAP4rev1",
		    "IMAP4rev1 STARTTLS AUTH=PLAIN ID" },
		{ AFTER, "COMPRESS=DEFLATE XYZ AUTH=PLAIN ID IMAP4rev1",
		    "COMPRESS=DEFLATE ID IMAP4rev1" },
		{ AFTER, "", "" },
	};
	struct capability inner, out;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		words(&inner, cases[i].inner);
		capability_rewrite(
		    rules, NITEMS(rules), cases[i].situation, &inner, &out);
		assert_words(&out, cases[i].out);
	}
	words(&inner, "XYZ AUTH=PLAIN AUTH IDLE");
	capability_rewrite(any, NITEMS(any), AFTER, &inner, &out);
	assert_words(&out, "XYZ AUTH IDLE");
	capability_rewrite(any, NITEMS(any), TLS, &inner, &out);
	assert_words(&out, "");
}

static void
test_edit(void **state)
{
	static const struct {
		unsigned int situation;
		const char *set, *out;
	} cases[] = {
		{ TLS, "IMAP4rev1 UIDPLUS STARTTLS XYZ AUTH=LOGIN",
		    "IMAP4rev1 UIDPLUS XYZ AUTH=LOGIN" },
		{ CLEAR | STARTTLS, "IMAP4rev1 IDLE STARTTLS XYZ",
		    "IMAP4rev1 IDLE STARTTLS XYZ LOGINDISABLED" },
		{ CLEAR | STARTTLS, "XYZ IMAP4rev1",
		    "XYZ IMAP4rev1 STARTTLS LOGINDISABLED" },
		{ CAPABILITY_CLEAR_LOGIN, "XYZ STARTTLS LOGINDISABLED", "XYZ" },
		{ TLS, "x-never COMPRESS=DEFLATE", "COMPRESS=DEFLATE" },
	};
	struct capability set, out;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		words(&set, cases[i].set);
		capability_edit(
		    rules, NITEMS(rules), cases[i].situation, &set, &out);
		assert_words(&out, cases[i].out);
	}
}

/* An inner server cannot fill the list until ours have no place. */
static void
test_stuffed(void **state)
{
	struct capability inner, out;
	char word[] = "X-ABCAA"; /* and LF: 8 octets */

	(void)state;
	capability_clear(&inner);
	while (capability_add(&inner, TEXT_LIT(word)) == 0) {
		if (word[6]++ == 'Z') {
			word[6] = 'A';
			word[5]++;
		}
	}
	assert_int_equal(inner.len, CAPABILITY_MAX);
	capability_edit(rules, NITEMS(rules), CLEAR | STARTTLS, &inner, &out);
	assert_true(capability_has(&out, "STARTTLS"));
	assert_true(capability_has(&out, "LOGINDISABLED"));
	assert_true(capability_has(&out, "X-ABCAA"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_keyword),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_stuffed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
