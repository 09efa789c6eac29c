/* SPDX-License-Identifier: ISC */
/*
 * smtp_auth: AUTH (RFC 4954).  Runs in the worker.  What the client says goes
 * to an authenticator, which decides; LOGIN, which libraries begin to lack,
 * is spoken here and only its name and password are asked about there.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "smtp.h"
#include "smtp_scan.h"
#include "xmalloc.h"

#define BAD_PROTOCOL "bad protocol / cancel"

void
smtp_auth_end(struct smtp_session *p)
{
	exchange_end(&p->exchange);
	p->in_sasl = false;
	free(p->claimed);
	p->claimed = NULL;
}

bool
smtp_auth_is_under_way(const struct smtp_session *p)
{
	return p->in_sasl || p->exchange.stage != EXCHANGE_NONE;
}

static void
challenge(struct session *s, const char *code)
{
	stream_printf(&s->client, "334 %s\r\n", code);
}

/* The exchange is over, without success. */
static void
failed(
    struct session *s, unsigned int code, const char *dsn, const char *reason)
{
	struct smtp_session *p = s->data;
	const char *what = code == 454 ? "Temporary authentication failure"
	                               : "Error: authentication failed";

	smtp_log_sasl_failed(s, reason);
	stream_printf(&s->client, "%u %s %s: %s\r\n", code, dsn, what, reason);
	smtp_auth_end(p);
}

static void
cancelled(struct session *s)
{
	session_sasl_cancel(s);
	smtp_auth_end(s->data);
	smtp_error(s, 501, "5.7.0", "Authentication aborted");
}

static void
bad_protocol(struct session *s)
{
	struct smtp_session *p = s->data;

	session_sasl_cancel(s);
	p->errors++;
	failed(s, 535, "5.7.8", BAD_PROTOCOL);
}

/* [authzid] NUL authcid NUL passwd (RFC 4616 2): who it says it is. */
static void
note_plain(struct smtp_session *p, struct text response)
{
	struct text authz, authn;

	if (text_split(&response, '\0', &authz) &&
	    text_split(&response, '\0', &authn) &&
	    authn.len <= CREDENTIALS_NAME_MAX)
		p->claimed = xstrndup(authn.p, authn.len);
}

/* What the client says, decoded, goes to the authenticator. */
static void
pass_on(struct session *s, struct text coded, bool initial)
{
	struct smtp_session *p = s->data;
	char octets[SMTP_AUTH_MAX] UNZEROED;
	struct text t = { octets, 0 };

	if (base64_decode(coded, octets, sizeof(octets), &t.len) == -1) {
		bad_protocol(s);
		return;
	}
	if (strcmp(p->mechanism, "PLAIN") == 0 && p->claimed == NULL)
		note_plain(p, t);
	p->in_sasl = false;
	if (initial)
		session_sasl_start(s, text_of(p->mechanism), t);
	else
		session_sasl_step(s, t);
	explicit_bzero(octets, t.len);
}

/* Where LOGIN has led to; *c is wiped. */
static void
go_on(struct session *s, enum exchange_result r, struct credentials *c)
{
	struct smtp_session *p = s->data;

	switch (r) {
	case EXCHANGE_OK:
		p->claimed = xstrdup(c->authn);
		session_sasl_check(s, text_of(c->authn), text_of(c->password));
		break;
	case EXCHANGE_MORE:
		challenge(s, exchange_challenge(&p->exchange));
		break;
	case EXCHANGE_REFUSED:
		p->errors++;
		failed(s, 535, "5.7.8", "authentication failure");
		break;
	case EXCHANGE_BAD:
		bad_protocol(s);
		break;
	case EXCHANGE_CANCELLED:
		cancelled(s);
		break;
	}
	explicit_bzero(c, sizeof(*c));
}

static void
begin_login(struct session *s, bool has_response, struct text response)
{
	struct smtp_session *p = s->data;
	struct credentials c;

	(void)exchange_begin(&p->exchange, text_of(p->mechanism));
	if (has_response)
		go_on(s, exchange_initial(&p->exchange, response, &c), &c);
	else
		go_on(s, EXCHANGE_MORE, &c);
}

static void
no_mechanism(struct session *s)
{
	struct smtp_session *p = s->data;

	p->errors++;
	failed(s, 535, "5.7.8", "no mechanism available");
}

/* As far as is known yet; what libsasl2 speaks is its own to refuse. */
static bool
is_offered(const struct session *s, const char *mechanism)
{
	return text_has_word(
	    text_of(session_mechanisms(s)), text_of(mechanism));
}

/* In capitals, as the log has it.  False: no mechanism's name. */
static bool
take_mechanism(struct smtp_session *p, struct text name)
{
	size_t i;

	if (name.len == 0 || name.len > MSG_MECHANISM_MAX)
		return false;
	for (i = 0; i < name.len; i++)
		p->mechanism[i] = name.p[i] >= 'a' && name.p[i] <= 'z'
		    ? (char)(name.p[i] - 'a' + 'A')
		    : name.p[i];
	p->mechanism[i] = '\0';
	return true;
}

static void
begin(struct session *s, bool has_response, struct text response)
{
	struct smtp_session *p = s->data;

	if (strcmp(p->mechanism, "LOGIN") == 0 && !is_offered(s, p->mechanism))
		no_mechanism(s);
	else if (strcmp(p->mechanism, "LOGIN") == 0)
		begin_login(s, has_response, response);
	else if (!has_response)
		session_sasl_start(s, text_of(p->mechanism), TEXT_NONE);
	else if (text_eq(response, "=")) /* an empty one */
		pass_on(s, TEXT_LIT(""), true);
	else
		pass_on(s, response, true);
}

/* May there be an AUTH now?  False: the client was told why not. */
static bool
may_begin(struct session *s)
{
	const struct smtp_session *p = s->data;

	if (s->state == SESSION_MAIL)
		smtp_error(s, 503, "5.5.1",
		    p->mail.begun ? "Error: MAIL transaction in progress"
		                  : "Error: already authenticated");
	else if (session_may_login(s))
		return true;
	else if (s->can_starttls && !s->conf->login_disabled)
		smtp_error(
		    s, 530, "5.7.0", "Must issue a STARTTLS command first");
	else
		smtp_error(
		    s, 503, "5.5.1", "Error: authentication not enabled");
	return false;
}

void
smtp_auth(struct session *s, struct text args)
{
	struct smtp_session *p = s->data;
	struct text mechanism, response = TEXT_NONE, more;
	bool has_response;

	if (!may_begin(s))
		return;
	if (!text_word(&args, &mechanism)) {
		smtp_error(s, 501, "5.5.4", "Syntax: AUTH mechanism");
		return;
	}
	has_response = text_word(&args, &response);
	if (text_word(&args, &more)) {
		smtp_error(s, 501, "5.5.4", "Syntax: AUTH mechanism");
		return;
	}
	smtp_auth_end(p);
	if (take_mechanism(p, mechanism)) {
		begin(s, has_response, response);
		return;
	}
	p->mechanism[0] = '\0';
	no_mechanism(s);
}

void
smtp_auth_answer(struct session *s, struct text line)
{
	struct smtp_session *p = s->data;
	struct credentials c;

	if (p->exchange.stage != EXCHANGE_NONE)
		go_on(s, exchange_answer(&p->exchange, line, &c), &c);
	else if (text_eq(line, "*"))
		cancelled(s);
	else
		pass_on(s, line, false);
}

static void
send_challenge(struct session *s, struct text t)
{
	struct smtp_session *p = s->data;
	char code[BASE64_LEN(MSG_SASL_MAX) + 1];

	if (base64_encode(t.p, t.len, code, sizeof(code)) == -1) {
		bad_protocol(s);
		return;
	}
	p->in_sasl = true;
	challenge(s, code);
}

void
smtp_sasl_reply(struct session *s, enum sasl_result result, struct text text)
{
	struct smtp_session *p = s->data;

	switch (result) {
	case AUTH_CHALLENGE:
		send_challenge(s, text);
		break;
	case AUTH_OK:
		smtp_auth_end(p);
		smtp_say(s, 235, "2.7.0", "Authentication successful");
		session_mail(s);
		break;
	case AUTH_FAILED:
		p->errors++;
		failed(s, 535, "5.7.8", "authentication failure");
		break;
	case AUTH_UNAVAILABLE:
		failed(s, 454, "4.7.0", "generic failure");
		break;
	case AUTH_TURNED:
		failed(s, 454, "4.7.0", "too many failed logins");
		break;
	case AUTH_BAD_PROTOCOL:
		p->errors++;
		failed(s, 535, "5.7.8", BAD_PROTOCOL);
		break;
	case AUTH_NO_MECHANISM:
		no_mechanism(s);
		break;
	case AUTH_RESULTS:
		break;
	}
}
