/* SPDX-License-Identifier: ISC */
/* The inner server's POP3: what clients of the bench say, and no more. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"

static void
logged_in(struct sink_conn *c)
{
	sink_stats.logins++;
	c->login_steps = 0;
	sink_say(c, "+OK logged in\r\n");
}

static void
authenticate(struct sink_conn *c, const char *line)
{
	const char *mechanism = strchr(line, ' ');

	if (mechanism != NULL && strchr(mechanism + 1, ' ') != NULL) {
		logged_in(c);
		return;
	}
	c->login_steps = 1;
	sink_say(c, "+ \r\n");
}

static void
pop3_line(struct sink_conn *c, char *line)
{
	uint64_t kib;

	if (c->login_steps > 0 || sink_is(line, "PASS")) {
		logged_in(c);
	} else if (sink_is(line, "AUTH")) {
		authenticate(c, line);
	} else if (sink_is(line, "RETR")) {
		kib = strtoull(line + strlen("RETR"), NULL, 10);
		sink_say(c, "+OK %" PRIu64 " octets\r\n", kib * 1024);
		sink_send(c, kib, ".\r\n");
	} else if (sink_is(line, "CAPA")) {
		sink_say(c,
		    "+OK\r\nUSER\r\nSASL PLAIN\r\nUIDL\r\nTOP\r\n"
		    "PIPELINING\r\n.\r\n");
	} else {
		sink_say(c, "+OK\r\n"); /* USER, NOOP, QUIT */
		c->closing = sink_is(line, "QUIT");
	}
}

const struct sink_protocol sink_pop3 = { "+OK mailsink ready\r\n", pop3_line,
	NULL };
