/* SPDX-License-Identifier: ISC */
/*
 * supervise: the processes of one daemon.  Runs in the master.  What a role
 * says may come from a process that was taken over: a broken rule costs it
 * its life, and nothing else.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "broker.h"
#include "child.h"
#include "clock.h"
#include "generation.h"
#include "ipc.h"
#include "limit.h"
#include "log.h"
#include "role.h"
#include "session.h"
#include "session_log.h"
#include "supervise.h"
#include "xmalloc.h"

#define START_SECONDS 20 /* for keepers and broker to be ready */
#define STOP_SECONDS 5   /* from MSG_STOP to SIGKILL */
#define TICKET_SECONDS 3600
#define FLUSH_SECONDS 1 /* a busy syslog daemon is tried again */

/* A place for a process of a role. */
struct place {
	struct supervisor *s;
	enum role role;
	unsigned int number;
	uint32_t serial;
	pid_t pid; /* 0: none */
	struct ipc *ch;
	bool ready, busy;
	time_t started;
	unsigned int failures;
	struct event respawn;
};

struct supervisor {
	struct event_base *base;
	const struct conf *conf;
	const char *conf_name; /* "imapsd" */
	const int *listeners;
	struct generation *generation;
	int counters, loads; /* memfds */
	struct place *keepers, *workers, broker;
	unsigned int nkeepers, nworkers; /* nworkers: places */
	uint32_t serial;
	bool starting, checking, stopping, failed, has_previous;
	char ticket_key[TICKET_KEY_LEN], previous_key[TICKET_KEY_LEN];
	uint32_t told_missing;
	struct event chld, term, intr, hup, ticket, flush, deadline;
};

static void spawn(struct place *p);
static void want_spares(struct supervisor *s);

static struct place *
keeper_of(struct supervisor *s, const struct place *worker)
{
	return &s->keepers[worker->number % s->nkeepers];
}

static void
send_simple(struct place *p, enum msg_type type)
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

static void
make_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		fatal("socketpair");
}

/* A new channel between two processes that both run. */
static void
introduce(struct place *a, struct place *b)
{
	int fds[2];

	make_pair(fds);
	send_peer(a, b, fds[0]);
	send_peer(b, a, fds[1]);
	close(fds[0]);
	close(fds[1]);
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
static void
change_ticket_key(struct supervisor *s)
{
	const struct timeval hour = { .tv_sec = TICKET_SECONDS };
	unsigned int i;

	memcpy(s->previous_key, s->ticket_key, TICKET_KEY_LEN);
	s->has_previous = true;
	arc4random_buf(s->ticket_key, TICKET_KEY_LEN);
	for (i = 0; i < s->nworkers; i++)
		if (s->workers[i].ch != NULL)
			send_ticket_key(&s->workers[i]);
	event_add(&s->ticket, &hour);
}

static void
on_ticket(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	change_ticket_key(arg);
}

static void
log_missing(struct supervisor *s, uint32_t missing)
{
	uint32_t news = missing & ~s->told_missing;

	s->told_missing |= missing;
	if ((news & SANDBOX_NO_LANDLOCK) != 0)
		log_warnx("this kernel has no Landlock: done without");
	if ((news & SANDBOX_NO_LANDLOCK_NET) != 0)
		log_info("this kernel's Landlock has no network rules: done "
		         "without");
	if ((news & SANDBOX_NO_LANDLOCK_SCOPE) != 0)
		log_info("this kernel's Landlock does not scope signals: done "
		         "without");
	if ((news & SANDBOX_NO_SECCOMP) != 0)
		log_warnx("no system call filter (the kernel has none, or "
		          "this is a sanitizer build)");
}

static void
end_place(struct place *p)
{
	if (p->pid != 0)
		(void)kill(p->pid, SIGKILL); /* SIGCHLD does the rest */
}

static void
write_log(struct place *p, const struct msg_log *m)
{
	char plain[MSG_LOG_MAX + 1];
	size_t i;

	/* Our own roles escape client text; control octets are not ours. */
	for (i = 0; i < m->text.len; i++)
		plain[i] =
		    (unsigned char)m->text.p[i] < 0x20 || m->text.p[i] == 0x7f
		    ? '?'
		    : m->text.p[i];
	plain[i] = '\0';
	if (log_wants(m->priority))
		log_write(m->priority, p->pid, plain);
}

static void
write_event(struct place *p, const struct msg_event *e)
{
	char line[LOG_LINE_MAX];
	int level;

	level = session_log_format(p->s->conf, e, line, sizeof(line));
	if (log_wants(level))
		log_write(level, p->pid, line);
}

static int
do_accuse(struct supervisor *s, struct reader *r)
{
	struct msg_accuse m;

	if (msg_get_accuse(r, &m) == -1 || m.number >= s->nworkers)
		return -1;
	if (s->workers[m.number].serial == m.serial)
		end_place(&s->workers[m.number]);
	return 0;
}

/* All that supervise_start() waits for is there. */
static void
break_when_ready(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nkeepers; i++)
		if (!s->keepers[i].ready)
			return;
	if (s->checking || s->broker.ready)
		event_base_loopbreak(s->base);
}

static int
do_ready(struct place *p, struct reader *r)
{
	struct msg_ready m;

	if (p->ready || msg_get_ready(r, &m) == -1)
		return -1;
	p->ready = true;
	log_missing(p->s, m.missing);
	if (p->s->starting)
		break_when_ready(p->s);
	return 0;
}

/* What a role may say. */
static int
on_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct place *p = arg;
	struct msg_log log;
	struct msg_event event;

	(void)ch;
	(void)id;
	(void)fd; /* msg_allowed(): none of these brings one */
	switch (type) {
	case MSG_READY:
		return do_ready(p, r);
	case MSG_LOG:
		if (msg_get_log(r, &log) == -1)
			return -1;
		write_log(p, &log);
		return 0;
	case MSG_EVENT:
		if (msg_get_event(r, &event) == -1)
			return -1;
		write_event(p, &event);
		return 0;
	case MSG_ACCUSE:
		return do_accuse(p->s, r);
	case MSG_BUSY:
		p->busy = true;
		want_spares(p->s);
		return get_end(r);
	default:
		return -1;
	}
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	struct place *p = arg;

	(void)ch;
	if (why != NULL)
		log_warnx(
		    "%s %u sent %s", role_name(p->role), p->number + 1, why);
	ipc_free(&p->ch);
	end_place(p);
}

/* The descriptors of a worker beside the two that every role has. */
static size_t
worker_fds(struct place *p, int *fds, int ends[2][2])
{
	struct supervisor *s = p->s;
	size_t i, n = 0;

	make_pair(ends[0]);
	make_pair(ends[1]);
	fds[n++] = ends[0][0];
	fds[n++] = ends[1][0];
	fds[n++] = s->loads;
	for (i = 0; i < s->conf->nlisten; i++)
		fds[n++] = s->listeners[i];
	return n;
}

/* Tell the new process's peers, and it of those that run. */
static void
connect_peers(struct place *p, int ends[2][2])
{
	struct supervisor *s = p->s;
	unsigned int i;

	switch (p->role) {
	case ROLE_WORKER:
		send_peer(&s->broker, p, ends[0][1]);
		send_peer(keeper_of(s, p), p, ends[1][1]);
		send_ticket_key(p);
		break;
	case ROLE_BROKER:
		for (i = 0; i < s->nworkers; i++)
			if (s->workers[i].ch != NULL)
				introduce(&s->workers[i], p);
		break;
	case ROLE_KEEPER:
		for (i = 0; i < s->nworkers; i++)
			if (s->workers[i].ch != NULL &&
			    keeper_of(s, &s->workers[i]) == p)
				introduce(&s->workers[i], p);
		break;
	case ROLE_MASTER:
	case ROLE_MAX:
		break;
	}
}

static void
spawn(struct place *p)
{
	struct supervisor *s = p->s;
	int *fds = xcalloc(s->conf->nlisten + 5, sizeof(*fds));
	int master[2], ends[2][2] = { { -1, -1 }, { -1, -1 } };
	size_t n = 2;

	make_pair(master);
	fds[0] = master[1];
	fds[1] = generation_handover(s->generation, p->role);
	if (p->role == ROLE_WORKER)
		n += worker_fds(p, fds + 2, ends);
	else if (p->role == ROLE_BROKER)
		fds[n++] = s->counters;
	p->serial = ++s->serial;
	p->started = clock_seconds();
	p->ready = p->busy = false;
	p->pid =
	    child_spawn(s->conf_name, p->role, p->number, p->serial, fds, n);
	if (p->pid == -1)
		fatal("cannot start a %s", role_name(p->role));
	close(master[1]);
	p->ch = ipc_new(
	    s->base, master[0], ROLE_MASTER, p->role, on_message, on_closed, p);
	connect_peers(p, ends);
	for (n = 0; n < 2; n++)
		if (ends[n][0] != -1) {
			close(ends[n][0]);
			close(ends[n][1]);
		}
	free(fds);
}

/* With a process per client: as many that wait as there are to be. */
static void
want_spares(struct supervisor *s)
{
	unsigned int i, idle = 0;

	if (s->conf->worker_connections != 1 || s->stopping)
		return;
	for (i = 0; i < s->nworkers; i++)
		if (s->workers[i].pid != 0 && !s->workers[i].busy)
			idle++;
	for (i = 0; i < s->nworkers && idle < s->conf->workers; i++)
		if (s->workers[i].pid == 0 &&
		    !evtimer_pending(&s->workers[i].respawn, NULL)) {
			spawn(&s->workers[i]);
			idle++;
		}
}

static void
on_respawn(int fd, short what, void *arg)
{
	struct place *p = arg;

	(void)fd;
	(void)what;
	if (p->pid == 0 && !p->s->stopping)
		spawn(p);
}

static void
respawn(struct place *p)
{
	unsigned int ms = child_backoff_ms(p->failures);
	const struct timeval wait = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	if (p->role == ROLE_WORKER && p->s->conf->worker_connections == 1 &&
	    p->failures == 0)
		want_spares(p->s);
	else
		event_add(&p->respawn, &wait);
}

static void
place_died(struct place *p, int status)
{
	struct supervisor *s = p->s;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	char fate[64];

	p->pid = 0;
	ipc_free(&p->ch);
	if (s->stopping || s->checking)
		return;
	if (good && p->busy) {
		p->failures = 0; /* its one client is served */
	} else {
		log_warnx("%s %u %s", role_name(p->role), p->number + 1,
		    child_fate(status, fate, sizeof(fate)));
		p->failures =
		    clock_seconds() - p->started >= CHILD_SETTLED ? 1 : p->failures + 1;
		if (p->role == ROLE_WORKER)
			change_ticket_key(s);
	}
	respawn(p);
}

static struct place *
place_of(struct supervisor *s, pid_t pid)
{
	unsigned int i;

	if (s->broker.pid == pid)
		return &s->broker;
	for (i = 0; i < s->nkeepers; i++)
		if (s->keepers[i].pid == pid)
			return &s->keepers[i];
	for (i = 0; i < s->nworkers; i++)
		if (s->workers[i].pid == pid)
			return &s->workers[i];
	return NULL;
}

static unsigned int
running(const struct supervisor *s, bool workers_only)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->nworkers; i++)
		n += s->workers[i].pid != 0;
	for (i = 0; i < s->nkeepers && !workers_only; i++)
		n += s->keepers[i].pid != 0;
	return n + (!workers_only && s->broker.pid != 0);
}

/* Workers first: what they still say, broker and keepers are there to hear. */
static void
go_on_stopping(struct supervisor *s)
{
	unsigned int i;

	if (running(s, true) > 0)
		return;
	send_simple(&s->broker, MSG_STOP);
	for (i = 0; i < s->nkeepers; i++)
		send_simple(&s->keepers[i], MSG_STOP);
	if (running(s, false) == 0)
		event_base_loopbreak(s->base);
}

/* Last words are in the channel: read them before it is closed. */
static void
on_chld(int fd, short what, void *arg)
{
	struct supervisor *s = arg;
	struct place *p;
	pid_t pid;
	int status;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		p = place_of(s, pid);
		if (p == NULL)
			continue;
		if (p->ch != NULL)
			ipc_drain(p->ch);
		if (!p->ready && !s->stopping && s->starting)
			s->failed = true;
		place_died(p, status);
	}
	if (s->starting && s->failed)
		event_base_loopbreak(s->base);
	if (s->stopping)
		go_on_stopping(s);
}

static void
kill_all(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nworkers; i++)
		end_place(&s->workers[i]);
	for (i = 0; i < s->nkeepers; i++)
		end_place(&s->keepers[i]);
	end_place(&s->broker);
}

static void
on_deadline(int fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	if (s->starting) {
		log_warnx("keepers and broker are not ready in time");
		s->failed = true;
		event_base_loopbreak(s->base);
	} else {
		kill_all(s);
	}
}

static void
stop(struct supervisor *s)
{
	const struct timeval grace = { .tv_sec = STOP_SECONDS };
	unsigned int i;

	if (s->stopping)
		return;
	s->stopping = true;
	event_add(&s->deadline, &grace);
	for (i = 0; i < s->nworkers; i++)
		send_simple(&s->workers[i], MSG_STOP);
	go_on_stopping(s);
}

static void
on_term(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_info("stopping");
	stop(arg);
}

/* A log file that was moved away is opened anew. */
static void
on_hup(int fd, short what, void *arg)
{
	const struct supervisor *s = arg;
	const char *why;

	(void)fd;
	(void)what;
	if (log_open(s->conf->log_facility,
	        s->conf->log_ident != NULL ? s->conf->log_ident : s->conf_name,
	        &why) == -1)
		log_warnx("log_facility %s: %s", s->conf->log_facility, why);
}

static void
on_flush(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	(void)log_flush();
}

static void
init_place(
    struct supervisor *s, struct place *p, enum role role, unsigned int number)
{
	p->s = s;
	p->role = role;
	p->number = number;
	evtimer_assign(&p->respawn, s->base, on_respawn, p);
}

static int
make_memory(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd == -1 || ftruncate(fd, (off_t)size) == -1)
		fatal("memory for the %s", name);
	return fd;
}

static void
watch(struct supervisor *s)
{
	const struct timeval every = { .tv_sec = FLUSH_SECONDS };

	evsignal_assign(&s->chld, s->base, SIGCHLD, on_chld, s);
	evsignal_assign(&s->term, s->base, SIGTERM, on_term, s);
	evsignal_assign(&s->intr, s->base, SIGINT, on_term, s);
	evsignal_assign(&s->hup, s->base, SIGHUP, on_hup, s);
	evtimer_assign(&s->ticket, s->base, on_ticket, s);
	evtimer_assign(&s->deadline, s->base, on_deadline, s);
	event_assign(&s->flush, s->base, -1, EV_PERSIST, on_flush, s);
	event_add(&s->chld, NULL);
	event_add(&s->term, NULL);
	event_add(&s->intr, NULL);
	event_add(&s->hup, NULL);
	event_add(&s->flush, &every);
}

struct supervisor *
supervise_new(
    const struct conf *c, const struct protocol *p, const int *listeners)
{
	struct supervisor *s = xcalloc(1, sizeof(*s));
	unsigned int i;

	s->conf = c;
	s->conf_name = p->defaults->name;
	s->listeners = listeners;
	s->generation = generation_new(c);
	if (s->generation == NULL) {
		free(s);
		return NULL;
	}
	s->base = role_event_base();
	s->counters = make_memory("counters", limit_size(broker_places(c)));
	s->nkeepers = c->keepers;
	s->nworkers =
	    c->worker_connections == 1 ? broker_places(c) : c->workers;
	s->loads = make_memory("loads", s->nworkers * sizeof(uint32_t));
	s->keepers = xcalloc(s->nkeepers, sizeof(*s->keepers));
	s->workers = xcalloc(s->nworkers, sizeof(*s->workers));
	init_place(s, &s->broker, ROLE_BROKER, 0);
	for (i = 0; i < s->nkeepers; i++)
		init_place(s, &s->keepers[i], ROLE_KEEPER, i);
	for (i = 0; i < s->nworkers; i++)
		init_place(s, &s->workers[i], ROLE_WORKER, i);
	arc4random_buf(s->ticket_key, TICKET_KEY_LEN);
	watch(s);
	return s;
}

/* Run the loop until those that were started are ready, or one failed. */
static int
await_ready(struct supervisor *s)
{
	const struct timeval limit = { .tv_sec = START_SECONDS };

	s->starting = true;
	event_add(&s->deadline, &limit);
	event_base_dispatch(s->base);
	event_del(&s->deadline);
	s->starting = false;
	return s->failed || s->stopping ? -1 : 0;
}

static void
end_all(struct supervisor *s)
{
	s->stopping = true;
	kill_all(s);
	while (running(s, false) > 0)
		event_base_loop(s->base, EVLOOP_ONCE);
}

int
supervise_check(struct supervisor *s)
{
	int result;

	s->nkeepers = 1;
	s->checking = true;
	spawn(&s->keepers[0]);
	result = await_ready(s);
	end_all(s);
	return result;
}

int
supervise_start(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nkeepers; i++)
		spawn(&s->keepers[i]);
	spawn(&s->broker);
	if (await_ready(s) == -1) {
		end_all(s);
		return -1;
	}
	/* Only now: the keepers have seen that no key is in a certificate. */
	for (i = 0; i < s->conf->workers; i++)
		spawn(&s->workers[i]);
	change_ticket_key(s);
	return 0;
}

void
supervise_run(struct supervisor *s)
{
	event_base_dispatch(s->base);
}
