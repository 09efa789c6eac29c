/* SPDX-License-Identifier: ISC */
/* test_pop3_capability: what is promised, in each situation of a client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "pop3.h"

#define CLEAR CAPABILITY_CLEAR
#define STARTTLS (CAPABILITY_CLEAR | CAPABILITY_STARTTLS)
#define OPEN CAPABILITY_CLEAR_LOGIN
#define OPEN_STARTTLS (CAPABILITY_CLEAR_LOGIN | CAPABILITY_STARTTLS)
#define TLS CAPABILITY_TLS
#define AFTER CAPABILITY_AFTER

/* Lists have their entries between "|" here. */
#define DOVECOT                                                                \
	"CAPA|TOP|UIDL|RESP-CODES|PIPELINING|AUTH-RESP-CODE|STLS|USER|"        \
	"SASL PLAIN LOGIN DIGEST-MD5"
#define KEPT "TOP|UIDL|RESP-CODES|PIPELINING|AUTH-RESP-CODE"
#define OURS "|USER|SASL PLAIN LOGIN|IMPLEMENTATION Relais"
#define WHO "|IMPLEMENTATION Relais"

static const struct {
	const char *inner;
	unsigned int situation;
	const char *out;
} learned[] = {
	{ DOVECOT, CLEAR, KEPT WHO },
	{ DOVECOT, STARTTLS,
	    "TOP|UIDL|RESP-CODES|PIPELINING|AUTH-RESP-CODE|"
	    "STLS" WHO },
	{ DOVECOT, OPEN, KEPT OURS },
	{ DOVECOT, OPEN_STARTTLS,
	    KEPT "|STLS|USER|SASL PLAIN LOGIN|IMPLEMENTATION Relais" },
	{ DOVECOT, TLS, KEPT OURS },
	{ DOVECOT, AFTER, "" },
	/* Nothing is known. */
	{ "", TLS, "USER|SASL PLAIN LOGIN|IMPLEMENTATION Relais" },
	{ "", STARTTLS, "STLS|IMPLEMENTATION Relais" },
	{ "", CLEAR, "IMPLEMENTATION Relais" },
	/* USER is ours, wherever it stands and if it stands nowhere. */
	{ "TOP|SASL PLAIN", TLS, "TOP" OURS },
	{ "user|TOP", TLS, "user|TOP|SASL PLAIN LOGIN|IMPLEMENTATION Relais" },
	{ "USER|TOP", STARTTLS, "TOP|STLS" WHO },
	/* Theirs about the mailbox. */
	{ "EXPIRE 60|LOGIN-DELAY 900 USER|EXPIRE NEVER", CLEAR,
	    "EXPIRE 60|LOGIN-DELAY 900 USER|EXPIRE NEVER" WHO },
	{ "EXPIRE|LOGIN-DELAY|EXPIRES 1", TLS,
	    "USER|SASL PLAIN LOGIN|IMPLEMENTATION Relais" },
	/* Replayed. */
	{ "UTF8|LANG", STARTTLS, "UTF8|LANG|STLS" WHO },
	{ "UTF8 USER|lang", TLS, "UTF8 USER|lang" OURS },
	{ "UTF8 X|LANG X", CLEAR, "IMPLEMENTATION Relais" },
	/* Never told. */
	{ "IMPLEMENTATION Inner-1.2|SASL GSSAPI|SASL|APOP|XTND|TOPS|CAPA",
	    CLEAR, "IMPLEMENTATION Relais" },
	{ "IMPLEMENTATION Relais|TOP", CLEAR, "TOP" WHO },
	{ "stls|TOP", TLS, "TOP" OURS },
	{ "stls|TOP", STARTTLS, "stls|TOP" WHO },
};

/* The administrator's list: literally, but for STLS. */
static const struct {
	const char *set;
	unsigned int situation;
	const char *out;
} edited[] = {
	{ "UIDL.USER", TLS, "UIDL|USER" },
	{ "UIDL.USER", CLEAR, "UIDL|USER" },
	{ "UIDL.USER", STARTTLS, "UIDL|USER|STLS" },
	{ "UIDL.USER", OPEN_STARTTLS, "UIDL|USER|STLS" },
	{ "UIDL.STLS.USER", OPEN_STARTTLS, "UIDL|STLS|USER" },
	{ "UIDL.STLS.USER", TLS, "UIDL|USER" },
	{ "UIDL.stls.USER", OPEN, "UIDL|USER" },
	{ "XTND.SASL GSSAPI.IMPLEMENTATION mine.SASL", TLS,
	    "XTND|SASL GSSAPI|IMPLEMENTATION mine|SASL" },
};

static void
check(const struct capability *c, const char *expected)
{
	char words[CAPABILITY_MAX + 1];

	assert_int_equal(capability_print(c, "|", words, sizeof(words)), 0);
	assert_string_equal(words, expected);
}

static void
test_learned(void **state)
{
	struct capability inner, out;
	struct text rest, entry;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(learned); i++) {
		capability_clear(&inner);
		rest = text_of(learned[i].inner);
		while (rest.len > 0 && text_split(&rest, '|', &entry))
			assert_int_equal(capability_add(&inner, entry), 0);
		capability_rewrite(pop3_rules, POP3_NRULES,
		    learned[i].situation, &inner, &out);
		check(&out, learned[i].out);
	}
}

static void
test_edited(void **state)
{
	struct capability set, out;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(edited); i++) {
		assert_int_equal(pop3_parse_capability(edited[i].set, &set), 0);
		capability_edit(
		    pop3_rules, POP3_NRULES, edited[i].situation, &set, &out);
		check(&out, edited[i].out);
	}
}

/* Perdition's two forms. */
static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		const char *out; /* NULL: it has no good form */
	} cases[] = {
		{ "USER", "USER" },
		{ "UIDL.USER", "UIDL|USER" },
		{ "SASL PLAIN LOGIN.EXPIRE 60.USER",
		    "SASL PLAIN LOGIN|EXPIRE 60|USER" },
		{ ".UIDL. USER\t..TOP.", "UIDL|USER|TOP" },
		{ "UIDL.uidl.USER", "UIDL|USER" },
		/* Two blanks: then a dot is a dot. */
		{ "UIDL  USER", "UIDL|USER" },
		{ "IMPLEMENTATION x-1.2  EXPIRE 60  USER",
		    "IMPLEMENTATION x-1.2|EXPIRE 60|USER" },
		{ "UIDL.TOP  USER", "UIDL.TOP|USER" },
		{ "  UIDL   USER    TOP  ", "UIDL|USER|TOP" },
		/* None. */
		{ "", NULL },
		{ ".", NULL },
		{ "...", NULL },
		{ " ", NULL },
		{ "   ", NULL },
		{ " . ", NULL },
		{ "UIDL.\xc3\xa4", NULL },
		{ "UIDL.X\tY", NULL },
		{ "UIDL\r\n-ERR.USER", NULL },
	};
	struct capability c;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		ret = pop3_parse_capability(cases[i].text, &c);
		assert_int_equal(ret, cases[i].out != NULL ? 0 : -1);
		if (ret == 0)
			check(&c, cases[i].out);
	}
}

/* As much as fits, and one octet more. */
static void
test_parse_long(void **state)
{
	char text[CAPABILITY_MAX + 1];
	struct capability c;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[CAPABILITY_MAX] = '\0';
	assert_int_equal(pop3_parse_capability(text, &c), -1);
	text[CAPABILITY_MAX - 1] = '\0';
	assert_int_equal(pop3_parse_capability(text, &c), 0);
}

static void
test_table(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < POP3_NRULES; i++) {
		assert_non_null(pop3_rules[i].word);
		assert_true(strlen(pop3_rules[i].why) > 0);
		/* After the login there is a pipe: nothing is rewritten. */
		assert_int_equal(pop3_rules[i].keep & AFTER, 0);
		assert_int_equal(pop3_rules[i].add & AFTER, 0);
	}
	assert_string_equal(pop3_rules[POP3_NRULES - 1].word, "*");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learned),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_long),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
