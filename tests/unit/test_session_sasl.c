/* SPDX-License-Identifier: ISC */
/*
 * session, logins that are decided on this machine: what becomes of each
 * answer of an authenticator, of none, and of a client that does not wait;
 * with authenticate_in, and for a protocol that does it by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "session_script.h"

#define ASKED "admit", HELLO, "C>login joe\n"
#define CHECKED ASKED, "A granted", "A<check joe secret"
#define DENIED "Auth(joe failed: local authentication failure) "
#define UNDECIDED "Auth(joe failed: Local authentication unavailable) "
#define LEFT "Null(the client left) forget"

static const struct script authenticate_in[] = {
	{ "good", CHECK_HERE,
	    STEPS(CHECKED, "A>ok joe@example.org", "A silent", "connect 0",
	        "S>greet\r\n", "S<user joe secret\n", "S>ok\r\n", "C<ok\n",
	        "S close", "C close"),
	    "admit Connect auth connect:0 Auth(joe ok) ok@0 Close(0/0) "
	    "forget" },
	/* The delay has passed already. */
	{ "wrong", CHECK_HERE,
	    STEPS(CHECKED, "C silent", "A>failed", "C<failed refused\n",
	        "A silent", "C close"),
	    "admit Connect auth " DENIED LEFT },
	{ "wrong, then good", CHECK_HERE,
	    STEPS(CHECKED, "A>failed", "C<failed refused\n", "C>login joe\n",
	        "A another", "A<check joe secret", "A>ok joe", "no server",
	        "C<failed unavailable\n", "C close"),
	    "admit Connect auth " DENIED "auth connect:0 Auth(joe failed: "
	    "Could not connect to server) " LEFT },
	{ "too often", CHECK_HERE,
	    STEPS(CHECKED, "A>failed", "C<failed refused\n", "C>login joe\n",
	        "A granted", "A>failed",
	        "C<failed refused\nbye too many failed logins\n", "C eof",
	        "C close"),
	    "admit Connect auth " DENIED "auth " DENIED
	    "Null(too many failed logins) forget" },
	{ "nobody can tell", CHECK_HERE,
	    STEPS(
	        CHECKED, "A>unavailable", "C<failed unavailable\n", "C close"),
	    "admit Connect auth " UNDECIDED LEFT },
	{ "all are taken", CHECK_HERE,
	    STEPS(ASKED, "A taken", "C<failed unavailable\n", "C close"),
	    "admit Connect auth " UNDECIDED LEFT },
	{ "it dies", CHECK_HERE,
	    STEPS(CHECKED, "A gone", "C<failed unavailable\n", "C>x\n",
	        "C<echo x\n", "C close"),
	    "admit Connect auth " UNDECIDED LEFT },
	{ "nonsense", CHECK_HERE,
	    STEPS(CHECKED, "A>nonsense", "C<failed unavailable\n", "C close"),
	    "admit Connect auth " UNDECIDED LEFT },
	{ "no grant", CHECK_HERE,
	    STEPS(ASKED, "wait 29", "C silent", "wait 1",
	        "C<failed unavailable\n", "C close"),
	    "admit Connect auth " UNDECIDED LEFT },
	{ "no answer", CHECK_HERE,
	    STEPS(CHECKED, "wait 29", "C silent", "wait 1",
	        "C<failed unavailable\n", "A<cancel", "C close"),
	    "admit Connect auth " UNDECIDED LEFT },
	/* A new broker is asked for what the old one has not given. */
	{ "a new broker", CHECK_HERE,
	    STEPS(ASKED, "broker", "A granted", "A<check joe secret", "broker",
	        "A>failed", "C<failed refused\n", "C close"),
	    "admit Connect auth auth " DENIED LEFT },
	{ "granted to nobody", CHECK_HERE,
	    STEPS("admit", HELLO, "A granted", "A<cancel", "C>x\n",
	        "C<echo x\n", "C close"),
	    "admit Connect " LEFT },
	{ "client leaves", CHECK_HERE, STEPS(CHECKED, "C reset", "A<cancel"),
	    "admit Connect auth " LEFT },
	{ "stop", CHECK_HERE,
	    STEPS(CHECKED, "stop", "A>ok joe", "C eof", "C close"),
	    "admit Connect auth Null(shutting down) forget" },
	{ "pipelined", CHECK_HERE,
	    STEPS("admit", HELLO, "C>login joe\nx\n", "A granted",
	        "A<check joe secret", "C silent", "A>failed",
	        "C<failed refused\necho x\n", "C close"),
	    "admit Connect auth " DENIED LEFT },
};

static const struct script protocol[] = {
	{ "at once", 0,
	    STEPS("admit", HELLO, "C>auth PLAIN abc\n", "A granted",
	        "A<start PLAIN abc", "A>ok joe@x", "A silent",
	        "C<sasl 1 joe@x\n", "C close"),
	    "admit Connect auth " LEFT },
	{ "by and by", 0,
	    STEPS("admit", HELLO, "C>auth SCRAM\n", "A granted",
	        "A<start SCRAM -", "A>challenge one", "C<sasl 0 one\n",
	        "C>answer two\n", "A<step two", "A>challenge three",
	        "C<sasl 0 three\n", "C>answer \n", "A<step ", "A>ok joe",
	        "C<sasl 1 joe\n", "C close"),
	    "admit Connect auth " LEFT },
	{ "credentials", 0,
	    STEPS("admit", HELLO, "C>check joe secret\n", "A granted",
	        "A<check joe secret", "A>ok joe", "C<sasl 1 joe\n", "C close"),
	    "admit Connect auth " LEFT },
	{ "cancelled", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A<start X -",
	        "A>challenge one", "C<sasl 0 one\n", "C>cancel\n", "A<cancel",
	        "C>x\n", "C<echo x\n", "C close"),
	    "admit Connect auth " LEFT },
	{ "begun anew", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A<start X -",
	        "A>challenge one", "C<sasl 0 one\n", "C>auth Y\n", "A<cancel",
	        "A granted", "A<start Y -", "A>bad", "C<sasl 4 \n", "C close"),
	    "admit Connect auth auth " LEFT },
	{ "too often", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A>failed",
	        "C<sasl 2 \n", "C>auth X\n", "A granted", "A>unavailable",
	        "C<sasl 3 \n", "C>auth X\n", "A granted", "A>failed",
	        "C<sasl 2 \nbye too many failed logins\n", "C eof", "C close"),
	    "admit Connect auth auth auth Null(too many failed logins) "
	    "forget" },
	{ "it dies between steps", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A>challenge one",
	        "C<sasl 0 one\n", "A gone", "C silent", "C>answer two\n",
	        "C<sasl 3 \n", "C close"),
	    "admit Connect auth " LEFT },
	/* It speaks out of turn: it is no longer listened to. */
	{ "unasked", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A>challenge one",
	        "C<sasl 0 one\n", "A>ok joe", "C silent", "C>answer two\n",
	        "C<sasl 3 \n", "C close"),
	    "admit Connect auth " LEFT },
	{ "unasked, not the end", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A>challenge one",
	        "C<sasl 0 one\n", "A<start X -", "A>challenge two", "A<cancel",
	        "C silent", "C>answer two\n", "C<sasl 3 \n", "C close"),
	    "admit Connect auth " LEFT },
	/* What was on its way is not taken for the next one's answer. */
	{ "of the one before", 0,
	    STEPS("admit", HELLO, "C>auth X\n", "A granted", "A<start X -",
	        "A>challenge one", "C<sasl 0 one\n", "C>auth Y\n", "A<cancel",
	        "A granted", "A<start Y -", "A late ok joe", "C silent",
	        "A>ok jim", "C<sasl 1 jim\n", "C close"),
	    "admit Connect auth auth " LEFT },
	{ "no such name", 0,
	    STEPS("admit", HELLO, "C>auth A-NAME-THAT-IS-TOO-LONG\n",
	        "C<sasl 5 \n", "C close"),
	    "admit Connect " LEFT },
	{ "no exchange", 0,
	    STEPS("admit", HELLO, "C>answer x\n", "C<sasl 3 \n", "C close"),
	    "admit Connect " LEFT },
};

SCRIPTS(authenticate_in)
SCRIPTS(protocol)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRIPT_TEST(test_authenticate_in),
		SCRIPT_TEST(test_protocol),
	};

	return cmocka_run_group_tests(tests, script_start, script_stop);
}
