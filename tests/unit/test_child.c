/* SPDX-License-Identifier: ISC */
/*
 * child: what a role inherits, which is exactly what it was given; how long
 * one that keeps dying waits; how its end is told.  child_spawn() executes
 * the running image, so this program is its own child.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "role.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define FDS_TOO_MANY 1025
#define REPORT_MAX 4096

/*
 * In the child: say on the first descriptor what argv holds, then each open
 * descriptor with its flags and the mark found in it.
 */
static int
be_child(int argc, char *argv[])
{
	char report[REPORT_MAX] = "", mark;
	int i, flags, fd;
	size_t n = 0;

	/* The service manager's words to the master are not for a role. */
	if (getenv("NOTIFY_SOCKET") != NULL || getenv("TESTD") == NULL)
		return 1;
	for (i = 0; i < argc; i++)
		n += (size_t)snprintf(
		    report + n, sizeof(report) - n, "%s ", argv[i]);
	for (fd = 0; fd < 2048 && n < sizeof(report) - 32; fd++) {
		flags = fcntl(fd, F_GETFD);
		if (flags == -1)
			continue;
		if (pread(fd, &mark, 1, 0) != 1)
			mark = '-';
		n += (size_t)snprintf(report + n, sizeof(report) - n, "%d%s%c ",
		    fd, flags == 0 ? "=" : "!", mark);
	}
	return send(ROLE_FD_MASTER, report, n, 0) == (ssize_t)n ? 42 : 1;
}

/* A descriptor in which the mark can be read. */
static int
marked(char mark, int at_least)
{
	int fd = memfd_create("mark", MFD_CLOEXEC), moved;

	assert_int_equal(pwrite(fd, &mark, 1, 0), 1);
	moved = fcntl(fd, F_DUPFD, at_least); /* not close-on-exec */
	close(fd);
	assert_int_not_equal(moved, -1);
	return moved;
}

/* Spawn with these descriptors behind the channel; what the child says. */
static const char *
spawn(enum role role, unsigned int number, uint32_t serial, const int *more,
    size_t n, pid_t *pid)
{
	static char report[REPORT_MAX];
	int fds[16], channel[2], status;
	ssize_t len;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
	fds[0] = channel[1];
	memcpy(fds + 1, more, n * sizeof(*more));
	*pid = child_spawn("testd", role, number, serial, fds, n + 1);
	assert_true(*pid > 0);
	close(channel[1]);
	len = recv(channel[0], report, sizeof(report) - 1, 0);
	assert_true(len > 0);
	report[len] = '\0';
	close(channel[0]);
	assert_int_equal(waitpid(*pid, &status, 0), *pid);
	assert_int_equal(status, W_EXITCODE(42, 0));
	return report;
}

static void
test_arguments(void **state)
{
	static const struct {
		enum role role;
		unsigned int number;
		uint32_t serial;
		size_t nfds; /* behind the three of every role */
	} cases[] = {
		{ ROLE_KEEPER, 0, 1, 0 },
		{ ROLE_BROKER, 0, 2, 1 },
		{ ROLE_WORKER, 65535, UINT32_MAX, 6 },
	};
	int fds[8], fd = marked('m', 3);
	char want[64];
	const char *got;
	size_t i;
	pid_t pid;

	(void)state;
	for (i = 0; i < nitems(fds); i++)
		fds[i] = fd; /* the same twice is no fault */
	for (i = 0; i < nitems(cases); i++) {
		got = spawn(cases[i].role, cases[i].number, cases[i].serial,
		    fds, cases[i].nfds + 2, &pid);
		(void)snprintf(want, sizeof(want), "testd %s %d %u %u %ld %zu ",
		    ROLE_ARG, (int)cases[i].role, cases[i].number,
		    cases[i].serial, (long)getpid(), cases[i].nfds);
		if (strncmp(got, want, strlen(want)) != 0)
			fail_msg("%s: not %s", got, want);
	}
	close(fd);
}

/* The numbers are as promised wherever the descriptors come from. */
static void
test_descriptors(void **state)
{
	static const struct {
		int from[5]; /* numbers that those given have here */
		const char *want;
	} cases[] = {
		{ { 20, 21, 22, 23, 24 }, "3=- 4=a 5=b 6=c 7=d 8=e " },
		{ { 24, 23, 22, 21, 20 }, "3=- 4=a 5=b 6=c 7=d 8=e " },
		{ { 5, 6, 7, 8, 9 }, "3=- 4=a 5=b 6=c 7=d 8=e " },
		{ { 9, 8, 7, 6, 5 }, "3=- 4=a 5=b 6=c 7=d 8=e " },
		{ { 8, 7, 6, 5, 100 }, "3=- 4=a 5=b 6=c 7=d 8=e " },
		{ { 1000, 5, 9, 500, 6 }, "3=- 4=a 5=b 6=c 7=d 8=e " },
	};
	const char *got;
	size_t i, k;
	pid_t pid;
	int fds[5], stray;

	(void)state;
	/* 3 and 4 are for the channel; some that nobody is to inherit */
	closefrom(3);
	for (i = 0; i < nitems(cases); i++) {
		for (k = 0; k < nitems(fds); k++) {
			fds[k] = marked((char)('a' + k), cases[i].from[k]);
			assert_int_equal(fds[k], cases[i].from[k]);
		}
		stray = marked('s', 10);
		(void)marked('s', 300);
		(void)marked('s', 1001);
		got = spawn(ROLE_WORKER, 1, 7, fds, nitems(fds), &pid);
		/* standard streams, then ours, then none */
		got = strstr(got, " 3=");
		assert_non_null(got);
		assert_string_equal(got + 1, cases[i].want);
		/* they stay the caller's */
		for (k = 0; k < nitems(fds); k++)
			assert_int_not_equal(fcntl(fds[k], F_GETFD), -1);
		assert_int_not_equal(fcntl(stray, F_GETFD), -1);
		closefrom(3);
	}
}

static void
test_wrong_numbers(void **state)
{
	static int fds[FDS_TOO_MANY];
	static const size_t counts[] = { 0, 1, 2, FDS_TOO_MANY, SIZE_MAX };
	size_t i;

	(void)state;
	for (i = 0; i < nitems(counts); i++) {
		errno = 0;
		assert_int_equal(
		    child_spawn("testd", ROLE_WORKER, 0, 1, fds, counts[i]),
		    -1);
		assert_int_equal(errno, EINVAL);
	}
}

/* A descriptor that is not open: the child never begins. */
static void
test_bad_descriptor(void **state)
{
	const int fds[] = { STDIN_FILENO, STDIN_FILENO, 1999 };
	int status;
	pid_t pid;

	(void)state;
	pid = child_spawn("testd", ROLE_WORKER, 0, 1, fds, nitems(fds));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, W_EXITCODE(127, 0));
}

static void
test_backoff(void **state)
{
	unsigned int i, ms, before = 0;

	(void)state;
	assert_int_equal(child_backoff_ms(0), 0);
	assert_int_equal(child_backoff_ms(1), 0); /* replaced at once */
	for (i = 2; i < 100; i++) {
		ms = child_backoff_ms(i);
		assert_in_range(ms, 1, 30000);
		assert_true(ms >= before);
		if (before < 10000)
			assert_true(ms > before);
		before = ms;
	}
	assert_int_equal(before, 30000);
	assert_int_equal(child_backoff_ms(UINT_MAX), 30000);
}

static void
test_fate(void **state)
{
	static const struct {
		int status;
		const char *text;
	} cases[] = {
		{ W_EXITCODE(0, 0), "exited with 0" },
		{ W_EXITCODE(1, 0), "exited with 1" },
		{ W_EXITCODE(255, 0), "exited with 255" },
		{ W_EXITCODE(0, 9), "was killed by signal 9 (Killed)" },
		{ W_EXITCODE(0, 31),
		    "was killed by signal 31 (Bad system call)" },
		{ W_EXITCODE(0, 11) | WCOREFLAG,
		    "was killed by signal 11 (Segmentation fault)" },
	};
	char text[64], small[8];
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		assert_ptr_equal(
		    child_fate(cases[i].status, text, sizeof(text)), text);
		assert_string_equal(text, cases[i].text);
	}
	assert_string_equal(
	    child_fate(W_EXITCODE(1, 0), small, sizeof(small)), "exited ");
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_wrong_numbers),
		cmocka_unit_test(test_bad_descriptor),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_fate),
	};

	if (role_is_asked(argc, argv))
		return be_child(argc, argv);
	(void)setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
	(void)setenv("TESTD", "is passed on", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
