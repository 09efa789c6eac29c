/* SPDX-License-Identifier: ISC */
/* test_command: which command a client may say, in which situation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "command.h"
#include "dialogue_fake.h"

static void
run(struct session *s, struct text args)
{
	stream_write(&s->client, args.p, args.len);
}

static const struct command commands[] = {
	{ "NOOP", COMMAND_ALWAYS, COMMAND_NO_ARGS, run },
	{ "STLS", COMMAND_BEFORE_TLS, COMMAND_NO_ARGS, run },
	{ "LOGIN", COMMAND_MAY_LOGIN, COMMAND_LITERALS, run },
};

/* The situations: in the clear, with STARTTLS or not, with logins or not. */
static const struct {
	enum event_secure secure;
	bool can_starttls;
	unsigned int situation;
	bool disabled;
	enum command_fault stls, login;
} situations[] = {
	{ SECURE_PLAINTEXT, true, CAPABILITY_CLEAR, false, COMMAND_GOOD,
	    COMMAND_TLS_FIRST },
	{ SECURE_PLAINTEXT, true, CAPABILITY_CLEAR_LOGIN, false, COMMAND_GOOD,
	    COMMAND_GOOD },
	{ SECURE_PLAINTEXT, true, CAPABILITY_CLEAR_LOGIN, true, COMMAND_GOOD,
	    COMMAND_LOGINS_DISABLED },
	{ SECURE_PLAINTEXT, false, CAPABILITY_CLEAR, false, COMMAND_NO_STARTTLS,
	    COMMAND_TLS_FIRST },
	{ SECURE_PLAINTEXT, false, CAPABILITY_CLEAR_LOGIN, false,
	    COMMAND_NO_STARTTLS, COMMAND_GOOD },
	{ SECURE_PLAINTEXT, false, CAPABILITY_CLEAR, true, COMMAND_NO_STARTTLS,
	    COMMAND_LOGINS_DISABLED },
	{ SECURE_STARTTLS, false, CAPABILITY_TLS, false, COMMAND_TLS_ACTIVE,
	    COMMAND_GOOD },
	{ SECURE_SSL, true, CAPABILITY_TLS, false, COMMAND_TLS_ACTIVE,
	    COMMAND_GOOD },
	{ SECURE_SSL, false, CAPABILITY_TLS, true, COMMAND_TLS_ACTIVE,
	    COMMAND_LOGINS_DISABLED },
};

static void
find(struct text verb, enum command_fault fault, const struct command *wanted)
{
	const struct command *c = commands + 1;

	assert_int_equal(
	    command_find(&fake.s, commands, NITEMS(commands), verb, &c), fault);
	assert_ptr_equal(c, wanted);
}

static void
test_situations(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(situations); i++) {
		fake_start();
		fake.s.client_secure = situations[i].secure;
		fake.s.can_starttls = situations[i].can_starttls;
		fake.situation = situations[i].situation;
		fake.conf.login_disabled = situations[i].disabled;
		find(S("NOOP"), COMMAND_GOOD, &commands[0]);
		/* It is found even where it is not to be said. */
		find(S("stls"), situations[i].stls, &commands[1]);
		find(S("LogIn"), situations[i].login, &commands[2]);
		assert_string_equal(fake_text(&fake.to_client), "");
		fake_end();
	}
}

static void
test_unknown(void **state)
{
	static const struct text verbs[] = { S(""), { NULL, 0 }, S("NOO"),
		S("NOOPS"), S("NOOP "), S(" NOOP"), S("NOOP\0"), S("LOGIN\xc3"),
		S("SELECT") };
	size_t i;

	(void)state;
	fake_start();
	for (i = 0; i < NITEMS(verbs); i++)
		find(verbs[i], COMMAND_UNKNOWN, NULL);
	fake_end();
}

/* Each fault has words of its own, and what is good has none. */
static void
test_words(void **state)
{
	static const enum command_fault faults[] = { COMMAND_UNKNOWN,
		COMMAND_ARGS_UNWANTED, COMMAND_TLS_ACTIVE, COMMAND_NO_STARTTLS,
		COMMAND_LOGINS_DISABLED, COMMAND_TLS_FIRST };
	const char *text;
	size_t i, j;

	(void)state;
	assert_string_equal(command_fault_text(COMMAND_GOOD), "");
	for (i = 0; i < NITEMS(faults); i++) {
		text = command_fault_text(faults[i]);
		assert_true(strlen(text) > 0);
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    text, command_fault_text(faults[j]));
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_situations),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
