/* SPDX-License-Identifier: ISC */
/*
 * ipc: what comes from peers that break rules, flood, or die.  The test is the
 * peer and writes to its end as it likes.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdpass.h"
#include "ipc.h"
#include "role.h"

#include "ipc_end.h"
#include "odd_message.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define MALFORMED "a malformed message"
#define FORBIDDEN "a forbidden message"
#define HEAD "\0\x0b\0\0\0\0" /* MSG_RELEASE */

/* One good message, then this: the first is served, then comes the end. */
static void
test_rules(void **state)
{
	static const char oversized[MSG_MAX + 1] = HEAD;
	static const struct {
		const char *octets;
		size_t len, nfds;
		const char *why;
	} cases[] = {
		{ HEAD "\0\0\0\2", 10, 2, MALFORMED },
		{ HEAD "\0\0\0\2", 10, 4, MALFORMED },
		{ HEAD "\0\0\0\2", 10, 60, MALFORMED }, /* MSG_CTRUNC */
		{ HEAD "\0\0\0\2", 10, 1, FORBIDDEN },
		{ "\0\x09\0\0\0\0\0\0\0\2", 10, 0, FORBIDDEN },   /* admit */
		{ "\0\x02\0\0\0\0\6\0\0\0\0", 11, 0, FORBIDDEN }, /* log */
		{ "\0\x06\0\0\0\0", 6, 0, FORBIDDEN },            /* stop */
		{ "\0\0\0\0\0\0", 6, 0, FORBIDDEN },
		{ "\xff\xff\0\0\0\0", 6, 1, FORBIDDEN },
		{ HEAD, 5, 0, MALFORMED },
		{ HEAD, 5, 1, MALFORMED },
		{ HEAD, 6, 0, MALFORMED },
		{ HEAD "\0\0\0\2\0", 11, 0, MALFORMED },
		{ "", 0, 0, MALFORMED },
		{ "", 0, 1, MALFORMED },
		{ oversized, sizeof(oversized), 0, MALFORMED },
		{ oversized, sizeof(oversized), 1, MALFORMED },
	};
	unsigned int before;
	struct end e;
	size_t i;

	(void)state;
	assert_int_equal(MSG_RELEASE, 0x0b);
	assert_int_equal(MSG_ADMIT, 0x09);
	for (i = 0; i < nitems(cases); i++) {
		open_channel(&e);
		before = open_descriptors();
		release(&e, 1, 1);
		send_odd(e.peer, cases[i].octets, cases[i].len, cases[i].nfds);
		turn();
		assert_int_equal(e.messages, 1);
		assert_int_equal(e.ends, 1);
		assert_string_equal(e.why, cases[i].why);
		/* the channel is closed, and nothing came to stay */
		assert_int_equal(open_descriptors(), before - 1);
		close_channel(&e);
	}
}

/* A peer of another build: what we do not know is passed over. */
static void
test_foreign(void **state)
{
	static const char unknown[] = "\xff\xff\0\0\0\0whatever";
	struct end e;
	int fds[2];
	char octet;

	(void)state;
	open_channel(&e);
	ipc_set_foreign(e.ch);
	assert_int_equal(pipe(fds), 0);
	release(&e, 1, 1);
	assert_int_equal(
	    fdpass_send(e.peer, unknown, sizeof(unknown) - 1, -1), 0);
	/* and what comes with it is closed */
	assert_int_equal(
	    fdpass_send(e.peer, unknown, sizeof(unknown) - 1, fds[1]), 0);
	close(fds[1]);
	release(&e, 2, 1);
	turn();
	turn();
	turn();
	turn();
	assert_int_equal(e.messages, 2);
	assert_int_equal(e.last, 2);
	assert_int_equal(e.ends, 0);
	assert_int_equal(read(fds[0], &octet, 1), 0);
	/* What is no message at all still ends it. */
	assert_int_equal(fdpass_send(e.peer, "\0", 1, -1), 0);
	turn();
	assert_int_equal(e.ends, 1);
	assert_string_equal(e.why, MALFORMED);
	close(fds[0]);
	close_channel(&e);
}

static void
test_plain_ends(void **state)
{
	struct end e;

	(void)state;
	open_channel(&e);
	release(&e, 1, 3);
	close(e.peer);
	turn();
	assert_int_equal(e.messages, 3);
	assert_int_equal(e.ends, 1);
	assert_null(e.why);

	open_channel(&e);
	assert_int_equal(shutdown(e.peer, SHUT_WR), 0);
	turn();
	assert_int_equal(e.ends, 1);
	assert_null(e.why);
	close_channel(&e);
}

/* The handler's own word, and a channel that it frees. */
static void
test_handler(void **state)
{
	struct end e;

	(void)state;
	open_channel(&e);
	e.wrong = true;
	release(&e, 1, 2);
	turn();
	assert_int_equal(e.messages, 0);
	assert_int_equal(e.ends, 1);
	assert_string_equal(e.why, MALFORMED);
	close_channel(&e);

	open_channel(&e);
	e.free = true;
	release(&e, 1, 2);
	turn();
	assert_int_equal(e.messages, 1);
	assert_int_equal(e.ends, 0);
	assert_null(e.ch);
	close_channel(&e);
}

/* One that has much to say does not keep another from being heard. */
static void
test_fairness(void **state)
{
	struct end loud, quiet;

	(void)state;
	open_channel(&loud);
	open_channel(&quiet);
	release(&loud, 1, 3 * BATCH);
	release(&quiet, 1, 1);
	event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	assert_int_equal(loud.messages, 1);
	assert_int_equal(quiet.messages, 1);
	turn();
	assert_int_equal(loud.messages, 3 * BATCH);
	assert_int_equal(loud.last, 3 * BATCH);
	close_channel(&loud);
	close_channel(&quiet);
}

static void
test_quota(void **state)
{
	const unsigned int quota = 5;
	struct end e;

	(void)state;
	open_channel(&e);
	ipc_set_quota(e.ch, quota);
	/* a second may end in between, but not two */
	release(&e, 1, 2 * quota + 1);
	turn();
	assert_int_equal(e.ends, 1);
	assert_string_equal(e.why, "too many messages");
	assert_in_range(e.messages, quota, 2 * quota);
	close_channel(&e);

	open_channel(&e);
	ipc_set_quota(e.ch, quota);
	release(&e, 1, quota);
	turn();
	assert_int_equal(e.messages, quota);
	assert_int_equal(e.ends, 0);
	close_channel(&e);
}

/* A frame with n releases and then these octets. */
static void
release_many(struct end *e, uint32_t n, const char *octets, size_t len, int fd)
{
	struct msg_release m;
	struct writer w, many;

	msg_start(&many, MSG_MANY, 0);
	for (m.session = 1; m.session <= n; m.session++) {
		msg_start(&w, MSG_RELEASE, 0);
		msg_put_release(&w, &m);
		put_text(&many, (struct text){ w.data, w.len });
	}
	memcpy(many.data + many.len, octets, len);
	assert_int_equal(
	    fdpass_send(e->peer, many.data, many.len + len, fd), 0);
}

/* Every message of a frame is looked at like one that comes alone. */
static void
test_many(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
		const char *why;
	} bad[] = {
		{ "\0\0\0", 3, MALFORMED },
		{ "\0\0\0\0", 4, MALFORMED },
		{ "\0\0\0\6" HEAD, 10, MALFORMED },
		{ "\0\0\0\7" HEAD, 10, MALFORMED },
		{ "\377\377\377\377" HEAD, 10, MALFORMED },
		{ "\0\0\0\6\0\0\0\0\0\0", 10, FORBIDDEN },
	};
	unsigned int before = open_descriptors();
	struct writer within;
	struct end e;
	size_t i;

	(void)state;
	open_channel(&e);
	release_many(&e, 3, "", 0, -1);
	turn();
	assert_int_equal(e.messages, 3);
	assert_int_equal(e.ends, 0);
	/* A release brings no descriptor, not even as the last one. */
	release_many(&e, 3, "", 0, 0);
	turn();
	assert_int_equal(e.messages, 5);
	assert_int_equal(e.ends, 1);
	assert_string_equal(e.why, FORBIDDEN);
	close_channel(&e);

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_channel(&e);
		release_many(&e, 2, bad[i].octets, bad[i].len, i == 0 ? 0 : -1);
		turn();
		assert_int_equal(e.messages, 2);
		assert_int_equal(e.ends, 1);
		assert_string_equal(e.why, bad[i].why);
		close_channel(&e);
	}

	/* No frame within a frame. */
	open_channel(&e);
	msg_start(&within, MSG_MANY, 0);
	put_text(&within, (struct text){ HEAD "\0\0\0\1", 10 });
	release_many(&e, 1, "\0\0\0\24", 4, -1);
	turn();
	assert_int_equal(e.ends, 1);
	close_channel(&e);
	open_channel(&e);
	put_text(&within, (struct text){ within.data, within.len });
	assert_int_equal(fdpass_send(e.peer, within.data, within.len, -1), 0);
	turn();
	assert_string_equal(e.why, FORBIDDEN);
	close_channel(&e);

	/* The handler ends the channel in the middle. */
	open_channel(&e);
	e.free = true;
	release_many(&e, 3, "", 0, 0);
	turn();
	assert_int_equal(e.messages, 1);
	assert_int_equal(e.ends, 0);
	close_channel(&e);

	open_channel(&e);
	ipc_set_quota(e.ch, 2);
	release_many(&e, 9, "", 0, -1);
	turn();
	assert_int_equal(e.ends, 1);
	assert_string_equal(e.why, "too many messages");
	close_channel(&e);
	assert_int_equal(open_descriptors(), before);
}

static void
test_drain(void **state)
{
	struct end e;

	(void)state;
	open_channel(&e);
	release(&e, 1, 2 * BATCH);
	ipc_drain(e.ch);
	assert_int_equal(e.messages, 2 * BATCH);
	release(&e, 7, 1);
	close(e.peer);
	ipc_drain(e.ch);
	assert_int_equal(e.last, 7);
	assert_int_equal(e.ends, 0); /* that is the loop's to tell */
	turn();
	assert_int_equal(e.ends, 1);

	open_channel(&e); /* what was wrong before it died is still wrong */
	release(&e, 1, 1);
	assert_int_equal(fdpass_send(e.peer, HEAD, 6, -1), 0);
	release(&e, 2, 1);
	ipc_drain(e.ch);
	assert_int_equal(e.messages, 1);
	assert_int_equal(e.ends, 0);
	close_channel(&e);

	open_channel(&e);
	e.free = true;
	release(&e, 1, 2);
	ipc_drain(e.ch);
	assert_int_equal(e.messages, 1);
	assert_null(e.ch);
	close_channel(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_plain_ends),
		cmocka_unit_test(test_handler),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_drain),
	};
	int failed;

	base = role_event_base();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
