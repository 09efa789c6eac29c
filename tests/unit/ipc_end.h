/* SPDX-License-Identifier: ISC */
/*
 * ipc_end: a channel whose peer is the test, for the tests of ipc.  Include
 * cmocka.h before it.
 */
#ifndef IPC_END_H
#define IPC_END_H

#include <sys/socket.h>

#include <stdbool.h>
#include <unistd.h>

#include "fdpass.h"
#include "ipc.h"
#include "role.h"

#define BATCH 32 /* messages in one turn (ipc.c) */

/* A broker's channel to a worker, which is us. */
struct end {
	struct ipc *ch;
	int peer;              /* our end */
	unsigned int messages; /* that were handed on */
	uint32_t last;         /* the number in the last */
	unsigned int ends;     /* calls of on_closed */
	const char *why;
	bool wrong; /* what the handler is to say of the next */
	bool free;  /* the handler is to free the channel */
};

static struct event_base *base;

static inline int
on_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct end *e = arg;

	(void)id;
	(void)type;
	assert_ptr_equal(ch, e->ch);
	assert_int_equal(fd, -1);
	if (e->wrong || get_u32(r, &e->last) == -1 || get_end(r) == -1)
		return -1;
	e->messages++;
	if (e->free)
		ipc_free(&e->ch);
	return 0;
}

static inline void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	struct end *e = arg;

	assert_ptr_equal(ch, e->ch);
	e->ends++;
	e->why = why;
	ipc_free(&e->ch);
}

static inline void
open_channel(struct end *e)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	*e = (struct end){ .peer = fds[1] };
	e->ch = ipc_new(
	    base, fds[0], ROLE_BROKER, ROLE_WORKER, on_message, on_closed, e);
}

static inline void
close_channel(struct end *e)
{
	ipc_free(&e->ch);
	close(e->peer);
}

/* All that there is to do now. */
static inline void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The peer sends n releases, numbered from first on. */
static inline void
release(struct end *e, uint32_t first, unsigned int n)
{
	struct msg_release m;
	struct writer w;
	unsigned int i;

	for (i = 0; i < n; i++) {
		m.session = first + i;
		msg_start(&w, MSG_RELEASE, 0);
		msg_put_release(&w, &m);
		assert_int_equal(fdpass_send(e->peer, w.data, w.len, -1), 0);
	}
}

#endif
