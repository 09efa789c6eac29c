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

#include "check.h"
#include "hostname.h"
#include "inherit.h"
#include "listen.h"
#include "log.h"
#include "master.h"
#include "notify.h"
#include "priv.h"
#include "session.h"
#include "spool.h"
#include "supervise.h"
#include "xmalloc.h"

#define CONF_FOLDER "/etc/relais"
#define OUTPUT_MAX 4194304 /* octets of --help and --print_config */
#define FILES_PER_CLIENT 2 /* the client's, the inner server's */
#define FILES_BESIDE 256   /* channels, listeners, memfds */

static struct pidfh *pid_file;
static int parent = -1; /* the process that waits for us to be ready */

/* Who started us, and what came along. */
struct launch {
	struct inherited inherited;
	struct notify notify;
};

/* To the one who typed the command, or, where that is a client, to the log. */
static void
report(void *arg, bool is_error, const char *text)
{
	const struct launch *l = arg;

	if (l->inherited.mute)
		log_at(is_error ? LOG_ERR : LOG_WARNING, "%s", text);
	else
		fprintf(stderr, "%s%s\n", is_error ? "" : "warning: ", text);
}

static void
to_terminal(void *arg, int priority, const char *text)
{
	(void)arg;
	if (priority <= LOG_NOTICE)
		fprintf(stderr, "%s\n", text);
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
		fprintf(stderr, "stdout: %s\n", strerror(errno));
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

/* The log, as configured; until we serve, stderr hears of it too. */
static int
open_log(const struct conf *c, const char *name, const struct launch *l)
{
	/* A service manager has syslog and stderr in one journal. */
	bool once = l->inherited.mute || strcmp(c->log_facility, "+") == 0 ||
	    (l->notify.len != 0 && strchr("/-", c->log_facility[0]) == NULL);
	const char *why;

	log_set_level(c->debug ? LOG_DEBUG : c->quiet ? LOG_ERR : LOG_INFO);
	if (log_open(c->log_facility,
	        c->log_ident != NULL ? c->log_ident : name, &why) == -1) {
		log_at(LOG_ERR, "log_facility %s: %s", c->log_facility, why);
		return -1;
	}
	log_set_sink(once ? NULL : to_both, NULL);
	return 0;
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
	pid_t other;

	if (c->pid_file == NULL || c->pid_file[0] == '\0')
		return 0;
	pid_file = pidfile_open(c->pid_file, 0644, &other);
	if (pid_file == NULL && errno == EEXIST)
		log_warnx("pid_file %s: process %ld runs already", c->pid_file,
		    (long)other);
	else if (pid_file == NULL)
		log_warn("pid_file %s", c->pid_file);
	return pid_file == NULL ? -1 : 0;
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

/* Our own listeners, or what we were given. */
static int
find_listeners(struct conf *c, const struct inherited *in, int **listeners)
{
	if (in->kind == INHERIT_NONE)
		return listen_open(c, listeners);
	*listeners = listen_inherited(in);
	return 0;
}

/* The roles are there.  A client is its worker's alone from now on. */
static void
run_to_the_end(struct supervisor *s, const struct conf *c, struct launch *l)
{
	if (c->one_client)
		close(l->inherited.sockets[0].fd);
	supervise_watch(s, &l->notify);
	notify_ready(&l->notify, "serving");
	let_go();
	supervise_run(s);
}

static int
serve(struct conf *c, const struct protocol *p, struct launch *l)
{
	struct supervisor *s;
	const char *name = p->defaults->name;
	int chatty = c->one_client ? LOG_DEBUG : LOG_INFO;
	int *listeners, status = 1;

	fit_to_machine(c);
	find_hostname(c);
	if (find_listeners(c, &l->inherited, &listeners) == -1)
		return 1;
	if (!c->no_daemon)
		into_background();
	setproctitle("master");
	(void)prctl(PR_SET_NAME, name);
	(void)signal(SIGPIPE, SIG_IGN);
	if (open_pid_file(c) == -1)
		return 1;
	if (!priv_am_root())
		log_at(chatty,
		    "not started as root: no chroot, no change of user");
	else if (spool_prepare(c->spool_directory) == -1)
		goto done;
	if (priv_trim_master() == -1)
		log_warn("giving up capabilities");
	(void)prctl(PR_SET_DUMPABLE, 0);
	s = supervise_new(c, p, listeners);
	if (s == NULL || supervise_start(s) == -1)
		goto done;
	if (pid_file != NULL)
		(void)pidfile_write(pid_file);
	log_at(chatty, "Starting %s version=" VERSION " workers=%u keepers=%u",
	    name, c->workers, c->keepers);
	run_to_the_end(s, c, l);
	log_at(chatty, "stopped");
	status = 0;
done:
	if (pid_file != NULL)
		(void)pidfile_remove(pid_file);
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
	return true;
}

/* Everything a start would need; each fault was printed. */
static int
check(struct conf *c, const struct protocol *p, unsigned int errors)
{
	struct supervisor *s;

	if (priv_am_root() && spool_prepare(c->spool_directory) == -1)
		errors++;
	find_hostname(c);
	fit_to_machine(c);
	if (pairs_are_there(c)) {
		s = supervise_new(c, p, NULL);
		if (s == NULL || supervise_check(s) == -1)
			errors++;
	}
	if (errors > 0) {
		fprintf(stderr, "%s: %u fault%s\n", p->defaults->name, errors,
		    errors == 1 ? "" : "s");
		return 1;
	}
	printf("%s: the configuration is good\n", p->defaults->name);
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

static int
run(struct conf *c, const struct protocol *p, struct conf_command *cmd,
    struct launch *l)
{
	unsigned int errors = 0;
	struct buf out;
	char *file;

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
	errors += conf_settle(c, file);
	free(file);
	if (errors > 0)
		return 1;
	if (cmd->print_config) {
		conf_print(c, &out);
		return answer(&out);
	}
	if (!c->enabled && !cmd->check_config)
		return say_disabled(p->defaults->name, l);
	errors += check_machine(c, p, report, l);
	if (cmd->check_config)
		return check(c, p, errors);
	if (c->inetd_mode && l->inherited.kind == INHERIT_NONE) {
		report(l, true, "inetd_mode: descriptor 0 is no TCP socket");
		errors++;
	}
	if (errors > 0 || open_log(c, p->defaults->name, l) == -1)
		return 1;
	return serve(c, p, l);
}

/* Who started us?  From here on no word goes to a client. */
static int
look_around(struct launch *l, struct conf *c, const char *name)
{
	const char *why;

	notify_open(&l->notify);
	if (inherit_find(&l->inherited) == -1)
		return -1;
	if (l->inherited.mute) {
		(void)log_open(c->log_facility, name, &why);
		log_set_sink(NULL, NULL);
	}
	conf_inherit(c, &l->inherited);
	return 0;
}

int
master_main(const struct protocol *p, int argc, char *argv[])
{
	struct conf_command cmd = { .file = NULL };
	struct launch l = { 0 };
	struct conf *c = conf_new(p->defaults, report, &l);
	int fd;

	/* Descriptors 0 to 2 exist, whatever started us. */
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	(void)umask(022);
	log_set_sink(to_terminal, NULL);
	if (look_around(&l, c, p->defaults->name) == -1)
		return 1;
	setproctitle_init(argc, argv, environ);
	if (conf_read_args(c, argc, argv, &cmd) > 0)
		return 1;
	return run(c, p, &cmd, &l);
}
