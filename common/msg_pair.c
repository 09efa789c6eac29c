/* SPDX-License-Identifier: ISC */
/*
 * msg_pair: the codecs of what master, keeper, worker and those who tell say
 * of certificates.  Runs in these; see msg.c.
 */
#include "msg.h"

void
msg_put_pairs(struct writer *w, const struct msg_pairs *m)
{
	put_u32(w, m->len);
}

int
msg_get_pairs(struct reader *r, struct msg_pairs *m)
{
	if (get_u32(r, &m->len) == -1 || get_end(r) == -1)
		return -1;
	return m->len > 0 ? 0 : -1;
}

void
msg_put_certificates(struct writer *w, const struct msg_certificates *m)
{
	put_u32(w, m->len);
}

int
msg_get_certificates(struct reader *r, struct msg_certificates *m)
{
	if (get_u32(r, &m->len) == -1 || get_end(r) == -1)
		return -1;
	return m->len > 0 ? 0 : -1;
}

void
msg_put_expiries(struct writer *w, const struct msg_expiries *m)
{
	put_u32(w, m->len);
}

int
msg_get_expiries(struct reader *r, struct msg_expiries *m)
{
	return get_u32(r, &m->len) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_pair(struct writer *w, const struct msg_pair *m)
{
	put_u16(w, m->number);
	put_u8(w, m->ok);
	put_u64(w, m->not_before);
	put_u64(w, m->not_after);
	put_text(w, m->names);
	put_text(w, m->why);
	put_text(w, m->chain);
}

int
msg_get_pair(struct reader *r, struct msg_pair *m)
{
	if (get_u16(r, &m->number) == -1 || get_bool(r, &m->ok) == -1 ||
	    get_u64(r, &m->not_before) == -1 ||
	    get_u64(r, &m->not_after) == -1 ||
	    get_text(r, MSG_PAIR_NAMES_MAX, &m->names) == -1 ||
	    get_text(r, MSG_PAIR_WHY_MAX, &m->why) == -1 ||
	    get_text(r, MSG_CHAIN_MAX, &m->chain) == -1 || get_end(r) == -1)
		return -1;
	return m->ok == (m->chain.len > 0) && m->not_before <= INT64_MAX &&
	        m->not_after <= INT64_MAX
	    ? 0
	    : -1;
}

void
msg_put_pair_drop(struct writer *w, const struct msg_pair_drop *m)
{
	put_u16(w, m->number);
}

int
msg_get_pair_drop(struct reader *r, struct msg_pair_drop *m)
{
	if (get_u16(r, &m->number) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}
