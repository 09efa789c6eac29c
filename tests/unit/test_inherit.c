/* SPDX-License-Identifier: ISC */
/*
 * test_inherit: the sockets that a process was born with.  Each case is a
 * process of its own, whose descriptors 0 to 4 are what the case says.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "inherit.h"
#include "log.h"

enum what { NONE, LISTENER, CLIENT, LOCAL, DATAGRAM, PIPE, NULLED };

static char logged[LOG_LINE_MAX];

static void
keep(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)strlcpy(logged, text, sizeof(logged));
}

static int
listener(int type)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) == -1 ||
	    (type == SOCK_STREAM && listen(fd, 5) == -1))
		_exit(90);
	return fd;
}

static int
client(void)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int l = listener(SOCK_STREAM), far = socket(AF_INET, SOCK_STREAM, 0);

	if (getsockname(l, (struct sockaddr *)&in, &len) == -1 ||
	    connect(far, (struct sockaddr *)&in, len) == -1)
		_exit(91);
	return accept(l, NULL, NULL);
}

static int
make(enum what what)
{
	int fds[2] = { -1, -1 };

	switch (what) {
	case NONE:
		break;
	case LISTENER:
		return listener(SOCK_STREAM);
	case CLIENT:
		return client();
	case DATAGRAM:
		return listener(SOCK_DGRAM);
	case LOCAL:
		(void)socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
		return fds[0];
	case PIPE:
		if (pipe(fds) == -1)
			_exit(93);
		return fds[0];
	case NULLED:
		return open("/dev/null", O_RDWR);
	}
	return -1;
}

static void
put(enum what what, int at)
{
	int fd = make(what), high;

	if (what == NONE)
		return;
	high = fcntl(fd, F_DUPFD, 50);
	if (high == -1 || dup2(high, at) == -1)
		_exit(92);
	close(high);
}

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition))                                              \
			_exit(__LINE__ % 200 + 1);                             \
	} while (0)

static bool
is_null(int fd)
{
	struct stat a, b;

	return stat("/dev/null", &a) == 0 && fstat(fd, &b) == 0 &&
	    a.st_rdev == b.st_rdev && S_ISCHR(b.st_mode);
}

/* In a child; the line that failed is its exit status. */
static void
in_child(void (*f)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		log_set_sink(keep, NULL);
		closefrom(3);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("status %x: near line %d (+200 n)", status,
		    WEXITSTATUS(status) - 1);
}

static void
set_environment(const char *fds, const char *names)
{
	char pid[32];

	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", fds, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
}

static void
nothing(void)
{
	static const enum what kinds[] = { LOCAL, DATAGRAM, PIPE, NULLED };
	struct inherited in;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		put(kinds[i], 0);
		CHECK(inherit_find(&in) == 0);
		CHECK(in.kind == INHERIT_NONE && in.n == 0 && !in.mute);
	}
	CHECK(is_null(0)); /* the last of them: left as it was */
	close(0);
	CHECK(inherit_find(&in) == 0 && in.kind == INHERIT_NONE);
}

/* As inetd does it: all three are the client. */
static void
nowait(void)
{
	struct inherited in;

	put(CLIENT, 0);
	(void)dup2(0, 1);
	(void)dup2(0, 2);
	CHECK(inherit_find(&in) == 0);
	CHECK(in.kind == INHERIT_CLIENT && in.n == 1 && in.mute);
	CHECK(in.sockets[0].fd > 2 && in.sockets[0].name[0] == '\0');
	CHECK(is_null(0) && is_null(1) && is_null(2));
	CHECK(addr_is_loopback(&in.sockets[0].local));
	CHECK((fcntl(in.sockets[0].fd, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK((fcntl(in.sockets[0].fd, F_GETFL) & O_NONBLOCK) != 0);
}

/* What is not the client is left alone: a log that goes to a file, say. */
static void
other_output(void)
{
	struct inherited in;

	put(LISTENER, 0);
	put(PIPE, 1);
	put(PIPE, 2);
	CHECK(inherit_find(&in) == 0);
	CHECK(in.kind == INHERIT_LISTENERS && in.n == 1 && !in.mute);
	CHECK(is_null(0) && !is_null(1) && !is_null(2));
}

static void
managed(void)
{
	struct inherited in;

	put(LISTENER, 3);
	put(LISTENER, 4);
	set_environment("2", "tls:starttls");
	CHECK(inherit_find(&in) == 0);
	CHECK(in.kind == INHERIT_LISTENERS && in.n == 2);
	CHECK(in.sockets[0].fd == 3 && in.sockets[1].fd == 4);
	CHECK(strcmp(in.sockets[0].name, "tls") == 0);
	CHECK(strcmp(in.sockets[1].name, "starttls") == 0);
	CHECK((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK((fcntl(4, F_GETFL) & O_NONBLOCK) != 0);
}

static void
managed_without_names(void)
{
	struct inherited in;

	put(LISTENER, 3);
	put(LISTENER, 4);
	set_environment("2", "only-one");
	CHECK(inherit_find(&in) == 0 && in.n == 2);
	CHECK(strcmp(in.sockets[0].name, "only-one") == 0);
	CHECK(in.sockets[1].name[0] == '\0');
}

/* Accept=yes: with StandardInput=socket it is 0 to 2 as well. */
static void
managed_client(void)
{
	struct inherited in;

	put(CLIENT, 3);
	(void)dup2(3, 0);
	(void)dup2(3, 1);
	(void)dup2(3, 2);
	set_environment("1", "connection");
	CHECK(inherit_find(&in) == 0);
	CHECK(in.kind == INHERIT_CLIENT && in.n == 1 && in.mute);
	CHECK(in.sockets[0].fd == 3 && is_null(0) && is_null(2));
}

/* Of our parent, which did not clean up. */
static void
for_another(void)
{
	struct inherited in;
	char pid[32];

	put(LISTENER, 3);
	put(NULLED, 0);
	set_environment("1", "tls");
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getppid());
	setenv("LISTEN_PID", pid, 1);
	CHECK(inherit_find(&in) == 0 && in.kind == INHERIT_NONE);
}

static void
useless(void)
{
	static const enum what kinds[] = { LOCAL, DATAGRAM, PIPE };
	struct inherited in;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		put(kinds[i], 3);
		set_environment("1", "tls");
		logged[0] = '\0';
		CHECK(inherit_find(&in) == -1);
		CHECK(strstr(logged, "descriptor 3 (\"tls\")") != NULL);
	}
	/* a client among listeners; one that is not there; too many */
	put(LISTENER, 3);
	put(CLIENT, 4);
	set_environment("2", NULL);
	CHECK(inherit_find(&in) == -1);
	close(4);
	CHECK(inherit_find(&in) == -1);
	set_environment("65", NULL);
	CHECK(inherit_find(&in) == -1);
	CHECK(strstr(logged, "LISTEN_FDS: 65 sockets") != NULL);
}

static void
environment(void)
{
	char **env;
	size_t i;
	bool kept = false;

	set_environment("1", "tls");
	setenv("NOTIFY_SOCKET", "/x", 1);
	setenv("WATCHDOG_USEC", "1", 1);
	setenv("WATCHDOG_PID", "1", 1);
	setenv("LISTEN_FDSX", "stays", 1);
	env = inherit_environment();
	for (i = 0; env[i] != NULL; i++) {
		kept = kept || strcmp(env[i], "LISTEN_FDSX=stays") == 0;
		CHECK(strncmp(env[i], "LISTEN_PID", 10) != 0);
		CHECK(strncmp(env[i], "LISTEN_FDS=", 11) != 0);
		CHECK(strncmp(env[i], "LISTEN_FDNAMES", 14) != 0);
		CHECK(strncmp(env[i], "NOTIFY_SOCKET", 13) != 0);
		CHECK(strncmp(env[i], "WATCHDOG_", 9) != 0);
	}
	CHECK(kept && getenv("NOTIFY_SOCKET") != NULL);
}

#define CASE(name)                                                             \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		in_child(name);                                                \
	}
CASE(nothing)
CASE(nowait)
CASE(other_output)
CASE(managed)
CASE(managed_without_names)
CASE(managed_client)
CASE(for_another)
CASE(useless)
CASE(environment)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_nowait),
		cmocka_unit_test(test_other_output),
		cmocka_unit_test(test_managed),
		cmocka_unit_test(test_managed_without_names),
		cmocka_unit_test(test_managed_client),
		cmocka_unit_test(test_for_another),
		cmocka_unit_test(test_useless),
		cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
