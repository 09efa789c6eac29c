/* SPDX-License-Identifier: ISC */
/*
 * session_log: an event in a session's life as a line of the log.  Runs in
 * the master.  The fields come from a worker, which may have been taken over,
 * and the names in them from a client: the numbers are in their ranges
 * (msg_get_event()), the rest is escaped, and cut so that no field can push
 * the ones behind it out of the line.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

#include "addr.h"
#include "log.h"
#include "session_log.h"
#include "text.h"

/* Octets of a field as it is shown, escaped, with its NUL. */
#define NAME_SHOWN 512   /* of each of the two user names */
#define SERVER_SHOWN 272 /* a name of DNS has at most 255 */
#define STATUS_SHOWN 384
#define REST_MAX 320 /* both addresses and what is fixed */

_Static_assert(
    2 * NAME_SHOWN + SERVER_SHOWN + STATUS_SHOWN + REST_MAX <= LOG_LINE_MAX,
    "the longest line fits");

/* What a line is made of. */
struct parts {
	char addrs[2 * ADDR_STRLEN]; /* client->local */
	char authz[NAME_SHOWN + 2];  /* with its quotes */
	char authn[NAME_SHOWN];
	char status[STATUS_SHOWN];
};

static const char *const secure_names[] = {
	[SECURE_PLAINTEXT] = "plaintext",
	[SECURE_STARTTLS] = "starttls",
	[SECURE_SSL] = "ssl",
};
_Static_assert(sizeof(secure_names) / sizeof(secure_names[0]) == SECURE_MAX,
    "name every enum event_secure");

/* Perdition writes what a session that named nobody has as it stands in C. */
static void
show_names(const struct msg_event *e, struct parts *p)
{
	struct text authn = e->authn.len > 0 ? e->authn : TEXT_LIT("(null)");
	char authz[NAME_SHOWN];

	text_printable(authn, p->authn, sizeof(p->authn));
	text_printable(e->authz, authz, sizeof(authz));
	(void)snprintf(p->authz, sizeof(p->authz),
	    e->has_authz ? "\"%s\"" : "NONE", authz);
}

static void
show(const struct msg_event *e, struct parts *p)
{
	char client[ADDR_STRLEN], local[ADDR_STRLEN];

	(void)snprintf(p->addrs, sizeof(p->addrs), "%s->%s",
	    addr_print(&e->client, client), addr_print(&e->local, local));
	text_printable(e->status, p->status, sizeof(p->status));
	show_names(e, p);
}

static enum conf_listen_mode
listen_mode(enum event_secure secure)
{
	switch (secure) {
	case SECURE_SSL:
		return LISTEN_SSL;
	case SECURE_STARTTLS:
		return LISTEN_STARTTLS;
	case SECURE_PLAINTEXT:
	case SECURE_MAX:
		break;
	}
	return LISTEN_PLAIN;
}

/* "name:port"; "-" when there is none: filters want one sign at least. */
static void
show_server(const struct conf *c, uint16_t number, char *dst, size_t size)
{
	const struct conf_server *s;
	char name[SERVER_SHOWN - 16];
	struct text t;

	if (number >= c->nservers) { /* MSG_NO_SERVER among them */
		(void)snprintf(dst, size, "-");
		return;
	}
	s = &c->servers[number];
	t = text_of(s->name);
	text_printable(t, name, sizeof(name));
	(void)snprintf(dst, size, text_has(t, ':') ? "[%s]:%u" : "%s:%u", name,
	    (unsigned int)s->port);
}

static void
format_auth(const struct conf *c, const struct msg_event *e,
    const struct parts *p, char *dst, size_t size)
{
	char server[SERVER_SHOWN];

	show_server(c, e->server, server, sizeof(server));
	(void)snprintf(dst, size,
	    "Auth: %s client-secure=%s authorisation_id=%s "
	    "authentication_id=\"%s\" server=\"%s\" protocol=%s "
	    "server-secure=%s status=\"%s\"",
	    p->addrs, secure_names[e->client_secure], p->authz, p->authn,
	    server, conf_protocol_name(c, listen_mode(e->client_secure)),
	    secure_names[e->server_secure], p->status);
}

static void
format_close_null(
    const struct msg_event *e, const struct parts *p, char *dst, size_t size)
{
	bool reason = e->status.len > 0;

	(void)snprintf(dst, size,
	    "Closing NULL session: %s authorisation_id=%s "
	    "authentication_id=\"%s\"%s%s%s",
	    p->addrs, p->authz, p->authn, reason ? " reason=\"" : "", p->status,
	    reason ? "\"" : "");
}

int
session_log_format(
    const struct conf *c, const struct msg_event *e, char *dst, size_t size)
{
	struct parts p;

	show(e, &p);
	switch ((enum event_type)e->type) {
	case EVENT_CONNECT: /* the two blanks are Perdition's */
		(void)snprintf(dst, size, "Connect:  %s", p.addrs);
		break;
	case EVENT_AUTH:
		format_auth(c, e, &p, dst, size);
		return LOG_NOTICE;
	case EVENT_CLOSE: /* filters want nothing behind the numbers */
		(void)snprintf(dst, size,
		    "Closing session: %s authorisation_id=%s "
		    "authentication_id=\"%s\" received=%" PRIu64
		    " sent=%" PRIu64,
		    p.addrs, p.authz, p.authn, e->received, e->sent);
		break;
	case EVENT_CLOSE_NULL:
		format_close_null(e, &p, dst, size);
		break;
	case EVENT_TYPES: /* msg_get_event() lets none pass */
		dst[0] = '\0';
		break;
	}
	return LOG_INFO;
}
