/* SPDX-License-Identifier: ISC */
/*
 * child: starts roles.  Runs in the master, whose memory the child borrows
 * until exec gives it its own: nothing is copied that exec would throw away.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "inherit.h"
#include "role.h"
#include "xmalloc.h"

#define FDS_MAX 1024

/* Lay fds out from ROLE_FD_MASTER on; all else is closed. */
static int
lay_out(const int *fds, int *high, size_t nfds)
{
	const int first = ROLE_FD_MASTER;
	size_t i;

	/* First out of each other's way, then into place. */
	for (i = 0; i < nfds; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, first + (int)nfds);
		if (high[i] == -1)
			return -1;
	}
	for (i = 0; i < nfds; i++)
		if (dup2(high[i], first + (int)i) == -1)
			return -1;
	closefrom(first + (int)nfds);
	return 0;
}

/*
 * A nursery looks up all functions at once (ld.so(8)), or each of its workers
 * would look up anew those that it calls.
 */
static char **
make_environment(enum role role)
{
	static char bind_now[] = "LD_BIND_NOW=1";
	char **env = inherit_environment();
	size_t n = 0;

	if (role != ROLE_NURSERY)
		return env;
	while (env[n] != NULL)
		n++;
	env = xrecallocarray(env, n + 1, n + 2, sizeof(*env));
	env[n] = bind_now;
	return env;
}

/*
 * In the child, on the master's memory: only async-signal-safe calls, and no
 * signal, or a handler of the master's would run in it.
 */
static pid_t
fork_and_exec(
    char *const *argv, char *const *env, const int *fds, int *high, size_t nfds)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = vfork();
	if (pid == 0) {
		if (lay_out(fds, high, nfds) == 0)
			execve("/proc/self/exe", argv, env);
		_exit(127);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

pid_t
child_spawn(const char *daemon, enum role role, unsigned int number,
    uint32_t serial, const int *fds, size_t nfds)
{
	char name[32], place[16], id[16], parent[16], count[16];
	char flag[] = ROLE_ARG, what[16];
	char *argv[] = { name, flag, what, place, id, parent, count, NULL };
	char **env;
	int high[FDS_MAX];
	pid_t pid;

	if (nfds > FDS_MAX || nfds < ROLE_FD_FIRST - ROLE_FD_MASTER) {
		errno = EINVAL;
		return -1;
	}
	(void)strlcpy(name, daemon, sizeof(name));
	(void)snprintf(what, sizeof(what), "%d", (int)role);
	(void)snprintf(place, sizeof(place), "%u", number);
	(void)snprintf(id, sizeof(id), "%" PRIu32, serial);
	(void)snprintf(parent, sizeof(parent), "%ld", (long)getpid());
	(void)snprintf(count, sizeof(count), "%zu",
	    nfds - (ROLE_FD_FIRST - ROLE_FD_MASTER));
	env = make_environment(role);
	pid = fork_and_exec(argv, env, fds, high, nfds);
	free(env);
	return pid;
}

unsigned int
child_backoff_ms(unsigned int failures)
{
	if (failures < 2)
		return 0;
	return failures > 9 ? 30000 : 100U << (failures - 2);
}

char *
child_fate(int status, char *dst, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(dst, size, "was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(
		    dst, size, "exited with %d", WEXITSTATUS(status));
	return dst;
}
