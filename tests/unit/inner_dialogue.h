/* SPDX-License-Identifier: ISC */
/*
 * inner_dialogue: a login at an inner server, for the tests of what it says
 * and what it is told.  Included once, behind dialogue_fake.h, by a header
 * that has defined
 *
 *	INNER_START	protocol.server_start
 *	INNER_INPUT	protocol.server_input
 *	INNER_FAILED	protocol.login_failed
 */
#ifndef INNER_DIALOGUE_H
#define INNER_DIALOGUE_H

static void
start(const char *authz, const char *authn, const char *password)
{
	struct credentials *l;

	fake_start();
	l = session_login_space(&fake.s);
	(void)strlcpy(l->authz, authz, sizeof(l->authz));
	(void)strlcpy(l->authn, authn, sizeof(l->authn));
	(void)strlcpy(l->password, password, sizeof(l->password));
	fake.s.state = SESSION_LOGIN;
	INNER_START(&fake.s);
}

/* As session does; what is due when a step is over is done then. */
static void
feed(struct text in, size_t step)
{
	size_t n;

	while (in.len > 0) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(&fake.s.server.in, in.p, n), 0);
		in = text_skip(in, n);
		while (fake.s.state == SESSION_LOGIN && INNER_INPUT(&fake.s))
			continue;
	}
	if (fake.failed && !fake.s.lesson)
		INNER_FAILED(&fake.s, fake.why);
	fake.failed = false;
}

static void
check(const char *what, size_t i, const char *server, const char *client)
{
	const char *got = fake_text(&fake.to_server);

	if (strcmp(got, server) != 0)
		fail_msg("%s %zu, server: %s", what, i, got);
	got = fake_text(&fake.to_client);
	if (strcmp(got, client) != 0)
		fail_msg("%s %zu, client: %s", what, i, got);
}

#endif
