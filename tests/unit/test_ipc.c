/* SPDX-License-Identifier: ISC */
/*
 * ipc: channels under peers that break rules, read slowly, flood, or die.
 * The test is the peer and writes to its end as it likes.
 */
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdpass.h"
#include "ipc.h"
#include "role.h"

#include "odd_message.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define BATCH 32   /* messages in one turn (ipc.c) */
#define FLOOD 5000 /* more than socket and queue hold (ipc.c) */

/* A broker's channel to a worker, which is us. */
struct end {
	struct ipc *ch;
	int peer;              /* our end */
	unsigned int messages; /* that were handed on */
	uint32_t last;         /* the number in the last */
	unsigned int ends;     /* calls of on_closed */
	const char *why;
	bool wrong; /* what the handler is to say of the next */
	bool free;  /* the handler is to free the channel */
};

static struct event_base *base;

static int
on_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct end *e = arg;

	(void)id;
	(void)type;
	assert_ptr_equal(ch, e->ch);
	assert_int_equal(fd, -1);
	if (e->wrong || get_u32(r, &e->last) == -1 || get_end(r) == -1)
		return -1;
	e->messages++;
	if (e->free)
		ipc_free(&e->ch);
	return 0;
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	struct end *e = arg;

	assert_ptr_equal(ch, e->ch);
	e->ends++;
	e->why = why;
	ipc_free(&e->ch);
}

static void
open_channel(struct end *e)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	*e = (struct end){ .peer = fds[1] };
	e->ch = ipc_new(
	    base, fds[0], ROLE_BROKER, ROLE_WORKER, on_message, on_closed, e);
}

static void
close_channel(struct end *e)
{
	ipc_free(&e->ch);
	close(e->peer);
}

/* All that there is to do now. */
static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The peer sends n releases, numbered from first on. */
static void
release(struct end *e, uint32_t first, unsigned int n)
{
	struct msg_release m;
	struct writer w;
	unsigned int i;

	for (i = 0; i < n; i++) {
		m.session = first + i;
		msg_start(&w, MSG_RELEASE, 0);
		msg_put_release(&w, &m);
		assert_int_equal(fdpass_send(e->peer, w.data, w.len, -1), 0);
	}
}

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
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_log_lines_are_lost),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_dies_with_a_full_queue),
		cmocka_unit_test(test_drain),
	};
	int failed;

	base = role_event_base();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
