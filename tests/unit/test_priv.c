/* SPDX-License-Identifier: ISC */
/*
 * priv in a child process: what the kernel says of it afterwards, and that
 * there is no way back.  What needs root is skipped without.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "priv.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

static char folder[] = "/tmp/test_priv.XXXXXX";

/* The test's stderr stays clean: a fatal() is what some cases are about. */
static void
no_log(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
}

/* Exit status of a child that runs f; 0 is well, else a line number. */
static int
in_child(int (*f)(void))
{
	int status, line, out[2];
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		log_set_sink(no_log, NULL);
		line = f();
		_exit(
		    write(out[1], &line, sizeof(line)) == sizeof(line) ? 0 : 9);
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (read(out[0], &line, sizeof(line)) != sizeof(line))
		line = WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
	close(out[0]);
	return line;
}

#define NEED(what)                                                             \
	do {                                                                   \
		if (!(what))                                                   \
			return __LINE__;                                       \
	} while (0)

/* A field of /proc/self/status, opened as fd before a chroot. */
static bool
status_is(int fd, const char *name, const char *value)
{
	char text[8192], want[128];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	snprintf(want, sizeof(want), "\n%s:\t%s\n", name, value);
	if (strstr(text, want) != NULL)
		return true;
	fprintf(stderr, "not so: %s", want);
	return false;
}

static void
need_root(void)
{
	if (priv_am_root())
		return;
	print_message("not root: skipped\n");
	skip();
}

static void
test_lookup(void **state)
{
	static const struct {
		const char *user, *group;
		int result;
		uid_t uid;
		gid_t gid;
	} cases[] = {
		{ "root", NULL, 0, 0, 0 },
		{ "daemon", NULL, 0, 1, 1 },
		{ "daemon", "root", 0, 1, 0 },
		{ "root", "daemon", 0, 0, 1 },
		{ "no such user", NULL, -1, 0, 0 },
		{ "root", "no such group", -1, 0, 0 },
		{ "", NULL, -1, 0, 0 },
	};
	struct priv_user u;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		assert_int_equal(priv_lookup(cases[i].user, cases[i].group, &u),
		    cases[i].result);
		if (cases[i].result == -1)
			continue;
		assert_int_equal(u.uid, cases[i].uid);
		assert_int_equal(u.gid, cases[i].gid);
	}
}

static bool
limit_is(enum __rlimit_resource what, rlim_t value)
{
	struct rlimit r;

	return getrlimit(what, &r) == 0 && r.rlim_cur == value &&
	    r.rlim_max == value;
}

static int
harden(void)
{
	int fd = open("/proc/self/status", O_RDONLY), sig, file;
	char name[] = "/tmp/test_priv.XXXXXX";

	file = mkstemp(name);
	NEED(file != -1 && unlink(name) == 0);
	priv_harden(64, true, false);
	NEED(status_is(fd, "NoNewPrivs", "1"));
	NEED(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) == 0);
	NEED(prctl(PR_GET_PDEATHSIG, &sig, 0L, 0L, 0L) == 0);
	NEED(sig == SIGKILL);
	NEED(limit_is(RLIMIT_CORE, 0));
	NEED(limit_is(RLIMIT_NPROC, 0));
	NEED(limit_is(RLIMIT_NOFILE, 64));
	NEED(limit_is(RLIMIT_FSIZE, 0));
	signal(SIGXFSZ, SIG_IGN);
	NEED(write(file, "x", 1) == -1 && errno == EFBIG);
	return 0;
}

/* 0 leaves the number of descriptors, false the size of files. */
static int
harden_less(void)
{
	struct rlimit before[2], after[2];

	NEED(getrlimit(RLIMIT_NOFILE, &before[0]) == 0);
	NEED(getrlimit(RLIMIT_FSIZE, &before[1]) == 0);
	priv_harden(0, false, false);
	NEED(getrlimit(RLIMIT_NOFILE, &after[0]) == 0);
	NEED(getrlimit(RLIMIT_FSIZE, &after[1]) == 0);
	NEED(memcmp(before, after, sizeof(before)) == 0);
	return 0;
}

/* More than the hard limit is cut to it. */
static int
harden_too_many(void)
{
	const struct rlimit few = { 32, 64 };

	NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
	priv_harden(4096, false, false);
	NEED(limit_is(RLIMIT_NOFILE, 64));
	return 0;
}

static void
test_harden(void **state)
{
	(void)state;
	assert_int_equal(in_child(harden), 0);
	assert_int_equal(in_child(harden_less), 0);
	assert_int_equal(in_child(harden_too_many), 0);
}

/* Not root: nothing to change, all the rest holds. */
static int
drop_nothing(void)
{
	int fd = open("/proc/self/status", O_RDONLY);

	priv_drop(NULL, NULL);
	NEED(status_is(fd, "CapEff", "0000000000000000"));
	NEED(status_is(fd, "CapPrm", "0000000000000000"));
	NEED(status_is(fd, "CapInh", "0000000000000000"));
	NEED(status_is(fd, "CapAmb", "0000000000000000"));
	return 0;
}

static void
test_drop_nothing(void **state)
{
	(void)state;
	assert_int_equal(in_child(drop_nothing), 0);
}

static const struct {
	const char *name, *value;
} dropped[] = {
	{ "Uid", "65534\t65534\t65534\t65534" },
	{ "Gid", "65534\t65534\t65534\t65534" },
	{ "Groups", " " },
	{ "CapInh", "0000000000000000" },
	{ "CapPrm", "0000000000000000" },
	{ "CapEff", "0000000000000000" },
	{ "CapBnd", "0000000000000000" },
	{ "CapAmb", "0000000000000000" },
};

/* The way of a role whose master is trimmed. */
static int
drop(void)
{
	const gid_t groups[] = { 0, 1, 2 };
	const struct priv_user nobody = { .uid = 65534, .gid = 65534 };
	int fd = open("/proc/self/status", O_RDONLY);
	size_t i;

	NEED(setgroups(3, groups) == 0);
	NEED(priv_trim_master() == 0);
	priv_drop(folder, &nobody);
	for (i = 0; i < nitems(dropped); i++)
		NEED(status_is(fd, dropped[i].name, dropped[i].value));
	NEED(setuid(0) == -1 && setgid(0) == -1 && setgroups(0, NULL) == -1);
	NEED(setresuid(-1, 0, -1) == -1 && setresgid(-1, 0, -1) == -1);
	NEED(chroot("/") == -1);
	NEED(access("/inside", F_OK) == 0 && access("inside", F_OK) == 0);
	NEED(access("/etc", F_OK) == -1 && access("../../etc", F_OK) == -1);
	priv_harden(0, true, false); /* fork() fails for RLIMIT_NPROC */
	NEED(fork() == -1 && errno == EAGAIN);
	return 0;
}

static void
test_drop(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(drop), 0);
}

/* Roles that would run as root, or in a folder that is not there: exit(1). */
static int
drop_to_root(void)
{
	const struct priv_user root = { .uid = 0, .gid = 0 };

	priv_drop(NULL, &root);
	return 0;
}

static int
drop_nowhere(void)
{
	const struct priv_user nobody = { .uid = 65534, .gid = 65534 };

	priv_drop("/nonexistent", &nobody);
	return 0;
}

static int
drop_without_right(void)
{
	const struct priv_user nobody = { .uid = 65534, .gid = 65534 },
	                       daemon = { .uid = 1, .gid = 1 };

	if (priv_am_root())
		priv_drop(NULL, &nobody);
	priv_drop(NULL, &daemon);
	return 0;
}

static void
test_refused(void **state)
{
	(void)state;
	assert_int_equal(in_child(drop_to_root), -1);
	assert_int_equal(in_child(drop_nowhere), -1);
	assert_int_equal(in_child(drop_without_right), -1);
}

/*
 * CHOWN 0, DAC_READ_SEARCH 2, FOWNER 3, KILL 5, SETGID 6, SETUID 7, SETPCAP 8,
 * NET_BIND_SERVICE 10, SYS_CHROOT 18, SYS_RESOURCE 24; a container may have
 * taken some away.
 */
#define MASTER_SET 0x10405edULL

static bool
subset(int fd, const char *name)
{
	char text[8192], *at, label[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	unsigned long long have;

	if (n <= 0)
		return false;
	text[n] = '\0';
	snprintf(label, sizeof(label), "\n%s:\t", name);
	at = strstr(text, label);
	if (at == NULL)
		return false;
	have = strtoull(at + strlen(label), NULL, 16);
	return have != 0 && (have & ~MASTER_SET) == 0;
}

static int
trim(void)
{
	int fd = open("/proc/self/status", O_RDONLY);

	NEED(priv_trim_master() == 0);
	NEED(subset(fd, "CapPrm"));
	NEED(subset(fd, "CapEff"));
	NEED(subset(fd, "CapBnd"));
	NEED(status_is(fd, "CapInh", "0000000000000000"));
	NEED(status_is(fd, "CapAmb", "0000000000000000"));
	NEED(priv_am_root());
	NEED(priv_trim_master() == 0); /* again, as after a reload */
	return 0;
}

static int
trim_not_root(void)
{
	if (priv_am_root())
		NEED(setresuid(65534, 65534, 65534) == 0);
	return priv_trim_master();
}

static void
test_trim_not_root(void **state)
{
	(void)state;
	assert_int_equal(in_child(trim_not_root), 0);
}

static void
test_trim(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(trim), 0);
}

static int
setup(void **state)
{
	char inside[64];

	(void)state;
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) == -1)
		return -1;
	snprintf(inside, sizeof(inside), "%s/inside", folder);
	return close(open(inside, O_CREAT | O_WRONLY, 0644));
}

static int
teardown(void **state)
{
	char inside[64];

	(void)state;
	snprintf(inside, sizeof(inside), "%s/inside", folder);
	return unlink(inside) == -1 || rmdir(folder) == -1 ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_harden),
		cmocka_unit_test(test_drop_nothing),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_trim_not_root),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
