/* SPDX-License-Identifier: ISC */
/*
 * msg_birth: the codecs of what master and nursery say about workers.  Runs in
 * these two; see msg.c.
 */
#include "msg.h"

void
msg_put_birth(struct writer *w, const struct msg_birth *m)
{
	put_u16(w, m->number);
	put_u32(w, m->serial);
}

int
msg_get_birth(struct reader *r, struct msg_birth *m)
{
	if (get_u16(r, &m->number) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_born(struct writer *w, const struct msg_born *m)
{
	put_u16(w, m->number);
	put_u32(w, m->serial);
	put_u32(w, m->pid);
}

/* 0, 1 and what is negative as a pid_t mean others to kill(2). */
int
msg_get_born(struct reader *r, struct msg_born *m)
{
	if (get_u16(r, &m->number) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_u32(r, &m->pid) == -1 || get_end(r) == -1)
		return -1;
	return m->pid > 1 && m->pid <= INT32_MAX ? 0 : -1;
}
