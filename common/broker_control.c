/* SPDX-License-Identifier: ISC */
/*
 * broker_control: how the inner servers are, for the control socket.  Runs in
 * the broker; control may have been taken over, and hears of nothing else.
 */
#include "broker_control.h"
#include "ipc.h"
#include "xmalloc.h"

struct broker_control {
	struct event_base *base;
	const struct upstreams *upstreams;
	struct ipc *ch; /* NULL: nobody has asked yet */
};

static int
on_control(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	const struct broker_control *c = arg;
	struct msg_servers_reply reply;
	struct writer w UNZEROED;

	(void)fd; /* msg_allowed(): it brings none */
	if (type != MSG_SERVERS || get_end(r) == -1)
		return -1;
	upstreams_tell(c->upstreams, &reply);
	msg_start(&w, MSG_SERVERS_REPLY, id);
	msg_put_servers_reply(&w, &reply);
	(void)ipc_send(ch, &w, -1);
	return 0;
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	struct broker_control *c = arg;

	(void)ch;
	(void)why; /* the next one comes by itself */
	ipc_free(&c->ch);
}

struct broker_control *
broker_control_new(struct event_base *base, const struct upstreams *u)
{
	struct broker_control *c = xcalloc(1, sizeof(*c));

	c->base = base;
	c->upstreams = u;
	return c;
}

void
broker_control_set(struct broker_control *c, int fd)
{
	ipc_free(&c->ch);
	c->ch = ipc_new(
	    c->base, fd, ROLE_BROKER, ROLE_CONTROL, on_control, on_closed, c);
}
