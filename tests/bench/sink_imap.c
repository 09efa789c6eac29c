/* SPDX-License-Identifier: ISC */
/* The inner server's IMAP: what clients of the bench say, and no more. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"

#define CAPABILITY "IMAP4rev1 LITERAL+ SASL-IR ID IDLE AUTH=PLAIN"

static void
logged_in(struct sink_conn *c, const char *tag)
{
	sink_stats.logins++;
	c->login_steps = 0;
	sink_say(c, "%s OK Logged in\r\n", tag);
}

static void
authenticate(struct sink_conn *c, const char *command)
{
	const char *mechanism = strchr(command, ' ');

	if (mechanism != NULL && strchr(mechanism + 1, ' ') != NULL) {
		logged_in(c, c->tag);
		return;
	}
	c->login_steps = 1;
	sink_say(c, "+ \r\n");
}

static void
fetch(struct sink_conn *c, const char *number)
{
	uint64_t kib = strtoull(number, NULL, 10);
	char tail[128];

	strlcpy(tail, ")\r\n", sizeof(tail));
	strlcat(tail, c->tag, sizeof(tail));
	strlcat(tail, " OK done\r\n", sizeof(tail));
	sink_say(c, "* %" PRIu64 " FETCH (BODY[] {%" PRIu64 "}\r\n", kib,
	    kib * 1024);
	sink_send(c, kib, tail);
}

static void
command(struct sink_conn *c, const char *word)
{
	if (sink_is(word, "LOGIN")) {
		logged_in(c, c->tag);
	} else if (sink_is(word, "AUTHENTICATE")) {
		authenticate(c, word);
	} else if (sink_is(word, "FETCH")) {
		fetch(c, word + strlen("FETCH"));
	} else if (sink_is(word, "IDLE")) {
		sink_say(c, "+ idling\r\n");
	} else if (sink_is(word, "LOGOUT")) {
		sink_say(c, "* BYE bye\r\n%s OK done\r\n", c->tag);
		c->closing = true;
	} else if (sink_is(word, "CAPABILITY")) {
		sink_say(
		    c, "* CAPABILITY " CAPABILITY "\r\n%s OK done\r\n", c->tag);
	} else if (sink_is(word, "ID")) {
		sink_say(c, "* ID NIL\r\n%s OK done\r\n", c->tag);
	} else {
		sink_say(c, "%s OK done\r\n", c->tag); /* SELECT, NOOP */
	}
}

/* A literal follows: a message, or a name or password, which goes by. */
static void
literal(struct sink_conn *c, const char *line, const char *brace)
{
	c->literal = strtoull(brace + 1, NULL, 10);
	c->in_bulk = c->literal > 0;
	if (strchr(brace, '+') == NULL)
		sink_say(c, "+ OK\r\n");
	if (strcasestr(line, " APPEND ") != NULL)
		sink_message(c);
	else
		c->line_len = (size_t)(brace - line); /* the line goes on */
}

static void
imap_line(struct sink_conn *c, char *line)
{
	size_t n = strlen(line);
	char *space, *brace;

	if (c->in_message) {
		sink_message_end(c);
		sink_say(c, "%s OK [APPENDUID 1 1] done\r\n", c->tag);
		return;
	}
	if (c->login_steps > 0) {
		logged_in(c, c->tag);
		return;
	}
	if (strcasecmp(line, "DONE") == 0) {
		sink_say(c, "%s OK IDLE done\r\n", c->tag);
		return;
	}
	space = strchr(line, ' ');
	if (space == NULL || (size_t)(space - line) >= sizeof(c->tag)) {
		sink_say(c, "* BAD what?\r\n");
		return;
	}
	strlcpy(c->tag, line, (size_t)(space - line) + 1);
	brace = strrchr(line, '{');
	if (brace != NULL && line[n - 1] == '}')
		literal(c, line, brace);
	else
		command(c, space + 1);
}

static size_t
imap_bulk(struct sink_conn *c, const char *p, size_t n)
{
	if (n > c->literal)
		n = c->literal;
	if (c->in_message)
		sink_piece(c, p, n);
	c->literal -= n;
	c->in_bulk = c->literal > 0;
	return n;
}

const struct sink_protocol sink_imap = { "* OK [CAPABILITY " CAPABILITY
	                                 "] mailsink ready\r\n",
	imap_line, imap_bulk };
