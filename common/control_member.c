/* SPDX-License-Identifier: ISC */
/*
 * control_member: the processes that the role control asks.  Workers may have
 * been taken over: each tells of itself alone, and which process it is, is the
 * master's word.
 */
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "control_impl.h"
#include "log.h"
#include "xmalloc.h"

static int
member_compare(const struct member *a, const struct member *b)
{
	return a->process.serial < b->process.serial
	    ? -1
	    : a->process.serial > b->process.serial;
}

RB_GENERATE(members, member, entry, member_compare)

static struct member *
find_or_make(struct control *c, uint32_t serial)
{
	struct member key = { .process = { .serial = serial } }, *m;

	m = RB_FIND(members, &c->members, &key);
	if (m != NULL)
		return m;
	m = xcalloc(1, sizeof(*m));
	m->control = c;
	m->process.serial = serial;
	RB_INSERT(members, &c->members, m);
	return m;
}

/* What a worker or the broker may say: answers to this question alone. */
static int
on_member(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct member *m = arg;
	struct msg_servers_reply servers;
	struct msg_kick_reply kick;
	struct msg_list_end end;
	struct msg_session session;

	(void)ch;
	(void)fd; /* msg_allowed(): none of these brings one */
	switch (type) {
	case MSG_SESSION:
		if (msg_get_session(r, &session) == -1)
			return -1;
		if (id == m->control->roll && m->state == MEMBER_ASKED)
			return ask_session(m, &session);
		return 0;
	case MSG_LIST_END:
		if (msg_get_list_end(r, &end) == -1)
			return -1;
		if (id == m->control->roll && m->state == MEMBER_ASKED)
			ask_listed(m, &end);
		return 0;
	case MSG_KICK_REPLY:
		if (msg_get_kick_reply(r, &kick) == -1)
			return -1;
		if (id == m->control->roll && m->state == MEMBER_ASKED)
			ask_kicked(m, &kick);
		return 0;
	case MSG_SERVERS_REPLY:
		if (msg_get_servers_reply(r, &servers) == -1)
			return -1;
		if (id == m->control->roll && m->state == MEMBER_ASKED)
			ask_servers(m, &servers);
		return 0;
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

static void
on_member_closed(void *arg, struct ipc *ch, const char *why)
{
	struct member *m = arg;

	(void)ch;
	if (why != NULL)
		log_warnx("%s %u sent %s", role_name(m->process.role),
		    m->process.number + 1U, why);
	ipc_free(&m->ch);
	/* Who broke a rule lives on, and owes its answer for good. */
	if (why == NULL) {
		m->gone = clock_ms();
		ask_member_gone(m);
	}
}

int
member_introduce(struct control *c, struct reader *r, int fd)
{
	struct msg_peer peer;
	struct member *m;

	if (msg_get_peer(r, &peer) == -1 ||
	    (peer.role != ROLE_WORKER && peer.role != ROLE_BROKER)) {
		close(fd);
		return -1;
	}
	m = find_or_make(c, peer.serial);
	m->process.role = peer.role;
	m->process.number = peer.number;
	ipc_free(&m->ch);
	m->gone = 0;
	m->ch = ipc_new(c->base, fd, ROLE_CONTROL, (enum role)peer.role,
	    on_member, on_member_closed, m);
	return 0;
}

int
member_told(struct control *c, struct reader *r)
{
	struct msg_process p;
	struct member *m;

	if (msg_get_process(r, &p) == -1)
		return -1;
	m = find_or_make(c, p.serial);
	m->process = p;
	m->roll = c->roll;
	m->state = MEMBER_IDLE;
	m->sessions = m->logged_in = 0;
	return 0;
}

void
members_forget_others(struct control *c)
{
	struct member *m, *next;

	RB_FOREACH_SAFE(m, members, &c->members, next)
	{
		if (m->roll == c->roll)
			continue;
		RB_REMOVE(members, &c->members, m);
		ipc_free(&m->ch);
		free(m);
	}
}

void
member_ask_list(struct member *m, bool rows)
{
	struct msg_list list = { m->next, rows };
	struct writer w UNZEROED;

	m->rows = 0;
	msg_start(&w, MSG_LIST, m->control->roll);
	msg_put_list(&w, &list);
	(void)ipc_send(m->ch, &w, -1);
}

void
member_ask_kick(struct member *m, const struct asker *a)
{
	struct msg_kick kick = { (uint32_t)a->uid, a->ask.user };
	struct writer w UNZEROED;

	msg_start(&w, MSG_KICK, m->control->roll);
	msg_put_kick(&w, &kick);
	(void)ipc_send(m->ch, &w, -1);
}

void
member_ask_servers(struct member *m)
{
	struct writer w UNZEROED;

	msg_start(&w, MSG_SERVERS, m->control->roll);
	(void)ipc_send(m->ch, &w, -1);
}
