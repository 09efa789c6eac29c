/* SPDX-License-Identifier: ISC */
/*
 * crew: the processes of an old generation, which a reload has left behind:
 * workers with the clients that they had, and those whom they need.  Runs in
 * the master.  Its workers take no more clients.  Keepers and authenticators
 * go when all their clients have logged in, the broker, whose book has them,
 * with the last worker.  None of them is ever replaced.
 */
#ifndef CREW_H
#define CREW_H

#include "supervise_impl.h"

struct reload_state;

struct crew {
	TAILQ_ENTRY(crew) entry;
	struct supervisor *s;
	uint32_t generation;
	uint32_t messages; /* MSG_VERSION of its program */
	int counters;      /* its broker's book; -1: there is none */
	char *conf_text;   /* as its workers have it */
	struct conf *conf; /* the same, for log lines */
	struct place *places;
	size_t nplaces;
	bool stopping;  /* its workers were told to end */
	uint64_t until; /* CLOCK_MONOTONIC seconds; 0: as long as it takes */
	struct event deadline;
};

/* Take over what the master was before has left.  Keeps nothing of st. */
void crews_adopt(struct supervisor *s, const struct reload_state *st);
/* There is a new generation that serves: take no more clients. */
void crews_drain(struct supervisor *s);
/* SIGTERM: end all sessions; kill: at once. */
void crews_stop(struct supervisor *s);
void crews_kill(struct supervisor *s);
unsigned int crews_running(const struct supervisor *s, bool workers_only);
/* Whose workers are gone need nobody any more. */
void crews_go_on(struct supervisor *s);

/* Each process that would understand what we ask of it. */
void crews_visit(const struct supervisor *s, place_visitor *f, void *arg);

struct place *crew_place_of(const struct supervisor *s, pid_t pid);
struct place *crew_place(
    const struct crew *c, enum role role, unsigned int number);
/* A worker has said so: keepers and authenticators go when all have. */
void crew_settled(struct crew *c);
void crew_died(struct place *p, int status);
/* Its program is another one, whose messages we may not understand. */
bool crew_is_foreign(const struct crew *c);

#endif
