/* SPDX-License-Identifier: ISC */
/*
 * conf_names: what is done to a user's name before the inner server sees it.
 * Perdition names the states in which a rule holds; of these Relais has one,
 * remote_login.  Runs in the master and in the workers.
 */
#include <stdint.h>
#include <stddef.h>

#include "conf_settle.h"

static const struct {
	const char *word;
	bool remote; /* remote_login is in it */
} states[] = {
	{ "servername_lookup", false },
	{ "server_lookup", false },
	{ "local_authentication", false },
	{ "local_auth", false },
	{ "remote_login", true },
	{ "all", true },
};

#define NSTATES (sizeof(states) / sizeof(states[0]))

/* Does word stand for remote_login, too?  Reports what it cannot mean. */
static bool
state(struct conf *c, const char *where, const char *name, struct text word)
{
	size_t i;

	for (i = 0; i < NSTATES; i++) {
		if (!text_caseeq(word, states[i].word))
			continue;
		if (!states[i].remote)
			conf_warn(c, where,
			    "%s %s has no effect: it is about "
			    "lookups, of which there are none",
			    name, states[i].word);
		return states[i].remote;
	}
	conf_error(c, where, "%s takes remote_login or all, not \"%s\"", name,
	    CONF_SHOW(word));
	return false;
}

/* Is the rule called name in force?  add_domain's depth is let through. */
static bool
rule(struct conf *c, const char *name, bool takes_depth)
{
	const struct conf_setting *s = conf_setting(c, name);
	struct text rest, word;
	bool on = false;
	uint64_t depth;
	size_t i;

	for (i = 0; i < s->nvalues; i++) {
		rest = text_of(s->values[i].text);
		while (text_split(&rest, ',', &word)) {
			word = text_trim(word);
			if (takes_depth && text_u64(word, UINT8_MAX, &depth))
				continue; /* explicit_domain has no depth */
			on |= state(c, s->values[i].where, name, word);
		}
	}
	return on;
}

void
conf_settle_names(struct conf *c)
{
	c->name_rules.lower_case = rule(c, "lower_case", false);
	c->name_rules.strip_domain = rule(c, "strip_domain", false);
	c->name_rules.add_domain = rule(c, "add_domain", true);
	if (c->name_rules.add_domain && c->explicit_domain == NULL)
		conf_error(c, conf_where(c, "add_domain"),
		    "add_domain needs explicit_domain: the domain is not made "
		    "from the name of an address here");
}
