/* SPDX-License-Identifier: ISC */
/*
 * ipc: what is sent, to peers that read late, never, or die: the queue, what
 * travels together, and what is lost.  The test is the peer.
 */
#include <sys/socket.h>

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdpass.h"
#include "ipc.h"
#include "role.h"

#include "ipc_end.h"
#include "odd_message.h"

#define FLOOD 5000 /* more than socket and queue hold (ipc.c) */

/* An answer that may bring a descriptor. */
static int
answer(struct ipc *ch, uint32_t number, int fd)
{
	struct msg_connect_reply m = { .session = number, .ok = fd != -1 };
	struct writer w;

	msg_start(&w, MSG_CONNECT_REPLY, number);
	msg_put_connect_reply(&w, &m);
	return ipc_send(ch, &w, fd);
}

/* The peer takes one answer; its number, -1 when there is none now. */
static long
take_answer(struct end *e, bool *with_fd)
{
	struct msg_connect_reply m;
	struct reader r;
	char space[MSG_MAX];
	uint16_t type;
	uint32_t id;
	ssize_t n;
	int fd;

	n = fdpass_recv(e->peer, space, sizeof(space), false, &fd);
	if (n <= 0)
		return -1;
	r = (struct reader){ space, (size_t)n };
	assert_int_equal(get_u16(&r, &type), 0);
	assert_int_equal(get_u32(&r, &id), 0);
	assert_int_equal(type, MSG_CONNECT_REPLY);
	assert_int_equal(msg_get_connect_reply(&r, &m), 0);
	assert_int_equal(id, m.session);
	*with_fd = fd != -1;
	if (fd != -1)
		close(fd);
	return (long)m.session;
}

/* A peer that reads late gets everything, in order, descriptors included. */
static void
test_slow_reader(void **state)
{
	const uint32_t n = 2000; /* more than the socket takes */
	unsigned int before;
	struct end e;
	uint32_t i;
	long got;
	bool with_fd;

	(void)state;
	open_channel(&e);
	before = open_descriptors();
	for (i = 0; i < n; i++)
		assert_int_equal(answer(e.ch, i, i % 100 == 0 ? 0 : -1), 0);
	assert_true(open_descriptors() > before); /* copies wait here */
	for (i = 0; i < n; i++) {
		got = take_answer(&e, &with_fd);
		if (got == -1) {
			turn();
			got = take_answer(&e, &with_fd);
		}
		assert_int_equal(got, i);
		assert_int_equal(with_fd, i % 100 == 0);
	}
	assert_int_equal(take_answer(&e, &with_fd), -1);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(e.ends, 0);
	close_channel(&e);
}

/*
 * A burst: so many descriptors may wait, and whoever has one more is told so
 * before it would end the channel, which goes on without one.
 */
static void
test_burst(void **state)
{
	const unsigned int more = 40;
	unsigned int before, usual, waiting = 0, i = 0;
	struct end e;
	bool with_fd;

	(void)state;
	open_channel(&e);
	before = open_descriptors();
	while (ipc_takes_fd(e.ch) && i < FLOOD)
		assert_int_equal(answer(e.ch, i++, 0), 0);
	usual = open_descriptors() - before;
	assert_in_range(usual, 1, FLOOD - 1);
	ipc_expect_bursts(e.ch, FLOOD, more);
	for (; ipc_takes_fd(e.ch) && i < FLOOD; i++)
		assert_int_equal(answer(e.ch, i, 0), 0);
	assert_int_equal(open_descriptors() - before, usual + more);
	for (; waiting < FLOOD; waiting++)
		assert_int_equal(answer(e.ch, i + waiting, -1), 0);
	assert_int_equal(open_descriptors() - before, usual + more);
	turn();
	assert_int_equal(e.ends, 0);
	assert_int_equal(take_answer(&e, &with_fd), 0);
	assert_true(with_fd);
	close_channel(&e);
	assert_int_equal(open_descriptors(), before - 2);
}

/* A peer that never reads is given up, from the loop and once. */
static void
test_no_reader(void **state)
{
	unsigned int before, i;
	struct end e;

	(void)state;
	open_channel(&e);
	before = open_descriptors();
	for (i = 0; i < FLOOD; i++)
		if (answer(e.ch, i, i % 100 == 0 ? 0 : -1) == -1)
			break;
	assert_in_range(i, 1000, FLOOD - 1);
	assert_int_equal(e.ends, 0);
	assert_int_equal(answer(e.ch, i, -1), -1);
	turn();
	assert_int_equal(e.ends, 1);
	assert_string_equal(e.why, "messages to it are not read");
	assert_int_equal(open_descriptors(), before - 1);
	close_channel(&e);
}

/* A log line is no reason to give the master up: it is lost, and that is it. */
static void
test_log_lines_are_lost(void **state)
{
	struct msg_log m = { .priority = LOG_INFO, .text = TEXT_LIT("line") };
	struct end e;
	struct writer w;
	unsigned int i, lost = 0;

	(void)state;
	open_channel(&e);
	for (i = 0; i < FLOOD; i++) {
		msg_start(&w, MSG_LOG, i);
		msg_put_log(&w, &m);
		lost += ipc_send(e.ch, &w, -1) == -1;
	}
	assert_in_range(lost, 1, FLOOD - 1000);
	turn();
	assert_int_equal(e.ends, 0);
	close_channel(&e);
}

/* Take a whole frame of the peer's; its messages' number, 0: there is none. */
static unsigned int
take_frame(struct end *e, uint32_t *last, bool *with_fd)
{
	static char space[MSG_MAX];
	struct reader r;
	struct text t;
	unsigned int count = 0;
	ssize_t n;
	int fd;

	n = fdpass_recv(e->peer, space, sizeof(space), false, &fd);
	if (n <= 0)
		return 0;
	*with_fd = fd != -1;
	if (fd != -1)
		close(fd);
	t = (struct text){ space, (size_t)n };
	assert_true(msg_is_many(t));
	for (r = (struct reader){ space + MSG_HEADER, t.len - MSG_HEADER };
	     r.left > 0; count++) {
		assert_int_equal(get_text(&r, MSG_MAX, &t), 0);
		assert_in_range(t.len, MSG_HEADER, MSG_MAX);
		/* the request's number, behind the type */
		memcpy(last, t.p + 2, sizeof(*last));
		*last = be32toh(*last);
	}
	return count;
}

static void
answer_later(struct ipc *ch, uint32_t number)
{
	struct msg_connect_reply m = { .session = number };
	struct writer w;

	msg_start(&w, MSG_CONNECT_REPLY, number);
	msg_put_connect_reply(&w, &m);
	ipc_send_later(ch, &w);
}

/* What has time waits for what has not, or for a moment, and goes first. */
static void
test_later(void **state)
{
	unsigned int taken, i;
	uint32_t last;
	struct end e;
	struct writer w;
	bool with_fd;

	(void)state;
	open_channel(&e);
	answer_later(e.ch, 1);
	answer_later(e.ch, 2);
	turn();
	assert_int_equal(take_frame(&e, &last, &with_fd), 0);
	assert_int_equal(answer(e.ch, 3, 0), 0);
	assert_int_equal(take_frame(&e, &last, &with_fd), 3);
	assert_int_equal(last, 3);
	assert_true(with_fd);

	answer_later(e.ch, 4);
	event_base_loop(base, EVLOOP_ONCE); /* nothing but the time */
	assert_int_equal(take_frame(&e, &last, &with_fd), 1);
	assert_int_equal(last, 4);

	answer_later(e.ch, 5);
	ipc_flush(e.ch);
	ipc_flush(e.ch);
	assert_int_equal(take_frame(&e, &last, &with_fd), 1);
	assert_int_equal(take_frame(&e, &last, &with_fd), 0);

	/* More than one frame holds. */
	for (i = 0; i < 2000; i++)
		answer_later(e.ch, i);
	ipc_flush(e.ch);
	for (i = 0; i < 2000; i += taken) {
		taken = take_frame(&e, &last, &with_fd);
		assert_int_not_equal(taken, 0);
		assert_int_equal(last, i + taken - 1);
	}

	/* So long that it goes alone, in its order. */
	msg_start(&w, MSG_LOG, 0);
	msg_put_log(&w, &(struct msg_log){ LOG_INFO, TEXT_LIT("x") });
	w.len = MSG_MAX;
	answer_later(e.ch, 6);
	ipc_send_later(e.ch, &w);
	assert_int_equal(take_frame(&e, &last, &with_fd), 1);
	assert_int_equal(last, 6);
	assert_int_equal(
	    recv(e.peer, w.data, sizeof(w.data), MSG_DONTWAIT), MSG_MAX);
	answer_later(e.ch, 7);
	ipc_flush(e.ch);
	assert_int_equal(take_frame(&e, &last, &with_fd), 1);
	assert_int_equal(last, 7);
	close_channel(&e);

	/* Held messages go with the channel. */
	open_channel(&e);
	answer_later(e.ch, 1);
	close_channel(&e);
	turn();
}

/* It died while we had something to say: its last words are heard first. */
static void
test_last_words(void **state)
{
	struct end e;

	(void)state;
	open_channel(&e);
	release(&e, 1, BATCH + 3);
	close(e.peer);
	assert_int_equal(answer(e.ch, 1, -1), -1);
	assert_int_equal(answer(e.ch, 2, -1), -1);
	assert_int_equal(e.ends, 0);
	turn();
	assert_int_equal(e.messages, BATCH + 3);
	assert_int_equal(e.ends, 1);
	assert_null(e.why);
}

/* The same with answers that still wait for room. */
static void
test_dies_with_a_full_queue(void **state)
{
	unsigned int before = open_descriptors(), i;
	struct end e;

	(void)state;
	open_channel(&e);
	for (i = 0; i < 1000; i++)
		assert_int_equal(answer(e.ch, i, i % 100 == 0 ? 0 : -1), 0);
	release(&e, 1, 1);
	close(e.peer);
	turn();
	assert_int_equal(e.messages, 1);
	assert_int_equal(e.ends, 1);
	assert_int_equal(open_descriptors(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_log_lines_are_lost),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_dies_with_a_full_queue),
	};
	int failed;

	base = role_event_base();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
