/* SPDX-License-Identifier: ISC */
/*
 * imap_client: the dialogue with a client until its login.  Runs in the
 * worker, on octets from anybody on the Internet.  Nothing a client says
 * here goes any further, but for the names and the password of a login, and
 * these only when they cannot be mistaken for anything else.
 */
#include <string.h>

#include "command.h"
#include "imap.h"

/* RFC 2971 3.3 */
#define ID_PAIRS_MAX 30
#define ID_FIELD_MAX 30
#define ID_VALUE_MAX 1024

/* Input is read while there is room for what one turn of the loop brings. */
_Static_assert(IMAP_COMMAND_MAX + IMAP_LINE_MAX <= SESSION_IN_MAX / 2,
    "the longest command fits into the client's buffer");

static void cmd_capability(struct session *, struct text);
static void cmd_id(struct session *, struct text);
static void cmd_logout(struct session *, struct text);
static void cmd_noop(struct session *, struct text);
static void cmd_starttls(struct session *, struct text);

/* All that RFC 3501 6.1 and 6.2 have, and ID. */
static const struct command commands[] = {
	{ "CAPABILITY", COMMAND_ALWAYS, COMMAND_NO_ARGS, cmd_capability },
	{ "NOOP", COMMAND_ALWAYS, COMMAND_NO_ARGS, cmd_noop },
	{ "LOGOUT", COMMAND_ALWAYS, COMMAND_NO_ARGS, cmd_logout },
	{ "ID", COMMAND_ALWAYS, COMMAND_LITERALS, cmd_id }, /* RFC 2971 */
	{ "STARTTLS", COMMAND_BEFORE_TLS, COMMAND_NO_ARGS, cmd_starttls },
	{ "LOGIN", COMMAND_MAY_LOGIN, COMMAND_LITERALS, imap_auth_login },
	{ "AUTHENTICATE", COMMAND_MAY_LOGIN, COMMAND_ARGS,
	    imap_auth_authenticate },
};

void
imap_reply(struct session *s, const char *status, const char *text)
{
	const struct imap_session *im = s->data;

	stream_printf(&s->client, "%s %s %s\r\n", im->tag, status, text);
}

void
imap_lost(struct session *s, const char *why, const char *code)
{
	const struct imap_session *im = s->data;

	stream_printf(&s->client, "%s BAD %s%s\r\n", im->tag, code, why);
	stream_printf(&s->client, "* BYE %s%s\r\n", code, why);
	session_close(s, why);
}

static void
print_capability(const struct session *s, char list[static CAPABILITY_MAX + 1])
{
	struct capability c;

	session_capability(s, &c);
	if (capability_print(&c, " ", list, CAPABILITY_MAX + 1) == -1)
		list[0] = '\0';
}

void
imap_greet(struct session *s)
{
	char list[CAPABILITY_MAX + 1];

	print_capability(s, list);
	stream_printf(
	    &s->client, "* OK [CAPABILITY %s] imapsd ready\r\n", list);
}

void
imap_goodbye(struct session *s, const char *reason)
{
	stream_printf(&s->client, "* BYE %s\r\n", reason);
}

void
imap_done(struct session *s, struct text taken)
{
	struct imap_session *im = s->data;

	buf_consume(&s->client.in, taken.len + 2);
	im->scan = (struct imap_scan){ 0 };
}

void
imap_client_reset(struct session *s)
{
	struct imap_session *im = s->data;

	exchange_end(&im->exchange);
	im->scan = (struct imap_scan){ 0 };
}

void
imap_end(struct session *s)
{
	struct imap_session *im = s->data;

	exchange_end(&im->exchange);
	imap_upstream_end(s);
}

static void
cmd_capability(struct session *s, struct text args)
{
	char list[CAPABILITY_MAX + 1];

	(void)args;
	print_capability(s, list);
	stream_printf(&s->client, "* CAPABILITY %s\r\n", list);
	imap_reply(s, "OK", "CAPABILITY completed");
}

static void
cmd_noop(struct session *s, struct text args)
{
	(void)args;
	imap_reply(s, "OK", "NOOP completed");
}

static void
cmd_logout(struct session *s, struct text args)
{
	(void)args;
	stream_printf(&s->client, "* BYE Logging out\r\n");
	imap_reply(s, "OK", "LOGOUT completed");
	session_close(s, "Logout");
}

static void
cmd_starttls(struct session *s, struct text args)
{
	(void)args;
	imap_reply(s, "OK", "Begin TLS negotiation now");
	session_starttls(s);
}

/* string SP nstring (RFC 2971 4).  hops: see cmd_id(). */
static bool
take_id_pair(struct text *rest, uint64_t *hops)
{
	char field[ID_FIELD_MAX + 1], value[ID_VALUE_MAX + 1];
	struct text word, nil;

	if (imap_take_string(rest, field, sizeof(field)) != IMAP_STRING_OK ||
	    !imap_take_char(rest, ' '))
		return false;
	nil = *rest;
	if (imap_take_atom(&nil, &word) && text_caseeq(word, "NIL")) {
		*rest = nil;
		return true;
	}
	if (imap_take_string(rest, value, sizeof(value)) != IMAP_STRING_OK)
		return false;
	if (text_caseeq(text_of(field), "x-proxy-ttl"))
		(void)text_u64(text_of(value), UINT64_MAX, hops);
	return true;
}

/* SP ("NIL" / "(" pairs ")"), RFC 2971 4 with the limits of 3.3. */
static bool
is_id(struct text rest, uint64_t *hops)
{
	struct text word;
	unsigned int pairs = 0;

	if (!imap_take_char(&rest, ' '))
		return false;
	if (imap_take_atom(&rest, &word))
		return text_caseeq(word, "NIL") && rest.len == 0;
	if (!imap_take_char(&rest, '('))
		return false;
	while (!imap_take_char(&rest, ')')) {
		if (pairs > 0 && !imap_take_char(&rest, ' '))
			return false;
		if (pairs++ == ID_PAIRS_MAX || !take_id_pair(&rest, hops))
			return false;
	}
	return rest.len == 0;
}

/*
 * Who the client says it is goes no further (it may claim any address in
 * x-originating-ip and its kin); who we are is nobody's business.  How many
 * relays its login may pass is believed, since that can only be fewer.
 */
static void
cmd_id(struct session *s, struct text args)
{
	uint64_t hops = UINT64_MAX;

	if (!is_id(args, &hops)) {
		imap_reply(s, "BAD", "Invalid argument of ID");
		return;
	}
	session_limit_hops(s, hops);
	stream_printf(&s->client, "* ID NIL\r\n");
	imap_reply(s, "OK", "ID completed");
}

/* Replies from here on carry the tag at the front of *rest, or "*". */
static bool
take_tag(struct session *s, struct text *rest)
{
	struct imap_session *im = s->data;
	struct text tag;

	if (!imap_take_tag(rest, &tag) || tag.len >= sizeof(im->tag)) {
		(void)strlcpy(im->tag, "*", sizeof(im->tag));
		return false;
	}
	memcpy(im->tag, tag.p, tag.len);
	im->tag[tag.len] = '\0';
	return true;
}

static void
refuse(struct session *s, enum command_fault fault)
{
	const struct imap_session *im = s->data;
	const char *with = "BAD";

	if (fault == COMMAND_LOGINS_DISABLED)
		with = "NO [ALERT]";
	else if (fault == COMMAND_TLS_FIRST)
		with = "NO [PRIVACYREQUIRED]"; /* RFC 5530 3 */
	stream_printf(&s->client, "%s %s %s\r\n", im->tag, with,
	    command_fault_text(fault));
}

/*
 * Which command it is, *rest being what stands behind its verb; NULL: it
 * was refused.  May be called before all of it has arrived.
 */
static const struct command *
find_command(struct session *s, struct text *rest)
{
	const struct command *c;
	enum command_fault fault;
	struct text verb;

	if (!take_tag(s, rest)) {
		imap_reply(s, "BAD", "Invalid tag");
		return NULL;
	}
	if (!imap_take_char(rest, ' ') || !imap_take_atom(rest, &verb)) {
		imap_reply(s, "BAD", "Missing command");
		return NULL;
	}
	fault = command_find(s, commands, nitems(commands), verb, &c);
	if (fault == COMMAND_GOOD)
		return c;
	refuse(s, fault);
	return NULL;
}

static void
run_command(struct session *s, struct text command)
{
	const struct command *c = find_command(s, &command);

	if (c == NULL)
		return;
	if (c->args == COMMAND_NO_ARGS && command.len > 0)
		refuse(s, COMMAND_ARGS_UNWANTED);
	else
		c->run(s, command);
}

/*
 * The client asks whether a literal is welcome.  A login that will be
 * refused is refused now, before the password has crossed in the clear.
 */
static bool
invite(struct session *s, struct text command)
{
	const struct command *c = find_command(s, &command);

	if (c == NULL)
		return false;
	if (c->args != COMMAND_LITERALS) {
		imap_reply(s, "BAD", "No literal is possible here");
		return false;
	}
	stream_printf(&s->client, "+ OK\r\n");
	return true;
}

/* What does not even have the form of a command.  False: that was all. */
static bool
refuse_command(struct session *s, enum imap_scan_result why)
{
	struct text begin = buf_view(&s->client.in);

	(void)take_tag(s, &begin);
	switch (why) {
	case IMAP_SCAN_OK:
	case IMAP_SCAN_WAIT:
	case IMAP_SCAN_INVITE:
		break;
	case IMAP_SCAN_TOO_BIG: /* RFC 7888 4 */
		imap_reply(s, "NO", "[TOOBIG] Literal too big");
		break;
	case IMAP_SCAN_BAD_NUMBER:
		imap_reply(s, "BAD", "Invalid literal");
		break;
	case IMAP_SCAN_LOST_LINE:
		imap_lost(s, "Line too long", "");
		return false;
	case IMAP_SCAN_LOST_OCTET:
		imap_lost(s, "Invalid octets", "");
		return false;
	case IMAP_SCAN_LOST_LITERAL:
		imap_lost(s, "Literal too big", "[TOOBIG] ");
		return false;
	}
	return true;
}

bool
imap_client_input(struct session *s)
{
	struct imap_session *im = s->data;
	struct text command = TEXT_NONE;
	enum imap_scan_result result;

	if (im->exchange.stage != EXCHANGE_NONE)
		return imap_auth_answer(s);
	result = imap_scan_command(&im->scan, &s->client.in, &command);
	if (result == IMAP_SCAN_WAIT)
		return false;
	if (result == IMAP_SCAN_INVITE && invite(s, command))
		return true; /* nothing is consumed yet */
	if (result == IMAP_SCAN_OK)
		run_command(s, command);
	else if (result != IMAP_SCAN_INVITE && !refuse_command(s, result))
		return false;
	imap_done(s, command);
	return true;
}
