/* SPDX-License-Identifier: ISC */
/*
 * imap_inner: a login at an inner IMAP server, for the tests of what it says
 * and what it is told.  Included once by a test program, after cmocka.h.
 */
#ifndef IMAP_INNER_H
#define IMAP_INNER_H

#include "imap.h"

#define FAKE_DATA struct imap_session
#define FAKE_RULES imap_rules
#define FAKE_NRULES IMAP_NRULES
#define FAKE_END imap_end
#include "dialogue_fake.h"

#define LIST "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN"
#define HELLO "* OK [CAPABILITY " LIST "] ready\r\n"
#define HEARD "{learned " LIST "}{greeted}"
#define ASKED "r1 LOGIN \"joe\" \"secret\"\r\n"
#define BARE "{learned IMAP4rev1}{greeted}"
#define BARE_HELLO "* OK [CAPABILITY IMAP4rev1] ready\r\n"
#define AFTER "IMAP4rev1 LITERAL+ IDLE"
#define IN "r1 OK [CAPABILITY " AFTER " AUTH=PLAIN] Welcome\r\n"
#define OK_REPLY "t OK [CAPABILITY " AFTER "] Welcome\r\n{ok}"
#define DOWN                                                                   \
	"t NO [UNAVAILABLE] The mail server is not available, try again "      \
	"later\r\n"
#define CANNOT "t NO [UNAVAILABLE] The mail server cannot take this login\r\n"
#define FAILED(why) "{server: " why "}" DOWN
#define REFUSED "{refused: }t NO [AUTHENTICATIONFAILED] "
#define ODD FAILED("Connection Negotiation Failure")
#define GARBAGE FAILED("Invalid response from server")
#define INJECTED FAILED("Data from server before TLS")

static void
start(const char *authz, const char *authn, const char *password)
{
	struct credentials *l;

	fake_start();
	(void)strlcpy(fake.data.tag, "t", sizeof(fake.data.tag));
	l = session_login_space(&fake.s);
	(void)strlcpy(l->authz, authz, sizeof(l->authz));
	(void)strlcpy(l->authn, authn, sizeof(l->authn));
	(void)strlcpy(l->password, password, sizeof(l->password));
	fake.s.state = SESSION_LOGIN;
	imap_server_start(&fake.s);
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
		    fake.s.state == SESSION_LOGIN && imap_server_input(&fake.s))
			continue;
	}
	if (fake.failed && !fake.s.lesson)
		imap_login_failed(&fake.s, fake.why);
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
