/* SPDX-License-Identifier: ISC */
/*
 * msg_broker: the codecs of what worker and broker say of clients and of inner
 * servers, from admission to release.  Runs in these two; see msg.c.
 */
#include "msg.h"

void
msg_put_admit(struct writer *w, const struct msg_admit *m)
{
	put_u32(w, m->session);
	put_u8(w, m->waits);
	put_addr(w, &m->client);
}

int
msg_get_admit(struct reader *r, struct msg_admit *m)
{
	return get_u32(r, &m->session) == -1 || get_bool(r, &m->waits) == -1 ||
	        get_addr(r, &m->client) == -1 || get_end(r) == -1
	    ? -1
	    : 0;
}

void
msg_put_admit_reply(struct writer *w, const struct msg_admit_reply *m)
{
	put_u32(w, m->session);
	put_u8(w, m->verdict);
	put_text(w, m->name);
}

int
msg_get_admit_reply(struct reader *r, struct msg_admit_reply *m)
{
	if (get_u32(r, &m->session) == -1 ||
	    get_enum(r, ADMIT_VERDICTS, &m->verdict) == -1 ||
	    get_text(r, MSG_PEER_NAME_MAX, &m->name) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_release(struct writer *w, const struct msg_release *m)
{
	put_u32(w, m->session);
}

int
msg_get_release(struct reader *r, struct msg_release *m)
{
	return get_u32(r, &m->session) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_handshakes(struct writer *w, const struct msg_handshakes *m)
{
	put_u32(w, m->session);
	put_u8(w, m->n);
}

int
msg_get_handshakes(struct reader *r, struct msg_handshakes *m)
{
	return get_u32(r, &m->session) == -1 || get_u8(r, &m->n) == -1 ||
	        get_end(r) == -1
	    ? -1
	    : 0;
}

void
msg_put_held(struct writer *w, const struct msg_held *m)
{
	put_u8(w, m->last);
	put_u16(w, m->n);
	put_text(w, m->sessions);
}

int
msg_get_held(struct reader *r, struct msg_held *m)
{
	if (get_bool(r, &m->last) == -1 || get_u16(r, &m->n) == -1 ||
	    m->n > MSG_HELD_MAX ||
	    get_text(r, MSG_HELD_MAX * sizeof(uint32_t), &m->sessions) == -1 ||
	    m->sessions.len != m->n * sizeof(uint32_t) || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_connect(struct writer *w, const struct msg_connect *m)
{
	put_u32(w, m->session);
	put_u64(w, m->tried);
	put_text(w, m->user);
}

int
msg_get_connect(struct reader *r, struct msg_connect *m)
{
	if (get_u32(r, &m->session) == -1 || get_u64(r, &m->tried) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->user) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_connect_reply(struct writer *w, const struct msg_connect_reply *m)
{
	put_u32(w, m->session);
	put_u8(w, m->ok);
	put_u8(w, m->turned);
	put_u16(w, m->server);
	put_u32(w, m->failure_delay_ms);
}

int
msg_get_connect_reply(struct reader *r, struct msg_connect_reply *m)
{
	if (get_u32(r, &m->session) == -1 || get_bool(r, &m->ok) == -1 ||
	    get_bool(r, &m->turned) == -1 || (m->ok && m->turned) ||
	    get_u16(r, &m->server) == -1 ||
	    get_u32(r, &m->failure_delay_ms) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_outcome(struct writer *w, const struct msg_outcome *m)
{
	put_u32(w, m->session);
	put_u16(w, m->server);
	put_u8(w, m->outcome);
	put_u16(w, m->proof);
}

int
msg_get_outcome(struct reader *r, struct msg_outcome *m)
{
	if (get_u32(r, &m->session) == -1 || get_u16(r, &m->server) == -1 ||
	    get_enum(r, OUTCOMES, &m->outcome) == -1 ||
	    get_u16(r, &m->proof) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_learn(struct writer *w, const struct msg_learn *m)
{
	put_u16(w, m->server);
}

int
msg_get_learn(struct reader *r, struct msg_learn *m)
{
	return get_u16(r, &m->server) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_capability(struct writer *w, const struct msg_capability *m)
{
	put_u16(w, m->server);
	put_u8(w, m->known);
	put_text(w, m->list);
}

int
msg_get_capability(struct reader *r, struct msg_capability *m)
{
	if (get_u16(r, &m->server) == -1 || get_bool(r, &m->known) == -1 ||
	    get_text(r, MSG_LIST_MAX, &m->list) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_capability_set(struct writer *w, const struct msg_capability_set *m)
{
	put_u8(w, m->known);
	put_text(w, m->list);
}

int
msg_get_capability_set(struct reader *r, struct msg_capability_set *m)
{
	if (get_bool(r, &m->known) == -1 ||
	    get_text(r, MSG_LIST_MAX, &m->list) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}
