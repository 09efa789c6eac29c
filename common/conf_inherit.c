/* SPDX-License-Identifier: ISC */
/*
 * conf_inherit: how the sockets are served that the service manager or inetd
 * gave us.  Runs in the master.
 *
 * A name that the unit gives a socket (FileDescriptorName=) says it; where
 * there is none, it is the configured listener with that address or that
 * port, or what the port stands for.  No socket takes passwords in clear
 * unless the configuration says so of it.
 */
#include <stdlib.h>
#include <string.h>

#include "conf_settle.h"
#include "inherit.h"
#include "xmalloc.h"

void
conf_inherit(struct conf *c, const struct inherited *in)
{
	c->private->inherited = in->kind == INHERIT_NONE ? NULL : in;
}

/* What systemd calls sockets that were given no name (sd_listen_fds(3)). */
static bool
is_nameless(const char *name)
{
	size_t len = strlen(name);

	return len == 0 || strcmp(name, "unknown") == 0 ||
	    strcmp(name, "connection") == 0 ||
	    (len > 7 && strcmp(name + len - 7, ".socket") == 0);
}

/* How well l is about this address: 0 is not at all. */
static int
likeness(const struct conf_listen *l, const struct addr *a)
{
	if (addr_port(&l->addr) != addr_port(a))
		return 0;
	if (addr_eq_host(&l->addr, a))
		return 3;
	return addr_is_any(&l->addr) || addr_is_any(a) ? 2 : 1;
}

static const struct conf_listen *
find_listener(const struct conf *c, const struct addr *a)
{
	const struct conf_listen *best = NULL;
	int like, most = 0;
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		like = likeness(&c->listen[i], a);
		if (like > most) {
			most = like;
			best = &c->listen[i];
		}
	}
	return best;
}

/* By its name; -1 with an error when that cannot be. */
static int
mode_by_name(struct conf *c, const char *name, const struct conf_listen *known,
    enum conf_listen_mode *mode)
{
	if (strcmp(name, "tls") == 0) {
		*mode = LISTEN_SSL;
	} else if (strcmp(name, "starttls") == 0) {
		*mode = LISTEN_STARTTLS;
	} else {
		conf_error(c, NULL,
		    "a socket of the service manager is named \"%s\": "
		    "FileDescriptorName= takes tls or starttls",
		    name);
		return -1;
	}
	if (known == NULL || known->mode == *mode)
		return 0;
	conf_error(c, conf_where(c, "listen"),
	    "a socket of the service manager is named \"%s\", and the "
	    "configuration says %s of port %u",
	    name, conf_listen_mode_name(known->mode), addr_port(&known->addr));
	return -1;
}

/* Of a socket that nobody named, and that is no listener of c's. */
static int
mode_by_port(struct conf *c, const struct addr *a, enum conf_listen_mode *mode)
{
	const struct conf_defaults *d = c->private->defaults;
	char shown[ADDR_STRLEN];

	if (addr_port(a) == d->port_tls) {
		*mode = LISTEN_SSL;
		return 0;
	}
	if (addr_port(a) == d->port) {
		*mode = LISTEN_STARTTLS;
		return 0;
	}
	conf_error(c, NULL,
	    "nothing tells whether there is TLS from the start on the socket "
	    "%s that was given to us: name it tls or starttls "
	    "(FileDescriptorName=), or have a listen line with its port",
	    addr_print(a, shown));
	return -1;
}

static int
settle_one(
    struct conf *c, const struct inherited_socket *s, struct conf_listen *out)
{
	const struct conf_listen *known = find_listener(c, &s->local);
	int result = 0;

	*out = (struct conf_listen){ .addr = s->local };
	if (!is_nameless(s->name))
		result = mode_by_name(c, s->name, known, &out->mode);
	else if (known != NULL)
		out->mode = known->mode;
	else
		result = mode_by_port(c, &s->local, &out->mode);
	if (result == 0 && known != NULL)
		out->clear_login = known->clear_login;
	return result;
}

static bool
is_given(const struct inherited *in, uint16_t port)
{
	size_t i;

	for (i = 0; i < in->n; i++)
		if (addr_port(&in->sockets[i].local) == port)
			return true;
	return false;
}

/* Who wrote a listen line may wonder. */
static void
warn_of_others(struct conf *c, const struct inherited *in)
{
	uint16_t port, told = 0;
	size_t i;

	if (!conf_is_set(c, "listen"))
		return;
	for (i = 0; i < c->nlisten; i++) {
		port = addr_port(&c->listen[i].addr);
		if (port == told || is_given(in, port))
			continue;
		told = port; /* "*" is two listeners */
		conf_warn(c, conf_where(c, "listen"),
		    "port %u is not among the sockets that were given to us, "
		    "and so is not served",
		    port);
	}
}

static bool
is_double(const struct inherited *in, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (addr_eq(&in->sockets[i].local, &in->sockets[n].local))
			return true;
	return false;
}

/* A process of each role will do, and ends with its client. */
static void
fit_to_one(struct conf *c)
{
	c->one_client = true;
	c->workers = c->keepers = 1;
	c->worker_connections = c->connection_limit = 1;
	c->authenticators = 1;
	free(c->pid_file);
	c->pid_file = NULL;
}

void
conf_settle_inherited(struct conf *c)
{
	const struct inherited *in = c->private->inherited;
	struct conf_listen *given;
	char shown[ADDR_STRLEN];
	size_t i;

	if (in == NULL)
		return;
	given = xcalloc(in->n, sizeof(*given));
	for (i = 0; i < in->n; i++) {
		if (is_double(in, i))
			conf_error(c, NULL, "%s was given to us twice",
			    addr_print(&in->sockets[i].local, shown));
		(void)settle_one(c, &in->sockets[i], &given[i]);
	}
	if (in->kind == INHERIT_LISTENERS)
		warn_of_others(c, in);
	else
		fit_to_one(c);
	if (in->mute &&
	    (c->log_facility[0] == '-' || c->log_facility[0] == '+'))
		conf_error(c, conf_where(c, "log_facility"),
		    "log_facility %s: that is the client; take a facility of "
		    "syslog or a path",
		    c->log_facility);
	free(c->listen);
	c->listen = given;
	c->nlisten = in->n;
}
