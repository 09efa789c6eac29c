/* SPDX-License-Identifier: ISC */
/*
 * smtp_log: an event in an SMTP session's life as the line that a Postfix
 * submission server writes, so that what reads such logs (fail2ban,
 * pflogsumm) goes on working.  Runs in the master; the event comes from a
 * worker and texts in it from clients and inner servers, so every text is
 * escaped (text_printable) and cut, and in one between < and > these two are
 * made '?'.
 */
#ifndef SMTP_LOG_H
#define SMTP_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "addr.h"
#include "log.h"
#include "text.h"

/*
 * The name of a message, which takes the place of Postfix's queue id: 18
 * upper case hexadecimal digits, 8 for the second, 6 for the process (Linux
 * has at most 2^22 of them), 4 for its sequence number, which counts its
 * messages and may wrap.  No process takes 65,536 messages in a second, and
 * no two have one number at the same time: so no two messages of a host have
 * the same name, whichever worker of whichever daemon took them.
 */
#define SMTP_ID_SIZE 19 /* with its NUL */
void smtp_log_id(
    time_t now, pid_t pid, uint32_t sequence, char dst[static SMTP_ID_SIZE]);

/* The commands that a disconnect line counts, in its order, ... */
enum smtp_verb {
	SMTP_HELO,
	SMTP_EHLO,
	SMTP_XCLIENT,
	SMTP_XFORWARD,
	SMTP_STARTTLS,
	SMTP_AUTH,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA,
	SMTP_BDAT,
	SMTP_RSET,
	SMTP_NOOP,
	SMTP_VRFY,
	SMTP_ETRN,
	SMTP_QUIT,
	SMTP_UNKNOWN,
	SMTP_VERBS,
	/* ... and places in a session that are none. */
	SMTP_CONNECT = SMTP_VERBS, /* before the first */
	SMTP_END_OF_MESSAGE,       /* after the final dot */
	SMTP_PLACES
};

/* The verb that word is; SMTP_UNKNOWN: none of them. */
enum smtp_verb smtp_verb_of(struct text word);

enum smtp_log_type {
	SMTP_LOG_CONNECT,
	SMTP_LOG_CLIENT,     /* a message begins */
	SMTP_LOG_MESSAGE_ID, /* its header has passed */
	SMTP_LOG_FROM,       /* all of it has passed */
	SMTP_LOG_TO,         /* the inner server's word for one recipient */
	SMTP_LOG_REMOVED,    /* nothing more will be said of it */
	SMTP_LOG_REJECT,
	SMTP_LOG_SASL_FAILED,
	SMTP_LOG_LOST,    /* the client went away */
	SMTP_LOG_TIMEOUT, /* it was silent for too long */
	SMTP_LOG_TOO_MANY_ERRORS,
	SMTP_LOG_PIPELINING, /* it did not wait where it must */
	SMTP_LOG_TLS_FAILED,
	SMTP_LOG_DISCONNECT,
	SMTP_LOG_TYPES
};

enum smtp_log_status { SMTP_SENT, SMTP_DEFERRED, SMTP_BOUNCED, SMTP_STATUSES };

/* One side of a connection. */
struct smtp_log_peer {
	/*
	 * Of a client: found for addr; TEXT_NONE, or no host's name, becomes
	 * "unknown".  Of an inner server: as the configuration has it.
	 */
	struct text name;
	struct addr addr;
};

struct smtp_log_client {
	struct text mechanism; /* TEXT_NONE: nobody has logged in */
	struct text user;
};

struct smtp_log_from {
	struct text sender; /* the address without brackets; null path: "" */
	uint64_t size;
	uint32_t recipients;
};

struct smtp_log_to {
	struct text recipient;
	bool has_relay; /* false: no inner server was reached ("none") */
	struct smtp_log_peer relay;
	/*
	 * In milliseconds, each from the end of the one before: until the
	 * message was there, 0 (where Postfix has its queue), until an inner
	 * server was ready, and until it had the last word.
	 */
	uint32_t delays_ms[4];
	struct text dsn; /* "2.0.0" */
	enum smtp_log_status status;
	struct text reply; /* the inner server's, code and all, or our reason */
};

struct smtp_log_reject {
	enum smtp_verb verb;
	uint16_t code;
	struct text dsn;   /* TEXT_NONE: the reply has none */
	struct text about; /* to stand between < and >; TEXT_NONE: nothing */
	struct text reason;
	bool has_sender, has_recipient; /* to be shown; both may be "" */
	struct text sender, recipient;
	bool esmtp;
	struct text helo; /* TEXT_NONE: not said; then no proto= either */
	struct text user; /* TEXT_NONE: nobody has logged in */
};

struct smtp_log_sasl {
	struct text mechanism, reason;
	struct text user; /* TEXT_NONE: it came to no name */
};

/* LOST, TIMEOUT, TOO_MANY_ERRORS, PIPELINING, TLS_FAILED. */
struct smtp_log_trouble {
	enum smtp_verb after; /* a place, too; not of TLS_FAILED */
	uint64_t octets;      /* after DATA: of the message so far */
	struct text detail;   /* PIPELINING: what came; TLS_FAILED: why */
};

struct smtp_log_counts {
	struct {
		uint32_t good, all;
	} of[SMTP_VERBS];
};

struct smtp_log_event {
	enum smtp_log_type type;
	/*
	 * Of CLIENT to REMOVED, and of a REJECT after MAIL if it has one;
	 * TEXT_NONE: "NOQUEUE".
	 */
	struct text id;
	struct smtp_log_peer client; /* not of MESSAGE_ID to REMOVED */
	union {
		struct smtp_log_client login;
		struct text message_id; /* the field's value, its < > too */
		struct smtp_log_from from;
		struct smtp_log_to to;
		struct smtp_log_reject reject;
		struct smtp_log_sasl sasl;
		struct smtp_log_trouble trouble;
		struct smtp_log_counts counts;
	};
};

/* Write the line; the syslog level that it goes out with is returned. */
int smtp_log_format(
    const struct smtp_log_event *e, char dst[static LOG_LINE_MAX]);

/*
 * The identity to log a line of type with.  Postfix is several programs, and
 * pflogsumm takes senders and recipients from qmgr and smtp only: so where
 * ident ends in "/smtpd" ("postfix/smtpd") these lines get their program's
 * name in its place.  Any other ident is copied.
 */
#define SMTP_LOG_IDENT_MAX 128
void smtp_log_ident(const char *ident, enum smtp_log_type type,
    char dst[static SMTP_LOG_IDENT_MAX]);

#endif
