/* SPDX-License-Identifier: ISC */
/* abuse: strangers and known clients, and what is no guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "abuse.h"

static struct conf conf;
static void *table;
static struct ledger *l;
static struct abuse *a;

static int
setup(void **state)
{
	(void)state;
	conf = (struct conf){ .address_failure_limit = 5,
		.network_failure_limit = 20,
		.user_failure_limit = 3,
		.anvil_rate_time_unit = 60 };
	table = calloc(1, ledger_size(0));
	if (table == NULL)
		return -1;
	ledger_format(table, 0);
	l = ledger_new(table, ledger_size(0));
	a = abuse_new(&conf, l);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	abuse_free(&a);
	ledger_free(&l);
	free(table);
	return 0;
}

/* One login; proof 0: it is another password each time. */
static enum abuse_verdict
login(const char *host, const char *user, enum abuse_end how, uint16_t proof)
{
	struct abuse_login login;
	enum abuse_verdict v;
	struct addr client;

	assert_int_equal(addr_parse(text_of(host), 0, &client), 0);
	v = abuse_begin(a, &client, text_of(user), &login);
	if (v != ABUSE_TURN)
		abuse_end(a, &client, &login, how, TEXT_NONE, proof);
	return v;
}

static unsigned int
guesses(const char *host, const char *user, unsigned int n)
{
	unsigned int i, asked = 0;

	for (i = 0; i < n; i++)
		asked += login(host, user, ABUSE_FAILED, 0) == ABUSE_ASK;
	return asked;
}

static void
test_from_many_addresses(void **state)
{
	unsigned int i, asked = 0;
	char host[32];

	(void)state;
	assert_int_equal(login("192.0.2.1", "alice", ABUSE_GOOD, 0), ABUSE_ASK);
	for (i = 0; i < 200; i++) {
		(void)snprintf(host, sizeof(host), "10.0.%u.1", i);
		asked += guesses(host, "alice", 2);
	}
	assert_int_equal(asked, 3);
	/* At home nothing has happened; nor to others. */
	assert_int_equal(login("192.0.2.9", "Alice", ABUSE_GOOD, 0), ABUSE_ASK);
	assert_int_equal(login("10.0.1.9", "bob", ABUSE_GOOD, 0), ABUSE_ASK);
	assert_int_equal(
	    login("198.51.100.1", "alice", ABUSE_GOOD, 0), ABUSE_TURN);
}

static void
test_from_one_address(void **state)
{
	char name[16];
	unsigned int i, asked = 0;

	(void)state;
	for (i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		asked += guesses("192.0.2.1", name, 1);
	}
	assert_int_equal(asked, 5);
	assert_int_equal(guesses("192.0.2.2", "eve", 1), 1);
}

/* A neighbour who guesses leaves some to the very address of the user. */
static void
test_at_home(void **state)
{
	(void)state;
	(void)login("192.0.2.1", "alice", ABUSE_GOOD, 0);
	assert_int_equal(guesses("192.0.2.77", "alice", 10), 3);
	assert_int_equal(login("192.0.2.1", "alice", ABUSE_GOOD, 0), ABUSE_ASK);
	assert_int_equal(guesses("192.0.2.1", "alice", 10), 3);
}

static void
test_same_password(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_int_equal(
		    login("192.0.2.1", "alice", ABUSE_FAILED, 77), ABUSE_ASK);
	assert_int_equal(guesses("192.0.2.1", "alice", 10), 2);
}

/* What nobody could tell counts for nothing; who leaves has failed. */
static void
test_other_ends(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_int_equal(
		    login("192.0.2.1", "alice", ABUSE_NOTHING, 0), ABUSE_ASK);
	for (i = 0; i < 3; i++)
		assert_int_equal(
		    login("192.0.2.1", "alice", ABUSE_LEFT, 0), ABUSE_ASK);
	assert_int_equal(
	    login("192.0.2.1", "alice", ABUSE_LEFT, 0), ABUSE_TURN);
}

/* Logins under way count: nobody gains by trying many at the same time. */
static void
test_at_the_same_time(void **state)
{
	struct abuse_login logins[10];
	struct addr client;
	unsigned int i, asked = 0;

	(void)state;
	assert_int_equal(addr_parse(TEXT_LIT("192.0.2.1"), 0, &client), 0);
	for (i = 0; i < 10; i++)
		asked += abuse_begin(a, &client, TEXT_LIT("alice"),
		             &logins[i]) == ABUSE_ASK;
	assert_int_equal(asked, 3);
	for (i = 0; i < 3; i++)
		abuse_end(a, &client, &logins[i], ABUSE_GOOD, TEXT_NONE, 0);
	assert_int_equal(guesses("192.0.2.1", "alice", 20), 6);
}

/* The user is known in the middle only, as with Cyrus SASL. */
static void
test_name_comes_late(void **state)
{
	struct abuse_login login;
	struct addr client;
	unsigned int i;

	(void)state;
	assert_int_equal(addr_parse(TEXT_LIT("192.0.2.1"), 0, &client), 0);
	for (i = 0; i < 5; i++) {
		assert_int_equal(
		    abuse_begin(a, &client, TEXT_NONE, &login), ABUSE_ASK);
		assert_int_equal(
		    abuse_may_ask(a, &client, TEXT_LIT("alice"), false), i < 3);
		abuse_end(
		    a, &client, &login, ABUSE_FAILED, TEXT_LIT("alice"), 0);
	}
	assert_int_equal(
	    abuse_begin(a, &client, TEXT_NONE, &login), ABUSE_STRICT);
	assert_false(abuse_may_ask(a, &client, TEXT_LIT("bob"), true));
	abuse_end(a, &client, &login, ABUSE_GOOD, TEXT_LIT("bob"), 0);
	assert_true(abuse_may_ask(a, &client, TEXT_LIT("bob"), true));
}

static void
test_trusted(void **state)
{
	struct addr_range r;

	(void)state;
	assert_int_equal(addr_range_parse(TEXT_LIT("192.0.2.0/25"), &r), 0);
	conf.trusted = &r;
	conf.ntrusted = 1;
	assert_int_equal(guesses("192.0.2.1", "alice", 100), 100);
	assert_int_equal(guesses("192.0.2.200", "alice", 100), 3);
}

static void
test_shut_out(void **state)
{
	struct addr client, home;

	(void)state;
	assert_int_equal(addr_parse(TEXT_LIT("192.0.2.1"), 0, &client), 0);
	assert_int_equal(addr_parse(TEXT_LIT("198.51.100.1"), 0, &home), 0);
	(void)login("198.51.100.7", "bob", ABUSE_GOOD, 0);
	assert_int_equal(abuse_admit(a, &client), ADMIT_OK);
	assert_in_range(abuse_delay_ms(a, &client), 2000, 2250);
	(void)guesses("192.0.2.1", "alice", 30);
	(void)guesses("198.51.100.1", "alice", 30);
	assert_int_equal(abuse_delay_ms(a, &client), 8000);
	assert_int_equal(abuse_admit(a, &client), ADMIT_TOO_OFTEN);
	/* There somebody is at home. */
	assert_int_equal(abuse_admit(a, &home), ADMIT_OK);
}

static void
test_sending(void **state)
{
	struct addr client;

	(void)state;
	assert_int_equal(addr_parse(TEXT_LIT("192.0.2.1"), 0, &client), 0);
	conf.user_message_limit = 2;
	conf.client_recipient_rate_limit = 3;
#define SEND(user, what, may)                                                  \
	assert_int_equal(abuse_may_send(a, &client, TEXT_LIT(user), what), may)
	SEND("alice", SUBMIT_MAIL, true);
	SEND("ALICE", SUBMIT_MAIL, true);
	SEND("alice", SUBMIT_MAIL, false);
	SEND("bob", SUBMIT_MAIL, true);
	SEND("alice", SUBMIT_RCPT, true);
	SEND("alice", SUBMIT_RCPT, true);
	SEND("bob", SUBMIT_RCPT, true);
	SEND("bob", SUBMIT_RCPT, false);
#undef SEND
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_from_many_addresses),
		T(test_from_one_address),
		T(test_at_home),
		T(test_same_password),
		T(test_other_ends),
		T(test_at_the_same_time),
		T(test_name_comes_late),
		T(test_trusted),
		T(test_shut_out),
		T(test_sending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
