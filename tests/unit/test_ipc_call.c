/* SPDX-License-Identifier: ISC */
/*
 * ipc_call: a question and its answer, when the answerer breaks rules, is
 * late, silent or dead.  We are a worker, the test holds the keeper's end.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdpass.h"
#include "ipc.h"

#include "odd_message.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define ID 7
#define NO_ANSWER ((size_t)-1)
#define GOOD "\0\x14\0\0\0\7\1\0\0\0\3sig" /* MSG_SIGN_REPLY to ID */

static int
call(int fd, int timeout_ms, struct reader *r)
{
	static char space[MSG_MAX];
	struct timeval limit;
	struct msg_sign m = { .data = TEXT_LIT("digest") };
	struct writer w;

	limit.tv_sec = timeout_ms / 1000;
	limit.tv_usec = timeout_ms % 1000 * 1000;
	msg_start(&w, MSG_SIGN, ID);
	msg_put_sign(&w, &m);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	errno = 0;
	return ipc_call(fd, ROLE_WORKER, ROLE_KEEPER, &w, ID, MSG_SIGN_REPLY,
	    timeout_ms, space, r);
}

static void
test_calls(void **state)
{
	static const char oversized[MSG_MAX + 1] = GOOD;
	static const struct {
		const char *octets;
		size_t len, nfds;
		int error; /* 0: a good answer */
	} cases[] = {
		{ GOOD, 14, 0, 0 },
		{ GOOD, 14, 1, EBADMSG },
		{ GOOD, 14, 3, EBADMSG },
		{ GOOD, 5, 0, EBADMSG },
		{ "", 0, 0, EBADMSG },
		{ "", 0, 1, EBADMSG },
		{ oversized, sizeof(oversized), 0, EBADMSG },
		/* to an earlier question, and to one that was not asked */
		{ "\0\x14\0\0\0\6\1\0\0\0\3sig", 14, 0, ETIMEDOUT },
		{ "\0\x14\0\0\0\10\1\0\0\0\3sig", 14, 0, EBADMSG },
		{ "\0\x14\1\0\0\7\1\0\0\0\3sig", 14, 0, EBADMSG },
		{ "\0\x13\0\0\0\7\1\0\0\0\3sig", 14, 0, EBADMSG },
		{ "\0\x12\0\0\0\7\1\0\0\0\3sig", 14, 0, EBADMSG },
		{ "\xff\x14\0\0\0\7\1\0\0\0\3sig", 14, 0, EBADMSG },
		{ NULL, NO_ANSWER, 0, ETIMEDOUT },
	};
	struct msg_sign_reply reply;
	struct reader r;
	unsigned int before;
	size_t i;
	int fds[2];

	(void)state;
	assert_int_equal(MSG_SIGN_REPLY, 0x14);
	for (i = 0; i < nitems(cases); i++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
		before = open_descriptors();
		/* it may as well be there before the question */
		if (cases[i].len != NO_ANSWER)
			send_odd(fds[1], cases[i].octets, cases[i].len,
			    cases[i].nfds);
		if (call(fds[0], 50, &r) != (cases[i].error == 0 ? 0 : -1) ||
		    (cases[i].error != 0 && errno != cases[i].error))
			fail_msg("case %zu: %s", i, strerror(errno));
		assert_int_equal(open_descriptors(), before);
		if (cases[i].error == 0) {
			assert_int_equal(msg_get_sign_reply(&r, &reply), 0);
			assert_int_equal(reply.ok, 1);
			assert_true(text_eq(reply.signature, "sig"));
		}
		close(fds[0]);
		close(fds[1]);
	}
}

/* The answer that came too late for the last call is not that of this one. */
static void
test_call_after_silence(void **state)
{
	struct msg_sign_reply reply;
	struct reader r;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	send_odd(fds[1], "\0\x14\0\0\0\6\1\0\0\0\3old", 14, 0);
	send_odd(fds[1], GOOD, 14, 0);
	assert_int_equal(call(fds[0], 1000, &r), 0);
	assert_int_equal(msg_get_sign_reply(&r, &reply), 0);
	assert_true(text_eq(reply.signature, "sig"));
	close(fds[0]);
	close(fds[1]);
}

static void
test_call_of_the_dead(void **state)
{
	struct reader r;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	close(fds[1]);
	assert_int_equal(call(fds[0], 1000, &r), -1);
	assert_int_equal(errno, EPIPE);
	close(fds[0]);
	/* it takes the question along */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	assert_int_equal(call(fds[0], 1000, &r), -1);
	assert_int_equal(errno, EPIPE);
	close(fds[0]);
	close(fds[1]);
}

static long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* No longer than was said, not even for room to ask in. */
static void
test_call_without_room(void **state)
{
	struct reader r;
	long began;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	while (fdpass_send(fds[0], "x", 1, -1) == 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	began = now_ms();
	assert_int_equal(call(fds[0], 1060, &r), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_in_range(now_ms() - began, 1000, 10000);
	close(fds[0]);
	close(fds[1]);
}

static void
test_call_that_waits(void **state)
{
	const struct timespec a_while = { .tv_nsec = 50 * 1000000L };
	struct reader r;
	char space[MSG_MAX];
	int fds[2], fd, status;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	/* One that does not block is waited for all the same. */
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	pid = fork();
	if (pid == 0) {
		nanosleep(&a_while, NULL);
		_exit(fdpass_recv(fds[1], space, sizeof(space), false, &fd) <=
		        0 ||
		    fdpass_send(fds[1], GOOD, 14, -1) == -1);
	}
	assert_int_equal(call(fds[0], 10000, &r), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_call_after_silence),
		cmocka_unit_test(test_call_of_the_dead),
		cmocka_unit_test(test_call_without_room),
		cmocka_unit_test(test_call_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
