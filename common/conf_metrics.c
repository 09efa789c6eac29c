/* SPDX-License-Identifier: ISC */
/*
 * conf_metrics: where the numbers are served.  They tell who is busy and how
 * much, and there is no login: so nobody but this very host may ask.  Runs in
 * the master, and in the role that gets to know it.
 */
#include <sys/un.h>

#include <string.h>

#include "conf_settle.h"

#define PATH_LENGTH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

static void
settle_path(struct conf *c, const char *where)
{
	if (strlen(c->metrics_listen) > PATH_LENGTH_MAX)
		conf_error(c, where,
		    "metrics_listen: a path of more than %zu octets",
		    PATH_LENGTH_MAX);
	else
		conf_replace(&c->metrics_path, text_of(c->metrics_listen));
}

static void
settle_address(struct conf *c, const char *where)
{
	struct text whole = text_of(c->metrics_listen), host, port;
	uint64_t n;

	if (addr_split(whole, &host, &port) == -1 || port.p == NULL ||
	    !text_u64(port, UINT16_MAX, &n) || n == 0 ||
	    addr_parse(host, (uint16_t)n, &c->metrics_addr) == -1) {
		conf_error(c, where,
		    "metrics_listen takes a numeric address and a port, as in "
		    "127.0.0.1:9993 and [::1]:9993, or the path of a UNIX "
		    "socket, not \"%s\"",
		    CONF_SHOW(whole));
		c->metrics_addr = (struct addr){ 0 };
	} else if (!addr_is_loopback(&c->metrics_addr)) {
		conf_error(c, where,
		    "metrics_listen %s: only an address of the loopback "
		    "interface (127.0.0.1, ::1) or a UNIX socket: there is no "
		    "login, and the numbers are not for everybody",
		    CONF_SHOW(whole));
	}
}

void
conf_settle_metrics(struct conf *c)
{
	const char *where = conf_where(c, "metrics_listen");

	if (c->metrics_group != NULL &&
	    (c->metrics_listen == NULL || c->metrics_listen[0] != '/'))
		conf_warn(c, conf_where(c, "metrics_group"),
		    "metrics_group has no effect: metrics_listen is no path");
	if (c->metrics_listen == NULL)
		return;
	if (c->metrics_listen[0] == '/')
		settle_path(c, where);
	else
		settle_address(c, where);
}
