/* SPDX-License-Identifier: ISC */
/* test_imap_scan: commands and responses, whole and octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "imap_scan.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)

/*
 * Commands.  path has a letter for each thing that is told: i(nvite), o(k), w
 * for what is still awaited at the end, t(oo big), n(umber), L(ine), O(ctet),
 * B(ig non-synchronising literal).  An invitation is followed up, all else
 * ends the case.
 */
static const struct {
	struct text in;
	const char *path;
	struct text command; /* of the last thing told */
} commands[] = {
	{ S("a NOOP\r\n"), "o", S("a NOOP") },
	{ S("a NOOP\r\nb NOOP\r\n"), "o", S("a NOOP") },
	{ S("\r\n"), "o", S("") },
	{ S(""), "w", S("") },
	{ S("a NOOP"), "w", S("") },
	{ S("a NOOP\r"), "w", S("") },

	/* Literals that wait for "+". */
	{ S("a LOGIN {3}\r\n"), "iw", S("") },
	{ S("a LOGIN {3}\r\njoe"), "iw", S("") },
	{ S("a LOGIN {3}\r\njoe\r\n"), "io", S("a LOGIN {3}\r\njoe") },
	{ S("a LOGIN {3}\r\njoe {4}\r\npass\r\nx"), "iio",
	    S("a LOGIN {3}\r\njoe {4}\r\npass") },
	{ S("a LOGIN {0}\r\n x\r\n"), "io", S("a LOGIN {0}\r\n x") },
	{ S("a LOGIN {003}\r\njoe x\r\n"), "io", S("a LOGIN {003}\r\njoe x") },

	/* Literals that do not wait. */
	{ S("a LOGIN {3+}\r\njoe {2+}\r\n\r\n\r\n"), "o",
	    S("a LOGIN {3+}\r\njoe {2+}\r\n\r\n") },
	{ S("a LOGIN {3+}\r\n}\r\n"), "w", S("") },
	{ S("a LOGIN {1+}\r\n\r\r\n"), "o", S("a LOGIN {1+}\r\n\r") },
	{ S("a LOGIN {2+}\r\n\0\n\r\n"), "o", S("a LOGIN {2+}\r\n\0\n") },
	/* Its end is no line's end: {1} is not an announcement. */
	{ S("a X {5+}\r\n{1}\r\n\r\n"), "o", S("a X {5+}\r\n{1}\r\n") },
	/* Whatever stands before it, its author sends the octets. */
	{ S("a X \"{3+}\r\nb X\r\n"), "o", S("a X \"{3+}\r\nb X") },
	{ S("a X ~{3+}\r\nabc\r\n"), "o", S("a X ~{3+}\r\nabc") },

	/* No literals. */
	{ S("a X {}\r\n"), "o", S("a X {}") },
	{ S("a X {+}\r\n"), "o", S("a X {+}") },
	{ S("a X {3++}\r\n"), "o", S("a X {3++}") },
	{ S("a X {-3}\r\n"), "o", S("a X {-3}") },
	{ S("a X {3} \r\n"), "o", S("a X {3} ") },
	{ S("a X 3}\r\n"), "o", S("a X 3}") },
	{ S("}\r\n"), "o", S("}") },
	{ S("+}\r\n"), "o", S("+}") },
	{ S("3}\r\n"), "o", S("3}") },

	/* Sizes. */
	{ S("a X {4096}\r\n"), "iw", S("") },
	{ S("a X {4097}\r\n"), "t", S("a X {4097}") },
	{ S("a X {4294967295}\r\n"), "t", S("a X {4294967295}") },
	{ S("a X {4294967296}\r\n"), "n", S("a X {4294967296}") },
	{ S("a X {999999999999}\r\n"), "n", S("a X {999999999999}") },
	{ S("a X {18446744073709551617}\r\n"), "n",
	    S("a X {18446744073709551617}") },
	{ S("a X {4096+}\r\n"), "w", S("") },
	{ S("a X {4097+}\r\n"), "B", S("a X {4097+}") },
	{ S("a X {4294967299+}\r\n"), "B", S("a X {4294967299+}") },

	/* Octets that no line has. */
	{ S("a NOOP\n"), "O", S("") },
	{ S("a NO\rOP\r\n"), "O", S("") },
	{ S("a NO\0OP\r\n"), "O", S("") },
	{ S("a X {3+}\r\nabc\n"), "O", S("") },
};

static const char letters[] = {
	[IMAP_SCAN_OK] = 'o',
	[IMAP_SCAN_WAIT] = 'w',
	[IMAP_SCAN_INVITE] = 'i',
	[IMAP_SCAN_TOO_BIG] = 't',
	[IMAP_SCAN_BAD_NUMBER] = 'n',
	[IMAP_SCAN_LOST_LINE] = 'L',
	[IMAP_SCAN_LOST_OCTET] = 'O',
	[IMAP_SCAN_LOST_LITERAL] = 'B',
};

/* Scan in, step octets at a time; what is told goes to path. */
static struct text
scan_all(struct buf *b, struct text in, size_t step, char *path)
{
	struct imap_scan scan = { 0 };
	struct text out = TEXT_NONE;
	enum imap_scan_result r = IMAP_SCAN_WAIT;
	size_t n;

	while (in.len > 0) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(b, in.p, n), 0);
		in = text_skip(in, n);
		while (
		    (r = imap_scan_command(&scan, b, &out)) == IMAP_SCAN_INVITE)
			*path++ = letters[r];
		if (r != IMAP_SCAN_WAIT)
			break;
	}
	*path++ = letters[r];
	*path = '\0';
	return r == IMAP_SCAN_WAIT ? TEXT_NONE : out;
}

static void
check_command(size_t i, size_t step)
{
	struct buf b;
	struct text out;
	char path[64];

	buf_init(&b, 65536);
	out = scan_all(&b, commands[i].in, step, path);
	if (strcmp(path, commands[i].path) != 0 ||
	    out.len < commands[i].command.len)
		fail_msg("command %zu, step %zu: %s", i, step, path);
	if (commands[i].command.len > 0) {
		assert_int_equal(out.len, commands[i].command.len);
		assert_memory_equal(out.p, commands[i].command.p, out.len);
	}
	buf_free(&b);
}

static void
test_commands(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < NITEMS(commands); i++) {
		for (step = 1; step <= commands[i].in.len; step++)
			check_command(i, step);
	}
}

/* begin, then n times c, then end: what is told at last? */
static char
scan_long(const char *begin, char c, size_t n, const char *end, size_t step)
{
	static char octets[65536];
	struct text t = { octets, 0 };
	char path[64];
	struct buf b;

	t.len = strlen(begin);
	memcpy(octets, begin, t.len);
	memset(octets + t.len, c, n);
	memcpy(octets + t.len + n, end, strlen(end));
	t.len += n + strlen(end);
	buf_init(&b, sizeof(octets));
	(void)scan_all(&b, t, step, path);
	buf_free(&b);
	return path[strlen(path) - 1];
}

static void
test_line_length(void **state)
{
	static const struct {
		const char *begin;
		size_t n;
		char last;
	} cases[] = {
		{ "a NOOP ", IMAP_LINE_MAX - 9, 'o' },
		{ "a NOOP ", IMAP_LINE_MAX - 8, 'L' },
		{ "", IMAP_LINE_MAX - 2, 'o' },
		{ "", IMAP_LINE_MAX - 1, 'L' },
		{ "a authenticate PLAIN ", IMAP_AUTHENTICATE_MAX - 23, 'o' },
		{ "a AUTHENTICATE PLAIN ", IMAP_AUTHENTICATE_MAX - 22, 'L' },
		/* Not its first line, or not the command. */
		{ "a AUTHENTICATE {1+}\r\n", IMAP_LINE_MAX - 1, 'o' },
		{ "a AUTHENTICATE {1+}\r\n", IMAP_LINE_MAX, 'L' },
		{ "a AUTHENTICATED ", IMAP_LINE_MAX, 'L' },
		{ "  AUTHENTICATE ", IMAP_LINE_MAX, 'L' },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(
		    scan_long(cases[i].begin, 'x', cases[i].n, "\r\n", 65536),
		    cases[i].last);
		assert_int_equal(
		    scan_long(cases[i].begin, 'x', cases[i].n, "\r\n", 1),
		    cases[i].last);
	}
}

/* Many literals: the sum is bounded too. */
static void
test_command_length(void **state)
{
	static char octets[65536];
	static char literal[4106];
	struct imap_scan scan = { 0 };
	struct text out;
	struct buf b;
	size_t n = 0;

	(void)state;
	memset(literal, 'x', sizeof(literal));
	memcpy(literal, "{4096+}\r\n", 9);
	literal[sizeof(literal) - 1] = ' ';
	buf_init(&b, sizeof(octets));
	while (imap_scan_command(&scan, &b, &out) == IMAP_SCAN_WAIT) {
		assert_int_equal(buf_append(&b, literal, sizeof(literal)), 0);
		n++;
	}
	assert_int_equal(
	    imap_scan_command(&scan, &b, &out), IMAP_SCAN_LOST_LITERAL);
	assert_int_equal(n, IMAP_COMMAND_MAX / sizeof(literal) + 1);
	buf_free(&b);
}

/* What was looked at is not looked at again. */
static void
test_no_rescan(void **state)
{
	struct imap_scan scan = { 0 };
	struct text out;
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 8192);
	for (i = 1; i < 5000; i++) {
		assert_int_equal(buf_append(&b, "x", 1), 0);
		assert_int_equal(
		    imap_scan_line(&scan, &b, 8192, &out), LINE_WAIT);
		assert_int_equal(scan.scanned, i);
	}
	assert_int_equal(buf_append(&b, "\r\nnext", 6), 0);
	assert_int_equal(imap_scan_line(&scan, &b, 8192, &out), LINE_OK);
	assert_int_equal(out.len, 4999);
	buf_free(&b);
}

/* Strings, into 8 octets; rest is what stands behind. */
static const struct {
	struct text in;
	bool astring;
	enum imap_string result;
	const char *value, *rest;
} strings[] = {
	{ S("joe x"), true, IMAP_STRING_OK, "joe", " x" },
	{ S("j]o+e"), true, IMAP_STRING_OK, "j]o+e", "" },
	{ S("NIL"), true, IMAP_STRING_OK, "NIL", "" },
	{ S("joe"), false, IMAP_STRING_BAD, NULL, NULL },
	{ S(""), true, IMAP_STRING_BAD, NULL, NULL },
	{ S(" joe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("(joe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("%"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("*"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\xc3\xa4"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("j\\e"), true, IMAP_STRING_OK, "j", "\\e" },
	{ S("seven77 x"), true, IMAP_STRING_OK, "seven77", " x" },
	{ S("eight888 x"), true, IMAP_STRING_TOO_LONG, NULL, " x" },

	{ S("\"\" x"), true, IMAP_STRING_OK, "", " x" },
	{ S("\"a b\"x"), true, IMAP_STRING_OK, "a b", "x" },
	{ S("\"a\\\"\\\\b\""), false, IMAP_STRING_OK, "a\"\\b", "" },
	{ S("\"\xc3\xa4\""), true, IMAP_STRING_OK, "\xc3\xa4", "" },
	{ S("\"a\\b\""), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\"a\\"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\"a"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\""), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\"a\\\""), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\"{3+}\r\nabc\""), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\"a\0b\""), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("\"seven77\""), true, IMAP_STRING_OK, "seven77", "" },
	{ S("\"eight888\" x"), true, IMAP_STRING_TOO_LONG, NULL, " x" },

	{ S("{3}\r\njoe x"), true, IMAP_STRING_OK, "joe", " x" },
	{ S("{3+}\r\nj\"e x"), false, IMAP_STRING_OK, "j\"e", " x" },
	{ S("{0}\r\n x"), true, IMAP_STRING_OK, "", " x" },
	{ S("{2+}\r\n\r\n"), true, IMAP_STRING_OK, "\r\n", "" },
	{ S("{7}\r\nseven77"), true, IMAP_STRING_OK, "seven77", "" },
	{ S("{8}\r\neight888 x"), true, IMAP_STRING_TOO_LONG, NULL, " x" },
	{ S("{4}\r\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{3}joe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{3}\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{3\r\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{}\r\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{+}\r\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{-1}\r\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{4294967299}\r\njoe"), true, IMAP_STRING_BAD, NULL, NULL },
	{ S("{3}\r\nj\0e"), true, IMAP_STRING_BAD, NULL, NULL },
};

/* In memory that ends where the text ends, for the sanitizers. */
static struct text
borrow(struct text t, char **memory)
{
	*memory = malloc(t.len + 1);
	assert_non_null(*memory);
	memmove(*memory + 1, t.p, t.len);
	return (struct text){ *memory + 1, t.len };
}

static void
test_strings(void **state)
{
	char dst[8], *memory;
	enum imap_string r;
	struct text rest;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(strings); i++) {
		rest = borrow(strings[i].in, &memory);
		r = strings[i].astring
		    ? imap_take_astring(&rest, dst, sizeof(dst))
		    : imap_take_string(&rest, dst, sizeof(dst));
		if (r != strings[i].result)
			fail_msg("string %zu: %d", i, (int)r);
		if (strings[i].value != NULL)
			assert_string_equal(dst, strings[i].value);
		if (strings[i].rest != NULL)
			assert_true(text_eq(rest, strings[i].rest));
		else
			assert_ptr_equal(rest.p, memory + 1);
		free(memory);
	}
}

static const struct {
	struct text line;
	bool good;
	enum imap_kind kind;
	enum imap_status status;
	const char *tag, *code, *args, *text;
} responses[] = {
	{ S("* OK ready"), true, IMAP_UNTAGGED, IMAP_OK, "", "", "", "ready" },
	{ S("* OK [CAPABILITY IMAP4rev1 ID] ready"), true, IMAP_UNTAGGED,
	    IMAP_OK, "", "CAPABILITY", "IMAP4rev1 ID", "ready" },
	{ S("* ok [ALERT] down at 5"), true, IMAP_UNTAGGED, IMAP_OK, "",
	    "ALERT", "", "down at 5" },
	{ S("* OK"), true, IMAP_UNTAGGED, IMAP_OK, "", "", "", "" },
	{ S("* OK [unclosed x"), true, IMAP_UNTAGGED, IMAP_OK, "", "", "",
	    "[unclosed x" },
	{ S("* OK [] x"), true, IMAP_UNTAGGED, IMAP_OK, "", "", "", "x" },
	{ S("* PREAUTH hi"), true, IMAP_UNTAGGED, IMAP_PREAUTH, "", "", "",
	    "hi" },
	{ S("* BYE"), true, IMAP_UNTAGGED, IMAP_BYE, "", "", "", "" },
	{ S("* CAPABILITY IMAP4rev1 ID"), true, IMAP_UNTAGGED, IMAP_DATA, "",
	    "CAPABILITY", "IMAP4rev1 ID", "" },
	{ S("* 3 EXISTS"), true, IMAP_UNTAGGED, IMAP_DATA, "", "3", "EXISTS",
	    "" },
	{ S("* OKAY"), true, IMAP_UNTAGGED, IMAP_DATA, "", "OKAY", "", "" },
	{ S("r1 OK done"), true, IMAP_TAGGED, IMAP_OK, "r1", "", "", "done" },
	{ S("r1 NO [UNAVAILABLE] later"), true, IMAP_TAGGED, IMAP_NO, "r1",
	    "UNAVAILABLE", "", "later" },
	{ S("r1 BAD what"), true, IMAP_TAGGED, IMAP_BAD, "r1", "", "", "what" },
	{ S("+ go"), true, IMAP_CONTINUE, IMAP_OK, "", "", "", "" },
	{ S("+ "), true, IMAP_CONTINUE, IMAP_OK, "", "", "", "" },
	{ S("+"), true, IMAP_CONTINUE, IMAP_OK, "", "", "", "" },
	{ S("+go"), .good = false },
	{ S("r1 BYE x"), .good = false },
	{ S("r1 PREAUTH x"), .good = false },
	{ S("r1 CAPABILITY x"), .good = false },
	{ S("r1"), .good = false },
	{ S("r1 "), .good = false },
	{ S("*"), .good = false },
	{ S("* "), .good = false },
	{ S("*OK"), .good = false },
	{ S("* OK]x"), .good = false },
	{ S(""), .good = false },
	{ S(" OK"), .good = false },
	{ S("(r1 OK"), .good = false },
};

static void
test_responses(void **state)
{
	struct imap_response r;
	struct text line;
	char *memory;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(responses); i++) {
		line = borrow(responses[i].line, &memory);
		if (imap_parse_response(line, &r) != responses[i].good)
			fail_msg("response %zu", i);
		if (responses[i].good) {
			assert_int_equal(r.kind, responses[i].kind);
			assert_int_equal(r.status, responses[i].status);
			assert_true(text_eq(r.tag, responses[i].tag));
			assert_true(text_eq(r.code, responses[i].code));
			assert_true(text_eq(r.args, responses[i].args));
			assert_true(text_eq(r.text, responses[i].text));
		}
		free(memory);
	}
}

static void
test_copy_text(void **state)
{
	char dst[8];

	(void)state;
	text_for_people(S("a\tb\x1b\xff~"), dst, sizeof(dst));
	assert_string_equal(dst, "a?b??~");
	text_for_people(S("1234567890"), dst, sizeof(dst));
	assert_string_equal(dst, "1234567");
	text_for_people(TEXT_NONE, dst, sizeof(dst));
	assert_string_equal(dst, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_line_length),
		cmocka_unit_test(test_command_length),
		cmocka_unit_test(test_no_rescan),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_copy_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
