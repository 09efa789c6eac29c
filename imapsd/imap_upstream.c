/* SPDX-License-Identifier: ISC */
/*
 * imap_upstream: the dialogue with an inner server up to the login: greeting,
 * capabilities, STARTTLS, and the responses that do not belong to the login.
 * Runs in the worker.  An inner server may have been taken over, or be the
 * wrong one: each line and their number are bounded, each response must be
 * one that was asked for, and only what imap_login and imap_capability make
 * of it reaches a client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap.h"
#include "log.h"
#include "unzeroed.h"
#include "xmalloc.h"

/* A reason in the log, Perdition's. */
#define GONE "Could not connect to server"
#define ID_LITERAL_MAX 1024 /* octets; RFC 2971 3.3 */

void
imap_upstream_end(struct session *s)
{
	struct imap_session *im = s->data;

	free(im->upstream);
	im->upstream = NULL;
}

void
imap_server_start(struct session *s)
{
	struct imap_session *im = s->data;

	imap_upstream_end(s); /* that of a server that was passed over */
	im->upstream = xcalloc(1, sizeof(*im->upstream));
}

static void
command_tag(unsigned int number, char tag[IMAP_OUR_TAG_SIZE])
{
	(void)snprintf(tag, IMAP_OUR_TAG_SIZE, "r%u", number);
}

void
imap_upstream_command(struct session *s, enum imap_upstream_state state)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	up->state = state;
	up->number++;
	command_tag(up->number, up->tag);
	stream_printf(&s->server, "%s ", up->tag);
}

void
imap_upstream_ask_capability(struct session *s, enum imap_upstream_state state)
{
	struct imap_session *im = s->data;

	im->upstream->known = false;
	imap_upstream_command(s, state);
	stream_printf(&s->server, "CAPABILITY\r\n");
}

/* After TLS nothing holds that was said before it (RFC 3501 6.2.1). */
void
imap_server_tls(struct session *s)
{
	imap_upstream_ask_capability(s, IMAP_UP_CAPABILITY);
}

/*
 * Say who the client is, in the fields that Dovecot knows (RFC 2971): a
 * Dovecot believes them of hosts in its login_trusted_networks, others put
 * them in a log or pass over them.
 */
static void
say_id(struct session *s)
{
	const struct imap_session *im = s->data;
	char client[ADDR_STRLEN], local[ADDR_STRLEN];

	imap_upstream_command(s, IMAP_UP_LOGIN);
	im->upstream->owes_id = true;
	stream_printf(&s->server,
	    "ID (\"x-originating-ip\" \"%s\" \"x-originating-port\" \"%u\" "
	    "\"x-connected-ip\" \"%s\" \"x-connected-port\" \"%u\" "
	    "\"x-proxy-ttl\" \"%u\")\r\n",
	    addr_print_ip(&s->client_addr, client),
	    (unsigned int)addr_port(&s->client_addr),
	    addr_print_ip(&s->local_addr, local),
	    (unsigned int)addr_port(&s->local_addr), s->hops - 1);
}

/* The login does not depend on the answer to ID, and goes along with it. */
static void
say_login(struct session *s)
{
	const struct imap_session *im = s->data;

	if (s->conf->outgoing_client_info &&
	    capability_has(&im->upstream->list, "ID"))
		say_id(s);
	imap_login_start(s);
}

/* The server was heard: its list, TLS, then the login, whatever is missing. */
static void
negotiate(struct session *s)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	if (!up->known) {
		imap_upstream_ask_capability(s, IMAP_UP_CAPABILITY);
		return;
	}
	switch (session_server_known(s, &up->list, "STARTTLS")) {
	case SESSION_SAY_NOTHING:
		break;
	case SESSION_SAY_STARTTLS:
		imap_upstream_command(s, IMAP_UP_STARTTLS);
		stream_printf(&s->server, "STARTTLS\r\n");
		break;
	case SESSION_SAY_LOGOUT:
		imap_upstream_command(s, up->state);
		stream_printf(&s->server, "LOGOUT\r\n");
		break;
	case SESSION_SAY_LOGIN:
		say_login(s);
		break;
	}
}

/* False: it was none. */
static bool
take_list(struct session *s, struct text words)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	capability_clear(&up->list);
	up->known = imap_add_capability(&up->list, words) == 0;
	if (up->known)
		return true;
	session_server_garbage(s); /* *up may be gone now */
	return false;
}

/* RFC 3501 7.1: an ALERT must be shown to the user; the client can. */
static void
pass_alert(struct session *s, const struct imap_response *r)
{
	char text[SESSION_TEXT_MAX + 1];

	if (session_is_lesson(s) || !text_caseeq(r->code, "ALERT"))
		return;
	text_for_people(r->text, text, sizeof(text));
	stream_printf(&s->client, "* %s [ALERT] %s\r\n",
	    r->status == IMAP_OK ? "OK" : "NO", text);
}

static void
take_greeting(struct session *s, const struct imap_response *r)
{
	if (r->kind != IMAP_UNTAGGED) {
		session_server_garbage(s);
		return;
	}
	switch (r->status) {
	case IMAP_OK:
		pass_alert(s, r);
		if (!text_caseeq(r->code, "CAPABILITY") ||
		    take_list(s, r->args))
			negotiate(s);
		return;
	case IMAP_BYE:
		session_server_failed(s, GONE);
		return;
	case IMAP_PREAUTH:
		/* It would let in whoever comes, with any password. */
		log_warnx("an inner server greets with PREAUTH: not used");
		break;
	case IMAP_NO:
	case IMAP_BAD:
	case IMAP_DATA:
		break;
	}
	session_server_garbage(s);
}

/*
 * Nothing that we ask is answered with one, it not being lines, but ID, whose
 * answer is nobody's business (RFC 2971 3.2).
 */
static void
take_literal(struct session *s, const struct imap_response *r, uint64_t size)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;

	if (!up->owes_id || size > ID_LITERAL_MAX ||
	    (!up->unfinished && !text_caseeq(r->code, "ID"))) {
		session_server_failed(s, "Literal from server before login");
		return;
	}
	up->skip = size;
	up->unfinished = true;
}

/* False: nothing of it has arrived. */
static bool
skip_literal(struct session *s, struct imap_upstream *up)
{
	size_t n = s->server.in.len;

	if (n > up->skip)
		n = (size_t)up->skip;
	buf_consume(&s->server.in, n);
	up->skip -= n;
	return n > 0;
}

static void
take_untagged(struct session *s, const struct imap_response *r)
{
	const struct imap_session *im = s->data;
	const struct imap_upstream *up = im->upstream;
	uint64_t size;

	switch (r->status) {
	case IMAP_OK:
	case IMAP_NO:
	case IMAP_BAD:
		pass_alert(s, r);
		break;
	case IMAP_BYE:
		session_server_failed(s, GONE);
		break;
	case IMAP_PREAUTH:
		session_server_garbage(s);
		break;
	case IMAP_DATA:
		if (imap_ends_in_literal(r->args, &size))
			take_literal(s, r, size);
		else if (!up->owes_id && text_caseeq(r->code, "CAPABILITY"))
			(void)take_list(s, r->args);
		break;
	}
}

static void
warn_refused(const struct session *s, const struct imap_response *r)
{
	char shown[SESSION_TEXT_MAX];

	log_warnx("inner server %s: ID refused: %s",
	    s->conf->servers[s->server_number].name,
	    text_printable(r->text, shown, sizeof(shown)));
}

/* The answer to the command before the login: a login goes without it. */
static void
take_id(
    struct session *s, struct imap_upstream *up, const struct imap_response *r)
{
	char tag[IMAP_OUR_TAG_SIZE];

	command_tag(up->number - 1, tag);
	if (!text_eq(r->tag, tag)) {
		session_server_garbage(s);
		return;
	}
	up->owes_id = false;
	if (r->status != IMAP_OK)
		warn_refused(s, r);
}

static void
take_tagged(struct session *s, const struct imap_response *r)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	bool ok = r->status == IMAP_OK;

	if (up->owes_id) {
		take_id(s, up, r);
		return;
	}
	if (!text_eq(r->tag, up->tag)) {
		session_server_garbage(s);
		return;
	}
	switch (up->state) {
	case IMAP_UP_GREETING:
		break;
	case IMAP_UP_CAPABILITY:
		if (!ok || !up->known)
			break;
		negotiate(s);
		return;
	case IMAP_UP_STARTTLS:
		if (ok)
			session_server_starttls(s);
		else
			session_server_failed(s, "STARTTLS refused by server");
		return;
	case IMAP_UP_LOGIN:
		pass_alert(s, r);
		if (!ok || !text_caseeq(r->code, "CAPABILITY") ||
		    take_list(s, r->args))
			imap_login_result(s, r);
		return;
	case IMAP_UP_CAPABILITY_AFTER:
		if (!ok || !up->known)
			break;
		imap_login_done(s);
		return;
	}
	session_server_garbage(s);
}

static void
take_response(struct session *s, const struct imap_response *r)
{
	const struct imap_session *im = s->data;

	if (im->upstream->state == IMAP_UP_GREETING) {
		take_greeting(s, r);
		return;
	}
	switch (r->kind) {
	case IMAP_UNTAGGED:
		take_untagged(s, r);
		break;
	case IMAP_TAGGED:
		take_tagged(s, r);
		break;
	case IMAP_CONTINUE:
		imap_login_continue(s);
		break;
	}
}

bool
imap_server_input(struct session *s)
{
	struct imap_session *im = s->data;
	struct imap_upstream *up = im->upstream;
	char octets[SESSION_SERVER_LINE_MAX] UNZEROED;
	struct imap_response r = { .kind = IMAP_UNTAGGED };
	struct text line;
	uint64_t size;

	if (up->skip > 0)
		return skip_literal(s, up);
	if (!session_server_line(s, octets, &line))
		return false;
	if (up->unfinished && imap_ends_in_literal(line, &size))
		take_literal(s, &r, size);
	else if (up->unfinished)
		up->unfinished = false;
	else if (imap_parse_response(line, &r))
		take_response(s, &r);
	else
		session_server_garbage(s);
	return true;
}
