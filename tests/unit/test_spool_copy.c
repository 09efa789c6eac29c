/* SPDX-License-Identifier: ISC */
/*
 * A secret file's copy in the spool: made, kept up to date, taken away; its
 * owner and mode; links in its place.  Needs root, whose file it becomes.
 */
#include <sys/stat.h>

#include <fcntl.h>
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
#include "spool_copy.h"

#define GROUP 65534

static char top[] = "/tmp/test_spool_copy.XXXXXX";
static char from[64], to[64], etc[64], other[64];
static struct spool_copy *c;

static void
hear(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
}

/* Written a while ago, so that one look is enough. */
static void
write_from(const char *text, time_t age)
{
	struct timespec times[2];
	int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &times[0]), 0);
	times[0].tv_sec -= age;
	times[1] = times[0];
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void
check(const char *path, const char *text)
{
	char have[64] = "";
	int fd = open(path, O_RDONLY);

	assert_int_not_equal(fd, -1);
	assert_int_not_equal(read(fd, have, sizeof(have) - 1), -1);
	assert_string_equal(have, text);
	close(fd);
}

static ino_t
inode(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static int
setup(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	log_set_sink(hear, NULL);
	(void)snprintf(from, sizeof(from), "%s/from", top);
	(void)snprintf(other, sizeof(other), "%s/other", top);
	(void)snprintf(etc, sizeof(etc), "%s/etc", top);
	(void)snprintf(to, sizeof(to), "%s/etc/sasldb2", top);
	c = spool_copy_new(top, "sasldb2", from, GROUP);
	return mkdir(top, 0755) == -1 ? -1 : mkdir(etc, 0755);
}

static int
teardown(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	spool_copy_free(&c);
	(void)unlink(from);
	(void)unlink(other);
	(void)unlink(to);
	return rmdir(etc) == -1 ? -1 : rmdir(top); /* nothing else is left */
}

static void
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void
test_made(void **state)
{
	struct stat st;

	(void)state;
	need_root();
	write_from("one", 60);
	assert_int_equal(spool_copy_look(c), 0);
	check(to, "one");
	assert_int_equal(lstat(to, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, GROUP);
}

static void
test_up_to_date(void **state)
{
	ino_t before;

	(void)state;
	need_root();
	write_from("one", 60);
	assert_int_equal(spool_copy_look(c), 0);
	before = inode(to);
	assert_int_equal(spool_copy_look(c), 0);
	assert_int_equal(inode(to), before); /* it is left alone */
	write_from("two", 50);               /* the same length */
	assert_int_equal(spool_copy_look(c), 0);
	check(to, "two");
	assert_int_not_equal(inode(to), before);
}

/* Written again within the same tick, it would look the same. */
static void
test_just_written(void **state)
{
	ino_t before;

	(void)state;
	need_root();
	write_from("one", 0);
	assert_int_equal(spool_copy_look(c), 0);
	before = inode(to);
	assert_int_equal(spool_copy_look(c), 0);
	assert_int_not_equal(inode(to), before);
	check(to, "one");
}

static void
test_taken_away(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(spool_copy_look(c), 0); /* there is none */
	write_from("one", 60);
	assert_int_equal(spool_copy_look(c), 0);
	assert_int_equal(unlink(from), 0);
	assert_int_equal(spool_copy_look(c), 0);
	assert_int_equal(access(to, F_OK), -1);
	write_from("one", 60);
	assert_int_equal(spool_copy_look(c), 0);
	check(to, "one");
}

/* Somebody's link in its place is replaced; a folder is nobody's business. */
static void
test_links(void **state)
{
	struct stat st;

	(void)state;
	need_root();
	write_from("one", 60);
	assert_int_equal(symlink(other, to), 0);
	assert_int_equal(spool_copy_look(c), 0);
	assert_int_equal(lstat(to, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(access(other, F_OK), -1);

	assert_int_equal(unlink(to), 0);
	assert_int_equal(rmdir(etc), 0);
	assert_int_equal(symlink("/tmp", etc), 0);
	write_from("two", 50);
	assert_int_equal(spool_copy_look(c), -1);
	assert_int_equal(unlink(etc), 0);
	assert_int_equal(mkdir(etc, 0755), 0);
}

static void
test_no_file(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(mkfifo(from, 0600), 0);
	assert_int_equal(spool_copy_look(c), -1); /* at once */
	assert_int_equal(access(to, F_OK), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_up_to_date, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_just_written, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	};

	if (mkdtemp(top) == NULL || rmdir(top) == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
