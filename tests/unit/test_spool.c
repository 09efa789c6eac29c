/* SPDX-License-Identifier: ISC */
/*
 * The spool as root makes it, what is mended, and what is refused.  Without
 * root, only that nothing is made.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "remove_tree.h"
#include "spool.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define STRANGER 65534

static char top[] = "/tmp/test_spool.XXXXXX";
static char said[4096];

static void
hear(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)strlcat(said, text, sizeof(said));
	(void)strlcat(said, "\n", sizeof(said));
}

/* A path below top, good until four more have been asked for. */
static const char *
at(const char *name)
{
	static char path[4][256];
	static unsigned int n;

	n = (n + 1) % 4;
	(void)snprintf(path[n], sizeof(path[n]), "%s/%s", top, name);
	return path[n];
}

static void
remove_all(const char *path)
{
	if (access(path, F_OK) == 0)
		assert_int_equal(remove_tree(path), 0);
}

static int
setup(void **state)
{
	(void)state;
	said[0] = '\0';
	log_set_sink(hear, NULL);
	return mkdir(top, 0755);
}

static int
teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	remove_all(top);
	return 0;
}

static void
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static size_t
read_file(const char *path, char *dst, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(dst, 1, size, f);
	fclose(f);
	return n;
}

static bool
same_file(const char *a, const char *b)
{
	static char ta[1 << 20], tb[1 << 20];
	size_t na = read_file(a, ta, sizeof(ta));
	size_t nb = read_file(b, tb, sizeof(tb));

	return na == nb && memcmp(ta, tb, na) == 0;
}

static void
check_mode(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, mode);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 0);
}

static ino_t
inode(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static const char *const copies[] = { "resolv.conf", "hosts", "nsswitch.conf",
	"services", "localtime" };

/* Each that the system has. */
static void
check_copies(void)
{
	char from[64], to[64];
	size_t i;

	for (i = 0; i < nitems(copies); i++) {
		(void)snprintf(from, sizeof(from), "/etc/%s", copies[i]);
		(void)snprintf(to, sizeof(to), "spool/etc/%s", copies[i]);
		if (access(from, R_OK) == -1) {
			assert_int_equal(access(at(to), F_OK), -1);
			continue;
		}
		assert_true(same_file(from, at(to)));
		check_mode(at(to), S_IFREG | 0644);
	}
}

static unsigned int
count(const char *path)
{
	struct dirent **list;
	int i, n = scandir(path, &list, NULL, NULL);

	assert_true(n >= 2);
	for (i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return (unsigned int)n - 2;
}

/* umask and a parent's group with the setgid bit change nothing. */
static void
test_made(void **state)
{
	ino_t before;
	mode_t mask;
	unsigned int n;

	(void)state;
	need_root();
	assert_int_equal(chown(top, 0, STRANGER), 0);
	assert_int_equal(chmod(top, 02755), 0);
	mask = umask(0077);
	assert_int_equal(spool_prepare(at("spool")), 0);
	assert_int_equal(umask(mask), 0077);
	check_mode(at("spool"), S_IFDIR | 0755);
	check_mode(at("spool/empty"), S_IFDIR | 0555);
	check_mode(at("spool/etc"), S_IFDIR | 0755);
	check_mode(at("spool/run"), S_IFDIR | 0755);
	check_mode(at("spool/var"), S_IFDIR | 0755);
	check_mode(at("spool/var/run"), S_IFDIR | 0755);
	check_copies();
	assert_int_equal(count(at("spool/empty")), 0);

	/* Once more, with a slash at the end: nothing changes. */
	before = inode(at("spool/etc/hosts"));
	n = count(at("spool/etc"));
	assert_int_equal(spool_prepare(at("spool/")), 0);
	assert_true(inode(at("spool/etc/hosts")) == before);
	assert_int_equal(count(at("spool/etc")), n);
	assert_string_equal(said, "");
}

static void
test_copies_renewed(void **state)
{
	unsigned int n;

	(void)state;
	need_root();
	assert_int_equal(spool_prepare(at("spool")), 0);
	n = count(at("spool/etc"));
	write_file(at("spool/etc/hosts"), "192.0.2.66 imap.example.org\n");
	write_file(at("spool/etc/sasldb2"), "kept");
	assert_int_equal(chmod(at("spool/etc/services"), 0666), 0);
	/* A link is replaced, and what it points to is left alone. */
	write_file(at("victim"), "precious");
	assert_int_equal(unlink(at("spool/etc/nsswitch.conf")), 0);
	assert_int_equal(
	    symlink(at("victim"), at("spool/etc/nsswitch.conf")), 0);
	assert_int_equal(spool_prepare(at("spool")), 0);
	check_copies();
	write_file(at("wanted"), "precious");
	assert_true(same_file(at("victim"), at("wanted")));
	assert_int_equal(count(at("spool/etc")), n + 1);
	assert_string_equal(said, "");
}

static void
test_copy_fails(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(spool_prepare(at("spool")), 0);
	assert_int_equal(unlink(at("spool/etc/hosts")), 0);
	assert_int_equal(mkdir(at("spool/etc/hosts"), 0755), 0);
	assert_int_equal(chmod(at("spool/etc/services"), 0600), 0);
	assert_int_equal(spool_prepare(at("spool")), -1);
	assert_non_null(strstr(said, "/etc/hosts cannot be copied"));
	/* The others are, and no half file stays. */
	check_mode(at("spool/etc/services"), S_IFREG | 0644);
	assert_int_equal(rmdir(at("spool/etc/hosts")), 0);
	assert_int_equal(spool_prepare(at("spool")), 0);
	check_copies();
	assert_true(count(at("spool/etc")) <= nitems(copies));
}

enum spoil { AS_LINK, AS_FILE, OF_STRANGER, WRITABLE, CLOSED, GONE };

/* One thing that is wrong, and what is said; NULL: it is not refused. */
static const struct {
	const char *name;
	enum spoil how;
	const char *message;
} refused[] = {
	{ "spool", AS_LINK, "spool is no folder of ours: Not a directory" },
	{ "spool", AS_FILE, "spool is no folder of ours" },
	{ "spool", OF_STRANGER, "spool belongs to user 65534" },
	{ "spool", WRITABLE, "spool has mode 0775" },
	{ "spool", CLOSED, "spool has mode 0700" },
	{ "spool/empty", AS_LINK, "spool/empty is no folder of ours" },
	{ "spool/empty", OF_STRANGER, "spool/empty belongs to" },
	{ "spool/empty", WRITABLE, "spool/empty has mode 0775" },
	{ "spool/etc", AS_LINK, "spool/etc is no folder of ours" },
	{ "spool/etc", WRITABLE, "spool/etc has mode" },
	{ "spool/var", AS_LINK, "spool/var is no folder of ours" },
	{ "spool/var/run", AS_LINK, "spool/var/run is no folder of ours" },
	{ "spool/var/run", OF_STRANGER, "spool/var/run belongs to" },
	{ "spool/var", GONE, NULL },
	{ "spool/empty", GONE, NULL },
};

static void
spoil(const char *path, enum spoil how)
{
	switch (how) {
	case AS_LINK:
		remove_all(path);
		assert_int_equal(symlink(at("elsewhere"), path), 0);
		break;
	case AS_FILE:
		remove_all(path);
		write_file(path, "");
		break;
	case OF_STRANGER:
		assert_int_equal(chown(path, STRANGER, 0), 0);
		break;
	case WRITABLE:
		assert_int_equal(chmod(path, 0775), 0);
		break;
	case CLOSED:
		assert_int_equal(chmod(path, 0700), 0);
		break;
	case GONE:
		remove_all(path);
		break;
	}
}

static void
test_refused(void **state)
{
	size_t i;
	int r;

	(void)state;
	need_root();
	for (i = 0; i < nitems(refused); i++) {
		said[0] = '\0';
		remove_all(at("spool"));
		(void)unlink(at("spool"));
		assert_int_equal(spool_prepare(at("spool")), 0);
		remove_all(at("elsewhere"));
		assert_int_equal(mkdir(at("elsewhere"), 0755), 0);
		spoil(at(refused[i].name), refused[i].how);
		r = spool_prepare(at("spool"));
		assert_int_equal(r, refused[i].message == NULL ? 0 : -1);
		if (refused[i].message == NULL)
			assert_string_equal(said, "");
		else
			assert_non_null(strstr(said, refused[i].message));
		assert_int_equal(count(at("elsewhere")), 0);
	}
}

static void
test_paths(void **state)
{
	static const char *const paths[] = { "/", "//", "/.", "/..", "" };
	size_t i;

	(void)state;
	need_root();
	for (i = 0; i < nitems(paths); i++) {
		said[0] = '\0';
		assert_int_equal(spool_prepare(paths[i]), -1);
		assert_non_null(strstr(said, "cannot be the spool"));
	}
	assert_int_equal(spool_prepare(at("no/spool")), -1);
	assert_non_null(strstr(said, "/no, which the spool is to be in: "));
	/* The administrator may have his links on the way to it. */
	assert_int_equal(mkdir(at("disk"), 0755), 0);
	assert_int_equal(symlink("disk", at("link")), 0);
	assert_int_equal(spool_prepare(at("link/spool")), 0);
	check_mode(at("disk/spool/empty"), S_IFDIR | 0555);
}

static void
test_empty_is_not(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(spool_prepare(at("spool")), 0);
	write_file(at("spool/empty/.x"), "x");
	assert_int_equal(spool_prepare(at("spool")), 0);
	assert_non_null(strstr(said, "spool/empty is not empty"));
	assert_int_equal(access(at("spool/empty/.x"), F_OK), 0);
}

static void
test_not_root(void **state)
{
	bool root = geteuid() == 0;

	(void)state;
	if (root) {
		assert_int_equal(chmod(top, 0777), 0);
		assert_int_equal(seteuid(STRANGER), 0);
	}
	assert_int_equal(spool_prepare(at("spool")), 0);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(count(top), 0);
	assert_string_equal(said, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_made),
		TEST(test_copies_renewed),
		TEST(test_copy_fails),
		TEST(test_refused),
		TEST(test_paths),
		TEST(test_empty_is_not),
		TEST(test_not_root),
	};

	/* A name of our own; each test makes the folder anew. */
	if (mkdtemp(top) == NULL || rmdir(top) == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
