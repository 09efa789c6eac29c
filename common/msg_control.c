/* SPDX-License-Identifier: ISC */
/*
 * msg_control: the codecs of the control socket's messages.  Runs in whoever
 * asks, in the role control, and in those that it asks; each takes the others
 * for captured.
 */
#include "msg_control.h"

void
msg_put_ask(struct writer *w, const struct msg_ask *m)
{
	put_u16(w, m->version);
	put_u8(w, m->what);
	put_u8(w, m->json);
	put_text(w, m->user);
}

int
msg_get_ask(struct reader *r, struct msg_ask *m)
{
	if (get_u16(r, &m->version) == -1 ||
	    get_enum(r, ASKS, &m->what) == -1 || get_bool(r, &m->json) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->user) == -1 ||
	    (m->user.len > 0) != (m->what == ASK_KICK) || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_answer(struct writer *w, const struct msg_answer *m)
{
	put_text(w, m->text);
}

int
msg_get_answer(struct reader *r, struct msg_answer *m)
{
	return get_text(r, MSG_ANSWER_MAX, &m->text) == -1 || get_end(r) == -1
	    ? -1
	    : 0;
}

void
msg_put_answer_end(struct writer *w, const struct msg_answer_end *m)
{
	put_u8(w, m->status);
	put_text(w, m->complaint);
}

int
msg_get_answer_end(struct reader *r, struct msg_answer_end *m)
{
	if (get_enum(r, CONTROL_STATUSES, &m->status) == -1 ||
	    get_text(r, MSG_COMPLAINT_MAX, &m->complaint) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_roll(struct writer *w, const struct msg_roll *m)
{
	put_u32(w, m->after);
}

int
msg_get_roll(struct reader *r, struct msg_roll *m)
{
	return get_u32(r, &m->after) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_process(struct writer *w, const struct msg_process *m)
{
	put_u8(w, m->role);
	put_u16(w, m->number);
	put_u32(w, m->serial);
	put_u32(w, m->pid);
	put_u32(w, m->generation);
	put_u8(w, m->state);
	put_u8(w, m->reachable);
	put_u32(w, m->age);
	put_u32(w, m->restarts);
}

int
msg_get_process(struct reader *r, struct msg_process *m)
{
	if (get_enum(r, ROLE_MAX, &m->role) == -1 ||
	    get_u16(r, &m->number) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_u32(r, &m->pid) == -1 || get_u32(r, &m->generation) == -1 ||
	    get_enum(r, PROCESS_STATES, &m->state) == -1 ||
	    get_bool(r, &m->reachable) == -1 || get_u32(r, &m->age) == -1 ||
	    get_u32(r, &m->restarts) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_roll_end(struct writer *w, const struct msg_roll_end *m)
{
	put_u8(w, m->more);
	put_u32(w, m->last);
	put_u32(w, m->generation);
	put_u32(w, m->uptime);
}

int
msg_get_roll_end(struct reader *r, struct msg_roll_end *m)
{
	if (get_bool(r, &m->more) == -1 || get_u32(r, &m->last) == -1 ||
	    get_u32(r, &m->generation) == -1 || get_u32(r, &m->uptime) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_totals(struct writer *w, const struct msg_totals *m)
{
	size_t i;

	for (i = 0; i < TOTALS; i++)
		put_u64(w, m->n[i]);
}

int
msg_get_totals(struct reader *r, struct msg_totals *m)
{
	size_t i;

	for (i = 0; i < TOTALS; i++)
		if (get_u64(r, &m->n[i]) == -1)
			return -1;
	return get_end(r);
}

void
msg_put_servers_reply(struct writer *w, const struct msg_servers_reply *m)
{
	unsigned int i;

	put_u8(w, m->n);
	for (i = 0; i < m->n; i++) {
		put_u32(w, m->servers[i].failures);
		put_u32(w, m->servers[i].alone);
	}
}

int
msg_get_servers_reply(struct reader *r, struct msg_servers_reply *m)
{
	unsigned int i;

	if (get_u8(r, &m->n) == -1 || m->n > CONF_SERVERS_MAX)
		return -1;
	for (i = 0; i < m->n; i++)
		if (get_u32(r, &m->servers[i].failures) == -1 ||
		    get_u32(r, &m->servers[i].alone) == -1)
			return -1;
	return get_end(r);
}

void
msg_put_list(struct writer *w, const struct msg_list *m)
{
	put_u32(w, m->from);
	put_u8(w, m->rows);
}

int
msg_get_list(struct reader *r, struct msg_list *m)
{
	if (get_u32(r, &m->from) == -1 || get_bool(r, &m->rows) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_list_end(struct writer *w, const struct msg_list_end *m)
{
	put_u32(w, m->next);
	put_u32(w, m->sessions);
	put_u32(w, m->logged_in);
}

int
msg_get_list_end(struct reader *r, struct msg_list_end *m)
{
	if (get_u32(r, &m->next) == -1 || get_u32(r, &m->sessions) == -1 ||
	    get_u32(r, &m->logged_in) == -1 || m->logged_in > m->sessions ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_session(struct writer *w, const struct msg_session *m)
{
	put_u8(w, m->stage);
	put_u8(w, m->client_secure);
	put_u8(w, m->server_secure);
	put_addr(w, &m->client);
	put_text(w, m->user);
	put_text(w, m->server);
	put_text(w, m->tls);
	put_text(w, m->cipher);
	put_u64(w, m->received);
	put_u64(w, m->sent);
	put_u32(w, m->seconds);
}

int
msg_get_session(struct reader *r, struct msg_session *m)
{
	if (get_enum(r, STAGES, &m->stage) == -1 ||
	    get_enum(r, SECURE_MAX, &m->client_secure) == -1 ||
	    get_enum(r, SECURE_MAX, &m->server_secure) == -1 ||
	    get_addr(r, &m->client) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->user) == -1 ||
	    get_text(r, MSG_SERVER_NAME_MAX, &m->server) == -1 ||
	    get_text(r, MSG_TLS_MAX, &m->tls) == -1 ||
	    get_text(r, MSG_TLS_MAX, &m->cipher) == -1 ||
	    get_u64(r, &m->received) == -1 || get_u64(r, &m->sent) == -1 ||
	    get_u32(r, &m->seconds) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_kick(struct writer *w, const struct msg_kick *m)
{
	put_u32(w, m->uid);
	put_text(w, m->user);
}

int
msg_get_kick(struct reader *r, struct msg_kick *m)
{
	if (get_u32(r, &m->uid) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->user) == -1 || m->user.len == 0 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_kick_reply(struct writer *w, const struct msg_kick_reply *m)
{
	uint8_t i;

	put_u32(w, m->ended);
	put_u32(w, m->owed);
	put_u32(w, m->unknown);
	put_u8(w, m->nsimilar);
	for (i = 0; i < m->nsimilar; i++)
		put_text(w, m->similar[i]);
}

int
msg_get_kick_reply(struct reader *r, struct msg_kick_reply *m)
{
	uint8_t i;

	if (get_u32(r, &m->ended) == -1 || get_u32(r, &m->owed) == -1 ||
	    m->owed > m->ended || get_u32(r, &m->unknown) == -1 ||
	    get_u8(r, &m->nsimilar) == -1 || m->nsimilar > MSG_SIMILAR_MAX)
		return -1;
	for (i = 0; i < m->nsimilar; i++)
		if (get_text(r, MSG_NAME_MAX, &m->similar[i]) == -1 ||
		    m->similar[i].len == 0)
			return -1;
	return get_end(r);
}
