/* SPDX-License-Identifier: ISC */
/*
 * control_text: the answers of the control socket: tables of 80 columns for
 * people, JSON for programs.  No I/O; all that is appended is printable ASCII
 * and line ends, whatever names clients chose.
 */
#ifndef CONTROL_TEXT_H
#define CONTROL_TEXT_H

#include <sys/types.h>
#include <time.h>

#include "buf.h"
#include "expiry.h"
#include "msg_control.h"

/* Octets that one call below appends at most. */
#define CONTROL_TEXT_MAX 32768

struct control_status_head {
	const struct conf *conf;
	const char *daemon; /* "imapsd" */
	pid_t master;
	uint32_t uptime, generation;
	uint32_t sessions, logged_in, limit, workers;
	/* NULL: the broker has not answered */
	const struct msg_servers_reply *servers;
};

/* A process in --status; its sessions, or CONTROL_NO_SESSIONS. */
struct control_process {
	struct msg_process m;
	uint32_t sessions;
	bool silent; /* it was asked, and has not answered */
};
#define CONTROL_NO_SESSIONS UINT32_MAX

/* Workers of one kind, where there are too many for a row each. */
struct control_group {
	uint32_t generation;
	uint8_t state; /* enum process_state */
	bool silent;
	uint32_t workers, sessions;
};

/* A session, and the worker that tells of it. */
struct control_session {
	const struct msg_session *m;
	const struct msg_process *worker;
	time_t now; /* the time of day */
};

/*
 * --status: the head, certificates, totals, a line for each process, the end.
 * Where the table is not to have all certificates, left are, and the one that
 * ends first of them is next.
 */
void control_put_status(
    struct buf *b, const struct control_status_head *h, bool json);
void control_put_certificate(
    struct buf *b, const struct expiry *e, time_t now, bool json, bool first);
void control_put_more_certificates(
    struct buf *b, size_t left, const struct expiry *next);
void control_put_totals(
    struct buf *b, const struct msg_totals *m, bool smtp, bool json);
void control_put_process(
    struct buf *b, const struct control_process *p, bool json, bool first);
/* In the table alone. */
void control_put_group(struct buf *b, const struct control_group *g);
void control_put_status_end(struct buf *b, bool json);

/* --sessions */
void control_put_sessions(struct buf *b, const char *daemon, bool json);
void control_put_session(
    struct buf *b, const struct control_session *s, bool json, bool first);
/* silent: how many processes have not told all; total: of sessions. */
void control_put_sessions_end(
    struct buf *b, uint32_t total, unsigned int silent, bool json);

/* --kick */
void control_put_kick(struct buf *b, const char *daemon, struct text user,
    const struct msg_kick_reply *k, unsigned int silent, bool json);

#endif
