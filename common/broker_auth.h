/* SPDX-License-Identifier: ISC */
/*
 * broker_auth: logins that are decided on this machine, as the broker sees
 * them: one at a time for each session, by the pool of authenticators, whose
 * word on how it ended goes into the ledger.  A worker has no say
 * in it, and its client's address is the one that was admitted.
 */
#ifndef BROKER_AUTH_H
#define BROKER_AUTH_H

#include "abuse.h"
#include "conf.h"
#include "ipc.h"
#include "limit.h"

struct auths;

/* For the broker: send a message to the master, or to all workers. */
typedef void auths_send(void *arg, struct writer *w);

struct auths *auths_new(struct event_base *base, const struct conf *c,
    struct limit *limit, struct abuse *abuse, auths_send *to_master,
    auths_send *to_workers, void *arg);

/* An authenticator has come (fd is taken over). */
void auths_add(struct auths *as, const struct msg_peer *m, int fd);

/* The mechanisms' message for a new worker.  False: not known yet. */
bool auths_put_mechanisms(const struct auths *as, struct writer *w);

/*
 * The worker with this place and serial, at the other end of ch, asks for an
 * exchange.  The answer goes to ch until auths_release() or auths_forget().
 * -1: it may not ask this.
 */
int auths_ask(struct auths *as, struct ipc *ch, uint16_t number,
    uint32_t serial, uint32_t session);

/* The session, or the worker with all it had, is gone. */
void auths_release(struct auths *as, uint32_t serial, uint32_t session);
void auths_forget(struct auths *as, uint32_t serial);

#endif
