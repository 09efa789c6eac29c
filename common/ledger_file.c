/* SPDX-License-Identifier: ISC */
/*
 * ledger_file: makes and opens the ledger.  Runs in the master, as root, and
 * in the roles that map what they were handed.  The file is root's and nobody
 * else's; brokers have it open for as long as it takes to map it, and may not
 * change its size then, since they are confined.  It is never cut or emptied,
 * which would end whoever has it mapped, but replaced.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ledger.h"
#include "ledger_file.h"
#include "log.h"
#include "priv.h"
#include "xmalloc.h"

#define NAME "ledger"

char *
ledger_file_path(const char *spool)
{
	return xasprintf("%s/run/" NAME, spool);
}

static void *
map(int fd, int protection, size_t *size)
{
	struct stat st;
	void *mem;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return NULL;
	*size = (size_t)st.st_size;
	mem = mmap(NULL, *size, protection, MAP_SHARED, fd, 0);
	return mem == MAP_FAILED ? NULL : mem;
}

struct ledger *
ledger_file_map(int fd, int protection)
{
	size_t size;
	void *mem = map(fd, protection, &size);
	struct ledger *l;

	if (mem == NULL)
		return NULL;
	l = ledger_new(mem, size);
	if (l == NULL)
		(void)munmap(mem, size);
	return l;
}

static bool
is_ledger(int fd, unsigned int *entries)
{
	size_t size;
	void *mem = map(fd, PROT_READ, &size);
	struct ledger *l;
	bool is = false;

	if (mem == NULL)
		return false;
	l = ledger_new(mem, size);
	if (l != NULL) {
		is = true;
		*entries = ledger_entries(l);
		ledger_free(&l);
	}
	(void)munmap(mem, size);
	return is;
}

/* Begin a ledger in an empty file.  -1 with errno. */
static int
format(int fd, unsigned int entries)
{
	const size_t size = ledger_size(entries);
	size_t mapped;
	void *mem;

	/* All of it: a full disk must not end who writes there later. */
	errno = posix_fallocate(fd, 0, (off_t)size);
	if (errno != 0)
		return -1;
	mem = map(fd, PROT_READ | PROT_WRITE, &mapped);
	if (mem == NULL)
		return -1;
	ledger_format(mem, entries);
	(void)munmap(mem, mapped);
	return 0;
}

static int
in_memory(unsigned int entries)
{
	int fd = memfd_create(NAME, MFD_CLOEXEC);

	if (fd == -1 || format(fd, entries) == -1)
		fatal("memory for the ledger");
	return fd;
}

/* A new one in the place of what is there.  -1 with errno. */
static int
make(int dir, unsigned int entries)
{
	char fresh[32];
	int fd, save;

	(void)snprintf(
	    fresh, sizeof(fresh), "." NAME ".%08" PRIx32, arc4random());
	fd = openat(dir, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (fchown(fd, 0, 0) == -1 || format(fd, entries) == -1 ||
	    renameat(dir, fresh, dir, NAME) == -1) {
		save = errno;
		(void)unlinkat(dir, fresh, 0);
		close(fd);
		errno = save;
		return -1;
	}
	return fd;
}

/* Root's alone? */
static bool
is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
	    (st.st_mode & 0077) == 0 && st.st_nlink == 1;
}

static int
open_or_make(int dir, const char *path, unsigned int entries)
{
	unsigned int has = 0;
	int fd =
	    openat(dir, NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd != -1 && is_ours(fd) && is_ledger(fd, &has)) {
		if (ledger_size(has) != ledger_size(entries))
			log_info("%s has %u entries, not ledger_entries (%u), "
			         "until it is removed and all daemons are "
			         "started again",
			    path, has, entries);
		return fd;
	}
	if (fd != -1 || errno != ENOENT)
		log_warnx("%s is no ledger of ours: it is made anew", path);
	if (fd != -1)
		close(fd);
	return make(dir, entries);
}

/* Two masters that start at once make one. */
static int
open_file(const char *spool, unsigned int entries)
{
	char *folder = xasprintf("%s/run", spool);
	char *path = ledger_file_path(spool);
	int fd = -1,
	    dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir != -1 && flock(dir, LOCK_EX) == 0)
		fd = open_or_make(dir, path, entries);
	if (fd == -1)
		log_warn(
		    "%s: what is counted is forgotten with this daemon", path);
	if (dir != -1)
		close(dir);
	free(folder);
	free(path);
	return fd;
}

int
ledger_file_open(const char *spool, unsigned int entries, int before)
{
	unsigned int has;
	int fd = -1;

	if (priv_am_root())
		fd = open_file(spool, entries);
	if (fd == -1 && before != -1 && is_ledger(before, &has))
		return before;
	if (before != -1)
		close(before);
	return fd != -1 ? fd : in_memory(entries);
}

int
ledger_file_reading(int fd)
{
	char path[32];
	int reading;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reading = open(path, O_RDONLY | O_CLOEXEC);
	if (reading == -1)
		fatal("the ledger, to be read");
	return reading;
}
