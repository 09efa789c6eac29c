/* SPDX-License-Identifier: ISC */
/*
 * spool_copy: a secret file of the system, kept as a copy in the spool.  Runs
 * in the master.  It trusts root alone, whose folder the spool's etc is; no
 * symbolic link is followed inside, and one that stands at the copy's place
 * is replaced.
 */
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "spool_copy.h"
#include "xmalloc.h"

#define COPY_MODE 0640
#define COPY_MAX (256 * 1024 * 1024) /* octets: some million users */
/* A file written to so lately may be so again within one tick of its clock. */
#define SETTLED_SECONDS 2

struct spool_copy {
	char *spool, *name, *from;
	gid_t group;
	struct stat seen; /* st_ino 0: none */
};

struct spool_copy *
spool_copy_new(
    const char *spool, const char *name, const char *from, gid_t group)
{
	struct spool_copy *c = xcalloc(1, sizeof(*c));

	c->spool = xstrdup(spool);
	c->name = xstrdup(name);
	c->from = xstrdup(from);
	c->group = group;
	return c;
}

void
spool_copy_free(struct spool_copy **cp)
{
	struct spool_copy *c = *cp;

	if (c == NULL)
		return;
	free(c->spool);
	free(c->name);
	free(c->from);
	free(c);
	*cp = NULL;
}

/* The spool's etc, which spool_prepare() made. */
static int
open_etc(const struct spool_copy *c)
{
	int spool, etc, save;

	spool = open(c->spool, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (spool == -1)
		return -1;
	etc = openat(
	    spool, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	save = errno;
	close(spool);
	errno = save;
	return etc;
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* st's octets into to.  -1 with errno; EAGAIN: from changed meanwhile. */
static int
send_all(int to, int from, const struct stat *st)
{
	struct stat now;
	off_t left = st->st_size;
	ssize_t n;

	while (left > 0) {
		n = sendfile(to, from, NULL, (size_t)left);
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		left -= n;
	}
	if (fstat(from, &now) == -1)
		return -1;
	if (left == 0 && is_same(st, &now))
		return 0;
	errno = EAGAIN;
	return -1;
}

/* Readers see the old file or the new one, never a part.  -1 with errno. */
static int
replace(const struct spool_copy *c, int etc, int from, const struct stat *st)
{
	char fresh[64];
	int fd, save, result = -1;

	(void)snprintf(
	    fresh, sizeof(fresh), ".%s.%08" PRIx32, c->name, arc4random());
	fd = openat(etc, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (send_all(fd, from, st) == 0 && fchown(fd, 0, c->group) == 0 &&
	    fchmod(fd, COPY_MODE) == 0)
		result = renameat(etc, fresh, etc, c->name);
	save = errno;
	if (result == -1)
		(void)unlinkat(etc, fresh, 0);
	close(fd);
	errno = save;
	return result;
}

/* *st is of what was copied. */
static int
copy(const struct spool_copy *c, int etc, struct stat *st)
{
	int from, save, result = -1;

	from = open(c->from, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (from == -1)
		return -1;
	if (fstat(from, st) == 0) {
		errno = S_ISREG(st->st_mode) ? EFBIG : EINVAL;
		if (S_ISREG(st->st_mode) && st->st_size <= COPY_MAX)
			result = replace(c, etc, from, st);
	}
	save = errno;
	close(from);
	errno = save;
	return result;
}

/* Users who are no more must not log in any more. */
static int
take_away(struct spool_copy *c, int etc)
{
	c->seen.st_ino = 0;
	if (unlinkat(etc, c->name, 0) == 0)
		log_info("%s is gone, and so is its copy", c->from);
	else if (errno != ENOENT)
		return -1;
	return 0;
}

static int
update(struct spool_copy *c, int etc)
{
	struct stat st;
	time_t age;

	if (copy(c, etc, &st) == -1) {
		if (errno == EAGAIN)
			return 0; /* somebody is writing: next time */
		return errno == ENOENT ? take_away(c, etc) : -1;
	}
	c->seen = st;
	age = time(NULL) - st.st_mtim.tv_sec;
	if (age >= 0 && age < SETTLED_SECONDS)
		c->seen.st_ino = 0; /* look again */
	return 0;
}

int
spool_copy_look(struct spool_copy *c)
{
	struct stat st;
	int etc, result;

	if (stat(c->from, &st) == 0 && c->seen.st_ino != 0 &&
	    is_same(&st, &c->seen))
		return 0;
	etc = open_etc(c);
	if (etc == -1) {
		log_warn("%s/etc", c->spool);
		return -1;
	}
	result = update(c, etc);
	if (result == -1)
		log_warn("%s cannot be copied into the spool", c->from);
	close(etc);
	return result;
}
