/* SPDX-License-Identifier: ISC */
/*
 * smtp: one submission session.  Its parts: the dialogue with the client
 * (smtp_client, smtp_auth), a mail transaction (smtp_mail, smtp_param,
 * smtp_submit, smtp_message), the dialogue with the inner server
 * (smtp_upstream, smtp_introduce), and what goes to the log (smtp_event).
 * Mail is never owned: 250 behind a message means that the inner server has
 * said so.
 */
#ifndef SMTP_H
#define SMTP_H

#include <stdbool.h>

#include "capability.h"
#include "exchange.h"
#include "session.h"
#include "smtp_capability.h"
#include "smtp_chunk.h"
#include "smtp_data.h"
#include "smtp_log.h"
#include "smtp_reply.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define SMTP_PIPELINE_MAX 64 /* RCPTs that the inner server owes a reply to */
#define SMTP_COMMAND_OUT_MAX 2048 /* octets of a command that is passed on */
#define SMTP_ERRORS_MAX 20        /* as Postfix: smtpd_hard_error_limit */

/* What the inner server's next reply is about. */
enum smtp_asked {
	SMTP_ASKED_NOTHING,
	SMTP_ASKED_GREETING,
	SMTP_ASKED_EHLO,
	SMTP_ASKED_STARTTLS,
	SMTP_ASKED_XCLIENT,
	SMTP_ASKED_EHLO_POSING, /* behind XCLIENT: in the client's name */
	SMTP_ASKED_EHLO_AGAIN,  /* the same in ours */
	SMTP_ASKED_PLAIN,       /* a challenge */
	SMTP_ASKED_LOGIN_NAME,  /* the same */
	SMTP_ASKED_LOGIN_PASSWORD,
	SMTP_ASKED_AUTH, /* the word on our login */
	SMTP_ASKED_XFORWARD,
	SMTP_ASKED_MAIL,
	SMTP_ASKED_RCPT, /* one for each that is owed */
	SMTP_ASKED_DATA,
	SMTP_ASKED_DOT, /* behind the final dot */
	SMTP_ASKED_BDAT,
	SMTP_ASKED_LAST, /* behind the last chunk */
	SMTP_ASKED_RSET,
	SMTP_ASKED_CLEANUP /* RSET of our own: the client hears nothing */
};

/* Why the inner server takes no part in a transaction (any more). */
enum smtp_trouble {
	SMTP_TROUBLE_NONE,
	SMTP_TROUBLE_UNAVAILABLE, /* there was none to be had */
	SMTP_TROUBLE_LOST,        /* it went away */
	SMTP_TROUBLE_REFUSED      /* it said no to a chunk */
};

/* A mail transaction (RFC 5321 3.3). */
struct smtp_mail {
	bool begun; /* MAIL was taken by the inner server */
	enum smtp_trouble trouble;
	char id[SMTP_ID_SIZE]; /* "" before the first recipient */
	char *sender;
	char *command;     /* MAIL, or an RCPT that the broker is asked about */
	bool utf8, binary; /* SMTPUTF8, BODY=BINARYMIME */
	char **recipients; /* taken, then those that are asked about */
	size_t nrecipients, taken;
	bool bdat;   /* the message comes in chunks */
	bool traced; /* DATA: the Received field has been written */
	union {
		struct smtp_data data;
		struct smtp_chunk chunk;
	};
	int64_t begun_ms, passed_ms;
};

/* session->data */
struct smtp_session {
	/* The client. */
	bool esmtp, utf8;         /* said EHLO, was promised SMTPUTF8 */
	char *helo;               /* NULL: not said */
	struct exchange exchange; /* AUTH LOGIN */
	bool in_sasl; /* the client's next line is for an authenticator */
	char mechanism[MSG_MECHANISM_MAX + 1];
	char *claimed; /* who it says it is, for the log; NULL: not known */
	unsigned int errors;
	enum smtp_verb verb; /* the last command, or place */
	struct smtp_log_counts counts;
	bool known; /* its "connect from" line is written */

	struct smtp_mail mail;

	/* The inner server. */
	enum smtp_asked asked;
	unsigned int owed; /* replies */
	struct smtp_reply reply;
	struct capability *list; /* while it is being asked for, else NULL */
	struct addr server_addr;
	bool fresh;  /* it has had no MAIL yet */
	bool posing; /* it took XCLIENT: we are the client to it */
	/*
	 * Bits of enum smtp_attribute: the command under way, what is left to
	 * tell, what XCLIENT has told, what goes before each MAIL.
	 */
	unsigned int telling, to_tell, told, forward;
	bool pipelining, chunking;
	uint64_t inner_size; /* its limit; 0: none */
};

/* smtp_client: struct protocol, see session.h. */
void smtp_greet(struct session *s);
bool smtp_client_input(struct session *s);
void smtp_client_reset(struct session *s);
void smtp_goodbye(struct session *s, const char *reason);
void smtp_end(struct session *s);
/* A reply of ours, to the command that was taken last. */
void smtp_say(
    struct session *s, unsigned int code, const char *dsn, const char *text);
/* The same; the client's own fault, which it may have a few of. */
void smtp_error(
    struct session *s, unsigned int code, const char *dsn, const char *text);
/* The command that was taken last had a good end. */
void smtp_count_good(struct smtp_session *p);
/* The client did not wait where it must (RFC 2920 3.1): that is its end. */
void smtp_out_of_step(struct session *s);
/* The list for this client. */
void smtp_promise(const struct session *s, struct capability *out);

/* smtp_auth */
void smtp_auth(struct session *s, struct text args);
bool smtp_auth_is_under_way(const struct smtp_session *p);
void smtp_auth_answer(struct session *s, struct text line);
void smtp_auth_end(struct smtp_session *p);
void smtp_sasl_reply(
    struct session *s, enum sasl_result result, struct text text);

/* smtp_mail: commands of a transaction. */
void smtp_mail_from(struct session *s, struct text args);
void smtp_mail_to(struct session *s, struct text args);
/*
 * The same while the inner server still owes a reply.  False: it has to wait,
 * be it that the inner server cannot, or that the reply would be ours.
 */
bool smtp_mail_to_ahead(struct session *s, struct text args);
void smtp_mail_reset(struct session *s); /* RSET */
void smtp_mail_forget(struct smtp_session *p);
/* The inner server is fit for MAIL, is not to be had, or has answered. */
void smtp_mail_go_on(struct session *s);
void smtp_login_failed(struct session *s, enum login_failure why);
void smtp_mail_answer(struct session *s, enum smtp_asked asked);
/* Nothing speaks against MAIL: it goes to an inner server. */
void smtp_mail_pass(struct session *s);
/* The recipient that comes next to those that were taken is none. */
void smtp_mail_drop_recipient(struct smtp_mail *m);
/* It owed so many answers when it went away. */
void smtp_mail_lost(
    struct session *s, enum smtp_asked asked, unsigned int owed);
/* Nothing more comes of it: whatever the inner server has is taken back. */
void smtp_mail_abandon(struct session *s);
/* What stands for the inner server's reply when there is none. */
void smtp_mail_say_trouble(struct session *s);
/* The inner server's reply goes to the client with all its lines. */
void smtp_mail_pass_reply(struct session *s);

/* Why a command is no good. */
struct smtp_refusal {
	unsigned int code;
	const char *dsn, *text;
	bool logged; /* the log hears of it, too */
};

/*
 * smtp_param: add the parameters in rest to command (size octets); NULL, or
 * why not.
 */
const struct smtp_refusal *smtp_add_params(struct session *s, struct text rest,
    bool of_mail, char *command, size_t size);
/* Octets that a message may have; 0: any number. */
uint64_t smtp_message_limit(const struct session *s);

/* smtp_submit: struct protocol, see session.h. */
void smtp_submit_reply(struct session *s, enum submit_verdict v);

/* smtp_message: DATA, BDAT and what follows them. */
void smtp_data_command(struct session *s);
void smtp_bdat_command(struct session *s, struct text args);
size_t smtp_message(struct session *s, struct text octets);
bool smtp_is_owed(const struct session *s);
void smtp_data_answer(struct session *s);
/* DATA was refused: a message that is on its way already is no command. */
void smtp_data_refused(struct session *s);
void smtp_bdat_answer(struct session *s);
void smtp_message_answer(struct session *s); /* to all of it */
/* The same, when the inner server has gone without one. */
void smtp_message_lost(struct session *s);

/* smtp_upstream: struct protocol, see session.h. */
void smtp_server_start(struct session *s);
bool smtp_server_input(struct session *s);
void smtp_server_tls(struct session *s);
void smtp_server_gone(struct session *s, const char *reason);
/* Say command (NULL: it has been written); its reply is awaited. */
void smtp_upstream_forget(struct smtp_session *p); /* it owes nothing */
void smtp_upstream_ask(
    struct session *s, enum smtp_asked asked, const char *command);

/* With asked SMTP_ASKED_EHLO_POSING it is the client's name that is said. */
void smtp_upstream_ehlo(struct session *s, enum smtp_asked asked);
void smtp_upstream_fit(struct session *s); /* MAIL may come */

/*
 * smtp_introduce: an inner server's list is known: tell it who the client is
 * and who we are, then smtp_upstream_fit().  smtp_introduce_mail() says MAIL
 * and what goes before it.
 */
void smtp_introduce(struct session *s);
void smtp_introduce_mail(struct session *s);
void smtp_introduce_answer(struct session *s, enum smtp_asked asked);

/* smtp_event: struct protocol.event, and the lines of a message. */
void smtp_event(struct session *s, enum event_type type, const char *status);
void smtp_log_client(struct session *s);
void smtp_log_message(struct session *s); /* message-id= and from= */
void smtp_log_deliveries(struct session *s, struct text reply); /* to= */
void smtp_log_sasl_failed(struct session *s, const char *reason);
void smtp_log_out_of_step(struct session *s);
/* about: the sender, or of RCPT the recipient; TEXT_NONE: no address. */
void smtp_log_reject(struct session *s, enum smtp_verb verb, unsigned int code,
    struct text dsn, struct text reason, struct text about);

#endif
