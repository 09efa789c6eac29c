/* SPDX-License-Identifier: ISC */
/*
 * msg_stats: what the master hands to the metrics role.
 */
#include "msg.h"

void
msg_put_stats(struct writer *w, const struct msg_stats *m)
{
	put_u8(w, m->role);
	put_u8(w, m->old);
}

int
msg_get_stats(struct reader *r, struct msg_stats *m)
{
	if (get_enum(r, ROLE_MAX, &m->role) == -1 ||
	    get_bool(r, &m->old) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}
