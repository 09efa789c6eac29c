/* SPDX-License-Identifier: ISC */
/* Tests of stats: pages, sums, and what a role may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stats.h"

/* Each number belongs to one family, and to one alone. */
static void
test_table(void **state)
{
	unsigned char *used = calloc(1, sizeof(struct stats));
	const struct stats_family *f;
	size_t i, j, from, to;

	(void)state;
	assert_non_null(used);
	for (i = 0; (f = stats_family(i)) != NULL; i++) {
		from = f->offset;
		to = from +
		    stats_family_size(f) *
		        (f->type == STATS_HISTOGRAM
		                ? sizeof(struct stats_histogram)
		                : sizeof(uint64_t));
		assert_true(to <= sizeof(struct stats));
		for (j = from; j < to; j++) {
			if (used[j])
				fail_msg("%s: another has its place", f->name);
			used[j] = 1;
		}
		assert_true(f->help[strlen(f->help) - 1] == '.' ||
		    f->help[strlen(f->help) - 1] == '?');
	}
	for (j = offsetof(struct stats, connections); j < sizeof(struct stats);
	     j++)
		if (!used[j])
			fail_msg("nobody tells what is at %zu", j);
	free(used);
}

static void
test_sum(void **state)
{
	struct stats *page = calloc(1, sizeof(*page));
	struct stats *sum = calloc(1, sizeof(*sum));

	(void)state;
	page->connections = 3;
	page->clients = 2;
	page->signatures[0] = 5; /* it is no keeper */
	page->server_up[0] = 1;
	page->greeting_seconds[3].sum_us = 7;
	stats_add_page(sum, page, ROLE_WORKER, false);
	stats_add_page(sum, page, ROLE_NURSERY, false);
	assert_int_equal(sum->connections, 6);
	assert_int_equal(sum->clients, 4);
	assert_int_equal(sum->signatures[0], 0);
	assert_int_equal(sum->server_up[0], 0);
	assert_int_equal(sum->greeting_seconds[3].sum_us, 14);
	/* its servers are not those of now */
	stats_add_page(sum, page, ROLE_WORKER, true);
	assert_int_equal(sum->connections, 9);
	assert_int_equal(sum->greeting_seconds[3].sum_us, 14);
	stats_add_page(sum, page, ROLE_METRICS, false);
	assert_int_equal(sum->connections, 9);
	stats_add_page(sum, page, ROLE_MASTER, false);
	assert_int_equal(sum->signatures[0], 5);
	free(page);
	free(sum);
}

static void
test_keep(void **state)
{
	int fd, kept_fd;
	struct stats *page = stats_page_new(&fd);
	struct stats *kept = stats_page_new(&kept_fd);

	(void)state;
	page->connections = 3;
	page->clients = 2;
	page->signatures[0] = 5;
	stats_keep(kept, page, ROLE_WORKER);
	assert_int_equal(kept->connections, 3);
	assert_int_equal(kept->clients, 0);
	assert_int_equal(kept->signatures[0], 0);
	assert_int_equal(page->connections, 0);
	assert_int_equal(page->signatures[0], 0);
	assert_int_equal(kept->sequence, 2);
	stats_page_close(page, fd);
	page = stats_page_open(kept_fd);
	assert_non_null(page);
	assert_int_equal(page->connections, 3);
	stats_page_close(page, -1);
	stats_page_close(kept, kept_fd);
}

static void
test_gauges(void **state)
{
	int fd;
	struct stats *page = stats_page_new(&fd);

	(void)state;
	page->connections = 3;
	page->clients = page->sessions = 2;
	page->server_up[63] = 1;
	stats_clear_gauges(page);
	assert_int_equal(page->connections, 3);
	assert_int_equal(page->clients, 0);
	assert_int_equal(page->sessions, 0);
	assert_int_equal(page->server_up[63], 0);
	stats_page_close(page, fd);
}

/* Whoever has a page cannot make its readers' end of it. */
static void
test_seals(void **state)
{
	const struct stats *seen;
	int fd, readable;
	struct stats *page = stats_page_new(&fd);

	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	readable = stats_page_readable(fd);
	assert_int_not_equal(readable, -1);
	assert_ptr_equal(mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
	                     MAP_SHARED, readable, 0),
	    MAP_FAILED);
	seen = stats_page_map(readable);
	assert_non_null(seen);
	page->connections = 9;
	assert_int_equal(seen->connections, 9);
	close(readable);
	(void)munmap((void *)(uintptr_t)seen, sizeof(*seen));
	stats_page_close(page, fd);
}

static void
test_other_form(void **state)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), page_fd;
	struct stats *page;

	(void)state;
	assert_int_equal(ftruncate(fd, sizeof(struct stats)), 0);
	assert_null(stats_page_open(fd)); /* not sealed */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_null(stats_page_open(fd)); /* no version */
	close(fd);
	page = stats_page_new(&page_fd);
	page->version++;
	assert_null(stats_page_open(page_fd));
	stats_page_close(page, page_fd);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_null(stats_page_open(fd));
	close(fd);
}

/* What a process counts on its page others see, and not before. */
static void
test_attach(void **state)
{
	int fd, status;
	struct stats *page = stats_page_new(&fd);
	pid_t pid;

	(void)state;
	STATS_ADD(connections, 1); /* on none */
	assert_int_equal(page->connections, 0);
	pid = fork();
	if (pid == 0) {
		if (stats_attach(fd) == -1)
			_exit(1);
		STATS_ADD(connections, 5);
		STATS_SUB(connections, 2);
		STATS_SET(clients, 4);
		stats_time(&stats_own->login_seconds, stats_now_us() - 700);
		stats_time(
		    &stats_own->login_seconds, stats_now_us() - 20000000);
		_exit(fcntl(fd, F_GETFD) == -1 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(page->connections, 3);
	assert_int_equal(page->clients, 4);
	assert_int_equal(page->login_seconds.buckets[STATS_BUCKETS - 1], 1);
	assert_int_equal(page->login_seconds.buckets[0], 0);
	assert_true(page->login_seconds.sum_us >= 20000700);
	assert_int_equal(stats_attach(open("/dev/null", O_RDWR)), -1);
	stats_page_close(page, fd);
}

static void
test_mechanisms(void **state)
{
	(void)state;
	assert_int_equal(stats_mechanism(TEXT_LIT("plain")), MECHANISM_PLAIN);
	assert_int_equal(stats_mechanism(TEXT_LIT("SCRAM-SHA-256")),
	    MECHANISM_SCRAM_SHA_256);
	assert_int_equal(stats_mechanism(TEXT_LIT("command")), MECHANISM_OTHER);
	assert_int_equal(stats_mechanism(TEXT_NONE), MECHANISM_OTHER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_gauges),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_other_form),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_mechanisms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
