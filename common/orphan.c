/* SPDX-License-Identifier: ISC */
/*
 * orphan: forks for somebody else.  Runs in nurseries.
 *
 * It must be fork(3): GnuTLS and libbsd learn from pthread_atfork(3) that they
 * have been copied, and draw new random numbers then; after a clone(2) of ours
 * two workers would have the same ones, and give the same keys to two clients.
 * So there is a child between, which forks and ends: the kernel gives its
 * orphan to the subreaper.  It has no memory of its own (vfork(2)): it is we
 * who go on in it, for these few steps, and nothing is copied twice.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "orphan.h"

/* In the orphan to be: until the one between is no more. */
static void
await_parent(const int go[2])
{
	char octet;

	close(go[1]);
	if (read(go[0], &octet, sizeof(octet)) != sizeof(octet))
		_exit(1); /* who forked us has died */
	close(go[0]);
}

static _Noreturn void
fork_and_end(void (*run)(void *), void (*told)(void *, pid_t), void *arg,
    const int go[2])
{
	pid_t pid = fork();

	if (pid == 0) {
		await_parent(go);
		run(arg);
		_exit(1);
	}
	if (pid == -1)
		_exit(errno & 0xff);
	told(arg, pid);
	_exit(0);
}

/* errno of one that ended, 0 when it did its work. */
static int
fault_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

int
orphan_fork(void (*run)(void *), void (*told)(void *, pid_t), void *arg)
{
	int go[2], fault;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) == -1)
		return -1;
	pid = vfork();
	if (pid == 0)
		fork_and_end(run, told, arg, go);
	fault = pid == -1 ? errno : fault_of(pid);
	/* It may have been killed already. */
	if (fault == 0 && write(go[1], "", 1) == -1 && errno != EPIPE)
		fault = errno;
	close(go[0]);
	close(go[1]);
	errno = fault;
	return fault == 0 ? 0 : -1;
}
