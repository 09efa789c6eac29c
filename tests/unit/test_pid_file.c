/* SPDX-License-Identifier: ISC */
/*
 * pid_file: one owner at a time, also across an exec, and only the owner's
 * own file is removed.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "pid_file.h"

static char path[] = "/tmp/relais-pid-XXXXXX";
static char said[LOG_LINE_MAX];

static void
keep(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)strlcpy(said, text, sizeof(said));
}

static int
set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	log_set_sink(keep, NULL);
	close(fd);
	return unlink(path);
}

static long
written(void)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd == -1)
		return -1;
	assert_int_not_equal(read(fd, text, sizeof(text) - 1), -1);
	close(fd);
	return strtol(text, NULL, 10);
}

static void
test_one_owner(void **state)
{
	struct pid_file *p = pid_file_open(path);

	(void)state;
	assert_non_null(p);
	pid_file_write(p);
	pid_file_write(p);
	assert_int_equal(written(), getpid());
	assert_string_equal(pid_file_path(p), path);
	/* A lock of flock(2) is not of the process: we meet it ourselves. */
	assert_null(pid_file_open(path));
	assert_non_null(strstr(said, "runs already"));
	assert_int_equal(written(), getpid());
	pid_file_remove(&p);
	assert_null(p);
	assert_int_equal(written(), -1);
	pid_file_remove(&p);
}

/* What was left by one that was killed is no obstacle. */
static void
test_left_behind(void **state)
{
	struct pid_file *p = pid_file_open(path);

	(void)state;
	assert_int_equal(pwrite(pid_file_fd(p), "1234567890", 10, 0), 10);
	close(pid_file_fd(p));
	p = pid_file_open(path);
	assert_non_null(p);
	pid_file_write(p);
	assert_int_equal(written(), getpid());
	pid_file_remove(&p);
}

static void
test_adopt(void **state)
{
	struct pid_file *p = pid_file_open(path), *heir;
	int fd = dup(pid_file_fd(p));

	(void)state;
	assert_int_equal(fcntl(pid_file_fd(p), F_GETFD), FD_CLOEXEC);
	close(pid_file_fd(p)); /* as an exec does with all but the heir's */
	heir = pid_file_adopt(path, fd);
	assert_null(pid_file_open(path)); /* the lock has come along */
	pid_file_write(heir);
	assert_int_equal(written(), getpid());
	pid_file_remove(&heir);
	assert_int_equal(written(), -1);
	p = pid_file_open(path);
	assert_non_null(p);
	pid_file_remove(&p);
}

static void
test_not_ours_any_more(void **state)
{
	struct pid_file *p = pid_file_open(path), *other;

	(void)state;
	assert_int_equal(unlink(path), 0);
	other = pid_file_open(path);
	assert_non_null(other);
	pid_file_write(other);
	pid_file_remove(&p);
	assert_int_equal(written(), getpid());
	pid_file_remove(&other);
	assert_int_equal(written(), -1);
}

static void
test_no_folder(void **state)
{
	(void)state;
	assert_null(pid_file_open("/nonexistent/pid"));
	assert_non_null(strstr(said, "/nonexistent/pid"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_owner),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_not_ours_any_more),
		cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
