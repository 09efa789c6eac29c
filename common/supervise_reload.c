/* SPDX-License-Identifier: ISC */
/*
 * supervise_reload: SIGHUP.  Runs in the master.  A child runs the program
 * that is on the disk now, and says whether the configuration is good and
 * whether it could take over; only then the master executes that program in
 * its own place.  Before the exec anything may fail and nothing has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "child.h"
#include "crew.h"
#include "log.h"
#include "notify.h"
#include "reload_state.h"
#include "supervise_impl.h"
#include "xmalloc.h"

#define CHECK_SECONDS 60 /* names may have to be looked up */
/* Messages that roles have not taken yet are waited for. */
#define SETTLE_MS 20
#define SETTLE_TIMES 250

/* From SIGHUP to the exec. */
struct reload {
	struct supervisor *s;
	pid_t pid; /* of the check child; 0: it has ended */
	int fd;    /* what it says; -1: it has closed that */
	char line[1024];
	size_t len;
	unsigned int settled; /* times that were waited */
	struct event said, late, settle;
};

/* --- the check ---------------------------------------------------------- */

static void
forget(struct supervisor *s)
{
	struct reload *r = s->reload;

	s->reload = NULL;
	event_del(&r->said);
	event_del(&r->late);
	event_del(&r->settle);
	if (r->fd != -1)
		close(r->fd);
	free(r);
	supervise_want_spares(s); /* none was begun meanwhile */
}

/* Nothing has changed. */
static void
fail(struct supervisor *s)
{
	forget(s);
	if (!s->reload_again)
		return;
	s->reload_again = false;
	supervise_reload(s);
}

static void
log_line(struct reload *r)
{
	size_t i;

	for (i = 0; i < r->len; i++)
		if ((unsigned char)r->line[i] < 0x20 || r->line[i] == 0x7f)
			r->line[i] = '?';
	if (r->len > 0)
		log_warnx("reload: %.*s", (int)r->len, r->line);
	r->len = 0;
}

/* What the check found, a fault or a warning a line. */
static void
on_said(int fd, short what, void *arg)
{
	struct reload *r = arg;
	char part[1024];
	ssize_t n, i;

	(void)what;
	while ((n = read(fd, part, sizeof(part))) > 0)
		for (i = 0; i < n; i++) {
			if (part[i] == '\n' || r->len == sizeof(r->line))
				log_line(r);
			if (part[i] != '\n')
				r->line[r->len++] = part[i];
		}
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	log_line(r);
	event_del(&r->said);
	close(r->fd);
	r->fd = -1;
}

static void
on_late(int fd, short what, void *arg)
{
	struct reload *r = arg;

	(void)fd;
	(void)what;
	log_warnx(
	    "reload: the check takes more than %d seconds", CHECK_SECONDS);
	(void)kill(r->pid, SIGKILL); /* SIGCHLD does the rest */
}

bool
supervise_reload_is_due(const struct supervisor *s)
{
	return s->reload != NULL && s->reload->pid == 0;
}

/*
 * Does any role have messages before it that an exec would throw away?  Is a
 * worker in birth, whose process is not known yet and could not be handed over?
 */
static bool
is_waited_for(const struct supervisor *s)
{
	const struct crew *c;
	unsigned int i;
	size_t j;

#define WAITS(p) ((p).ch != NULL && ipc_is_waiting((p).ch))
	for (i = 0; i < s->nworkers; i++)
		if (WAITS(s->workers[i]) ||
		    (s->workers[i].pid == 0 && s->workers[i].ch != NULL))
			return true;
	for (i = 0; i < s->nkeepers; i++)
		if (WAITS(s->keepers[i]))
			return true;
	for (i = 0; i < s->nauthenticators; i++)
		if (WAITS(s->authenticators[i]))
			return true;
	TAILQ_FOREACH (c, &s->crews, entry)
		for (j = 0; j < c->nplaces; j++)
			if (WAITS(c->places[j]))
				return true;
	return WAITS(s->broker) || WAITS(s->control);
#undef WAITS
}

static void
on_settle(int fd, short what, void *arg)
{
	const struct timeval soon = { .tv_usec = SETTLE_MS * 1000 };
	struct reload *r = arg;

	(void)fd;
	(void)what;
	if (is_waited_for(r->s) && r->settled++ < SETTLE_TIMES) {
		event_add(&r->settle, &soon);
		return;
	}
	r->s->execute = true; /* not from within the loop */
	event_base_loopbreak(r->s->base);
}

bool
supervise_reload_died(struct supervisor *s, pid_t pid, int status)
{
	struct reload *r = s->reload;
	char fate[64];

	if (r == NULL || r->pid != pid)
		return false;
	r->pid = 0;
	event_del(&r->late);
	if (r->fd != -1) {
		on_said(r->fd, 0, r);
		log_line(r);
	}
	if (s->stopping) {
		forget(s);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == RELOAD_YES) {
		event_active(&r->settle, EV_TIMEOUT, 1);
	} else {
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			log_warnx("reload: %s is a program that cannot take "
			          "over",
			    s->launch->program);
		else if (WIFSIGNALED(status) || WEXITSTATUS(status) == 127)
			log_warnx("reload: the check of %s %s",
			    s->launch->program,
			    child_fate(status, fate, sizeof(fate)));
		log_at(LOG_ERR, "reload: refused, nothing has changed");
		STATS_ADD(reloads[STATS_RELOAD_REFUSED], 1);
		fail(s);
	}
	return true;
}

void
supervise_reload_cancel(struct supervisor *s)
{
	s->reload_again = false;
	s->execute = false;
	if (s->reload != NULL && s->reload->pid != 0)
		(void)kill(s->reload->pid, SIGKILL);
}

/* argv of the program, and one more word. */
static char **
with_word(const struct supervise_launch *l, const char *word)
{
	size_t i, n = 0;
	char **argv;

	while (l->argv[n] != NULL)
		n++;
	argv = xcalloc(n + 2, sizeof(*argv));
	for (i = 0; i < n; i++)
		argv[i] = l->argv[i];
	argv[n] = xstrdup(word);
	return argv;
}

static void
name_state(int fd)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", fd);
	if (setenv(RELOAD_VARIABLE, number, 1) == -1)
		fatal("setenv");
}

/* In the child; what it says goes to out. */
static _Noreturn void
run_check(const struct supervise_launch *l, char **argv,
    const struct reload_state *st, int state, int out)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(out, STDOUT_FILENO) == -1 || dup2(out, STDERR_FILENO) == -1)
		_exit(127);
	reload_state_keep_open(st, true);
	(void)fcntl(state, F_SETFD, 0);
	name_state(state);
	if (chdir(l->folder) == -1)
		dprintf(STDERR_FILENO, "%s: %s\n", l->folder, strerror(errno));
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	execv(l->program, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", l->program, strerror(errno));
	_exit(127);
}

/* No signal: a handler of the master's would run in the child. */
static pid_t
start_check(
    struct supervisor *s, int state, const struct reload_state *st, int out)
{
	char **argv = with_word(s->launch, "--check_config");
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run_check(s->launch, argv, st, state, out);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	free(argv);
	return pid;
}

static void
watch(struct supervisor *s, pid_t pid, int fd)
{
	const struct timeval limit = { .tv_sec = CHECK_SECONDS };
	struct reload *r = xcalloc(1, sizeof(*r));

	s->reload = r;
	r->s = s;
	r->pid = pid;
	r->fd = fd;
	event_assign(&r->said, s->base, fd, EV_READ | EV_PERSIST, on_said, r);
	evtimer_assign(&r->late, s->base, on_late, r);
	evtimer_assign(&r->settle, s->base, on_settle, r);
	event_add(&r->said, NULL);
	event_add(&r->late, &limit);
}

/* The broker reads so many books, and descriptors are not for nothing. */
static bool
has_too_many_crews(const struct supervisor *s)
{
	const struct crew *c;
	unsigned int n = 0;

	TAILQ_FOREACH (c, &s->crews, entry)
		n++;
	if (n < BROKER_BOOKS_MAX)
		return false;
	log_at(LOG_ERR,
	    "reload: refused, nothing has changed: %u old generations have "
	    "sessions still (see drain_timeout)",
	    n);
	return true;
}

void
supervise_reload(struct supervisor *s)
{
	struct reload_state *st;
	int state, fds[2];
	pid_t pid = -1;

	if (s->stopping)
		return;
	if (s->starting || s->launch == NULL || s->reload != NULL) {
		s->reload_again = true;
		return;
	}
	s->reload_again = false;
	if (has_too_many_crews(s))
		return;
	log_info(
	    "reload: checking %s and its configuration", s->launch->program);
	st = supervise_state(s);
	state = reload_state_write(st);
	if (state != -1 && pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0) {
		pid = start_check(s, state, st, fds[1]);
		close(fds[1]);
		if (pid != -1)
			watch(s, pid, fds[0]);
		else
			close(fds[0]);
	}
	if (pid == -1)
		log_warn("reload: the check cannot be started");
	if (state != -1)
		close(state);
	reload_state_free(&st);
}

/* --- the exec ----------------------------------------------------------- */

/*
 * What signals have said so far is in the loop; what they say from now on
 * waits for the next image.
 */
static bool
is_still_wanted(struct supervisor *s, sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, before);
	event_base_loop(s->base, EVLOOP_NONBLOCK);
	return !s->stopping && !s->ended;
}

/* The folder of the start: paths on the command line begin there. */
static void
go_to(const char *folder)
{
	if (chdir(folder) == -1)
		log_warn("%s", folder);
}

void
supervise_execute(struct supervisor *s)
{
	const struct supervise_launch *l = s->launch;
	struct reload_state *st;
	sigset_t before;
	int state;

	s->execute = false;
	if (!is_still_wanted(s, &before)) {
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		if (s->reload != NULL)
			forget(s);
		return;
	}
	supervise_stats_look(s); /* the last time here */
	(void)log_flush();       /* what is left goes along */
	st = supervise_state(s);
	state = reload_state_write(st);
	if (state != -1) {
		reload_state_keep_open(st, true);
		(void)fcntl(state, F_SETFD, 0);
		name_state(state);
		go_to(l->folder);
		notify_reloading(s->notify);
		execv(l->program, l->argv);
	}
	log_warn(
	    "reload: %s cannot be executed: nothing has changed", l->program);
	notify_ready(s->notify, "serving");
	(void)unsetenv(RELOAD_VARIABLE);
	reload_state_keep_open(st, false);
	if (state != -1)
		close(state);
	if (l->background)
		go_to("/");
	reload_state_free(&st);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	fail(s);
}

/* --- afterwards --------------------------------------------------------- */

static bool
is_in_use(const struct supervisor *s, int fd)
{
	size_t i;

	for (i = 0; i < s->conf->nlisten; i++)
		if (s->listeners[i] == fd)
			return true;
	return false;
}

/* Nobody would take the clients that came to new ones. */
void
supervise_drop_new_listeners(struct supervisor *s)
{
	const struct reload_state *before = s->before;
	size_t i, j;

	for (i = 0; i < s->conf->nlisten; i++) {
		for (j = 0; j < before->nlisteners; j++)
			if (before->listeners[j].fd == s->listeners[i])
				break;
		if (j == before->nlisteners)
			close(s->listeners[i]);
	}
}

void
supervise_take_over(struct supervisor *s)
{
	const struct reload_state *before = s->before;
	size_t i;

	/* Those that were dropped are closed here and in the old workers. */
	crews_drain(s);
	for (i = 0; i < before->nlisteners; i++)
		if (!is_in_use(s, before->listeners[i].fd))
			close(before->listeners[i].fd);
	supervise_metrics_take_over(s);
	if (before->passphrase != -1)
		close(before->passphrase);
	STATS_ADD(reloads[STATS_RELOAD_DONE], 1);
	log_info("reloaded: generation %" PRIu32 " serves, version=" VERSION
	         " (before: %s) workers=%u keepers=%u, %u workers of before "
	         "go with their last session",
	    s->number, before->version, s->conf->workers, s->conf->keepers,
	    crews_running(s, true));
}
