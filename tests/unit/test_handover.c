/* SPDX-License-Identifier: ISC */
/*
 * handover: what goes in comes out, nobody changes it any more, and what is
 * not whole or not sealed is refused.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "handover.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const struct {
	enum handover_kind kind;
	uint16_t number;
	struct text data;
} parts[] = {
	{ HANDOVER_CONF, 0, TEXT_LIT("timeout 40\n") },
	{ HANDOVER_CERT, 0, TEXT_LIT("first") },
	{ HANDOVER_CERT, 1, TEXT_LIT("second") },
	{ HANDOVER_KEY, 1, TEXT_LIT("a\0b\n") },
	{ HANDOVER_NAME, 0xffff, TEXT_LIT("the last number") },
	{ HANDOVER_PASSPHRASE, 0, TEXT_LIT("") },
	{ HANDOVER_CA, 7, TEXT_LIT("authority") },
};

/* A memfd of all parts, not sealed yet. */
static int
fill(void)
{
	int fd = handover_new("test");
	size_t i;

	assert_int_not_equal(fd, -1);
	for (i = 0; i < nitems(parts); i++)
		assert_int_equal(handover_add(fd, parts[i].kind,
		                     parts[i].number, parts[i].data),
		    0);
	return fd;
}

static void
assert_part(const struct handover *h, enum handover_kind kind, uint16_t number,
    struct text want)
{
	struct text got = handover_get(h, kind, number);

	assert_non_null(got.p);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.p, want.p, want.len);
}

static void
test_in_and_out(void **state)
{
	static const struct {
		enum handover_kind kind;
		uint16_t number;
	} absent[] = {
		{ HANDOVER_CONF, 1 },
		{ HANDOVER_CERT, 2 },
		{ HANDOVER_KEY, 0 },
		{ HANDOVER_CA, 0 },
		{ 0, 0 },
	};
	struct handover *h, *other;
	size_t i;
	int fd = fill();

	(void)state;
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(handover_seal(fd), 0);
	h = handover_open(fd);
	other = handover_open(fd); /* a sibling reads the same */
	assert_non_null(h);
	assert_non_null(other);
	close(fd);
	for (i = 0; i < nitems(parts); i++) {
		assert_part(h, parts[i].kind, parts[i].number, parts[i].data);
		assert_part(
		    other, parts[i].kind, parts[i].number, parts[i].data);
	}
	for (i = 0; i < nitems(absent); i++)
		assert_null(
		    handover_get(h, absent[i].kind, absent[i].number).p);
	handover_close(&h);
	assert_null(h);
	handover_close(&h);
	assert_part(other, parts[0].kind, parts[0].number, parts[0].data);
	handover_close(&other);
}

static void
test_cannot_be_changed(void **state)
{
	int fd = fill();

	(void)state;
	assert_int_equal(fcntl(fd, F_GET_SEALS), 0);
	assert_int_equal(handover_seal(fd), 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & SEALS, SEALS);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_ptr_equal(
	    mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
	    MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(
	    handover_add(fd, HANDOVER_CONF, 1, TEXT_LIT("late")), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
}

/* Each seal is needed: one that lacks could still be changed. */
static void
test_unsealed_is_refused(void **state)
{
	static const int seals[] = {
		0,
		SEALS & ~F_SEAL_SEAL,
		SEALS & ~F_SEAL_SHRINK,
		SEALS & ~F_SEAL_GROW,
		SEALS & ~F_SEAL_WRITE,
	};
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < nitems(seals); i++) {
		fd = fill();
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		errno = 0;
		assert_null(handover_open(fd));
		assert_int_equal(errno, EPERM);
		close(fd);
	}
}

static void
test_other_descriptors_are_refused(void **state)
{
	FILE *file = tmpfile();
	int fds[2];

	(void)state;
	assert_non_null(file);
	assert_int_equal(write(fileno(file), "\0\1\0\0\0\0\0\1x", 9),
	    9); /* good otherwise */
	assert_null(handover_open(fileno(file)));
	fclose(file);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_null(handover_open(fds[0]));
	close(fds[0]);
	close(fds[1]);
	assert_null(handover_open(-1));
	assert_int_equal(errno, EBADF);
}

/* These octets, sealed; NULL when they are refused. */
static struct handover *
open_octets(const char *p, size_t n)
{
	struct handover *h;
	int fd = handover_new("test");

	assert_int_equal(write(fd, p, n), n);
	assert_int_equal(handover_seal(fd), 0);
	errno = 0;
	h = handover_open(fd);
	close(fd);
	return h;
}

static void
test_form(void **state)
{
	static const struct {
		struct text octets;
		int error; /* 0: it is good */
	} cases[] = {
		{ TEXT_LIT("\0\1\0\0\0\0\0\1x"), 0 },
		{ TEXT_LIT("\0\1\0\0\0\0\0\0"), 0 },
		{ TEXT_LIT("\0\1\0\0\0\0\0\1x\0\2\0\0\0\0\0\0"), 0 },
		{ TEXT_LIT(""), EINVAL },
		{ TEXT_LIT("\0"), EBADMSG },
		{ TEXT_LIT("\0\1\0\0\0\0\0"), EBADMSG }, /* half a header */
		{ TEXT_LIT("\0\1\0\0\0\0\0\1"), EBADMSG },
		{ TEXT_LIT("\0\1\0\0\0\0\0\2x"), EBADMSG },
		{ TEXT_LIT("\0\1\0\0\0\0\0\1xy"), EBADMSG }, /* left over */
		{ TEXT_LIT("\0\1\0\0\0\0\0\0\0"), EBADMSG },
		/* lengths that would wrap, or reach behind the end */
		{ TEXT_LIT("\0\1\0\0\377\377\377\377x"), EBADMSG },
		{ TEXT_LIT("\0\1\0\0\377\377\377\370x"), EBADMSG },
		{ TEXT_LIT("\0\1\0\0\200\0\0\0x"), EBADMSG },
		/* one that takes the next part's header for its own end */
		{ TEXT_LIT("\0\1\0\0\0\0\0\4x\0\2\0\0\0\0\0\0"), EBADMSG },
		{ TEXT_LIT("\0\1\0\0\0\0\0\1x\0\2\0\0\0\0\0\1"), EBADMSG },
	};
	struct handover *h;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		h = open_octets(cases[i].octets.p, cases[i].octets.len);
		if ((h != NULL) != (cases[i].error == 0) ||
		    (h == NULL && errno != cases[i].error))
			fail_msg("case %zu: %s", i, strerror(errno));
		handover_close(&h);
	}
}

/* Every shortened one is refused but where a part ends. */
static void
test_truncated(void **state)
{
	char whole[512];
	struct handover *h;
	ssize_t len;
	size_t n, good = 0, end = 0, i = 0;
	int fd = fill();

	(void)state;
	len = pread(fd, whole, sizeof(whole), 0);
	assert_true(len > 0 && (size_t)len < sizeof(whole));
	close(fd);
	for (n = 1; n <= (size_t)len; n++) {
		while (i < nitems(parts) && end < n)
			end += 8 + parts[i++].data.len;
		h = open_octets(whole, n);
		assert_int_equal(h != NULL, n == end);
		good += h != NULL;
		handover_close(&h);
	}
	assert_int_equal(good, nitems(parts));
}

static void
test_too_long(void **state)
{
	char *big = xcalloc(1, HANDOVER_FILE_MAX + 1);
	struct handover *h;
	int fd = handover_new("test");

	(void)state;
	assert_int_equal(handover_add(fd, HANDOVER_CA, 0,
	                     (struct text){ big, HANDOVER_FILE_MAX + 1 }),
	    -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(handover_add(fd, HANDOVER_CA, 0,
	                     (struct text){ big, HANDOVER_FILE_MAX }),
	    0);
	assert_int_equal(handover_seal(fd), 0);
	h = handover_open(fd);
	assert_part(h, HANDOVER_CA, 0, (struct text){ big, HANDOVER_FILE_MAX });
	handover_close(&h);
	close(fd);
	free(big);
}

static char folder[] = "/tmp/relais-handover-XXXXXX";

static char *
path_of(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

/* A file of size octets; its path. */
static char *
make_file(const char *name, size_t size)
{
	char *path = path_of(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "PEM", 3), 3);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	return path;
}

static void
drop_file(char **path)
{
	(void)unlink(*path);
	free(*path);
	*path = NULL;
}

static void
test_files(void **state)
{
	const size_t sizes[] = { 3, 0, 4096, 1000003, HANDOVER_FILE_MAX };
	char *path, *big = xcalloc(1, HANDOVER_FILE_MAX);
	struct handover *h;
	size_t i;
	int fd = handover_new("test");

	(void)state;
	memcpy(big, "PEM", 3);
	for (i = 0; i < nitems(sizes); i++) {
		path = make_file("key", sizes[i]);
		assert_int_equal(
		    handover_add_file(fd, HANDOVER_KEY, (uint16_t)i, path), 0);
		drop_file(&path);
	}
	assert_int_equal(handover_seal(fd), 0);
	h = handover_open(fd);
	close(fd);
	for (i = 0; i < nitems(sizes); i++)
		assert_part(h, HANDOVER_KEY, (uint16_t)i,
		    (struct text){ big, sizes[i] });
	handover_close(&h);
	free(big);
}

/* What is not taken leaves no trace in what is handed over. */
static void
test_files_that_are_refused(void **state)
{
	char *missing = path_of("missing"), *fifo = path_of("fifo");
	char *big = make_file("big", HANDOVER_FILE_MAX + 1);
	const struct {
		const char *path;
		int error;
	} cases[] = {
		{ missing, ENOENT },
		{ folder, EISDIR },
		{ fifo, EINVAL }, /* and nobody waits for its writer */
		{ "/dev/zero", EINVAL },
		{ big, EFBIG },
	};
	struct stat st;
	size_t i;
	int fd = handover_new("test");

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (i = 0; i < nitems(cases); i++) {
		errno = 0;
		if (handover_add_file(fd, HANDOVER_KEY, 0, cases[i].path) !=
		        -1 ||
		    errno != cases[i].error)
			fail_msg("%s: %s", cases[i].path, strerror(errno));
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	close(fd);
	free(missing);
	drop_file(&fifo);
	drop_file(&big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_and_out),
		cmocka_unit_test(test_cannot_be_changed),
		cmocka_unit_test(test_unsealed_is_refused),
		cmocka_unit_test(test_other_descriptors_are_refused),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_files_that_are_refused),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder);
	return failed;
}
