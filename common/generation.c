/* SPDX-License-Identifier: ISC */
/*
 * generation: one sealed memfd per role.  Runs in the master.  No octet of a
 * key enters the master's memory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authenticator_conf.h"
#include "certs.h"
#include "control.h"
#include "generation.h"
#include "handover.h"
#include "log.h"
#include "priv.h"
#include "siphash.h"
#include "sandbox.h"
#include "xmalloc.h"

#define CONF_MAX 1048576 /* octets of a role's configuration */
#define SECRET_MAX 1024
#define SASL_CONF_MAX 65536
#define SASLDB "/etc/sasldb2" /* where Cyrus SASL has it by itself */

struct generation {
	int fds[ROLE_MAX]; /* a nursery's is its workers' */
	unsigned int faults;
	uint16_t ncas;
	char *sasldb;
	int passphrase; /* -1: none came by a descriptor */
	struct certs *certs;
	size_t
	    worker_base; /* octets of what workers have beside certificates */
};

static void
add_file(struct generation *g, enum role role, enum handover_kind kind,
    size_t number, const char *directive, const char *path)
{
	if (handover_add_file(g->fds[role], kind, (uint16_t)number, path) == 0)
		return;
	log_warnx("%s %s: %s", directive, path, handover_strerror(errno));
	g->faults++;
}

/* A memfd with just that in it. */
static int
keep_aside(const char *text, size_t len)
{
	int fd = handover_new("passphrase");

	if (fd == -1 || write(fd, text, len) != (ssize_t)len ||
	    handover_seal(fd) == -1)
		fatal("keeping a passphrase");
	return fd;
}

/*
 * The first line of fd is a secret of role's.  -1: there is none in it.  copy
 * is a memfd with it in; NULL: none is wanted.
 */
static int
add_secret(struct generation *g, enum role role, enum handover_kind kind,
    int fd, int *copy)
{
	char text[SECRET_MAX];
	ssize_t n = 0, got;
	char *end;
	bool good;

	while ((size_t)n < sizeof(text) &&
	    (got = read(fd, text + n, sizeof(text) - (size_t)n)) > 0)
		n += got;
	end = memchr(text, '\n', (size_t)n);
	if (end != NULL)
		n = end - text;
	if (handover_add(
	        g->fds[role], kind, 0, (struct text){ text, (size_t)n }) == -1)
		fatal("handing over a secret");
	if (copy != NULL)
		*copy = keep_aside(text, (size_t)n);
	good = n > 0 && memchr(text, '\0', (size_t)n) == NULL;
	explicit_bzero(text, sizeof(text));
	return good ? 0 : -1;
}

static void
add_secret_file(struct generation *g, enum role role, enum handover_kind kind,
    const char *directive, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1) {
		log_warn("%s %s", directive, path);
		g->faults++;
		return;
	}
	if (add_secret(g, role, kind, fd, NULL) == -1) {
		log_warnx("%s %s: its first line is empty, or no text",
		    directive, path);
		g->faults++;
	}
	close(fd);
}

static void
find_passphrase(struct generation *g, const struct conf *c)
{
	if (c->ssl_passphrase_fd >= 0) {
		(void)add_secret(g, ROLE_KEEPER, HANDOVER_PASSPHRASE,
		    c->ssl_passphrase_fd, &g->passphrase);
		if (c->ssl_passphrase_fd > STDERR_FILENO)
			close(c->ssl_passphrase_fd);
	}
	if (c->ssl_passphrase_file != NULL)
		add_secret_file(g, ROLE_KEEPER, HANDOVER_PASSPHRASE,
		    "ssl_passphrase_file", c->ssl_passphrase_file);
}

static void
add_ca(struct generation *g, const char *directive, const char *path)
{
	if (path != NULL)
		add_file(
		    g, ROLE_WORKER, HANDOVER_CA, g->ncas++, directive, path);
}

/* Each file of a folder of certificates (ssl_ca_path). */
static void
add_ca_folder(struct generation *g, const char *path)
{
	struct dirent *e;
	char *file;
	DIR *d = opendir(path);

	if (d == NULL) {
		log_warn("ssl_ca_path %s", path);
		g->faults++;
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		file = xasprintf("%s/%s", path, e->d_name);
		add_ca(g, "ssl_ca_path", file);
		free(file);
	}
	closedir(d);
}

/*
 * All of Cyrus SASL's configuration file; for what stands in it (passwords of
 * databases) it is no more open than a key file is.  -1 with errno.
 */
static int
read_sasl_conf(const char *path, struct buf *b)
{
	char part[4096];
	ssize_t n;
	int save, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1)
		return -1;
	while ((n = read(fd, part, sizeof(part))) > 0)
		if (buf_append(b, part, (size_t)n) == -1) {
			n = -1;
			errno = EFBIG;
			break;
		}
	save = errno;
	explicit_bzero(part, sizeof(part));
	close(fd);
	errno = save;
	return n == -1 ? -1 : 0;
}

/* Is its form good, and where has it the users' passwords? */
static void
look_into_sasl_conf(struct generation *g, const struct conf *c,
    const char *path, struct text file)
{
	struct sasl_conf *sc;
	const char *sasldb = NULL;
	size_t bad;

	sc = sasl_conf_new(file, &bad);
	if (sc == NULL) {
		log_warnx(
		    "%s:%zu: Cyrus SASL wants \"option: value\"", path, bad);
		g->faults++;
	} else {
		sasldb = sasl_conf_get(sc, "sasldb_path");
	}
	if (c->sasldb_path != NULL)
		sasldb = c->sasldb_path;
	g->sasldb = xstrdup(sasldb != NULL ? sasldb : SASLDB);
	sasl_conf_free(&sc);
}

/* Without such a file Cyrus SASL does as it likes: sasldb, all mechanisms. */
static void
add_sasl_conf(struct generation *g, const struct conf *c)
{
	char *path = sasl_conf_find(c->sasl_config_path, c->sasl_application);
	struct buf b;

	buf_init(&b, SASL_CONF_MAX);
	if (path == NULL) {
		log_warnx("sasl_config_path: there is no %s.conf: Cyrus SASL's "
		          "own defaults hold",
		    c->sasl_application);
	} else if (read_sasl_conf(path, &b) == -1) {
		log_warn("%s", path);
		g->faults++;
	}
	look_into_sasl_conf(g, c, path, buf_view(&b));
	if (handover_add(g->fds[ROLE_AUTHENTICATOR], HANDOVER_SASL_CONF, 0,
	        buf_view(&b)) == -1)
		fatal("handing over Cyrus SASL's configuration");
	buf_free(&b);
	free(path);
}

static void
add_conf(struct generation *g, const struct conf *c, enum role role)
{
	struct buf text;

	buf_init(&text, CONF_MAX);
	conf_write_role(c, role, &text);
	if (handover_add(g->fds[role], HANDOVER_CONF, 0, buf_view(&text)) == -1)
		fatal("handing over the configuration");
	buf_free(&text);
}

static void
add_filter(struct generation *g, const struct conf *c, enum role role)
{
	struct buf filter;

	buf_init(&filter, SANDBOX_FILTER_MAX);
	sandbox_compile(role, c->sasl_network, &filter);
	if (handover_add(generation_handover(g, role), HANDOVER_FILTER,
	        (uint16_t)role, buf_view(&filter)) == -1)
		fatal("handing over a system call filter");
	buf_free(&filter);
}

/* A nursery's, and what makes it a worker's. */
static void
add_nursery_filters(struct generation *g, const struct conf *c)
{
	struct buf filter;

	add_filter(g, c, ROLE_NURSERY);
	buf_init(&filter, SANDBOX_FILTER_MAX);
	sandbox_compile_born(&filter);
	if (handover_add(
	        g->fds[ROLE_WORKER], HANDOVER_BORN, 0, buf_view(&filter)) == -1)
		fatal("handing over a system call filter");
	buf_free(&filter);
}

/* Looked up once: who a name is must not change between two workers. */
static void
add_user(struct generation *g, const struct conf *c, enum role role)
{
	/* Who hears strangers is to reach no key. */
	bool worker = role == ROLE_WORKER || role == ROLE_METRICS;
	const char *name = worker ? c->username : c->daemon_username;
	struct priv_user u;

	if (priv_lookup(name, worker ? c->group : NULL, &u) == -1) {
		log_warnx("the user %s does not exist", name);
		g->faults++;
		return;
	}
	if (role == ROLE_AUTHENTICATOR)
		u.has_extra = priv_lookup_group(c->sasl_group, &u.extra) == 0;
	if (handover_add(g->fds[role], HANDOVER_USER, 0,
	        (struct text){ (const char *)&u, sizeof(u) }) == -1)
		fatal("handing over a user");
}

/* Who may connect, the socket's mode says; control looks at it again. */
static void
add_admitted(struct generation *g, const struct conf *c)
{
	struct control_admit a = { .owner = geteuid() };

	if (c->control_group != NULL) {
		a.has_group =
		    priv_lookup_group(c->control_group, &a.group) == 0;
		if (!a.has_group) {
			log_warnx("control_group: the group %s does not exist",
			    c->control_group);
			g->faults++;
		}
	}
	if (handover_add(g->fds[ROLE_CONTROL], HANDOVER_ADMIT, 0,
	        (struct text){ (const char *)&a, sizeof(a) }) == -1)
		fatal("handing over who may ask");
}

/* What one process calls the same wrong password, all do. */
static void
add_proof_key(struct generation *g)
{
	char key[SIPHASH_KEY_LEN];
	const struct text t = { key, sizeof(key) };

	arc4random_buf(key, sizeof(key));
	if (handover_add(g->fds[ROLE_WORKER], HANDOVER_PROOF, 0, t) == -1 ||
	    handover_add(g->fds[ROLE_AUTHENTICATOR], HANDOVER_PROOF, 0, t) ==
	        -1)
		fatal("handing over a key");
	explicit_bzero(key, sizeof(key));
}

struct generation *
generation_new(const struct conf *c, enum generation_use use)
{
	struct generation *g = xcalloc(1, sizeof(*g));
	int role;

	g->passphrase = -1;
	for (role = ROLE_KEEPER; role < ROLE_MAX; role++) {
		if (role == ROLE_NURSERY)
			continue; /* it has its workers' */
		g->fds[role] = handover_new(role_name(role));
		if (g->fds[role] == -1)
			fatal("memfd_create");
		add_conf(g, c, role);
		add_filter(g, c, role);
		if (priv_am_root())
			add_user(g, c, role);
	}
	add_proof_key(g);
	if (use != GENERATION_SERVES &&
	    handover_add(g->fds[ROLE_KEEPER],
	        use == GENERATION_RELOADS ? HANDOVER_STRICT : HANDOVER_FUSSY, 0,
	        TEXT_LIT("")) == -1)
		fatal("handing over a word");
	if (c->worker_connections == 1)
		add_nursery_filters(g, c);
	find_passphrase(g, c);
	if (c->outgoing_password_file != NULL)
		add_secret_file(g, ROLE_WORKER, HANDOVER_PASSWORD,
		    "outgoing_password_file", c->outgoing_password_file);
	if (c->outgoing_tls != OUTGOING_PLAIN) {
		add_ca(g, "ssl_ca_file", c->ssl_ca_file);
		add_ca(g, "ssl_ca_chain_file", c->ssl_ca_chain_file);
		if (c->ssl_ca_path != NULL)
			add_ca_folder(g, c->ssl_ca_path);
	}
	if (c->sasl)
		add_sasl_conf(g, c);
	add_admitted(g, c);
	g->worker_base = (size_t)lseek(g->fds[ROLE_WORKER], 0, SEEK_CUR);
	g->certs = certs_new(
	    c, g->fds[ROLE_KEEPER], use == GENERATION_CHECKS, &g->faults);
	for (role = ROLE_KEEPER; role < ROLE_MAX; role++)
		if (role != ROLE_NURSERY && handover_seal(g->fds[role]) == -1)
			fatal("sealing a memfd");
	if (g->faults == 0)
		return g;
	for (role = ROLE_KEEPER; role < ROLE_MAX; role++)
		if (role != ROLE_NURSERY)
			close(g->fds[role]);
	if (g->passphrase != -1)
		close(g->passphrase);
	certs_free(&g->certs);
	free(g->sasldb);
	free(g);
	return NULL;
}

int
generation_passphrase(const struct generation *g)
{
	return g->passphrase;
}

const char *
generation_sasldb(const struct generation *g)
{
	return g->sasldb;
}

struct certs *
generation_certs(const struct generation *g)
{
	return g->certs;
}

static void
replace(struct generation *g, enum role role, int fd)
{
	close(g->fds[role]);
	g->fds[role] = fd;
}

int
generation_renew(struct generation *g)
{
	int fd = certs_compose_keeper(g->certs, g->fds[ROLE_KEEPER]);

	if (fd == -1)
		return -1;
	replace(g, ROLE_KEEPER, fd);
	fd =
	    certs_compose_worker(g->certs, g->fds[ROLE_WORKER], g->worker_base);
	if (fd == -1)
		return -1;
	replace(g, ROLE_WORKER, fd);
	return 0;
}

int
generation_handover(const struct generation *g, enum role role)
{
	return g->fds[role == ROLE_NURSERY ? ROLE_WORKER : role];
}
