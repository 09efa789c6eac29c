/* SPDX-License-Identifier: ISC */
/*
 * conf_proxy: the PROXY protocol on both sides: whose header is believed, and
 * whether inner servers get one; and who else is trusted.  Runs in the master,
 * and in the roles that get to know it.
 */
#include "conf_settle.h"
#include "xmalloc.h"

#define RANGES_MAX 1024

/* A list of addresses and networks that a directive has. */
struct ranges {
	const char *directive;
	struct addr_range **list;
	size_t *n;
};

static void
add_range(struct conf *c, const struct ranges *to, const char *where,
    struct text item)
{
	struct addr_range r;

	if (addr_range_parse(item, &r) == -1) {
		conf_error(c, where,
		    "%s takes addresses and networks, as in "
		    "192.0.2.7 and 192.0.2.0/24, not \"%s\"",
		    to->directive, CONF_SHOW(item));
		return;
	}
	if (*to->n == RANGES_MAX) {
		conf_error(c, where, "%s: more than %d networks", to->directive,
		    RANGES_MAX);
		return;
	}
	if (r.bits == 0)
		conf_warn(c, where, "%s %s: whoever connects %s", to->directive,
		    CONF_SHOW(item),
		    to->list == &c->proxies
		        ? "can say that he comes from any address"
		        : "may guess passwords without end");
	*to->list = xrecallocarray(*to->list, *to->n, *to->n + 1, sizeof(r));
	(*to->list)[(*to->n)++] = r;
}

static void
add_ranges(struct conf *c, const struct ranges *to, const char *where,
    const char *value)
{
	struct text rest = text_of(value), item;

	while (rest.len > 0 && text_split(&rest, ',', &item))
		add_range(c, to, where, text_trim(item));
}

static void
settle_ranges(struct conf *c, const struct ranges *to)
{
	const struct conf_setting *s = conf_setting(c, to->directive);
	const char *initial = conf_text(c, to->directive);
	size_t i;

	for (i = 0; i < s->nvalues; i++)
		add_ranges(c, to, s->values[i].where, s->values[i].text);
	if (s->nvalues == 0 && initial != NULL)
		add_ranges(c, to, NULL, initial);
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
	const struct ranges proxies = { "proxy_protocol_from", &c->proxies,
		&c->nproxies };
	const struct ranges trusted = { "trusted_networks", &c->trusted,
		&c->ntrusted };

	settle_ranges(c, &proxies);
	settle_ranges(c, &trusted);
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
