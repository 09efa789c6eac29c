/* SPDX-License-Identifier: ISC */
/*
 * msg: the messages between the processes of one daemon: one struct, one put
 * and one get for each, and one table that says who may send what to whom.
 *
 * On the wire (a SOCK_SEQPACKET socket, so the kernel keeps the frames) a
 * message is its type (16 bits), a request number (32 bits), then the fields
 * in the order of the struct.  Integers are in network order; text is a
 * length (32 bits) and the octets.  This is the trust boundary: each get
 * checks every length and range, and that nothing is left over.
 */
#ifndef MSG_H
#define MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "text.h"
#include "unzeroed.h"

enum role {
	ROLE_MASTER,
	ROLE_KEEPER,
	ROLE_BROKER,
	ROLE_WORKER,
	ROLE_AUTHENTICATOR,
	ROLE_NURSERY, /* of workers that serve one client each */
	ROLE_METRICS, /* tells what all have counted */
	ROLE_CONTROL, /* and whoever asks at its socket */
	ROLE_MAX
};

const char *role_name(enum role role); /* "keeper" */

enum msg_type {
	MSG_READY = 1,  /* role to master: confined and serving */
	MSG_LOG,        /* role to master: a line for the log */
	MSG_EVENT,      /* worker to master: an event in a session's life */
	MSG_ACCUSE,     /* broker, keeper to master: end this process */
	MSG_BUSY,       /* worker to master: it has its one client */
	MSG_STOP,       /* master to role: end */
	MSG_PEER,       /* master to role: a new channel (descriptor) */
	MSG_TICKET_KEY, /* master to worker: the keys of the hour */
	MSG_ADMIT,      /* worker to broker: a client (descriptor) */
	MSG_ADMIT_REPLY,
	MSG_RELEASE,        /* worker to broker: that client is gone */
	MSG_HELD,           /* worker to a new broker: whom I still serve */
	MSG_CONNECT,        /* worker to broker: an inner server, please */
	MSG_CONNECT_REPLY,  /* (descriptor when it went well) */
	MSG_OUTCOME,        /* worker to broker: of a login */
	MSG_LEARN,          /* broker to worker: ask this server (descriptor) */
	MSG_CAPABILITY,     /* worker to broker: one server's list */
	MSG_CAPABILITY_SET, /* broker to worker: what all servers can do */
	MSG_SIGN,           /* worker to keeper */
	MSG_SIGN_REPLY,
	MSG_AUTH,       /* worker to broker: an authenticator, please */
	MSG_AUTH_REPLY, /* (descriptor of a channel, if it is the first) */
	MSG_SUBMIT,     /* worker to broker: may this user send this? */
	MSG_SUBMIT_REPLY,
	MSG_POOL,       /* broker to master: so many authenticators, please */
	MSG_SASL_MECHS, /* authenticator to broker, broker to workers */
	MSG_EXCHANGE,   /* broker to authenticator (descriptor, likewise) */
	MSG_STEP,       /* authenticator to broker: how an exchange goes */
	MSG_BROKEN,     /* authenticator to broker: a worker broke a rule */
	/* between worker and authenticator; their id is the exchange */
	MSG_SASL_START,
	MSG_SASL_STEP,
	MSG_SASL_CHECK,
	MSG_SASL_CANCEL, /* it has no fields */
	MSG_SASL_REPLY,
	/* worker to master: as MSG_EVENT, in a protocol's own form */
	MSG_RECORD,
	MSG_ALIVE,       /* master to role: are you? */
	MSG_ALIVE_REPLY, /* role to master: yes */
	/* several others, as texts, that travel together: see ipc.h */
	MSG_MANY,
	MSG_DRAIN,     /* master to role: a new generation serves */
	MSG_SETTLED,   /* an old worker: nobody here has still to log in */
	MSG_BIRTH,     /* master to nursery: a worker, please (its channel) */
	MSG_BORN,      /* nursery to master: it is there */
	MSG_LOGGED_IN, /* worker to master: its one client (MSG_BUSY) is */
	MSG_STATS,     /* master to metrics: what a process counts on */
	/* for these see msg_control.h */
	MSG_ASK,           /* whoever asks to control */
	MSG_ANSWER,        /* the answer's text */
	MSG_ANSWER_END,    /* that was it */
	MSG_ROLL,          /* control to master: which processes are there? */
	MSG_PROCESS,       /* one of them */
	MSG_ROLL_END,      /* that was it, or go on from here */
	MSG_SERVERS,       /* control to broker: how are the inner servers? */
	MSG_SERVERS_REPLY, /* so */
	MSG_LIST,          /* control to worker: your sessions, please */
	MSG_SESSION,       /* one of them */
	MSG_LIST_END,      /* that was it, or go on from here */
	MSG_KICK,          /* control to worker: end this user's sessions */
	MSG_KICK_REPLY,    /* so many were there */
	/* certificates that come or are renewed while we serve */
	MSG_PAIRS,        /* master to keeper: look at these (descriptor) */
	MSG_PAIR,         /* keeper to master: what it thinks of one */
	MSG_PAIRS_REPLY,  /* keeper to master: that was all of them */
	MSG_PAIR_DROP,    /* master to keeper: forget this key */
	MSG_CERTIFICATES, /* master to worker, nursery: serve these, too */
	MSG_HANDSHAKES,   /* worker to broker: of a client with TLS */
	MSG_EXPIRIES, /* master to metrics, control: how long all are good */
	MSG_TOTALS,   /* master to control: see msg_control.h */
	MSG_GIVE_WAY, /* master to worker: if your client has no login */
	MSG_TYPES
};

/*
 * After an upgrade the new program's master goes on with the old program's
 * roles.  Another number whenever a message between a role and the master has
 * changed; then it understands no more of what they say than MSG_LOG.  The
 * numbers of that, MSG_STOP, MSG_MANY and MSG_DRAIN stay what they are.
 */
#define MSG_VERSION 4

#define MSG_HEADER 6 /* octets: type and request number */
/* Octets of a whole message: that of MSG_SASL_MAX, and what is beside it. */
#define MSG_MAX 13312

/*
 * May from send type to to, with or without a descriptor, in a message of
 * len octets, header included?
 */
bool msg_allowed(
    unsigned int type, enum role from, enum role to, bool has_fd, size_t len);
const char *msg_name(unsigned int type); /* "sign"; "unknown" */

/*
 * Writing: a message under construction; failed once, it stays failed.
 * UNZEROED, where many are sent.
 */
struct writer {
	char data[MSG_MAX];
	size_t len;
	bool failed; /* it did not fit */
};

void msg_start(struct writer *w, enum msg_type type, uint32_t id);
bool msg_is_many(struct text message);
void msg_set_id(struct writer *w, uint32_t id); /* another one */
void put_u8(struct writer *w, uint8_t v);
void put_u16(struct writer *w, uint16_t v);
void put_u32(struct writer *w, uint32_t v);
void put_u64(struct writer *w, uint64_t v);
void put_text(struct writer *w, struct text t);
void put_addr(struct writer *w, const struct addr *a);

/* Reading: each get takes from the front; -1 when it is not there. */
struct reader {
	const char *p;
	size_t left;
};

int get_u8(struct reader *r, uint8_t *v);
int get_u16(struct reader *r, uint16_t *v);
int get_u32(struct reader *r, uint32_t *v);
int get_u64(struct reader *r, uint64_t *v);
int get_bool(struct reader *r, uint8_t *v); /* 0 or 1, nothing else */
int get_enum(struct reader *r, unsigned int end, uint8_t *v); /* below end */
int get_text(struct reader *r, size_t max, struct text *t);   /* borrowed */
int get_addr(struct reader *r, struct addr *a);
int get_end(struct reader *r); /* -1: something is left over */

/* MSG_READY.  missing: enum sandbox_missing and enum ready_missing. */
struct msg_ready {
	uint32_t missing;
};

/* MSG_LOG: the master escapes it again and stamps the sender's pid. */
struct msg_log {
	uint8_t priority; /* LOG_ERR to LOG_DEBUG */
	struct text text; /* at most MSG_LOG_MAX octets */
};
#define MSG_LOG_MAX 2048

/* MSG_EVENT: what the master makes into a line that Perdition's users know. */
enum event_type {
	EVENT_CONNECT,    /* Connect: */
	EVENT_AUTH,       /* Auth: ... status="ok" or "failed: REASON" */
	EVENT_CLOSE,      /* Closing session: */
	EVENT_CLOSE_NULL, /* Closing NULL session: ended before a login */
	EVENT_TYPES
};
enum event_secure { SECURE_PLAINTEXT, SECURE_STARTTLS, SECURE_SSL, SECURE_MAX };

struct msg_event {
	uint8_t type;          /* enum event_type */
	uint8_t client_secure; /* enum event_secure */
	uint8_t server_secure;
	uint8_t has_authz;
	struct addr client, local;
	struct text authz, authn; /* raw, from the client; the master escapes */
	uint16_t server;          /* number of the inner server; 0xffff: none */
	struct text status; /* "ok", "failed: ...", or why the session ended */
	uint64_t received, sent;
	uint32_t seconds;
};
#define MSG_NAME_MAX 1024 /* octets of a user name in an event */
#define MSG_STATUS_MAX 256
#define MSG_NO_SERVER 0xffff

/*
 * MSG_RECORD: what a protocol with a log of its own makes into a line
 * (protocol.format_record): its type, and what that type has.
 */
#define MSG_RECORD_TEXTS 10
#define MSG_RECORD_TEXT_MAX 600 /* octets of each */
#define MSG_RECORD_NUMBERS 40
struct msg_record {
	uint8_t type;
	uint8_t ntexts, nnumbers;
	struct addr client, server;
	struct text texts[MSG_RECORD_TEXTS];
	uint64_t numbers[MSG_RECORD_NUMBERS];
};

/* MSG_PEER: a channel to the process with this role. */
struct msg_peer {
	uint8_t role;    /* enum role */
	uint16_t number; /* its place: 0 to workers - 1 */
	uint32_t serial; /* never the same twice in a master's life */
};

/* MSG_TICKET_KEY: the current key, and the one before for decryption only. */
#define TICKET_KEY_LEN 64
struct msg_ticket_key {
	struct text current;  /* TICKET_KEY_LEN octets */
	struct text previous; /* TICKET_KEY_LEN octets or none */
};

/*
 * MSG_BIRTH: fork a worker for this place; the descriptor is its channel to
 * the master.  MSG_BORN: this is its process.
 */
struct msg_birth {
	uint16_t number; /* of the worker's place */
	uint32_t serial;
};
struct msg_born {
	uint16_t number;
	uint32_t serial;
	uint32_t pid; /* above 1, and a pid_t */
};

/*
 * MSG_STATS: the page (stats.h) of a role's process comes along, the master's
 * own with all that is kept among them.  It holds for whoever is in that place
 * later on.
 */
struct msg_stats {
	uint8_t role;
	uint8_t old; /* of an old generation */
};

/*
 * MSG_ACCUSE: this process is to be ended and replaced: a worker that broke a
 * rule, an authenticator that broke one or does not come back from a step.
 */
struct msg_accuse {
	uint8_t role; /* ROLE_WORKER, or from the broker ROLE_AUTHENTICATOR */
	uint16_t number;
	uint32_t serial;
};

/* MSG_ADMIT, MSG_RELEASE, MSG_CONNECT ...: the worker's number of a session. */
struct msg_admit {
	uint32_t session;
	uint8_t waits; /* the client: else the answer has time */
	/*
	 * Who the client is where a proxy's header told (family 0: nobody
	 * did); a worker has none of a peer that is not proxy_protocol_from.
	 */
	struct addr client;
};

enum admit_verdict {
	ADMIT_OK,
	ADMIT_TOO_MANY,
	ADMIT_TOO_MANY_ADDRESS,
	ADMIT_LOOP,      /* the client is this very daemon */
	ADMIT_GONE,      /* there is none any more */
	ADMIT_TOO_OFTEN, /* from this address, of late */
	ADMIT_VERDICTS
};
struct msg_admit_reply {
	uint32_t session;
	uint8_t verdict;  /* enum admit_verdict */
	struct text name; /* the client's host's, confirmed; else none */
};
#define MSG_PEER_NAME_MAX 253 /* RFC 1035 2.3.4, less the length octets */

struct msg_release {
	uint32_t session;
};

/* MSG_HANDSHAKES: of a session that is about to be released. */
struct msg_handshakes {
	uint32_t session;
	uint8_t n; /* TLS handshakes that were begun */
};

/* MSG_HELD: several messages; last is set in the last of them. */
#define MSG_HELD_MAX 1024
struct msg_held {
	uint8_t last;
	uint16_t n;
	struct text sessions; /* n numbers of 4 octets, network order */
};

/* MSG_CONNECT: tried has a bit for each server that failed this session. */
struct msg_connect {
	uint32_t session;
	uint64_t tried;
	struct text user; /* who logs in, as inner servers know him; or none */
};

struct msg_connect_reply {
	uint32_t session;
	uint8_t ok;                /* a descriptor comes along */
	uint8_t turned;            /* else: nobody is to be asked */
	uint16_t server;           /* its number in outgoing_server's order */
	uint32_t failure_delay_ms; /* for the answer to a refused login */
};

enum outcome {
	OUTCOME_OK,
	OUTCOME_REFUSED, /* the inner server does not know these credentials */
	OUTCOME_SERVER,  /* the inner server did not do its part */
	OUTCOMES
};
struct msg_outcome {
	uint32_t session;
	uint16_t server;
	uint8_t outcome;
	uint16_t proof; /* of a password that was refused; 0: none */
};

#define MSG_LIST_MAX 4096 /* octets of a capability list */

struct msg_learn {
	uint16_t server;
};

struct msg_capability {
	uint16_t server;
	uint8_t known;    /* 0: it could not be learned */
	struct text list; /* entries, each with LF (struct capability) */
};

struct msg_capability_set {
	uint8_t known;
	struct text list;
};

/*
 * MSG_SIGN: a TLS signature by one of the server's keys.  With content set,
 * data is what TLS 1.3 signs (RFC 8446 4.4.3) and the keeper hashes it after
 * looking at it; else data is a digest.
 */
struct msg_sign {
	uint16_t key;    /* which pair, in the configuration's order */
	uint16_t scheme; /* SignatureScheme, RFC 8446 4.2.3 */
	uint8_t content;
	struct text data; /* at most MSG_SIGN_MAX octets */
};
#define MSG_SIGN_MAX 256

struct msg_sign_reply {
	uint8_t ok;
	struct text signature; /* at most MSG_SIGNATURE_MAX octets */
};
#define MSG_SIGNATURE_MAX 1024 /* RSA of 8192 bits */

/*
 * MSG_AUTH: an exchange with an authenticator, to be used for one login.  For
 * a session that was admitted; while it has an exchange under way, the answer
 * waits for that one's end.
 */
struct msg_auth {
	uint32_t session;
};

struct msg_auth_reply {
	uint32_t session;
	uint8_t ok;        /* else all are taken */
	uint32_t exchange; /* the broker's number for it */
	uint32_t serial;   /* whose it is; a descriptor: the channel to it */
};

/*
 * MSG_SUBMIT: a user who has logged in begins a message, or names one more
 * recipient of it.
 */
enum submit_what { SUBMIT_MAIL, SUBMIT_RCPT, SUBMIT_WHATS };
struct msg_submit {
	uint32_t session;
	uint8_t what;       /* enum submit_what */
	struct text user;   /* at most MSG_NAME_MAX octets */
	struct text sender; /* of SUBMIT_MAIL; none: the null path */
};
#define MSG_SENDER_MAX 256 /* RFC 5321 4.5.3.1.3 */

enum submit_verdict {
	SUBMIT_OK,
	SUBMIT_NOT_OWNED,   /* the sender is somebody else's */
	SUBMIT_TOO_MANY,    /* within an hour, or the client's unit */
	SUBMIT_UNAVAILABLE, /* nobody can tell now */
	SUBMIT_VERDICTS
};
struct msg_submit_reply {
	uint32_t session;
	uint8_t verdict; /* enum submit_verdict */
};

/* MSG_POOL: authenticators 0 to wanted - 1 are to run, others to end. */
struct msg_pool {
	uint16_t wanted;
};

/*
 * MSG_SASL_MECHS: the mechanisms that clients may be told of, parted by
 * blanks.  The first that an authenticator says to its broker: it serves.
 */
struct msg_sasl_mechs {
	struct text list;
};
#define MSG_MECHS_MAX 1024

/* MSG_EXCHANGE: serve this worker once; a descriptor: the channel to it. */
struct msg_exchange {
	uint32_t exchange; /* the broker's number for it */
	uint16_t number;   /* the worker's */
	uint32_t serial;
	uint32_t failure_delay_ms; /* to hold the word of a failure back */
	struct addr client;        /* as the kernel told the broker */
	uint8_t strict;            /* strangers are to be turned away */
};

/*
 * MSG_STEP: in a step an authenticator hears nobody.  An exchange's first one
 * begins with the grant, and is told to begin only where another word went
 * before it.  With the exchange over, its client may have another.
 */
enum step {
	STEP_BEGINS,
	STEP_WAITS,   /* it is over, or has not begun: the client is to speak */
	STEP_REFUSED, /* it is over; the exchange is when the delay is */
	STEP_OK,      /* the exchange is over: the client is who he says */
	STEP_OVER,    /* the exchange is, and nothing follows from it */
	STEP_TURNED,  /* as STEP_REFUSED, but nobody was asked */
	STEPS
};
struct msg_step {
	uint32_t exchange;
	uint8_t step; /* enum step */
	/* of STEP_REFUSED, STEP_OK and STEP_TURNED, where it is known */
	struct text user;
	uint16_t proof; /* of STEP_REFUSED */
};

/* MSG_BROKEN: one that has a channel to this authenticator. */
struct msg_broken {
	uint16_t number;
	uint32_t serial;
};

/*
 * MSG_SASL_START, MSG_SASL_CHECK: the first message of an exchange.  A check
 * is of name and password alone; no mechanism is asked.
 */
#define MSG_SASL_MAX 12288   /* octets: RFC 4954 4, and as many again */
#define MSG_MECHANISM_MAX 20 /* RFC 4422 3.1 */
#define MSG_CREDENTIAL_MAX 1024

struct msg_sasl_start {
	struct addr local;   /* whom the client is connected to */
	uint16_t ssf;        /* strength of TLS in bits; 0: none */
	uint8_t has_initial; /* an initial response, which may be empty */
	struct text mechanism;
	struct text initial; /* without base64, at most MSG_SASL_MAX */
};

struct msg_sasl_check {
	struct addr local;
	uint16_t ssf;
	struct text name, password;
};

/* MSG_SASL_STEP: the client's answer to a challenge. */
struct msg_sasl_step {
	struct text data; /* at most MSG_SASL_MAX */
};

enum sasl_result {
	AUTH_CHALLENGE,    /* text: the challenge; MSG_SASL_STEP is next */
	AUTH_OK,           /* text: the user's name */
	AUTH_FAILED,       /* the credentials, whoever's fault it is */
	AUTH_UNAVAILABLE,  /* nobody can tell now */
	AUTH_BAD_PROTOCOL, /* what the client said means nothing */
	AUTH_NO_MECHANISM, /* none of that name here */
	AUTH_TURNED,       /* nobody was asked: too many failures */
	AUTH_RESULTS
};

/* MSG_SASL_REPLY: but for a challenge the exchange is over. */
struct msg_sasl_reply {
	uint8_t result;   /* enum sasl_result */
	struct text text; /* else none; at most MSG_SASL_MAX */
};

/*
 * MSG_PAIRS, MSG_CERTIFICATES: the descriptor is a sealed memfd, to be read
 * with handover_map(); it has so many octets.
 */
struct msg_pairs {
	uint32_t len;
};
struct msg_certificates {
	uint32_t len;
};

/* MSG_EXPIRIES: the same, to be read with expiry_read(); 0: there are none. */
struct msg_expiries {
	uint32_t len;
};

/*
 * MSG_PAIR: of a pair that the keeper was handed at its start or by
 * MSG_PAIRS.  MSG_PAIRS_REPLY, which ends them, has MSG_PAIRS's request
 * number, 0 at the start, and no fields.
 */
struct msg_pair {
	uint16_t number;
	uint8_t ok;                     /* it is in use; else it was let go */
	uint64_t not_before, not_after; /* seconds; 0: not known */
	struct text names;              /* those in it, for the log; or none */
	struct text why;                /* a clause about what is wrong */
	struct text chain;              /* if ok: certificates, in PEM */
};
#define MSG_PAIR_NAMES_MAX 200
#define MSG_PAIR_WHY_MAX 300
#define MSG_CHAIN_MAX 12288

struct msg_pair_drop {
	uint16_t number;
};

#define MSG_CODEC(name)                                                        \
	void msg_put_##name(struct writer *w, const struct msg_##name *m);     \
	int msg_get_##name(struct reader *r, struct msg_##name *m)

MSG_CODEC(ready);
MSG_CODEC(log);
MSG_CODEC(event);
MSG_CODEC(record);
MSG_CODEC(peer);
MSG_CODEC(birth);
MSG_CODEC(born);
MSG_CODEC(stats);
MSG_CODEC(accuse);
MSG_CODEC(ticket_key);
MSG_CODEC(admit);
MSG_CODEC(admit_reply);
MSG_CODEC(release);
MSG_CODEC(handshakes);
MSG_CODEC(held);
MSG_CODEC(connect);
MSG_CODEC(connect_reply);
MSG_CODEC(outcome);
MSG_CODEC(learn);
MSG_CODEC(capability);
MSG_CODEC(capability_set);
MSG_CODEC(sign);
MSG_CODEC(sign_reply);
MSG_CODEC(auth);
MSG_CODEC(auth_reply);
MSG_CODEC(submit);
MSG_CODEC(submit_reply);
MSG_CODEC(pool);
MSG_CODEC(sasl_mechs);
MSG_CODEC(exchange);
MSG_CODEC(step);
MSG_CODEC(broken);
MSG_CODEC(sasl_start);
MSG_CODEC(sasl_step);
MSG_CODEC(sasl_check);
MSG_CODEC(sasl_reply);
MSG_CODEC(pairs);
MSG_CODEC(certificates);
MSG_CODEC(expiries);
MSG_CODEC(pair);
MSG_CODEC(pair_drop);

#endif
