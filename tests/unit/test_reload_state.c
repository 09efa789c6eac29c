/* SPDX-License-Identifier: ISC */
/*
 * reload_state: what one image of the master hands over the next one has, and
 * what is of another format, damaged or not open is refused.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "handover.h"
#include "reload_state.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

static int
open_listener(struct addr *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(addr_parse(TEXT_LIT("127.0.0.1"), 0, a), 0);
	assert_int_equal(bind(fd, &a->sa, addr_len(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(addr_local(fd, a), 0);
	return fd;
}

static struct reload_listener listeners[2];
static struct reload_crew crews[2];
static struct reload_role roles[3];

/* Of everything something. */
static struct reload_state
sample(void)
{
	static char version[] = "0.1", folder[] = "/var/tmp", log[] = "local5",
	            ident[] = "imapsd", path[] = "/run/imapsd.pid",
	            first[] = "timeout 40\n", second[] = "";
	struct reload_state st = { .pid = 4711,
		.version = version,
		.generation = 7,
		.serial = UINT32_MAX,
		.background = 1,
		.again = 1,
		.folder = folder,
		.log_target = log,
		.log_ident = ident,
		.log_level = 6,
		.pid_path = path,
		.pid_fd = listeners[0].fd,
		.users = -1,
		.passphrase = -1,
		.has_previous = 1,
		.ticket_at = UINT64_MAX - 1,
		.told_missing = 5,
		.listeners = listeners,
		.nlisteners = nitems(listeners),
		.crews = crews,
		.ncrews = nitems(crews),
		.roles = roles,
		.nroles = nitems(roles) };

	memset(st.ticket_key, 'k', TICKET_KEY_LEN);
	memset(st.previous_key, 'p', TICKET_KEY_LEN);
	crews[0] = (struct reload_crew){ 3, 1, 0, -1, first };
	crews[1] = (struct reload_crew){ 7, 2, 99, listeners[1].fd, second };
	roles[0] =
	    (struct reload_role){ 3, ROLE_WORKER, 1, 2, 100, listeners[0].fd };
	roles[1] = (struct reload_role){ 7, ROLE_KEEPER, 0, 3, 101, -1 };
	roles[2] = (struct reload_role){ 7, ROLE_AUTHENTICATOR, 65535, 4,
		INT32_MAX, listeners[1].fd };
	return st;
}

/* Parts that a program need not know. */
static void
add_stats(struct reload_state *st)
{
	static struct reload_stats pages[2];
	static char where[] = "127.0.0.1:9993";
	static char log_lines[] = "<1>one\0<2>two";

	pages[0] =
	    (struct reload_stats){ 7, ROLE_WORKER, 65535, listeners[0].fd };
	pages[1] = (struct reload_stats){ 0, ROLE_MASTER, 0, listeners[1].fd };
	st->stats = pages;
	st->nstats = 2;
	st->metrics_listen = where;
	st->metrics_fd = listeners[0].fd;
	st->log = (struct log_queue){ log_lines, sizeof(log_lines), 3 };
}

static int
set_up(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < nitems(listeners); i++)
		listeners[i].fd = open_listener(&listeners[i].addr);
	return 0;
}

static int
tear_down(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < nitems(listeners); i++)
		close(listeners[i].fd);
	return 0;
}

static void
same_head(const struct reload_state *a, const struct reload_state *b)
{
	assert_int_equal(a->pid, b->pid);
	assert_string_equal(a->version, b->version);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->serial, b->serial);
	assert_int_equal(a->background, b->background);
	assert_int_equal(a->again, b->again);
	assert_string_equal(a->folder, b->folder);
	assert_string_equal(a->log_target, b->log_target);
	assert_string_equal(a->log_ident, b->log_ident);
	assert_int_equal(a->log_level, b->log_level);
	assert_string_equal(a->pid_path, b->pid_path);
	assert_int_equal(a->pid_fd, b->pid_fd);
	assert_int_equal(a->users, b->users);
	assert_int_equal(a->passphrase, b->passphrase);
	assert_int_equal(a->has_previous, b->has_previous);
	assert_true(a->ticket_at == b->ticket_at);
	assert_int_equal(a->told_missing, b->told_missing);
	assert_memory_equal(a->ticket_key, b->ticket_key, TICKET_KEY_LEN);
	assert_memory_equal(a->previous_key, b->previous_key, TICKET_KEY_LEN);
}

static void
test_all_of_it(void **state)
{
	struct reload_state st = sample(), *got;
	const char *why;
	size_t i;
	int fd;

	(void)state;
	add_stats(&st);
	fd = reload_state_write(&st);
	assert_int_not_equal(fd, -1);
	got = reload_state_read(fd, &why);
	assert_non_null(got);
	same_head(got, &st);
	assert_int_equal(got->nstats, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    got->stats[i].generation, st.stats[i].generation);
		assert_int_equal(got->stats[i].role, st.stats[i].role);
		assert_int_equal(got->stats[i].number, st.stats[i].number);
		assert_int_equal(got->stats[i].fd, st.stats[i].fd);
	}
	assert_string_equal(got->metrics_listen, st.metrics_listen);
	assert_int_equal(got->metrics_fd, st.metrics_fd);
	assert_int_equal(got->log.lost, 3);
	assert_int_equal(got->log.len, st.log.len);
	assert_memory_equal(got->log.lines, st.log.lines, st.log.len);
	assert_int_equal(got->nlisteners, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(got->listeners[i].fd, listeners[i].fd);
		assert_true(
		    addr_eq(&got->listeners[i].addr, &listeners[i].addr));
	}
	assert_int_equal(got->ncrews, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(got->crews[i].generation, crews[i].generation);
		assert_int_equal(got->crews[i].messages, crews[i].messages);
		assert_true(got->crews[i].until == crews[i].until);
		assert_int_equal(got->crews[i].counters, crews[i].counters);
		assert_string_equal(got->crews[i].conf, crews[i].conf);
	}
	assert_int_equal(got->nroles, 3);
	for (i = 0; i < 3; i++)
		assert_memory_equal(&got->roles[i], &roles[i],
		    offsetof(struct reload_role, fd) + sizeof(int));
	close(fd);
	reload_state_free(&got);
	assert_null(got);
	reload_state_free(&got);
}

static void
test_only_what_must_be(void **state)
{
	struct reload_state st = sample(), *got;
	const char *why;
	int fd;

	(void)state;
	st.pid_path = NULL;
	st.pid_fd = -1;
	st.nlisteners = st.ncrews = st.nroles = 0;
	fd = reload_state_write(&st);
	got = reload_state_read(fd, &why);
	assert_non_null(got);
	assert_null(got->pid_path);
	assert_int_equal(got->nstats, 0);
	assert_null(got->log.lines);
	assert_int_equal(got->log.len + got->log.lost, 0);
	assert_null(got->metrics_listen);
	assert_int_equal(got->metrics_fd, -1);
	assert_int_equal(got->pid_fd, -1);
	assert_int_equal(got->nroles, 0);
	close(fd);
	reload_state_free(&got);
}

static int
is_refused(const struct reload_state *st)
{
	const char *why = NULL;
	int fd = reload_state_write(st);
	struct reload_state *got = reload_state_read(fd, &why);
	int refused = got == NULL && why != NULL;

	close(fd);
	reload_state_free(&got);
	return refused;
}

static void
test_what_is_not_so(void **state)
{
	struct reload_state st = sample();
	const int closed = 900, no_listener = open("/dev/null", O_RDONLY);

	(void)state;
	assert_false(is_refused(&st));
	roles[1].generation = 4; /* there is no such crew */
	assert_true(is_refused(&st));
	st = sample();
	roles[0].role = ROLE_MASTER;
	assert_true(is_refused(&st));
	roles[0].role = ROLE_MAX;
	assert_true(is_refused(&st));
	st = sample();
	roles[0].pid = 0;
	assert_true(is_refused(&st));
	st = sample();
	roles[0].fd = closed;
	assert_true(is_refused(&st));
	st = sample();
	crews[1].counters = STDERR_FILENO; /* never one of ours */
	assert_true(is_refused(&st));
	st = sample();
	st.passphrase = closed;
	assert_true(is_refused(&st));
	st = sample();
	st.pid_fd = -1; /* but there is a path */
	assert_true(is_refused(&st));
	st = sample();
	st.log_level = 8;
	assert_true(is_refused(&st));
	st = sample();
	st.pid = -1;
	assert_true(is_refused(&st));
	st = sample();
	st.folder = NULL;
	assert_true(is_refused(&st));
	st = sample();
	listeners[0].fd = no_listener;
	assert_true(is_refused(&st));
	listeners[0].fd = st.pid_fd;
	close(no_listener);
}

/* A memfd with the first len octets of from, one of them changed. */
static int
copy_of(int from, size_t len, size_t at, char change)
{
	char *p = xcalloc(1, len + 1);
	int fd = handover_new("test");

	assert_int_equal(pread(from, p, len, 0), len);
	if (at < len)
		p[at] = (char)(p[at] ^ change);
	assert_int_equal(write(fd, p, len), len);
	assert_int_equal(handover_seal(fd), 0);
	free(p);
	return fd;
}

/* Every shorter one misses something; none is read beyond its end. */
static void
test_truncated(void **state)
{
	struct reload_state st = sample();
	const char *why;
	struct stat sb;
	size_t len;
	int copy, fd = reload_state_write(&st);

	(void)state;
	assert_int_equal(fstat(fd, &sb), 0);
	for (len = 1; len < (size_t)sb.st_size; len++) {
		copy = copy_of(fd, len, len, 0);
		assert_null(reload_state_read(copy, &why));
		close(copy);
	}
	close(fd);
}

/* Whatever octet is another one, it is refused or read, and no more. */
static void
test_damaged(void **state)
{
	static const char changes[] = { 1, (char)0x80, (char)0xff };
	struct reload_state st = sample(), *got;
	const char *why;
	struct stat sb;
	size_t at, i;
	int copy, fd = reload_state_write(&st);

	(void)state;
	assert_int_equal(fstat(fd, &sb), 0);
	for (at = 0; at < (size_t)sb.st_size; at++)
		for (i = 0; i < nitems(changes); i++) {
			copy = copy_of(fd, (size_t)sb.st_size, at, changes[i]);
			got = reload_state_read(copy, &why);
			if (at < 12) /* the format's part */
				assert_null(got);
			reload_state_free(&got);
			close(copy);
		}
	close(fd);
}

static void
test_other_format(void **state)
{
	struct reload_state st = sample();
	const char *why;
	int copy, fd = reload_state_write(&st);

	(void)state;
	copy = copy_of(fd, 12, 11, 3); /* a part's header, and the number */
	assert_null(reload_state_read(copy, &why));
	assert_non_null(strstr(why, "another format"));
	close(copy);
	close(fd);
}

static void
test_not_sealed(void **state)
{
	int fd = handover_new("test");
	const char *why;

	(void)state;
	assert_int_equal(handover_add(fd, HANDOVER_CONF, 0, TEXT_LIT("x")), 0);
	assert_null(reload_state_read(fd, &why));
	assert_non_null(strstr(why, "sealed"));
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	assert_null(reload_state_read(fd, &why));
	close(fd);
}

static void
test_keep_open(void **state)
{
	struct reload_state st = sample();

	(void)state;
	st.passphrase = listeners[1].fd;
	reload_state_keep_open(&st, true);
	assert_int_equal(fcntl(listeners[0].fd, F_GETFD), 0);
	assert_int_equal(fcntl(listeners[1].fd, F_GETFD), 0);
	reload_state_keep_open(&st, false);
	assert_int_equal(fcntl(listeners[0].fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(listeners[1].fd, F_GETFD), FD_CLOEXEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_it),
		cmocka_unit_test(test_only_what_must_be),
		cmocka_unit_test(test_what_is_not_so),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_other_format),
		cmocka_unit_test(test_not_sealed),
		cmocka_unit_test(test_keep_open),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
