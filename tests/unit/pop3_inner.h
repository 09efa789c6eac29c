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

#define INNER_START pop3_server_start
#define INNER_INPUT pop3_server_input
#define INNER_FAILED pop3_login_failed
#include "inner_dialogue.h"

#endif
