/* SPDX-License-Identifier: ISC */
/*
 * pop3_inner: a login at an inner POP3 server, for the tests of what it says
 * and what it is told.  Included once by a test program, after cmocka.h.
 */
#ifndef POP3_INNER_H
#define POP3_INNER_H

#include "pop3.h"

#define FAKE_DATA struct pop3_session
#define FAKE_RULES pop3_rules
#define FAKE_NRULES POP3_NRULES
#define FAKE_END pop3_client_reset
#include "dialogue_fake.h"

#define HELLO "+OK ready <1.2@inner>\r\n"
#define LIST(entries) HELLO "+OK\r\n" entries ".\r\n"
#define KNOWN LIST("TOP\r\nUSER\r\nSASL PLAIN\r\n")
#define HEARD "{learned TOP USER SASL PLAIN}{greeted}"
#define BARE HELLO "-ERR what\r\n"
#define BARE_HEARD "{learned }{greeted}"
#define ASKED "CAPA\r\nUSER joe\r\n"
#define SAID ASKED "PASS secret\r\n"
#define DOWN                                                                   \
	"-ERR [SYS/TEMP] The mail server is not available, try again "         \
	"later\r\n"
#define FAILED(why) "{server: " why "}" DOWN
#define REFUSED "{refused: }-ERR "
#define ODD FAILED("Connection Negotiation Failure")
#define GARBAGE FAILED("Invalid response from server")
#define PLAIN_ASKED "CAPA\r\nAUTH PLAIN\r\n"

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
	pop3_server_start(&fake.s);
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
		while (
		    fake.s.state == SESSION_LOGIN && pop3_server_input(&fake.s))
			continue;
	}
	if (fake.failed && !fake.s.lesson)
		pop3_login_failed(&fake.s, fake.why);
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
