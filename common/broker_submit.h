/* SPDX-License-Identifier: ISC */
/*
 * broker_submit: who may send as whom, and how much: the broker's answer to
 * MSG_SUBMIT.
 */
#ifndef BROKER_SUBMIT_H
#define BROKER_SUBMIT_H

#include "conf.h"
#include "msg.h"

struct submits;

/*
 * To be called before the broker is confined.  mem: submits_size() octets,
 * zeroed before first use, for what users have sent; it outlives the result,
 * and brokers of other generations count in it, too.
 */
struct submits *submits_new(const struct conf *c, void *mem);
size_t submits_size(void);
/* The folder that sender_login_map is read from; NULL: there is none. */
const char *submits_folder(const struct submits *s);

enum submit_verdict submits_ask(struct submits *s, const struct msg_submit *m);

#endif
