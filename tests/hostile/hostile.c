/* SPDX-License-Identifier: ISC */
/*
 * hostile: a role that has been taken over.  Linked into a daemon of the
 * tests' own (the linker's --wrap=role_confine): the processes are started,
 * loaded and confined as ever, by the same code; then those that the test
 * wants so do what it says, and nothing else.
 *
 * The test listens at "control", a socket beside the program.  Each process
 * says there who it is, before it is confined, and hears whether it is to stay
 * what it is.  A hostile one hands the test copies of all descriptors that it
 * was left with, so that the test speaks on its channels, and makes
 * the system calls that it asks for.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdpass.h"
#include "role.h"

#define FDS_TRIED 64      /* descriptors of a role lie below that */
#define REQUEST_MAX 65536 /* octets of one request of the test */
#define ARGS 6
#define HOG_PART (1UL << 20)

/* A request: what is to be done, numbers, then octets for a pointer. */
enum what { CALL, SPIN, HOG };
struct request {
	uint64_t what;
	uint64_t call;
	uint64_t pointers; /* bit i: argument i is an offset into data */
	uint64_t args[ARGS];
	char data[];
};

struct ipc *__real_role_confine(const struct role_start *start,
    const struct sandbox *box, unsigned int files, ipc_handler *handler,
    void *arg);
struct ipc *__wrap_role_confine(const struct role_start *start,
    const struct sandbox *box, unsigned int files, ipc_handler *handler,
    void *arg);

/* A connection to the test; -1: none, as in what a nursery bears. */
static int
open_control(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char path[sizeof(sun.sun_path)], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	int fd;

	if (n <= 0)
		return -1;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return -1;
	*slash = '\0';
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%.*s/control",
	    (int)(sizeof(sun.sun_path) - sizeof("/control")), path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

/* True: this process is to be hostile. */
static bool
is_chosen(const struct role_start *start, int control)
{
	char text[128], word = 0;
	int n;

	n = snprintf(text, sizeof(text), "%s %u %" PRIu32 " %ld",
	    role_name(start->role), start->number, start->serial,
	    (long)getpid());
	if (send(control, text, (size_t)n, MSG_NOSIGNAL) != n ||
	    recv(control, &word, 1, 0) != 1)
		return false;
	return word == 'h';
}

/* Each with its number; none at the end. */
static void
hand_out(int control)
{
	uint32_t fd;

	for (fd = 0; fd < FDS_TRIED; fd++)
		if ((int)fd != control && fcntl((int)fd, F_GETFL) != -1)
			(void)fdpass_send(control, &fd, sizeof(fd), (int)fd);
	(void)fdpass_send(control, &fd, sizeof(fd), -1);
}

static int64_t
call(struct request *r)
{
	uint64_t a[ARGS];
	long result;
	size_t i;

	for (i = 0; i < ARGS; i++)
		a[i] = (r->pointers >> i & 1) != 0
		    ? (uintptr_t)(r->data + r->args[i])
		    : r->args[i];
	result = syscall((long)r->call, a[0], a[1], a[2], a[3], a[4], a[5]);
	return result == -1 ? -errno : result;
}

/* Take and touch memory, args[0] MiB at most; how many there were to be had. */
static int64_t
hog(const struct request *r)
{
	uint64_t i;
	char *p;

	for (i = 0; i < r->args[0]; i++) {
		p = malloc(HOG_PART);
		if (p == NULL)
			break;
		memset(p, 0x55, HOG_PART);
		__asm__ volatile("" : : "r"(p) : "memory");
	}
	return (int64_t)i;
}

static _Noreturn void
obey(int control)
{
	static _Alignas(struct request) char space[REQUEST_MAX];
	struct request *r = (struct request *)space;
	volatile uint64_t turns = 0;
	int64_t answer = 0;
	ssize_t n;
	int fd;

	hand_out(control);
	for (;;) {
		/* every role may receive and send messages, so */
		n = fdpass_recv(control, space, sizeof(space), true, &fd);
		if (n < (ssize_t)sizeof(*r))
			_exit(0); /* the test is over */
		if (r->what == SPIN)
			for (;;)
				turns++;
		answer = r->what == HOG ? hog(r) : call(r);
		/* the answer, and the data as the call has left them */
		memmove(
		    space + sizeof(answer), r->data, (size_t)n - sizeof(*r));
		memcpy(space, &answer, sizeof(answer));
		(void)fdpass_send(control, space,
		    sizeof(answer) + (size_t)n - sizeof(*r), -1);
	}
}

struct ipc *
__wrap_role_confine(const struct role_start *start, const struct sandbox *box,
    unsigned int files, ipc_handler *handler, void *arg)
{
	struct ipc *master;
	int control = open_control();
	bool chosen = control != -1 && is_chosen(start, control);

	if (!chosen && control != -1)
		close(control);
	master = __real_role_confine(start, box, files, handler, arg);
	if (chosen)
		obey(control);
	return master;
}
