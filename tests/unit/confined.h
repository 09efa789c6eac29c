/* SPDX-License-Identifier: ISC */
/*
 * For tests of sandboxes: a child gets everything ready that a confined
 * process could not make, enters a role's sandbox, tries one thing, and tells
 * what came of it.
 */
#ifndef CONFINED_H
#define CONFINED_H

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "priv.h"
#include "sandbox.h"

/* Descriptors of a child before it is confined, by fixed numbers. */
enum {
	FD_LISTENER = 100, /* at port, non-blocking */
	FD_CLIENT,         /* connected to it, not accepted yet */
	FD_FRESH,          /* a new TCP socket */
	FD_UNIX,           /* a new UNIX socket */
	FD_UDP,            /* bound to port */
	FD_EPOLL,
	FD_PAIR,
	FD_PAIR_PEER
};

/* What a child saw: 0, an errno, or how it ended. */
enum { KILLED = -1, ABORTED = -2, STRANGE = -3 };

struct result {
	unsigned int missing;
	int value;
};

typedef int attempt(const void *arg);
typedef unsigned int enter(const struct sandbox *s);

static struct sockaddr_in at, elsewhere; /* an allowed port, another one */
static struct event_base *base;
static void (*prepare_more)(void); /* what a test needs beside */
static bool networked;             /* sasl_network */

/* For preparations, which must not fail. */
static int
must(int result)
{
	if (result == -1) {
		perror("test_sandbox: preparation");
		_exit(99);
	}
	return result;
}

static void
put(int fd, int number)
{
	must(dup2(fd, number));
	close(fd);
}

static int
bound(int type, struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = must(socket(AF_INET, type, 0));

	must(bind(fd, (struct sockaddr *)a, len));
	must(getsockname(fd, (struct sockaddr *)a, &len));
	return fd;
}

/* TCP and UDP on one port: another test may have the UDP port of our TCP. */
static void
bind_both(void)
{
	int tcp, udp, try;

	udp = must(socket(AF_INET, SOCK_DGRAM, 0));
	for (try = 0; try < 50; try++) {
		at.sin_port = 0;
		tcp = bound(SOCK_STREAM, &at);
		if (bind(udp, (struct sockaddr *)&at, sizeof(at)) == 0) {
			put(tcp, FD_LISTENER);
			put(udp, FD_UDP);
			return;
		}
		close(tcp);
	}
	must(-1);
}

static void
prepare(void)
{
	int pair[2];

	at.sin_family = AF_INET;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	elsewhere = at;
	must(listen(bound(SOCK_STREAM, &elsewhere), 1));
	bind_both();
	must(listen(FD_LISTENER, 8));
	must(fcntl(FD_LISTENER, F_SETFL, O_NONBLOCK));
	put(must(socket(AF_INET, SOCK_STREAM, 0)), FD_CLIENT);
	must(connect(FD_CLIENT, (struct sockaddr *)&at, sizeof(at)));
	put(must(socket(AF_INET, SOCK_STREAM, 0)), FD_FRESH);
	put(must(socket(AF_UNIX, SOCK_STREAM, 0)), FD_UNIX);
	put(must(epoll_create1(EPOLL_CLOEXEC)), FD_EPOLL);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	put(pair[0], FD_PAIR);
	put(pair[1], FD_PAIR_PEER);
	base = event_base_new();
	must(base == NULL ? -1 : 0);
	if (prepare_more != NULL)
		prepare_more();
}

static _Noreturn void
child(enum role role, enter *confine, attempt *try, const void *arg,
    struct result *out)
{
	struct sandbox box = {
		.role = role, .read_paths = { "/etc" }, .network = networked
	};
	struct buf filter;
	uint16_t port;

	/* cmocka's handlers would run the rest of the tests here, again. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	prepare();
	port = ntohs(at.sin_port);
	box.ports = &port;
	box.nports = 1;
	buf_init(&filter, SANDBOX_FILTER_MAX);
	sandbox_compile(role, networked, &filter);
	box.filter = buf_view(&filter);
	priv_harden(0, false, role == ROLE_NURSERY);
	out->missing = confine(&box);
	out->value = try(arg);
	_exit(0);
}

/* Not every role may write: what came of it is told in shared memory. */
static struct result
confined(enum role role, enter *confine, attempt *try, const void *arg)
{
	struct result r = { 0, STRANGE }, *told;
	int status;
	pid_t pid;

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(told == MAP_FAILED ? -1 : 0);
	pid = must(fork());
	if (pid == 0)
		child(role, confine, try, arg, told);
	must(waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		r = *told;
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		r.value = KILLED;
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		r.value = ABORTED;
	munmap(told, sizeof(*told));
	return r;
}

#endif
