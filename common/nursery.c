/* SPDX-License-Identifier: ISC */
/*
 * nursery: loads what a worker needs and forks workers.  Runs as a worker does,
 * confined like one, but for the right to fork; it hears the master and nobody
 * else, so that what it gives to a worker never came from a client.
 *
 * The master is to be the parent of what is born here: it waits for it, and
 * its death is to kill it.  clone(2) has CLONE_PARENT for that, but not
 * fork(3), and it must be fork(3): GnuTLS and libbsd learn by pthread_atfork(3)
 * alone that their random numbers are no longer theirs, and two workers with
 * the same ones would give the same keys and nonces to two clients.  So there
 * is a child between: it forks the worker and ends, and the kernel gives the
 * orphan to the master (PR_SET_CHILD_SUBREAPER).
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "nursery.h"
#include "worker.h"
#include "xmalloc.h"

struct nursery {
	struct role_start start; /* a worker's, in what is born */
	struct worker *worker;   /* as each is at its birth */
	struct text filter;      /* for each */
	struct ipc *master;
	/* what the master asked for, and the worker's channel; -1: nothing */
	struct msg_birth birth;
	int channel;
};

/* In the worker: the one between us and the master is gone. */
static void
await_parent(const int go[2])
{
	char octet;

	close(go[1]);
	if (read(go[0], &octet, sizeof(octet)) != sizeof(octet))
		_exit(1); /* the nursery died */
	close(go[0]);
}

static _Noreturn void
live(struct nursery *n, const int go[2])
{
	await_parent(go);
	role_born(&n->start, n->birth.number, n->birth.serial, n->channel);
	worker_serve(n->worker, n->filter);
}

/*
 * In the one between, on the nursery's memory.  The master hears of the worker
 * before it can be its parent, and so before it can hear of its end.
 */
static _Noreturn void
pass_on(struct nursery *n, const int go[2])
{
	struct msg_born m = { n->birth.number, n->birth.serial, 0 };
	struct writer w UNZEROED;
	pid_t pid = fork();

	if (pid == 0)
		live(n, go);
	if (pid == -1)
		_exit(errno & 0xff);
	m.pid = (uint32_t)pid;
	msg_start(&w, MSG_BORN, 0);
	msg_put_born(&w, &m);
	(void)ipc_send(n->master, &w, -1);
	_exit(0);
}

/* A nursery that cannot ends, and the master makes another in good time. */
static void
bear(struct nursery *n)
{
	int go[2], status;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) == -1)
		fatal("pipe");
	pid = vfork();
	if (pid == 0)
		pass_on(n, go);
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		fatal("fork");
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	if (errno != 0)
		fatal("a worker's fork");
	(void)!write(go[1], "", 1); /* it may have been killed already */
	close(go[0]);
	close(go[1]);
	close(n->channel);
	n->channel = -1;
}

/* What the master may say.  The fork is for where nothing is under way. */
static int
on_master(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct nursery *n = arg;

	(void)ch;
	(void)id;
	if (type == MSG_STOP)
		role_end();
	if (type != MSG_BIRTH || n->channel != -1 ||
	    msg_get_birth(r, &n->birth) == -1) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	n->channel = fd;
	event_base_loopbreak(n->start.base);
	return 0;
}

static void
keep_filter(struct nursery *n)
{
	struct text t =
	    handover_get(n->start.handover, HANDOVER_FILTER_BORN, 0);
	char *copy = xmalloc(t.len);

	if (t.len > 0)
		memcpy(copy, t.p, t.len);
	n->filter = (struct text){ copy, t.len };
}

/* Further descriptors: as a worker's, without its channels. */
void
nursery_main(const struct role_start *start)
{
	struct nursery n = { .start = *start, .channel = -1 };
	struct sandbox box = { .role = ROLE_NURSERY };

	n.worker = worker_load(&n.start);
	keep_filter(&n);
	n.master = role_confine(&n.start, &box, 0, on_master, &n);
	for (;;) {
		event_base_dispatch(n.start.base);
		if (n.channel != -1)
			bear(&n);
	}
}
