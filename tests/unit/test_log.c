/* SPDX-License-Identifier: ISC */
/*
 * log: levels, sinks, and the master's targets, but syslog.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "log_lines.h"
#include "xmalloc.h"


static char folder[] = "/tmp/relais-log-XXXXXX";
static char *file_path;

static time_t pretended; /* what time(2) tells; 0: the truth */

time_t
time(time_t *t)
{
	struct timespec now;

	if (t != NULL)
		fail_msg("not what log asks for");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return pretended != 0 ? pretended : now.tv_sec;
}

/* What a sink was given last. */
static struct {
	unsigned int n;
	int priority;
	char text[LOG_LINE_MAX];
} sunk;

static void
sink(void *arg, int priority, const char *text)
{
	assert_ptr_equal(arg, &sunk);
	sunk.n++;
	sunk.priority = priority;
	assert_true(
	    strlcpy(sunk.text, text, sizeof(sunk.text)) < sizeof(sunk.text));
}

static void
test_levels(void **state)
{
	static const int all[] = { LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO,
		LOG_DEBUG };
	size_t i, k;

	(void)state;
	log_set_sink(sink, &sunk);
	for (i = 0; i < nitems(all); i++) {
		log_set_level(all[i]);
		for (k = 0; k < nitems(all); k++) {
			sunk.n = 0;
			log_at(all[k], "%s %d", "text", 7);
			assert_int_equal(sunk.n, k <= i);
			assert_int_equal(log_wants(all[k]), k <= i);
			if (k > i)
				continue;
			assert_int_equal(sunk.priority, all[k]);
			assert_string_equal(sunk.text, "text 7");
		}
	}
	log_set_level(LOG_INFO);
	log_set_sink(NULL, NULL);
}

static void
test_words(void **state)
{
	char longest[LOG_LINE_MAX + 10];

	(void)state;
	log_set_level(LOG_DEBUG);
	log_set_sink(sink, &sunk);
	errno = ENOENT;
	log_warn("file %d", 1);
	assert_string_equal(sunk.text, "file 1: No such file or directory");
	assert_int_equal(sunk.priority, LOG_WARNING);
	assert_int_equal(errno, ENOENT);
	log_warnx("file %d", 2);
	assert_string_equal(sunk.text, "file 2");
	assert_int_equal(sunk.priority, LOG_WARNING);
	log_info("%s", "information");
	assert_int_equal(sunk.priority, LOG_INFO);
	log_debug("%s", "detail");
	assert_int_equal(sunk.priority, LOG_DEBUG);

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	log_warn("%s", longest); /* cut, errno's text too */
	assert_int_equal(strlen(sunk.text), LOG_LINE_MAX - 1);
	longest[LOG_LINE_MAX - 6] = '\0';
	log_warn("%s", longest);
	assert_int_equal(strlen(sunk.text), LOG_LINE_MAX - 1);
	assert_string_equal(sunk.text + LOG_LINE_MAX - 6, ": No ");
	log_set_sink(NULL, NULL);
	log_set_level(LOG_INFO);
}

static void
test_targets(void **state)
{
	static const struct {
		const char *target;
		bool valid, opens;
	} cases[] = {
		{ "local5", true, true },
		{ "LOCAL5", true, true },
		{ "mail", true, true },
		{ "-", true, true },
		{ "+", true, true },
		{ "/nonexistent/folder/file", true, false },
		{ "/", true, false },
		{ "local8", false, false },
		{ "local", false, false },
		{ "file", false, false },
		{ "", false, false },
		{ "--", false, false },
	};
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		why = NULL;
		if (log_target_valid(cases[i].target) != cases[i].valid ||
		    (log_open(cases[i].target, "testd", &why) == 0) !=
		        cases[i].opens)
			fail_msg("%s", cases[i].target);
		assert_int_equal(why == NULL, cases[i].opens);
	}
}

static void
test_file(void **state)
{
	char *moved = xasprintf("%s.1", file_path);
	struct stat st;

	(void)state;
	open_log(file_path);
	assert_int_equal(stat(file_path, &st), 0);
	assert_int_equal(st.st_mode & 0027, 0); /* names of users are in it */
	log_write(LOG_INFO, 17, "one");
	log_info("two"); /* no sink: as this process */
	assert_matches(contents(file_path),
	    "^" STAMP " testd\\[17]: one\n" STAMP " testd\\[[0-9]+]: two\n$");
	/* moved away and opened anew, as logrotate(8) wants it */
	assert_int_equal(rename(file_path, moved), 0);
	log_write(LOG_INFO, 17, "still there");
	open_log(file_path);
	log_write(LOG_INFO, 17, "three");
	assert_matches(contents(moved), "two\n.*: still there\n$");
	assert_matches(contents(file_path), "^" STAMP " testd\\[17]: three\n$");
	open_log(file_path); /* appended to, never cut */
	log_write(LOG_INFO, 17, "four");
	assert_matches(contents(file_path), "three\n.*four\n$");
	unlink(moved);
	unlink(file_path);
	free(moved);
}

/* A line has the stamp of its own second. */
static void
test_stamp(void **state)
{
	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	open_log(file_path);
	pretended = 951782399;
	log_write(LOG_INFO, 17, "one");
	log_write(LOG_INFO, 17, "two");
	pretended++;
	log_write(LOG_INFO, 17, "three");
	pretended = 0;
	assert_matches(contents(file_path),
	    "^Feb 28 23:59:59 testd\\[17]: one\n"
	    "Feb 28 23:59:59 testd\\[17]: two\n"
	    "Feb 29 00:00:00 testd\\[17]: three\n$");
	unlink(file_path);
}

/* A full disk: the lines are counted until the number can be said. */
static void
test_disk_full(void **state)
{
	unsigned int i;

	(void)state;
	open_log("/dev/full");
	for (i = 0; i < 5; i++)
		log_write(LOG_INFO, 17, "nobody reads this");
	for (i = 0; i < 3; i++)
		assert_false(log_flush()); /* and it goes on */
	open_log(file_path);
	assert_false(log_flush());
	log_write(LOG_INFO, 17, "there is room");
	assert_matches(contents(file_path),
	    "^" STAMP " testd\\[[0-9]+]: 5 log lines were lost: [^\n]*\n" STAMP
	    " testd\\[17]: there is room\n$");
	unlink(file_path);
}

/* The disk gets full within a line: the next one is not stuck to it. */
static void
test_disk_full_within_a_line(void **state)
{
	struct rlimit was, less;
	char *text;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	assert_ptr_not_equal(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	open_log(file_path);
	less = was;
	less.rlim_cur = 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	log_write(LOG_INFO, 17, "this one is cut");
	log_write(LOG_INFO, 17, "this one is lost");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	log_write(LOG_INFO, 17, "whole");
	assert_false(log_flush());
	text = contents(file_path);
	assert_matches(text,
	    "^" STAMP " test\n" STAMP " testd\\[17]: whole\n" STAMP
	    " testd\\[[0-9]+]: 2 log lines were lost: [^\n]*\n$");
	(void)signal(SIGXFSZ, SIG_DFL);
	unlink(file_path);
}

/* Run what in a child whose stream fd is a file; its exit status. */
static int
run_apart(int fd, void (*what)(void))
{
	int status, out;
	pid_t pid = fork();

	if (pid == 0) {
		out = open(file_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		(void)dup2(out, fd);
		what();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
say_to_stdout(void)
{
	open_log("-");
	log_write(LOG_ERR, 3, "out");
}

static void
say_to_stderr(void)
{
	open_log("+");
	log_write(LOG_ERR, 3, "err");
}

static void
end_fatally(void)
{
	open_log("+");
	errno = EACCES;
	fatal("cannot %s", "go on");
}

static void
end_fatally_without(void)
{
	open_log("+");
	log_set_level(LOG_ERR); /* quiet does not silence it */
	fatalx("that is %s", "all");
}

static void
test_streams_and_ends(void **state)
{
	static const struct {
		int fd;
		void (*what)(void);
		int status;
		const char *pattern;
	} cases[] = {
		{ STDOUT_FILENO, say_to_stdout, 0, "testd\\[3]: out\n$" },
		{ STDERR_FILENO, say_to_stderr, 0, "testd\\[3]: err\n$" },
		{ STDERR_FILENO, end_fatally, W_EXITCODE(1, 0),
		    "]: cannot go on: Permission denied\n$" },
		{ STDERR_FILENO, end_fatally_without, W_EXITCODE(1, 0),
		    "]: that is all\n$" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		assert_int_equal(
		    run_apart(cases[i].fd, cases[i].what), cases[i].status);
		assert_matches(contents(file_path), cases[i].pattern);
		unlink(file_path);
	}
}

static int
stop_after(void **state)
{
	(void)state;
	open_log("+");
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_words),
		cmocka_unit_test_teardown(test_targets, stop_after),
		cmocka_unit_test_teardown(test_file, stop_after),
		cmocka_unit_test_teardown(test_stamp, stop_after),
		cmocka_unit_test_teardown(test_disk_full, stop_after),
		cmocka_unit_test_teardown(
		    test_disk_full_within_a_line, stop_after),
		cmocka_unit_test(test_streams_and_ends),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	file_path = xasprintf("%s/file", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(file_path);
	(void)rmdir(folder);
	return failed;
}
