/* SPDX-License-Identifier: ISC */
/*
 * certs: the certificates that this generation serves: where their files are,
 * what keepers think of them, and the memfds that keepers and workers have of
 * them.  No octet of a key enters the memory of the process, the master.
 */
#ifndef CERTS_H
#define CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "conf.h"
#include "expiry.h"
#include "msg.h"

#define CERTS_WARN_DAYS 14 /* until the end: it is in the log, daily */

struct certs;

/*
 * The configuration's pairs and those of ssl_cert_dir, added to the memfd fd,
 * which has all else that keepers are handed.  Each file that cannot be had
 * is told; *faults grows for those that must be there: with fussy, all.
 */
struct certs *certs_new(
    const struct conf *c, int fd, bool fussy, unsigned int *faults);
void certs_free(struct certs **s);
size_t certs_count(const struct certs *s); /* in use or offered */

/*
 * Look at the files.  True when there is something to do: pairs whose files
 * are new and have not changed since the last look, or pairs that are gone.
 */
bool certs_look(struct certs *s, time_t now);
/*
 * A sealed memfd for MSG_PAIRS with those that are new, and its length; -1:
 * there are none.  The memfd stays s's.
 */
int certs_offer(struct certs *s, uint32_t *len);
/* MSG_PAIR, from whichever keeper.  -1: it makes no sense. */
int certs_heard(struct certs *s, const struct msg_pair *m);
/*
 * All keepers have answered: what is good takes the place of what was before.
 * Each change and each fault is logged.  True: something has changed.
 */
bool certs_settle(struct certs *s, time_t now);
/* It has been called: there are some in use, or never will be. */
bool certs_are_settled(const struct certs *s);
void certs_forget_offer(struct certs *s); /* it is to be made again */

/*
 * A new memfd (sealed, the caller's) for keepers or workers that start from
 * now on, of the one that was so far; -1 with errno: keep that one.
 */
int certs_compose_keeper(struct certs *s, int fd);
int certs_compose_worker(struct certs *s, int fd, size_t base);
/* For MSG_CERTIFICATES: what has changed since the last time. */
int certs_compose_news(struct certs *s, uint32_t *len);

/* A key that is not in use any more: true, once for each, after a while. */
bool certs_next_drop(struct certs *s, time_t now, uint16_t *number);

/* Those that end soon or have ended: in the log, daily. */
void certs_warn(struct certs *s, time_t now);

/*
 * Those in use, one after the other: *at begins with 0.  False: that was the
 * last.  What is in out is borrowed until the next settling.
 */
bool certs_expiry(const struct certs *s, size_t *at, struct expiry *out);

#endif
