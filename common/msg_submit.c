/* SPDX-License-Identifier: ISC */
/*
 * msg_submit: the codecs of what a worker asks about a user's messages.  Runs
 * in workers and in the broker; see msg.c.
 */
#include "msg.h"

void
msg_put_submit(struct writer *w, const struct msg_submit *m)
{
	put_u32(w, m->session);
	put_u8(w, m->what);
	put_text(w, m->user);
	put_text(w, m->sender);
}

int
msg_get_submit(struct reader *r, struct msg_submit *m)
{
	if (get_u32(r, &m->session) == -1 ||
	    get_enum(r, SUBMIT_WHATS, &m->what) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->user) == -1 ||
	    get_text(r, MSG_SENDER_MAX, &m->sender) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_submit_reply(struct writer *w, const struct msg_submit_reply *m)
{
	put_u32(w, m->session);
	put_u8(w, m->verdict);
}

int
msg_get_submit_reply(struct reader *r, struct msg_submit_reply *m)
{
	if (get_u32(r, &m->session) == -1 ||
	    get_enum(r, SUBMIT_VERDICTS, &m->verdict) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}
