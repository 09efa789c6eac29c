/* SPDX-License-Identifier: ISC */
/*
 * msg_control: the messages of the control socket: between whoever asks
 * (imapsd --status) and the role control, and between that and the master,
 * the broker and the workers.  See msg.h for their form.
 */
#ifndef MSG_CONTROL_H
#define MSG_CONTROL_H

#include "conf.h"
#include "msg.h"
#include "totals.h"

/*
 * MSG_ASK: one of these, once for each connection.  Another number whenever
 * this message or one of the two answers has changed.
 */
#define ASK_VERSION 1
enum ask { ASK_STATUS, ASK_SESSIONS, ASK_KICK, ASKS };
struct msg_ask {
	uint16_t version; /* ASK_VERSION of who asks */
	uint8_t what;     /* enum ask */
	uint8_t json;
	struct text user; /* of ASK_KICK: at most MSG_NAME_MAX octets */
};

/* MSG_ANSWER: printable ASCII and line ends, for stdout. */
struct msg_answer {
	struct text text;
};
#define MSG_ANSWER_MAX 12288

/* MSG_ANSWER_END: and a line for stderr, if there is one. */
struct msg_answer_end {
	uint8_t status; /* enum control_status */
	struct text complaint;
};
#define MSG_COMPLAINT_MAX 1024

/* Exit statuses of who asks. */
enum control_status {
	CONTROL_GOOD,
	CONTROL_NOBODY,      /* --kick: this user has no session */
	CONTROL_FAILED,      /* no answer, or not of all processes */
	CONTROL_NOT_RUNNING, /* as systemctl(1) has it */
	CONTROL_NOT_ALLOWED,
	CONTROL_STATUSES
};

/*
 * MSG_ROLL: which processes are there?  Those whose serial is above after, a
 * few at a time, in this order; with those that can be asked a channel comes
 * before, unless it has come earlier.
 */
struct msg_roll {
	uint32_t after;
};

enum process_state {
	PROCESS_STARTS,
	PROCESS_SERVES,
	PROCESS_WAITS,  /* for its one client */
	PROCESS_DRAINS, /* of an old generation */
	PROCESS_ENDS,   /* it is to be replaced */
	PROCESS_STATES
};

/* MSG_PROCESS */
struct msg_process {
	uint8_t role;
	uint16_t number;
	uint32_t serial;
	uint32_t pid;        /* 0: it is not known yet */
	uint32_t generation; /* 1 at the daemon's start */
	uint8_t state;       /* enum process_state */
	uint8_t reachable;   /* there is a channel to it */
	uint32_t age;        /* seconds, or of an old one since the reload */
	uint32_t restarts;   /* bad ends in its place so far */
};

/* MSG_ROLL_END */
struct msg_roll_end {
	uint8_t more;        /* ask again from the last one on */
	uint32_t last;       /* its serial */
	uint32_t generation; /* that serves */
	uint32_t uptime;     /* seconds */
};

/* MSG_TOTALS: before the MSG_ROLL_END that has no more. */
struct msg_totals {
	uint64_t n[TOTALS];
};

/* MSG_SERVERS has no fields.  MSG_SERVERS_REPLY: in outgoing_server's order. */
struct msg_servers_reply {
	uint8_t n;
	struct {
		uint32_t failures; /* in a row; 0: it is up */
		uint32_t alone;    /* seconds until it is tried again */
	} servers[CONF_SERVERS_MAX];
};

/*
 * MSG_LIST: your sessions from this place on, a few at a time (MSG_SESSION);
 * rows 0: count them.
 */
struct msg_list {
	uint32_t from;
	uint8_t rows;
};

/* MSG_LIST_END */
struct msg_list_end {
	uint32_t next; /* to go on from; MSG_LIST_ALL: that was it */
	uint32_t sessions, logged_in; /* that there are */
};
#define MSG_LIST_ALL UINT32_MAX
#define MSG_LIST_ROWS 64       /* in a part */
#define MSG_LIST_PLACES 100000 /* worker_connections' maximum */

enum session_stage {
	STAGE_LOGIN, /* until a login has succeeded */
	STAGE_RELAY, /* after it */
	STAGE_CLOSING,
	STAGES
};

/* MSG_SESSION */
struct msg_session {
	uint8_t stage;         /* enum session_stage */
	uint8_t client_secure; /* enum event_secure */
	uint8_t server_secure;
	struct addr client;
	struct text user;        /* raw; none before the login */
	struct text server;      /* host:port; none: it has none */
	struct text tls, cipher; /* of the client's side; none: plaintext */
	uint64_t received, sent; /* octets from and to the client */
	uint32_t seconds;        /* since it connected */
};
#define MSG_SERVER_NAME_MAX 300
#define MSG_TLS_MAX 64

/* MSG_KICK: end this user's sessions. */
struct msg_kick {
	uint32_t uid; /* who wants it, for the log */
	struct text user;
};

#define MSG_SIMILAR_MAX 4 /* names: nobody reads more */

/* MSG_KICK_REPLY: how many; they are gone within a second. */
struct msg_kick_reply {
	uint32_t ended;
	/* of these: the inner server has the message and owes its word */
	uint32_t owed;
	uint32_t unknown; /* in a login, of whom nobody can tell yet */
	/* Who has sessions and differs in case only, where nothing ended. */
	struct text similar[MSG_SIMILAR_MAX];
	uint8_t nsimilar;
};

MSG_CODEC(ask);
MSG_CODEC(answer);
MSG_CODEC(answer_end);
MSG_CODEC(roll);
MSG_CODEC(process);
MSG_CODEC(roll_end);
MSG_CODEC(totals);
MSG_CODEC(servers_reply);
MSG_CODEC(list);
MSG_CODEC(list_end);
MSG_CODEC(session);
MSG_CODEC(kick);
MSG_CODEC(kick_reply);

#endif
