/* SPDX-License-Identifier: ISC */
/*
 * session: what the protocols share in the life of one client: admission,
 * TLS, time limits, the login at an inner server, the wait after a refusal,
 * hand-over, relay, log lines.  It knows a protocol only by struct protocol.
 *
 * One client, one struct session, at most one inner connection at a time.
 * A session without a client (session_is_lesson()) asks an inner server for
 * its capabilities and ends.
 */
#ifndef SESSION_H
#define SESSION_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "capability.h"
#include "conf.h"
#include "exchange.h"
#include "log.h"
#include "msg.h"
#include "sasl_channel.h"
#include "stream.h"

enum session_state {
	SESSION_ADMIT,            /* the broker is asked whether to serve */
	SESSION_PROXY,            /* before that: a proxy says for whom */
	SESSION_LEARN,            /* the capability list is waited for */
	SESSION_HANDSHAKE,        /* TLS with the client */
	SESSION_DIALOGUE,         /* the client's commands before login */
	SESSION_AUTH,             /* an authenticator is asked */
	SESSION_CONNECT,          /* the broker is asked for an inner server */
	SESSION_SERVER_HANDSHAKE, /* TLS with the inner server */
	SESSION_LOGIN,            /* the dialogue with the inner server */
	SESSION_DELAY,            /* a refusal is held back */
	SESSION_RELAY,            /* bytes */
	SESSION_MAIL,             /* logged in, and both sides say lines */
	SESSION_SUBMIT,           /* the same; the broker is asked for leave */
	SESSION_MESSAGE,          /* the same, but the client's are octets */
	SESSION_CLOSING,          /* what is pending goes out, then the end */
	SESSION_STATES
};

#define SESSION_IN_MAX 65536 /* octets of one side's input that wait */

/* Who has to take or send octets now, and may not do so by drips. */
enum session_debtor {
	DEBTOR_NONE,
	DEBTOR_CLIENT_TAKES,
	DEBTOR_SERVER_TAKES,
	DEBTOR_CLIENT_SENDS
};

/*
 * So long a client without a login gives way to nobody: a login takes a
 * fraction of it, with round trips around the world.  Else whoever opens
 * connections fast enough would throw out those who are about to log in.
 */
#define SESSION_YOUNG 3 /* seconds */

enum login_failure {
	LOGIN_REFUSED,     /* by the inner server: answered after the delay */
	LOGIN_UNAVAILABLE, /* no inner server did its part: answered at once */
	LOGIN_MISMATCH     /* an inner server that cannot do what is needed */
};

struct session {
	struct worker *worker;
	const struct protocol *protocol;
	const struct conf *conf;
	uint32_t number; /* in messages to the broker */
	enum session_state state;
	enum event_secure client_secure, server_secure;
	bool clear_login;  /* the listener takes credentials without TLS */
	bool can_starttls; /* and TLS has not been started yet */
	bool lesson;
	bool admitted; /* the broker has said so */
	bool proxied;  /* client_addr is what a proxy's header says */
	bool greeted;  /* this client has had its greeting */
	bool input;    /* client_input() is to be called */
	bool tls_due;  /* session_starttls() */
	bool client_eof;
	bool server_greeted, server_started;
	bool server_done; /* the inner connection is to be closed */
	bool logged_in;
	bool stopping; /* session_stop() */
	bool kicked;   /* session_kick() */
	bool lingers;  /* all is said; the client's end is waited for */
	bool dead;     /* to be destroyed at the end of this turn */
	bool unplaced; /* all places are taken: it is told so, and ends */
	bool retried;  /* another has given way for it at connection_limit */
	int accepted;  /* the client's descriptor until it is admitted */
	struct addr client_addr, local_addr;
	struct addr proxy_addr; /* whose header is awaited; family 0: none is */
	unsigned int hops;      /* see session_limit_hops() */
	unsigned int hops_told; /* the same, by a proxy alone */
	char *client_name; /* found and confirmed by the broker; NULL: none */
	struct stream client, server;
	uint16_t server_number;    /* MSG_NO_SERVER: none */
	uint8_t mechanism;         /* enum stats_mechanism, of the last login */
	uint32_t server_us;        /* stats_now_us(): connected to the server */
	uint64_t tried;            /* inner servers that failed this login */
	unsigned int refused;      /* logins so far */
	bool turned;               /* the last one was not even tried */
	uint8_t handshakes;        /* with the client, up to 255 */
	unsigned int commands;     /* since the start, TLS or a refusal */
	uint8_t blanks;            /* of these, empty lines in front */
	unsigned int server_lines; /* taken from this inner server */
	uint32_t failure_delay_ms;
	struct session_sasl *sasl; /* an exchange here; NULL: none */
	enum submit_what submit_what;
	uint32_t login_us; /* stats_now_us(), when the last login began */
	struct text submit_sender; /* borrowed; see session_submit() */
	struct credentials *login; /* while a login is under way, else NULL */
	char *user, *authz;        /* of the last login; for the log */
	struct event timer;
	/* The worker's: see worker_set_yield(). */
	TAILQ_ENTRY(session) entry;
	bool queued;
	time_t yields_since; /* CLOCK_MONOTONIC seconds */
	/* CLOCK_MONOTONIC seconds */
	time_t began, active, login_deadline, relog_at;
	time_t watched_at; /* when session_watch() has the timer end; 0: no */
	/*
	 * minimum_rate: who is watched, when its window begins (pace_begins)
	 * or ends (0: never) and what it had paid when that began.
	 */
	enum session_debtor debtor;
	bool pace_begins;
	time_t pace_by;
	uint64_t paid;
	/*
	 * session_await(): when the answer that the inner server owes is too
	 * late, and how long it may take; 0: it owes none.
	 */
	time_t answer_by;
	unsigned int answer_seconds;
	const char *failure_code; /* static; of session_login_answered() */
	char *failure_text;       /* the same; NULL: none */
	const char *end_reason;   /* static; for the log */
	void *data; /* the protocol's own (protocol.data_size octets, zeroed) */
};

/*
 * A protocol.  All functions run in the worker and must not block.  They
 * write by stream_printf(&s->client, ...) or &s->server; session flushes.
 */
struct protocol {
	const struct conf_defaults *defaults;
	const char *alpn;
	size_t data_size;

	/* The client is there (TLS up where it is implicit): greet. */
	void (*greet)(struct session *s);
	/*
	 * Take one command, or another thing of that kind, from s->client.in.
	 * False: it has not arrived yet.
	 */
	bool (*client_input)(struct session *s);
	/* TLS is up after STARTTLS: forget what the client said before. */
	void (*client_reset)(struct session *s);
	/* Longer silence than allowed, too many refusals ...: say goodbye. */
	void (*goodbye)(struct session *s, const char *reason);

	/* The inner server is connected (implicit TLS up): wait or speak. */
	void (*server_start)(struct session *s);
	/*
	 * Take one line of s->server.in, state being SESSION_LOGIN.  False:
	 * it has not arrived yet, or the login is over.
	 */
	bool (*server_input)(struct session *s);
	/* TLS is up after session_server_starttls(). */
	void (*server_tls)(struct session *s);
	/*
	 * For protocols with session_mail(): client_input() and
	 * server_input() are called in SESSION_MAIL, too.  Take octets of a
	 * message (SESSION_MESSAGE); returns how many.  What is not taken is
	 * offered again as soon as the state has changed.
	 */
	size_t (*message)(struct session *s, struct text octets);
	/* The broker's word on session_submit(), in SESSION_MAIL again. */
	void (*submit_reply)(struct session *s, enum submit_verdict v);
	/*
	 * The inner server went away or broke its protocol, state being
	 * SESSION_MAIL or SESSION_MESSAGE; the connection is closed, and no
	 * answer is owed any more.
	 */
	void (*server_gone)(struct session *s, const char *reason);
	/*
	 * Has the inner server got the end of a message, and not answered
	 * yet?  NULL: never.
	 */
	bool (*is_owed)(const struct session *s);
	/*
	 * A protocol whose log is not Perdition's: an event in the session's
	 * life (status as in struct msg_event), and, in the master, a record
	 * as the line and the level that it is (-1: no worker of ours sends
	 * that), and as whom it is to be written, ident being the daemon's
	 * name in the log.  NULL: the usual lines.
	 */
	void (*event)(
	    struct session *s, enum event_type type, const char *status);
	int (*format_record)(
	    const struct msg_record *m, char dst[static LOG_LINE_MAX]);
	/* Does a line of it tell against the client, so that some ban it? */
	bool (*record_accuses)(const struct msg_record *m);
	void (*record_ident)(const struct msg_record *m, const char *ident,
	    char dst[static LOG_IDENT_MAX]);

	/*
	 * Tell the client that the login failed (after the delay, if any):
	 * by failure_code, or the usual one of why, and
	 * session_failure_text().
	 */
	void (*login_failed)(struct session *s, enum login_failure why);
	/*
	 * What came of session_sasl_start(), _check() or _step(), state being
	 * SESSION_DIALOGUE again.  text is valid during the call: the
	 * challenge (AUTH_CHALLENGE; session_sasl_step() or _cancel() is
	 * next), or the user's name (AUTH_OK; s->user is a copy).  The word
	 * of a failure was held back, and login_attempts is seen to.  NULL:
	 * the protocol's logins are all at inner servers.
	 */
	void (*sasl_reply)(
	    struct session *s, enum sasl_result result, struct text text);
	/* Free what data points to (not data itself); NULL: nothing. */
	void (*end)(struct session *s);

	/* What may be promised. */
	const struct capability_rule *rules;
	size_t nrules;
	/* What is promised while nothing is known of the inner server. */
	const char *minimum; /* words parted by blanks */
	/*
	 * Keep what both inner servers can do, where that is more than
	 * capability_intersect() would say; NULL: it is not.
	 */
	void (*merge)(struct capability *all, const struct capability *other);
	/* May it stand in a list (NULL: printable ASCII always may)? */
	bool (*is_capability)(struct text entry);
	/* The administrator's list to entries; -1: it has no good form. */
	int (*parse_capability)(const char *text, struct capability *out);
};

/* For protocols: */

/* The list for this client, in its situation, before login. */
void session_capability(const struct session *s, struct capability *out);
/* Is there such a keyword in it? */
bool session_promises(const struct session *s, const char *keyword);
/* The inner server's list as a logged-in client may see it. */
void session_capability_after(const struct session *s,
    const struct capability *inner, struct capability *out);
/* May this client send credentials now? */
bool session_may_login(const struct session *s);

/*
 * The reply to STARTTLS is written: when client_input() has returned, all
 * input is thrown away and hands are shaken.  Then client_reset().
 */
void session_starttls(struct session *s);

/*
 * s->login is filled (session_login_space()): find an inner server and run
 * server_start().  A server that fails before session_server_greeted() is
 * passed over for the next one.
 */
struct credentials *session_login_space(struct session *s); /* zeroed */
void session_login(struct session *s);
/* Both, with a copy of c. */
void session_begin_login(struct session *s, const struct credentials *c);
/*
 * Go on with an exchange: begin the login, or send the challenge ("+ ", the
 * same in IMAP and POP3).  *c is wiped.  NULL, or what is wrong, in words for
 * the client, and the protocol replies.
 */
const char *session_exchange(struct session *s, const struct exchange *e,
    enum exchange_result r, struct credentials *c);

/*
 * Logins that are decided on this machine, by Cyrus SASL: one exchange at a
 * time (a new one cancels the old).  Each call is answered by sasl_reply(),
 * maybe before it returns; the caller wipes what it gave.  Octets are without
 * base64; initial is TEXT_NONE where there is no initial response, and has a
 * p that is not NULL where it is empty.
 */
void session_sasl_start(
    struct session *s, struct text mechanism, struct text initial);
void session_sasl_step(struct session *s, struct text data);
void session_sasl_check(
    struct session *s, struct text name, struct text password);
void session_sasl_cancel(struct session *s); /* no answer comes any more */
/* The mechanisms' names, parted by blanks; "": none, or not known yet. */
const char *session_mechanisms(const struct session *s);

void session_server_greeted(struct session *s); /* no other is tried */

/*
 * Take the next line of the inner server into dst; *line views it there,
 * without its CRLF.  False: it is not there yet, or it is no line or one too
 * many, and that was the server's end.
 */
#define SESSION_SERVER_LINE_MAX 8192 /* RFC 7162 4 */
bool session_server_line(struct session *s,
    char dst[static SESSION_SERVER_LINE_MAX], struct text *line);
/*
 * The inner server's list is known, in which starttls would be the word for
 * TLS.  What is to be said to it next?  SESSION_SAY_LOGIN: s->login has the
 * names as inner servers know them, and no other server will be tried.
 */
enum session_say {
	SESSION_SAY_NOTHING, /* the login has failed */
	SESSION_SAY_STARTTLS,
	SESSION_SAY_LOGOUT, /* the lesson is over */
	SESSION_SAY_LOGIN
};
enum session_say session_server_known(
    struct session *s, const struct capability *list, const char *starttls);
/* It said yes to TLS: shake hands, unless more came in clear behind that. */
void session_server_starttls(struct session *s);

/*
 * The login's end.  session_login_ok(): the reply to the client has been
 * written; what the client sent behind its login, then what waits in
 * s->server.in, goes across, and all that follows.  session_login_failed():
 * the inner connection is closed; login_failed() is called, at once or after
 * the delay; reason is static text for the log, NULL: the usual.
 * Not for lessons.
 */
void session_login_ok(struct session *s);
void session_login_failed(
    struct session *s, enum login_failure why, const char *reason);
/*
 * The same, with what the inner server answered: a code (static; NULL: none)
 * and a text, which the client gets to see as text_for_people() has it.
 */
void session_login_answered(struct session *s, enum login_failure why,
    const char *reason, const char *code, struct text text);
#define SESSION_TEXT_MAX 256 /* octets of such a text */

/*
 * Protocols that go on with both dialogues after the login, SMTP that is.
 * session_mail(): the client has logged in as s->user.
 *
 * session_mail_connect(): find an inner server and run server_start();
 * s->login is NULL.  session_mail_next(): the one that was found is not fit;
 * find one that was not tried since.  The protocol says session_mail_ready()
 * when the server is fit, or session_server_failed(); login_failed() tells
 * that none was to be had.
 *
 * session_submit(): may the user do this, by the broker's rules?  The answer
 * is submit_reply()'s, no command is taken before it, and sender is borrowed
 * until then.  The inner server must not owe an answer.
 *
 * session_message(): the client's octets go to message(), or are lines again.
 * session_await(): the inner server owes an answer and has so many seconds
 * (0: it owes none any more).  Until then it is the one whose silence counts,
 * and a client that has said all it has to say is not left.
 */
void session_mail(struct session *s);
void session_mail_connect(struct session *s);
void session_mail_next(struct session *s);
void session_mail_ready(struct session *s);
void session_submit(
    struct session *s, enum submit_what what, struct text sender);
void session_message(struct session *s, bool on);
void session_await(struct session *s, unsigned int seconds);
/* The inner connection is not wanted any more: closed without a word. */
void session_mail_disconnect(struct session *s);

/* The inner server broke its protocol or went away in mid-login. */
void session_server_failed(struct session *s, const char *reason);
/* It said what is no response at all, or not the one that is due. */
void session_server_garbage(struct session *s);

/* Why a login failed, in words: the inner server's, or the usual ones. */
const char *session_failure_text(
    const struct session *s, enum login_failure why);
/* A login's success in words: the administrator's, the server's, or ours. */
const char *session_ok_line(const struct session *s, const char *inner);

/*
 * Take the next line of the client; *line views it without its CRLF, and the
 * caller consumes line->len + 2 octets of s->client.in.  False: it is not
 * there yet, or it is none within max octets (CRLF included), and that was
 * the session's end.
 */
bool session_client_line(struct session *s, size_t max, struct text *line);

/*
 * A lesson's result: the inner server's list (NULL: it could not be had);
 * the session ends.  In a login, session_learned() tells the broker when the
 * server's list is not what it was, and the login goes on.
 */
bool session_is_lesson(const struct session *s);
void session_learned(struct session *s, const struct capability *list);

/*
 * Relays may stand in a row, and by mistake in a ring.  What came with the
 * client says that this login may pass so many more, us included (what Dovecot
 * calls x-proxy-ttl).  It is believed of anybody, since it counts only where
 * it is less than what we have; with none left the login fails.
 */
#define SESSION_HOPS 5 /* as in Dovecot */
void session_limit_hops(struct session *s, uint64_t hops);

/* End after what was written has gone out.  reason: static, for the log. */
void session_close(struct session *s, const char *reason);

/* For the worker: */

/* fd is a client's, between peer and local.  NULL: it ended at once. */
struct session *session_new(struct worker *w, int fd,
    const struct conf_listen *l, const struct addr *peer,
    const struct addr *local, uint32_t number);
/*
 * There is no place for it: it is told so, and it ends.  NULL: at once.  Else
 * a moment later, with worker_forget(); it is unplaced meanwhile.
 */
struct session *session_refuse(struct worker *w, int fd,
    const struct conf_listen *l, const struct addr *peer,
    const struct addr *local);
/* The same for one that has just lost its place (s->unplaced). */
void session_give_way(struct session *s);
/* Its descriptor is needed: whatever was to be said. */
void session_abandon(struct session *s);
void session_admitted(struct session *s, enum admit_verdict v);
void session_connected(struct session *s, int fd, uint16_t server,
    uint32_t failure_delay_ms); /* fd -1: no inner server to be had */
/* The login is not to be tried, and the client hears so after the delay. */
void session_turned_away(struct session *s, uint32_t failure_delay_ms);
/* ch NULL: all are taken. */
void session_auth_granted(
    struct session *s, struct sasl_channel *ch, uint32_t exchange);
void session_submit_answered(struct session *s, enum submit_verdict v);
void session_list_known(struct session *s); /* or given up waiting for */
/* Ask an inner server (fd is taken over) for its list.  NULL: it is over. */
struct session *session_new_lesson(struct worker *w, int fd, uint16_t server);
/* A broker has come: ask again what the old one did not answer. */
void session_broker_back(struct session *s);
void session_stop(struct session *s); /* say goodbye, end */
/*
 * The same at an administrator's word, and a moment later session_cut(): what
 * is left of it ends, unless session_is_owed(): the inner server has a whole
 * message of it, and owes the word that is the client's.
 */
void session_kick(struct session *s);
void session_cut(struct session *s);
bool session_is_owed(const struct session *s);

#endif
