/* SPDX-License-Identifier: ISC */
/*
 * pop3_client: the dialogue with a client until its login (the AUTHORIZATION
 * state of RFC 1939 4).  Runs in the worker, on octets from anybody on the
 * Internet.  Nothing a client says here goes any further, but for the names
 * and the password of a login, and a language.
 */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "pop3.h"
#include "xmalloc.h"

/* "+OK ..." or "-ERR ...". */
static void
say(struct session *s, const char *line)
{
	stream_printf(&s->client, "%s\r\n", line);
}

/* No timestamp of APOP (RFC 1939 7): its digest could not be passed on. */
void
pop3_greet(struct session *s)
{
	say(s, "+OK POP3 ready");
}

/* RFC 3206 4: nobody is to take it for a wrong password. */
void
pop3_goodbye(struct session *s, const char *reason)
{
	stream_printf(&s->client, "-ERR [SYS/TEMP] %s\r\n", reason);
}

void
pop3_client_reset(struct session *s)
{
	struct pop3_session *p = s->data;

	exchange_end(&p->exchange);
	free(p->user);
	p->user = NULL;
	p->utf8 = false;
	p->language[0] = '\0';
}

static void
cmd_capa(struct session *s, struct text args)
{
	struct capability c;
	struct text entry;
	size_t at = 0;

	(void)args;
	session_capability(s, &c);
	say(s, "+OK Capability list follows");
	while (capability_next(&c, &at, &entry))
		stream_printf(&s->client, "%.*s\r\n", TEXT_ARG(entry));
	stream_printf(&s->client, ".\r\n");
}

static void
cmd_quit(struct session *s, struct text args)
{
	(void)args;
	say(s, "+OK Bye");
	session_close(s, "Logout");
}

static void
cmd_stls(struct session *s, struct text args)
{
	(void)args;
	say(s, "+OK Begin TLS negotiation now");
	session_starttls(s);
}

/* What cannot be anybody's credentials needs no inner server to say so. */
static void
refused(struct session *s)
{
	say(s, "-ERR [AUTH] Authentication failed"); /* RFC 3206 5 */
}

static void
cmd_user(struct session *s, struct text args)
{
	struct pop3_session *p = s->data;

	free(p->user);
	p->user = NULL;
	if (args.len == 0) {
		say(s, "-ERR USER takes a name");
	} else if (args.len > CREDENTIALS_NAME_MAX) {
		refused(s);
	} else {
		p->user = xstrndup(args.p, args.len);
		say(s, "+OK Send your password");
	}
}

/* All behind the blank is the password, blanks and 8-bit octets included. */
static void
cmd_pass(struct session *s, struct text args)
{
	struct pop3_session *p = s->data;
	struct credentials c = { 0 };

	if (p->user == NULL) {
		say(s, "-ERR USER comes first");
		return;
	}
	if (credentials_copy(text_of(p->user), c.authn, sizeof(c.authn)) &&
	    credentials_copy(args, c.password, sizeof(c.password)) &&
	    credentials_are_good(&c))
		session_begin_login(s, &c);
	else
		refused(s);
	explicit_bzero(&c, sizeof(c));
	free(p->user);
	p->user = NULL;
}

/* Where an exchange has led to; *c is wiped. */
static void
go_on(struct session *s, enum exchange_result r, struct credentials *c)
{
	const struct pop3_session *p = s->data;
	const char *fault = session_exchange(s, &p->exchange, r, c);

	if (fault != NULL)
		stream_printf(&s->client, "-ERR %s%s\r\n",
		    r == EXCHANGE_REFUSED ? "[AUTH] " : "", fault);
}

static void
cmd_auth(struct session *s, struct text args)
{
	struct pop3_session *p = s->data;
	struct text mechanism;
	struct credentials c;

	if (!text_word(&args, &mechanism)) /* as it was before CAPA */
		stream_printf(&s->client,
		    "+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n");
	else if (!exchange_begin(&p->exchange, mechanism))
		say(s, "-ERR Unknown mechanism");
	else if ((args = text_trim(args)).len == 0)
		go_on(s, EXCHANGE_MORE, &c);
	else
		go_on(s, exchange_initial(&p->exchange, args, &c), &c);
}

static void
cmd_utf8(struct session *s, struct text args)
{
	struct pop3_session *p = s->data;

	(void)args;
	p->utf8 = session_promises(s, "UTF8");
	say(s, p->utf8 ? "+OK UTF8 enabled" : "-ERR UTF8 is not offered here");
}

/*
 * Ours are the words of the dialogue only, and they are English; the inner
 * server speaks behind the login and is told, then.
 */
static void
cmd_lang(struct session *s, struct text args)
{
	struct pop3_session *p = s->data;

	if (!session_promises(s, "LANG"))
		say(s, "-ERR LANG is not offered here");
	else if (args.len == 0)
		say(s, "-ERR Languages are listed after the login");
	else if (!text_only(args, POP3_LANGUAGE_OCTETS) ||
	    !credentials_copy(args, p->language, sizeof(p->language)))
		say(s, "-ERR That is no language");
	else
		say(s, "+OK en The mail server is told at the login");
}

/* args is what stands behind the verb and one blank. */
static const struct command commands[] = {
	{ "CAPA", COMMAND_ALWAYS, COMMAND_NO_ARGS, cmd_capa }, /* RFC 2449 5 */
	{ "QUIT", COMMAND_ALWAYS, COMMAND_NO_ARGS, cmd_quit }, /* RFC 1939 4 */
	{ "STLS", COMMAND_BEFORE_TLS, COMMAND_NO_ARGS, cmd_stls },
	{ "USER", COMMAND_MAY_LOGIN, COMMAND_ARGS, cmd_user }, /* RFC 1939 7 */
	{ "PASS", COMMAND_MAY_LOGIN, COMMAND_ARGS, cmd_pass },
	{ "AUTH", COMMAND_MAY_LOGIN, COMMAND_ARGS, cmd_auth }, /* RFC 5034 4 */
	{ "UTF8", COMMAND_ALWAYS, COMMAND_NO_ARGS,
	    cmd_utf8 },                                     /* RFC 6856 2.1 */
	{ "LANG", COMMAND_ALWAYS, COMMAND_ARGS, cmd_lang }, /* RFC 6856 3.2 */
};

static void
run_command(struct session *s, struct text line)
{
	const struct command *c;
	enum command_fault fault;
	struct text verb = TEXT_NONE;

	/* One blank; what is behind it may begin with others (PASS). */
	(void)text_split(&line, ' ', &verb);
	fault = command_find(s, commands, nitems(commands), verb, &c);
	if (fault == COMMAND_GOOD && c->args == COMMAND_NO_ARGS && line.len > 0)
		fault = COMMAND_ARGS_UNWANTED;
	if (fault == COMMAND_GOOD)
		c->run(s, line);
	else
		stream_printf(&s->client, "-ERR %s%s\r\n",
		    fault == COMMAND_LOGINS_DISABLED ? "[SYS/PERM] " : "",
		    command_fault_text(fault));
}

bool
pop3_client_input(struct session *s)
{
	struct pop3_session *p = s->data;
	struct credentials c;
	struct text line;

	if (!session_client_line(s, POP3_LINE_MAX, &line))
		return false;
	if (p->exchange.stage != EXCHANGE_NONE)
		go_on(s, exchange_answer(&p->exchange, line, &c), &c);
	else
		run_command(s, line);
	buf_consume(&s->client.in, line.len + 2);
	return true;
}
