/* SPDX-License-Identifier: ISC */
/*
 * check: what a start would need of the machine, found out without a start.
 * Runs in the master with the rights that a start would have, on a settled
 * configuration, which it trusts.  It looks at files and folders, changes none
 * of them, and parses sender_login_map alone; what is found can change until it
 * is used, so each user of a file checks again.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capability.h"
#include "check.h"
#include "handover.h"
#include "priv.h"
#include "sender_map.h"
#include "session.h"
#include "xmalloc.h"

#define MESSAGE_MAX 2048

struct check {
	const struct conf *conf;
	conf_report *report;
	void *arg;
	unsigned int faults;
	const char *where; /* the directive that is looked at came from; NULL */
};

static void fault(struct check *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void warning(struct check *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "imapsd.conf:12: ", as other faults of a configuration have it. */
static void
say(struct check *k, bool is_error, const char *text)
{
	char *line;

	if (k->where == NULL) {
		k->report(k->arg, is_error, text);
		return;
	}
	line = xasprintf("%s: %s", k->where, text);
	k->report(k->arg, is_error, line);
	free(line);
}

static void
fault(struct check *k, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	k->faults++;
	say(k, true, text);
}

static void
warning(struct check *k, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(k, false, text);
}

/* What is said from now on is of this one. */
static void
look_at(struct check *k, const char *directive)
{
	k->where = conf_where(k->conf, directive);
}

/* The folder that path is in, to be freed; path is from the root on. */
static char *
parent_of(const char *path)
{
	char *parent = xstrdup(path);
	char *last;
	size_t n = strlen(parent);

	while (n > 1 && parent[n - 1] == '/')
		parent[--n] = '\0';
	last = strrchr(parent, '/');
	if (last == NULL || last == parent)
		last = parent + 1;
	*last = '\0';
	return parent;
}

/* Is path a folder?  Else the fault is reported. */
static bool
check_folder(
    struct check *k, const char *directive, const char *path, struct stat *st)
{
	look_at(k, directive);
	if (stat(path, st) == -1) {
		fault(k, "%s: %s: %s", directive, path, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st->st_mode)) {
		fault(k, "%s: %s is no folder", directive, path);
		return false;
	}
	return true;
}

/* May we do this with path (W_OK ...)?  Else the fault is reported. */
static void
check_access(struct check *k, const char *directive, const char *path, int mode)
{
	look_at(k, directive);
	if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == -1)
		fault(k, "%s: %s: %s", directive, path, strerror(errno));
}

/* A file that is going to be read, whole. */
static void
check_open_file(struct check *k, const char *directive, const char *path,
    int fd, bool secret)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		fault(k, "%s: %s: %s", directive, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		fault(k, "%s: %s is no regular file", directive, path);
	else if (st.st_size == 0)
		fault(k, "%s: %s is empty", directive, path);
	else if (st.st_size > HANDOVER_FILE_MAX)
		fault(k, "%s: %s is longer than %d octets", directive, path,
		    HANDOVER_FILE_MAX);
	else if (secret && (st.st_mode & S_IRWXO) != 0)
		warning(k,
		    "%s: %s has mode %04o, so everybody on this machine can "
		    "get at it; try chmod o= on it",
		    directive, path, (unsigned int)(st.st_mode & 07777));
}

static void
check_path(
    struct check *k, const char *directive, const char *path, bool secret)
{
	/* A FIFO must not make us wait for somebody to write into it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1) {
		fault(
		    k, "%s: %s: %s", directive, path, handover_strerror(errno));
		return;
	}
	check_open_file(k, directive, path, fd, secret);
	close(fd);
}

static void
check_file(
    struct check *k, const char *directive, const char *path, bool secret)
{
	look_at(k, directive);
	check_path(k, directive, path, secret);
}

/* A file that is going to be written, and made where there is none. */
static void
check_written(struct check *k, const char *directive, const char *path)
{
	struct stat st;
	char *parent;

	look_at(k, directive);
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			fault(k, "%s: %s is a folder", directive, path);
		else
			check_access(k, directive, path, W_OK);
		return;
	}
	parent = parent_of(path);
	if (check_folder(k, directive, parent, &st))
		check_access(k, directive, parent, W_OK | X_OK);
	free(parent);
}

/* False when there is no such user; the fault is reported. */
static bool
check_user(struct check *k, const char *directive, const char *name,
    struct priv_user *out)
{
	look_at(k, directive);
	if (priv_lookup(name, NULL, out) == -1) {
		fault(k,
		    "%s: there is no user \"%s\"; make one with \"useradd "
		    "--system --no-create-home --shell /usr/sbin/nologin %s\"",
		    directive, name, name);
		return false;
	}
	if (out->uid == 0 || out->gid == 0)
		fault(k, "%s: \"%s\" has the rights of root", directive, name);
	return true;
}

static void
check_group(struct check *k)
{
	const char *group = k->conf->group;
	struct priv_user u;

	look_at(k, "group");
	if (priv_lookup(k->conf->username, group, &u) == -1)
		fault(k,
		    "group: there is no group \"%s\"; make one with \"groupadd "
		    "--system %s\"",
		    group, group);
	else if (u.gid == 0)
		fault(k, "group: \"%s\" is the group of root", group);
}

static void
check_users(struct check *k)
{
	const struct conf *c = k->conf;
	struct priv_user worker, other;
	bool has_worker, has_other;

	has_worker = check_user(k, "username", c->username, &worker);
	has_other =
	    check_user(k, "daemon_username", c->daemon_username, &other);
	if (has_worker && c->group != NULL)
		check_group(k);
	if (has_worker && has_other && worker.uid == other.uid)
		warning(k,
		    "username and daemon_username are the same user: a worker "
		    "that is taken over should be a stranger to those who hold "
		    "the keys");
}

/* spool_prepare() makes all but the folder that the spool is in. */
static void
check_spool(struct check *k)
{
	const char *path = k->conf->spool_directory;
	char *parent = parent_of(path);
	struct stat st;

	if (check_folder(k, "spool_directory", parent, &st) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
	    (st.st_mode & S_ISVTX) == 0)
		warning(k,
		    "spool_directory: others than root can write in %s and so "
		    "put another folder in the place of %s",
		    parent, path);
	if (lstat(path, &st) == 0 && (!S_ISDIR(st.st_mode) || st.st_uid != 0))
		fault(k, "spool_directory: %s is no folder of root's", path);
	free(parent);
}

/* Whether key and certificate belong together, only the keeper can say. */
static void
check_pairs(struct check *k)
{
	const struct conf *c = k->conf;
	struct stat st;
	size_t i;

	for (i = 0; i < c->npairs; i++) {
		k->where = c->pairs[i].cert_where;
		check_path(k, i == 0 ? "ssl_cert_file or ssl_pair" : "ssl_pair",
		    c->pairs[i].cert_file, false);
		k->where = c->pairs[i].key_where;
		check_path(k, i == 0 ? "ssl_key_file or ssl_pair" : "ssl_pair",
		    c->pairs[i].key_file, true);
	}
	if (c->ssl_cert_dir != NULL &&
	    check_folder(k, "ssl_cert_dir", c->ssl_cert_dir, &st))
		check_access(k, "ssl_cert_dir", c->ssl_cert_dir, R_OK | X_OK);
	look_at(k, "ssl_passphrase_fd");
	if (c->ssl_passphrase_fd >= 0 &&
	    fcntl(c->ssl_passphrase_fd, F_GETFD) == -1)
		fault(k, "ssl_passphrase_fd: %d is no open descriptor",
		    c->ssl_passphrase_fd);
	if ((c->npairs > 0 || c->ssl_cert_dir != NULL) &&
	    c->ssl_passphrase_file != NULL)
		check_file(
		    k, "ssl_passphrase_file", c->ssl_passphrase_file, true);
}

static void
check_cas(struct check *k)
{
	const struct conf *c = k->conf;
	struct stat st;

	if (c->outgoing_tls == OUTGOING_PLAIN)
		return; /* nobody is going to read them */
	if (c->ssl_ca_file != NULL)
		check_file(k, "ssl_ca_file", c->ssl_ca_file, false);
	if (c->ssl_ca_chain_file != NULL)
		check_file(k, "ssl_ca_chain_file", c->ssl_ca_chain_file, false);
	if (c->ssl_ca_path != NULL &&
	    check_folder(k, "ssl_ca_path", c->ssl_ca_path, &st))
		check_access(k, "ssl_ca_path", c->ssl_ca_path, R_OK | X_OK);
}

static void
check_outgoing_password(struct check *k)
{
	const char *path = k->conf->outgoing_password_file;

	if (path != NULL)
		check_file(k, "outgoing_password_file", path, true);
}

/* Cyrus SASL's own file, whoever reads a generation has a look at. */
static void
check_sasl(struct check *k)
{
	const struct conf *c = k->conf;
	gid_t group;

	if (!c->sasl)
		return;
	if (c->sasldb_path != NULL)
		check_access(k, "sasldb_path", c->sasldb_path, R_OK);
	look_at(k, "sasl_group");
	if (priv_am_root() && priv_lookup_group(c->sasl_group, &group) == -1)
		warning(k,
		    "sasl_group: there is no group \"%s\", so authenticators "
		    "reach only what everybody can",
		    c->sasl_group);
}

static void
check_senders(struct check *k)
{
	const char *path = k->conf->sender_login_map;
	char error[SENDER_MAP_ERROR_MAX];
	struct sender_map *m;

	if (path == NULL)
		return;
	look_at(k, "sender_login_map");
	m = sender_map_read(path, path, error);
	if (m == NULL)
		fault(k, "sender_login_map: %s", error);
	sender_map_free(&m);
}

static const char *
capability_directive(enum conf_daemon daemon)
{
	switch (daemon) {
	case CONF_IMAP:
		break;
	case CONF_POP3:
		return "pop_capability";
	case CONF_SMTP:
		return "smtp_capability";
	}
	return "imap_capability";
}

static void
check_capability(struct check *k, const struct protocol *p)
{
	struct capability list;

	look_at(k, capability_directive(p->defaults->daemon));
	if (k->conf->capability == NULL ||
	    p->parse_capability(k->conf->capability, &list) == 0)
		return;
	fault(k,
	    "%s: \"%s\" is no list that a client could be told: it is empty, "
	    "too long, or not of printable ASCII",
	    capability_directive(p->defaults->daemon), k->conf->capability);
}

unsigned int
check_machine(const struct conf *c, const struct protocol *p,
    conf_report *report, void *arg)
{
	struct check k = { c, report, arg, 0, NULL };

	if (priv_am_root()) { /* else nobody changes user or root directory */
		check_users(&k);
		check_spool(&k);
	}
	check_pairs(&k);
	check_cas(&k);
	check_outgoing_password(&k);
	check_sasl(&k);
	check_senders(&k);
	check_capability(&k, p);
	if (c->pid_file != NULL && *c->pid_file != '\0')
		check_written(&k, "pid_file", c->pid_file);
	if (c->log_facility[0] == '/') /* else there is no file to it */
		check_written(&k, "log_facility", c->log_facility);
	return k.faults;
}
