/* SPDX-License-Identifier: ISC */
/* What the parts of the inner server share. */
#ifndef SINK_H
#define SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink_conn;

struct sink_protocol {
	const char *greeting;
	/* One command, without its line end. */
	void (*line)(struct sink_conn *, char *);
	/* Input while in_bulk; returns how much of it was taken. */
	size_t (*bulk)(struct sink_conn *, const char *, size_t);
};

extern const struct sink_protocol sink_imap, sink_pop3, sink_smtp;

struct sink_stats {
	uint64_t logins, messages;
	uint64_t bytes; /* of messages taken: the text alone */
	uint64_t bad;   /* messages taken that are not the text */
};

extern struct sink_stats sink_stats;

struct sink_conn {
	int fd;
	const struct sink_protocol *protocol;
	bool listener, closing, writing;
	char line[2048];
	size_t line_len;
	char out[2048];
	size_t out_len;
	uint64_t bulk_left, bulk_at; /* of a message that goes, behind out */
	char tail[128];              /* goes behind that */
	bool in_bulk, in_message;
	uint64_t literal; /* IMAP: octets still to come */
	uint64_t got;     /* octets of the message that comes */
	bool spoilt;      /* they are not the text */
	int login_steps;
	char tag[64]; /* IMAP: of the command that goes on */
};

/* Puts a reply into out; one that has no room ends the connection. */
__attribute__((format(printf, 2, 3))) void sink_say(
    struct sink_conn *c, const char *format, ...);

/* A message of so many KiB goes behind out, and then the tail. */
void sink_send(struct sink_conn *c, uint64_t kib, const char *tail);

/* A message that comes: it begins, a piece of it, it is all there. */
void sink_message(struct sink_conn *c);
void sink_piece(struct sink_conn *c, const char *p, size_t n);
void sink_message_end(struct sink_conn *c);

/* Whether a command begins with this word. */
bool sink_is(const char *command, const char *word);

#endif
