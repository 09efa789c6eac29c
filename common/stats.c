/* SPDX-License-Identifier: ISC */
/*
 * stats: the pages that processes count on.  Runs in all of them: a role has
 * its own to write to, the master has all, and trusts nothing that is on
 * them.  What the numbers mean is in stats_table.c.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "stats.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Nobody reads it. */
static struct stats nowhere;
struct stats *stats_own = &nowhere;

static const uint32_t bounds_us[STATS_BUCKETS - 1] = { 500, 1000, 2500, 5000,
	10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
	10000000 };
const char *const stats_bounds[STATS_BUCKETS - 1] = { "0.0005", "0.001",
	"0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0",
	"2.5", "5.0", "10.0" };

uint32_t
stats_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint32_t)((uint64_t)t.tv_sec * 1000000 +
	    (uint64_t)t.tv_nsec / 1000);
}

void
stats_time(struct stats_histogram *h, uint32_t since_us)
{
	uint32_t us = stats_now_us() - since_us;
	size_t i = 0;

	while (i < STATS_BUCKETS - 1 && us > bounds_us[i])
		i++;
	(void)__atomic_fetch_add(&h->buckets[i], 1, __ATOMIC_RELAXED);
	(void)__atomic_fetch_add(&h->sum_us, us, __ATOMIC_RELAXED);
}

/* --- pages -------------------------------------------------------------- */

static void *
map(int fd, int protection)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* A file that could shrink would end its readers. */
	if (seals == -1 || (seals & F_SEAL_SHRINK) == 0 ||
	    fstat(fd, &st) == -1 || st.st_size != (off_t)sizeof(struct stats)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return mmap(NULL, sizeof(struct stats), protection, MAP_SHARED, fd, 0);
}

int
stats_attach(int fd)
{
	void *page = map(fd, PROT_READ | PROT_WRITE);

	close(fd);
	if (page == MAP_FAILED)
		return -1;
	stats_own = page;
	return 0;
}

struct stats *
stats_page_new(int *fd)
{
	struct stats *page;

	*fd = memfd_create("stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd == -1 || ftruncate(*fd, (off_t)sizeof(*page)) == -1 ||
	    fcntl(*fd, F_ADD_SEALS, SEALS) == -1)
		fatal("memory for what is counted");
	page = map(*fd, PROT_READ | PROT_WRITE);
	if (page == MAP_FAILED)
		fatal("memory for what is counted");
	page->version = STATS_VERSION;
	page->size = sizeof(*page);
	return page;
}

struct stats *
stats_page_open(int fd)
{
	struct stats *page = map(fd, PROT_READ | PROT_WRITE);

	if (page == MAP_FAILED)
		return NULL;
	if (page->version == STATS_VERSION && page->size == sizeof(*page))
		return page;
	(void)munmap(page, sizeof(*page));
	return NULL;
}

void
stats_page_close(struct stats *page, int fd)
{
	if (page != NULL)
		(void)munmap(page, sizeof(*page));
	if (fd != -1)
		close(fd);
}

int
stats_page_readable(int fd)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

const struct stats *
stats_page_map(int fd)
{
	void *page =
	    mmap(NULL, sizeof(struct stats), PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

/* --- sums --------------------------------------------------------------- */

static uint64_t *
numbers(struct stats *page, const struct stats_family *f)
{
	return (uint64_t *)(void *)((char *)page + f->offset);
}

static const uint64_t *
numbers_of(const struct stats *page, const struct stats_family *f)
{
	return (const uint64_t *)(const void *)((const char *)page + f->offset);
}

/* How many uint64_t there are. */
static size_t
width(const struct stats_family *f)
{
	return stats_family_size(f) *
	    (f->type == STATS_HISTOGRAM
	            ? sizeof(struct stats_histogram) / sizeof(uint64_t)
	            : 1);
}

static bool
is_of_servers(const struct stats_family *f)
{
	return f->labels[0].name != NULL && f->labels[0].values == NULL;
}

static bool
may_say(const struct stats_family *f, enum role role, bool old)
{
	if (old && is_of_servers(f))
		return false;
	return role == ROLE_MASTER || (f->roles & 1U << role) != 0;
}

void
stats_clear_gauges(struct stats *page)
{
	const struct stats_family *f;
	size_t i, j;

	for (i = 0; (f = stats_family(i)) != NULL; i++)
		for (j = 0; f->type == STATS_GAUGE && j < width(f); j++)
			__atomic_store_n(
			    &numbers(page, f)[j], 0, __ATOMIC_RELAXED);
}

void
stats_add_page(
    struct stats *sum, const struct stats *page, enum role role, bool old)
{
	const struct stats_family *f;
	size_t i, j;

	for (i = 0; (f = stats_family(i)) != NULL; i++)
		for (j = 0; may_say(f, role, old) && j < width(f); j++)
			numbers(sum, f)[j] += __atomic_load_n(
			    &numbers_of(page, f)[j], __ATOMIC_RELAXED);
}

/* A reader that meets an odd sequence, or another one behind, reads again. */
void
stats_keep(struct stats *kept, struct stats *page, enum role role)
{
	const uint32_t size = page->size, version = page->version;

	stats_clear_gauges(page);
	(void)__atomic_fetch_add(&kept->sequence, 1, __ATOMIC_SEQ_CST);
	stats_add_page(kept, page, role, true);
	memset(page, 0, sizeof(*page));
	page->size = size;
	page->version = version;
	(void)__atomic_fetch_add(&kept->sequence, 1, __ATOMIC_SEQ_CST);
}
