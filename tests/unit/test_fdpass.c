/* SPDX-License-Identifier: ISC */
/*
 * fdpass: one message and at most one descriptor.  Whatever else a hostile
 * sender tries, no descriptor of its choosing stays open in the receiver.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdpass.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define SIZE_MAX_MESSAGE 8192
#define MANY 200 /* descriptors; the kernel takes 253 (unix(7)) */

static int ends[2]; /* of the channel: we send on 0 and receive on 1 */

static int
set_up(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int
tear_down(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static unsigned int
open_descriptors(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
assert_same_file(int a, int b)
{
	struct stat sa, sb;

	assert_int_equal(fstat(a, &sa), 0);
	assert_int_equal(fstat(b, &sb), 0);
	assert_int_equal(sa.st_dev, sb.st_dev);
	assert_int_equal(sa.st_ino, sb.st_ino);
}

static void
test_what_arrives(void **state)
{
	static const struct {
		size_t len;
		bool fd;
	} cases[] = {
		{ 1, false },
		{ 1, true },
		{ 6, true },
		{ SIZE_MAX_MESSAGE - 1, false },
		{ SIZE_MAX_MESSAGE, false },
		{ SIZE_MAX_MESSAGE, true },
	};
	char out[SIZE_MAX_MESSAGE], in[SIZE_MAX_MESSAGE];
	size_t i, k;
	int fd, got;

	(void)state;
	for (k = 0; k < sizeof(out); k++)
		out[k] = (char)(k * 7);
	for (i = 0; i < nitems(cases); i++) {
		fd = cases[i].fd ? ends[0] : -1;
		assert_int_equal(
		    fdpass_send(ends[0], out, cases[i].len, fd), 0);
		memset(in, 0, sizeof(in));
		assert_int_equal(
		    fdpass_recv(ends[1], in, sizeof(in), false, &got),
		    cases[i].len);
		assert_memory_equal(in, out, cases[i].len);
		assert_int_equal(got != -1, cases[i].fd);
		if (got == -1)
			continue;
		assert_int_not_equal(got, fd); /* a copy travels */
		assert_same_file(got, fd);
		assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
		close(got);
	}
}

/* What fdpass_send() never would: any number of descriptors. */
static void
send_odd(size_t len, size_t nfds)
{
	static char data[SIZE_MAX_MESSAGE + 1];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MANY * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	size_t i;

	memset(&control, 0, sizeof(control));
	if (nfds > 0) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &ends[0],
			    sizeof(int));
	}
	assert_int_equal(sendmsg(ends[0], &m, MSG_DONTWAIT), len);
}

static void
assert_refused(void)
{
	char in[SIZE_MAX_MESSAGE];
	int got = 0;

	errno = 0;
	assert_int_equal(fdpass_recv(ends[1], in, sizeof(in), false, &got), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(got, -1);
}

static void
test_what_is_refused(void **state)
{
	static const struct {
		size_t len, nfds;
	} cases[] = {
		{ 10, 2 },
		{ 10, 4 },    /* as many as there is room to look at */
		{ 10, 5 },    /* more: the kernel says MSG_CTRUNC */
		{ 10, MANY }, /* ... */
		{ 0, 0 },     /* empty, which is not the end */
		{ 0, 1 },     /* ... */
		{ 0, 2 },     /* ... */
		{ SIZE_MAX_MESSAGE + 1, 0 },
		{ SIZE_MAX_MESSAGE + 1, 1 },
	};
	unsigned int before = open_descriptors();
	char c;
	size_t i;
	int got;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		send_odd(cases[i].len, cases[i].nfds);
		assert_refused();
		if (open_descriptors() != before)
			fail_msg("case %zu left a descriptor open", i);
		/* and the next message is none the worse for it */
		send_odd(1, 0);
		assert_int_equal(fdpass_recv(ends[1], &c, 1, false, &got), 1);
		assert_int_equal(got, -1);
	}
}

/* A receiver without room for one more hears that there was one. */
static void
test_no_room_for_it(void **state)
{
	char in[SIZE_MAX_MESSAGE];
	struct rlimit old, none;
	int highest = dup(ends[1]);
	int got = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ (rlim_t)highest, old.rlim_max };
	close(highest);
	send_odd(10, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(fdpass_recv(ends[1], in, sizeof(in), false, &got), 10);
	assert_int_equal(got, FDPASS_LOST);
	/* as many as nobody may send are refused in this case, too */
	send_odd(0, 1);
	assert_refused();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void
test_ends(void **state)
{
	char c = 'x';
	int got = 0;

	(void)state;
	assert_int_equal(fdpass_recv(ends[1], &c, 1, false, &got), -1);
	assert_int_equal(errno, EAGAIN); /* though the socket blocks */
	assert_int_equal(got, -1);
	assert_int_equal(fdpass_send(ends[0], &c, 1, -1), 0);
	assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
	assert_int_equal(fdpass_recv(ends[1], &c, 1, false, &got), 1);
	assert_int_equal(fdpass_recv(ends[1], &c, 1, false, &got), 0);
	assert_int_equal(fdpass_recv(ends[1], &c, 1, false, &got), 0);
	close(ends[0]);
	assert_int_equal(fdpass_recv(ends[1], &c, 1, false, &got), 0);
	assert_int_equal(got, -1);
	/* SIGPIPE would end this program */
	assert_int_equal(fdpass_send(ends[1], &c, 1, -1), -1);
	assert_int_equal(errno, EPIPE);
	ends[0] = -1;
}

static void
test_full_buffer(void **state)
{
	char out[SIZE_MAX_MESSAGE] = { 0 }, in[SIZE_MAX_MESSAGE];
	unsigned int before = open_descriptors(), sent = 0, taken = 0;
	ssize_t n;
	int got;

	(void)state;
	for (;; sent++) {
		memcpy(out, &sent, sizeof(sent));
		if (fdpass_send(ends[0], out, sizeof(out), ends[0]) == -1)
			break;
	}
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
	while ((n = fdpass_recv(ends[1], in, sizeof(in), false, &got)) != -1) {
		assert_int_equal(n, sizeof(in));
		assert_memory_equal(in, &taken, sizeof(taken));
		close(got);
		taken++;
	}
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(taken, sent);
	assert_int_equal(open_descriptors(), before);
}

static void
test_wrong_descriptor(void **state)
{
	(void)state;
	assert_int_equal(fdpass_send(ends[0], "x", 1, 1023), -1);
	assert_int_equal(errno, EBADF);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_arrives),
		TEST(test_what_is_refused),
		TEST(test_no_room_for_it),
		TEST(test_ends),
		TEST(test_full_buffer),
		TEST(test_wrong_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
