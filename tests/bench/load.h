/* SPDX-License-Identifier: ISC */
/* What the parts of the load generator share: its options and a session. */
#ifndef LOAD_H
#define LOAD_H

#include <sys/queue.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "load_tally.h"

enum load_mode {
	LOAD_LOGIN,
	LOAD_RESUME, /* with the ticket of the login before */
	LOAD_FETCH,
	LOAD_SEND,
	LOAD_IDLE, /* sessions that stay, then some probed */
	LOAD_STORM /* connections that say nothing, then honest logins */
};

enum load_proto { LOAD_IMAP, LOAD_POP3, LOAD_SMTP };

struct load_options {
	enum load_mode mode;
	enum load_proto proto;
	struct sockaddr_in to;
	int sessions;    /* in all; held or silent in idle and storm */
	int at_once;     /* sessions under way */
	int messages;    /* in a session */
	int probes;      /* idle: sessions probed; storm: honest logins */
	int sources;     /* addresses, from 127.0.0.2 on */
	uint64_t size;   /* of a message, in octets */
	double duration; /* seconds; no session begins after that */
	double timeout;  /* seconds that a session may take */
	bool tls12;      /* else 1.3 */
	bool plain;      /* no TLS at all */
	bool storm_tls;  /* silent ones are silent behind the handshake */
	const char *user, *password;
};

/* Ends the program with a word about use where they are wrong. */
void load_options(struct load_options *o, int argc, char **argv);

enum load_state {
	LOAD_FREE,
	LOAD_CONNECT,
	LOAD_HANDSHAKE,
	LOAD_GREETING,
	LOAD_EHLO,
	LOAD_USER,
	LOAD_AUTH,
	LOAD_SELECT,
	LOAD_FETCHING,
	LOAD_APPEND,
	LOAD_MAIL,
	LOAD_RCPT,
	LOAD_DATA,
	LOAD_SENT,
	LOAD_SETTLE, /* the last command before it is held */
	LOAD_HELD,
	LOAD_PROBE,
	LOAD_QUIT,
	LOAD_SILENT,
	LOAD_DONE
};

struct load;

struct session {
	struct load *load;
	STAILQ_ENTRY(session) entry; /* of those that are free */
	enum load_state state;
	bool silent;
	int fd;
	SSL *ssl;
	SSL_SESSION *ticket; /* kept from one session here to the next */
	double begin;
	char line[1024];
	size_t line_len;
	bool in_body;                /* POP3: the dot is due behind the body */
	uint64_t body_left, body_at; /* of the message that comes */
	char out[1024];
	size_t out_len;
	uint64_t bulk_left, bulk_at; /* of the message that goes, behind out */
	const char *tail;            /* goes behind that */
	int messages_left;
};

struct load {
	struct load_options o;
	SSL_CTX *ctx;
	int epoll;
	int nslots;
	struct session *slots;
	STAILQ_HEAD(, session) free;
	int busy; /* sessions that somebody waits for */
	unsigned int source;
	struct tally tally;
};

#endif
