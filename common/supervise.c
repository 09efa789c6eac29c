/* SPDX-License-Identifier: ISC */
/*
 * supervise: the processes of one daemon: their start, the signals that the
 * master gets, and their end.  Runs in the master.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "crew.h"
#include "generation.h"
#include "limit.h"
#include "log.h"
#include "notify.h"
#include "priv.h"
#include "reload_state.h"
#include "supervise_impl.h"
#include "tls.h"
#include "xmalloc.h"

#define START_SECONDS 20 /* for keepers and broker to be ready */
#define END_SECONDS 2    /* after stop_timeout, until SIGKILL */
#define COPY_SECONDS 2   /* how often they are looked at */
#define FLUSH_SECONDS 1  /* a busy syslog daemon is tried again */

/* Those of this generation. */
static unsigned int
running_now(const struct supervisor *s, bool workers_only)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->nworkers; i++)
		n += s->workers[i].pid != 0;
	for (i = 0; i < s->nkeepers && !workers_only; i++)
		n += s->keepers[i].pid != 0;
	for (i = 0; i < s->nauthenticators && !workers_only; i++)
		n += s->authenticators[i].pid != 0;
	for (i = 0; i < s->nnurseries; i++) /* there may be one in birth */
		n += s->nurseries[i].pid != 0;
	return n + (!workers_only && s->broker.pid != 0);
}

static unsigned int
running(const struct supervisor *s, bool workers_only)
{
	return running_now(s, workers_only) + crews_running(s, workers_only);
}

static void
end_loop(struct supervisor *s)
{
	s->ended = true;
	event_base_loopbreak(s->base);
}

/* Workers first: what they still say, broker and keepers are there to hear. */
static void
go_on_stopping(struct supervisor *s)
{
	unsigned int i;

	crews_go_on(s);
	if (running_now(s, true) > 0)
		return;
	place_send(&s->broker, MSG_STOP);
	for (i = 0; i < s->nkeepers; i++)
		place_send(&s->keepers[i], MSG_STOP);
	/* One may be in a step that has no end. */
	for (i = 0; i < s->nauthenticators; i++)
		place_end(&s->authenticators[i]);
	if (running(s, false) == 0)
		end_loop(s);
}

/* There is no new generation, and the old one has come to its end. */
static void
look_whether_served(struct supervisor *s)
{
	if (!supervise_is_idle(s) || s->starting || crews_running(s, true) > 0)
		return;
	log_at(LOG_ERR, "nobody is left to serve: ending");
	s->failed = true;
	s->stopping = true;
	go_on_stopping(s);
}

static void
set_end(struct supervisor *s)
{
	const struct timeval grace = { .tv_sec = (time_t)s->conf->stop_timeout +
		    END_SECONDS };

	event_add(&s->deadline, &grace);
}

static void
stop(struct supervisor *s)
{
	unsigned int i;

	if (s->stopping)
		return;
	s->stopping = true;
	supervise_reload_cancel(s);
	set_end(s);
	crews_stop(s);
	for (i = 0; i < s->nnurseries; i++)
		place_end(&s->nurseries[i]);
	for (i = 0; i < s->nworkers; i++)
		place_send(&s->workers[i], MSG_STOP);
	go_on_stopping(s);
}

static void
died(struct supervisor *s, pid_t pid, int status)
{
	struct place *p = place_of(s, pid);

	if (p == NULL) {
		nursery_listen(s);
		p = place_of(s, pid);
	}
	if (p == NULL) {
		(void)supervise_reload_died(s, pid, status);
		return;
	}
	if (p->ch != NULL)
		ipc_drain(p->ch);
	if (p->crew != NULL) {
		crew_died(p, status);
		return;
	}
	if (!p->ready && !s->stopping && s->starting)
		s->failed = true;
	place_died(p, status);
	/* Its client has had its session, or there will be none. */
	if (p->role == ROLE_WORKER && s->conf->one_client)
		stop(s);
}

/* Last words are in the channel: read them before it is closed. */
static void
on_chld(int fd, short what, void *arg)
{
	struct supervisor *s = arg;
	pid_t pid;
	int status;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		died(s, pid, status);
	if (s->starting && s->failed)
		event_base_loopbreak(s->base);
	if (s->stopping)
		go_on_stopping(s);
	else
		look_whether_served(s);
}

static void
kill_now(struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nworkers; i++)
		place_end(&s->workers[i]);
	for (i = 0; i < s->nkeepers; i++)
		place_end(&s->keepers[i]);
	for (i = 0; i < s->nauthenticators; i++)
		place_end(&s->authenticators[i]);
	for (i = 0; i < s->nnurseries; i++)
		place_end(&s->nurseries[i]);
	place_end(&s->broker);
}

static void
kill_all(struct supervisor *s)
{
	kill_now(s);
	crews_kill(s);
}

static void
on_deadline(int fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	if (s->starting) {
		log_warnx("%skeepers, broker and authenticators are not ready "
		          "in time",
		    s->await_workers ? "workers, " : "");
		s->failed = true;
		event_base_loopbreak(s->base);
	} else {
		kill_all(s);
	}
}

static void
on_term(int fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	log_info("stopping");
	notify_stopping(s->notify);
	stop(s);
}

static void
on_ticket(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	supervise_change_ticket_key(arg);
	nursery_renew(arg);
}

static void
on_hup(int fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	if (!s->conf->one_client) /* whoever comes next has the new one */
		supervise_reload(s);
}

/* A log file that was moved away is opened anew. */
static void
on_usr1(int fd, short what, void *arg)
{
	const struct supervisor *s = arg;
	const char *why;

	(void)fd;
	(void)what;
	if (log_open(supervise_log_target(s), log_ident(), &why) == -1)
		log_warnx("log_facility %s: %s", supervise_log_target(s), why);
}

static void
on_room(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)log_flush();
	supervise_wait_for_room(arg);
}

void
supervise_wait_for_room(struct supervisor *s)
{
	int fd = log_room_fd();

	if (fd == -1 || event_pending(&s->room, EV_WRITE, NULL))
		return;
	event_assign(&s->room, s->base, fd, EV_WRITE, on_room, s);
	event_add(&s->room, NULL);
}

/* There may be another syslog daemon, and another socket, by now. */
static void
on_flush(int fd, short what, void *arg)
{
	struct supervisor *s = arg;

	event_del(&s->room);
	on_room(fd, what, s);
}

/* Users' passwords may have changed, or who owns which address, or the net. */
static void
on_copy(int fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	spool_follow(s->conf->spool_directory, &s->seen);
	if (s->sasldb != NULL)
		(void)spool_copy_look(s->sasldb);
	if (s->senders != NULL)
		(void)spool_copy_look(s->senders);
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
	evsignal_assign(&s->usr1, s->base, SIGUSR1, on_usr1, s);
	evtimer_assign(&s->ticket, s->base, on_ticket, s);
	evtimer_assign(&s->deadline, s->base, on_deadline, s);
	event_assign(&s->flush, s->base, -1, EV_PERSIST, on_flush, s);
	event_assign(&s->room, s->base, -1, EV_WRITE, on_room, s);
	event_assign(&s->copy, s->base, -1, EV_PERSIST, on_copy, s);
	event_add(&s->chld, NULL);
	event_add(&s->term, NULL);
	event_add(&s->intr, NULL);
	event_add(&s->hup, NULL);
	event_add(&s->usr1, NULL);
	event_add(&s->flush, &every);
}

/*
 * Who of the authenticators' group reads, and nobody else.  Without root they
 * are not locked into the spool and read the file itself.
 */
static int
keep_sasldb(struct supervisor *s)
{
	struct priv_user u;

	if (!s->conf->sasl || !priv_am_root())
		return 0;
	if (priv_lookup_group(s->conf->sasl_group, &u.gid) == -1 &&
	    priv_lookup(s->conf->daemon_username, NULL, &u) == -1)
		return -1;
	s->sasldb = spool_copy_new(s->conf->spool_directory, "sasldb2",
	    generation_sasldb(s->generation), u.gid);
	return spool_copy_look(s->sasldb);
}

/* For the broker. */
static int
keep_senders(struct supervisor *s)
{
	const char *from = s->conf->sender_login_map;
	struct priv_user u;

	if (from == NULL || !priv_am_root())
		return 0;
	if (priv_lookup(s->conf->daemon_username, NULL, &u) == -1)
		return -1;
	s->senders = spool_copy_new(
	    s->conf->spool_directory, CONF_SENDER_MAP_COPY, from, u.gid);
	return spool_copy_look(s->senders);
}

/* What the others see of the system's files, kept up from now on. */
static int
keep_copies(struct supervisor *s)
{
	const struct timeval every = { .tv_sec = COPY_SECONDS };

	if (keep_sasldb(s) == -1 || keep_senders(s) == -1)
		return -1;
	if (priv_am_root() && !s->conf->one_client)
		event_add(&s->copy, &every);
	return 0;
}

static void
make_places(struct supervisor *s)
{
	const struct conf *c = s->conf;
	unsigned int i;

	s->counters = make_memory("counters", limit_size(broker_places(c)));
	s->nkeepers = c->keepers;
	s->nworkers =
	    c->worker_connections == 1 ? broker_places(c) : c->workers;
	s->nauthenticators = c->sasl ? c->authenticators_max : 0;
	s->loads = make_memory("loads", s->nworkers * sizeof(uint32_t));
	s->keepers = xcalloc(s->nkeepers, sizeof(*s->keepers));
	s->workers = xcalloc(s->nworkers, sizeof(*s->workers));
	s->authenticators =
	    xcalloc(s->nauthenticators, sizeof(*s->authenticators));
	for (i = 0; i < s->nauthenticators; i++)
		place_init(s, &s->authenticators[i], ROLE_AUTHENTICATOR, i);
	for (i = 0; i < s->nkeepers; i++)
		place_init(s, &s->keepers[i], ROLE_KEEPER, i);
	for (i = 0; i < s->nworkers; i++)
		place_init(s, &s->workers[i], ROLE_WORKER, i);
	if (c->worker_connections == 1 && !c->one_client)
		nursery_init(s);
}

static struct supervisor *
make(const struct conf *c, const struct protocol *p, const int *listeners,
    struct generation *g)
{
	struct supervisor *s = xcalloc(1, sizeof(*s));

	s->conf = c;
	s->protocol = p;
	s->conf_name = p->defaults->name;
	s->listeners = listeners;
	s->generation = g;
	s->number = 1;
	TAILQ_INIT(&s->crews);
	s->base = role_event_base();
	s->counters = s->loads = s->users = -1;
	place_init(s, &s->broker, ROLE_BROKER, 0);
	if (g != NULL)
		make_places(s);
	watch(s);
	return s;
}

struct supervisor *
supervise_new(
    const struct conf *c, const struct protocol *p, const int *listeners)
{
	struct generation *g = generation_new(c, false);
	struct supervisor *s;

	if (g == NULL)
		return NULL;
	s = make(c, p, listeners, g);
	s->users = make_memory("users", broker_users_size());
	arc4random_buf(s->ticket_key, TICKET_KEY_LEN);
	return s;
}

/* The signals were blocked since before the exec: they come now. */
static void
hear_signals(struct supervisor *s)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* A death may have been told to the image before. */
	event_active(&s->chld, EV_SIGNAL, 1);
}

/* Another program may count in another way: then it begins anew. */
static int
users_of(const struct reload_state *before)
{
	struct stat st;

	if (before->users != -1 && fstat(before->users, &st) == 0 &&
	    (size_t)st.st_size == broker_users_size())
		return before->users;
	if (before->users != -1)
		close(before->users);
	return make_memory("users", broker_users_size());
}

struct supervisor *
supervise_resume(const struct conf *c, const struct protocol *p,
    const int *listeners, const struct reload_state *before)
{
	struct supervisor *s = make(c, p, listeners,
	    listeners != NULL ? generation_new(c, false) : NULL);

	s->before = before;
	s->number = before->generation + 1;
	s->serial = before->serial;
	s->told_missing = before->told_missing;
	s->reload_again = before->again;
	s->has_previous = before->has_previous;
	memcpy(s->ticket_key, before->ticket_key, TICKET_KEY_LEN);
	memcpy(s->previous_key, before->previous_key, TICKET_KEY_LEN);
	s->ticket_at = before->ticket_at;
	s->users = users_of(before);
	crews_adopt(s, before);
	hear_signals(s);
	return s;
}

bool
supervise_is_idle(const struct supervisor *s)
{
	return s->nworkers == 0;
}

/* Run the loop until those that were started are ready, or one failed. */
static int
await_ready(struct supervisor *s)
{
	const struct timeval limit = { .tv_sec = START_SECONDS };

	s->starting = true;
	s->failed = false;
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

/*
 * What workers would do with the authorities of inner servers.  Only a check,
 * which is a process of its own and short-lived, looks into them itself.
 */
static int
check_authorities(const struct conf *c, const struct generation *g)
{
	struct handover *h;
	struct tls_client *client;
	const char *why;

	if (c->outgoing_tls == OUTGOING_PLAIN)
		return 0;
	h = handover_open(generation_handover(g, ROLE_WORKER));
	if (h == NULL)
		fatal("what workers are handed");
	tls_global_init();
	client = tls_client_new(c, h, &why);
	if (client == NULL)
		log_warnx("TLS towards inner servers (ssl_ca_file, "
		          "ssl_ca_path, ssl_ca_chain_file): %s",
		    why);
	handover_close(&h);
	if (client == NULL)
		return -1;
	tls_client_free(&client);
	return 0;
}

int
supervise_check(const struct conf *c, const struct protocol *p, bool strict)
{
	struct generation *g = generation_new(c, strict);
	struct supervisor *s;
	int result;

	if (g == NULL)
		return -1;
	s = make(c, p, NULL, g);
	s->nkeepers = 1;
	s->checking = true;
	place_spawn(&s->keepers[0]);
	result = await_ready(s);
	end_all(s);
	return check_authorities(c, g) == -1 ? -1 : result;
}

/* Keepers, broker, authenticators. */
static int
start_helpers(struct supervisor *s)
{
	unsigned int i;

	if (keep_copies(s) == -1)
		return -1;
	for (i = 0; i < s->nkeepers; i++)
		place_spawn(&s->keepers[i]);
	place_spawn(&s->broker);
	if (s->conf->sasl)
		supervise_want_authenticators(s, s->conf->authenticators);
	return await_ready(s);
}

static void
start_workers(struct supervisor *s)
{
	unsigned int i;

	if (s->nnurseries > 0)
		nursery_start(s);
	for (i = 0; i < s->conf->workers && s->nnurseries == 0; i++)
		place_spawn(&s->workers[i]);
}

/* What was begun of a new generation ends; the old ones go on. */
static void
give_up(struct supervisor *s)
{
	s->checking = true; /* nobody is replaced */
	kill_now(s);
	while (running_now(s, false) > 0)
		event_base_loop(s->base, EVLOOP_ONCE);
	s->checking = false;
	event_del(&s->copy);
	spool_copy_free(&s->sasldb);
	spool_copy_free(&s->senders);
	supervise_drop_new_listeners(s);
	s->nworkers = s->nkeepers = s->nauthenticators = s->wanted = 0;
	s->nnurseries = 0;
}

/*
 * The old generation's workers take clients until all the new one's do: what
 * does not come up leaves them where they are.
 */
static int
start_beside(struct supervisor *s)
{
	supervise_set_ticket_timer(s);
	if (supervise_is_idle(s))
		return -1;
	if (start_helpers(s) == -1)
		goto fail;
	start_workers(s);
	s->await_workers = true;
	if (await_ready(s) == -1)
		goto fail;
	s->await_workers = false;
	supervise_take_over(s);
	return 0;
fail:
	s->await_workers = false;
	if (s->stopping)
		set_end(s); /* that was the deadline for something else */
	else
		give_up(s);
	return -1;
}

int
supervise_start(struct supervisor *s)
{
	if (s->before != NULL)
		return start_beside(s);
	if (start_helpers(s) == -1) {
		end_all(s);
		return -1;
	}
	/* Only now: the keepers have seen that no key is in a certificate. */
	start_workers(s);
	supervise_change_ticket_key(s);
	return 0;
}

int
supervise_run(struct supervisor *s, const struct supervise_launch *launch)
{
	s->launch = launch;
	if (!s->stopping)
		look_whether_served(s);
	if (s->reload_again && !s->stopping)
		supervise_reload(s);
	while (!s->ended) {
		event_base_dispatch(s->base);
		if (s->execute)
			supervise_execute(s);
	}
	return s->failed ? -1 : 0;
}
