/* SPDX-License-Identifier: ISC */
/*
 * pop3: one POP3 session until its login: the dialogue with the client
 * (pop3_client), the one with the inner server (pop3_upstream), and what may
 * be promised (pop3_capability).  After the login no octet is looked at any
 * more.
 */
#ifndef POP3_H
#define POP3_H

#include <stdbool.h>

#include "capability.h"
#include "exchange.h"
#include "session.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Octets of a command, CRLF included.  RFC 2449 4 has 255, but a password may
 * be longer, and AUTH may have an initial response.
 */
#define POP3_LINE_MAX EXCHANGE_LINE_MAX
/* A language range (RFC 4647 2.1), or "*". */
#define POP3_LANGUAGE_MAX 64
#define POP3_LANGUAGE_OCTETS                                                   \
	"-*0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* What the inner server's next line is. */
enum pop3_upstream_state {
	POP3_UP_GREETING,
	POP3_UP_CAPA,
	POP3_UP_LIST, /* of CAPA, up to the "." */
	POP3_UP_STLS,
	POP3_UP_XCLIENT,
	POP3_UP_UTF8,
	POP3_UP_LANG,
	POP3_UP_USER,
	POP3_UP_AUTH, /* the "+" of AUTH PLAIN */
	POP3_UP_PASS  /* the answer to the password */
};

/* session->data */
struct pop3_session {
	struct exchange exchange;             /* of an AUTH under way */
	char *user;                           /* of USER, until PASS */
	bool utf8;                            /* UTF8 was said (RFC 6856 2.1) */
	char language[POP3_LANGUAGE_MAX + 1]; /* LANG, 3.2; "": not said */

	enum pop3_upstream_state upstream;
	struct capability list; /* the inner server's, in a login */
	bool xclient;           /* it would hear who the client is */
};

/* struct protocol, see session.h: the client's side ... */
void pop3_greet(struct session *s);
bool pop3_client_input(struct session *s);
void pop3_client_reset(struct session *s);
void pop3_goodbye(struct session *s, const char *reason);
/* ... the inner server's side ... */
void pop3_server_start(struct session *s);
bool pop3_server_input(struct session *s);
void pop3_server_tls(struct session *s);
void pop3_login_failed(struct session *s, enum login_failure why);
/* ... and what may be promised. */
#define POP3_NRULES 15
extern const struct capability_rule pop3_rules[];
int pop3_parse_capability(const char *text, struct capability *out);

#endif
