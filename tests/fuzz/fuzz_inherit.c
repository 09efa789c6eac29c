/* SPDX-License-Identifier: ISC */
/*
 * fuzz_inherit: the environment by which a service manager hands over its
 * sockets (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES).
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"
#include "inherit.h"

#define VARIABLES_MAX 12

extern char **environ;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), to;

	(void)argc;
	(void)argv;
	fuzz_quiet();
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
	    listen(fd, 1) == 0);
	/* In the places where they are looked for, if those are free. */
	for (to = 3; to < 7; to++)
		if (fcntl(to, F_GETFD) == -1)
			MUST(dup2(fd, to) != -1);
	MUST(dup2(open("/dev/null", O_RDWR), 7) != -1);
	MUST(dup2(socket(AF_INET, SOCK_STREAM, 0), 8) != -1);
	return 0;
}

static void
check(const struct inherited *in)
{
	size_t i;

	MUST(in->n <= INHERIT_MAX);
	MUST((in->kind == INHERIT_NONE) == (in->n == 0));
	MUST(in->kind != INHERIT_CLIENT || in->n == 1);
	for (i = 0; i < in->n; i++) {
		MUST(memchr(in->sockets[i].name, '\0', INHERIT_NAME_MAX) !=
		    NULL);
		MUST(fuzz_printable(text_of(in->sockets[i].name)));
		MUST(in->sockets[i].local.sa.sa_family == AF_INET);
		MUST(fcntl(in->sockets[i].fd, F_GETFD) == FD_CLOEXEC);
		MUST((fcntl(in->sockets[i].fd, F_GETFL) & O_NONBLOCK) != 0);
	}
}

static void
check_environment(size_t n)
{
	char **rest = inherit_environment();
	size_t i;

	for (i = 0; rest[i] != NULL; i++)
		MUST(strncmp(rest[i], "LISTEN_FDS=", 11) != 0 &&
		    strncmp(rest[i], "LISTEN_PID=", 11) != 0 &&
		    strncmp(rest[i], "NOTIFY_SOCKET=", 14) != 0);
	MUST(i <= n);
	free(rest);
}

/* A variable in a line; "PID" in it stands for our own. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char *variables[VARIABLES_MAX + 1] = { NULL }, **before = environ, *s;
	struct inherited found;
	size_t n = 0, i;
	struct text t;

	while (in.left > 0 && n < VARIABLES_MAX) {
		t = input_line(&in);
		if (text_eq(t, "LISTEN_PID=PID")) {
			MUST(asprintf(&s, "LISTEN_PID=%d", (int)getpid()) > 0);
		} else {
			s = strndup(t.p, t.len);
		}
		variables[n++] = s;
	}
	environ = variables;
	if (inherit_find(&found) == 0)
		check(&found);
	check_environment(n);
	environ = before;
	for (i = 0; i < n; i++)
		free(variables[i]);
	return 0;
}
