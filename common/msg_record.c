/* SPDX-License-Identifier: ISC */
/*
 * msg_record: the codec of MSG_RECORD.  Runs in the worker and in the master,
 * which looks at how many and how long; what they mean is the protocol's.
 */
#include "msg.h"

_Static_assert(MSG_HEADER + 2 * 32 +
            MSG_RECORD_TEXTS * (4 + MSG_RECORD_TEXT_MAX) +
            MSG_RECORD_NUMBERS * sizeof(uint64_t) <=
        MSG_MAX,
    "the longest record fits");

void
msg_put_record(struct writer *w, const struct msg_record *m)
{
	unsigned int i;

	put_u8(w, m->type);
	put_u8(w, m->ntexts);
	put_u8(w, m->nnumbers);
	put_addr(w, &m->client);
	put_addr(w, &m->server);
	for (i = 0; i < m->ntexts; i++)
		put_text(w, m->texts[i]);
	for (i = 0; i < m->nnumbers; i++)
		put_u64(w, m->numbers[i]);
}

int
msg_get_record(struct reader *r, struct msg_record *m)
{
	unsigned int i;

	if (get_u8(r, &m->type) == -1 || get_u8(r, &m->ntexts) == -1 ||
	    get_u8(r, &m->nnumbers) == -1 || m->ntexts > MSG_RECORD_TEXTS ||
	    m->nnumbers > MSG_RECORD_NUMBERS || get_addr(r, &m->client) == -1 ||
	    get_addr(r, &m->server) == -1)
		return -1;
	for (i = 0; i < m->ntexts; i++)
		if (get_text(r, MSG_RECORD_TEXT_MAX, &m->texts[i]) == -1)
			return -1;
	for (i = 0; i < m->nnumbers; i++)
		if (get_u64(r, &m->numbers[i]) == -1)
			return -1;
	return get_end(r);
}
