/* SPDX-License-Identifier: ISC */
/*
 * imap_auth: how a client hands over its credentials: LOGIN, AUTHENTICATE
 * PLAIN and AUTHENTICATE LOGIN.  Runs in the worker, on octets from anybody on
 * the Internet.  What leaves here are two names and a password that hold no
 * octet which could end a line or a string at the inner server; every other
 * copy is wiped.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "imap.h"
#include "xmalloc.h"

/* AUTHENTICATE LOGIN has no RFC; these are "Username:" and "Password:". */
#define PROMPT_NAME "VXNlcm5hbWU6"
#define PROMPT_PASSWORD "UGFzc3dvcmQ6"

/* Octets that base64 in a line of that length can stand for. */
#define ANSWER_MAX (IMAP_AUTHENTICATE_MAX / 4 * 3)

/* What cannot be anybody's credentials needs no inner server to say so. */
static enum imap_step
reply_refused(struct session *s)
{
	return imap_reply(
	    s, "NO", "[AUTHENTICATIONFAILED] Authentication failed");
}

void
imap_auth_forget(struct imap_session *im)
{
	if (im->name != NULL)
		freezero(im->name, strlen(im->name) + 1);
	im->name = NULL;
}

/* No NUL, and it fits; then dst holds it. */
static bool
copy_part(struct text t, char *dst, size_t size)
{
	if (t.len >= size || text_has(t, '\0'))
		return false;
	if (t.len > 0)
		memcpy(dst, t.p, t.len);
	dst[t.len] = '\0';
	return true;
}

static bool
has_line_end(const char *s)
{
	return s[strcspn(s, "\r\n")] != '\0';
}

/*
 * A name or a password with a line end in it is nobody's, and would end a
 * line elsewhere.  An empty password is refused here, since there are
 * directories that take it as "anonymous" and say yes (RFC 4513 5.1.2).
 */
static enum imap_step
begin_login(struct session *s, const struct session_login *l)
{
	if (l->authn[0] == '\0' || l->password[0] == '\0' ||
	    has_line_end(l->authn) || has_line_end(l->authz) ||
	    has_line_end(l->password))
		return reply_refused(s);
	*session_login_space(s) = *l;
	return IMAP_STEP_LOGIN;
}

enum imap_step
imap_auth_login(struct session *s, struct text args)
{
	struct session_login l = { 0 };
	enum imap_string name = IMAP_STRING_BAD, password = IMAP_STRING_BAD;
	enum imap_step step;

	if (imap_take_char(&args, ' '))
		name = imap_take_astring(&args, l.authn, sizeof(l.authn));
	if (name != IMAP_STRING_BAD && imap_take_char(&args, ' '))
		password =
		    imap_take_astring(&args, l.password, sizeof(l.password));
	if (password == IMAP_STRING_BAD || args.len > 0)
		step =
		    imap_reply(s, "BAD", "LOGIN takes a name and a password");
	else if (name != IMAP_STRING_OK || password != IMAP_STRING_OK)
		step = reply_refused(s);
	else
		step = begin_login(s, &l);
	explicit_bzero(&l, sizeof(l));
	return step;
}

/* [authzid] NUL authcid NUL passwd (RFC 4616 2). */
static enum imap_step
answer_plain(struct session *s, struct text rest)
{
	struct session_login l = { 0 };
	struct text authz, authn;
	enum imap_step step;

	if (text_split(&rest, '\0', &authz) &&
	    text_split(&rest, '\0', &authn) && rest.p != NULL &&
	    copy_part(authz, l.authz, sizeof(l.authz)) &&
	    copy_part(authn, l.authn, sizeof(l.authn)) &&
	    copy_part(rest, l.password, sizeof(l.password)))
		step = begin_login(s, &l);
	else
		step = reply_refused(s);
	explicit_bzero(&l, sizeof(l));
	return step;
}

static enum imap_step
answer_login_name(struct session *s, struct text answer)
{
	struct imap_session *im = s->data;

	if (answer.len > SESSION_NAME_MAX || text_has(answer, '\0'))
		return reply_refused(s);
	im->name = xstrndup(answer.p, answer.len);
	im->dialogue = IMAP_LOGIN_PASSWORD;
	stream_printf(&s->client, "+ " PROMPT_PASSWORD "\r\n");
	return IMAP_STEP_NEXT;
}

static enum imap_step
answer_login_password(struct session *s, struct text answer)
{
	struct imap_session *im = s->data;
	struct session_login l = { 0 };
	enum imap_step step;

	if (copy_part(text_of(im->name), l.authn, sizeof(l.authn)) &&
	    copy_part(answer, l.password, sizeof(l.password)))
		step = begin_login(s, &l);
	else
		step = reply_refused(s);
	explicit_bzero(&l, sizeof(l));
	return step;
}

/* What answer, decoded, is in this stage of an AUTHENTICATE. */
static enum imap_step
dispatch_answer(struct session *s, enum imap_dialogue stage, struct text answer)
{
	switch (stage) {
	case IMAP_COMMAND:
		break; /* it awaits no answer */
	case IMAP_PLAIN:
		return answer_plain(s, answer);
	case IMAP_LOGIN_NAME:
		return answer_login_name(s, answer);
	case IMAP_LOGIN_PASSWORD:
		return answer_login_password(s, answer);
	}
	return IMAP_STEP_WAIT;
}

static enum imap_step
decode_answer(struct session *s, enum imap_dialogue stage, struct text code)
{
	char answer[ANSWER_MAX];
	size_t len;
	enum imap_step step;

	/* BAD, not NO: RFC 3501 6.2.2. */
	if (base64_decode(code, answer, sizeof(answer), &len) == -1)
		return imap_reply(s, "BAD", "Invalid base64");
	step = dispatch_answer(s, stage, (struct text){ answer, len });
	explicit_bzero(answer, len);
	return step;
}

/* A line within AUTHENTICATE. */
enum imap_step
imap_auth_answer(struct session *s)
{
	struct imap_session *im = s->data;
	enum imap_dialogue stage = im->dialogue;
	struct text line;
	enum imap_step step;

	switch (imap_scan_line(
	    &im->scan, &s->client.in, IMAP_AUTHENTICATE_MAX, &line)) {
	case LINE_WAIT:
		return IMAP_STEP_WAIT;
	case LINE_TOO_LONG:
		return imap_lost(s, "Line too long", "");
	case LINE_BAD:
		return imap_lost(s, "Invalid octets", "");
	case LINE_OK:
		break;
	}
	im->dialogue = IMAP_COMMAND;
	if (text_eq(line, "*"))
		step = imap_reply(s, "BAD", "AUTHENTICATE cancelled");
	else
		step = decode_answer(s, stage, line);
	if (im->dialogue == IMAP_COMMAND)
		imap_auth_forget(im);
	imap_done(s, line);
	return step;
}

/* Without an initial response (RFC 4959): ask for the first answer. */
static enum imap_step
begin_authenticate(
    struct session *s, enum imap_dialogue stage, const char *challenge)
{
	struct imap_session *im = s->data;

	im->dialogue = stage;
	stream_printf(&s->client, "+ %s\r\n", challenge);
	return IMAP_STEP_NEXT;
}

enum imap_step
imap_auth_authenticate(struct session *s, struct text args)
{
	static const struct {
		const char *name, *challenge;
		enum imap_dialogue stage;
	} mechanisms[] = {
		{ "PLAIN", "", IMAP_PLAIN },
		{ "LOGIN", PROMPT_NAME, IMAP_LOGIN_NAME },
	};
	struct text name;
	size_t i;

	if (!imap_take_char(&args, ' ') || !imap_take_atom(&args, &name) ||
	    (args.len > 0 && args.p[0] != ' '))
		return imap_reply(s, "BAD", "AUTHENTICATE takes a mechanism");
	for (i = 0; i < nitems(mechanisms); i++) {
		if (text_caseeq(name, mechanisms[i].name))
			break;
	}
	if (i == nitems(mechanisms))
		return imap_reply(s, "NO", "Unknown mechanism");
	if (args.len == 0)
		return begin_authenticate(
		    s, mechanisms[i].stage, mechanisms[i].challenge);
	args = text_skip(args, 1);
	if (text_eq(args, "="))
		args.len = 0; /* an empty response, RFC 4959 3 */
	else if (args.len == 0)
		return imap_reply(s, "BAD", "The initial response is missing");
	return decode_answer(s, mechanisms[i].stage, args);
}
