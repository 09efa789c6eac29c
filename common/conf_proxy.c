/* SPDX-License-Identifier: ISC */
/*
 * conf_proxy: the PROXY protocol on both sides: whose header is believed, and
 * whether inner servers get one.  Runs in the master, and in the roles that
 * get to know it.
 */
#include "conf_settle.h"
#include "xmalloc.h"

#define PROXIES_MAX 1024

static void
add_proxy(struct conf *c, const char *where, struct text item)
{
	struct addr_range r;

	if (addr_range_parse(item, &r) == -1) {
		conf_error(c, where,
		    "proxy_protocol_from takes addresses and networks, as in "
		    "192.0.2.7 and 192.0.2.0/24, not \"%s\"",
		    CONF_SHOW(item));
		return;
	}
	if (c->nproxies == PROXIES_MAX) {
		conf_error(c, where, "more than %d proxies", PROXIES_MAX);
		return;
	}
	if (r.bits == 0)
		conf_warn(c, where,
		    "proxy_protocol_from %s: whoever connects can say that "
		    "he comes from any address",
		    CONF_SHOW(item));
	c->proxies =
	    xrecallocarray(c->proxies, c->nproxies, c->nproxies + 1, sizeof(r));
	c->proxies[c->nproxies++] = r;
}

static void
settle_from(struct conf *c)
{
	const struct conf_setting *s = conf_setting(c, "proxy_protocol_from");
	struct text rest, item;
	size_t i;

	for (i = 0; i < s->nvalues; i++) {
		rest = text_of(s->values[i].text);
		while (text_split(&rest, ',', &item))
			add_proxy(c, s->values[i].where, text_trim(item));
	}
}

static void
settle_outgoing(struct conf *c)
{
	struct text word = text_of(conf_text(c, "outgoing_proxy_protocol"));

	if (text_caseeq(word, "v1"))
		c->outgoing_proxy = 1;
	else if (text_caseeq(word, "v2"))
		c->outgoing_proxy = 2;
	else if (!text_caseeq(word, "no"))
		conf_error(c, conf_where(c, "outgoing_proxy_protocol"),
		    "outgoing_proxy_protocol takes no, v1 or v2, not \"%s\"",
		    CONF_SHOW(word));
}

void
conf_settle_proxy(struct conf *c)
{
	settle_from(c);
	settle_outgoing(c);
}

bool
conf_is_proxy(const struct conf *c, const struct addr *a)
{
	size_t i;

	for (i = 0; i < c->nproxies; i++)
		if (addr_in_range(a, &c->proxies[i]))
			return true;
	return false;
}
