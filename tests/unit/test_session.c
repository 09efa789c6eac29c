/* SPDX-License-Identifier: ISC */
/*
 * session, the client's side: each state from admission to the relay's end,
 * what leads out of it, and what is said of it to both sides and to the log.
 * Every script ends with the session gone, with one closing event and with
 * no descriptor left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "session_script.h"

static const struct script admit[] = {
	{ "served", 0, STEPS("admit", HELLO, "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "twice", 0, STEPS("admit", HELLO, "admit", "C silent", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "too many", 0,
	    STEPS(
	        "too many", "C<bye too many connections\n", "C eof", "C close"),
	    "admit Null(too many connections) forget" },
	{ "too many of one", OFFER_STARTTLS,
	    STEPS("too many of you",
	        "C<bye too many connections from your address\n", "C eof",
	        "wait 2"),
	    "admit Null(too many connections from your address) forget" },
	{ "another gives way", 0,
	    STEPS("room", "too many", "C silent", "admit", HELLO, "C close"),
	    "admit room admit Connect Null(the client left) forget" },
	{ "another was quicker", 0,
	    STEPS("room", "too many", "too many",
	        "C<bye too many connections\n", "C eof", "C close"),
	    "admit room admit Null(too many connections) forget" },
	{ "too many, TLS", IMPLICIT_TLS, STEPS("too many", "C gone"),
	    "admit Null(too many connections) forget" },
	{ "loop", IMPLICIT_TLS, STEPS("loop", "C gone"),
	    "admit Null(connected to itself) forget" },
	{ "gone", 0, STEPS("left", "C eof"),
	    "admit Null(the client left) forget" },
	{ "no verdict", 0,
	    STEPS("wait 9", "C silent", "wait 1",
	        "C<bye not admitted in time\n", "C eof", "wait 2"),
	    "admit Null(not admitted in time) forget" },
	{ "no limit", NO_TIMEOUTS,
	    STEPS("wait 9", "admit", HELLO, "wait 1000", "C silent", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "a new broker", 0, STEPS("broker", "admit", HELLO, "C close"),
	    "admit admit Connect Null(the client left) forget" },
	{ "stop", 0, STEPS("stop", "C eof"),
	    "admit Null(shutting down) forget" },
	{ "gone before", 0, STEPS("C close", "admit"),
	    "admit Connect Null(the client left) forget" },
	{ "reset before", 0, STEPS("C reset", "admit"),
	    "admit Connect Null(the client left) forget" },
	{ "early words", 0,
	    STEPS("C>x\n", "admit", HELLO "echo x\n", "C close"),
	    "admit Connect Null(the client left) forget" },
};

/* The broker's word comes when the client is being served already. */
static const struct script hasty[] = {
	{ "served", HASTY,
	    STEPS(HELLO, "admit", "C>x\n", "C<echo x\n", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "refused", HASTY,
	    STEPS(HELLO, "too many", "C<bye too many connections\n", "C eof",
	        "C close"),
	    "admit Connect Null(too many connections) forget" },
	{ "refused within TLS", HASTY | IMPLICIT_TLS,
	    STEPS("C tls", HELLO, "too many", "C<bye too many connections\n",
	        "C eof", "C close"),
	    "admit Connect Null(too many connections) forget" },
	{ "refused before TLS", HASTY | IMPLICIT_TLS, STEPS("loop", "C gone"),
	    "admit Connect Null(connected to itself) forget" },
	{ "refused in mid-login", HASTY,
	    STEPS(HELLO, "C>login joe\n", "too many",
	        "C<bye too many connections\n", "C eof", "connect 0",
	        "C close"),
	    "admit Connect connect:0 Null(too many connections) forget" },
	{ "another gives way in mid-login: the question was not answered",
	    HASTY,
	    STEPS(HELLO, "C>login joe\n", "room", "too many", "C silent",
	        "admit", "connect 0", "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n",
	        "C close", "S eof", "S close"),
	    "admit Connect connect:0 room admit connect:0 Auth(joe ok) ok@0 "
	    "Close(0/0) forget" },
	{ "refused in a relay: nothing of ours is said in it", HASTY,
	    STEPS(HELLO, "C>login joe\n", "connect 0", "S>greet\r\n", JOE,
	        "S>ok\r\n", "C<ok\n", "too many", "C eof", "C close"),
	    "admit Connect connect:0 Auth(joe ok) ok@0 "
	    "Close(0/0too many connections) forget" },
	{ "a new broker", HASTY, STEPS(HELLO, "broker", "admit", "C close"),
	    "admit Connect admit Null(the client left) forget" },
	{ "a new broker, too late", HASTY,
	    STEPS(HELLO, "admit", "broker", "C close"),
	    "admit Connect Null(the client left) forget" },
};

#define GAVE_WAY "no login so far, and others wait"

/* Who gives way where all places are taken, and what it hears. */
static const struct script yields[] = {
	{ "before it is admitted", 0,
	    STEPS("yields", "give way", "C<bye " GAVE_WAY "\n", "C eof",
	        "C close"),
	    "admit Null(" GAVE_WAY ") forget" },
	{ "in the dialogue", 0,
	    STEPS("admit", HELLO, "yields", "give way", "C<bye " GAVE_WAY "\n",
	        "C eof", "C close"),
	    "admit Connect Null(" GAVE_WAY ") forget" },
	{ "while its list is awaited", LIST_AWAITED,
	    STEPS("admit", "yields", "give way", "C<bye " GAVE_WAY "\n",
	        "C eof", "C close"),
	    "admit Connect Null(" GAVE_WAY ") forget" },
	{ "before TLS", IMPLICIT_TLS,
	    STEPS("admit", "yields", "give way", "C gone"),
	    "admit Connect Null(" GAVE_WAY ") forget" },
	{ "within TLS", IMPLICIT_TLS,
	    STEPS("admit", "C tls", HELLO, "yields", "give way",
	        "C<bye " GAVE_WAY "\n", "C eof", "C close"),
	    "admit Connect Null(" GAVE_WAY ") forget" },
	{ "a silent proxy", PROXIED,
	    STEPS("yields", "give way", "C<bye " GAVE_WAY "\n", "C eof",
	        "C close"),
	    "Null(" GAVE_WAY ") forget" },
	{ "when it was told to go", 0,
	    STEPS("too many", "C<bye too many connections\n", "C eof",
	        "yields first", "give way", "C gone"),
	    "admit Null(too many connections) forget" },
	{ "never in a login, but after it has failed", 0,
	    STEPS("admit", HELLO, "C>login joe\n", "stays", "connect 0",
	        "stays", "S>greet\r\n", JOE, "stays", "S>no\r\n", "stays",
	        "S eof", "C silent", "wait 2", "C<failed refused\n", "yields",
	        "C close"),
	    "admit Connect connect:0 Auth(joe failed: Re-Authentication "
	    "Failure) refused@0 Null(the client left) forget" },
	{ "never after a login", 0,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "S>greet\r\n",
	        JOE, "S>ok\r\n", "C<ok\n", "stays", "C close", "S eof",
	        "S close"),
	    "admit Connect connect:0 Auth(joe ok) ok@0 "
	    "Close(0/0) forget" },
};

static const struct script learn[] = {
	{ "learned", LIST_AWAITED,
	    STEPS("admit", "C silent", "list", "C<hello KNOWN LOGIN\n", "list",
	        "C silent", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "too late", LIST_AWAITED,
	    STEPS("admit", "wait 2", "C silent", "wait 1", HELLO, "list",
	        "C>list\n", "C<KNOWN LOGIN\n", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "set", LIST_AWAITED | LIST_SET | OFFER_STARTTLS,
	    STEPS("admit", "C<hello SET STLS\n", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "early words", LIST_AWAITED,
	    STEPS("admit", "C>x\n", "C silent", "list",
	        "C<hello KNOWN LOGIN\necho x\n", "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "after TLS", LIST_AWAITED | IMPLICIT_TLS,
	    STEPS("admit", "C tls", "C silent", "list", "C<hello KNOWN LOGIN\n",
	        "C close"),
	    "admit Connect Null(the client left) forget" },
	{ "client ends", LIST_AWAITED,
	    STEPS("admit", "C>x\n", "C fin", "list",
	        "C<hello KNOWN LOGIN\necho x\n", "C eof"),
	    "admit Connect Null(the client left) forget" },
	{ "reset", LIST_AWAITED, STEPS("admit", "C reset"),
	    "admit Connect Null(the client left) forget" },
	{ "stop", LIST_AWAITED, STEPS("admit", "stop", "C eof", "C close"),
	    "admit Connect Null(shutting down) forget" },
};

static const struct script handshake[] = {
	{ "implicit", IMPLICIT_TLS | NO_CLEAR_LOGIN,
	    STEPS("admit", "C tls", HELLO, "C>quit\n", "C<bye\n", "C eof",
	        "C close"),
	    "admit Connect Null() forget" },
	{ "slow", IMPLICIT_TLS,
	    STEPS("admit", "wait 59", "C silent", "wait 1", "C eof"),
	    "admit Connect Null(timeout during the TLS handshake) forget" },
	{ "not TLS", IMPLICIT_TLS, STEPS("admit", "C>a NOOP\r\n", "C close"),
	    "admit Connect Null(not TLS) forget" },
	{ "left", IMPLICIT_TLS, STEPS("admit", "C close"),
	    "admit Connect Null(the client left during the TLS handshake) "
	    "forget" },
	{ "stop", IMPLICIT_TLS, STEPS("admit", "stop", "C close"),
	    "admit Connect Null(shutting down) forget" },
	{ "STARTTLS", OFFER_STARTTLS | NO_CLEAR_LOGIN,
	    STEPS("admit", "C<hello MIN STLS\n", "C>login joe\n", "C<denied\n",
	        "C>starttls\n", "C<go ahead\n", "C tls", "C>list\n",
	        "C<MIN LOGIN\n", "C>quit\n", "C<bye\n", "C eof", "wait 2"),
	    "admit Connect reset Null() forget" },
	/* RFC 2595 7: what came in clear is not the client's. */
	{ "injected", OFFER_STARTTLS,
	    STEPS("admit", "C<hello MIN STLS LOGIN\n",
	        "C>starttls\nlogin eve\n", "C<go ahead\n", "C tls", "C silent",
	        "C>x\n", "C<echo x\n", "C close"),
	    "admit Connect reset Null(the client left) forget" },
	{ "injected in part", OFFER_STARTTLS,
	    STEPS("admit", "C<hello MIN STLS LOGIN\n", "C>starttls\nlogin ",
	        "C<go ahead\n", "C tls", "C>eve\n", "C<echo eve\n", "C close"),
	    "admit Connect reset Null(the client left) forget" },
	{ "STARTTLS, slow", OFFER_STARTTLS,
	    STEPS("admit", "C<hello MIN STLS LOGIN\n", "wait 30",
	        "C>starttls\n", "C<go ahead\n", "wait 30", "C eof"),
	    "admit Connect Null(timeout during the TLS handshake) forget" },
};

static const struct script dialogue[] = {
	{ "quit", 0,
	    STEPS("admit", HELLO, "C>quit\nx\n", "C<bye\n", "C eof", "C close"),
	    "admit Connect Null() forget" },
	{ "slow", 0,
	    STEPS("admit", HELLO, "wait 59", "C>x\n", "C<echo x\n", "wait 1",
	        "C<bye too long without a login\n", "C eof", "C close"),
	    "admit Connect Null(timeout before login) forget" },
	{ "half closed", 0,
	    STEPS("admit", HELLO, "C>x\ny\n", "C fin", "C<echo x\necho y\n",
	        "C eof"),
	    "admit Connect Null(the client left) forget" },
	{ "reset", 0, STEPS("admit", HELLO, "C reset"),
	    "admit Connect Null(the client left) forget" },
	{ "stop", 0,
	    STEPS("admit", HELLO, "stop", "C<bye shutting down\n", "C eof",
	        "C close"),
	    "admit Connect Null(shutting down) forget" },
	{ "too many commands", 0,
	    STEPS("admit", HELLO, "C chatter", "C gone", "C close"),
	    "admit Connect Null(too many commands) forget" },
	{ "no server asked for", 0,
	    STEPS("admit", HELLO, "connect in vain", "C close"),
	    "admit Connect Null(the client left) forget" },
};

static const struct script closing[] = {
	{ "lingers", 0,
	    STEPS("admit", HELLO, "C>quit\n", "C<bye\n", "C eof", "C>more\n",
	        "wait 1", "C>more\n", "wait 1"),
	    "admit Connect Null() forget" },
	{ "client ends", 0,
	    STEPS("admit", HELLO, "C>quit\n", "C<bye\n", "C eof", "C fin"),
	    "admit Connect Null() forget" },
	{ "reset", 0,
	    STEPS("admit", HELLO, "C>quit\n", "C<bye\n", "C eof", "C reset"),
	    "admit Connect Null() forget" },
	{ "stop", 0,
	    STEPS("admit", HELLO, "C>quit\n", "C<bye\n", "C eof", "stop",
	        "C close"),
	    "admit Connect Null() forget" },
};

static const struct script relay[] = {
	{ "client ends", 0,
	    STEPS(RELAY_STEPS, "C>last", "C fin", "S<last", "S eof", "S>rest",
	        "C<rest", "S close", "C eof"),
	    RELAY_TRACE "Close(4/4) forget" },
	{ "server ends", 0,
	    STEPS(RELAY_STEPS, "S>last words", "S fin", "C<last words", "C eof",
	        "C close", "S eof"),
	    RELAY_TRACE "Close(0/10) forget" },
	{ "client closes", 0, STEPS(RELAY_STEPS, "C close", "S eof", "S close"),
	    RELAY_TRACE "Close(0/0) forget" },
	{ "client resets", 0, STEPS(RELAY_STEPS, "C reset", "S eof"),
	    RELAY_TRACE "Close(0/0the client left) forget" },
	{ "server resets", 0, STEPS(RELAY_STEPS, "S reset", "C eof", "C close"),
	    RELAY_TRACE "Close(0/0the inner server left) forget" },
	{ "silence", 0,
	    STEPS(RELAY_STEPS, "wait 39", "C>x", "S<x", "wait 39", "S>y", "C<y",
	        "wait 39", "C silent", "S silent", "wait 1", "C eof", "C close",
	        "S eof"),
	    RELAY_TRACE "Close(1/1Timeout piping data.) forget" },
	{ "silence of one", 0,
	    STEPS(RELAY_STEPS, "C fin", "S eof", "wait 39", "S>x", "C<x",
	        "wait 40", "C eof", "S close"),
	    RELAY_TRACE "Close(0/1Timeout piping data.) forget" },
	{ "client says bye, TLS", IMPLICIT_TLS,
	    STEPS("admit", "C tls", HELLO, "C>login joe\n", "connect 0",
	        "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n", "C>last", "C bye",
	        "S<last", "S eof", "S>rest", "C<rest", "S close", "C eof",
	        "C close"),
	    RELAY_TRACE "Close(4/4) forget" },
	/* The socket has nothing more to tell then. */
	{ "client says bye with its last words", IMPLICIT_TLS,
	    STEPS("admit", "C tls", HELLO, "C>login joe\n", "connect 0",
	        "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n", "C cork", "C>last",
	        "C bye", "C uncork", "S<last", "S eof", "S>rest", "C<rest",
	        "S close", "C eof", "C close"),
	    RELAY_TRACE "Close(4/4) forget" },
	{ "no limit", NO_TIMEOUTS,
	    STEPS(RELAY_STEPS, "wait 1000", "C>x", "S<x", "S close", "C eof",
	        "C close"),
	    RELAY_TRACE "Close(1/0) forget" },
	{ "told again", RELOG,
	    STEPS(RELAY_STEPS, "wait 9", "wait 1", "wait 10", "S close",
	        "C eof", "C close"),
	    RELAY_TRACE "Auth(joe ok) Auth(joe ok) Close(0/0) forget" },
	{ "stop", 0, STEPS(RELAY_STEPS, "stop", "C eof", "C close", "S eof"),
	    RELAY_TRACE "Close(0/0shutting down) forget" },
	{ "TLS", IMPLICIT_TLS,
	    STEPS("admit", "C tls", HELLO, "C>login joe\n", "connect 0",
	        "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n", "C>a", "S<a",
	        "S>last words", "S close", "C<last words", "C eof", "C close"),
	    RELAY_TRACE "Close(1/10) forget" },
};

static const struct script slow_client[] = {
	{ "in clear", 0,
	    STEPS(RELAY_STEPS, "S pour", "C drain", "C>x", "S<x", "S close",
	        "C eof", "C close"),
	    RELAY_TRACE "Close(many) forget" },
	{ "last words", 0,
	    STEPS(
	        RELAY_STEPS, "S pour", "S fin", "C drain", "C eof", "C close"),
	    RELAY_TRACE "Close(many) forget" },
	/* All the time that silence may last, not that of a goodbye. */
	{ "last words, slowly", 0,
	    STEPS(RELAY_STEPS, "S last", "wait 20", "C drain", "C eof",
	        "C close"),
	    RELAY_TRACE "Close(many) forget" },
	{ "last words, TLS", IMPLICIT_TLS,
	    STEPS("admit", "C tls", HELLO, "C>login joe\n", "connect 0",
	        "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n", "S pour", "S fin",
	        "C drain", "C eof", "C close"),
	    RELAY_TRACE "Close(many) forget" },
	{ "upload", 0,
	    STEPS(RELAY_STEPS, "C pour", "C fin", "S drain", "S eof", "S>ok",
	        "C<ok", "S close", "C eof"),
	    RELAY_TRACE "Close(many) forget" },
	{ "upload cut off", 0,
	    STEPS(RELAY_STEPS, "C pour", "S reset", "C eof", "C close"),
	    RELAY_TRACE "Close(manythe inner server left) forget" },
	{ "download cut off", 0, STEPS(RELAY_STEPS, "S pour", "C reset"),
	    RELAY_TRACE "Close(manythe client left) forget" },
	{ "last words cut off", 0,
	    STEPS(RELAY_STEPS, "S pour", "S fin", "C reset", "S gone"),
	    RELAY_TRACE "Close(manythe client left) forget" },
	{ "never reads", 0,
	    STEPS(RELAY_STEPS, "S pour", "wait 40", "S silent", "wait 10"),
	    RELAY_TRACE "Close(manyTimeout piping data.) forget" },
};

SCRIPTS(admit)
SCRIPTS(hasty)
SCRIPTS(yields)
SCRIPTS(learn)
SCRIPTS(handshake)
SCRIPTS(dialogue)
SCRIPTS(closing)
SCRIPTS(relay)
SCRIPTS(slow_client)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRIPT_TEST(test_admit),
		SCRIPT_TEST(test_hasty),
		SCRIPT_TEST(test_yields),
		SCRIPT_TEST(test_learn),
		SCRIPT_TEST(test_handshake),
		SCRIPT_TEST(test_dialogue),
		SCRIPT_TEST(test_closing),
		SCRIPT_TEST(test_relay),
		SCRIPT_TEST(test_slow_client),
	};

	return cmocka_run_group_tests(tests, script_start, script_stop);
}
