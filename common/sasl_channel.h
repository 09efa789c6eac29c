/* SPDX-License-Identifier: ISC */
/*
 * sasl_channel: a worker's channels to the authenticators: one to each, for
 * as long as both live, and on it the exchanges that the broker granted.  An
 * authenticator serves what was granted to this worker, and nothing else.
 */
#ifndef SASL_CHANNEL_H
#define SASL_CHANNEL_H

#include <event2/event.h>

#include "msg.h"

struct sasl_channels;
struct sasl_channel;
struct sasl_exchange;

struct sasl_channels *sasl_channels_new(struct event_base *base);
void sasl_channels_free(struct sasl_channels **cs); /* no exchange is left */

/* A channel to the authenticator of this serial (fd is taken over). */
void sasl_channels_add(struct sasl_channels *cs, uint32_t serial, int fd);
/* The newest to it.  NULL: there is none, or no longer. */
struct sasl_channel *sasl_channels_find(
    const struct sasl_channels *cs, uint32_t serial);

/* The exchange with this number, which was granted, is not wanted. */
void sasl_channel_cancel(struct sasl_channel *ch, uint32_t number);

/*
 * What an authenticator says.  After anything but AUTH_CHALLENGE the exchange
 * is over; AUTH_UNAVAILABLE comes when the authenticator has gone, too.  The
 * exchange remains the callee's, to be freed then or later.
 */
typedef void sasl_heard(void *arg, enum sasl_result result, struct text text);

/* Begin what was granted.  NULL: that number is in use. */
struct sasl_exchange *sasl_exchange_new(
    struct sasl_channel *ch, uint32_t number, sasl_heard *heard, void *arg);
/* Cancels what is not over. */
void sasl_exchange_free(struct sasl_exchange **x);

/* To nobody, when it is over. */
void sasl_exchange_say(struct sasl_exchange *x, struct writer *w);

#endif
