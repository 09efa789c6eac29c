/* SPDX-License-Identifier: ISC */
/*
 * supervise_impl: what supervise.c (signals, end), supervise_start.c (the
 * start), supervise_place.c (a process and its channels), supervise_nursery.c
 * (workers that are not made by exec), supervise_message.c (what roles say),
 * supervise_cert.c (certificates that are renewed),
 * supervise_reload.c and supervise_state.c (the next image of the master) and
 * crew.c (processes of an old generation) and supervise_control.c (the role
 * control) know of each other.
 */
#ifndef SUPERVISE_IMPL_H
#define SUPERVISE_IMPL_H

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event_struct.h>
#include <time.h>

#include "certs.h"
#include "ipc.h"
#include "notify.h"
#include "role.h"
#include "session.h"
#include "spool.h"
#include "spool_copy.h"
#include "supervise.h"
#include "supervise_stats.h"

#define NURSERIES 2

/* A place for a process of a role. */
struct place {
	struct supervisor *s;
	struct crew *crew; /* of an old generation; NULL: of this one */
	enum role role;
	unsigned int number;
	uint32_t serial;
	pid_t pid; /* 0: none */
	struct ipc *ch;
	bool ready, busy;
	bool settled;       /* of an old worker: MSG_SETTLED */
	bool logged_in;     /* of a worker's only client */
	time_t busy_since;  /* it has that one, or was asked to give way */
	bool accused;       /* its death is our doing */
	bool given_up;      /* the same, and not for a fault of its own */
	uint32_t kin;       /* of a worker: its nursery's serial; 0: by exec */
	unsigned int borne; /* of a nursery: workers so far */
	time_t asked;       /* whether it is alive; 0: it has answered */
	bool overdue;       /* it was killed for not answering */
	time_t started;
	unsigned int failures;
	unsigned int restarts; /* after bad ends */
	uint32_t known_to;     /* the control that has a channel to it */
	time_t looked_at;      /* supervise_had_client() ... */
	unsigned int looks;    /* ... so often in that second */
	struct event respawn;
};

struct supervisor {
	struct event_base *base;
	const struct conf *conf;
	const struct protocol *protocol;
	const char *conf_name; /* "imapsd" */
	const int *listeners;
	struct generation *generation;
	int counters, loads; /* memfds */
	int ledger;          /* for all generations */
	struct place *keepers, *workers, broker, *authenticators, control;
	int control_fd;                  /* listens for it; -1: there is none */
	char *control_path;              /* NULL: the same */
	unsigned int nkeepers, nworkers; /* nworkers: places */
	struct place nurseries[NURSERIES]; /* one bears, one is ready to */
	unsigned int nnurseries;           /* 0: workers are made by exec */
	struct place metrics;
	int metrics_fd; /* listens; -1: nobody is to be told */
	struct stats_book stats;
	unsigned int nauthenticators; /* places, too */
	unsigned int wanted;          /* authenticators that are to run */
	struct spool_copy *sasldb, *senders; /* NULL: none is kept */
	struct spool_seen seen;              /* of the system's files */
	uint32_t serial;
	bool starting, checking, stopping, failed, has_previous;
	char ticket_key[TICKET_KEY_LEN], previous_key[TICKET_KEY_LEN];
	uint64_t ticket_at; /* CLOCK_MONOTONIC seconds: the next key */
	uint32_t told_missing;
	bool told_full; /* that no more workers are to be had */
	struct event chld, term, intr, hup, usr1;
	struct event ticket, flush, room, deadline, copy, alive, crowd;

	uint32_t number;               /* of this generation: 1 at the start */
	TAILQ_HEAD(crews, crew) crews; /* those of before, the oldest first */
	const struct reload_state *before; /* NULL: nobody was */
	const struct supervise_launch *launch;
	struct reload *reload; /* NULL: none is under way */
	bool await_workers;    /* they are among those to be ready */
	bool reload_again;     /* as soon as what is under way is done */
	bool execute;          /* out of the loop, to run the next image */
	bool ended;

	struct cert_watch *certs; /* NULL: not yet */
	unsigned int reported;    /* keepers that have told of their pairs */

	const struct notify *notify; /* NULL: not yet, or nobody */
	unsigned int patience;       /* seconds that an answer may take */
};

void place_init(
    struct supervisor *s, struct place *p, enum role role, unsigned int number);
struct place *place_of(struct supervisor *s, pid_t pid); /* NULL: none */
/*
 * Start its process and make it known to its peers.  Where the machine has
 * none to give, that is said, and tried again as after a death.
 */
void place_spawn(struct place *p);
/* It runs, and fd is our end of its channel. */
void place_open(struct place *p, int fd);
void place_send(struct place *p, enum msg_type type); /* without more */
void place_end(struct place *p); /* SIGKILL; SIGCHLD does the rest */
/* status is waitpid(2)'s; it is replaced as its end deserves. */
void place_died(struct place *p, int status);

/* Give each a new channel to the other.  -1: there is none to be had. */
int place_introduce(struct place *a, struct place *b);

/* The role control, once all others serve (supervise_control.c). */
void supervise_start_control(struct supervisor *s);
void supervise_end_control(struct supervisor *s); /* its socket goes */
/* MSG_ROLL; -1: it broke a rule. */
int supervise_call_roll(struct place *control, uint32_t id, struct reader *r);

/* Each place, with those of old generations that understand us. */
typedef void place_visitor(struct place *p, void *arg);
/* The same with those that do not. */
void supervise_visit_all(struct supervisor *s, place_visitor *f, void *arg);
void supervise_visit(struct supervisor *s, place_visitor *f, void *arg);

/* The signals and times that s acts upon become events. */
void supervise_hear(struct supervisor *s);
/* Kill all, of each generation, and see them end. */
void supervise_end_all(struct supervisor *s);
/* What was begun of a new generation ends; the old ones go on. */
void supervise_give_up(struct supervisor *s);
/* After stop_timeout and a little more all are killed. */
void supervise_set_end(struct supervisor *s);

/* All that the next image is to have (to be freed; supervise_state.c). */
struct reload_state *supervise_state(const struct supervisor *s);

/* SIGHUP: check what is on the disk, then execute it. */
void supervise_reload(struct supervisor *s);
/* Was it the check that ended so? */
bool supervise_reload_died(struct supervisor *s, pid_t pid, int status);
void supervise_reload_cancel(struct supervisor *s);
/* The check was passed: no worker is to be born that an exec would orphan. */
bool supervise_reload_is_due(const struct supervisor *s);
/* Run the next image.  It returns when that cannot be had. */
void supervise_execute(struct supervisor *s);
/* We are the next image, and serve: what was before need no more. */
void supervise_take_over(struct supervisor *s);
void supervise_drop_new_listeners(struct supervisor *s); /* it does not */
bool supervise_is_idle(const struct supervisor *s);      /* no new generation */
const char *supervise_log_target(const struct supervisor *s);
void supervise_set_ticket_timer(struct supervisor *s);

/* A new key for tickets: hourly, and after a worker's bad end. */
void supervise_change_ticket_key(struct supervisor *s);
/* With a process per client: as many that wait as there are to be. */
void supervise_want_spares(struct supervisor *s);
/* The same; there is one client more: does another give way to the next? */
void supervise_room_init(struct supervisor *s);
void supervise_make_room(struct supervisor *s);
/* Are there descriptors beside those that are kept for what must be? */
bool supervise_has_room(const struct supervisor *s);

/* Their places, and their start (supervise_nursery.c). */
void nursery_init(struct supervisor *s);
void nursery_start(struct supervisor *s);
/* A worker can be had; without nurseries: by exec. */
bool nursery_can_bear(const struct supervisor *s);
/* Have p's process made, fd being its channel to us: MSG_BORN tells its pid. */
void nursery_bear(struct place *p, int fd);
/* What a nursery says: MSG_BORN.  -1: it broke a rule. */
int nursery_born(struct place *nursery, struct reader *r);
/* A process has ended that is in no place: has a nursery told of it? */
void nursery_listen(struct supervisor *s);
/* It has died: what it has not borne it never will. */
void nursery_died(struct place *nursery);
/* A worker came to a bad end: no client is to meet its like. */
void nursery_give_up_kin(struct place *worker);
/* Others, with other addresses, in their place: hourly. */
void nursery_renew(struct supervisor *s);

/* So many authenticators: start what is missing, end what is too much. */
void supervise_want_authenticators(struct supervisor *s, unsigned int wanted);

/*
 * Certificates (supervise_cert.c).  Keepers have told what they think of
 * them: workers may start.  -1: it was logged.
 */
int supervise_certs_begin(struct supervisor *s);
void supervise_certs_watch(struct supervisor *s); /* from now on */
/* MSG_PAIR, MSG_PAIRS_REPLY; -1: a broken rule. */
int supervise_certs_pair(struct supervisor *s, struct reader *r);
int supervise_certs_reply(struct supervisor *s, uint32_t id, struct reader *r);
/* A keeper is gone or comes, which has not heard what we ask the others. */
void supervise_certs_keeper(struct supervisor *s);
/* To metrics or control: those in use; so is each change, by itself. */
void supervise_certs_tell(struct place *p);
/* Has this worker a client from there, or had it one lately? */
bool supervise_had_client(struct place *p, const struct addr *client);

/* MSG_ALIVE_REPLY; -1: it was not asked. */
int place_alive(struct place *p, struct reader *r);

/* The role that tells numbers (supervise_metrics.c); -1: it cannot listen. */
int supervise_metrics_start(struct supervisor *s);
/* Its listener: for the next image, or no more needed. */
void supervise_metrics_put(const struct supervisor *s, struct reload_state *st);
void supervise_metrics_give_up(struct supervisor *s);
void supervise_metrics_take_over(struct supervisor *s);
void supervise_metrics_end(struct supervisor *s);

/* What a role says (ipc_handler); arg is its place. */
int supervise_message(void *arg, struct ipc *ch, enum msg_type type,
    uint32_t id, struct reader *r, int fd);

#endif
