/* SPDX-License-Identifier: ISC */
/*
 * master: from the command line to a daemon that serves.  Runs as root where
 * it was started so, with the capabilities that are left of that.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "check.h"
#include "control_client.h"
#include "msg_control.h"
#include "hostname.h"
#include "launch.h"
#include "ledger_show.h"
#include "listen.h"
#include "log.h"
#include "master.h"
#include "metrics_listen.h"
#include "pid_file.h"
#include "priv.h"
#include "sandbox.h"
#include "session.h"
#include "spool.h"
#include "xmalloc.h"

#define CONF_FOLDER "/etc/relais"
#define OUTPUT_MAX 67108864 /* octets of --help, --print_config, --ledger */
#define FILES_PER_CLIENT 2 /* the client's, the inner server's */
#define FILES_BESIDE 256   /* channels, listeners, memfds */
/* The master's: memfds, channels; and FILES_KEPT for a new generation. */
#define FILES_BESIDE_PROCESSES 128

static struct pid_file *pid_file;
static int parent = -1; /* the process that waits for us to be ready */

/*
 * What is wrong with the configuration: to the one who typed the command, or
 * to the log where that is a client.  At a reload nobody is at a terminal, and
 * the check has told all warnings before.
 */
static void
report(void *arg, bool is_error, const char *text)
{
	const struct launch *l = arg;

	if (l->asks) {
		return; /* the daemon that runs has its own */
	} else if (launch_is_successor(l)) {
		if (is_error)
			log_at(LOG_ERR, "reload: %s", text);
	} else if (l->inherited.mute) {
		log_at(is_error ? LOG_ERR : LOG_WARNING, "%s", text);
	} else {
		(void)fprintf(
		    stderr, "%s%s\n", is_error ? "" : "warning: ", text);
	}
}

static void
to_terminal(void *arg, int priority, const char *text)
{
	(void)arg;
	if (priority <= LOG_NOTICE)
		(void)fprintf(stderr, "%s\n", text);
}

/* At start, what goes to the log is also told to the one who waits. */
static void
to_both(void *arg, int priority, const char *text)
{
	to_terminal(arg, priority, text);
	log_write(priority, getpid(), text);
}

/* A whole answer on stdout, or exit status 1. */
static int
answer(struct buf *out)
{
	struct text t = buf_view(out);

	if (fwrite(t.p, 1, t.len, stdout) != t.len || fflush(stdout) != 0) {
		(void)fprintf(stderr, "stdout: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}

/* -f FILE, or the default when it is there. */
static char *
file_of(const struct protocol *p, const struct conf_command *cmd)
{
	char *path;

	if (cmd->file != NULL)
		return xstrdup(cmd->file);
	path = xasprintf("%s/%s.conf", CONF_FOLDER, p->defaults->name);
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

/* What it calls itself where others can check it (RFC 5321 4.1.1.1). */
static void
find_hostname(struct conf *c)
{
	if (c->sasl && c->hostname == NULL)
		c->hostname = hostname_full();
}

/*
 * With a process for each client the master has a descriptor for each: whoever
 * cannot have one is to hear it from the broker, and not to wait.
 */
static void
fit_to_files(struct conf *c)
{
	const rlim_t beside = FILES_BESIDE_PROCESSES + c->nlisten +
	    2 * (rlim_t)c->workers + c->keepers + c->authenticators_max;
	unsigned int most = broker_places(c) - c->workers;
	struct rlimit r;

	if (c->one_client || getrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    r.rlim_max >= beside + most)
		return;
	c->connection_limit =
	    r.rlim_max > beside ? (unsigned int)(r.rlim_max - beside) : 1;
	log_warnx("connection_limit is %u: the limit of open files allows no "
	          "more",
	    c->connection_limit);
}

/* Fill in what depends on the machine. */
static void
fit_to_machine(struct conf *c)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int processors = n < 1 ? 1 : (unsigned int)n;
	struct rlimit r;
	rlim_t want;

	if (c->workers == 0)
		c->workers = processors;
	if (c->keepers == 0)
		c->keepers = processors;
	if (c->keepers > c->workers)
		c->keepers = c->workers;
	want = (rlim_t)c->worker_connections * FILES_PER_CLIENT + FILES_BESIDE +
	    c->nlisten;
	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	if (want > r.rlim_max) {
		/* Root may raise it; else there will be fewer clients. */
		struct rlimit more = { r.rlim_cur, want };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			r.rlim_max = want;
	}
	if (want > r.rlim_max) {
		want = r.rlim_max > FILES_BESIDE + c->nlisten + 2
		    ? (r.rlim_max - FILES_BESIDE - c->nlisten) /
		        FILES_PER_CLIENT
		    : 1;
		log_debug("worker_connections is %llu: the limit of open files "
		          "allows no more",
		    (unsigned long long)want);
		c->worker_connections = (unsigned int)want;
	}
}

static void
fit(struct conf *c)
{
	fit_to_machine(c);
	if (c->worker_connections == 1)
		fit_to_files(c);
}

/* The log, as configured; until we serve, stderr hears of it too. */
static int
open_log(const struct conf *c, const char *name, const struct launch *l)
{
	/* A service manager has syslog and stderr in one journal. */
	bool once = l->inherited.mute || l->before != NULL ||
	    strcmp(c->log_facility, "+") == 0 ||
	    (l->notify.len != 0 && strchr("/-", c->log_facility[0]) == NULL);
	const char *why;

	if (log_open(c->log_facility,
	        c->log_ident != NULL ? c->log_ident : name, &why) == -1) {
		log_at(LOG_ERR, "log_facility %s: %s", c->log_facility, why);
		return -1;
	}
	log_set_level(c->debug ? LOG_DEBUG : c->quiet ? LOG_ERR : LOG_INFO);
	log_set_sink(once ? NULL : to_both, NULL);
	return 0;
}

/* Where the image before had it, until the configuration is known. */
static void
log_as_before(const struct reload_state *before)
{
	const char *why;

	log_set_level((int)before->log_level);
	log_set_sink(NULL, NULL);
	if (log_open(before->log_target, before->log_ident, &why) == -1)
		log_warnx("log_facility %s: %s", before->log_target, why);
}

/* The parent goes when the child serves, with the child's own verdict. */
static void
into_background(void)
{
	char verdict = 1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		fatal("pipe");
	pid = fork();
	if (pid == -1)
		fatal("fork");
	if (pid > 0) {
		close(fds[1]);
		if (read(fds[0], &verdict, 1) != 1)
			verdict = 1;
		_exit(verdict);
	}
	close(fds[0]);
	parent = fds[1];
	(void)setsid();
}

static int
open_pid_file(const struct conf *c)
{
	if (c->pid_file == NULL || c->pid_file[0] == '\0')
		return 0;
	pid_file = pid_file_open(c->pid_file);
	return pid_file == NULL ? -1 : 0;
}

/* The image before had one: its lock is ours already. */
static void
take_pid_file(
    const struct conf *c, const struct reload_state *before, bool is_good)
{
	struct pid_file *old = NULL;

	if (before->pid_path != NULL)
		old = pid_file_adopt(before->pid_path, before->pid_fd);
	if (!is_good ||
	    (old != NULL && c->pid_file != NULL &&
	        strcmp(c->pid_file, before->pid_path) == 0)) {
		pid_file = old;
		return;
	}
	pid_file_remove(&old);
	if (open_pid_file(c) == 0 && pid_file != NULL)
		pid_file_write(pid_file);
}

/* It serves: let go of the terminal and of whoever waits. */
static void
let_go(void)
{
	const char ok = 0;
	int null;

	log_set_sink(NULL, NULL);
	if (parent == -1)
		return;
	if (chdir("/") == -1)
		log_warn("chdir");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(parent, &ok, 1) != 1)
		log_warn("telling that we serve");
	close(parent);
}

/*
 * Each process has a channel to us, and with a process for each client there
 * are far more of them than the usual soft limit (1024) is good for.
 */
static void
allow_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		log_warn("raising the limit of open files");
}

static void
become_master(const char *name)
{
	allow_files();
	setproctitle("master");
	(void)prctl(PR_SET_NAME, name);
	(void)signal(SIGPIPE, SIG_IGN);
}

static void
trim(void)
{
	if (priv_trim_master() == -1)
		log_warn("giving up capabilities");
	(void)prctl(PR_SET_DUMPABLE, 0);
}

/* Our own listeners, or what we were given. */
static int
find_listeners(struct conf *c, const struct launch *l, int **listeners)
{
	if (l->inherited.kind == INHERIT_NONE)
		return listen_open(c, listeners, l->before);
	*listeners = listen_inherited(c, &l->inherited);
	return 0;
}

static int
supervise_to_the_end(struct supervisor *s, const struct launch *l, int chatty)
{
	int status = supervise_run(s, &l->again) == 0 ? 0 : 1;

	log_at(chatty, "stopped");
	return status;
}

static int
serve(struct conf *c, const struct protocol *p, struct launch *l)
{
	struct supervisor *s;
	const char *name = p->defaults->name;
	int chatty = c->one_client ? LOG_DEBUG : LOG_INFO;
	int *listeners, status = 1;

	fit(c);
	find_hostname(c);
	if (find_listeners(c, l, &listeners) == -1)
		return 1;
	if (!c->no_daemon)
		into_background();
	l->again.background = !c->no_daemon;
	become_master(name);
	if (open_pid_file(c) == -1)
		return 1;
	if (!priv_am_root())
		log_at(chatty,
		    "not started as root: no chroot, no change of user");
	else if (spool_prepare(c->spool_directory) == -1)
		goto done;
	trim();
	sandbox_enter_master();
	s = supervise_new(c, p, listeners);
	if (s == NULL || supervise_start(s) == -1)
		goto done;
	if (pid_file != NULL)
		pid_file_write(pid_file);
	l->again.pid_file = pid_file;
	log_at(chatty, "Starting %s version=" VERSION " workers=%u keepers=%u",
	    name, c->workers, c->keepers);
	if (c->one_client) /* it is its worker's alone from now on */
		close(l->inherited.sockets[0].fd);
	supervise_watch(s, &l->notify);
	notify_ready(&l->notify, "serving");
	let_go();
	status = supervise_to_the_end(s, l, chatty);
done:
	pid_file_remove(&pid_file);
	return status;
}

/*
 * We were executed by a reload, in the place of a master that has looked at
 * all this before; what it did not see must not end those who are served.
 */
static int
take_over(
    struct conf *c, const struct protocol *p, struct launch *l, bool is_good)
{
	struct supervisor *s;
	int *listeners = NULL, status;

	fit(c);
	find_hostname(c);
	if (is_good &&
	    (find_listeners(c, l, &listeners) == -1 ||
	        (priv_am_root() && spool_prepare(c->spool_directory) == -1)))
		is_good = false;
	become_master(p->defaults->name);
	take_pid_file(c, l->before, is_good);
	trim();
	if (l->before->background && chdir("/") == -1)
		log_warn("chdir");
	l->again.background = l->before->background;
	l->again.pid_file = pid_file;
	s = supervise_resume(c, p, is_good ? listeners : NULL, l->before);
	supervise_watch(s, &l->notify);
	if (supervise_start(s) == -1)
		log_at(LOG_ERR,
		    "reload: there is no new generation: those of "
		    "before go on");
	notify_ready(&l->notify, "serving");
	status = supervise_to_the_end(s, l, LOG_INFO);
	pid_file_remove(&pid_file);
	return status;
}

/* Else it has been said already, and no keeper needs to say it again. */
static bool
pairs_are_there(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->npairs; i++)
		if (access(c->pairs[i].cert_file, R_OK) == -1 ||
		    access(c->pairs[i].key_file, R_OK) == -1)
			return false;
	return c->ssl_cert_dir == NULL || access(c->ssl_cert_dir, R_OK) == 0;
}

/* What a reload would need besides. */
static unsigned int
check_again(const struct conf *c, const struct launch *l)
{
	unsigned int errors = 0;

	if (l->inherited.kind == INHERIT_NONE && listen_try(c, l->before) == -1)
		errors++;
	if (metrics_listen_try(c, l->before) == -1)
		errors++;
	if (!c->enabled) {
		(void)fprintf(
		    stderr, "enabled no: to switch it off, stop it\n");
		errors++;
	}
	return errors;
}

/* Everything a start would need; each fault was printed. */
static int
check(struct conf *c, const struct protocol *p, const struct launch *l,
    unsigned int errors)
{
	bool again = l->before != NULL;

	if (priv_am_root() && spool_prepare(c->spool_directory) == -1)
		errors++;
	find_hostname(c);
	fit(c);
	if (pairs_are_there(c) && supervise_check(c, p, again) == -1)
		errors++;
	if (again)
		errors += check_again(c, l);
	if (errors > 0) {
		(void)fprintf(stderr, "%s: %u fault%s\n", p->defaults->name,
		    errors, errors == 1 ? "" : "s");
		return 1;
	}
	if (again)
		return RELOAD_YES;
	printf("%s: the configuration is good%s\n", p->defaults->name,
	    c->enabled ? "" : ", and says \"enabled no\": nothing would start");
	return 0;
}

/* "enabled no" is no fault, and the service manager takes it for none. */
static int
say_disabled(const char *name, const struct launch *l)
{
	if (l->inherited.mute)
		log_info("enabled no: nothing to do");
	else
		printf("%s: enabled no: nothing to do\n", name);
	notify_ready(&l->notify, "enabled no: nothing to do");
	return 0;
}

/* What came by a descriptor is there once: the image before has kept it. */
static unsigned int
find_passphrase(struct conf *c, const struct reload_state *before)
{
	if (before == NULL || c->ssl_passphrase_fd < 0)
		return 0;
	if (before->passphrase == -1) {
		log_warnx("ssl_passphrase_fd: none was given when the daemon "
		          "was started: it has to be started again");
		return 1;
	}
	c->ssl_passphrase_fd = fcntl(before->passphrase, F_DUPFD_CLOEXEC, 3);
	if (c->ssl_passphrase_fd == -1 ||
	    lseek(c->ssl_passphrase_fd, 0, SEEK_SET) == -1)
		fatal("the passphrase of before");
	return 0;
}

/* The daemon itself, or the check; the configuration has been read. */
static int
launch(struct conf *c, const struct protocol *p, struct launch *l,
    bool check_config, unsigned int errors)
{
	if (errors == 0)
		errors += check_machine(c, p, report, l);
	if (check_config)
		return check(c, p, l, errors);
	if (c->inetd_mode && l->inherited.kind == INHERIT_NONE) {
		report(l, true, "inetd_mode: descriptor 0 is no TCP socket");
		errors++;
	}
	if (errors == 0 && open_log(c, p->defaults->name, l) == -1)
		errors++;
	if (launch_is_successor(l))
		return take_over(c, p, l, errors == 0);
	return errors > 0 ? 1 : serve(c, p, l);
}

/*
 * Ask the one that runs.  Where its socket is, the configuration says, as far
 * as it can be read: what else is in it may be in the making.
 */
static int
ask(struct conf *c, const struct protocol *p, struct conf_command *cmd,
    struct launch *l)
{
	const char *fault = control_client_fault(cmd);
	char *file = file_of(p, cmd);

	if (fault != NULL) {
		(void)fprintf(stderr, "%s\n", fault);
		return CONTROL_FAILED;
	}
	if (file != NULL && access(file, R_OK) == -1) {
		(void)fprintf(stderr, "%s: %s\n", file, strerror(errno));
		return CONTROL_FAILED;
	}
	l->asks = true;
	if (file != NULL && conf_read_file(c, file) > 0)
		(void)fprintf(
		    stderr, "%s has faults; see --check_config\n", file);
	free(file);
	return control_client(c, p->defaults->name, cmd);
}

/* --ledger, --forgive: no daemon is started. */
static int
use_ledger(
    const struct conf *c, const struct conf_command *cmd, struct buf *out)
{
	int r = 0;

	if (cmd->forgive != NULL)
		r = ledger_forgive(c, cmd->forgive, out);
	if (r == 0 && cmd->ledger != NULL)
		r = ledger_show(c, cmd->ledger, cmd->json, out);
	return r == -1 ? 1 : answer(out);
}

static int
run(struct conf *c, const struct protocol *p, struct conf_command *cmd,
    struct launch *l, unsigned int errors)
{
	struct buf out;
	char *file;

	if (control_client_is_asked(cmd))
		return ask(c, p, cmd, l);
	buf_init(&out, OUTPUT_MAX);
	if (cmd->help) {
		conf_help(c, &out);
		return answer(&out);
	}
	if (cmd->version) {
		(void)buf_printf(
		    &out, "%s (Relais) " VERSION "\n", p->defaults->name);
		return answer(&out);
	}
	file = file_of(p, cmd);
	if (file != NULL)
		errors += conf_read_file(c, file);
	if (cmd->ledger != NULL || cmd->forgive != NULL) {
		free(file);
		return errors > 0 ? 1 : use_ledger(c, cmd, &out);
	}
	errors += conf_settle(c, file);
	errors += find_passphrase(c, l->before);
	free(file);
	if (errors > 0 && !launch_is_successor(l))
		return 1;
	if (cmd->print_config) {
		conf_print(c, &out);
		return answer(&out);
	}
	if (!c->enabled && !cmd->check_config && !launch_is_successor(l))
		return say_disabled(p->defaults->name, l);
	return launch(c, p, l, cmd->check_config, errors);
}

/* From here on no word goes to a client. */
static void
be_quiet(const struct conf *c, const char *name)
{
	const char *why;

	(void)log_open(c->log_facility, name, &why);
	log_set_sink(NULL, NULL);
}

int
master_main(const struct protocol *p, int argc, char *argv[])
{
	struct conf_command cmd = { .file = NULL };
	struct launch l = { 0 };
	struct conf *c = conf_new(p->defaults, report, &l);
	unsigned int errors;
	int fd;

	/* Descriptors 0 to 2 exist, whatever started us. */
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	(void)umask(022);
	log_set_sink(to_terminal, NULL);
	if (launch_find(&l, argc, argv) == -1)
		return 1;
	if (l.inherited.mute)
		be_quiet(c, p->defaults->name);
	conf_inherit(c, &l.inherited);
	setproctitle_init(argc, argv, environ);
	if (launch_is_successor(&l))
		log_as_before(l.before);
	errors = conf_read_args(c, argc, argv, &cmd);
	if (errors > 0 && !launch_is_successor(&l))
		return control_client_is_asked(&cmd) ? CONTROL_FAILED : 1;
	return run(c, p, &cmd, &l, errors);
}
