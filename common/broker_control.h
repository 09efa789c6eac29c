/* SPDX-License-Identifier: ISC */
/*
 * broker_control: what the role control may ask of the broker: how the inner
 * servers are.
 */
#ifndef BROKER_CONTROL_H
#define BROKER_CONTROL_H

#include <event2/event.h>

#include "broker_connect.h"

struct broker_control;

/* u outlives the result. */
struct broker_control *broker_control_new(
    struct event_base *base, const struct upstreams *u);
/* Control has come; fd is our end of its channel, and taken over. */
void broker_control_set(struct broker_control *c, int fd);

#endif
