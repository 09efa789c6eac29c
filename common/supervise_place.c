/* SPDX-License-Identifier: ISC */
/*
 * supervise_place: a process of a role and its channels to the others: begun,
 * introduced, ended, replaced.  Runs in the master.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "child.h"
#include "clock.h"
#include "crew.h"
#include "generation.h"
#include "ledger_file.h"
#include "log.h"
#include "supervise_impl.h"
#include "xmalloc.h"

#define TICKET_SECONDS 3600
/*
 * Messages of a role in a second, beside one for each client that ends when
 * all do: three for each session, and more.
 */
#define QUOTA 20000
/* Descriptors that a reload, and who is replaced, must not lack. */
#define FILES_KEPT 64

static void respawn(struct place *p);

static struct place *
keeper_of(struct supervisor *s, const struct place *worker)
{
	return &s->keepers[worker->number % s->nkeepers];
}

void
place_send(struct place *p, enum msg_type type)
{
	struct writer w;

	msg_start(&w, type, 0);
	if (p->ch != NULL)
		(void)ipc_send(p->ch, &w, -1);
}

/* Give p an end of a channel to the process at peer. */
static void
send_peer(struct place *p, const struct place *peer, int fd)
{
	struct msg_peer m = { .role = (uint8_t)peer->role,
		.number = (uint16_t)peer->number,
		.serial = peer->serial };
	struct writer w;

	msg_start(&w, MSG_PEER, 0);
	msg_put_peer(&w, &m);
	if (p->ch != NULL)
		(void)ipc_send(p->ch, &w, fd);
}

static int
make_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

static void
close_pair(int fds[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (fds[i] != -1)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* A new channel between two processes that both run. */
int
place_introduce(struct place *a, struct place *b)
{
	int fds[2];

	if (make_pair(fds) == -1) {
		log_warn("a channel from a %s to a %s", role_name(a->role),
		    role_name(b->role));
		return -1;
	}
	send_peer(a, b, fds[0]);
	send_peer(b, a, fds[1]);
	close_pair(fds);
	return 0;
}

static void
send_ticket_key(struct place *p)
{
	struct supervisor *s = p->s;
	struct msg_ticket_key m = { .current = {
		                        s->ticket_key, TICKET_KEY_LEN } };
	struct writer w;

	if (s->has_previous)
		m.previous = (struct text){ s->previous_key, TICKET_KEY_LEN };
	msg_start(&w, MSG_TICKET_KEY, 0);
	msg_put_ticket_key(&w, &m);
	(void)ipc_send(p->ch, &w, -1);
	explicit_bzero(&w, sizeof(w));
}

/* A key of tickets lives an hour, and no longer than a worker's bad end. */
void
supervise_change_ticket_key(struct supervisor *s)
{
	unsigned int i;

	memcpy(s->previous_key, s->ticket_key, TICKET_KEY_LEN);
	s->has_previous = true;
	arc4random_buf(s->ticket_key, TICKET_KEY_LEN);
	for (i = 0; i < s->nworkers; i++)
		if (s->workers[i].ch != NULL)
			send_ticket_key(&s->workers[i]);
	s->ticket_at = (uint64_t)clock_seconds() + TICKET_SECONDS;
	supervise_set_ticket_timer(s);
}

/* The hour goes on where another image of the master began it. */
void
supervise_set_ticket_timer(struct supervisor *s)
{
	const uint64_t now = (uint64_t)clock_seconds();
	struct timeval left = { .tv_sec = 0 };

	if (s->ticket_at > now && s->ticket_at - now <= TICKET_SECONDS)
		left.tv_sec = (time_t)(s->ticket_at - now);
	event_add(&s->ticket, &left);
}

void
place_end(struct place *p)
{
	if (p->pid != 0)
		(void)kill(p->pid, SIGKILL); /* SIGCHLD does the rest */
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	struct place *p = arg;

	(void)ch;
	if (why != NULL)
		log_warnx("%s%s %u sent %s", p->crew != NULL ? "old " : "",
		    role_name(p->role), p->number + 1, why);
	ipc_free(&p->ch);
	place_end(p);
}

/* Its own book, and those of the newest old generations. */
static size_t
broker_fds(const struct supervisor *s, int *fds)
{
	const struct crew *c;
	size_t n = 0;

	fds[n++] = s->counters;
	fds[n++] = s->ledger;
	for (c = TAILQ_LAST(&s->crews, crews);
	     c != NULL && n < 2 + BROKER_BOOKS_MAX;
	     c = TAILQ_PREV(c, crews, entry))
		if (c->counters != -1)
			fds[n++] = c->counters;
	return n;
}

/* The descriptors of a role beside the two that every one has. */
static size_t
further_fds(struct place *p, int *fds, int ends[2][2])
{
	struct supervisor *s = p->s;
	size_t i, n = 0;

	if (p->role == ROLE_BROKER)
		return broker_fds(s, fds);
	if (p->role == ROLE_METRICS)
		fds[n++] = s->metrics_fd;
	if (p->role == ROLE_CONTROL)
		fds[n++] = s->control_fd;
	if (p->role == ROLE_AUTHENTICATOR)
		ends[0][0] = fds[n++] = ledger_file_reading(s->ledger);
	if (p->role != ROLE_WORKER && p->role != ROLE_NURSERY)
		return n;
	for (i = 0; i < 2 && p->role == ROLE_WORKER; i++)
		fds[n++] = ends[i][0];
	fds[n++] = s->loads;
	for (i = 0; i < s->conf->nlisten; i++)
		fds[n++] = s->listeners[i];
	return n;
}

/* A new process that lacks a peer is of no use: another one will be made. */
static void
introduce(struct place *new, struct place *peer)
{
	if (place_introduce(new, peer) == 0)
		return;
	new->given_up = true; /* it may still be in birth */
	place_end(new);
}

/* Tell the new process's peers, and it of those that run. */
static void
connect_peers(struct place *p, int ends[2][2])
{
	struct supervisor *s = p->s;
	unsigned int i;

	switch (p->role) {
	case ROLE_WORKER:
		if (p->kin != 0) {
			introduce(p, &s->broker);
			introduce(p, keeper_of(s, p));
		} else {
			send_peer(&s->broker, p, ends[0][1]);
			send_peer(keeper_of(s, p), p, ends[1][1]);
		}
		send_ticket_key(p); /* last: then it accepts */
		break;
	case ROLE_BROKER:
		for (i = 0; i < s->nworkers; i++)
			if (s->workers[i].ch != NULL)
				introduce(p, &s->workers[i]);
		for (i = 0; i < s->nauthenticators; i++)
			if (s->authenticators[i].ch != NULL)
				introduce(p, &s->authenticators[i]);
		break;
	case ROLE_AUTHENTICATOR:
		if (s->broker.ch != NULL)
			introduce(p, &s->broker);
		break;
	case ROLE_KEEPER:
		for (i = 0; i < s->nworkers; i++)
			if (s->workers[i].ch != NULL &&
			    keeper_of(s, &s->workers[i]) == p)
				introduce(p, &s->workers[i]);
		break;
	case ROLE_METRICS: /* it has none but us */
		supervise_stats_tell(p);
		supervise_certs_tell(p);
		break;
	case ROLE_CONTROL: /* when it asks for them */
		supervise_certs_tell(p);
		break;
	case ROLE_NURSERY: /* it has none */
	case ROLE_MASTER:
	case ROLE_MAX:
		break;
	}
}

void
place_open(struct place *p, int fd)
{
	struct supervisor *s = p->s;

	p->ch = ipc_new(
	    s->base, fd, ROLE_MASTER, p->role, supervise_message, on_closed, p);
	ipc_set_quota(p->ch, QUOTA + s->conf->worker_connections);
}

/* A new process, with fd as its end of the channel to us. */
static int
start_process(struct place *p, int fd, int ends[2][2])
{
	struct supervisor *s = p->s;
	const size_t most = s->conf->nlisten + BROKER_BOOKS_MAX + 6;
	int *fds = xcalloc(most, sizeof(*fds));
	size_t n = 3;

	fds[0] = fd;
	fds[1] = generation_handover(s->generation, p->role);
	fds[2] = supervise_stats_fd(p);
	n += further_fds(p, fds + n, ends);
	p->pid =
	    child_spawn(s->conf_name, p->role, p->number, p->serial, fds, n);
	free(fds);
	if (p->pid != -1)
		return 0;
	p->pid = 0;
	return -1;
}

/* The channels that it is born with, beside the two of every process. */
static int
make_channels(const struct place *p, int master[2], int ends[2][2])
{
	int i;

	if (make_pair(master) == -1)
		return -1;
	if (p->role != ROLE_WORKER || p->s->nnurseries > 0)
		return 0;
	for (i = 0; i < 2; i++)
		if (make_pair(ends[i]) == -1)
			return -1;
	return 0;
}

/* No process, memory or descriptor: it may be another second. */
static void
wait_for_better(struct place *p)
{
	log_warn("cannot start a %s: it is tried again", role_name(p->role));
	p->failures++;
	respawn(p);
}

void
place_spawn(struct place *p)
{
	struct supervisor *s = p->s;
	int master[2] = { -1, -1 }, ends[2][2] = { { -1, -1 }, { -1, -1 } };

	p->serial = ++s->serial;
	p->started = clock_seconds();
	p->ready = p->busy = p->logged_in = false;
	p->accused = p->given_up = p->overdue = false;
	p->asked = 0;
	p->borne = 0;
	p->known_to = 0;
	if (make_channels(p, master, ends) == -1)
		goto fail;
	if (p->role == ROLE_WORKER && s->nnurseries > 0)
		nursery_bear(p, master[1]);
	else if (start_process(p, master[1], ends) == -1)
		goto fail;
	close(master[1]);
	place_open(p, master[0]);
	connect_peers(p, ends);
	close_pair(ends[0]);
	close_pair(ends[1]);
	return;
fail:
	wait_for_better(p);
	close_pair(master);
	close_pair(ends[0]);
	close_pair(ends[1]);
}

/* Its process is there, or in birth. */
static bool
is_taken(const struct place *p)
{
	return p->pid != 0 || p->ch != NULL;
}

/* The lowest that is free tells how many there are. */
bool
supervise_has_room(const struct supervisor *s)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	struct rlimit r;

	if (fd == -1)
		return false;
	close(fd);
	return getrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    (rlim_t)fd + FILES_KEPT + s->conf->workers < r.rlim_cur;
}

/* Further clients wait for the end of a session.  A new generation may not. */
static bool
may_grow(struct supervisor *s)
{
	bool may = s->starting || supervise_has_room(s);

	if (!may && !s->told_full)
		log_warnx("the limit of open files is reached: clients wait "
		          "until others have left");
	s->told_full = !may;
	return may;
}

/* With a process per client: as many that wait as there are to be. */
void
supervise_want_spares(struct supervisor *s)
{
	unsigned int i, idle = 0;

	if (s->conf->worker_connections != 1 || s->conf->one_client ||
	    s->stopping || s->checking || supervise_reload_is_due(s))
		return;
	for (i = 0; i < s->nworkers; i++)
		if (is_taken(&s->workers[i]) && !s->workers[i].busy &&
		    !s->workers[i].given_up)
			idle++;
	for (i = 0;
	     i < s->nworkers && idle < s->conf->workers && nursery_can_bear(s);
	     i++)
		if (!is_taken(&s->workers[i]) &&
		    !evtimer_pending(&s->workers[i].respawn, NULL)) {
			if (!may_grow(s))
				return;
			place_spawn(&s->workers[i]);
			idle++;
		}
}

/* Of authenticators there are as many as the broker says. */
static bool
is_wanted(const struct place *p)
{
	return p->role != ROLE_AUTHENTICATOR || p->number < p->s->wanted;
}

static void
on_respawn(int fd, short what, void *arg)
{
	struct place *p = arg;

	(void)fd;
	(void)what;
	if (p->role == ROLE_WORKER && p->s->nnurseries > 0)
		supervise_want_spares(p->s);
	else if (p->pid == 0 && !p->s->stopping && is_wanted(p) &&
	    !supervise_is_idle(p->s)) /* its generation was given up */
		place_spawn(p);
}

void
supervise_want_authenticators(struct supervisor *s, unsigned int wanted)
{
	struct place *p;
	unsigned int i;

	if (s->stopping)
		return;
	s->wanted = wanted;
	for (i = 0; i < s->nauthenticators; i++) {
		p = &s->authenticators[i];
		if (i >= wanted)
			place_send(p, MSG_STOP);
		else if (p->pid == 0 && !evtimer_pending(&p->respawn, NULL))
			place_spawn(p);
	}
}

static void
respawn(struct place *p)
{
	unsigned int ms = child_backoff_ms(p->failures);
	const struct timeval wait = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	if (p->role == ROLE_WORKER && p->s->conf->worker_connections == 1 &&
	    p->failures == 0)
		supervise_want_spares(p->s);
	else
		event_add(&p->respawn, &wait);
}

/* Who did its share, or is one too many, is no loss. */
static void
count_end(const struct place *p, bool good)
{
	enum stats_end end = STATS_END_DIED;

	/* Of a worker each end is an accusation, too. */
	if (p->overdue || (p->accused && p->role == ROLE_AUTHENTICATOR))
		end = STATS_END_OVERDUE;
	else if (p->given_up)
		end = STATS_END_GIVEN_UP;
	else if (good && (p->busy || p->role == ROLE_AUTHENTICATOR))
		return;
	STATS_ADD(replaced[p->role][end], 1);
}

void
place_died(struct place *p, int status)
{
	struct supervisor *s = p->s;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	char fate[64];

	p->pid = 0;
	ipc_free(&p->ch);
	supervise_stats_ended(p);
	if (p->role == ROLE_NURSERY)
		nursery_died(p);
	if (s->stopping || s->checking || (s->starting && s->failed))
		return;
	if (!is_wanted(p))
		return;
	count_end(p, good);
	if (p->given_up ||
	    (good && (p->busy || p->role == ROLE_AUTHENTICATOR))) {
		p->failures = 0; /* it did its share, or was too many */
	} else if (p->accused && p->role == ROLE_AUTHENTICATOR) {
		p->failures = 0; /* what it hung on is not its fault */
	} else {
		log_warnx("%s %u %s", role_name(p->role), p->number + 1,
		    child_fate(status, fate, sizeof(fate)));
		p->failures = clock_seconds() - p->started >= CHILD_SETTLED
		    ? 1
		    : p->failures + 1;
		p->restarts++;
		if (p->role == ROLE_WORKER) {
			supervise_change_ticket_key(s);
			nursery_give_up_kin(p);
		}
	}
	respawn(p);
}

struct place *
place_of(struct supervisor *s, pid_t pid)
{
	unsigned int i;

	if (s->broker.pid == pid)
		return &s->broker;
	if (s->metrics.pid == pid)
		return &s->metrics;
	if (s->control.pid == pid)
		return &s->control;
	for (i = 0; i < s->nkeepers; i++)
		if (s->keepers[i].pid == pid)
			return &s->keepers[i];
	for (i = 0; i < s->nauthenticators; i++)
		if (s->authenticators[i].pid == pid)
			return &s->authenticators[i];
	for (i = 0; i < s->nworkers; i++)
		if (s->workers[i].pid == pid)
			return &s->workers[i];
	for (i = 0; i < s->nnurseries; i++)
		if (s->nurseries[i].pid == pid)
			return &s->nurseries[i];
	return crew_place_of(s, pid);
}

void
place_init(
    struct supervisor *s, struct place *p, enum role role, unsigned int number)
{
	p->s = s;
	p->role = role;
	p->number = number;
	evtimer_assign(&p->respawn, s->base, on_respawn, p);
}
