/* SPDX-License-Identifier: ISC */
/*
 * imap_login: the login at an inner server: in which form, and what the
 * server's answer is to the client.  Runs in the worker.  The
 * password goes to the inner server and nowhere else.
 */
#include <stdio.h>
#include <string.h>

#include "imap.h"
#include "log.h"

/*
 * Longer strings go as literals: quoted ones stand in a line, and no server
 * refuses a line of two of them.
 */
#define QUOTED_MAX 255

/* Reasons in the log; NULL is Perdition's "Re-Authentication Failure". */
#define REFUSED NULL
#define UNAVAILABLE "Server unavailable"
#define LOGIN_DISABLED "Login disabled by server"
#define NO_AUTHZ "Authorisation identity not possible at server"
#define REFERRED "Referral by server"
#define NOT_UNDERSTOOD "Login not understood by server"

/*
 * Response codes that a NO to a login may have (RFC 5530 3), and what each
 * makes of it.  Only what may be a guess is held back: the rest would be the
 * same with any password.
 */
static const struct code {
	const char *name;
	enum login_failure why;
	const char *reason;
} codes[] = {
	{ "AUTHENTICATIONFAILED", LOGIN_REFUSED, REFUSED },
	{ "AUTHORIZATIONFAILED", LOGIN_REFUSED, REFUSED },
	{ "EXPIRED", LOGIN_REFUSED, REFUSED },
	{ "CONTACTADMIN", LOGIN_REFUSED, REFUSED },
	{ "UNAVAILABLE", LOGIN_UNAVAILABLE, UNAVAILABLE },
	{ "SERVERBUG", LOGIN_UNAVAILABLE, UNAVAILABLE },
	{ "INUSE", LOGIN_UNAVAILABLE, "Mailbox in use" },
	{ "LIMIT", LOGIN_UNAVAILABLE, "Limit of server" },
	{ "PRIVACYREQUIRED", LOGIN_MISMATCH, "TLS wanted by server" },
	{ NULL, LOGIN_REFUSED, REFUSED }, /* none, or another one */
};

/* RFC 3501 9, quoted, but nothing that would need a backslash in it. */
static bool
is_quotable(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] < ' ' || t.p[i] > '~' || t.p[i] == '"' ||
		    t.p[i] == '\\')
			return false;
	}
	return t.len <= QUOTED_MAX;
}

static struct text
login_part(const struct session *s, const struct imap_upstream *up)
{
	return text_of(up->part == 0 ? s->login->authn : s->login->password);
}

/* What stands behind a name is the password, behind that the line's end. */
static void
end_part(struct session *s, struct imap_upstream *up)
{
	stream_printf(&s->server, "%s", up->part == 0 ? " " : "\r\n");
	up->part++;
}

/* Write LOGIN's strings, up to the first that must be asked for. */
static void
write_parts(struct session *s, struct imap_upstream *up)
{
	struct text t;

	while (up->part < 2) {
		t = login_part(s, up);
		if (is_quotable(t)) {
			stream_write(&s->server, "\"", 1);
			stream_write(&s->server, t.p, t.len);
			stream_write(&s->server, "\"", 1);
		} else if (up->literal_plus) {
			stream_printf(&s->server, "{%zu+}\r\n", t.len);
			stream_write(&s->server, t.p, t.len);
		} else {
			stream_printf(&s->server, "{%zu}\r\n", t.len);
			up->owed = IMAP_OWE_LITERAL;
			return;
		}
		end_part(s, up);
	}
}

static void
write_plain(struct session *s)
{
	char code[CREDENTIALS_PLAIN_MAX];

	credentials_plain(s->login, code);
	stream_write(&s->server, code, strlen(code));
	stream_write(&s->server, "\r\n", 2);
	explicit_bzero(code, sizeof(code));
}

static void
start_plain(struct session *s, struct imap_upstream *up)
{
	imap_upstream_command(s, IMAP_UP_LOGIN);
	if (capability_has(&up->list, "SASL-IR")) { /* RFC 4959 */
		stream_printf(&s->server, "AUTHENTICATE PLAIN ");
		write_plain(s);
	} else {
		stream_printf(&s->server, "AUTHENTICATE PLAIN\r\n");
		up->owed = IMAP_OWE_PLAIN;
	}
}

static void
start_login(struct session *s, struct imap_upstream *up)
{
	/* Names and passwords are below LITERAL-'s 4,096 octets, RFC 7888 5. */
	up->literal_plus = capability_has(&up->list, "LITERAL+") ||
	    capability_has(&up->list, "LITERAL-");
	imap_upstream_command(s, IMAP_UP_LOGIN);
	stream_printf(&s->server, "LOGIN ");
	write_parts(s, up);
}

void
imap_login_start(struct session *s)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	bool plain = capability_has(&up->list, "AUTH=PLAIN");
	bool disabled = capability_has(&up->list, "LOGINDISABLED");

	up->known = false; /* after a login there is another list */
	if (s->login->authz[0] == '\0' && !disabled) {
		start_login(s, up);
	} else if (plain) {
		start_plain(s, up);
	} else if (s->login->authz[0] != '\0') {
		/* LOGIN has no place for it, and dropping it is no answer. */
		session_login_answered(s, LOGIN_MISMATCH, NO_AUTHZ,
		    "AUTHORIZATIONFAILED", TEXT_NONE);
	} else {
		log_warnx("an inner server takes no login: it has "
		          "LOGINDISABLED and no AUTH=PLAIN; does it want TLS "
		          "(ssl_mode)?");
		session_login_failed(s, LOGIN_MISMATCH, LOGIN_DISABLED);
	}
}

void
imap_login_continue(struct session *s)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	enum imap_owed owed = up->owed;
	struct text t;

	up->owed = IMAP_OWE_NOTHING;
	switch (owed) {
	case IMAP_OWE_NOTHING:
		break;
	case IMAP_OWE_LITERAL:
		t = login_part(s, up);
		stream_write(&s->server, t.p, t.len);
		end_part(s, up);
		write_parts(s, up);
		return;
	case IMAP_OWE_PLAIN:
		write_plain(s);
		return;
	}
	session_server_failed(s, "Unexpected challenge from server");
}

static void
logged_in(struct session *s, const struct imap_response *r)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	if (up->owed != IMAP_OWE_NOTHING) { /* it has not heard the password */
		session_server_failed(s, "Login accepted too early");
		return;
	}
	/* The text of a referral names a host behind the gateway. */
	if (!text_caseeq(r->code, "REFERRAL"))
		text_for_people(r->text, up->text, sizeof(up->text));
	/* The client may never ask by itself: it saw our list before. */
	if (up->known)
		imap_login_done(s);
	else
		imap_upstream_ask_capability(s, IMAP_UP_CAPABILITY_AFTER);
}

static void
refused(struct session *s, const struct imap_response *r)
{
	const struct code *c = codes;

	if (text_caseeq(r->code, "REFERRAL")) { /* RFC 2221 4.1 */
		log_warnx("an inner server refers a user to another one, "
		          "which is not followed");
		session_login_failed(s, LOGIN_MISMATCH, REFERRED);
		return;
	}
	while (c->name != NULL && !text_caseeq(r->code, c->name))
		c++;
	session_login_answered(s, c->why, c->reason, c->name, r->text);
}

void
imap_login_result(struct session *s, const struct imap_response *r)
{
	switch (r->status) {
	case IMAP_OK:
		logged_in(s, r);
		return;
	case IMAP_NO:
		refused(s, r);
		return;
	case IMAP_BAD:
	case IMAP_BYE:
	case IMAP_PREAUTH:
	case IMAP_DATA:
		break;
	}
	/* It says nothing about the password: RFC 5530 3, SERVERBUG. */
	session_login_answered(
	    s, LOGIN_UNAVAILABLE, NOT_UNDERSTOOD, "SERVERBUG", TEXT_NONE);
}

void
imap_login_done(struct session *s)
{
	struct imap_session *im = s->data;
	char list[CAPABILITY_MAX + 1];
	struct capability c;

	session_capability_after(s, &im->upstream->list, &c);
	if (capability_print(&c, " ", list, sizeof(list)) == -1)
		list[0] = '\0';
	stream_printf(&s->client, "%s OK [CAPABILITY %s] %s\r\n", im->tag, list,
	    session_ok_line(s, im->upstream->text));
	imap_upstream_end(s);
	session_login_ok(s);
}

void
imap_login_failed(struct session *s, enum login_failure why)
{
	static const char *const usual[] = { /* RFC 5530 3 */
		[LOGIN_REFUSED] = "AUTHENTICATIONFAILED",
		[LOGIN_UNAVAILABLE] = "UNAVAILABLE",
		[LOGIN_MISMATCH] = "UNAVAILABLE"
	};
	const struct imap_session *im = s->data;

	stream_printf(&s->client, "%s NO [%s] %s\r\n", im->tag,
	    s->failure_code != NULL ? s->failure_code : usual[why],
	    session_failure_text(s, why));
	imap_upstream_end(s);
}
