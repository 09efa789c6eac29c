/* SPDX-License-Identifier: ISC */
/*
 * session_sasl: a client's credentials go to an authenticator of this
 * machine, and its word comes back.  Runs in workers.  The broker says which
 * authenticator; passwords go over the channel to that one and nowhere else,
 * and our copy is wiped as soon as it is sent.
 */
#include <stdlib.h>
#include <string.h>

#include "sasl_channel.h"
#include "session_impl.h"
#include "xmalloc.h"

struct session_sasl {
	struct writer *first; /* said once it is granted; NULL: it was */
	struct sasl_exchange *exchange; /* NULL: not granted yet */
};

static void
forget_first(struct session_sasl *x)
{
	if (x->first != NULL)
		explicit_bzero(x->first->data, x->first->len);
	free(x->first);
	x->first = NULL;
}

void
session_sasl_cancel(struct session *s)
{
	if (s->sasl == NULL)
		return;
	forget_first(s->sasl);
	sasl_exchange_free(&s->sasl->exchange);
	free(s->sasl);
	s->sasl = NULL;
}

static void
count(const struct session *s, enum sasl_result result)
{
	switch (result) {
	case AUTH_OK:
		session_count_login(s, STATS_LOGIN_OK);
		break;
	case AUTH_FAILED:
	case AUTH_BAD_PROTOCOL:
	case AUTH_NO_MECHANISM:
		session_count_login(s, STATS_LOGIN_REFUSED);
		break;
	case AUTH_UNAVAILABLE:
		session_count_login(s, STATS_LOGIN_UNAVAILABLE);
		break;
	case AUTH_TURNED:
		session_count_login(s, STATS_LOGIN_TURNED);
		break;
	case AUTH_CHALLENGE:
	case AUTH_RESULTS:
		break;
	}
}

/* The protocol's own exchange has an answer. */
static void
answer(struct session *s, enum sasl_result result, struct text text)
{
	count(s, result);
	session_enter(s, SESSION_DIALOGUE);
	if (result == AUTH_OK) {
		free(s->user);
		s->user = xstrndup(text.p, text.len);
	}
	if (result == AUTH_FAILED || result == AUTH_TURNED) {
		/* The delay is what bounds these; others count as commands. */
		s->commands = 0;
		s->refused++;
	}
	s->input = true;
	s->protocol->sasl_reply(s, result, text);
	if (result == AUTH_FAILED || result == AUTH_TURNED)
		session_check_attempts(s);
}

static void
conclude(struct session *s, enum sasl_result result, struct text text)
{
	if (result != AUTH_CHALLENGE)
		session_sasl_cancel(s);
	if (s->login != NULL)
		session_login_checked(s, result);
	else
		answer(s, result, text);
}

/* An authenticator's word, or it has gone. */
static void
on_heard(void *arg, enum sasl_result result, struct text text)
{
	struct session *s = arg;

	if (s->state == SESSION_AUTH)
		conclude(s, result, text);
	else if (s->state == SESSION_DIALOGUE)
		session_sasl_cancel(s); /* it was the client's turn */
	(void)session_leave(s);
}

void
session_auth_granted(
    struct session *s, struct sasl_channel *ch, uint32_t exchange)
{
	struct session_sasl *x = s->sasl;

	if (s->state != SESSION_AUTH || x == NULL || x->first == NULL) {
		if (ch != NULL)
			sasl_channel_cancel(ch, exchange);
		return;
	}
	if (ch != NULL)
		x->exchange = sasl_exchange_new(ch, exchange, on_heard, s);
	if (x->exchange == NULL) {
		conclude(s, AUTH_UNAVAILABLE, TEXT_NONE);
	} else {
		sasl_exchange_say(x->exchange, x->first);
		forget_first(x);
	}
	(void)session_leave(s);
}

void
session_sasl_timeout(struct session *s)
{
	conclude(s, AUTH_UNAVAILABLE, TEXT_NONE);
}

void
session_sasl_ask_again(struct session *s)
{
	if (s->sasl->first != NULL)
		worker_auth(s->worker, s);
}

/* A new exchange, whose first message the caller fills. */
static struct writer *
begin(struct session *s, enum msg_type type)
{
	session_sasl_cancel(s);
	s->sasl = xcalloc(1, sizeof(*s->sasl));
	s->sasl->first = xmalloc(sizeof(*s->sasl->first));
	msg_start(s->sasl->first, type, 0);
	session_enter(s, SESSION_AUTH);
	worker_auth(s->worker, s);
	return s->sasl->first;
}

static uint16_t
ssf_of(const struct session *s)
{
	return s->client.tls != NULL ? tls_strength(s->client.tls) : 0;
}

void
session_sasl_start(
    struct session *s, struct text mechanism, struct text initial)
{
	struct msg_sasl_start m = { .local = s->local_addr,
		.ssf = ssf_of(s),
		.has_initial = initial.p != NULL,
		.mechanism = mechanism,
		.initial = initial };

	s->mechanism = (uint8_t)stats_mechanism(mechanism);
	s->login_us = stats_now_us();
	if (mechanism.len == 0 || mechanism.len > MSG_MECHANISM_MAX)
		conclude(s, AUTH_NO_MECHANISM, TEXT_NONE);
	else if (initial.len > MSG_SASL_MAX)
		conclude(s, AUTH_BAD_PROTOCOL, TEXT_NONE);
	else
		msg_put_sasl_start(begin(s, MSG_SASL_START), &m);
}

void
session_sasl_check(struct session *s, struct text name, struct text password)
{
	struct msg_sasl_check m = { .local = s->local_addr,
		.ssf = ssf_of(s),
		.name = name,
		.password = password };

	if (s->login == NULL) { /* a protocol that speaks LOGIN itself */
		s->mechanism = MECHANISM_LOGIN;
		s->login_us = stats_now_us();
	}
	if (name.len > MSG_CREDENTIAL_MAX || password.len > MSG_CREDENTIAL_MAX)
		conclude(s, AUTH_BAD_PROTOCOL, TEXT_NONE);
	else
		msg_put_sasl_check(begin(s, MSG_SASL_CHECK), &m);
}

void
session_sasl_step(struct session *s, struct text data)
{
	struct msg_sasl_step m = { data };
	struct writer w UNZEROED;

	if (data.len > MSG_SASL_MAX) {
		conclude(s, AUTH_BAD_PROTOCOL, TEXT_NONE);
		return;
	}
	if (s->sasl == NULL || s->sasl->exchange == NULL) {
		conclude(s, AUTH_UNAVAILABLE, TEXT_NONE);
		return;
	}
	s->login_us = stats_now_us();
	session_enter(s, SESSION_AUTH);
	msg_start(&w, MSG_SASL_STEP, 0);
	msg_put_sasl_step(&w, &m);
	sasl_exchange_say(s->sasl->exchange, &w);
	explicit_bzero(w.data, w.len);
}

const char *
session_mechanisms(const struct session *s)
{
	return worker_mechanisms(s->worker);
}
