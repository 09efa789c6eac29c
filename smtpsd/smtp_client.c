/* SPDX-License-Identifier: ISC */
/*
 * smtp_client: the dialogue with a client: greeting, commands, their order.
 * Runs in the worker, on octets from anybody on the Internet.  While the
 * inner server owes a reply, the next command waits: so replies come in the
 * order of the commands, however a client pipelines them (RFC 2920).
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "smtp.h"
#include "smtp_scan.h"
#include "xmalloc.h"

/* Input is read while there is room for what one turn of the loop brings. */
_Static_assert(SMTP_AUTH_MAX <= SESSION_IN_MAX / 4,
    "the longest command fits into the client's buffer");

#define LINE_EXTRA 6 /* "250-" and CRLF, around what a line has */

void
smtp_count_good(struct smtp_session *p)
{
	if (p->verb < SMTP_VERBS)
		p->counts.of[p->verb].good++;
}

void
smtp_say(
    struct session *s, unsigned int code, const char *dsn, const char *text)
{
	if (code / 100 == 2)
		smtp_count_good(s->data);
	stream_printf(&s->client, "%u %s %s\r\n", code, dsn, text);
}

void
smtp_error(
    struct session *s, unsigned int code, const char *dsn, const char *text)
{
	struct smtp_session *p = s->data;

	p->errors++;
	smtp_say(s, code, dsn, text);
}

void
smtp_out_of_step(struct session *s)
{
	smtp_log_out_of_step(s);
	smtp_say(s, 554, "5.5.0", "Error: SMTP protocol synchronization");
	session_close(s, "commands before their time");
}

void
smtp_greet(struct session *s)
{
	struct smtp_session *p = s->data;

	p->verb = SMTP_CONNECT;
	stream_printf(&s->client, "220 %s ESMTP\r\n", s->conf->hostname);
}

/* Why session ends us, as it says it, and the last reply. */
static const struct farewell {
	const char *reason, *reply;
} farewells[] = {
	{ "timeout", "421 4.4.2 Error: timeout exceeded" },
	{ "too long without a login", "421 4.4.2 Error: timeout exceeded" },
	{ "too many failed logins", "421 4.7.0 Error: too many errors" },
	{ "this is no web server",
	    "221 2.7.0 Error: I can break rules, too. Goodbye." },
	{ "too many commands", "421 4.7.0 Error: too many commands" },
	{ "not admitted in time",
	    "421 4.3.2 Error: too busy, come back later" },
	{ "no login so far, and others wait",
	    "421 4.3.2 Error: too busy, come back later" },
	{ "all places are taken", "421 4.3.2 All server ports are busy" },
	{ "too many connections", "421 4.7.0 Error: too many connections" },
	{ "too many connections from your address",
	    "421 4.7.0 Error: too many connections from your address" },
	{ "connected to itself", "421 4.4.6 Error: mail loops back to me" },
	{ "ended by the administrator",
	    "421 4.7.0 Error: session ended by the administrator" },
	{ "shutting down", "421 4.3.2 Service is shutting down" },
	{ "line too long", "500 5.5.2 Error: line too long" },
	{ "invalid octets", "500 5.5.2 Error: bad syntax" },
	{ NULL, "421 4.3.0 Service not available" },
};

void
smtp_goodbye(struct session *s, const char *reason)
{
	const struct smtp_session *p = s->data;
	const struct farewell *f = farewells;

	while (f->reason != NULL && strcmp(f->reason, reason) != 0)
		f++;
	if (smtp_auth_is_under_way(p) && strcmp(reason, "line too long") == 0)
		/* RFC 4954 4 */
		stream_printf(&s->client,
		    "500 5.5.6 Authentication Exchange line is too long\r\n");
	else
		stream_printf(&s->client, "%s\r\n", f->reply);
}

/* STARTTLS: nothing holds that was said before (RFC 3207 4.2). */
void
smtp_client_reset(struct session *s)
{
	struct smtp_session *p = s->data;

	smtp_auth_end(p);
	free(p->helo);
	p->helo = NULL;
	p->esmtp = p->utf8 = false;
}

void
smtp_end(struct session *s)
{
	struct smtp_session *p = s->data;

	smtp_client_reset(s);
	smtp_mail_forget(p);
	smtp_reply_free(&p->reply);
	free(p->list);
	p->list = NULL;
}

void
smtp_promise(const struct session *s, struct capability *out)
{
	struct smtp_offer offer = { .message_size = s->conf->message_size_limit,
		.recipients = s->conf->recipient_limit,
		.inner_tls = s->conf->outgoing_tls == OUTGOING_SSL ||
		    s->conf->outgoing_tls == OUTGOING_STARTTLS_FORCE };

	session_capability(s, out);
	if (s->conf->capability == NULL)
		smtp_capability_settle(out, &offer);
	smtp_capability_auth(out,
	    session_may_login(s) ? text_of(session_mechanisms(s)) : TEXT_NONE,
	    s->conf->broken_sasl_auth_clients);
}

/* False: the client was told what is missing. */
static bool
take_helo(struct session *s, struct text args, const char *syntax)
{
	struct smtp_session *p = s->data;
	struct text name;

	if (!smtp_parse_helo(args, &name)) {
		smtp_error(s, 501, "5.5.4", syntax);
		return false;
	}
	free(p->helo);
	p->helo = xstrndup(name.p, name.len);
	smtp_mail_abandon(s); /* RFC 5321 4.1.4 */
	return true;
}

/* "250-KEYWORD", or with a blank where it is the last. */
static void
add_line(struct buf *reply, bool more, struct text t)
{
	if (buf_append(reply, more ? "250-" : "250 ", 4) == -1 ||
	    buf_append(reply, t.p, t.len) == -1 ||
	    buf_append(reply, "\r\n", 2) == -1)
		fatalx("smtp: a list that is too long");
}

/* All of it is written at once: with TLS each write is a record. */
static void
cmd_ehlo(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	struct capability c;
	struct text entry, next;
	struct buf reply;
	size_t at = 0;
	bool more;

	if (!take_helo(s, args, "Syntax: EHLO hostname"))
		return;
	smtp_count_good(p);
	p->esmtp = true;
	smtp_promise(s, &c);
	p->utf8 = capability_has_keyword(&c, "SMTPUTF8");
	/* An entry may be one octet, with its end two. */
	buf_init(&reply,
	    LINE_EXTRA * (CAPABILITY_MAX + 1) + strlen(s->conf->hostname));
	more = capability_next(&c, &at, &next);
	add_line(&reply, more, text_of(s->conf->hostname));
	while (more) {
		entry = next;
		more = capability_next(&c, &at, &next);
		add_line(&reply, more, entry);
	}
	stream_write(&s->client, buf_view(&reply).p, reply.len);
	buf_free(&reply);
}

static void
cmd_helo(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;

	if (!take_helo(s, args, "Syntax: HELO hostname"))
		return;
	smtp_count_good(p);
	p->esmtp = p->utf8 = false;
	stream_printf(&s->client, "250 %s\r\n", s->conf->hostname);
}

static void
cmd_starttls(struct session *s, struct text args)
{
	if (args.len > 0) {
		smtp_error(s, 501, "5.5.4", "Syntax: STARTTLS");
	} else if (s->client_secure != SECURE_PLAINTEXT) {
		smtp_error(s, 554, "5.5.1", "Error: TLS already active");
	} else if (!s->can_starttls || s->state != SESSION_DIALOGUE) {
		smtp_error(s, 502, "5.5.1", "Error: command not implemented");
	} else {
		smtp_say(s, 220, "2.0.0", "Ready to start TLS");
		session_starttls(s);
	}
}

static void
cmd_data(struct session *s, struct text args)
{
	if (args.len > 0)
		smtp_error(s, 501, "5.5.4", "Syntax: DATA");
	else
		smtp_data_command(s);
}

static void
cmd_rset(struct session *s, struct text args)
{
	if (args.len > 0)
		smtp_error(s, 501, "5.5.4", "Syntax: RSET");
	else
		smtp_mail_reset(s);
}

static void
cmd_noop(struct session *s, struct text args)
{
	(void)args; /* RFC 5321 4.1.1.9: to be ignored */
	smtp_say(s, 250, "2.0.0", "Ok");
}

static void
cmd_vrfy(struct session *s, struct text args)
{
	if (args.len == 0)
		smtp_error(s, 501, "5.5.4", "Syntax: VRFY address");
	else /* RFC 5321 3.5.3: mail for whoever it is will be tried */
		smtp_say(s, 252, "2.0.0", "Send some mail, to find out");
}

static void
cmd_quit(struct session *s, struct text args)
{
	(void)args;
	if (stream_is_open(&s->server))
		stream_printf(&s->server, "QUIT\r\n");
	smtp_say(s, 221, "2.0.0", "Bye");
	session_close(s, "quit");
}

/* For servers, not for users: their mail is not ours to send out. */
static void
cmd_etrn(struct session *s, struct text args)
{
	(void)args;
	smtp_error(s, 554, "5.7.1", "Error: command rejected: Access denied");
}

/* The inner server trusts our address; a client is not to make use of it. */
static void
cmd_trusted(struct session *s, struct text args)
{
	(void)args;
	smtp_error(s, 550, "5.7.0", "Error: insufficient authorization");
}

static void
cmd_unknown(struct session *s, struct text args)
{
	(void)args;
	smtp_error(s, 500, "5.5.2", "Error: command not recognized");
}

enum follows {
	MAY_FOLLOW,
	MUST_NOT_FOLLOW /* what comes in the same breath (RFC 2920 3.1) */
};

static const struct smtp_command_entry {
	void (*run)(struct session *s, struct text args);
	enum follows next;
} commands[] = {
	[SMTP_HELO] = { cmd_helo, MAY_FOLLOW },
	[SMTP_EHLO] = { cmd_ehlo, MAY_FOLLOW },
	[SMTP_XCLIENT] = { cmd_trusted, MAY_FOLLOW },
	[SMTP_XFORWARD] = { cmd_trusted, MAY_FOLLOW },
	[SMTP_STARTTLS] = { cmd_starttls, MUST_NOT_FOLLOW },
	[SMTP_AUTH] = { smtp_auth, MUST_NOT_FOLLOW },
	[SMTP_MAIL] = { smtp_mail_from, MAY_FOLLOW },
	[SMTP_RCPT] = { smtp_mail_to, MAY_FOLLOW },
	[SMTP_DATA] = { cmd_data, MUST_NOT_FOLLOW },
	[SMTP_BDAT] = { smtp_bdat_command, MAY_FOLLOW },
	[SMTP_RSET] = { cmd_rset, MAY_FOLLOW },
	[SMTP_NOOP] = { cmd_noop, MAY_FOLLOW },
	[SMTP_VRFY] = { cmd_vrfy, MAY_FOLLOW },
	[SMTP_ETRN] = { cmd_etrn, MAY_FOLLOW },
	[SMTP_QUIT] = { cmd_quit, MAY_FOLLOW },
	[SMTP_UNKNOWN] = { cmd_unknown, MAY_FOLLOW },
};
_Static_assert(nitems(commands) == SMTP_VERBS, "one for each verb");

/* Browsers that were talked into posting commands of SMTP. */
static bool
is_not_smtp(struct text verb)
{
	return text_caseeq(verb, "GET") || text_caseeq(verb, "POST") ||
	    text_caseeq(verb, "CONNECT");
}

static void
run(struct session *s, const struct smtp_command *c, bool more)
{
	struct smtp_session *p = s->data;
	const struct smtp_command_entry *e;

	p->verb = smtp_verb_of(c->verb);
	e = &commands[p->verb];
	p->counts.of[p->verb].all++;
	if (is_not_smtp(c->verb)) {
		stream_printf(&s->client,
		    "221 2.7.0 Error: I can break rules, too. Goodbye.\r\n");
		session_close(s, "not SMTP");
	} else if (e->next == MUST_NOT_FOLLOW && more) {
		smtp_out_of_step(s);
	} else {
		e->run(s, c->args);
	}
}

static void
run_line(struct session *s, struct text line, bool more)
{
	struct smtp_session *p = s->data;
	struct smtp_command c;

	if (p->errors >= SMTP_ERRORS_MAX) {
		smtp_goodbye(s, "too many failed logins");
		session_close(s, "too many errors");
	} else if (line.len + 2 > SMTP_LINE_MAX &&
	    !text_caseprefix(line, "AUTH ")) {
		smtp_error(s, 500, "5.5.2", "Error: line too long");
	} else if (!smtp_parse_command(line, p->utf8, &c)) {
		p->verb = SMTP_UNKNOWN;
		p->counts.of[SMTP_UNKNOWN].all++;
		smtp_error(s, 500, "5.5.2", "Error: bad syntax");
	} else {
		run(s, &c, more);
	}
}

/*
 * The inner server owes a reply.  RCPT may be passed on nevertheless; false:
 * the command stays where it is until its turn comes.
 */
static bool
run_ahead(struct session *s, struct text line)
{
	struct smtp_session *p = s->data;
	struct smtp_command c;

	if (!smtp_parse_command(line, p->utf8, &c) ||
	    smtp_verb_of(c.verb) != SMTP_RCPT || !smtp_mail_to_ahead(s, c.args))
		return false;
	p->counts.of[SMTP_RCPT].all++;
	return true;
}

bool
smtp_client_input(struct session *s)
{
	const struct smtp_session *p = s->data;
	struct text line;
	bool more;

	if (!session_client_line(s, SMTP_AUTH_MAX, &line))
		return false;
	more = s->client.in.len > line.len + 2;
	if (p->asked != SMTP_ASKED_NOTHING) {
		if (!run_ahead(s, line))
			return false;
	} else if (!smtp_auth_is_under_way(p)) {
		run_line(s, line, more);
	} else if (more) {
		smtp_out_of_step(s);
	} else {
		smtp_auth_answer(s, line);
	}
	buf_consume(&s->client.in, line.len + 2);
	return true;
}
