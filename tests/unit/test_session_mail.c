/* SPDX-License-Identifier: ISC */
/*
 * session_mail: both dialogues behind the login: inner servers as they are
 * needed, what is owed and for how long, messages, and every way to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "session_script.h"

#define IN_STEPS "admit", HELLO, "C>mail\n"
#define READY_STEPS IN_STEPS, "C>connect\n", "connect 0", "S>ready\r\n"
#define MAIL_TRACE "admit Connect "
#define READY_TRACE MAIL_TRACE "connect:0 ok@0 "

static const struct script connecting[] = {
	{ "at once", 0, STEPS(READY_STEPS, "C>x\n", "C<echo x\n", "C close"),
	    READY_TRACE "Close(15/23the client left) forget" },
	{ "pipelined", 0,
	    STEPS("admit", HELLO, "C>mail\nconnect\nask\nx\n", "connect 0",
	        "S>ready\r\n", "S<ask\n", "C silent", "S>answer\r\n",
	        "C<answer\necho x\n", "C close"),
	    READY_TRACE "Close(19/30the client left) forget" },
	{ "none to be had", 0,
	    STEPS(IN_STEPS, "C>connect\nx\n", "no server",
	        "C<failed unavailable\necho x\n", "C>connect\n", "connect 0",
	        "S>ready\r\n", "C>y\n", "C<echo y\n", "C close"),
	    MAIL_TRACE
	    "connect:0 connect:0 ok@0 Close(25/49the client left) forget" },
	{ "what comes next is not for one that failed", 0,
	    STEPS(IN_STEPS, "C>connect\nask\n", "connect 0", "S>down\r\n",
	        "S eof", "C<failed unavailable\n", "wait 10",
	        "C<gone Timeout\n", "C close"),
	    MAIL_TRACE "connect:0 Close(17/48the client left) forget" },
	{ "the next one", TWO_SERVERS,
	    STEPS(IN_STEPS, "C>connect\n", "connect 0", "S close", "connect 1",
	        "S>ready\r\n", "C>x\n", "C<echo x\n", "C close"),
	    MAIL_TRACE "connect:0 bad@0 connect:1 ok@1 Close(15/23the client "
	               "left) forget" },
	{ "not that one", TWO_SERVERS,
	    STEPS(READY_STEPS, "C>next\n", "S eof", "connect 1", "S>ready\r\n",
	        "C>x\n", "C<echo x\n", "C close"),
	    READY_TRACE
	    "bad@0 connect:1 ok@1 Close(20/23the client left) forget" },
	{ "again, from the beginning", TWO_SERVERS,
	    STEPS(READY_STEPS, "C>next\n", "S eof", "connect 1", "S>ready\r\n",
	        "C>drop\n", "S eof", "C>connect\n", "connect 0", "S>ready\r\n",
	        "C>x\n", "C<echo x\n", "C close"),
	    READY_TRACE "bad@0 connect:1 ok@1 connect:0 ok@0 Close(33/23the "
	                "client left) forget" },
	{ "never ready", 0,
	    STEPS(IN_STEPS, "C>connect\n", "connect 0", "wait 30", "S gone",
	        "C<failed unavailable\n", "C close"),
	    MAIL_TRACE "connect:0 bad@0 Close(13/35the client left) forget" },
};

static const struct script answers[] = {
	{ "an answer", 0,
	    STEPS(READY_STEPS, "C>ask\nx\n", "S<ask\n", "C silent",
	        "S>answer\r\n", "C<answer\necho x\n", "C close"),
	    READY_TRACE "Close(19/30the client left) forget" },
	{ "too late", 0,
	    STEPS(READY_STEPS, "C>ask\n", "S<ask\n", "wait 9", "C silent",
	        "wait 1", "S gone", "C<gone Timeout\n", "C>x\n", "C<echo x\n",
	        "C close"),
	    READY_TRACE "Close(19/36the client left) forget" },
	/* The client's silence does not count meanwhile. */
	{ "asked late", 0,
	    STEPS(READY_STEPS, "wait 39", "C>ask\n", "S<ask\n", "wait 9",
	        "S>answer\r\n", "C<answer\n", "wait 39", "C silent", "wait 1",
	        "C<bye timeout\n", "C eof", "C close", "S eof"),
	    READY_TRACE "Close(17/35timeout) forget" },
	{ "unasked", 0,
	    STEPS(READY_STEPS, "S>answer\r\n", "S gone",
	        "C<gone Invalid response from server\n", "C close"),
	    READY_TRACE "Close(13/50the client left) forget" },
	{ "server closes", 0,
	    STEPS(READY_STEPS, "S close",
	        "C<gone Connection closed by server\n", "C>x\n", "C<echo x\n",
	        "C close"),
	    READY_TRACE "Close(15/56the client left) forget" },
	{ "server closes, owing", 0,
	    STEPS(READY_STEPS, "C>ask\nx\n", "S<ask\n", "S close",
	        "C<gone Connection closed by server\necho x\n", "C close"),
	    READY_TRACE "Close(19/56the client left) forget" },
	{ "client has said all", 0,
	    STEPS(READY_STEPS, "C>ask\nx\n", "C fin", "C silent", "S<ask\n",
	        "S>answer\r\n", "C<answer\necho x\n", "C eof", "S eof"),
	    READY_TRACE "Close(19/30the client left) forget" },
	{ "client is gone", 0,
	    STEPS(READY_STEPS, "C>ask\n", "S<ask\n", "C reset", "S silent",
	        "S>answer\r\n", "S eof"),
	    READY_TRACE "Close(17/16the client left) forget" },
	{ "client is gone, nothing owed", 0,
	    STEPS(READY_STEPS, "C reset", "S eof"),
	    READY_TRACE "Close(13/16the client left) forget" },
	{ "stop", 0,
	    STEPS(READY_STEPS, "stop", "C<bye shutting down\n", "C eof",
	        "C close", "S eof"),
	    READY_TRACE "Close(13/34shutting down) forget" },
	{ "stop, owing", 0,
	    STEPS(READY_STEPS, "C>ask\nx\n", "S<ask\n", "stop", "C silent",
	        "S>answer\r\n", "C<answer\nbye shutting down\n", "C eof",
	        "C close", "S eof"),
	    READY_TRACE "Close(19/41shutting down) forget" },
};

static const struct script messages[] = {
	{ "a message", 0,
	    STEPS(READY_STEPS, "C>message\n", "C>abc", "S<abc",
	        "C>def<end>ask\n", "S<defask\n", "S>answer\r\n", "C<answer\n",
	        "C close"),
	    READY_TRACE "Close(36/23the client left) forget" },
	{ "all at once", 0,
	    STEPS(READY_STEPS, "C>message\nabc<end>message\ndef<end>x\n",
	        "S<abcdef", "C<echo x\n", "C close"),
	    READY_TRACE "Close(47/23the client left) forget" },
	{ "no faster than it goes", 0,
	    STEPS(READY_STEPS, "C>message\n", "C pour", "S drain", "C close",
	        "S eof"),
	    READY_TRACE "Close(manythe client left within a message) forget" },
	{ "server does not take it", 0,
	    STEPS(READY_STEPS, "C>message\n", "C pour", "wait 40", "S gone",
	        "C<gone Timeout\n", "C close"),
	    READY_TRACE "Close(manythe client left within a message) forget" },
	{ "client stops in the middle", 0,
	    STEPS(READY_STEPS, "C>message\nabc", "S<abc", "wait 40",
	        "C<bye timeout\n", "C eof", "C close", "S eof"),
	    READY_TRACE "Close(24/28timeout) forget" },
	{ "client leaves", 0,
	    STEPS(READY_STEPS, "C>message\nabc", "S<abc", "C close", "S eof"),
	    READY_TRACE "Close(24/16the client left within a message) forget" },
	{ "client had left", 0,
	    STEPS(READY_STEPS, "C>ask\nmessage\nabc", "S<ask\n", "C fin",
	        "S>answer\r\n", "S<abc", "S eof"),
	    READY_TRACE "Close(28/23the client left within a message) forget" },
	{ "client is reset", 0,
	    STEPS(READY_STEPS, "C>message\nabc", "S<abc", "C reset", "S eof"),
	    READY_TRACE "Close(24/16the client left) forget" },
	{ "server leaves", 0,
	    STEPS(READY_STEPS, "C>message\nabc", "S<abc", "S close",
	        "C<gone Connection closed by server\n", "C>def<end>x\n",
	        "C<echo x\n", "C close"),
	    READY_TRACE "Close(34/56the client left) forget" },
	{ "server speaks", 0,
	    STEPS(READY_STEPS, "C>message\nabc", "S<abc", "S>answer\r\n",
	        "S gone", "C<gone Invalid response from server\n", "C><end>x\n",
	        "C<echo x\n", "C close"),
	    READY_TRACE "Close(31/57the client left) forget" },
	{ "stop in the middle", 0,
	    STEPS(READY_STEPS, "C>message\nabc", "S<abc", "stop", "C silent",
	        "C>def<end>", "S<def", "C<bye shutting down\n", "C eof",
	        "C close", "S eof"),
	    READY_TRACE "Close(32/34shutting down) forget" },
};

static const struct script submits[] = {
	{ "leave", 0,
	    STEPS(IN_STEPS, "C>may I\nx\n", "C silent", "verdict 0",
	        "C<verdict 0\necho x\n", "C close"),
	    MAIL_TRACE "submit:0:me Close(13/33the client left) forget" },
	{ "asked again", 0,
	    STEPS(IN_STEPS, "C>may I\n", "C silent", "broker", "verdict 2",
	        "C<verdict 2\n", "broker", "verdict 1", "C silent", "C close"),
	    MAIL_TRACE
	    "submit:0:me submit:0:me Close(11/26the client left) forget" },
	{ "no answer", 0,
	    STEPS(IN_STEPS, "C>may I\n", "wait 29", "C silent", "wait 1",
	        "C<verdict 3\n", "verdict 0", "C>x\n", "C<echo x\n", "C close"),
	    MAIL_TRACE "submit:0:me Close(13/33the client left) forget" },
	{ "client has said all", 0,
	    STEPS(IN_STEPS, "C>may I\nx\n", "C fin", "C silent", "verdict 0",
	        "C<verdict 0\necho x\n", "C eof"),
	    MAIL_TRACE "submit:0:me Close(13/33the client left) forget" },
	{ "client is gone", 0, STEPS(IN_STEPS, "C>may I\n", "C reset"),
	    MAIL_TRACE "submit:0:me Close(11/16the client left) forget" },
	{ "server closes meanwhile", 0,
	    STEPS(READY_STEPS, "C>may I\n", "S close", "C silent", "verdict 0",
	        "C<verdict 0\ngone Connection closed by server\n", "C close"),
	    READY_TRACE "submit:0:me Close(19/59the client left) forget" },
	{ "stop", 0,
	    STEPS(IN_STEPS, "C>may I\n", "C silent", "stop",
	        "C<bye shutting down\n", "C eof", "C close"),
	    MAIL_TRACE "submit:0:me Close(11/34shutting down) forget" },
};

SCRIPTS(connecting)
SCRIPTS(answers)
SCRIPTS(messages)
SCRIPTS(submits)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRIPT_TEST(test_connecting),
		SCRIPT_TEST(test_answers),
		SCRIPT_TEST(test_messages),
		SCRIPT_TEST(test_submits),
	};

	return cmocka_run_group_tests(tests, script_start, script_stop);
}
