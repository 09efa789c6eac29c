/* SPDX-License-Identifier: ISC */
/*
 * authenticator_sasl: libsasl2, whose only door this is: the library for the
 * whole process, and one client's dialogue with a mechanism.  Every call may
 * block, on saslauthd or on what a plugin asks, for as long as these like.
 */
#ifndef AUTHENTICATOR_SASL_H
#define AUTHENTICATOR_SASL_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "authenticator_conf.h"
#include "conf.h"
#include "msg.h"

/* What the library is to know; all of it stays the caller's and stays. */
struct sasl_setup {
	const struct conf *conf;
	const char *service; /* conf_defaults.sasl_service */
	const struct sasl_conf *file;
	const char *sasldb; /* the path, as this process will see it */
};

/*
 * Load the plugins and forget the file system; fatalx() when that fails.
 * Once in a process, before it is confined.
 */
void sasl_open(const struct sasl_setup *setup);

/* The mechanisms there are for a client with TLS, in the file's order. */
void sasl_mechanisms(char dst[static MSG_MECHS_MAX + 1]);

struct dialogue;

/* ssf: strength of TLS in bits.  NULL, with a message: it cannot be had. */
struct dialogue *dialogue_new(
    const struct addr *client, const struct addr *local, unsigned int ssf);
void dialogue_free(struct dialogue **d);

/*
 * Have may_ask() say whether a user's password may be looked at at all: as
 * soon as a step tells who he is.  Where it may not, the step ends as a
 * failure, and dialogue_turned() is true.
 */
typedef bool dialogue_may_ask(void *arg, struct text user);
void dialogue_guard(struct dialogue *d, dialogue_may_ask *may_ask, void *arg);
bool dialogue_turned(const struct dialogue *d);
/* Who he says he is; TEXT_NONE: he has not said.  Valid as long as d. */
struct text dialogue_user(const struct dialogue *d);

/*
 * One step.  *out is the challenge (AUTH_CHALLENGE) or the user's name
 * (AUTH_OK), and stays valid until the next call on d; else it is none.
 * A name with a control octet in it is nobody's.
 */
enum sasl_result dialogue_start(struct dialogue *d, struct text mechanism,
    bool has_initial, struct text initial, struct text *out);
enum sasl_result dialogue_step(
    struct dialogue *d, struct text data, struct text *out);

/* Are these somebody's name and password? */
enum sasl_result dialogue_check(struct dialogue *d, struct text name,
    struct text password, struct text *out);

#endif
