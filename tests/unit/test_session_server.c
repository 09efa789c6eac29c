/* SPDX-License-Identifier: ISC */
/*
 * session, the inner server's side: the login, the servers that fail it, TLS
 * towards them, the delay after a refusal, lessons.  Every script ends with
 * the session gone, with one closing event (a lesson has none) and with no
 * descriptor left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "session_script.h"

static const struct script find_server[] = {
	{ "none", 0,
	    STEPS("admit", HELLO, "C>login joe\nx\n", "no server",
	        "C<failed unavailable\necho x\n", "C close"),
	    LOGIN_TRACE "Auth(joe failed: Could not connect to server) "
	                "Null(the client left) forget" },
	{ "slow", 0,
	    STEPS("admit", HELLO, "C>login joe\nx\n", "wait 29", "C silent",
	        "wait 1", "C<failed unavailable\necho x\n", "connect in vain",
	        "C close"),
	    LOGIN_TRACE "Auth(joe failed: Timeout) Null(the client left) "
	                "forget" },
	{ "a new broker", 0,
	    STEPS("admit", HELLO, "C>login joe\n", "broker", "connect 0",
	        "connect in vain", "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n",
	        "S close", "C eof", "C close"),
	    "admit Connect connect:0 connect:0 Auth(joe ok) ok@0 Close(0/0) "
	    "forget" },
	{ "client ends", 0,
	    STEPS("admit", HELLO, "C>login joe\n", "C fin", "no server",
	        "C<failed unavailable\n", "C eof"),
	    LOGIN_TRACE "Auth(joe failed: Could not connect to server) "
	                "Null(the client left) forget" },
	{ "reset", 0, STEPS("admit", HELLO, "C>login joe\n", "C reset"),
	    LOGIN_TRACE "Null(the client left) forget" },
	{ "stop", 0,
	    STEPS("admit", HELLO, "C>login joe\n", "stop", "C eof", "C close"),
	    LOGIN_TRACE "Null(shutting down) forget" },
};

static const struct script login[] = {
	{ "ok", 0,
	    STEPS("admit", HELLO, "C>login joe\nfirst\n", "connect 0",
	        "S>greet\r\n", JOE, "C>second\n", "S>ok\r\nbehind\n",
	        "S<first\nsecond\n", "C<ok\nbehind\n", "C>third\n", "S<third\n",
	        "S>answer\n", "C<answer\n", "C close", "S eof", "S close"),
	    RELAY_TRACE "Close(19/14) forget" },
	{ "all at once", 0,
	    STEPS("admit", HELLO, "C>login joe\nlogin ann\n", "connect 0",
	        "S>greet\r\nok\r\nx", "S<user joe secret\nlogin ann\n",
	        "C<ok\nx", "C close", "S eof", "S close"),
	    RELAY_TRACE "Close(10/1) forget" },
	{ "much behind it", 0,
	    STEPS(LOGIN_STEPS, "C pour", "C silent", "S>ok\r\n", "C<ok\n",
	        "S drain", "C close", "S eof", "S close"),
	    RELAY_TRACE "Close(many) forget" },
	{ "learned on the way", 0,
	    STEPS(LOGIN_STEPS, "S>list A B\r\nok\r\n", "C<ok\n", "S close",
	        "C eof", "C close"),
	    LOGIN_TRACE "learned@0=A B Auth(joe ok) ok@0 Close(0/0) forget" },
	{ "refused", 0,
	    STEPS("admit", HELLO, "C>login joe\nnext\n", "connect 0",
	        "S>greet\r\n", JOE, "S>no\r\n", "S eof", "wait 1", "C>more\n",
	        "C silent", "wait 1",
	        "C<failed refused\necho next\necho more\n", "C>login joe\n",
	        "connect 0", "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n",
	        "C close", "S eof", "S close"),
	    LOGIN_TRACE "Auth(joe failed: Re-Authentication Failure) "
	                "refused@0 connect:0 Auth(joe ok) ok@0 Close(0/0) "
	                "forget" },
	{ "refused too often", 0,
	    STEPS(LOGIN_STEPS, "S>no\r\n", "wait 2", "C<failed refused\n",
	        "C>login ann\n", "connect 0", "S>greet\r\n",
	        "S<user ann secret\n", "S>no\r\n", "wait 2",
	        "C<failed refused\nbye too many failed logins\n", "C eof",
	        "C close"),
	    LOGIN_TRACE "Auth(joe failed: Re-Authentication Failure) "
	                "refused@0 connect:0 "
	                "Auth(ann failed: Re-Authentication Failure) "
	                "refused@0 Null(too many failed logins) forget" },
	{ "pipelined beyond all time", 0,
	    STEPS("admit", HELLO, "wait 40", "C>login joe\nlogin ann\n",
	        "connect 0", "S>greet\r\n", JOE, "wait 25", "S>down\r\n",
	        "C<failed unavailable\nbye too long without a login\n", "C eof",
	        "C close"),
	    LOGIN_TRACE "Auth(joe failed: it is ill) "
	                "Null(timeout before login) forget" },
	{ "unavailable", 0,
	    STEPS(LOGIN_STEPS, "S>down\r\n", "C<failed unavailable\n", "S eof",
	        "C close"),
	    LOGIN_TRACE "Auth(joe failed: it is ill) Null(the client left) "
	                "forget" },
	{ "mismatch", 0,
	    STEPS(LOGIN_STEPS, "S>cannot\r\n", "C<failed mismatch\n", "S eof",
	        "C close"),
	    LOGIN_TRACE "Auth(joe failed: it cannot) Null(the client left) "
	                "forget" },
	{ "garbage", 0,
	    STEPS(LOGIN_STEPS, "S>HTTP/1.1\r\n", "C<failed unavailable\n",
	        "S eof", "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Invalid response from server) "
	                "Null(the client left) forget" },
	{ "no end of line", 0,
	    STEPS(LOGIN_STEPS, "S flood", "C<failed unavailable\n", "S gone",
	        "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Line from server too long) "
	                "Null(the client left) forget" },
	{ "no end of lines", 0,
	    STEPS(LOGIN_STEPS, "S chatter", "C<failed unavailable\n", "S gone",
	        "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Too many lines from server) "
	                "Null(the client left) forget" },
	{ "server closes", 0,
	    STEPS(LOGIN_STEPS, "S close", "C<failed unavailable\n", "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Connection closed by server) "
	                "Null(the client left) forget" },
	{ "server resets", 0,
	    STEPS(LOGIN_STEPS, "S reset", "C<failed unavailable\n", "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Connection closed by server) "
	                "Null(the client left) forget" },
	{ "server is silent", 0,
	    STEPS(LOGIN_STEPS, "wait 29", "C silent", "wait 1",
	        "C<failed unavailable\n", "S eof", "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Timeout) "
	                "Null(the client left) forget" },
	{ "no greeting", 0,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "wait 29",
	        "C silent", "wait 1", "C<failed unavailable\n", "S eof",
	        "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Timeout) "
	                "Null(the client left) forget" },
	{ "client ends", 0,
	    STEPS(LOGIN_STEPS, "C fin", "S silent", "S>ok\r\n", "C<ok\n",
	        "S eof", "S>rest", "C<rest", "S close", "C eof"),
	    RELAY_TRACE "Close(0/4) forget" },
	{ "client resets", 0, STEPS(LOGIN_STEPS, "C reset", "S eof"),
	    LOGIN_TRACE "Null(the client left) forget" },
	{ "stop", 0, STEPS(LOGIN_STEPS, "stop", "C eof", "C close", "S eof"),
	    LOGIN_TRACE "Null(shutting down) forget" },
};

static const struct script next_server[] = {
	{ "closes", TWO_SERVERS,
	    STEPS("admit", HELLO, "C>login joe\nx", "connect 0", "S close",
	        "connect 1", "S>greet\r\n", JOE, "S>ok\r\n", "S<x", "C<ok\n",
	        "S close", "C eof", "C close"),
	    LOGIN_TRACE "bad@0 connect:1 Auth(joe ok) ok@1 Close(1/0) forget" },
	{ "garbage", TWO_SERVERS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 1", "S>what\r\n",
	        "S eof", "connect 0", "S>what\r\n", "S eof", "no server",
	        "C<failed unavailable\n", "C close"),
	    LOGIN_TRACE "bad@1 connect:2 bad@0 connect:3 "
	                "Auth(joe failed: Could not connect to server) "
	                "Null(the client left) forget" },
	{ "silent", TWO_SERVERS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "wait 7",
	        "S silent", "wait 1", "S eof", "connect 1", "S>greet\r\n", JOE,
	        "S>ok\r\n", "C<ok\n", "S close", "C eof", "C close"),
	    LOGIN_TRACE "bad@0 connect:1 Auth(joe ok) ok@1 Close(0/0) forget" },
	/* A server that has greeted has the whole time. */
	{ "slow", TWO_SERVERS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "wait 7",
	        "S>greet\r\n", JOE, "wait 20", "S>ok\r\n", "C<ok\n", "S close",
	        "C eof", "C close"),
	    RELAY_TRACE "Close(0/0) forget" },
	{ "TLS refused", TWO_SERVERS | INNER_TLS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "S>* OK\r\n",
	        "connect 1", "S tls", "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n",
	        "S close", "C eof", "C close"),
	    LOGIN_TRACE "bad@0 connect:1 Auth(joe ok) ok@1 Close(0/0) forget" },
};

static const struct script inner_tls[] = {
	{ "implicit", INNER_TLS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "S tls",
	        "S>greet\r\n", JOE, "S>ok\r\nx", "C<ok\nx", "C>y", "S<y",
	        "C close", "S eof", "S close"),
	    RELAY_TRACE "Close(1/1) forget" },
	{ "closes", INNER_TLS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "S close",
	        "no server", "C<failed unavailable\n", "C close"),
	    LOGIN_TRACE "bad@0 connect:1 "
	                "Auth(joe failed: Could not connect to server) "
	                "Null(the client left) forget" },
	{ "slow", INNER_TLS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "wait 29",
	        "C silent", "wait 1", "C<failed unavailable\n", "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Timeout) "
	                "Null(the client left) forget" },
	{ "stop", INNER_TLS,
	    STEPS("admit", HELLO, "C>login joe\n", "connect 0", "stop", "C eof",
	        "C close"),
	    LOGIN_TRACE "Null(shutting down) forget" },
	{ "STARTTLS", 0,
	    STEPS(LOGIN_STEPS, "S>starttls\r\n", "S tls", "S<secured\n",
	        "S>ok\r\n", "C<ok\n", "S close", "C eof", "C close"),
	    RELAY_TRACE "Close(0/0) forget" },
	/* What a third party put behind the answer in clear. */
	{ "injected", 0,
	    STEPS(LOGIN_STEPS, "S>starttls\r\nok\r\n", "C<failed unavailable\n",
	        "S gone", "C close"),
	    LOGIN_TRACE "bad@0 Auth(joe failed: Data from server before TLS) "
	                "Null(the client left) forget" },
};

static const struct script delay[] = {
	{ "client ends", 0,
	    STEPS(LOGIN_STEPS, "S>no\r\n", "C>x\n", "C fin", "C silent",
	        "wait 2", "C<failed refused\necho x\n", "C eof"),
	    LOGIN_TRACE "Auth(joe failed: Re-Authentication Failure) "
	                "refused@0 Null(the client left) forget" },
	/* It would be a way to guess faster. */
	{ "client resets", 0,
	    STEPS(LOGIN_STEPS, "S>no\r\n", "C reset", "wait 2"),
	    LOGIN_TRACE "Auth(joe failed: Re-Authentication Failure) "
	                "refused@0 Null(the client left) forget" },
	{ "stop", 0,
	    STEPS(LOGIN_STEPS, "S>no\r\n", "stop", "C<bye shutting down\n",
	        "C eof", "C close"),
	    LOGIN_TRACE "Auth(joe failed: Re-Authentication Failure) "
	                "refused@0 Null(shutting down) forget" },
};

static const struct script lesson[] = {
	{ "learned", LESSON,
	    STEPS("S>greet\r\n", "S<list?\n", "S>list A B\r\n", "S eof"),
	    "learned@0=A B forget" },
	{ "closes", LESSON, STEPS("S>greet\r\n", "S<list?\n", "S close"),
	    "learned@0=nothing forget" },
	{ "garbage", LESSON, STEPS("S>what\r\n", "S eof"),
	    "learned@0=nothing forget" },
	{ "silent", LESSON, STEPS("wait 29", "S silent", "wait 1", "S eof"),
	    "learned@0=nothing forget" },
	{ "a new broker", LESSON,
	    STEPS(
	        "broker", "S>greet\r\n", "S<list?\n", "S>list A\r\n", "S eof"),
	    "learned@0=A forget" },
	{ "TLS", LESSON | INNER_TLS,
	    STEPS("S tls", "S>greet\r\n", "S<list?\n", "S>list A\r\n", "S eof"),
	    "learned@0=A forget" },
	{ "not TLS", LESSON | INNER_TLS, STEPS("S>greet\r\n"),
	    "learned@0=nothing forget" },
	{ "TLS, silent", LESSON | INNER_TLS, STEPS("wait 30"),
	    "learned@0=nothing forget" },
	{ "STARTTLS", LESSON,
	    STEPS("S>starttls\r\n", "S tls", "S<secured\n", "S>list A\r\n",
	        "S eof"),
	    "learned@0=A forget" },
	{ "injected", LESSON, STEPS("S>starttls\r\nlist EVE\r\n", "S gone"),
	    "learned@0=nothing forget" },
};

SCRIPTS(find_server)
SCRIPTS(login)
SCRIPTS(next_server)
SCRIPTS(inner_tls)
SCRIPTS(delay)
SCRIPTS(lesson)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRIPT_TEST(test_find_server),
		SCRIPT_TEST(test_login),
		SCRIPT_TEST(test_next_server),
		SCRIPT_TEST(test_inner_tls),
		SCRIPT_TEST(test_delay),
		SCRIPT_TEST(test_lesson),
	};

	return cmocka_run_group_tests(tests, script_start, script_stop);
}
