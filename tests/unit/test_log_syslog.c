/* SPDX-License-Identifier: ISC */
/*
 * log, towards a syslog daemon: the form of lines, and what becomes of those
 * that it does not take at once.  It is a socket of the test's own: connect()
 * below leads there, so that the real one is neither needed nor disturbed.
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log_lines.h"
#include "xmalloc.h"

#define QUEUE_MAX 1024 /* lines that wait (log_target.c) */

static char folder[] = "/tmp/relais-syslog-XXXXXX";
static char *file_path, *syslog_path;
static int syslogd = -1; /* the daemon's socket */

int
connect(int fd, const struct sockaddr *to, socklen_t len)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	assert_int_equal(to->sa_family, AF_UNIX);
	assert_string_equal(
	    ((const struct sockaddr_un *)(const void *)to)->sun_path,
	    "/dev/log");
	(void)len;
	(void)strlcpy(sun.sun_path, syslog_path, sizeof(sun.sun_path));
	return (int)syscall(SYS_connect, fd, &sun, sizeof(sun));
}

/* Start the syslog daemon, with the least room for what comes. */
static void
start_syslogd(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)strlcpy(sun.sun_path, syslog_path, sizeof(sun.sun_path));
	syslogd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_not_equal(syslogd, -1);
	assert_int_equal(
	    bind(syslogd, (struct sockaddr *)&sun, sizeof(sun)), 0);
}

static void
stop_syslogd(void)
{
	if (syslogd != -1)
		close(syslogd);
	syslogd = -1;
	(void)unlink(syslog_path);
}

/* The next datagram, NULL when there is none. */
static const char *
datagram(void)
{
	static char text[LOG_LINE_MAX + 512];
	ssize_t n = recv(syslogd, text, sizeof(text) - 1, 0);

	if (n == -1)
		return NULL;
	assert_null(memchr(text, '\n', (size_t)n));
	text[n] = '\0';
	return text;
}

static int
stop_after(void **state)
{
	(void)state;
	stop_syslogd();
	open_log("+");
	return 0;
}

static void
test_form(void **state)
{
	static const struct {
		const char *facility;
		int priority;
		const char *pri;
	} cases[] = {
		{ "local5", LOG_INFO, "<174>" },
		{ "local5", LOG_ERR, "<171>" },
		{ "mail", LOG_WARNING, "<20>" },
		{ "daemon", LOG_DEBUG, "<31>" },
	};
	char *pattern;
	size_t i;

	(void)state;
	start_syslogd();
	for (i = 0; i < nitems(cases); i++) {
		open_log(cases[i].facility);
		log_write(cases[i].priority, 4711, "Connect: 192.0.2.1");
		pattern = xasprintf("^%s" STAMP
		                    " testd\\[4711]: Connect: 192\\.0\\.2\\.1$",
		    cases[i].pri);
		assert_matches(datagram(), pattern);
		free(pattern);
	}
	assert_null(datagram());
	assert_false(log_flush());
}

static void
say_number(unsigned int i)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "line %u.", i);
	log_write(LOG_INFO, 1, text);
}

/* Take what is there from line *next on; the first other one, or NULL. */
static const char *
take_numbers(unsigned int *next)
{
	const char *text;
	char want[32];

	while ((text = datagram()) != NULL) {
		(void)snprintf(want, sizeof(want), ": line %u.", *next);
		if (strstr(text, want) == NULL)
			break;
		++*next;
	}
	return text;
}

/* A daemon that does not read: nobody waits, and what is lost is told. */
static void
test_full(void **state)
{
	unsigned int i, next = 0, kept;
	const char *other = NULL;
	char want[64];

	(void)state;
	start_syslogd();
	open_log("local5");
	for (i = 0; i < 2 * QUEUE_MAX; i++)
		say_number(i);
	assert_true(log_flush());
	assert_true(log_flush());
	assert_null(take_numbers(&next)); /* what the socket held */
	assert_in_range(next, 1, QUEUE_MAX - 1);
	kept = next + QUEUE_MAX;
	for (i = 0; i < QUEUE_MAX && other == NULL; i++) {
		(void)log_flush();
		other = take_numbers(&next);
	}
	/* all that was kept, in order, then the number of the rest */
	assert_int_equal(next, kept);
	assert_non_null(other);
	(void)snprintf(want, sizeof(want), "]: %u log lines were lost",
	    2 * QUEUE_MAX - kept);
	assert_non_null(strstr(other, want));
	assert_false(log_flush());
	assert_null(datagram());
	log_write(LOG_INFO, 1, "and on");
	assert_matches(datagram(), ": and on$");
}

/* Lines keep their order: a new one does not overtake those that wait. */
static void
test_order(void **state)
{
	struct pollfd room = { .events = POLLOUT };
	unsigned int i, next = 0;

	(void)state;
	start_syslogd();
	open_log("local5");
	for (i = 0; i < 100; i++)
		say_number(i);
	assert_null(take_numbers(&next));
	assert_in_range(next, 1, 99);
	/* Room is to be waited for, and there is some. */
	room.fd = log_room_fd();
	assert_int_equal(poll(&room, 1, 0), 1);
	say_number(100);
	assert_null(datagram());
	while (log_flush())
		assert_null(take_numbers(&next));
	assert_null(take_numbers(&next));
	assert_int_equal(next, 101);
	assert_int_equal(log_room_fd(), -1);
}

static void
test_restarted(void **state)
{
	(void)state;
	start_syslogd();
	open_log("local5");
	log_write(LOG_INFO, 1, "before");
	assert_matches(datagram(), "before$");
	stop_syslogd();
	log_write(LOG_INFO, 1, "while it is away");
	assert_true(log_flush());
	start_syslogd();
	assert_false(log_flush());
	assert_matches(datagram(), "while it is away$");
	stop_syslogd(); /* so quickly that nobody noticed */
	start_syslogd();
	log_write(LOG_INFO, 1, "after");
	assert_matches(datagram(), "after$");
}

/* There is none when we start: what is said waits for it. */
static void
test_absent(void **state)
{
	(void)state;
	open_log("local5");
	log_write(LOG_INFO, 1, "early");
	assert_true(log_flush());
	assert_int_equal(log_room_fd(), -1); /* nobody to wait for */
	start_syslogd();
	assert_false(log_flush());
	assert_matches(datagram(), "early$");
}

/* The next image has the same daemon, or logs to a file from now on. */
static void
test_handed_over(void **state)
{
	unsigned int i, next = 0;
	const char *other = NULL;
	struct log_queue q;
	char *pattern;

	(void)state;
	start_syslogd();
	open_log("local5");
	log_queue_get(&q);
	assert_null(q.lines);
	assert_int_equal(q.len + q.lost, 0);
	for (i = 0; i < 100; i++)
		say_number(i);
	log_queue_get(&q);
	assert_non_null(q.lines);
	assert_null(take_numbers(&next));
	assert_in_range(next, 1, 99);

	/* What is queued here goes to the file, without its priority. */
	open_log(file_path);
	pattern = xasprintf(
	    "^(" STAMP " testd\\[1]: line [0-9]+\\.\n){%u}$", 100 - next);
	assert_matches(contents(file_path), pattern);
	free(pattern);
	assert_false(log_flush());
	unlink(file_path);

	open_log("local5");
	q.lost = 7;
	log_queue_put(&q);
	free(q.lines);
	say_number(100); /* behind them */
	for (i = 0; i < QUEUE_MAX && other == NULL; i++) {
		(void)log_flush();
		other = take_numbers(&next);
	}
	assert_non_null(other);
	assert_non_null(strstr(other, "]: 7 log lines were lost"));
	assert_int_equal(next, 101);
	assert_false(log_flush());
}

/* Another program has written it: nothing is taken on trust. */
static void
test_handed_nonsense(void **state)
{
	static char lines[] = "\0\0good\0no end";
	static char longer[LOG_LINE_MAX + 258];
	struct log_queue q = { lines, sizeof(lines) - 1, 0 };

	(void)state;
	start_syslogd();
	open_log("local5");
	log_queue_put(&q);
	assert_false(log_flush());
	assert_string_equal(datagram(), "good");
	assert_null(datagram());
	memset(longer, 'x', sizeof(longer) - 1);
	q = (struct log_queue){ longer, sizeof(longer), 0 };
	log_queue_put(&q);
	assert_false(log_flush());
	assert_null(datagram());
}

static void
count_waits(void *arg)
{
	++*(unsigned int *)arg;
}

/* Lines that are gathered: none is early, none is late, none is lost. */
static void
test_gathered(void **state)
{
	uint64_t lost = log_counts().lost;
	unsigned int i, next = 0, waits = 0;

	(void)state;
	start_syslogd();
	open_log("local5");
	log_on_wait(count_waits, &waits);
	log_gather(true);
	for (i = 0; i < 5; i++)
		say_number(i);
	assert_null(datagram());
	log_gather(false);
	assert_null(take_numbers(&next));
	assert_int_equal(next, 5);
	say_number(5);
	assert_null(take_numbers(&next));
	assert_int_equal(next, 6);
	/* more than it holds, and than the socket does, then those behind */
	log_gather(true);
	assert_int_equal(waits, 0);
	for (i = 6; i < 200; i++)
		say_number(i);
	log_gather(false);
	say_number(200);
	assert_int_equal(waits, 1);
	log_on_wait(NULL, NULL);
	while (log_flush())
		assert_null(take_numbers(&next));
	assert_null(take_numbers(&next));
	assert_int_equal(next, 201);
	assert_int_equal(log_counts().lost, lost);
	stop_syslogd();
	start_syslogd();
	log_gather(true);
	say_number(201);
	say_number(202);
	log_gather(false);
	assert_null(take_numbers(&next));
	assert_int_equal(next, 203);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, stop_after)
	const struct CMUnitTest tests[] = {
		TEST(test_form),
		TEST(test_full),
		TEST(test_order),
		TEST(test_restarted),
		TEST(test_absent),
		TEST(test_gathered),
		TEST(test_handed_over),
		TEST(test_handed_nonsense),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	file_path = xasprintf("%s/file", folder);
	syslog_path = xasprintf("%s/log", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(file_path);
	free(syslog_path);
	(void)rmdir(folder);
	return failed;
}
