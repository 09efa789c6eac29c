/* SPDX-License-Identifier: ISC */
/*
 * background: out of the terminal of whoever starts the daemon.  Runs in the
 * master.
 */
#include <fcntl.h>
#include <unistd.h>

#include "background.h"
#include "log.h"

int
background_enter(void)
{
	char verdict = 1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		fatal("pipe");
	pid = fork();
	if (pid == -1)
		fatal("fork");
	if (pid > 0) {
		close(fds[1]);
		if (read(fds[0], &verdict, 1) != 1)
			verdict = 1;
		_exit(verdict);
	}
	close(fds[0]);
	(void)setsid();
	return fds[1];
}

void
background_ready(int parent)
{
	const char ok = 0;
	int null;

	if (chdir("/") == -1)
		log_warn("chdir");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(parent, &ok, 1) != 1)
		log_warn("telling that we serve");
	close(parent);
}
