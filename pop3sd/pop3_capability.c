/* SPDX-License-Identifier: ISC */
/*
 * pop3_capability: what a client may be promised.  Runs in the worker (and,
 * for the administrator's list, in the master).  CAPA may be asked before and
 * after the login: after it the inner server answers, with a pipe in between.
 * So a promise made before is one that both keep.
 */
#include <string.h>

#include "pop3.h"

#define BEFORE (CAPABILITY_CLEAR | CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define LOGIN (CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define NEVER 0

/* What nobody has heard of is not told: it may be about the dialogue here. */
const struct capability_rule pop3_rules[] = {
	{ "TOP", BEFORE, NEVER, false,
	    "a command behind the login, the inner server's (RFC 2449 6.1)" },
	{ "UIDL", BEFORE, NEVER, false, "the same (RFC 2449 6.8)" },
	{ "PIPELINING", BEFORE, NEVER, false,
	    "we take commands so before the login, the inner server after it" },
	{ "RESP-CODES", BEFORE, NEVER, false,
	    "we keep its codes, and have our own (RFC 2449 6.4)" },
	{ "AUTH-RESP-CODE", BEFORE, NEVER, false, "the same (RFC 3206 6)" },
	{ "EXPIRE *", BEFORE, NEVER, false,
	    "about the mailbox, so the inner server's affair" },
	{ "LOGIN-DELAY *", BEFORE, NEVER, false,
	    "the same; its refusal is passed on (RFC 2449 6.5)" },
	{ "UTF8", BEFORE, NEVER, false,
	    "said again to the inner server (RFC 6856 2.1)" },
	{ "UTF8 USER", BEFORE, NEVER, false,
	    "names and passwords go there octet by octet (RFC 6856 2.2)" },
	{ "LANG", BEFORE, NEVER, false, "said again, too (RFC 6856 3.2)" },

	{ "USER", LOGIN, LOGIN, false,
	    "ours, while a password may be said (RFC 2449 6.2)" },
	{ "SASL PLAIN LOGIN", NEVER, LOGIN, false,
	    "the relay logs in again with what they say (RFC 5034)" },
	{ "STLS", CAPABILITY_STARTTLS, CAPABILITY_STARTTLS, true,
	    "ours; the inner server's would be a handshake within TLS" },
	{ "IMPLEMENTATION Relais", NEVER, BEFORE, false,
	    "who answers here (RFC 2449 6.9)" },
	{ "*", NEVER, NEVER, false,
	    "other mechanisms of SASL, and what nobody here has heard of" },
};
_Static_assert(nitems(pop3_rules) == POP3_NRULES, "pop3.h tells how many");

/*
 * Perdition's form: entries between dots, or, in its older files, between
 * two blanks; then a dot stands within an entry.
 */
int
pop3_parse_capability(const char *text, struct capability *out)
{
	const char *end, *sep = strstr(text, "  ") != NULL ? "  " : ".";
	struct text rest = text_of(text), entry;

	capability_clear(out);
	while (rest.len > 0) {
		end = memmem(rest.p, rest.len, sep, strlen(sep));
		entry = rest;
		if (end != NULL)
			entry.len = (size_t)(end - rest.p);
		rest = text_skip(
		    rest, entry.len + (end != NULL ? strlen(sep) : 0));
		entry = text_trim(entry);
		if (entry.len > 0 && capability_add(out, entry) == -1)
			return -1;
	}
	return out->len > 0 ? 0 : -1;
}
