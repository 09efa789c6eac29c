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
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "hostname.h"
#include "listen.h"
#include "log.h"
#include "master.h"
#include "pid_file.h"
#include "priv.h"
#include "reload_state.h"
#include "session.h"
#include "spool.h"
#include "supervise.h"
#include "xmalloc.h"

#define CONF_FOLDER "/etc/relais"
#define OUTPUT_MAX 4194304 /* octets of --help and --print_config */
#define FILES_PER_CLIENT 2 /* the client's, the inner server's */
#define FILES_BESIDE 256   /* channels, listeners, memfds */

static struct pid_file *pid_file;
static int parent = -1; /* the process that waits for us to be ready */

/* What a reload hands over; NULL: this is a start. */
static struct reload_state *before;
static struct supervise_launch launch;

/* Before there is a log: to the one who typed the command. */
static void
report(void *arg, bool is_error, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s%s\n", is_error ? "" : "warning: ", text);
}

static void
to_terminal(void *arg, int priority, const char *text)
{
	(void)arg;
	if (priority <= LOG_NOTICE)
		fprintf(stderr, "%s\n", text);
}

/* There is nobody at a terminal; the check has told all warnings before. */
static void
report_to_log(void *arg, bool is_error, const char *text)
{
	(void)arg;
	if (is_error)
		log_at(LOG_ERR, "reload: %s", text);
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
static int
find_hostname(struct conf *c)
{
	if (c->sasl && c->hostname == NULL)
		c->hostname = hostname_full();
	return c->sasl && c->hostname == NULL ? -1 : 0;
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
open_log(const struct conf *c, const char *name)
{
	const char *why;

	log_set_level(c->debug ? LOG_DEBUG : c->quiet ? LOG_ERR : LOG_INFO);
	if (log_open(c->log_facility,
	        c->log_ident != NULL ? c->log_ident : name, &why) == -1) {
		fprintf(stderr, "log_facility %s: %s\n", c->log_facility, why);
		return -1;
	}
	log_set_sink(strcmp(c->log_facility, "+") != 0 ? to_both : NULL, NULL);
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
	if (c->pid_file == NULL || c->pid_file[0] == '\0')
		return 0;
	pid_file = pid_file_open(c->pid_file);
	return pid_file == NULL ? -1 : 0;
}

/* The image before had one: its lock is ours already. */
static void
take_pid_file(const struct conf *c, bool is_good)
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

static void
become_master(const char *name)
{
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

static int
serve(struct conf *c, const struct protocol *p)
{
	struct supervisor *s;
	const char *name = p->defaults->name;
	int *listeners, status = 1;

	fit_to_machine(c);
	if (find_hostname(c) == -1 || listen_open(c, &listeners, NULL) == -1)
		return 1;
	if (!c->no_daemon)
		into_background();
	launch.background = !c->no_daemon;
	become_master(name);
	if (open_pid_file(c) == -1)
		return 1;
	if (!priv_am_root())
		log_info("not started as root: no chroot, no change of user");
	else if (spool_prepare(c->spool_directory) == -1)
		goto done;
	trim();
	s = supervise_new(c, p, listeners);
	if (s == NULL || supervise_start(s) == -1)
		goto done;
	if (pid_file != NULL)
		pid_file_write(pid_file);
	launch.pid_file = pid_file;
	log_info("Starting %s version=" VERSION " workers=%u keepers=%u", name,
	    c->workers, c->keepers);
	let_go();
	status = supervise_run(s, &launch) == 0 ? 0 : 1;
	log_info("stopped");
done:
	pid_file_remove(&pid_file);
	return status;
}

/*
 * We were executed by a reload, in the place of a master that has looked at
 * all this before; what it did not see must not end those who are served.
 */
static int
take_over(struct conf *c, const struct protocol *p, bool is_good)
{
	struct supervisor *s;
	int *listeners = NULL, status;

	fit_to_machine(c);
	if (is_good &&
	    (find_hostname(c) == -1 ||
	        listen_open(c, &listeners, before) == -1 ||
	        (priv_am_root() && spool_prepare(c->spool_directory) == -1)))
		is_good = false;
	become_master(p->defaults->name);
	take_pid_file(c, is_good);
	trim();
	if (before->background && chdir("/") == -1)
		log_warn("chdir");
	launch.background = before->background;
	launch.pid_file = pid_file;
	s = supervise_resume(c, p, is_good ? listeners : NULL, before);
	if (supervise_start(s) == -1)
		log_at(LOG_ERR,
		    "reload: there is no new generation: those of "
		    "before go on");
	status = supervise_run(s, &launch) == 0 ? 0 : 1;
	log_info("stopped");
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
	return true;
}

/* Everything a start would need; each fault was printed. */
static int
check(struct conf *c, const struct protocol *p, unsigned int errors)
{
	if (priv_am_root() && spool_prepare(c->spool_directory) == -1)
		errors++;
	if (find_hostname(c) == -1)
		errors++;
	fit_to_machine(c);
	if (pairs_are_there(c) && supervise_check(c, p, before != NULL) == -1)
		errors++;
	if (before != NULL && listen_try(c, before) == -1)
		errors++;
	if (before != NULL && !c->enabled) {
		fprintf(stderr, "enabled no: stop the daemon, then\n");
		errors++;
	}
	if (errors > 0) {
		fprintf(stderr, "%s: %u fault%s\n", p->defaults->name, errors,
		    errors == 1 ? "" : "s");
		return 1;
	}
	if (before != NULL)
		return RELOAD_YES;
	printf("%s: the configuration is good\n", p->defaults->name);
	return 0;
}

/* What came by a descriptor is there once: the image before has kept it. */
static unsigned int
find_passphrase(struct conf *c)
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

/* We are not the check that comes before, but the next image itself. */
static bool
is_successor(void)
{
	return before != NULL && before->pid == getpid();
}

/* It goes where the image before had it until the configuration is known. */
static int
reopen_log(const struct conf *c, const struct protocol *p)
{
	const char *why;

	if (log_open(c->log_facility,
	        c->log_ident != NULL ? c->log_ident : p->defaults->name,
	        &why) == -1) {
		log_warnx("reload: log_facility %s: %s", c->log_facility, why);
		return -1;
	}
	log_set_level(c->debug ? LOG_DEBUG : c->quiet ? LOG_ERR : LOG_INFO);
	return 0;
}

static int
run(struct conf *c, const struct protocol *p, struct conf_command *cmd,
    unsigned int errors)
{
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
	errors += find_passphrase(c);
	free(file);
	if (is_successor())
		return take_over(c, p,
		    errors == 0 && reopen_log(c, p) == 0 &&
		        check_machine(c, p, report_to_log, NULL) == 0);
	if (errors > 0)
		return 1;
	if (cmd->print_config) {
		conf_print(c, &out);
		return answer(&out);
	}
	if (!c->enabled && !cmd->check_config) {
		printf("%s: enabled no: nothing to do\n", p->defaults->name);
		return 0;
	}
	errors += check_machine(c, p, report, NULL);
	if (cmd->check_config)
		return check(c, p, errors);
	if (errors > 0 || open_log(c, p->defaults->name) == -1)
		return 1;
	return serve(c, p);
}

/*
 * The file that was executed, by a name that stays good whatever becomes of
 * the working directory; a link is followed at each reload.
 */
static const char *
find_program(const char *name, const char *folder)
{
	struct stat ours, named;
	char path[PATH_MAX], *full;
	ssize_t n;

	full =
	    name[0] == '/' ? xstrdup(name) : xasprintf("%s/%s", folder, name);
	if (strchr(name, '/') != NULL && stat(full, &named) == 0 &&
	    stat("/proc/self/exe", &ours) == 0 && named.st_dev == ours.st_dev &&
	    named.st_ino == ours.st_ino)
		return full;
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n == -1)
		return full;
	free(full);
	return xstrndup(path, (size_t)n);
}

/* Copies: a title is written over what argv points to. */
static void
find_launch(int argc, char *const *argv)
{
	char folder[PATH_MAX];
	char **copy = xcalloc((size_t)argc + 2, sizeof(*copy));
	int i;

	launch.folder =
	    xstrdup(getcwd(folder, sizeof(folder)) != NULL ? folder : "/");
	launch.program = find_program(argc > 0 ? argv[0] : "", launch.folder);
	copy[0] = xstrdup(launch.program);
	for (i = 1; i < argc; i++)
		copy[i] = xstrdup(argv[i]);
	launch.argv = copy;
}

/* Is there a running master that hands over, or has the check done? */
static void
find_before(void)
{
	const char *text = getenv(RELOAD_VARIABLE), *why;
	uint64_t fd;

	if (text == NULL)
		return;
	if (!text_u64(text_of(text), INT_MAX, &fd) || fd <= STDERR_FILENO)
		fatalx("%s: \"%s\" is no descriptor of ours", RELOAD_VARIABLE,
		    text);
	(void)unsetenv(RELOAD_VARIABLE);
	before = reload_state_read((int)fd, &why);
	if (before == NULL)
		fatalx("what the running master hands over: %s", why);
	close((int)fd);
	reload_state_keep_open(before, false);
}

static void
log_as_before(void)
{
	const char *why;

	log_set_level((int)before->log_level);
	log_set_sink(NULL, NULL);
	if (log_open(before->log_target, before->log_ident, &why) == -1)
		log_warnx("log_facility %s: %s", before->log_target, why);
}

int
master_main(const struct protocol *p, int argc, char *argv[])
{
	struct conf_command cmd = { .file = NULL };
	unsigned int errors;
	struct conf *c;
	int fd;

	/* Descriptors 0 to 2 exist, whatever started us. */
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	(void)umask(022);
	log_set_sink(to_terminal, NULL);
	find_launch(argc, argv);
	find_before();
	setproctitle_init(argc, argv, environ);
	if (is_successor())
		log_as_before();
	c = conf_new(
	    p->defaults, is_successor() ? report_to_log : report, NULL);
	errors = conf_read_args(c, argc, argv, &cmd);
	if (errors > 0 && !is_successor())
		return 1;
	return run(c, p, &cmd, errors);
}
