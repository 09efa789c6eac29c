/* SPDX-License-Identifier: ISC */
/*
 * broker_lesson: what the inner servers can do.  The broker connects to each
 * in turn and has a worker ask for its list (a worker may not connect, the
 * broker does not speak the protocol); what all of them can do goes to every
 * worker.  Asked again every capability_refresh seconds, sooner when a server
 * did not answer; a worker that sees another list at a login says so.
 */
#ifndef BROKER_LESSON_H
#define BROKER_LESSON_H

#include <event2/event.h>

#include "broker_connect.h"
#include "capability.h"
#include "conf.h"
#include "msg.h"

struct lessons;

/*
 * Send w and fd to some worker (-1: there is none), to another than but if
 * that can be: *alone tells that it could not.  lesson_tell: send w to all.
 */
typedef int lesson_give(
    void *arg, struct writer *w, int fd, uint32_t but, bool *alone);
typedef void lesson_tell(void *arg, struct writer *w);
/* Keep in all what other has, too. */
typedef void lesson_merge(
    struct capability *all, const struct capability *other);

struct lessons *lessons_new(struct event_base *base, const struct conf *c,
    struct upstreams *u, lesson_merge *merge, lesson_give *give,
    lesson_tell *tell, void *arg);

/* There is a worker now: begin, unless begun.  No-op with a list set. */
void lessons_start(struct lessons *l);

/*
 * The MSG_CAPABILITY of this worker.  -1: its list is malformed.  What differs
 * from what is known holds when a second worker says so, too, who is asked at
 * once: one that was taken over does not speak for all.
 */
int lessons_answer(
    struct lessons *l, const struct msg_capability *m, uint32_t worker);

/* MSG_CAPABILITY_SET into w; false: nothing is known yet. */
bool lessons_put(const struct lessons *l, struct writer *w);

#endif
