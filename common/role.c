/* SPDX-License-Identifier: ISC */
/*
 * role: how every role but the master begins.  Runs in a process that was
 * executed anew (its own address layout and canary; a nursery's workers have
 * the nursery's) and is still root where
 * the daemon was started as root, until role_confine().
 */
#include <sys/prctl.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authenticator.h"
#include "broker.h"
#include "control.h"
#include "keeper.h"
#include "log.h"
#include "metrics.h"
#include "nursery.h"
#include "priv.h"
#include "role.h"
#include "session.h"
#include "stats.h"
#include "worker.h"
#include "xmalloc.h"

/* A sanitizer's reports need stderr, which may be a file. */
#ifdef SANITIZE
#define SANITIZER_REPORTS true
#else
#define SANITIZER_REPORTS false
#endif

/*
 * Memory of a worker: what it has anyway, and for each client more than
 * its buffers hold.  One that was taken over does not take all that the
 * machine has.
 */
#define WORKER_MEMORY (256UL << 20)
#define CLIENT_MEMORY (512UL << 10)

static struct ipc *master; /* the channel to it */
/* Who hears it: told by role_confine(), and nothing is read before that. */
static ipc_handler *from_master;
static void *from_master_arg;

int
role_is_asked(int argc, char *const argv[])
{
	return argc == ROLE_ARGC && strcmp(argv[1], ROLE_ARG) == 0;
}

static void
report(void *arg, bool is_error, const char *text)
{
	(void)arg;
	if (is_error)
		log_warnx("%s", text);
}

static uint64_t
number_of(const char *arg, uint64_t max)
{
	uint64_t n;

	if (!text_u64(text_of(arg), max, &n))
		fatalx("a role is started by its master, not by hand");
	return n;
}

struct event_base *
role_event_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg != NULL) {
		event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
		event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
		base = event_base_new_with_config(cfg);
		event_config_free(cfg);
	}
	if (base == NULL)
		fatalx("libevent cannot start");
	return base;
}

static void
read_handover(struct role_start *start)
{
	struct text text;

	start->handover = handover_open(ROLE_FD_HANDOVER);
	if (start->handover == NULL)
		fatal("what the master handed over");
	close(ROLE_FD_HANDOVER);
	start->conf = conf_new(start->protocol->defaults, report, NULL);
	text = handover_get(start->handover, HANDOVER_CONF, 0);
	if (conf_read_role(start->conf, text) == -1)
		fatalx("the configuration handed over does not parse");
	log_set_level(start->conf->debug ? LOG_DEBUG
	        : start->conf->quiet     ? LOG_ERR
	                                 : LOG_INFO);
}

static void
to_master(void *arg, int priority, const char *text)
{
	struct msg_log m = { .priority = (uint8_t)priority,
		.text = text_of(text) };
	struct writer w UNZEROED;

	(void)arg;
	if (m.priority < LOG_ERR)
		m.priority = LOG_ERR;
	msg_start(&w, MSG_LOG, 0);
	msg_put_log(&w, &m);
	(void)ipc_send(master, &w, -1);
}

static void
master_gone(void *arg, struct ipc *ch, const char *why)
{
	(void)arg;
	(void)ch;
	(void)why;
	_exit(1);
}

/* A new generation serves; what there is to it, workers alone do. */
static void
grow_old(const struct role_start *start)
{
	setproctitle("old %s %u", role_name(start->role), start->number + 1);
}

static int
on_master(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	const struct role_start *start = arg;
	struct writer w UNZEROED;

	if (type == MSG_ALIVE) { /* its loop goes round: it is */
		if (get_end(r) == -1)
			return -1;
		msg_start(&w, MSG_ALIVE_REPLY, 0);
		(void)ipc_send(ch, &w, -1);
		return 0;
	}
	if (type == MSG_DRAIN) {
		grow_old(start);
		if (start->role != ROLE_WORKER)
			return get_end(r);
	}
	return from_master(from_master_arg, ch, type, id, r, fd);
}

/* First of all, so that what a role says while it loads is in the log. */
static void
open_master(struct role_start *start)
{
	start->base = role_event_base();
	master = ipc_new(start->base, ROLE_FD_MASTER, start->role, ROLE_MASTER,
	    on_master, master_gone, start);
	log_set_sink(to_master, NULL);
}

/* argv: name, ROLE_ARG, role, number, serial, master's pid, descriptors. */
void
role_run(const struct protocol *p, int argc, char *argv[])
{
	struct role_start start = { .protocol = p };
	sigset_t none;

	setproctitle_init(argc, argv, environ);
	start.role = (enum role)number_of(argv[2], ROLE_MAX - 1);
	start.number = (unsigned int)number_of(argv[3], UINT16_MAX);
	start.serial = (uint32_t)number_of(argv[4], UINT32_MAX);
	start.nfds = (unsigned int)number_of(argv[6], 1024);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	start.master = (pid_t)number_of(argv[5], INT32_MAX);
	if (getppid() != start.master)
		_exit(1); /* the master died in between */
	setproctitle("%s %u", role_name(start.role), start.number + 1);
	(void)prctl(PR_SET_NAME, p->defaults->name);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A terminal's Ctrl-C is the master's business. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGUSR1, SIG_IGN);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);

	open_master(&start);
	if (stats_attach(ROLE_FD_STATS) == -1)
		fatal("the memory for what is counted");
	read_handover(&start);
	switch (start.role) {
	case ROLE_KEEPER:
		keeper_main(&start);
	case ROLE_BROKER:
		broker_main(&start);
	case ROLE_WORKER:
		worker_main(&start);
	case ROLE_AUTHENTICATOR:
		authenticator_main(&start);
	case ROLE_NURSERY:
		nursery_main(&start);
	case ROLE_METRICS:
		metrics_main(&start);
	case ROLE_CONTROL:
		control_main(&start);
	case ROLE_MASTER:
	case ROLE_MAX:
		break;
	}
	fatalx("there is no such role");
}

void
role_born(
    struct role_start *start, unsigned int number, uint32_t serial, int fd)
{
	/* The nursery's loop has descriptors that it shares with us. */
	if (event_reinit(start->base) == -1)
		fatalx("libevent cannot start again");
	ipc_free(&master);
	start->role = ROLE_WORKER;
	start->number = number;
	start->serial = serial;
	start->born = true;
	master = ipc_new(start->base, fd, start->role, ROLE_MASTER, on_master,
	    master_gone, start);
}

void
role_end(void)
{
	if (SANITIZER_REPORTS)
		exit(0); /* leaks are looked for on the way */
	_exit(0);
}

void
role_accuse(enum role role, uint16_t number, uint32_t serial)
{
	struct msg_accuse m = { (uint8_t)role, number, serial };
	struct writer w UNZEROED;

	msg_start(&w, MSG_ACCUSE, 0);
	msg_put_accuse(&w, &m);
	(void)ipc_send(master, &w, -1);
}

/* From here on all words go to the master; nobody's terminal is held. */
static void
let_go_of_terminal(void)
{
	int i, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (i = 0; i <= STDERR_FILENO && null != -1; i++)
		(void)dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
}

/* Root directory and user of this role (the README's table). */
static void
drop(const struct role_start *start)
{
	const struct conf *c = start->conf;
	struct text t = handover_get(start->handover, HANDOVER_USER, 0);
	struct priv_user user;
	char *root;

	if (!priv_am_root()) {
		priv_drop(NULL, NULL);
		return;
	}
	if (t.len != sizeof(user))
		fatalx("there is no user to become");
	memcpy(&user, t.p, sizeof(user));
	root = xasprintf("%s%s", c->spool_directory,
	    start->role == ROLE_BROKER || start->role == ROLE_AUTHENTICATOR
	        ? ""
	        : "/empty");
	priv_drop(root, &user);
	free(root);
}

static void
limit_memory(const struct role_start *start)
{
	if (SANITIZER_REPORTS || start->born)
		return;
	if (start->role == ROLE_WORKER || start->role == ROLE_NURSERY)
		priv_limit_memory(WORKER_MEMORY +
		    start->conf->worker_connections * CLIENT_MEMORY);
}

struct ipc *
role_confine(const struct role_start *start, const struct sandbox *box,
    unsigned int files, ipc_handler *handler, void *arg)
{
	struct handover *h = start->handover;
	struct sandbox whole = *box;
	struct msg_ready ready;
	struct writer w UNZEROED;

	if (!start->born)
		whole.filter =
		    handover_get(h, HANDOVER_FILTER, (uint16_t)start->role);
	from_master = handler;
	from_master_arg = arg;
	if (!SANITIZER_REPORTS && !start->born)
		let_go_of_terminal();
	if (!start->born)
		drop(start);
	limit_memory(start);
	priv_harden(files, !SANITIZER_REPORTS, start->role == ROLE_NURSERY);
	if (start->born && getppid() != start->master)
		_exit(1); /* it died before we were to die with it */
	ready.missing = sandbox_enter(&whole);
	if (!start->born) /* the mapping is sealed: it cannot be wiped */
		handover_close(&h);
	msg_start(&w, MSG_READY, 0);
	msg_put_ready(&w, &ready);
	(void)ipc_send(master, &w, -1);
	return master;
}
