/* SPDX-License-Identifier: ISC */
/*
 * dialogue_fake: a session without a worker and without connections, for the
 * tests of a protocol's dialogues.  What is written to the client and to the
 * inner server, and what the protocol asks of session, is kept as text: calls
 * in braces, among what the client gets.  Included once by a test program,
 * which has defined
 *
 *	FAKE_DATA	the protocol's own struct (protocol.data_size)
 *	FAKE_RULES	its rules for capabilities; FAKE_NRULES how many
 *	FAKE_END	protocol.end
 *
 * or none of them, where what all protocols share is tested.
 */
#ifndef DIALOGUE_FAKE_H
#define DIALOGUE_FAKE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#ifndef FAKE_DATA
#define FAKE_DATA char
#define FAKE_RULES NULL
#define FAKE_NRULES 0
#define FAKE_END(s) (void)(s)
#endif

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)

static struct fake {
	struct session s;
	struct conf conf;
	FAKE_DATA data;
	struct credentials login;
	unsigned int situation; /* of the client, for the capability list */
	struct capability inner;
	struct buf to_client, to_server;
	bool failed; /* login_failed() is due, why says how */
	enum login_failure why;
	bool tls_due; /* server_tls() is due */
} fake;

static void
fake_start(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.s.conf = &fake.conf;
	fake.s.data = &fake.data;
	fake.situation = CAPABILITY_TLS;
	buf_init(&fake.s.client.in, SESSION_IN_MAX);
	buf_init(&fake.s.server.in, 65536);
	buf_init(&fake.to_client, 1 << 20);
	buf_init(&fake.to_server, 1 << 20);
}

static void
fake_end(void)
{
	FAKE_END(&fake.s);
	free(fake.s.failure_text);
	buf_free(&fake.s.client.in);
	buf_free(&fake.s.server.in);
	buf_free(&fake.to_client);
	buf_free(&fake.to_server);
}

static struct buf *
fake_out(const struct stream *st)
{
	return st == &fake.s.client ? &fake.to_client : &fake.to_server;
}

/* What is in b, as a string that lives until the next call. */
static const char *
fake_text(const struct buf *b)
{
	static char text[1 << 16];

	(void)snprintf(text, sizeof(text), "%.*s", TEXT_ARG(buf_view(b)));
	return text;
}

void
stream_write(struct stream *st, const void *p, size_t n)
{
	assert_int_equal(buf_append(fake_out(st), p, n), 0);
}

void
stream_printf(struct stream *st, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	assert_int_not_equal(vasprintf(&text, fmt, ap), -1);
	va_end(ap);
	stream_write(st, text, strlen(text));
	free(text);
}

void
session_capability(const struct session *s, struct capability *out)
{
	(void)s;
	capability_rewrite(
	    FAKE_RULES, FAKE_NRULES, fake.situation, &fake.inner, out);
}

void
session_capability_after(const struct session *s,
    const struct capability *inner, struct capability *out)
{
	(void)s;
	capability_rewrite(
	    FAKE_RULES, FAKE_NRULES, CAPABILITY_AFTER, inner, out);
}

bool
session_may_login(const struct session *s)
{
	return !s->conf->login_disabled &&
	    (fake.situation & (CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)) != 0;
}

void
session_starttls(struct session *s)
{
	stream_printf(&s->client, "{starttls}");
	s->state = SESSION_HANDSHAKE;
}

struct credentials *
session_login_space(struct session *s)
{
	memset(&fake.login, 0, sizeof(fake.login));
	return s->login = &fake.login;
}

void
session_login(struct session *s)
{
	stream_printf(&s->client, "{login %s/%s/%s}", s->login->authz,
	    s->login->authn, s->login->password);
	s->state = SESSION_CONNECT;
}

void
session_server_greeted(struct session *s)
{
	stream_printf(&s->client, "{greeted}");
}

void
session_server_failed(struct session *s, const char *reason)
{
	if (s->lesson) {
		session_learned(s, NULL);
		return;
	}
	stream_printf(&s->client, "{server: %s}", reason);
	s->state = SESSION_CLOSING;
	fake.failed = true;
	fake.why = LOGIN_UNAVAILABLE;
}

void
session_server_starttls(struct session *s)
{
	if (s->server.in.len > 0) {
		session_server_failed(s, "Data from server before TLS");
		return;
	}
	stream_printf(&s->client, "{server starttls}");
	s->state = SESSION_SERVER_HANDSHAKE;
	fake.tls_due = true;
}

void
session_login_ok(struct session *s)
{
	stream_printf(&s->client, "{ok}");
	s->state = SESSION_RELAY;
}

void
session_login_failed(
    struct session *s, enum login_failure why, const char *reason)
{
	static const char *const names[] = { [LOGIN_REFUSED] = "refused",
		[LOGIN_UNAVAILABLE] = "unavailable",
		[LOGIN_MISMATCH] = "mismatch" };

	stream_printf(
	    &s->client, "{%s: %s}", names[why], reason != NULL ? reason : "");
	s->state = SESSION_DELAY;
	fake.failed = true;
	fake.why = why;
}

/* Was there a session_server_starttls()?  Then TLS is up now. */
static inline bool
fake_server_tls(void)
{
	if (!fake.tls_due)
		return false;
	fake.s.state = SESSION_LOGIN;
	fake.s.server_secure = SECURE_STARTTLS;
	return true;
}

void
session_limit_hops(struct session *s, uint64_t hops)
{
	if (hops != UINT64_MAX)
		stream_printf(&s->client, "{hops %u}", (unsigned int)hops);
}

bool
session_is_lesson(const struct session *s)
{
	return s->lesson;
}

void
session_learned(struct session *s, const struct capability *list)
{
	char words[CAPABILITY_MAX + 1] = "nothing";

	if (list != NULL)
		(void)capability_print(list, " ", words, sizeof(words));
	stream_printf(&s->client, "{learned %s}", words);
	if (s->lesson)
		s->state = SESSION_CLOSING;
}

void
session_close(struct session *s, const char *reason)
{
	stream_printf(&s->client, "{close %s}", reason);
	s->state = SESSION_CLOSING;
}

#endif
