/* SPDX-License-Identifier: ISC */
/*
 * reload_state: what a master hands to the image that it executes in its own
 * place, in one sealed memfd: what is open, which processes there are, and
 * the keys of session tickets.  The memfd's number is in an environment
 * variable, which the new image takes away at once.
 *
 * The same is given to the child that checks the new configuration with the
 * new program beforehand, so that a program that cannot take over says so
 * while there is one that can go on.
 */
#ifndef RELOAD_STATE_H
#define RELOAD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "inherit.h"
#include "log.h"
#include "msg.h"

#define RELOAD_VARIABLE "RELAIS_RELOAD"
/* Another number for another layout: a program reads its own and no other. */
#define RELOAD_FORMAT 1
/* What a check child says with its exit status: good, and I could take over. */
#define RELOAD_YES 10

struct reload_listener {
	int fd;
	struct addr addr;
	char name[INHERIT_NAME_MAX]; /* that it was inherited by, or "" */
};

/* An old generation: its processes are those roles that have its number. */
struct reload_crew {
	uint32_t generation;
	uint32_t messages; /* MSG_VERSION of its program */
	uint64_t until;    /* CLOCK_MONOTONIC seconds; 0: it is not hurried */
	int counters;      /* memfd of its broker's book */
	char *conf;        /* conf_write_role() for its workers */
};

struct reload_role {
	uint32_t generation;
	uint8_t role; /* enum role */
	uint16_t number;
	uint32_t serial;
	pid_t pid;
	int fd; /* the channel; -1: it is closed already */
};

/* A page that processes count on (stats.h); the master's own, role 0. */
struct reload_stats {
	uint32_t generation;
	uint8_t role;
	uint16_t number;
	int fd;
};

struct reload_state {
	pid_t pid;           /* the master's */
	char *version;       /* of the program that writes this */
	uint32_t generation; /* the newest so far */
	uint32_t serial;     /* the last one given */
	uint8_t background;  /* it let go of its terminal */
	uint8_t again;       /* one more reload was asked for */
	uint8_t inherited;   /* the listeners were, from who started it */
	char *folder;        /* where it was started */
	char *log_target, *log_ident;
	uint32_t log_level;
	char *pid_path; /* NULL: none */
	int pid_fd;
	int users;      /* the ledger, or what was before it; -1: none */
	int passphrase; /* memfd of ssl_passphrase_fd's word; -1: none */
	char ticket_key[TICKET_KEY_LEN], previous_key[TICKET_KEY_LEN];
	uint8_t has_previous;
	uint64_t ticket_at; /* CLOCK_MONOTONIC seconds: the next key */
	uint32_t told_missing;

	struct reload_listener *listeners;
	struct reload_crew *crews;
	struct reload_role *roles;
	size_t nlisteners, ncrews, nroles;
	/* a program may know nothing of these */
	struct reload_stats *stats;
	size_t nstats;
	char *metrics_listen; /* as it was written; NULL: none */
	int metrics_fd;       /* which listens there; -1: none */
	struct log_queue log; /* that the syslog daemon has not taken yet */
};

/* A sealed memfd, close-on-exec, or -1 with errno. */
int reload_state_write(const struct reload_state *st);

/*
 * Read it again (fd stays the caller's).  NULL, and *why is a clause
 * (static), when it is not whole, of another format, not sealed, or names
 * what is not open here.
 */
struct reload_state *reload_state_read(int fd, const char **why);

/* Wipes the keys; closes nothing. */
void reload_state_free(struct reload_state **st);

/* Have all that it names survive an exec, or not. */
void reload_state_keep_open(const struct reload_state *st, bool on);

#endif
