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

/* Its command before the login has this tag. */
static void
start_tagged(struct session *s)
{
	(void)strlcpy(fake.data.tag, "t", sizeof(fake.data.tag));
	imap_server_start(s);
}

#define INNER_START start_tagged
#define INNER_INPUT imap_server_input
#define INNER_FAILED imap_login_failed
#include "inner_dialogue.h"

#endif
