/* SPDX-License-Identifier: ISC */
/*
 * control_impl: what control.c (the socket and who asks there),
 * control_ask.c (one question, from the roll to the answer) and
 * control_member.c (the processes that are asked) know of each other.
 */
#ifndef CONTROL_IMPL_H
#define CONTROL_IMPL_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <event2/event_struct.h>

#include "control.h"
#include "control_text.h"
#include "msg_control.h"

struct control;

/* Who is connected to the socket; one question each. */
struct asker {
	TAILQ_ENTRY(asker) entry;
	struct control *control;
	struct ipc *ch;
	uid_t uid; /* as the kernel has it */
	pid_t pid;
	bool asked, answered;
	struct msg_ask ask; /* its user is user */
	char user[MSG_NAME_MAX + 1];
	struct event late; /* it has so long to ask, and to leave */
};

enum member_state {
	MEMBER_IDLE,  /* it is not to be asked */
	MEMBER_ASKED, /* it owes an answer */
	MEMBER_DUE,   /* there is more of it, to be asked for */
	MEMBER_DONE
};

/* A process of the roll. */
struct member {
	RB_ENTRY(member) entry;
	TAILQ_ENTRY(member) due;
	struct control *control;
	struct msg_process process;
	struct ipc *ch; /* NULL: none */
	uint32_t roll;  /* the last one that it was in */
	int64_t gone;   /* CLOCK_MONOTONIC ms: when ch ended; 0: not yet */
	enum member_state state;
	uint32_t next;     /* in its list */
	unsigned int rows; /* of the part that is under way */
	uint32_t sessions, logged_in;
};
RB_HEAD(members, member);

struct control {
	const struct role_start *start;
	struct event_base *base;
	struct ipc *master;
	struct control_admit admit;
	int listener;
	struct expiry_list certificates;
	struct event accept, again;
	TAILQ_HEAD(askers, asker) askers; /* in the order that they came */
	unsigned int naskers;

	/* The question that is being answered. */
	struct asker *current; /* NULL: none */
	uint32_t roll;         /* its number, in messages, too */
	struct msg_roll_end rolled;
	struct msg_totals totals;
	struct members members;
	TAILQ_HEAD(, member) due;
	unsigned int owing; /* members that are not done */
	struct msg_servers_reply servers;
	bool has_servers;
	struct msg_kick_reply kicked;
	char *similar[MSG_SIMILAR_MAX]; /* of kicked.similar */
	struct buf out;
	uint32_t rows;
	bool complete; /* the roll */
	struct event late;
	struct event poll;    /* the asker is slow to read */
	unsigned int stalled; /* times that was so in a row */
};

/* control.c */
void control_go_on(struct control *c); /* the next question, if any */
/* The answer is complete: complaint may be "". */
void asker_end(
    struct asker *a, enum control_status status, const char *complaint);
void asker_free(struct asker *a); /* its connection ends at once */

/* control_ask.c */
void ask_init(struct control *c);
void ask_begin(struct control *c, struct asker *a);
void ask_abort(struct control *c); /* whoever asked has gone */
int ask_roll_end(struct control *c, uint32_t id, struct reader *r);
/* A member's answer has come, or it has gone. */
int ask_session(struct member *m, const struct msg_session *s); /* -1: wrong */
void ask_listed(struct member *m, const struct msg_list_end *e);
void ask_kicked(struct member *m, const struct msg_kick_reply *k);
void ask_servers(struct member *m, const struct msg_servers_reply *s);
void ask_member_gone(struct member *m);

/* control_member.c */
RB_PROTOTYPE(members, member, entry, member_compare)
/* MSG_PEER; fd is taken over. */
int member_introduce(struct control *c, struct reader *r, int fd);
int member_told(struct control *c, struct reader *r); /* MSG_PROCESS */
/* Those that are not in this roll any more. */
void members_forget_others(struct control *c);
void member_ask_list(struct member *m, bool rows);
void member_ask_kick(struct member *m, const struct asker *a);
void member_ask_servers(struct member *m);

#endif
