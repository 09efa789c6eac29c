/* SPDX-License-Identifier: ISC */
/*
 * msg_sasl: the codecs of the messages by which logins are decided on this
 * machine.  Runs in master, broker, workers and authenticators.  What is read
 * here may come from a process that has been taken over.
 */
#include "msg.h"

void
msg_put_auth(struct writer *w, const struct msg_auth *m)
{
	put_u32(w, m->session);
}

int
msg_get_auth(struct reader *r, struct msg_auth *m)
{
	return get_u32(r, &m->session) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_auth_reply(struct writer *w, const struct msg_auth_reply *m)
{
	put_u32(w, m->session);
	put_u8(w, m->ok);
	put_u32(w, m->exchange);
	put_u32(w, m->serial);
}

int
msg_get_auth_reply(struct reader *r, struct msg_auth_reply *m)
{
	if (get_u32(r, &m->session) == -1 || get_bool(r, &m->ok) == -1 ||
	    get_u32(r, &m->exchange) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_pool(struct writer *w, const struct msg_pool *m)
{
	put_u16(w, m->wanted);
}

int
msg_get_pool(struct reader *r, struct msg_pool *m)
{
	return get_u16(r, &m->wanted) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_sasl_mechs(struct writer *w, const struct msg_sasl_mechs *m)
{
	put_text(w, m->list);
}

/* They are going to stand in replies to clients (RFC 4422 3.1). */
static bool
are_mechanisms(struct text list)
{
	size_t i;
	char c;

	for (i = 0; i < list.len; i++) {
		c = list.p[i];
		if ((c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' &&
		    c != '_' && c != ' ')
			return false;
	}
	return true;
}

int
msg_get_sasl_mechs(struct reader *r, struct msg_sasl_mechs *m)
{
	if (get_text(r, MSG_MECHS_MAX, &m->list) == -1 ||
	    !are_mechanisms(m->list) || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_exchange(struct writer *w, const struct msg_exchange *m)
{
	put_u32(w, m->exchange);
	put_u16(w, m->number);
	put_u32(w, m->serial);
	put_u32(w, m->failure_delay_ms);
	put_addr(w, &m->client);
	put_u8(w, m->strict);
}

int
msg_get_exchange(struct reader *r, struct msg_exchange *m)
{
	if (get_u32(r, &m->exchange) == -1 || get_u16(r, &m->number) == -1 ||
	    get_u32(r, &m->serial) == -1 ||
	    get_u32(r, &m->failure_delay_ms) == -1 ||
	    get_addr(r, &m->client) == -1 || get_bool(r, &m->strict) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_step(struct writer *w, const struct msg_step *m)
{
	put_u32(w, m->exchange);
	put_u8(w, m->step);
	put_text(w, m->user);
	put_u16(w, m->proof);
}

int
msg_get_step(struct reader *r, struct msg_step *m)
{
	if (get_u32(r, &m->exchange) == -1 ||
	    get_enum(r, STEPS, &m->step) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->user) == -1 ||
	    get_u16(r, &m->proof) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_broken(struct writer *w, const struct msg_broken *m)
{
	put_u16(w, m->number);
	put_u32(w, m->serial);
}

int
msg_get_broken(struct reader *r, struct msg_broken *m)
{
	if (get_u16(r, &m->number) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_sasl_start(struct writer *w, const struct msg_sasl_start *m)
{
	put_addr(w, &m->local);
	put_u16(w, m->ssf);
	put_u8(w, m->has_initial);
	put_text(w, m->mechanism);
	put_text(w, m->initial);
}

int
msg_get_sasl_start(struct reader *r, struct msg_sasl_start *m)
{
	if (get_addr(r, &m->local) == -1 || get_u16(r, &m->ssf) == -1 ||
	    get_bool(r, &m->has_initial) == -1 ||
	    get_text(r, MSG_MECHANISM_MAX, &m->mechanism) == -1 ||
	    get_text(r, MSG_SASL_MAX, &m->initial) == -1 ||
	    (!m->has_initial && m->initial.len > 0) || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_sasl_step(struct writer *w, const struct msg_sasl_step *m)
{
	put_text(w, m->data);
}

int
msg_get_sasl_step(struct reader *r, struct msg_sasl_step *m)
{
	if (get_text(r, MSG_SASL_MAX, &m->data) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_sasl_check(struct writer *w, const struct msg_sasl_check *m)
{
	put_addr(w, &m->local);
	put_u16(w, m->ssf);
	put_text(w, m->name);
	put_text(w, m->password);
}

int
msg_get_sasl_check(struct reader *r, struct msg_sasl_check *m)
{
	if (get_addr(r, &m->local) == -1 || get_u16(r, &m->ssf) == -1 ||
	    get_text(r, MSG_CREDENTIAL_MAX, &m->name) == -1 ||
	    get_text(r, MSG_CREDENTIAL_MAX, &m->password) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_sasl_reply(struct writer *w, const struct msg_sasl_reply *m)
{
	put_u8(w, m->result);
	put_text(w, m->text);
}

int
msg_get_sasl_reply(struct reader *r, struct msg_sasl_reply *m)
{
	if (get_enum(r, AUTH_RESULTS, &m->result) == -1 ||
	    get_text(r, MSG_SASL_MAX, &m->text) == -1 ||
	    (m->result > AUTH_OK && m->text.len > 0) || get_end(r) == -1)
		return -1;
	return 0;
}
