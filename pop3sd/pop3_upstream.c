/* SPDX-License-Identifier: ISC */
/*
 * pop3_upstream: the dialogue with an inner server up to the login: greeting,
 * list, STLS, what the client had said before (RFC 6856), and the login in
 * the form that the server can take.  Runs in the worker; the password goes
 * to the inner server and nowhere else.
 */
#include <string.h>

#include "log.h"
#include "pop3.h"

/*
 * Response codes of a refusal (RFC 2449 8, RFC 3206), and what each makes of
 * it.  Only what may be a guess is held back; without a code it may be one.
 */
static const struct code {
	const char *name;
	enum login_failure why;
	const char *reason; /* in the log; NULL: Perdition's usual one */
} codes[] = {
	{ "AUTH", LOGIN_REFUSED, NULL },
	{ "IN-USE", LOGIN_UNAVAILABLE, "Mailbox in use" },
	{ "LOGIN-DELAY", LOGIN_UNAVAILABLE, "Login delay of server" },
	{ "SYS/TEMP", LOGIN_UNAVAILABLE, "Server unavailable" },
	{ "SYS/PERM", LOGIN_MISMATCH, "Permanent failure of server" },
	{ NULL, LOGIN_REFUSED, NULL },
};

void
pop3_server_start(struct session *s)
{
	struct pop3_session *p = s->data;

	p->upstream = POP3_UP_GREETING;
	p->xclient = false;
	capability_clear(&p->list);
}

/* Say command (its line end included), and what is awaited then. */
static void
ask(struct session *s, enum pop3_upstream_state state, const char *command)
{
	struct pop3_session *p = s->data;

	p->upstream = state;
	stream_printf(&s->server, "%s\r\n", command);
}

/* After TLS nothing holds that was said before it (RFC 2595 4). */
void
pop3_server_tls(struct session *s)
{
	struct pop3_session *p = s->data;

	capability_clear(&p->list);
	ask(s, POP3_UP_CAPA, "CAPA");
}

static void
log_in(struct session *s)
{
	struct pop3_session *p = s->data;
	bool authz = s->login->authz[0] != '\0';
	bool plain = capability_has_argument(&p->list, "SASL", "PLAIN");
	bool user = capability_has_keyword(&p->list, "USER");

	/* USER has no place for authz, and a blank in it could be an end. */
	if (plain && (authz || !user || strchr(s->login->authn, ' ') != NULL)) {
		ask(s, POP3_UP_AUTH, "AUTH PLAIN");
	} else if (!authz) { /* also where there is no CAPA, or no USER in it */
		p->upstream = POP3_UP_USER;
		stream_printf(&s->server, "USER %s\r\n", s->login->authn);
	} else {
		session_login_answered(s, LOGIN_MISMATCH,
		    "Authorisation identity not possible at server", "AUTH",
		    TEXT_NONE);
	}
}

static void
say_language(struct session *s)
{
	struct pop3_session *p = s->data;

	if (p->language[0] == '\0') {
		log_in(s);
		return;
	}
	p->upstream = POP3_UP_LANG;
	stream_printf(&s->server, "LANG %s\r\n", p->language);
}

/* What the client has said before, then the login. */
static void
say_again(struct session *s)
{
	const struct pop3_session *p = s->data;

	if (p->utf8)
		ask(s, POP3_UP_UTF8, "UTF8");
	else
		say_language(s);
}

/*
 * Say who the client is, as Dovecot's own proxy does: a Dovecot wants to hear
 * it of hosts in its login_trusted_networks, and greets them with [XCLIENT].
 */
static void
introduce(struct session *s)
{
	struct pop3_session *p = s->data;
	char client[ADDR_STRLEN];

	if (!s->conf->outgoing_client_info ||
	    (!p->xclient && !capability_has_keyword(&p->list, "XCLIENT"))) {
		say_again(s);
		return;
	}
	p->upstream = POP3_UP_XCLIENT;
	stream_printf(&s->server, "XCLIENT ADDR=%s PORT=%u TTL=%u\r\n",
	    addr_print_ip(&s->client_addr, client),
	    (unsigned int)addr_port(&s->client_addr), s->hops - 1);
}

/* A login goes without it. */
static void
warn_refused(const struct session *s, struct text text)
{
	char shown[SESSION_TEXT_MAX];

	log_warnx("inner server %s: XCLIENT refused: %s",
	    s->conf->servers[s->server_number].name,
	    text_printable(text, shown, sizeof(shown)));
}

/* The server's list is there: TLS, then the login, whatever is missing. */
static void
negotiate(struct session *s)
{
	const struct pop3_session *p = s->data;

	switch (session_server_known(s, &p->list, "STLS")) {
	case SESSION_SAY_NOTHING:
		break;
	case SESSION_SAY_STARTTLS:
		ask(s, POP3_UP_STLS, "STLS");
		break;
	case SESSION_SAY_LOGOUT:
		stream_printf(&s->server, "QUIT\r\n");
		break;
	case SESSION_SAY_LOGIN:
		introduce(s);
		break;
	}
}

/* A line of the list, or its end (RFC 1939 3). */
static void
take_list(struct session *s, struct text line)
{
	struct pop3_session *p = s->data;

	if (text_eq(line, ".")) {
		negotiate(s);
		return;
	}
	if (line.len > 0 && line.p[0] == '.')
		line = text_skip(line, 1);
	if (capability_add(&p->list, line) == -1)
		session_server_garbage(s);
}

static void
say_password(struct session *s)
{
	struct pop3_session *p = s->data;
	char code[CREDENTIALS_PLAIN_MAX];

	if (p->upstream == POP3_UP_USER) {
		stream_printf(&s->server, "PASS %s\r\n", s->login->password);
	} else {
		credentials_plain(s->login, code);
		stream_printf(&s->server, "%s\r\n", code);
		explicit_bzero(code, sizeof(code));
	}
	p->upstream = POP3_UP_PASS;
}

static void
logged_in(struct session *s, struct text text)
{
	char words[SESSION_TEXT_MAX + 1];

	text_for_people(text, words, sizeof(words));
	stream_printf(&s->client, "+OK %s\r\n", session_ok_line(s, words));
	session_login_ok(s);
}

/* -ERR [CODE] text (RFC 2449 8). */
static void
refused(struct session *s, struct text text)
{
	struct text rest = text, code = text_code(&rest);
	const struct code *c = codes;

	while (c->name != NULL && !text_caseeq(code, c->name))
		c++;
	session_login_answered(
	    s, c->why, c->reason, c->name, c->name != NULL ? rest : text);
}

/* Yes or no to what was asked last.  Returns why that is the end, or NULL. */
static const char *
take_answer(struct session *s, bool yes, struct text text)
{
	struct pop3_session *p = s->data;

	switch (p->upstream) {
	case POP3_UP_GREETING:
		if (!yes)
			return "Could not connect to server";
		p->xclient = text_caseeq(text_code(&text), "XCLIENT");
		ask(s, POP3_UP_CAPA, "CAPA");
		break;
	case POP3_UP_CAPA:
		p->upstream = POP3_UP_LIST;
		if (!yes) /* it is older than RFC 2449 */
			negotiate(s);
		break;
	case POP3_UP_LIST:
		break; /* its lines are no answers */
	case POP3_UP_STLS:
		if (!yes)
			return "STARTTLS refused by server";
		session_server_starttls(s);
		break;
	case POP3_UP_XCLIENT:
		if (!yes)
			warn_refused(s, text);
		say_again(s);
		break;
	case POP3_UP_UTF8:
		if (yes)
			say_language(s);
		else /* the administrator's list promised it, perhaps */
			session_login_failed(
			    s, LOGIN_MISMATCH, "UTF8 refused by server");
		break;
	case POP3_UP_LANG: /* about texts only, so a refusal does no harm */
		log_in(s);
		break;
	case POP3_UP_USER:
	case POP3_UP_AUTH:
	case POP3_UP_PASS:
		if (!yes)
			refused(s, text);
		else if (p->upstream == POP3_UP_PASS)
			logged_in(s, text);
		else
			say_password(s);
		break;
	}
	return NULL;
}

bool
pop3_server_input(struct session *s)
{
	const struct pop3_session *p = s->data;
	/* RFC 5034 4: "+" asks for what AUTH owes. */
	const char *yes = p->upstream == POP3_UP_AUTH ? "+" : "+OK";
	char octets[SESSION_SERVER_LINE_MAX] UNZEROED;
	const char *end = NULL;
	struct text line, status = TEXT_NONE;

	if (!session_server_line(s, octets, &line))
		return false;
	if (p->upstream == POP3_UP_LIST) {
		take_list(s, line);
		return true;
	}
	(void)text_split(&line, ' ', &status);
	if (text_caseeq(status, yes) || text_caseeq(status, "-ERR"))
		end = take_answer(s, status.p[0] == '+', line);
	else
		session_server_garbage(s);
	if (end != NULL)
		session_server_failed(s, end);
	return true;
}

void
pop3_login_failed(struct session *s, enum login_failure why)
{
	static const char *const usual[] = { /* RFC 3206 4 */
		[LOGIN_REFUSED] = NULL,
		[LOGIN_UNAVAILABLE] = "SYS/TEMP",
		[LOGIN_MISMATCH] = "SYS/PERM"
	};
	const char *code =
	    s->failure_code != NULL ? s->failure_code : usual[why];
	const char *text = session_failure_text(s, why);

	if (code != NULL)
		stream_printf(&s->client, "-ERR [%s] %s\r\n", code, text);
	else
		stream_printf(&s->client, "-ERR %s\r\n", text);
}
