/* SPDX-License-Identifier: ISC */
/*
 * conf_server: the inner servers and how they are spoken to.  Runs in the
 * master, and in the roles that get to know them.  Names are not looked up
 * here: that is the broker's work.
 */
#include <stdlib.h>

#include "addr.h"
#include "conf_settle.h"
#include "xmalloc.h"

#define HOST_NAME_LEN 253 /* RFC 1035 2.3.4, less the length octets */

static enum conf_outgoing_tls
outgoing_tls(const struct conf *c, const struct conf_mode *m)
{
	if (m->outgoing & CONF_MODE_SSL)
		return OUTGOING_SSL;
	if (m->outgoing & CONF_MODE_FORCE)
		return OUTGOING_STARTTLS_FORCE;
	if (m->outgoing & CONF_MODE_TLS)
		return OUTGOING_STARTTLS;
	/* Perdition: no ssl_mode and a protocol with TLS make ssl_all. */
	if (!m->said && c->private->protocol == PROTOCOL_TLS &&
	    !conf_is_set(c, "listen"))
		return OUTGOING_SSL;
	return OUTGOING_PLAIN;
}

static void
settle_outgoing_tls(struct conf *c, const struct conf_mode *m)
{
	c->outgoing_tls = outgoing_tls(c, m);
	if (c->outgoing_tls == OUTGOING_SSL && m->outgoing == 0)
		conf_warn(c, c->private->protocol_where,
		    "protocol %s without ssl_mode: inner servers are spoken "
		    "to with TLS as well, as in Perdition; where they have "
		    "none, write ssl_mode ssl_listen",
		    c->private->defaults->protocol_tls);
}

/* Where inner servers of this protocol listen. */
static uint16_t
inner_port(const struct conf *c)
{
	const struct conf_defaults *d = c->private->defaults;

	if (c->outgoing_tls == OUTGOING_SSL)
		return d->inner_port_tls != 0 ? d->inner_port_tls : d->port_tls;
	return d->inner_port != 0 ? d->inner_port : d->port;
}

/* The port of servers that are written without one; 0: it is wrong. */
static uint16_t
default_port(struct conf *c)
{
	const char *said = conf_text(c, "outgoing_port");
	uint16_t port;

	if (said == NULL)
		return inner_port(c);
	if (conf_port(text_of(said), &port) == 0)
		return port;
	conf_error(c, conf_where(c, "outgoing_port"),
	    "outgoing_port \"%s\" is no port and no service's name",
	    CONF_SHOW(text_of(said)));
	return 0;
}

/* Letters, digits, hyphens and dots (RFC 1123 2.1), and underscores. */
static bool
is_host_name(struct text t)
{
	size_t i;
	char k;

	if (t.len == 0 || t.len > HOST_NAME_LEN || t.p[0] == '-' ||
	    t.p[0] == '.')
		return false;
	for (i = 0; i < t.len; i++) {
		k = t.p[i];
		if (!((k >= 'a' && k <= 'z') || (k >= 'A' && k <= 'Z') ||
		        (k >= '0' && k <= '9') || k == '-' || k == '.' ||
		        k == '_'))
			return false;
	}
	return true;
}

/* Does a connection to a arrive at our own listener l? */
static bool
reaches(const struct addr *a, const struct conf_listen *l)
{
	if (addr_port(a) != addr_port(&l->addr))
		return false;
	if (addr_eq(a, &l->addr))
		return true;
	return addr_is_any(&l->addr) && addr_is_loopback(a) &&
	    a->sa.sa_family == l->addr.sa.sa_family;
}

static void
check_numeric(struct conf *c, const char *where, const struct addr *a)
{
	char shown[ADDR_STRLEN];
	size_t i;

	addr_print(a, shown);
	if (addr_is_any(a)) {
		conf_error(c, where, "%s is no server's address", shown);
		return;
	}
	for (i = 0; i < c->nlisten; i++) {
		if (reaches(a, &c->listen[i])) {
			conf_error(c, where,
			    "outgoing_server %s is this daemon itself: it "
			    "connects to itself",
			    shown);
			return;
		}
	}
	if (addr_is_private(a) || c->outgoing_tls == OUTGOING_SSL ||
	    c->outgoing_tls == OUTGOING_STARTTLS_FORCE)
		return;
	conf_warn(c, where,
	    "%s is a public address, and passwords go to it %s; see ssl_mode "
	    "ssl_outgoing and tls_outgoing_force",
	    shown,
	    c->outgoing_tls == OUTGOING_PLAIN
	        ? "in clear"
	        : "in clear whenever it offers no STARTTLS");
}

static void
append(struct conf *c, const struct conf_server *s)
{
	c->servers = xrecallocarray(
	    c->servers, c->nservers, c->nservers + 1, sizeof(*s));
	c->servers[c->nservers++] = *s;
}

/* One "host[:port]". */
static void
add_server(struct conf *c, const char *where, struct text item, uint16_t port)
{
	struct conf_server s = { .port = port };
	struct text host, own;

	if (text_has(item, '@')) {
		conf_error(c, where,
		    "\"%s\": a user name before the server "
		    "is for lookups, which there are none of; write the "
		    "server alone",
		    CONF_SHOW(item));
		return;
	}
	if (addr_split(item, &host, &own) == -1 ||
	    (own.p != NULL && conf_port(own, &s.port) == -1)) {
		conf_error(
		    c, where, "\"%s\" is no HOST[:PORT]", CONF_SHOW(item));
		return;
	}
	s.numeric = addr_parse(host, s.port, &s.addr) == 0;
	if (s.numeric) {
		check_numeric(c, where, &s.addr);
	} else if (!is_host_name(host)) {
		conf_error(c, where, "\"%s\" is no server's name or address",
		    CONF_SHOW(host));
		return;
	} else if (c->no_lookup) {
		conf_error(c, where,
		    "\"%s\" is a name, and no_lookup allows "
		    "addresses only",
		    CONF_SHOW(host));
		return;
	}
	if (c->nservers == CONF_SERVERS_MAX) {
		conf_error(c, where, "more than %d servers", CONF_SERVERS_MAX);
		return;
	}
	s.name = xstrndup(host.p, host.len);
	append(c, &s);
}

void
conf_settle_servers(struct conf *c, const struct conf_mode *m)
{
	const struct conf_setting *s = conf_setting(c, "outgoing_server");
	struct text rest, item;
	uint16_t port;
	size_t i;

	settle_outgoing_tls(c, m);
	port = default_port(c);
	if (s->nvalues == 0 && c->enabled && !c->private->in_role)
		conf_error(c, NULL,
		    "no outgoing_server: say where the mail "
		    "is, as in \"outgoing_server 192.0.2.1\"");
	for (i = 0; i < s->nvalues; i++) {
		rest = text_of(s->values[i].text);
		while (text_split(&rest, ',', &item))
			add_server(
			    c, s->values[i].where, text_trim(item), port);
	}
}
