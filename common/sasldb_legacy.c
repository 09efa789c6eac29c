/* SPDX-License-Identifier: ISC */
/*
 * sasldb_legacy: looks for the name of a property in sasldb.  Runs in
 * authenticators, which may read that file.  Keys stand in it as they are,
 * whichever database library wrote it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sasldb_legacy.h"
#include "unzeroed.h"

#define LOOK_SIZE 16384
#define FILE_MAX (16 * 1024 * 1024)
/*
 * Milliseconds until a change would have another time stamp: of ticks, or of
 * seconds where the file system has no more.
 */
#define SETTLED_MS 100
#define SETTLED_COARSE_MS 2000

/* A long key may be cut in two by a page's end, but only at one place. */
static const char *const halves[] = { "cmusaslse", "cretPLAIN" };
#define HALF_LEN 9
_Static_assert(sizeof(SASLDB_LEGACY_PROPERTY) - 1 == 2 * HALF_LEN,
    "both halves are the whole");

static bool
holds(const char *p, size_t n)
{
	return memmem(p, n, halves[0], HALF_LEN) != NULL ||
	    memmem(p, n, halves[1], HALF_LEN) != NULL;
}

/* What does not read may hold one. */
static bool
look_through(int fd)
{
	char data[LOOK_SIZE] UNZEROED;
	size_t kept = 0, have = 0;
	bool found = false;
	ssize_t n = 0;

	while (!found) {
		n = read(fd, data + kept, sizeof(data) - kept);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have = kept + (size_t)n;
		found = holds(data, have);
		kept = have < HALF_LEN - 1 ? have : HALF_LEN - 1;
		memmove(data, data + have - kept, kept);
	}
	explicit_bzero(data, sizeof(data)); /* passwords are in that file */
	return found || n == -1;
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool
is_settled(const struct stat *st)
{
	int64_t age;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	age = ((int64_t)now.tv_sec - st->st_ctim.tv_sec) * 1000 +
	    (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
	return age >=
	    (st->st_ctim.tv_nsec == 0 ? SETTLED_COARSE_MS : SETTLED_MS);
}

bool
sasldb_legacy_may_be(struct sasldb_legacy *l, const char *path)
{
	struct stat now;
	int fd;

	if (stat(path, &now) == -1)
		return true;
	if (l->looked && is_same(&now, &l->file))
		return l->found;
	l->looked = false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return true;
	if (fstat(fd, &l->file) == 0 && S_ISREG(l->file.st_mode) &&
	    l->file.st_size <= FILE_MAX && is_settled(&l->file)) {
		l->found = look_through(fd);
		l->looked = true;
	}
	close(fd);
	return !l->looked || l->found;
}
