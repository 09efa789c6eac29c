/* SPDX-License-Identifier: ISC */
/*
 * supervise_client: may this worker say what it says of a client?  Runs in
 * the master.  Lines for which whoever reads the log bans an address are
 * written as ours only when the broker's book has it that this worker had a
 * client from there, and the book has that from the kernel.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>

#include "clock.h"
#include "crew.h"
#include "limit.h"
#include "supervise_impl.h"

/* Looks into the book for one worker in a second: what it costs is bounded. */
#define LOOKS_MAX 1000

static bool
may_look(struct place *p)
{
	time_t now = clock_seconds();

	if (p->looked_at != now) {
		p->looked_at = now;
		p->looks = 0;
	}
	return ++p->looks <= LOOKS_MAX;
}

bool
supervise_had_client(struct place *p, const struct addr *client)
{
	int fd = p->crew != NULL ? p->crew->counters : p->s->counters;
	struct stat st;
	bool had;
	void *book;

	/* An image of before did not seal it: nobody may make it shorter. */
	if (fd == -1 || (fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) == 0)
		return true;
	if (!may_look(p) || fstat(fd, &st) == -1)
		return false;
	book = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (book == MAP_FAILED)
		return false;
	had = limit_book_has(book, (size_t)st.st_size, p->serial, client);
	(void)munmap(book, (size_t)st.st_size);
	return had;
}
