/* SPDX-License-Identifier: ISC */
/*
 * conf_listen: where clients are awaited, and what a listener asks of them:
 * from listen, or, as in Perdition, from bind_address, listen_port, ssl_mode
 * and the protocol.  Runs in the master, and in the roles on the numeric
 * listen lines that the master wrote.
 *
 * The rule behind the cases: no listener takes passwords in clear unless the
 * configuration says so in words, and the port of TLS (993) least of all.
 */
#include <stdlib.h>

#include "addr.h"
#include "conf_settle.h"
#include "xmalloc.h"

#define LISTEN_MAX 64 /* an address each; more is a mistake */

static const char *const mode_names[] = {
	[LISTEN_PLAIN] = "plain",
	[LISTEN_STARTTLS] = "starttls",
	[LISTEN_SSL] = "ssl",
};

const char *
conf_listen_mode_name(enum conf_listen_mode mode)
{
	return mode_names[mode];
}

static uint16_t
tls_port(const struct conf *c)
{
	return c->private->defaults->port_tls;
}

static uint16_t
clear_port(const struct conf *c)
{
	return c->private->defaults->port;
}

/* What the administrator should know of this listener. */
static void
warn_listener(struct conf *c, const char *where, const struct conf_listen *l)
{
	char a[ADDR_STRLEN];

	addr_print(&l->addr, a);
	if (l->clear_login && !addr_is_loopback(&l->addr))
		conf_warn(
		    c, where, "passwords cross the network in clear on %s", a);
	if (l->mode != LISTEN_SSL && addr_port(&l->addr) == tls_port(c))
		conf_warn(c, where,
		    "clients expect TLS from the start on %s, and there is "
		    "none",
		    a);
}

static void
add(struct conf *c, const char *where, const struct addr *a,
    enum conf_listen_mode mode, bool clear_login)
{
	struct conf_listen *l;
	char shown[ADDR_STRLEN];
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		if (addr_eq(&c->listen[i].addr, a)) {
			conf_error(c, where, "%s is listened on already",
			    addr_print(a, shown));
			return;
		}
	}
	if (c->nlisten == LISTEN_MAX) {
		conf_error(c, where, "more than %d addresses to listen on",
		    LISTEN_MAX);
		return;
	}
	c->listen =
	    xrecallocarray(c->listen, c->nlisten, c->nlisten + 1, sizeof(*l));
	l = &c->listen[c->nlisten++];
	l->addr = *a;
	l->mode = mode;
	l->clear_login = clear_login;
	warn_listener(c, where, l);
}

/* The addresses of a host as it is written: "*" is two.  0: it is none. */
static size_t
addresses(struct text host, uint16_t port, struct addr a[2])
{
	if (text_eq(host, "*")) {
		addr_parse(TEXT_LIT("0.0.0.0"), port, &a[0]);
		addr_parse(TEXT_LIT("::"), port, &a[1]);
		return 2;
	}
	return addr_parse(host, port, &a[0]) == 0 ? 1 : 0;
}

/* "ADDRESS[:PORT]" taken apart; *port stays where none is written. */
static int
split_address(struct conf *c, const char *where, struct text at,
    struct text *host, struct text *own, uint16_t *port)
{
	struct addr a[2];

	if (addr_split(at, host, own) == -1 ||
	    (own->p != NULL && conf_port(*own, port) == -1)) {
		conf_error(
		    c, where, "\"%s\" is no ADDRESS[:PORT]", CONF_SHOW(at));
		return -1;
	}
	if (addresses(*host, *port, a) == 0) {
		conf_error(c, where,
		    "\"%s\" is no numeric address (nor *); names are not "
		    "looked up for listening",
		    CONF_SHOW(*host));
		return -1;
	}
	return 0;
}

static void
add_host(struct conf *c, const char *where, struct text host, uint16_t port,
    enum conf_listen_mode mode, bool clear_login)
{
	struct addr a[2];
	size_t i, n;

	n = addresses(host, port, a);
	for (i = 0; i < n; i++)
		add(c, where, &a[i], mode, clear_login);
}

/* listen "ADDRESS[:PORT] ssl|starttls|plain" */

static int
listen_mode(struct text word, enum conf_listen_mode *mode)
{
	int i;

	for (i = LISTEN_PLAIN; i <= LISTEN_SSL; i++) {
		if (text_caseeq(word, mode_names[i])) {
			*mode = (enum conf_listen_mode)i;
			return 0;
		}
	}
	return -1;
}

static void
add_listen(struct conf *c, const char *where, struct text value)
{
	enum conf_listen_mode mode;
	struct text at, word, host, own;
	uint16_t n;
	bool clear;

	if (!text_word(&value, &at) || !text_word(&value, &word) ||
	    text_trim(value).len > 0 || listen_mode(word, &mode) == -1) {
		conf_error(c, where,
		    "listen takes an address and one of ssl, starttls and "
		    "plain, as in \"listen *:%u ssl\"",
		    tls_port(c));
		return;
	}
	n = mode == LISTEN_SSL ? tls_port(c) : clear_port(c);
	if (split_address(c, where, at, &host, &own, &n) == -1)
		return;
	/* In a role a listener that takes passwords is written so. */
	clear = mode == LISTEN_PLAIN ||
	    (mode == LISTEN_STARTTLS && c->private->in_role &&
	        conf_flag(c, "plaintext_login"));
	add_host(c, where, host, n, mode, clear);
}

static void
refuse_mix(struct conf *c, const char *name)
{
	if (conf_is_set(c, name))
		conf_error(c, conf_where(c, name),
		    "%s does not go with listen, which says it all", name);
}

static void
by_listen(struct conf *c, const struct conf_mode *m)
{
	const struct conf_setting *s = conf_setting(c, "listen");
	size_t i;

	refuse_mix(c, "bind_address");
	refuse_mix(c, "listen_port");
	if (m->listen != 0 || m->none)
		conf_error(c, conf_where(c, "ssl_mode"),
		    "ssl_mode can speak of outgoing only beside listen, which "
		    "says how clients are served");
	for (i = 0; i < s->nvalues; i++)
		add_listen(c, s->values[i].where, text_of(s->values[i].text));
}

/* bind_address, listen_port, ssl_mode, protocol */

/* How a listener on this port serves, where listen does not say. */
static enum conf_listen_mode
mode_of(const struct conf *c, const struct conf_mode *m, uint16_t port)
{
	if (m->listen & CONF_MODE_SSL)
		return LISTEN_SSL;
	if (m->listen & CONF_MODE_TLS)
		return LISTEN_STARTTLS;
	if (m->none)
		return LISTEN_PLAIN;
	switch (c->private->protocol) {
	case PROTOCOL_CLEAR:
		return LISTEN_PLAIN;
	case PROTOCOL_TLS:
		return LISTEN_SSL;
	case PROTOCOL_UNKNOWN:
		break;
	}
	return port == tls_port(c) ? LISTEN_SSL : LISTEN_STARTTLS;
}

static void
add_by_port(struct conf *c, const struct conf_mode *m, const char *where,
    struct text host, uint16_t port)
{
	enum conf_listen_mode mode = mode_of(c, m, port);
	bool clear = mode == LISTEN_PLAIN ||
	    ((m->listen & CONF_MODE_TLS) && conf_flag(c, "plaintext_login"));

	if (mode == LISTEN_PLAIN && !m->none && port == tls_port(c)) {
		conf_error(c, where,
		    "port %u would be without TLS, as protocol %s without "
		    "ssl_mode has it: write ssl_mode ssl_listen (or, if that "
		    "is what you want, none)",
		    port, c->private->defaults->protocol);
		return;
	}
	add_host(c, where, host, port, mode, clear);
}

/*
 * The ports of a bind_address without one.  Perdition's default follows the
 * protocol; without a word on anything there are two.
 */
static size_t
ports(struct conf *c, const struct conf_mode *m, uint16_t port[2])
{
	const char *said = conf_text(c, "listen_port");

	if (said != NULL) {
		if (conf_port(text_of(said), &port[0]) == 0)
			return 1;
		conf_error(c, conf_where(c, "listen_port"),
		    "listen_port \"%s\" is no port and no service's name",
		    CONF_SHOW(text_of(said)));
		return 0;
	}
	switch (c->private->protocol) {
	case PROTOCOL_CLEAR:
		port[0] = clear_port(c);
		return 1;
	case PROTOCOL_TLS:
		port[0] = tls_port(c);
		return 1;
	case PROTOCOL_UNKNOWN:
		break;
	}
	port[0] = tls_port(c);
	port[1] = clear_port(c);
	if (m->listen == 0 && !m->none)
		return 2;
	if (!(m->listen & CONF_MODE_SSL))
		port[0] = port[1];
	return 1;
}

/* The line that a message on a listener is best about. */
static const char *
decided_at(const struct conf *c)
{
	static const char *const names[] = { "bind_address", "listen_port",
		"ssl_mode" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (conf_is_set(c, names[i]))
			return conf_where(c, names[i]);
	}
	return c->private->protocol_where;
}

static void
add_bind(struct conf *c, const struct conf_mode *m, struct text item,
    const uint16_t *port, size_t nports)
{
	const char *where = decided_at(c);
	struct text host, own;
	uint16_t n = 0;
	size_t i;

	if (split_address(c, where, item, &host, &own, &n) == -1)
		return;
	if (own.p != NULL) {
		add_by_port(c, m, where, host, n);
		return;
	}
	for (i = 0; i < nports; i++)
		add_by_port(c, m, where, host, port[i]);
}

/* What Perdition's users may not expect of these listeners. */
static void
warn_mode(struct conf *c, const struct conf_mode *m)
{
	const char *where = conf_where(c, "ssl_mode");

	if (c->private->protocol == PROTOCOL_TLS && m->said && !m->none &&
	    m->listen == 0)
		conf_warn(c, where,
		    "protocol %s: clients are served with TLS, "
		    "although ssl_mode does not say ssl_listen",
		    c->private->defaults->protocol_tls);
	if (!(m->listen & CONF_MODE_TLS))
		return;
	if (m->listen & CONF_MODE_FORCE)
		return;
	if (!conf_flag(c, "plaintext_login"))
		conf_warn(c, where,
		    "tls_listen takes no passwords before "
		    "STARTTLS here; write tls_listen_force, or, for clients "
		    "that have no TLS, plaintext_login");
}

static void
check_plaintext_login(struct conf *c, const struct conf_mode *m)
{
	const char *where = conf_where(c, "plaintext_login");

	if (c->private->in_role || !conf_flag(c, "plaintext_login"))
		return;
	if (m->listen & CONF_MODE_FORCE)
		conf_error(c, where,
		    "plaintext_login contradicts ssl_mode tls_listen_force");
	else if (!(m->listen & CONF_MODE_TLS))
		conf_error(c, where,
		    "plaintext_login goes with ssl_mode tls_listen only; "
		    "elsewhere write listen ADDRESS plain");
}

void
conf_settle_listen(struct conf *c, const struct conf_mode *m)
{
	const char *bind = conf_text(c, "bind_address");
	struct text rest, item;
	uint16_t port[2];
	size_t nports;

	check_plaintext_login(c, m);
	if (conf_is_set(c, "listen")) {
		by_listen(c, m);
		return;
	}
	if (c->private->in_role)
		return; /* one that gets to know no listeners */
	warn_mode(c, m);
	nports = ports(c, m, port);
	rest = text_of(bind == NULL ? "*" : bind);
	while (text_split(&rest, ',', &item))
		add_bind(c, m, text_trim(item), port, nports);
}
