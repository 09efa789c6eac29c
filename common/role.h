/* SPDX-License-Identifier: ISC */
/*
 * role: how every role but the master begins: what it inherited, confinement,
 * the channel to the master, and its word that it is ready.
 */
#ifndef ROLE_H
#define ROLE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf.h"
#include "handover.h"
#include "ipc.h"
#include "msg.h"
#include "sandbox.h"

struct protocol;

/* Descriptors that child_spawn() lays out. */
enum { ROLE_FD_MASTER = 3, ROLE_FD_HANDOVER, ROLE_FD_STATS, ROLE_FD_FIRST };

struct role_start {
	enum role role;
	unsigned int number; /* its place: worker 2 is number 2 */
	uint32_t serial;
	const struct protocol *protocol;
	struct conf *conf; /* what this role may know */
	struct handover *handover;
	struct event_base *base;
	pid_t master;
	bool born;         /* in a nursery, not by exec: role_born() */
	unsigned int nfds; /* further descriptors from ROLE_FD_FIRST on */
};

/* argv of a role: parsed by main() before anything else. */
#define ROLE_ARG "--role"
#define ROLE_ARGC 7
int role_is_asked(int argc, char *const argv[]);

/* Read what was inherited and run that role's main; never returns. */
_Noreturn void role_run(const struct protocol *p, int argc, char *argv[]);

/* A base for one process's loop: no locks, nothing from the environment. */
struct event_base *role_event_base(void);

/* End this process, and leave its memory to the kernel to tidy up. */
_Noreturn void role_end(void);

/*
 * Tell the master that this process (a worker; from the broker, an
 * authenticator) broke a rule or hangs; it will be replaced.
 */
void role_accuse(enum role role, uint16_t number, uint32_t serial);

/*
 * In a child of the nursery that start describes: be worker number from now
 * on, with fd as the channel to the master, and a loop of our own.  Nothing is
 * heard or said any more on the nursery's channel.
 */
void role_born(
    struct role_start *start, unsigned int number, uint32_t serial, int fd);

/*
 * Confine this process (priv, sandbox; of one that was born in a nursery, what
 * it has not inherited: box has its filter then), have handler hear what the
 * master says and send MSG_READY.  The channel to the master is there, and the
 * log goes through it, before a role's main is called; what comes in waits for
 * handler.  When the master is gone, the process ends.  What was handed over
 * is closed.
 */
struct ipc *role_confine(const struct role_start *start,
    const struct sandbox *box, unsigned int files, ipc_handler *handler,
    void *arg);

#endif
