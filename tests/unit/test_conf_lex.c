/* SPDX-License-Identifier: ISC */
/* The language of the configuration files, Perdition's, point by point. */
#include <stdlib.h>

#include "conf_fixture.h"
#include "conf_lex.h"
#include "xmalloc.h"

/*
 * What is read, as "[name|value]", "[name]" where there is no value, with
 * "=" in front where an equals sign stands in the way; "!quote", "!long" and
 * "!comment" for the other results, each with its line: "1[timeout|40]".
 */
static const struct {
	const char *in, *out;
} cases[] = {
	{ "", "" },
	{ "\n\n \t\n", "" },
	{ "timeout 40\n", "1[timeout|40]" },
	{ "debug\n", "1[debug]" },
	{ "timeout \t 40 \t \n", "1[timeout|40]" },
	/* Perdition chokes on an indented name. */
	{ "  timeout 40\n\tdebug\n", "1[timeout|40]2[debug]" },
	/* It loses the value of a last line without LF. */
	{ "a 1\ntimeout 40", "1[a|1]2[timeout|40]" },
	{ "debug", "1[debug]" },
	/* And what stands in the first line behind a byte order mark. */
	{ "\xef\xbb\xbftimeout 40\n", "1[timeout|40]" },
	{ "timeout 40\r\ndebug\r\n", "1[timeout|40]2[debug]" },
	{ "timeout 40\r", "1[timeout|40]" },
	{ "a b\rc\n", "1[a|b\rc]" },
	{ "# all of it\ndebug # not this\n  # nor this\n", "2[debug]" },
	{ "a#b\n", "1[a]" },
	{ "x a#b\n", "1[x|a]" },
	{ "x a\\#b\n", "1[x|a#b]" },
	{ "x 'a#b' \"c#d\"\n", "1[x|a#b c#d]" },
	/* blanks */
	{ "x a  b\tc  \n", "1[x|a  b\tc]" },
	{ "x \"a  \"  \n", "1[x|a  ]" },
	{ "x a\\ \n", "1[x|a ]" },
	{ "x  \" a\"\n", "1[x| a]" },
	/* quotes */
	{ "x \"\"\n", "1[x|]" },
	{ "x ''\n", "1[x|]" },
	{ "x a'b'\"c\"d\n", "1[x|abcd]" },
	{ "'ti'me\"out\" 40\n", "1[timeout|40]" },
	{ "\"a b\" c\n", "1[a b|c]" },
	{ "x \"it's\" 'say \"a\"'\n", "1[x|it's say \"a\"]" },
	{ "x \"a\nb\"\ny\n", "1[x|ab]3[y]" },
	{ "x \"a\r\nb\"\r\ny\r\n", "1[x|ab]3[y]" },
	{ "x \"a\ny 1\n", "1!quote2[y|1]" },
	{ "x 'a\ny \"1\n", "1!quote2!quote" },
	{ "x \"a", "1!quote" },
	/* backslashes */
	{ "x a\\b\n", "1[x|ab]" },
	{ "x \\\\\n", "1[x|\\]" },
	{ "x \"a\\\"b\"\n", "1[x|a\"b]" },
	{ "x '\\U'\n", "1[x|\\U]" },
	{ "x \\\"a\n", "1[x|\"a]" },
	{ "x \"a\\\nb\"\n", "1[x|ab]" },
	{ "x a\\\n  b\ny\n", "1[x|a  b]3[y]" },
	{ "x \\\n  b\n", "1[x|b]" },
	{ "\\\n x b\n", "1[x|b]" },
	{ "\\\n\ny\n", "3[y]" },
	{ "\\\n# c\ny\n", "3[y]" },
	/* Perdition loses a value joined by a backslash before CRLF. */
	{ "x a\\\r\nb\r\n", "1[x|ab]" },
	{ "x a\\", "1[x|a]" },
	/* It lets a backslash continue a comment; we say that we do not. */
	{ "# a\\\ny 1\n", "1!comment2[y|1]" },
	{ "x 1 # a\\\ny 1\n", "1[x|1]1!comment2[y|1]" },
	{ "# a\\", "" },
	/* name = value */
	{ "a = 1\n", "1=[a|= 1]" },
	{ "a =1\n", "1=[a|=1]" },
	{ "a=1\n", "1=[a=1]" },
	{ "a= 1\n", "1=[a=|1]" },
	{ "a \"=\"\n", "1[a|=]" },
	{ "a \\=\n", "1[a|=]" },
	{ "a b=c\n", "1[a|b=c]" },
	{ "'a='b 1\n", "1[a=b|1]" },
};

static void
render(struct conf_statement *st, enum conf_lex_result result, char *out,
    size_t size)
{
	char part[256] = "";

	switch (result) {
	case CONF_LEX_STATEMENT:
		snprintf(part, sizeof(part), "%u%s[%.*s%s%.*s]", st->line,
		    st->equals ? "=" : "", (int)st->name.len, st->name.text,
		    st->has_value ? "|" : "", (int)st->value.len,
		    st->value.text);
		break;
	case CONF_LEX_TOO_LONG:
		snprintf(part, sizeof(part), "%u!long", st->line);
		break;
	case CONF_LEX_QUOTE:
		snprintf(part, sizeof(part), "%u!quote", st->line);
		break;
	case CONF_LEX_COMMENT:
		snprintf(part, sizeof(part), "%u!comment", st->line);
		break;
	case CONF_LEX_END:
		break;
	}
	strlcat(out, part, size);
}

static void
lex(struct text in, char *out, size_t size)
{
	enum conf_lex_result result;
	struct conf_statement st;
	struct conf_lex lx;

	out[0] = '\0';
	conf_lex_init(&lx, in);
	while ((result = conf_lex_next(&lx, &st)) != CONF_LEX_END)
		render(&st, result, out, size);
}

static void
test_language(void **state)
{
	char out[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lex(text_of(cases[i].in), out, sizeof(out));
		if (strcmp(out, cases[i].out) != 0)
			print_message("case: %s\n", cases[i].in);
		assert_string_equal(out, cases[i].out);
	}
}

/* A file may end anywhere: nothing behind the end is looked at. */
static void
test_every_prefix(void **state)
{
	char out[1024];
	size_t i, n;
	char *copy;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (n = 1; n <= strlen(cases[i].in); n++) {
			copy = xmalloc(n); /* a sanitizer sees n + 1 */
			memcpy(copy, cases[i].in, n);
			lex((struct text){ copy, n }, out, sizeof(out));
			free(copy);
		}
	}
}

/* "x ", n octets, LF, "y": cut nowhere, refused above the limit. */
static void
check_long(size_t n, const char *blanks, const char *expected)
{
	char *in = xmalloc(n + 32), out[256];
	struct conf_statement st;
	struct conf_lex lx;
	char *p = in;

	p += sprintf(p, "x ");
	memset(p, 'v', n);
	sprintf(p + n, "%s\ny\n", blanks);
	conf_lex_init(&lx, text_of(in));
	out[0] = '\0';
	if (conf_lex_next(&lx, &st) == CONF_LEX_STATEMENT)
		snprintf(out, sizeof(out), "%zu", st.value.len);
	else
		strlcpy(out, "long", sizeof(out));
	assert_string_equal(out, expected);
	assert_int_equal(conf_lex_next(&lx, &st), CONF_LEX_STATEMENT);
	assert_int_equal(st.line, 2);
	free(in);
}

static void
test_length(void **state)
{
	(void)state;
	check_long(CONF_TOKEN_MAX, "", "4093");
	check_long(CONF_TOKEN_MAX, "   ", "4093");
	check_long(CONF_TOKEN_MAX + 1, "", "long");
	check_long(CONF_TOKEN_MAX, " v", "long");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
