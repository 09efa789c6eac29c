/* SPDX-License-Identifier: ISC */
/*
 * imap_capability: what a client may be promised.  Runs in the worker (and,
 * for the administrator's list, in the master).  Before a login a promise is
 * ours to keep, after it the inner server's, with a pipe in between; clients
 * keep what they once saw, so no word may turn into a lie on the way.
 */
#include "imap.h"

#define BEFORE (CAPABILITY_CLEAR | CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define AFTER CAPABILITY_AFTER
#define LOGIN (CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define NEVER 0

const struct capability_rule imap_rules[] = {
	{ "IMAP4rev1", BEFORE | AFTER, BEFORE, false,
	    "what the relay itself speaks (RFC 3501 7.2.1)" },
	{ "IMAP4rev2", AFTER, NEVER, false,
	    "other rules for names and literals: to be had behind the login" },

	{ "STARTTLS", CAPABILITY_STARTTLS, CAPABILITY_STARTTLS, true,
	    "ours; the inner server's would be a handshake within TLS" },
	{ "LOGINDISABLED", CAPABILITY_CLEAR, CAPABILITY_CLEAR, true,
	    "ours; the inner server's is about its own leg (RFC 3501 7.2.1)" },
	{ "AUTH=PLAIN", NEVER, LOGIN, false,
	    "the relay logs in again with what it says" },
	{ "AUTH=LOGIN", NEVER, LOGIN, false, "the same, for old clients" },
	{ "AUTH=*", NEVER, NEVER, false,
	    "a challenge of the inner server cannot be answered twice" },
	{ "SASL-IR", NEVER, LOGIN, false,
	    "ours; it makes no sense behind the login (RFC 4959)" },
	{ "LOGIN-REFERRALS", NEVER, NEVER, false,
	    "would lead the client past the gateway (RFC 2221)" },
	{ "MAILBOX-REFERRALS", NEVER, NEVER, false,
	    "the same, to hosts that it cannot reach (RFC 2193)" },
	{ "UNAUTHENTICATE", NEVER, NEVER, false,
	    "another login that nobody here would see (RFC 8437)" },

	{ "LITERAL+", BEFORE | AFTER, NEVER, false,
	    "we take {n+} before the login, the inner server after it" },
	{ "LITERAL-", BEFORE | AFTER, NEVER, false, "the same (RFC 7888)" },
	{ "ID", BEFORE | AFTER, NEVER, false,
	    "we answer it before the login, the inner server after it" },
	{ "ENABLE", BEFORE | AFTER, NEVER, false,
	    "is good behind the login only (RFC 5161 3.1)" },
	{ "UTF8=ONLY", AFTER, NEVER, false,
	    "would be about our dialogue too (RFC 9755)" },
	{ "COMPRESS=*", AFTER, NEVER, false,
	    "behind the login the relay reads nothing (RFC 4978)" },
	{ "*", BEFORE | AFTER, NEVER, false,
	    "the inner server's affair, the relay passes all octets" },
};
_Static_assert(nitems(imap_rules) == IMAP_NRULES, "imap.h tells how many");

/* capability = ("AUTH=" auth-type) / atom, RFC 3501 9. */
bool
imap_is_capability(struct text word)
{
	struct text atom;

	return imap_take_atom(&word, &atom) && word.len == 0;
}

int
imap_add_capability(struct capability *c, struct text words)
{
	struct text rest = words, word;

	while (text_word(&rest, &word)) {
		if (!imap_is_capability(word))
			return -1;
	}
	return capability_add_words(c, words);
}

int
imap_parse_capability(const char *text, struct capability *out)
{
	capability_clear(out);
	if (imap_add_capability(out, text_of(text)) == -1 || out->len == 0)
		return -1;
	return 0;
}
