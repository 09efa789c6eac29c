/* SPDX-License-Identifier: ISC */
/*
 * command: which of a protocol's commands a client says before its login, and
 * whether it may.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "session.h"

enum command_when {
	COMMAND_ALWAYS,
	COMMAND_BEFORE_TLS, /* where TLS is offered and not there yet */
	COMMAND_MAY_LOGIN   /* session_may_login() */
};

enum command_args {
	COMMAND_NO_ARGS,
	COMMAND_ARGS,
	COMMAND_LITERALS /* IMAP: may have some, so they are invited */
};

struct command {
	const char *verb;
	enum command_when when; /* else it is refused, whatever it says */
	enum command_args args;
	/* args: what stands behind the verb, as the protocol has it. */
	void (*run)(struct session *s, struct text args);
};

enum command_fault {
	COMMAND_GOOD,
	COMMAND_UNKNOWN,
	COMMAND_ARGS_UNWANTED,
	COMMAND_TLS_ACTIVE,
	COMMAND_NO_STARTTLS,
	COMMAND_LOGINS_DISABLED,
	COMMAND_TLS_FIRST
};

/*
 * Look up verb in a table of n.  *c is the command, if there is such a one,
 * whether it is good now or not.
 */
enum command_fault command_find(const struct session *s,
    const struct command *table, size_t n, struct text verb,
    const struct command **c);

/* The fault in words for the client. */
const char *command_fault_text(enum command_fault fault);

#endif
