/* SPDX-License-Identifier: ISC */
/*
 * nursery: loads what a worker needs and forks workers.  Runs as a worker does,
 * confined like one, but for the right to fork; it hears the master and nobody
 * else, so that what it gives to a worker never came from a client.
 *
 * The master is to be the parent of what is born here: it waits for it, and
 * its death is to kill it (orphan.h).
 */
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "nursery.h"
#include "orphan.h"
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

/* In what was born. */
static void
live(void *arg)
{
	struct nursery *n = arg;

	role_born(&n->start, n->birth.number, n->birth.serial, n->channel);
	worker_serve(n->worker, n->filter);
}

/* Before the master can hear of its end. */
static void
tell(void *arg, pid_t pid)
{
	const struct nursery *n = arg;
	struct msg_born m = { n->birth.number, n->birth.serial, (uint32_t)pid };
	struct writer w UNZEROED;

	msg_start(&w, MSG_BORN, 0);
	msg_put_born(&w, &m);
	(void)ipc_send(n->master, &w, -1);
}

/* A nursery that cannot ends, and the master makes another in good time. */
static void
bear(struct nursery *n)
{
	if (orphan_fork(live, tell, n) == -1)
		fatal("a worker cannot be forked");
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
	if (type == MSG_CERTIFICATES)
		return worker_do_certificates(n->worker, r, fd);
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
	struct text t = handover_get(n->start.handover, HANDOVER_BORN, 0);
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
