/* SPDX-License-Identifier: ISC */
/*
 * test_acceptor: clients at real listeners, and two acceptors that share
 * them, in one loop and in two processes.  Nothing waits for long: what is
 * looked for comes within some turns of the loop, or the test fails.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "acceptor.h"
#include "clock.h"
#include "log.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define FIRST_LISTENER 40 /* a number that nobody else has */
#define NLISTENERS 2
#define NWORKERS 2
#define LIMIT_MS 5000 /* for what takes 2 ms on an idle machine */

static struct event_base *base;
static struct acceptor *acceptors[NWORKERS];
static struct acceptor *volatile born_with;
static volatile uint32_t *loads;
static struct sockaddr_in addresses[NLISTENERS];

/* What each acceptor took, by listener, since forget(). */
static unsigned int taken[NWORKERS][NLISTENERS];
static unsigned int close_after; /* clients of a worker; 0: never */
static bool rooms[NWORKERS];     /* could it make room for one more? */

static unsigned int
taken_by(unsigned int worker)
{
	return taken[worker][0] + taken[worker][1];
}

static bool
has_room(void *arg)
{
	return rooms[(uintptr_t)arg];
}

/* The client hears who took it, and that is all. */
static void
take(void *arg, int fd, unsigned int listener, const struct addr *peer,
    const struct addr *local)
{
	char text[ADDR_STRLEN];
	unsigned int worker = (unsigned int)(uintptr_t)arg;
	char name = (char)('0' + worker);

	assert_true(listener < NLISTENERS);
	assert_string_equal(addr_print_host(peer, text), "127.0.0.1");
	assert_int_equal(addr_port(local), ntohs(addresses[listener].sin_port));
	assert_string_equal(addr_print_host(local, text), "127.0.0.1");
	assert_int_equal(write(fd, &name, 1), 1);
	close(fd);
	taken[worker][listener]++;
	if (taken_by(worker) == close_after)
		acceptor_close(acceptors[worker]);
}

static struct acceptor *
new_acceptor(struct event_base *b, int fd, unsigned int worker)
{
	return acceptor_new(b, fd, worker, FIRST_LISTENER, NLISTENERS, take,
	    (void *)(uintptr_t)worker);
}

static void
listen_at(unsigned int i)
{
	struct sockaddr_in *a = &addresses[i];
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*a = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr =
		    htonl(i == 0 ? INADDR_ANY : INADDR_LOOPBACK) };
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)a, &len), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(
	    dup2(fd, FIRST_LISTENER + (int)i), FIRST_LISTENER + (int)i);
	close(fd);
}

static int
new_loads(size_t size)
{
	int fd = memfd_create("loads", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* The acceptors live as long as the program: there is no end of one. */
static int
group_setup(void **state)
{
	int fd = new_loads(NWORKERS * sizeof(*loads));
	unsigned int i;

	(void)state;
	for (i = 0; i < NLISTENERS; i++)
		listen_at(i);
	loads = mmap(NULL, NWORKERS * sizeof(*loads), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	assert_true(loads != MAP_FAILED);
	base = event_base_new();
	for (i = 0; i < NWORKERS; i++) {
		loads[i] = 7;
		acceptors[i] = new_acceptor(base, dup(fd), i);
		assert_int_equal(loads[i], 0);
	}
	close(fd);
	return 0;
}

static int
group_teardown(void **state)
{
	unsigned int i;

	(void)state;
	event_base_free(base);
	for (i = 0; i < NLISTENERS; i++)
		close(FIRST_LISTENER + (int)i);
	return 0;
}

static void
forget(void)
{
	memset(taken, 0, sizeof(taken));
}

static int
setup(void **state)
{
	unsigned int i;

	(void)state;
	forget();
	close_after = 0;
	for (i = 0; i < NWORKERS; i++) {
		acceptor_close(acceptors[i]);
		acceptor_set_load(acceptors[i], 0);
		acceptor_set_places(acceptors[i], UINT_MAX, has_room);
		rooms[i] = true;
	}
	return 0;
}

/* A client; it is in the listener's queue when this returns. */
static int
arrive(unsigned int listener)
{
	const struct sockaddr_in *a = &addresses[listener];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    connect(fd, (const struct sockaddr *)a, sizeof(*a)), 0);
	return fd;
}

/* Exactly one worker takes it: its name, and then the end. */
static unsigned int
taken_once(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char name[2];

	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	assert_int_equal(read(fd, name, 2), 1);
	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	assert_int_equal(read(fd, name + 1, 1), 0);
	close(fd);
	return (unsigned int)(name[0] - '0');
}

/* One turn of the loop: what is ready now. */
static void
turn(void)
{
	assert_int_not_equal(
	    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), -1);
}

/* Turns until there are n of them, or too many turns. */
static void
turn_until(unsigned int n)
{
	unsigned int ms;

	turn();
	for (ms = 0; taken_by(0) + taken_by(1) < n && ms < LIMIT_MS; ms++) {
		usleep(1000);
		turn();
	}
	assert_int_equal(taken_by(0) + taken_by(1), n);
}

/* Closed, open, closed again. */
static void
test_doors(void **state)
{
	int fds[6];
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++)
		fds[i] = arrive(i % NLISTENERS);
	turn();
	assert_int_equal(taken_by(0), 0);

	acceptor_open(acceptors[0]);
	acceptor_open(acceptors[0]);
	turn_until(3);
	assert_int_equal(taken[0][0], 2);
	assert_int_equal(taken[0][1], 1);

	acceptor_close(acceptors[0]);
	acceptor_close(acceptors[0]);
	for (; i < 6; i++)
		fds[i] = arrive(i % NLISTENERS);
	turn();
	assert_int_equal(taken_by(0), 3);

	acceptor_open(acceptors[1]);
	turn_until(6);
	assert_int_equal(taken[1][0], 1);
	assert_int_equal(taken[1][1], 2);
	for (i = 0; i < 6; i++)
		assert_int_equal(taken_once(fds[i]), i / 3);
}

/* Those that are served have their turn, too. */
static void
test_batch(void **state)
{
	int fds[6];
	unsigned int i;

	(void)state;
	for (i = 0; i < NITEMS(fds); i++)
		fds[i] = arrive(i % NLISTENERS);
	acceptor_open(acceptors[0]);
	turn();
	assert_int_equal(taken_by(0), NLISTENERS);
	turn_until(NITEMS(fds));
	assert_int_equal(taken_by(0), NITEMS(fds));
	for (i = 0; i < NITEMS(fds); i++)
		assert_int_equal(taken_once(fds[i]), 0);
}

/* Full: it closes in the middle of a turn; the other has the rest. */
static void
test_full(void **state)
{
	int fds[5];
	unsigned int i;

	(void)state;
	for (i = 0; i < NITEMS(fds); i++)
		fds[i] = arrive(i % NLISTENERS);
	close_after = 2;
	acceptor_open(acceptors[0]);
	turn();
	turn();
	assert_int_equal(taken_by(0), 2);
	close_after = 0;
	acceptor_open(acceptors[1]);
	turn_until(5);
	assert_int_equal(taken_by(1), 3);
	for (i = 0; i < NITEMS(fds); i++)
		(void)taken_once(fds[i]);
}

static void
test_load(void **state)
{
	(void)state;
	acceptor_set_load(acceptors[0], 3);
	acceptor_set_load(acceptors[1], UINT32_MAX);
	assert_int_equal(loads[0], 3);
	assert_int_equal(loads[1], UINT32_MAX);
	acceptor_set_load(acceptors[0], 0);
	assert_int_equal(loads[0], 0);
	assert_int_equal(loads[1], UINT32_MAX);
}

/* Who is ahead lets the others go first, but not for long. */
static void
test_yield(void **state)
{
	static const struct {
		unsigned int own, other;
		bool yields;
	} cases[] = {
		{ 0, 0, false },
		{ 2, 0, false },
		{ 3, 0, true },
		{ 9, 7, false },
		{ 10, 7, true },
		{ 11, 8, false },
		{ 12, 8, true },
		{ 902, 800, false },
		{ 903, 800, true },
		{ 0, 900, false },
		{ UINT32_MAX, 0, true },
		{ 5, UINT32_MAX, false },
	};
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(setup(state), 0);
		acceptor_set_load(acceptors[0], cases[i].own);
		acceptor_set_load(acceptors[1], cases[i].other);
		acceptor_open(acceptors[0]);
		fd = arrive(0);
		turn();
		assert_int_equal(taken_by(0), cases[i].yields ? 0 : 1);
		turn_until(1);
		assert_int_equal(taken_once(fd), 0);
	}
}

/* Yielding is neither open nor closed. */
static void
test_yield_and_close(void **state)
{
	int fd;

	(void)state;
	acceptor_set_load(acceptors[0], 9);
	acceptor_open(acceptors[0]);
	fd = arrive(1);
	turn();
	assert_int_equal(taken_by(0), 0);
	acceptor_open(acceptors[0]); /* it is, in a way */
	acceptor_close(acceptors[0]);
	usleep(10000);
	turn();
	assert_int_equal(taken_by(0), 0);
	acceptor_set_load(acceptors[0], 0);
	acceptor_open(acceptors[0]);
	turn();
	assert_int_equal(taken_once(fd), 0);
}

/* The other one takes what was left to it; so they come side by side. */
static void
test_fair(void **state)
{
	unsigned int i, worker, n[NWORKERS] = { 10, 0 };
	int fd;

	(void)state;
	for (i = 0; i < NWORKERS; i++) {
		acceptor_set_load(acceptors[i], n[i]);
		acceptor_open(acceptors[i]);
	}
	for (i = 0; i < 30; i++) {
		fd = arrive(i % NLISTENERS);
		turn_until(i + 1);
		worker = taken_once(fd);
		acceptor_set_load(acceptors[worker], ++n[worker]);
	}
	assert_in_range(n[0], 16, 24);
	assert_int_equal(n[0] + n[1], 40);
}

/* Both open, with so many clients where there are places for PLACES. */
#define PLACES 10
static void
open_with(unsigned int first, unsigned int second)
{
	const unsigned int n[NWORKERS] = { first, second };
	unsigned int i;

	for (i = 0; i < NWORKERS; i++) {
		acceptor_set_places(acceptors[i], PLACES, has_room);
		acceptor_set_load(acceptors[i], n[i]);
		acceptor_open(acceptors[i]);
	}
}

/* How long until somebody has taken a client. */
static unsigned int
ms_until_taken(void)
{
	const unsigned int before = taken_by(0) + taken_by(1);
	const int64_t began = clock_ms();

	while (taken_by(0) + taken_by(1) == before) {
		assert_true(clock_ms() - began < LIMIT_MS);
		turn();
		usleep(1000);
	}
	return (unsigned int)(clock_ms() - began);
}

/* A full worker leaves all clients to one that is not. */
static void
test_full_and_room(void **state)
{
	unsigned int i;
	int fd;

	(void)state;
	open_with(PLACES, 0);
	for (i = 0; i < 30; i++) {
		fd = arrive(i % NLISTENERS);
		turn_until(i + 1);
		assert_int_equal(taken_once(fd), 1);
		acceptor_set_load(acceptors[1], i % PLACES);
	}
}

/* All are full: no client waits for a place. */
static void
test_all_full(void **state)
{
	unsigned int i;
	int fd;

	(void)state;
	open_with(PLACES, PLACES);
	for (i = 0; i < 10; i++) {
		fd = arrive(i % NLISTENERS);
		turn();
		assert_int_equal(taken_by(0) + taken_by(1), i + 1);
		(void)taken_once(fd);
	}
}

/* Where nobody gives way it is left to the other, but not for long. */
static void
test_full_for_good(void **state)
{
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < 20; i++) {
		forget();
		rooms[0] = i % 2 == 0;
		rooms[1] = !rooms[0];
		open_with(PLACES, PLACES);
		fd = arrive(i % NLISTENERS);
		turn_until(1);
		assert_int_equal(taken_once(fd), i % 2);
	}
	forget();
	rooms[0] = rooms[1] = false;
	fd = arrive(0);
	turn_until(1);
	(void)taken_once(fd);
	/* nor is that a debt: the next one is another's again */
	rooms[1] = true;
	usleep(10000);
	turn();
	fd = arrive(0);
	turn_until(2);
	assert_int_equal(taken_once(fd), 1);
}

/* The other has room and stands still: a second, and then all that wait. */
static void
test_others_stand_still(void **state)
{
	int fds[5];
	unsigned int i;

	(void)state;
	open_with(PLACES, PLACES - 1);
	acceptor_close(acceptors[1]);
	for (i = 0; i < NITEMS(fds); i++)
		fds[i] = arrive(i % NLISTENERS);
	assert_in_range(ms_until_taken(), 700, 3000);
	assert_int_equal(taken_by(0), NITEMS(fds));
	for (i = 0; i < NITEMS(fds); i++)
		assert_int_equal(taken_once(fds[i]), 0);
}

/* It moves, if slowly; or a place of our own is free. */
static void
test_others_move(void **state)
{
	unsigned int i;
	int fd;

	(void)state;
	open_with(PLACES, 0);
	acceptor_close(acceptors[1]);
	fd = arrive(0);
	for (i = 0; i < 150; i++) {
		acceptor_set_load(acceptors[1], i / 20 + 1);
		turn();
		usleep(10000);
	}
	assert_int_equal(taken_by(0), 0);
	acceptor_set_load(acceptors[0], PLACES - 1);
	assert_in_range(ms_until_taken(), 0, 50);
	assert_int_equal(taken_once(fd), 0);
}

/* Another one was taken over: what it says is believed of itself, for long. */
static void
test_liar(void **state)
{
	const int64_t began = clock_ms();
	int fd;

	(void)state;
	open_with(1, 0);
	acceptor_close(acceptors[1]);
	loads[0] = UINT32_MAX;
	fd = arrive(0);
	assert_in_range(ms_until_taken(), 0, 50);
	assert_int_equal(taken_once(fd), 0);

	open_with(PLACES, 0);
	acceptor_close(acceptors[1]);
	fd = arrive(1);
	while (taken_by(0) == 1) {
		assert_true(clock_ms() - began < LIMIT_MS);
		loads[1] = arc4random_uniform(PLACES); /* at each look */
		turn();
		usleep(10000);
	}
	assert_true(clock_ms() - began > 2000);
	assert_int_equal(taken_once(fd), 0);
}

/* A worker in a process of its own, until its clients are no more. */
static _Noreturn void
serve(int fd, unsigned int worker)
{
	const struct timeval most = { .tv_sec = 2 * LIMIT_MS / 1000 };
	struct event_base *b = event_base_new();

	acceptors[worker] = new_acceptor(b, fd, worker);
	acceptor_open(acceptors[worker]);
	event_base_loopexit(b, &most);
	event_base_dispatch(b);
	_exit(0);
}

static void
test_processes(void **state)
{
	int fd = new_loads(NWORKERS * sizeof(*loads)), fds[60], status;
	pid_t pids[NWORKERS];
	unsigned int i;

	(void)state;
	for (i = 0; i < NWORKERS; i++) {
		pids[i] = fork();
		assert_int_not_equal(pids[i], -1);
		if (pids[i] == 0)
			serve(fd, i);
	}
	close(fd);
	for (i = 0; i < NITEMS(fds); i++)
		fds[i] = arrive(i % NLISTENERS);
	for (i = 0; i < NITEMS(fds); i++)
		assert_true(taken_once(fds[i]) < NWORKERS);
	for (i = 0; i < NWORKERS; i++) {
		assert_int_equal(kill(pids[i], SIGKILL), 0);
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFSIGNALED(status));
	}
}

static void
hush(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
}

/* A memory that has no place for this worker is the master's fault. */
static void
test_no_place(void **state)
{
	static const size_t sizes[] = { 0, 1, 4, 7 };
	int fd, status;
	size_t i;
	pid_t pid;

	(void)state;
	for (i = 0; i < NITEMS(sizes); i++) {
		fd = new_loads(sizes[i]);
		pid = fork();
		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			log_set_sink(hush, NULL);
			(void)new_acceptor(base, fd, 1);
			_exit(0);
		}
		close(fd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
}

/* A client in place of a listener: given once, with the first open door. */
static void
test_born_with(void **state)
{
	const int place = FIRST_LISTENER + NLISTENERS;
	int fd = arrive(1), client = accept(FIRST_LISTENER + 1, NULL, NULL);

	(void)state;
	assert_int_equal(dup2(client, place), place);
	close(client);
	addresses[0].sin_port = addresses[1].sin_port; /* it is number 0 */
	born_with = acceptor_new(base, new_loads(NWORKERS * sizeof(*loads)), 0,
	    place, 1, take, NULL);
	turn();
	assert_int_equal(taken_by(0), 0);
	acceptor_open(born_with);
	acceptor_close(born_with);
	turn();
	assert_int_equal(taken_by(0), 0);
	acceptor_open(born_with);
	turn();
	assert_int_equal(taken[0][0], 1);
	acceptor_close(born_with);
	acceptor_open(born_with);
	turn();
	assert_int_equal(taken[0][0], 1);
	assert_int_equal(taken_once(fd), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_doors, setup),
		cmocka_unit_test_setup(test_batch, setup),
		cmocka_unit_test_setup(test_full, setup),
		cmocka_unit_test_setup(test_load, setup),
		cmocka_unit_test_setup(test_yield, setup),
		cmocka_unit_test_setup(test_yield_and_close, setup),
		cmocka_unit_test_setup(test_fair, setup),
		cmocka_unit_test_setup(test_full_and_room, setup),
		cmocka_unit_test_setup(test_all_full, setup),
		cmocka_unit_test_setup(test_full_for_good, setup),
		cmocka_unit_test_setup(test_others_stand_still, setup),
		cmocka_unit_test_setup(test_others_move, setup),
		cmocka_unit_test_setup(test_liar, setup),
		cmocka_unit_test_setup(test_processes, setup),
		cmocka_unit_test_setup(test_no_place, setup),
		cmocka_unit_test_setup(test_born_with, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
