/* SPDX-License-Identifier: ISC */
/*
 * test_smtp_scan: commands, paths and parameters.  Each case is parsed in a
 * piece of memory of its own size, and so is each beginning of it, for the
 * sanitizer to see who reads behind the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "smtp_path.h"
#include "smtp_scan.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)
#define AS_16 "aaaaaaaaaaaaaaaa"
#define AS_64 AS_16 AS_16 AS_16 AS_16
#define AS_255 AS_64 AS_64 AS_64 AS_16 AS_16 AS_16 "aaaaaaaaaaaaaaa"

static bool
same(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.p, b.p, a.len));
}

/* A copy with nothing behind it; the caller frees out.p as char *. */
static char *
copy(struct text t, size_t n, struct text *out)
{
	char *p = malloc(n > 0 ? n : 1);

	assert_non_null(p);
	memcpy(p, t.p, n);
	*out = (struct text){ p, n };
	return p;
}

/* Is part within whole?  An empty one is nowhere. */
static bool
within(struct text part, struct text whole)
{
	return part.len == 0 ||
	    (part.p >= whole.p && part.len <= whole.len &&
	        (size_t)(part.p - whole.p) <= whole.len - part.len);
}

static void
test_commands(void **state)
{
	static const struct {
		struct text line;
		bool ok, ok_utf8;
		struct text verb, args;
	} cases[] = {
		{ S("NOOP"), true, true, S("NOOP"), S("") },
		{ S("noop  "), true, true, S("noop"), S("") },
		{ S("MAIL FROM:<a@b> SIZE=3 "), true, true, S("MAIL"),
		    S("FROM:<a@b> SIZE=3") },
		{ S("EHLO  [127.0.0.1]"), true, true, S("EHLO"),
		    S("[127.0.0.1]") },
		{ S("X-FOO a=b"), true, true, S("X-FOO"), S("a=b") },
		{ S("RCPT TO:<\xc3\xbc@b>"), false, true, S("RCPT"),
		    S("TO:<\xc3\xbc@b>") },
		{ S("RCPT TO:<\xff@b>"), false, false, S(""), S("") },
		{ S("RCPT TO:<\xed\xa0\x80@b>"), false, false, S(""), S("") },
		{ S("N\xc3\xbc a"), false, false, S(""), S("") },
		{ S(""), false, false, S(""), S("") },
		{ S(" NOOP"), false, false, S(""), S("") },
		{ S("NOOP\ta"), false, false, S(""), S("") },
		{ S("NOOP a\tb"), false, false, S(""), S("") },
		{ S("NOOP a\x1b"), false, false, S(""), S("") },
		{ S("NOOP a\x7f"), false, false, S(""), S("") },
		{ S("NOOP a\0b"), false, false, S(""), S("") },
		{ S("NOOP\rQUIT"), false, false, S(""), S("") },
		{ S("NOOP;"), false, false, S(""), S("") },
		{ S("\x16\x03\x01"), false, false, S(""), S("") },
	};
	struct smtp_command c;
	struct text line;
	size_t i, n;
	char *p;
	int utf8;
	bool ok;

	(void)state;
	for (i = 0; i < NITEMS(cases) * 2; i++) {
		utf8 = i % 2;
		for (n = 0; n <= cases[i / 2].line.len; n++) {
			p = copy(cases[i / 2].line, n, &line);
			ok = smtp_parse_command(line, utf8, &c);
			if (ok &&
			    (!within(c.verb, line) || !within(c.args, line) ||
			        c.verb.len == 0))
				fail_msg("case %zu: out of the line", i);
			if (n == cases[i / 2].line.len &&
			    (ok !=
			            (utf8 ? cases[i / 2].ok_utf8
			                  : cases[i / 2].ok) ||
			        (ok &&
			            (!same(c.verb, cases[i / 2].verb) ||
			                !same(c.args, cases[i / 2].args)))))
				fail_msg("case %zu: %.*s", i, TEXT_ARG(line));
			free(p);
		}
	}
}

static const struct path_case {
	struct text in;
	enum smtp_path_kind kind;
	enum smtp_path_result result; /* without SMTPUTF8 */
	struct text address, local, domain, rest;
} paths[] = {
	{ S("FROM:<a@b.c>"), SMTP_FROM, SMTP_PATH_OK, S("a@b.c"), S("a"),
	    S("b.c"), S("") },
	{ S("from: <a@b>  SIZE=3"), SMTP_FROM, SMTP_PATH_OK, S("a@b"), S("a"),
	    S("b"), S("  SIZE=3") },
	{ S("To:   <a@b>"), SMTP_TO, SMTP_PATH_OK, S("a@b"), S("a"), S("b"),
	    S("") },
	{ S("FROM:<>"), SMTP_FROM, SMTP_PATH_OK, S(""), S(""), S(""), S("") },
	{ S("FROM:<> RET=HDRS"), SMTP_FROM, SMTP_PATH_OK, S(""), S(""), S(""),
	    S(" RET=HDRS") },
	{ S("TO:<Postmaster>"), SMTP_TO, SMTP_PATH_OK, S("Postmaster"),
	    S("Postmaster"), S(""), S("") },
	{ S("TO:<postMASTER>"), SMTP_TO, SMTP_PATH_OK, S("postMASTER"),
	    S("postMASTER"), S(""), S("") },
	{ S("FROM:<Postmaster>"), SMTP_FROM, SMTP_PATH_NO_DOMAIN,
	    S("Postmaster"), S("Postmaster"), S(""), S("") },
	{ S("TO:<root>"), SMTP_TO, SMTP_PATH_NO_DOMAIN, S("root"), S("root"),
	    S(""), S("") },

	/* Local parts. */
	{ S("TO:<!#$%&'*+-/=?^_`{|}~@b>"), SMTP_TO, SMTP_PATH_OK,
	    S("!#$%&'*+-/=?^_`{|}~@b"), S("!#$%&'*+-/=?^_`{|}~"), S("b"),
	    S("") },
	{ S("TO:<.a..b.@b>"), SMTP_TO, SMTP_PATH_OK, S(".a..b.@b"), S(".a..b."),
	    S("b"), S("") },
	{ S("TO:<\"a b\"@c>"), SMTP_TO, SMTP_PATH_OK, S("\"a b\"@c"),
	    S("\"a b\""), S("c"), S("") },
	{ S("TO:<\"a\\\"@<>\\\\\"@c>"), SMTP_TO, SMTP_PATH_OK,
	    S("\"a\\\"@<>\\\\\"@c"), S("\"a\\\"@<>\\\\\""), S("c"), S("") },
	{ S("TO:<\"\"@c>"), SMTP_TO, SMTP_PATH_OK, S("\"\"@c"), S("\"\""),
	    S("c"), S("") },
	{ S("TO:<" AS_64 "@b>"), SMTP_TO, SMTP_PATH_OK, S(AS_64 "@b"), S(AS_64),
	    S("b"), S("") },
	{ S("TO:<" AS_64 "a@b>"), SMTP_TO, SMTP_PATH_TOO_LONG, S(AS_64 "a@b"),
	    S(AS_64 "a"), S("b"), S("") },
	{ S("TO:<\"a@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<\"a\"b@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<\"a\\\"@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<\"a\tb\"@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<a b@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a\0b@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<a,b@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },

	/* Domains. */
	{ S("TO:<a@B-1.c_d.Example>"), SMTP_TO, SMTP_PATH_OK,
	    S("a@B-1.c_d.Example"), S("a"), S("B-1.c_d.Example"), S("") },
	{ S("TO:<a@[192.0.2.1]>"), SMTP_TO, SMTP_PATH_OK, S("a@[192.0.2.1]"),
	    S("a"), S("[192.0.2.1]"), S("") },
	{ S("TO:<a@[ipv6:2001:db8::1]> X"), SMTP_TO, SMTP_PATH_OK,
	    S("a@[ipv6:2001:db8::1]"), S("a"), S("[ipv6:2001:db8::1]"),
	    S(" X") },
	{ S("TO:<a@[IPv6:::ffff:192.0.2.1]>"), SMTP_TO, SMTP_PATH_OK,
	    S("a@[IPv6:::ffff:192.0.2.1]"), S("a"),
	    S("[IPv6:::ffff:192.0.2.1]"), S("") },
	{ S("TO:<a@[2001:db8::1]>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""),
	    S(""), S("") },
	{ S("TO:<a@[192.0.2.256]>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""),
	    S(""), S("") },
	{ S("TO:<a@[192.0.2.1\0]>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""),
	    S(""), S("") },
	{ S("TO:<a@[IPv6:" AS_64 "]>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""),
	    S(""), S("") },
	{ S("TO:<a@[X-y:z]>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<a@[]>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@b.>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@.b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@b..c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<a@-b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@b-.c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<a@b@c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@b%c>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@" AS_255 ">"), SMTP_TO, SMTP_PATH_TOO_LONG, S("a@" AS_255),
	    S("a"), S(AS_255), S("") },
	{ S("TO:<" AS_16 "@" AS_64 AS_64 AS_64 AS_16 AS_16 "aaaaaaaaaaaaa>"),
	    SMTP_TO, SMTP_PATH_OK,
	    S(AS_16 "@" AS_64 AS_64 AS_64 AS_16 AS_16 "aaaaaaaaaaaaa"),
	    S(AS_16), S(AS_64 AS_64 AS_64 AS_16 AS_16 "aaaaaaaaaaaaa"), S("") },

	{ S("TO:<" AS_16 "a@" AS_64 AS_64 AS_64 AS_16 AS_16 "aaaaaaaaaaaaa>"),
	    SMTP_TO, SMTP_PATH_TOO_LONG,
	    S(AS_16 "a@" AS_64 AS_64 AS_64 AS_16 AS_16 "aaaaaaaaaaaaa"),
	    S(AS_16 "a"), S(AS_64 AS_64 AS_64 AS_16 AS_16 "aaaaaaaaaaaaa"),
	    S("") },
	{ S("TO:<@" AS_255 ":a@b>"), SMTP_TO, SMTP_PATH_TOO_LONG, S("a@b"),
	    S("a"), S("b"), S("") },

	/* Source routes. */
	{ S("TO:<@x:a@b>"), SMTP_TO, SMTP_PATH_OK, S("a@b"), S("a"), S("b"),
	    S("") },
	{ S("FROM:<@x.y,@z:a@b>"), SMTP_FROM, SMTP_PATH_OK, S("a@b"), S("a"),
	    S("b"), S("") },
	{ S("TO:<@x,y:a@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<@x,:a@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<@x:>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<@:a@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },

	/* UTF-8. */
	{ S("TO:<\xc3\xbc@b>"), SMTP_TO, SMTP_PATH_UTF8, S("\xc3\xbc@b"),
	    S("\xc3\xbc"), S("b"), S("") },
	{ S("TO:<\"\xf0\x9f\x98\x80\"@\xe4\xbe\x8b.c> Y"), SMTP_TO,
	    SMTP_PATH_UTF8, S("\"\xf0\x9f\x98\x80\"@\xe4\xbe\x8b.c"),
	    S("\"\xf0\x9f\x98\x80\""), S("\xe4\xbe\x8b.c"), S(" Y") },
	{ S("TO:<\xc0\xaf@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<a@\xff>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("TO:<\"\\\xc3\xbc\"@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""),
	    S(""), S("") },

	/* What is around the brackets. */
	{ S("TO:<>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("FROM:a@b"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("FROM <a@b>"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM : <a@b>"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM:\t<a@b>"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM:<a@b>X"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM:<<a@b>>"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM:< a@b>"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM:<a@b >"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""),
	    S("") },
	{ S("FROM:< >"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("TO:<a@b>"), SMTP_FROM, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S("FROM:<a@b>"), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
	{ S(""), SMTP_TO, SMTP_PATH_BAD, S(""), S(""), S(""), S("") },
};

/* The whole of a case. */
static void
check_path(size_t i, bool utf8)
{
	const struct path_case *c = &paths[i];
	struct smtp_path path;
	struct text in, rest;
	enum smtp_path_result result, expected = c->result;
	char *p = copy(c->in, c->in.len, &in);

	if (utf8 && expected == SMTP_PATH_UTF8)
		expected = SMTP_PATH_OK;
	rest = in;
	result = smtp_take_path(&rest, c->kind, utf8, &path);
	if (result != expected || !same(path.address, c->address) ||
	    !same(path.local, c->local) || !same(path.domain, c->domain) ||
	    !same(rest, result == SMTP_PATH_BAD ? in : c->rest) ||
	    path.utf8 != (c->result == SMTP_PATH_UTF8))
		fail_msg("path %zu, %.*s: %d %.*s", i, TEXT_ARG(in), result,
		    TEXT_ARG(path.address));
	free(p);
}

/* No beginning of a path is one, be it the whole without its bracket. */
static void
check_path_beginnings(size_t i)
{
	struct smtp_path path;
	struct text in, rest;
	size_t n;
	char *p;

	for (n = 0; n < paths[i].in.len - paths[i].rest.len; n++) {
		p = copy(paths[i].in, n, &in);
		rest = in;
		if (smtp_take_path(&rest, paths[i].kind, true, &path) !=
		    SMTP_PATH_BAD)
			fail_msg("path %zu, %.*s", i, TEXT_ARG(in));
		free(p);
	}
}

static void
test_paths(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(paths); i++) {
		check_path(i, false);
		check_path(i, true);
		if (paths[i].result != SMTP_PATH_BAD)
			check_path_beginnings(i);
	}
}

static void
test_params(void **state)
{
	static const struct {
		struct text in;
		const char *path; /* o(k), e(nd), b(ad), in this order */
		struct text key, value;
		bool utf8;
	} cases[] = {
		{ S(""), "e", S(""), S(""), false },
		{ S("  "), "e", S(""), S(""), false },
		{ S(" SIZE=3"), "oe", S("SIZE"), S("3"), false },
		{ S("  a  B=c "), "ooe", S("B"), S("c"), false },
		{ S(" SMTPUTF8"), "oe", S("SMTPUTF8"), S(""), false },
		{ S(" 8-x=<a+3D@b>"), "oe", S("8-x"), S("<a+3D@b>"), false },
		{ S(" a=!\"#$%&'()*;<>?@[\\]^_`{|}~"), "oe", S("a"),
		    S("!\"#$%&'()*;<>?@[\\]^_`{|}~"), false },
		{ S(" a=\xc3\xbc"), "oe", S("a"), S("\xc3\xbc"), true },
		{ S(" a=\xc3\xbc"), "b", S(""), S(""), false },
		{ S(" a=\xc3"), "b", S(""), S(""), true },
		{ S(" \xc3\xbc=a"), "b", S(""), S(""), true },
		{ S("SIZE=3"), "b", S(""), S(""), false },
		{ S(" SIZE="), "b", S(""), S(""), false },
		{ S(" SIZE= 3"), "b", S(""), S(""), false },
		{ S(" =3"), "b", S(""), S(""), false },
		{ S(" -a=3"), "b", S(""), S(""), false },
		{ S(" a=b=c"), "b", S(""), S(""), false },
		{ S(" a b,c"), "ob", S(""), S(""), false },
		{ S(" a=b\tc=d"), "b", S(""), S(""), false },
		{ S(" a=\x7f"), "b", S(""), S(""), false },
		{ S(" a=b\0"), "b", S(""), S(""), false },
	};
	static const char letters[] = {
		[SMTP_PARAM_OK] = 'o',
		[SMTP_PARAM_END] = 'e',
		[SMTP_PARAM_BAD] = 'b',
	};
	struct smtp_param param, last = { .key = TEXT_NONE };
	struct text in, rest;
	enum smtp_param_result r;
	char seen[8], *p;
	size_t i, n, k;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		for (n = 0; n <= cases[i].in.len; n++) {
			p = copy(cases[i].in, n, &in);
			rest = in;
			k = 0;
			do {
				r = smtp_take_param(
				    &rest, cases[i].utf8, &param);
				if (r == SMTP_PARAM_OK)
					last = param;
				assert_true(k + 1 < sizeof(seen));
				seen[k++] = letters[r];
			} while (r == SMTP_PARAM_OK);
			seen[k] = '\0';
			if (n == cases[i].in.len &&
			    (strcmp(seen, cases[i].path) != 0 ||
			        (cases[i].key.len > 0 &&
			            (!same(last.key, cases[i].key) ||
			                !same(last.value, cases[i].value) ||
			                (last.value.p == NULL) !=
			                    (cases[i].value.len == 0)))))
				fail_msg("param %zu: %s", i, seen);
			free(p);
		}
	}
}

static void
test_size(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		uint64_t size;
	} cases[] = {
		{ "0", true, 0 },
		{ "00042", true, 42 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", true, UINT64_MAX },
		{ "99999999999999999999", true, UINT64_MAX },
		{ "000000000000000000001", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ "1k", false, 0 },
		{ "9999999999999999999x", false, 0 },
	};
	uint64_t size;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		if (smtp_parse_size(text_of(cases[i].in), &size) !=
		        cases[i].ok ||
		    (cases[i].ok && size != cases[i].size))
			fail_msg("%s", cases[i].in);
	}
}

static void
test_bdat(void **state)
{
	static const struct {
		const char *in;
		bool ok, last;
		uint64_t size;
	} cases[] = {
		{ "0", true, false, 0 },
		{ "86 LAST", true, true, 86 },
		{ "86  last", true, true, 86 },
		{ "0 LAST", true, true, 0 },
		{ "9223372036854775807", true, false, INT64_MAX },
		{ "9223372036854775808", false, false, 0 },
		{ "18446744073709551617", false, false, 0 },
		{ "", false, false, 0 },
		{ "LAST", false, false, 0 },
		{ "86LAST", false, false, 0 },
		{ "86 LASTX", false, false, 0 },
		{ "86 LAST LAST", false, false, 0 },
		{ "86 FIRST", false, false, 0 },
		{ "-1", false, false, 0 },
		{ "0x10", false, false, 0 },
	};
	uint64_t size;
	size_t i;
	bool last;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		if (smtp_parse_bdat(text_of(cases[i].in), &size, &last) !=
		        cases[i].ok ||
		    (cases[i].ok &&
		        (size != cases[i].size || last != cases[i].last)))
			fail_msg("%s", cases[i].in);
	}
}

static void
test_helo(void **state)
{
	static const struct {
		struct text in;
		bool ok;
	} cases[] = {
		{ S("client.example.org"), true },
		{ S("[192.0.2.1]"), true },
		{ S("[IPv6:2001:db8::1]"), true },
		{ S("my_pc of mine"), true },
		{ S(AS_255), true },
		{ S(AS_255 "a"), false },
		{ S(""), false },
		{ S("a\tb"), false },
		{ S("a\x1b"), false },
		{ S("a\0"), false },
		{ S("\xc3\xbc"), false },
	};
	struct text name;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		if (smtp_parse_helo(cases[i].in, &name) != cases[i].ok ||
		    (cases[i].ok && !same(name, cases[i].in)))
			fail_msg("helo %zu", i);
	}
}

static void
test_utf8(void **state)
{
	static const struct {
		struct text in;
		size_t n;
	} cases[] = {
		{ S(""), 0 },
		{ S("a"), 0 },
		{ S("\x80"), 0 },
		{ S("\xc2\x80"), 2 },
		{ S("\xc1\xbf"), 0 },
		{ S("\xdf\xbf\x80"), 2 },
		{ S("\xe0\x9f\xbf"), 0 },
		{ S("\xe0\xa0\x80"), 3 },
		{ S("\xe2\x82"), 0 },
		{ S("\xe2\x82\x41"), 0 },
		{ S("\xed\x9f\xbf"), 3 },
		{ S("\xed\xa0\x80"), 0 },
		{ S("\xef\xbf\xbf"), 3 },
		{ S("\xf0\x8f\xbf\xbf"), 0 },
		{ S("\xf0\x90\x80\x80"), 4 },
		{ S("\xf4\x8f\xbf\xbf"), 4 },
		{ S("\xf4\x90\x80\x80"), 0 },
		{ S("\xf5\x80\x80\x80"), 0 },
		{ S("\xff\xff\xff\xff"), 0 },
	};
	struct text in;
	size_t i;
	char *p;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		p = copy(cases[i].in, cases[i].in.len, &in);
		if (smtp_utf8(in) != cases[i].n)
			fail_msg("utf8 %zu", i);
		free(p);
	}
}

static void
test_xtext(void **state)
{
	static const struct {
		struct text plain, coded;
	} both[] = {
		{ S(""), S("") },
		{ S("a@b"), S("a@b") },
		{ S("+"), S("+2B") },
		{ S("a+b=c d"), S("a+2Bb+3Dc+20d") },
		{ S("\0\xff\r\n~"), S("+00+FF+0D+0A~") },
	};
	char dst[32];
	struct text out;
	size_t i, size;

	(void)state;
	for (i = 0; i < NITEMS(both); i++) {
		for (size = 1; size <= sizeof(dst); size++) {
			if (smtp_xtext_encode(both[i].plain, dst, size, &out) !=
			    (size > both[i].coded.len))
				fail_msg("xtext %zu in %zu", i, size);
			if (size > both[i].coded.len)
				assert_true(same(out, both[i].coded));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_helo),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
