/* SPDX-License-Identifier: ISC */
/*
 * supervise: the processes of one daemon once they are there: the signals that
 * the master gets, and the processes' end.  Runs in the master.
 */
#include <sys/wait.h>

#include <signal.h>

#include "crew.h"
#include "log.h"
#include "notify.h"
#include "supervise_impl.h"

#define END_SECONDS 2   /* after stop_timeout, until SIGKILL */
#define FLUSH_SECONDS 1 /* a busy syslog daemon is tried again */
/* Times that a role may be killed as a reload starts it. */
#define KILLED_MAX 2

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
	if (workers_only)
		return n;
	return n + (s->broker.pid != 0) + (s->metrics.pid != 0) +
	    (s->control.pid != 0);
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
	place_send(&s->metrics, MSG_STOP);
	place_send(&s->control, MSG_STOP);
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

void
supervise_set_end(struct supervisor *s)
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
	supervise_set_end(s);
	crews_stop(s);
	for (i = 0; i < s->nnurseries; i++)
		place_end(&s->nurseries[i]);
	for (i = 0; i < s->nworkers; i++)
		place_send(&s->workers[i], MSG_STOP);
	go_on_stopping(s);
}

/*
 * Does this end of a role that was not ready yet end the start?  At a reload
 * one that was killed is started again: those of before may not have long.
 */
static bool
is_start_over(const struct place *p, int status)
{
	const struct supervisor *s = p->s;

	if (p->ready || s->stopping || !s->starting ||
	    p->role == ROLE_METRICS) /* no client needs it */
		return false;
	return s->before == NULL || !WIFSIGNALED(status) ||
	    p->failures >= KILLED_MAX;
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
	if (is_start_over(p, status))
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
	place_end(&s->metrics);
	place_end(&s->control);
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

static void wait_for_room(void *arg);

static void
on_room(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)log_flush();
	wait_for_room(arg);
}

/* For the lines that wait: as soon as there is some. */
static void
wait_for_room(void *arg)
{
	struct supervisor *s = arg;
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
	supervise_stats_look(s);
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

void
supervise_hear(struct supervisor *s)
{
	const struct timeval every = { .tv_sec = FLUSH_SECONDS };

	evsignal_assign(&s->chld, s->base, SIGCHLD, on_chld, s);
	evsignal_assign(&s->term, s->base, SIGTERM, on_term, s);
	evsignal_assign(&s->intr, s->base, SIGINT, on_term, s);
	evsignal_assign(&s->hup, s->base, SIGHUP, on_hup, s);
	evsignal_assign(&s->usr1, s->base, SIGUSR1, on_usr1, s);
	evtimer_assign(&s->ticket, s->base, on_ticket, s);
	evtimer_assign(&s->deadline, s->base, on_deadline, s);
	supervise_room_init(s);
	event_assign(&s->flush, s->base, -1, EV_PERSIST, on_flush, s);
	event_assign(&s->room, s->base, -1, EV_WRITE, on_room, s);
	event_assign(&s->copy, s->base, -1, EV_PERSIST, on_copy, s);
	event_add(&s->chld, NULL);
	event_add(&s->term, NULL);
	event_add(&s->intr, NULL);
	event_add(&s->hup, NULL);
	event_add(&s->usr1, NULL);
	event_add(&s->flush, &every);
	log_on_wait(wait_for_room, s);
	wait_for_room(s); /* of the image before */
}

bool
supervise_is_idle(const struct supervisor *s)
{
	return s->nworkers == 0;
}

void
supervise_end_all(struct supervisor *s)
{
	s->stopping = true;
	kill_all(s);
	while (running(s, false) > 0)
		event_base_loop(s->base, EVLOOP_ONCE);
}

void
supervise_give_up(struct supervisor *s)
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
	supervise_stats_keep(s, s->number);
	supervise_metrics_give_up(s);
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
	supervise_metrics_end(s);
	supervise_end_control(s);
	return s->failed ? -1 : 0;
}
