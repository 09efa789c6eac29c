/* SPDX-License-Identifier: ISC */
/*
 * session, the PROXY protocol: a proxy's connection until its header has come,
 * what is behind the header, headers of others, and those that inner servers
 * get.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "session_script.h"

#define HEADER "PROXY TCP4 127.0.0.7 127.0.0.8 4711 993\r\n"
#define ADMIT "admit(127.0.0.7:4711) "
#define LEFT "Connect Null(the client left) forget"
#define UNLISTED                                                               \
	"admit Connect Null(a PROXY header, from an address that is not in "   \
	"proxy_protocol_from) forget"
#define REFUSAL "C<bye no PROXY header is taken from your address\n"

static const struct script awaited[] = {
	{ "served", PROXIED, STEPS("C>" HEADER, "admit", HELLO, "C close"),
	    ADMIT LEFT },
	{ "in two parts", PROXIED,
	    STEPS("C>PROXY TCP4 127.0.0", "C silent",
	        "C>.7 127.0.0.8 4711 993\r\n", "admit", HELLO, "C close"),
	    ADMIT LEFT },
	{ "words behind it", PROXIED,
	    STEPS("C>" HEADER "x\n", "C silent", "admit", HELLO "echo x\n",
	        "C close"),
	    ADMIT LEFT },
	{ "more words", PROXIED,
	    STEPS("C>" HEADER "x\n", "C>y\n", "C silent", "admit",
	        HELLO "echo x\necho y\n", "C close"),
	    ADMIT LEFT },
	{ "TLS behind it", PROXIED | IMPLICIT_TLS,
	    STEPS("C>" HEADER, "admit", "C tls", HELLO, "C close"),
	    ADMIT LEFT },
	{ "at once", PROXIED | HASTY,
	    STEPS("C>" HEADER, HELLO, "admit", "C close"), ADMIT LEFT },
	{ "at once, TLS", PROXIED | HASTY | IMPLICIT_TLS,
	    STEPS("C>" HEADER, "C tls", HELLO, "admit", "C close"),
	    ADMIT LEFT },
	{ "STARTTLS behind it", PROXIED | OFFER_STARTTLS,
	    STEPS("C>" HEADER, "admit", "C<hello MIN STLS LOGIN\n",
	        "C>starttls\n", "C<go ahead\n", "C tls", "C>x\n", "C<echo x\n",
	        "C close"),
	    ADMIT "Connect reset Null(the client left) forget" },
	{ "for itself", PROXIED,
	    STEPS("C>PROXY UNKNOWN\r\n", "admit", HELLO, "C close"),
	    "admit " LEFT },
	{ "too many", PROXIED,
	    STEPS("C>" HEADER, "too many", "C<bye too many connections\n",
	        "C eof", "C close"),
	    ADMIT "Null(too many connections) forget" },
	{ "not admitted", PROXIED,
	    STEPS("C>" HEADER, "wait 10", "C<bye not admitted in time\n",
	        "C eof", "C close"),
	    ADMIT "Null(not admitted in time) forget" },
	{ "left before it is admitted", PROXIED,
	    STEPS("C>" HEADER, "C close", "admit"), ADMIT LEFT },
	{ "a new broker", PROXIED,
	    STEPS("broker", "C>" HEADER, "broker", "admit", HELLO, "C close"),
	    ADMIT ADMIT LEFT },
	{ "admitted before it", PROXIED,
	    STEPS("wait 4", "C>" HEADER, "admit", HELLO, "C close"),
	    ADMIT LEFT },
};

static const struct script missing[] = {
	{ "silent", PROXIED, STEPS("wait 4", "C silent", "wait 1", "C eof"),
	    "forget" },
	{ "silent, no limits", PROXIED | NO_TIMEOUTS,
	    STEPS("wait 4", "C silent", "wait 1", "C eof"), "forget" },
	{ "half", PROXIED,
	    STEPS("C>PROXY TCP4", "wait 4", "C silent", "wait 1", "C eof"),
	    "forget" },
	{ "a command", PROXIED, STEPS("C>x\n", "C gone"), "forget" },
	{ "an odd one", PROXIED,
	    STEPS("C>PROXY TCP4 127.0.0.7 127.0.0.8 4711 66666\r\n", "C gone"),
	    "forget" },
	{ "a long one", PROXIED, STEPS("C>PROXY UNKNOWN ", "C flood", "C gone"),
	    "forget" },
	{ "left", PROXIED, STEPS("C close"), "forget" },
	{ "left within", PROXIED, STEPS("C>PROXY", "C close"), "forget" },
	{ "reset", PROXIED, STEPS("C reset"), "forget" },
	{ "stop", PROXIED, STEPS("stop", "C eof", "C close"), "forget" },
};

static const struct script unlisted[] = {
	{ "in clear", 0,
	    STEPS("admit", HELLO, "C>" HEADER, REFUSAL, "C eof", "C close"),
	    UNLISTED },
	{ "in two parts", 0,
	    STEPS("admit", HELLO, "C>PROXY TCP", "C>4 1.2.3.4\r\n", REFUSAL,
	        "C eof", "C close"),
	    UNLISTED },
	{ "in front of TLS", IMPLICIT_TLS,
	    STEPS("C>" HEADER, "admit", "wait 2", "C gone"), UNLISTED },
	{ "within TLS", IMPLICIT_TLS,
	    STEPS("admit", "C tls", HELLO, "C>" HEADER, REFUSAL, "C eof",
	        "C close"),
	    UNLISTED },
	{ "a second one", PROXIED,
	    STEPS("C>" HEADER HEADER, "admit",
	        HELLO "bye no PROXY header is taken from your address\n",
	        "C eof", "C close"),
	    ADMIT "Connect Null(a PROXY header, from an address that is not "
	          "in proxy_protocol_from) forget" },
	{ "later, it is a line", 0,
	    STEPS("admit", HELLO, "C>x\n", "C<echo x\n", "C>PROXY TCP4\n",
	        "C<echo PROXY TCP4\n", "C close"),
	    "admit " LEFT },
};

#define PROXIED_LOGIN "C>" HEADER, "admit", HELLO, "C>login joe\n", "connect 0"
#define TOLD "S<" HEADER
#define TRACE ADMIT "Connect connect:0 "
#define END "Close(0/0) forget"

static const struct script outgoing[] = {
	{ "first of all", PROXIED | SEND_HEADER,
	    STEPS(PROXIED_LOGIN, TOLD, "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n",
	        "C close", "S eof", "S close"),
	    TRACE "Auth(joe ok) ok@0 " END },
	{ "in front of TLS", PROXIED | SEND_HEADER | INNER_TLS,
	    STEPS(PROXIED_LOGIN, TOLD, "S tls", "S>greet\r\n", JOE, "S>ok\r\n",
	        "C<ok\n", "C close", "S eof", "S close"),
	    TRACE "Auth(joe ok) ok@0 " END },
	{ "to each server", PROXIED | SEND_HEADER | TWO_SERVERS,
	    STEPS(PROXIED_LOGIN, TOLD, "S close", "connect 1", TOLD,
	        "S>greet\r\n", JOE, "S>ok\r\n", "C<ok\n", "C close", "S eof",
	        "S close"),
	    TRACE "bad@0 connect:1 Auth(joe ok) ok@1 " END },
	{ "a lesson", LESSON | SEND_HEADER,
	    STEPS("S<PROXY UNKNOWN\r\n", "S>greet\r\n", "S<list?\n",
	        "S>list A B\r\n", "S eof", "S close"),
	    "learned@0=A B forget" },
	{ "not wanted", PROXIED,
	    STEPS(PROXIED_LOGIN, "S silent", "S>greet\r\n", JOE, "S>ok\r\n",
	        "C<ok\n", "C close", "S eof", "S close"),
	    TRACE "Auth(joe ok) ok@0 " END },
};

SCRIPTS(awaited)
SCRIPTS(missing)
SCRIPTS(unlisted)
SCRIPTS(outgoing)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRIPT_TEST(test_awaited),
		SCRIPT_TEST(test_missing),
		SCRIPT_TEST(test_unlisted),
		SCRIPT_TEST(test_outgoing),
	};

	return cmocka_run_group_tests(tests, script_start, script_stop);
}
