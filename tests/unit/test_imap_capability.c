/* SPDX-License-Identifier: ISC */
/* test_imap_capability: what is promised, in each situation of a client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "imap.h"

#define CLEAR CAPABILITY_CLEAR
#define STARTTLS (CAPABILITY_CLEAR | CAPABILITY_STARTTLS)
#define OPEN CAPABILITY_CLEAR_LOGIN
#define OPEN_STARTTLS (CAPABILITY_CLEAR_LOGIN | CAPABILITY_STARTTLS)
#define TLS CAPABILITY_TLS
#define AFTER CAPABILITY_AFTER

/* Dovecot 2.3 before and after a login, its plain text being refused first. */
#define DOVECOT                                                                \
	"IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ "           \
	"AUTH=PLAIN AUTH=LOGIN AUTH=DIGEST-MD5"
#define DOVECOT_CLEAR                                                          \
	"IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ "           \
	"STARTTLS LOGINDISABLED"
#define DOVECOT_AFTER                                                          \
	"IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT "               \
	"THREAD=REFERENCES UIDPLUS LITERAL+ COMPRESS=DEFLATE"
#define KEPT "IMAP4rev1 ID ENABLE IDLE LITERAL+"
#define OURS " AUTH=PLAIN AUTH=LOGIN SASL-IR"
/* The list in the configuration that Relais must serve as it is. */
#define SET                                                                    \
	"IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT "          \
	"THREAD=REFERENCES SORT QUOTA IDLE"

static const struct {
	const char *inner;
	unsigned int situation;
	const char *out;
} learned[] = {
	{ DOVECOT, CLEAR, KEPT " LOGINDISABLED" },
	{ DOVECOT, STARTTLS, KEPT " STARTTLS LOGINDISABLED" },
	{ DOVECOT, OPEN, KEPT OURS },
	{ DOVECOT, OPEN_STARTTLS,
	    KEPT " STARTTLS AUTH=PLAIN AUTH=LOGIN SASL-IR" },
	{ DOVECOT, TLS, KEPT OURS },
	/* A client that saw LOGINDISABLED must see AUTH=PLAIN after. */
	{ DOVECOT_CLEAR, STARTTLS, KEPT " STARTTLS LOGINDISABLED" },
	{ DOVECOT_CLEAR, TLS, KEPT OURS },
	{ DOVECOT_AFTER, AFTER,
	    "IMAP4rev1 ID ENABLE IDLE SORT THREAD=REFERENCES UIDPLUS "
	    "LITERAL+ COMPRESS=DEFLATE" },
	/* Nothing is known. */
	{ "", TLS, "IMAP4rev1" OURS },
	{ "", STARTTLS, "IMAP4rev1 STARTTLS LOGINDISABLED" },
	{ "", AFTER, "" },
	{ "IMAP4rev1", TLS, "IMAP4rev1" OURS },
	/* Word for word. */
	{ "imap4REV1 starttls LoginDisabled auth=plain sasl-ir", AFTER,
	    "imap4REV1" },
	{ "IMAP4rev1 IMAP4rev2 UTF8=ONLY UTF8=ACCEPT", TLS,
	    "IMAP4rev1 UTF8=ACCEPT" OURS },
	{ "IMAP4rev1 IMAP4rev2 UTF8=ONLY UTF8=ACCEPT", AFTER,
	    "IMAP4rev1 IMAP4rev2 UTF8=ONLY UTF8=ACCEPT" },
	{ "IMAP4rev1 COMPRESS=DEFLATE COMPRESS=X", TLS, "IMAP4rev1" OURS },
	{ "IMAP4rev1 LITERAL-", TLS, "IMAP4rev1 LITERAL-" OURS },
	{ "IMAP4rev1 UNAUTHENTICATE LOGIN-REFERRALS MAILBOX-REFERRALS", AFTER,
	    "IMAP4rev1" },
	{ "IMAP4rev1 UNAUTHENTICATE LOGIN-REFERRALS MAILBOX-REFERRALS", TLS,
	    "IMAP4rev1" OURS },
	{ "IMAP4rev1 RIGHTS=kxten X-NEW STARTTLSX IDX", TLS,
	    "IMAP4rev1 RIGHTS=kxten X-NEW STARTTLSX IDX" OURS },
	{ "IMAP4rev1 AUTH=XOAUTH2 AUTH=GSSAPI AUTH=", AFTER, "IMAP4rev1" },
};

/* The administrator's list: literally, but for two words. */
static const struct {
	const char *set;
	unsigned int situation;
	const char *out;
} edited[] = {
	{ SET " STARTTLS", TLS, SET },
	{ SET " STARTTLS", STARTTLS, SET " STARTTLS LOGINDISABLED" },
	{ SET " STARTTLS", OPEN, SET },
	{ SET, OPEN_STARTTLS, SET " STARTTLS" },
	{ SET " LOGINDISABLED", TLS, SET },
	{ SET, CLEAR, SET " LOGINDISABLED" },
	{ "IMAP4 AUTH=NTLM UNAUTHENTICATE", TLS,
	    "IMAP4 AUTH=NTLM UNAUTHENTICATE" },
};

static void
check(const struct capability *c, const char *expected)
{
	char words[CAPABILITY_MAX + 1];

	assert_int_equal(capability_print(c, " ", words, sizeof(words)), 0);
	assert_string_equal(words, expected);
}

static void
test_learned(void **state)
{
	struct capability inner, out;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(learned); i++) {
		capability_clear(&inner);
		assert_int_equal(
		    imap_add_capability(&inner, text_of(learned[i].inner)), 0);
		capability_rewrite(imap_rules, IMAP_NRULES,
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
		assert_int_equal(imap_parse_capability(edited[i].set, &set), 0);
		capability_edit(
		    imap_rules, IMAP_NRULES, edited[i].situation, &set, &out);
		check(&out, edited[i].out);
	}
}

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		int result;
		const char *out;
	} cases[] = {
		{ "IMAP4rev1", 0, "IMAP4rev1" },
		{ "  IMAP4rev1 \t IDLE ", 0, "IMAP4rev1 IDLE" },
		{ "IMAP4rev1 IDLE idle", 0, "IMAP4rev1 IDLE" },
		{ "", -1, NULL },
		{ "  ", -1, NULL },
		{ "IMAP4rev1 X]", -1, NULL },
		{ "IMAP4rev1 \"IDLE\"", -1, NULL },
		{ "IMAP4rev1 (IDLE)", -1, NULL },
		{ "IMAP4rev1 {3}", -1, NULL },
		{ "IMAP4rev1 X*", -1, NULL },
		{ "IMAP4rev1\r\n* BYE", -1, NULL },
		{ "IMAP4rev1 \xc3\xa4", -1, NULL },
	};
	struct capability c;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		assert_int_equal(
		    imap_parse_capability(cases[i].text, &c), cases[i].result);
		if (cases[i].out != NULL)
			check(&c, cases[i].out);
	}
}

/* Nothing is added in part. */
static void
test_add(void **state)
{
	struct capability c;

	(void)state;
	assert_int_equal(imap_parse_capability("IMAP4rev1", &c), 0);
	assert_int_equal(imap_add_capability(&c, text_of("IDLE X]")), -1);
	check(&c, "IMAP4rev1");
}

static void
test_table(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < IMAP_NRULES; i++) {
		assert_non_null(imap_rules[i].word);
		assert_true(strlen(imap_rules[i].why) > 0);
	}
	assert_string_equal(imap_rules[IMAP_NRULES - 1].word, "*");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learned),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
