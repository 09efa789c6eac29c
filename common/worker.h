/* SPDX-License-Identifier: ISC */
/*
 * worker: accepts clients and runs their sessions.  It can do nothing but
 * read and write bytes on descriptors that it was born with or was handed:
 * all else is asked of the broker, the keeper and the master.
 */
#ifndef WORKER_H
#define WORKER_H

#include "role.h"
#include "session.h"

struct worker;

_Noreturn void worker_main(const struct role_start *start);

/*
 * The two halves of worker_main(), for a nursery.  worker_load(): all that is
 * the same for each worker, before confinement; start stays borrowed.
 * worker_serve(): confine this process, with filter where it was born in a
 * nursery, and serve.
 */
struct worker *worker_load(const struct role_start *start);
_Noreturn void worker_serve(struct worker *w, struct text filter);

/* MSG_CERTIFICATES, also in a nursery; fd is closed.  -1: it is malformed. */
int worker_do_certificates(struct worker *w, struct reader *r, int fd);

/* For sessions: */

struct event_base *worker_base(struct worker *w);
const struct protocol *worker_protocol(const struct worker *w);
const struct conf *worker_conf(const struct worker *w);
struct tls_server *worker_tls_server(struct worker *w);
struct tls_client *worker_tls_client(struct worker *w);

/* The inner servers' list; what is known of it. */
enum worker_list {
	WORKER_LIST_AWAITED, /* it is being asked for: wait a moment */
	WORKER_LIST_NONE,    /* no inner server could be asked */
	WORKER_LIST_KNOWN
};
enum worker_list worker_list(
    const struct worker *w, const struct capability **list);

/* What authenticators can do, words parted by blanks; "": not known yet. */
const char *worker_mechanisms(const struct worker *w);

/*
 * Requests to the broker.  While there is no broker they are put off:
 * session_broker_back() makes them again.
 */
/* True: the answer is to be waited for. */
bool worker_admit(struct worker *w, const struct session *s);
void worker_connect(struct worker *w, const struct session *s);
void worker_auth(struct worker *w, const struct session *s);
void worker_submit(struct worker *w, const struct session *s);
void worker_outcome(
    struct worker *w, const struct session *s, enum outcome outcome);
/* The client has logged in: with a process of its own, the master knows. */
void worker_logged_in(struct worker *w);
/* A server's list, when it differs from what all were told (NULL: none). */
void worker_learned(
    struct worker *w, uint16_t server, const struct capability *list);

void worker_event(struct worker *w, const struct msg_event *e);
void worker_record(struct worker *w, const struct msg_record *m);

/*
 * Where all places are taken the oldest session without a login gives way to
 * a new client (session_give_way()).  YIELD_IN_TURN: it may be this one, from
 * now on, unless it was already; YIELD_FIRST: before those, however young.
 */
enum worker_yield { YIELD_NEVER, YIELD_IN_TURN, YIELD_FIRST };
void worker_set_yield(
    struct worker *w, struct session *s, enum worker_yield yield);
/* Have one do so, but not wanted.  False: there is none that may. */
bool worker_make_room(struct worker *w, const struct session *wanted);

/* The session is about to be freed: its place is free again. */
void worker_forget(struct worker *w, struct session *s);

#endif
