/* SPDX-License-Identifier: ISC */
/*
 * test_notify: what a service manager hears, at sockets of both kinds, and
 * that all is quiet where there is none.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "notify.h"
#include "text.h"

static char logged[LOG_LINE_MAX];

static void
keep(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)strlcpy(logged, text, sizeof(logged));
}

static int
reset(void **state)
{
	(void)state;
	logged[0] = '\0';
	log_set_sink(keep, NULL);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

/* A socket at path ("@": abstract); NOTIFY_SOCKET names it. */
static int
listen_at(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	size_t len = offsetof(struct sockaddr_un, sun_path) + strlen(path);

	(void)strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, (socklen_t)len), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	return fd;
}

static const char *
heard(int fd)
{
	static char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
hears_all(int fd)
{
	struct notify n;
	struct timespec now;
	unsigned long long usec, told;

	notify_open(&n);
	notify_ready(&n, "serving");
	assert_string_equal(heard(fd), "READY=1\nSTATUS=serving\n");
	notify_alive(&n);
	assert_string_equal(heard(fd), "WATCHDOG=1\n");
	notify_stopping(&n);
	assert_string_equal(heard(fd), "STOPPING=1\nSTATUS=stopping\n");
	clock_gettime(CLOCK_MONOTONIC, &now);
	usec = (unsigned long long)now.tv_sec * 1000000 +
	    (unsigned long long)now.tv_nsec / 1000;
	notify_reloading(&n);
	assert_int_equal(
	    sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%llu\n", &told), 1);
	assert_true(told >= usec && told < usec + 60000000);
	assert_string_equal(heard(fd), "");
	assert_string_equal(logged, "");
	close(fd);
}

static void
test_path(void **state)
{
	char path[64];

	(void)state;
	(void)snprintf(
	    path, sizeof(path), "/tmp/relais-notify-%ld", (long)getpid());
	hears_all(listen_at(path));
	unlink(path);
}

static void
test_abstract(void **state)
{
	char path[64];

	(void)state;
	(void)snprintf(
	    path, sizeof(path), "@relais-notify-%ld", (long)getpid());
	hears_all(listen_at(path));
}

static void
test_nobody(void **state)
{
	struct notify n;

	(void)state;
	notify_open(&n);
	notify_ready(&n, "serving");
	notify_stopping(NULL);
	assert_int_equal(n.len, 0);
	assert_string_equal(logged, "");
}

/* Not a way to reach anybody: said, or passed over, and nothing else. */
static void
test_bad_socket(void **state)
{
	char longer[200] = "/";
	struct notify n;

	(void)state;
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	notify_open(&n);
	assert_int_equal(n.len, 0);
	memset(longer + 1, 'a', sizeof(longer) - 2);
	setenv("NOTIFY_SOCKET", longer, 1);
	notify_open(&n);
	assert_int_equal(n.len, 0);
	assert_non_null(strstr(logged, "NOTIFY_SOCKET"));
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	notify_open(&n);
	notify_ready(&n, "serving");
	assert_non_null(strstr(logged, "did not hear \"READY=1\""));
}

static void
test_watchdog(void **state)
{
	char own[32], other[32];
	const struct {
		const char *usec, *pid;
		uint64_t want;
	} cases[] = {
		{ "30000000", NULL, 30000000 },
		{ "30000000", own, 30000000 },
		{ "30000000", other, 0 }, /* the watchdog is another's */
		{ "30000000", "", 0 },
		{ "", own, 0 },
		{ "-1", own, 0 },
		{ "1s", own, 0 },
		{ NULL, own, 0 },
	};
	struct notify n;
	size_t i;

	(void)state;
	(void)snprintf(own, sizeof(own), "%ld", (long)getpid());
	(void)snprintf(other, sizeof(other), "%ld", (long)getppid());
	setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		if (cases[i].usec != NULL)
			setenv("WATCHDOG_USEC", cases[i].usec, 1);
		if (cases[i].pid != NULL)
			setenv("WATCHDOG_PID", cases[i].pid, 1);
		notify_open(&n);
		assert_int_equal(n.watchdog_us, cases[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_path, reset),
		cmocka_unit_test_setup(test_abstract, reset),
		cmocka_unit_test_setup(test_nobody, reset),
		cmocka_unit_test_setup(test_bad_socket, reset),
		cmocka_unit_test_setup(test_watchdog, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
