/* SPDX-License-Identifier: ISC */
/*
 * Orphans: a process in the middle, as a nursery is, forks for us: they are our
 * children, we hear of them before they end, and no two have the same random
 * numbers, nor the one that forked them.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "orphan.h"

#define NORPHANS 8

/* What a process draws: GnuTLS's of each level, and arc4random(3)'s. */
struct dice {
	unsigned char nonce[16], random[16], key[16], arc4[16];
};

struct seen {
	enum { TOLD, RAN } what;
	pid_t pid, parent;
	struct dice dice;
};

static int out; /* the pipe's end of all but the test */

static void
draw(struct dice *d)
{
	if (gnutls_rnd(GNUTLS_RND_NONCE, d->nonce, sizeof(d->nonce)) != 0 ||
	    gnutls_rnd(GNUTLS_RND_RANDOM, d->random, sizeof(d->random)) != 0 ||
	    gnutls_rnd(GNUTLS_RND_KEY, d->key, sizeof(d->key)) != 0)
		_exit(99);
	arc4random_buf(d->arc4, sizeof(d->arc4));
}

static void
say(const struct seen *s)
{
	if (write(out, s, sizeof(*s)) != sizeof(*s))
		_exit(98);
}

static void
told(void *arg, pid_t pid)
{
	(void)arg;
	say(&(struct seen){ .what = TOLD, .pid = pid });
}

static void
run(void *arg)
{
	struct seen s = { .what = RAN, .pid = getpid(), .parent = getppid() };

	draw(&s.dice);
	say(&s);
	_exit(*(int *)arg);
}

/* It has drawn before, as a nursery may have. */
static _Noreturn void
nursery(void)
{
	struct seen mine = { .what = RAN, .pid = getpid() };
	int i;

	draw(&mine.dice);
	say(&mine);
	for (i = 0; i < NORPHANS; i++)
		if (orphan_fork(run, told, &i) == -1)
			_exit(97);
	_exit(0);
}

static struct seen
hear(int fd)
{
	struct seen s;

	assert_int_equal(read(fd, &s, sizeof(s)), sizeof(s));
	return s;
}

static bool
is_alike(const struct dice *a, const struct dice *b)
{
	return memcmp(a->nonce, b->nonce, sizeof(a->nonce)) == 0 ||
	    memcmp(a->random, b->random, sizeof(a->random)) == 0 ||
	    memcmp(a->key, b->key, sizeof(a->key)) == 0 ||
	    memcmp(a->arc4, b->arc4, sizeof(a->arc4)) == 0;
}

static pid_t
begin(void (*what)(void), int *in)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	out = fds[1];
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		what();
	close(fds[1]);
	*in = fds[0];
	return pid;
}

static void
test_orphans(void **state)
{
	struct seen ran[NORPHANS + 1], s;
	pid_t heard[NORPHANS], middle;
	unsigned int nran = 0, nheard = 0, i, j;
	int in, status;

	(void)state;
	middle = begin(nursery, &in);
	while (nran < NORPHANS + 1 || nheard < NORPHANS) {
		s = hear(in);
		if (s.what == TOLD)
			heard[nheard++] = s.pid;
		else
			ran[nran++] = s;
	}
	close(in);
	assert_int_equal(waitpid(middle, &status, 0), middle);
	assert_int_equal(status, 0);
	for (i = 0; i < NORPHANS; i++) { /* in their order */
		assert_int_equal(waitpid(heard[i], &status, 0), heard[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), i);
	}
	assert_int_equal(waitpid(-1, &status, 0), -1);
	for (i = 0; i < nran; i++) {
		if (ran[i].pid != middle)
			assert_int_equal(ran[i].parent, getpid());
		for (j = 0; j < i; j++)
			assert_false(is_alike(&ran[i].dice, &ran[j].dice));
	}
}

/* Then nobody is told, and no process is left. */
static _Noreturn void
no_room(void)
{
	const struct rlimit none = { 0, 0 };
	struct seen s = { .what = TOLD };
	int n = 0;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1)
		_exit(96);
	if (setrlimit(RLIMIT_NPROC, &none) == -1)
		_exit(95);
	s.pid = orphan_fork(run, told, &n) == -1 ? errno : 0;
	say(&s);
	_exit(0);
}

static void
test_failure(void **state)
{
	pid_t pid;
	int in, status;

	(void)state;
	pid = begin(no_room, &in);
	assert_int_equal(hear(in).pid, EAGAIN);
	close(in);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(waitpid(-1, &status, 0), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_failure),
	};

	if (prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
