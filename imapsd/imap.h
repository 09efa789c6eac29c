/* SPDX-License-Identifier: ISC */
/*
 * imap: one IMAP session until its login: the dialogue with the client
 * (imap_client, imap_auth), the one with the inner server (imap_upstream,
 * imap_login), and what may be promised (imap_capability).  After the login
 * no octet is looked at any more.
 */
#ifndef IMAP_H
#define IMAP_H

#include <stdbool.h>

#include "capability.h"
#include "exchange.h"
#include "imap_scan.h"
#include "session.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define IMAP_OUR_TAG_SIZE 16 /* of our tags, "r1" and so on, with its NUL */

/* What the inner server's next tagged response is about. */
enum imap_upstream_state {
	IMAP_UP_GREETING, /* untagged, the first line */
	IMAP_UP_CAPABILITY,
	IMAP_UP_STARTTLS,
	IMAP_UP_LOGIN,           /* LOGIN or AUTHENTICATE PLAIN */
	IMAP_UP_CAPABILITY_AFTER /* logged in, but it did not say its list */
};

/* What we owe the inner server when it says "+". */
enum imap_owed { IMAP_OWE_NOTHING, IMAP_OWE_LITERAL, IMAP_OWE_PLAIN };

/* A dialogue with an inner server; there only while it goes on. */
struct imap_upstream {
	enum imap_upstream_state state;
	unsigned int number; /* of the command under way */
	char tag[IMAP_OUR_TAG_SIZE]; /* of the same */
	bool known;                  /* list is what the server said last */
	struct capability list;

	/*
	 * Of its answer to ID, which comes before that to the login: it is
	 * still to come; octets of a literal, and what is behind it.
	 */
	bool owes_id;
	uint64_t skip;
	bool unfinished;

	enum imap_owed owed;
	unsigned int part; /* of LOGIN: 0 the name, 1 the password, 2 done */
	bool literal_plus;

	char text[SESSION_TEXT_MAX + 1]; /* of its OK; "": none */
};

/* session->data */
struct imap_session {
	struct imap_scan scan;
	struct exchange exchange;   /* of an AUTHENTICATE under way */
	char tag[IMAP_TAG_MAX + 1]; /* of the command under way; "*": none */
	struct imap_upstream *upstream; /* NULL: none */
};

/* struct protocol, see session.h: the client's side ... */
void imap_greet(struct session *s);
bool imap_client_input(struct session *s);
void imap_client_reset(struct session *s);
void imap_goodbye(struct session *s, const char *reason);
/* ... the inner server's side ... */
void imap_server_start(struct session *s);
bool imap_server_input(struct session *s);
void imap_server_tls(struct session *s);
void imap_login_failed(struct session *s, enum login_failure why);
void imap_end(struct session *s);
/* ... and what may be promised. */
#define IMAP_NRULES 18
extern const struct capability_rule imap_rules[];
bool imap_is_capability(struct text word);
int imap_parse_capability(const char *text, struct capability *out);

/*
 * Add what a server listed.  -1 when a word is no atom (RFC 3501 9,
 * capability), so that none can end the response code it will stand in, or
 * when there are too many.
 */
int imap_add_capability(struct capability *c, struct text words);

/* imap_client, for imap_auth: a tagged reply. */
void imap_reply(struct session *s, const char *status, const char *text);
/* BAD and BYE, code ("[TOOBIG] " or "") before why; the session ends. */
void imap_lost(struct session *s, const char *why, const char *code);
/* The client's input up to the CRLF behind taken is dealt with. */
void imap_done(struct session *s, struct text taken);

/* imap_auth, for imap_client: commands, and a line of an exchange. */
void imap_auth_login(struct session *s, struct text args);
void imap_auth_authenticate(struct session *s, struct text args);
bool imap_auth_answer(struct session *s); /* false: not there yet */

/* imap_login, for imap_upstream: write LOGIN or AUTHENTICATE ... */
void imap_login_start(struct session *s);
/* ... what "+" asks for ... */
void imap_login_continue(struct session *s);
/* ... understand the tagged response ... */
void imap_login_result(struct session *s, const struct imap_response *r);
/* ... and, when the inner server's list is known, tell the client. */
void imap_login_done(struct session *s);

/* imap_upstream, for imap_client: the dialogue is over. */
void imap_upstream_end(struct session *s);
/* For imap_login: begin a command line with its tag. */
void imap_upstream_command(struct session *s, enum imap_upstream_state state);
void imap_upstream_ask_capability(
    struct session *s, enum imap_upstream_state state);

#endif
