/* SPDX-License-Identifier: ISC */
/*
 * broker_submit: who may send as whom, and how much: the broker's answer to
 * MSG_SUBMIT.
 */
#ifndef BROKER_SUBMIT_H
#define BROKER_SUBMIT_H

#include "abuse.h"
#include "conf.h"
#include "msg.h"

struct submits;

/* To be called before the broker is confined.  a counts, and outlives it. */
struct submits *submits_new(const struct conf *c, struct abuse *a);
/* The folder that sender_login_map is read from; NULL: there is none. */
const char *submits_folder(const struct submits *s);

enum submit_verdict submits_ask(
    struct submits *s, const struct addr *client, const struct msg_submit *m);

#endif
