/* SPDX-License-Identifier: ISC */
/*
 * smtp_capability: what the reply to EHLO may promise.  Runs in the worker
 * (and, for the administrator's list, in the master).  The reply goes out
 * before the user is known, and clients do not ask again behind AUTH: so a
 * promise is one that the relay keeps now and every inner server later.
 * Inner servers are trusted neither with the form of what they say nor with
 * its length.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "smtp_capability.h"
#include "smtp_received.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define BEFORE (CAPABILITY_CLEAR | CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS)
#define EVER (BEFORE | CAPABILITY_AFTER) /* the relay answers every EHLO */
#define NEVER 0

const struct capability_rule smtp_rules[] = {
	{ "PIPELINING", EVER, EVER, false,
	    "ours: commands wait here until their turn comes (RFC 2920)" },
	{ "SIZE", EVER, NEVER, false,
	    "settled later: the lesser of two limits (RFC 1870)" },
	{ "SIZE *", EVER, NEVER, false, "the same" },
	{ "LIMITS *", EVER, NEVER, false,
	    "settled later, number by number (RFC 9422)" },
	{ "8BITMIME", EVER, NEVER, false,
	    "nothing here makes 7 bits of 8 (RFC 6152)" },
	{ "SMTPUTF8", EVER, NEVER, false,
	    "addresses and header pass as they are (RFC 6531)" },
	{ "DSN", EVER, NEVER, false,
	    "the inner server reports, its parameters pass (RFC 3461)" },
	{ "CHUNKING", EVER, NEVER, false,
	    "octets are counted here and there (RFC 3030)" },
	{ "BINARYMIME", EVER, NEVER, false,
	    "needs BDAT all the way to the inner server (RFC 3030 3)" },
	{ "ENHANCEDSTATUSCODES", EVER, NEVER, false,
	    "ours all have one; its replies are passed on (RFC 2034)" },
	{ "REQUIRETLS", EVER, NEVER, false,
	    "settled later: every hop must have TLS (RFC 8689)" },

	/* The inner server's; parameters of MAIL and RCPT pass verbatim. */
	{ "FUTURERELEASE *", EVER, NEVER, false, "of MAIL (RFC 4865)" },
	{ "DELIVERBY", EVER, NEVER, false, "of MAIL (RFC 2852)" },
	{ "DELIVERBY *", EVER, NEVER, false, "the same" },
	{ "MT-PRIORITY", EVER, NEVER, false, "of MAIL (RFC 6710)" },
	{ "MT-PRIORITY *", EVER, NEVER, false, "the same" },
	{ "MTRK", EVER, NEVER, false, "of MAIL (RFC 3885)" },
	{ "NO-SOLICITING", EVER, NEVER, false, "of MAIL (RFC 3865)" },
	{ "NO-SOLICITING *", EVER, NEVER, false, "the same" },
	{ "RRVS", EVER, NEVER, false, "of RCPT (RFC 7293)" },
	{ "CONPERM", EVER, NEVER, false, "of MAIL (RFC 4141)" },
	{ "CONNEG", EVER, NEVER, false, "of RCPT (RFC 4141)" },

	{ "STARTTLS", CAPABILITY_STARTTLS, CAPABILITY_STARTTLS, true,
	    "ours; the inner server's would be a handshake within TLS" },
	{ "AUTH", NEVER, NEVER, false, "ours, put in later (RFC 4954)" },
	{ "AUTH *", NEVER, NEVER, false,
	    "who may send is decided on the gateway" },
	{ "AUTH=*", NEVER, NEVER, false, "the same, in an old form" },

	{ "VRFY", NEVER, NEVER, false, "tells nothing here (RFC 5321 3.5.3)" },
	{ "EXPN", NEVER, NEVER, false, "would tell who is on a list" },
	{ "HELP", NEVER, NEVER, false, "would speak of another program" },
	{ "ETRN", NEVER, NEVER, false, "for servers, not users (RFC 1985)" },
	{ "ATRN *", NEVER, NEVER, false, "the same (RFC 2645)" },
	{ "TURN", NEVER, NEVER, false, "gives mail away (RFC 5321 F.1)" },
	{ "BURL", NEVER, NEVER, false,
	    "rests on trust between inner servers (RFC 4468)" },
	{ "BURL *", NEVER, NEVER, false, "the same" },
	{ "XCLIENT", NEVER, NEVER, false,
	    "for us: a client that says it is another client" },
	{ "XCLIENT *", NEVER, NEVER, false, "the same" },
	{ "XFORWARD", NEVER, NEVER, false, "the same, for the log" },
	{ "XFORWARD *", NEVER, NEVER, false, "the same" },
	{ "X*", NEVER, NEVER, false,
	    "may rest on trust in our address, as XCLIENT does" },
	{ "*", NEVER, NEVER, false,
	    "may be about the dialogue here, which knows nothing of it" },
};
_Static_assert(nitems(smtp_rules) == SMTP_NRULES, "the header tells how many");

/* RFC 9422 4: what servers may limit, with numbers of at most six digits. */
static const char *const limit_names[] = { "RCPTMAX", "MAILMAX",
	"RCPTDOMAINMAX" };
#define RCPTMAX 0
#define LIMIT_MAX 999999
#define LIMITS_LINE                                                            \
	sizeof("LIMITS RCPTMAX=999999 MAILMAX=999999 "                         \
	       "RCPTDOMAINMAX=999999")
#define SIZE_LINE sizeof("SIZE 18446744073709551615")

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

/* ehlo-keyword, RFC 5321 4.1.1.1 */
static bool
is_keyword(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (!is_alnum(t.p[i]) && (t.p[i] != '-' || i == 0))
			return false;
	}
	return t.len > 0;
}

static struct text
keyword_of(struct text entry)
{
	struct text word = TEXT_NONE;

	(void)text_word(&entry, &word);
	return word;
}

static bool
has_same_keyword(const struct capability *c, struct text keyword)
{
	struct text entry;
	size_t at = 0;

	while (capability_next(c, &at, &entry)) {
		if (text_casesame(keyword_of(entry), keyword))
			return true;
	}
	return false;
}

static bool
is_printable(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] < 0x20 || t.p[i] > 0x7e)
			return false;
	}
	return true;
}

/*
 * Add a word behind the len octets of dst, after a blank when there are any;
 * -1 when size does not hold that and a NUL.
 */
static int
add_word(char *dst, size_t size, size_t *len, struct text word)
{
	size_t blank = *len > 0 ? 1 : 0;

	if (word.len >= size - *len || blank >= size - *len - word.len)
		return -1;
	if (blank > 0)
		dst[(*len)++] = ' ';
	memcpy(dst + *len, word.p, word.len);
	*len += word.len;
	dst[*len] = '\0';
	return 0;
}

int
smtp_add_keyword(struct capability *c, struct text line)
{
	char entry[SMTP_KEYWORD_LINE_MAX + 1];
	struct text word, keyword = keyword_of(line);
	size_t len = 0;

	if (!is_printable(line))
		return -1;
	if (text_caseprefix(keyword, "AUTH=")) {
		keyword.len = strlen("AUTH");
		line = text_skip(text_trim(line), strlen("AUTH="));
		(void)add_word(entry, sizeof(entry), &len, keyword);
	}
	if (!is_keyword(keyword))
		return -1;
	while (text_word(&line, &word)) {
		if (add_word(entry, sizeof(entry), &len, word) == -1)
			return -1;
	}
	if (has_same_keyword(c, keyword))
		return 0;
	return capability_add(c, (struct text){ entry, len });
}

/* Is there a rule for keyword, followed by more? */
static bool
has_rule(struct text keyword, const char *more)
{
	struct text word;
	size_t i;

	for (i = 0; i < SMTP_NRULES; i++) {
		word = text_of(smtp_rules[i].word);
		if (word.len == keyword.len + strlen(more) &&
		    text_caseeq(text_skip(word, keyword.len), more) &&
		    text_casesame(
		        (struct text){ word.p, keyword.len }, keyword))
			return true;
	}
	return false;
}

static int
add_administrators(struct capability *c, struct text entry)
{
	struct text arguments = entry, keyword;

	if (!text_word(&arguments, &keyword))
		return 0; /* nothing between two separators */
	if (text_trim(arguments).len > 0 && has_rule(keyword, "") &&
	    !has_rule(keyword, " *"))
		return -1;
	return smtp_add_keyword(c, entry);
}

int
smtp_parse_capability(const char *text, struct capability *out)
{
	struct text rest = text_of(text), entry;

	capability_clear(out);
	while (text_split(&rest, ',', &entry)) {
		if (add_administrators(out, entry) == -1)
			return -1;
	}
	return out->len > 0 ? 0 : -1;
}

uint64_t
smtp_capability_size(const struct capability *c)
{
	struct text entry, word;
	size_t at = 0;
	uint64_t n;

	while (capability_next(c, &at, &entry)) {
		if (text_word(&entry, &word) && text_caseeq(word, "SIZE") &&
		    text_word(&entry, &word) && text_u64(word, UINT64_MAX, &n))
			return n;
	}
	return 0;
}

uint64_t
smtp_size_limit(uint64_t own, uint64_t inner)
{
	if (inner == 0)
		return own;
	/* No place for any message; 0 would say that there is no limit. */
	inner = inner > SMTP_RECEIVED_SIZE ? inner - SMTP_RECEIVED_SIZE : 1;
	return own != 0 && own < inner ? own : inner;
}

/* "SIZE n"; where there is no limit "SIZE", or "" unless it is promised. */
static void
show_size(uint64_t n, bool promised, char dst[static SIZE_LINE])
{
	dst[0] = '\0';
	if (n > 0)
		(void)snprintf(dst, SIZE_LINE, "SIZE %" PRIu64, n);
	else if (promised)
		(void)snprintf(dst, SIZE_LINE, "SIZE");
}

/* Lower the limit that word ("RCPTMAX=100") names, if it is one of ours. */
static void
take_limit(struct text word, uint64_t limits[static nitems(limit_names)])
{
	struct text name;
	uint64_t n;
	size_t i;

	if (!text_split(&word, '=', &name) || !text_u64(word, LIMIT_MAX, &n) ||
	    n == 0)
		return;
	for (i = 0; i < nitems(limit_names); i++) {
		if (text_caseeq(name, limit_names[i]) &&
		    (limits[i] == 0 || n < limits[i]))
			limits[i] = n;
	}
}

/* The same for what c has of them. */
static void
take_limits(
    const struct capability *c, uint64_t limits[static nitems(limit_names)])
{
	struct text entry, word;
	size_t at = 0;

	while (capability_next(c, &at, &entry)) {
		if (!text_word(&entry, &word) || !text_caseeq(word, "LIMITS"))
			continue;
		while (text_word(&entry, &word))
			take_limit(word, limits);
	}
}

/* "LIMITS ...", or "" when there is none. */
static void
show_limits(const uint64_t limits[static nitems(limit_names)],
    char dst[static LIMITS_LINE])
{
	size_t i, len = 0;

	dst[0] = '\0';
	for (i = 0; i < nitems(limit_names); i++) {
		if (limits[i] == 0)
			continue;
		len += (size_t)snprintf(dst + len, LIMITS_LINE - len,
		    "%s %s=%" PRIu64, len == 0 ? "LIMITS" : "", limit_names[i],
		    limits[i]);
	}
}

/* Is what entry rests on promised too? */
static bool
stands(
    const struct capability *c, const struct smtp_offer *o, struct text entry)
{
	struct text keyword = keyword_of(entry);

	if (text_caseeq(keyword, "BINARYMIME"))
		return capability_has_keyword(c, "CHUNKING");
	if (text_caseeq(keyword, "SMTPUTF8")) /* RFC 6531 3.1 */
		return capability_has_keyword(c, "8BITMIME");
	if (text_caseeq(keyword, "REQUIRETLS"))
		return o->inner_tls;
	return true;
}

/* Add entry if room octets stay free behind it. */
static void
add_leaving(struct capability *c, struct text entry, size_t room)
{
	size_t left = sizeof(c->text) - c->len;

	if (room < left && entry.len < left - room) /* and its LF */
		(void)capability_add(c, entry);
}

void
smtp_capability_settle(struct capability *c, const struct smtp_offer *o)
{
	uint64_t lowest[nitems(limit_names)] = { 0 };
	struct capability out;
	char size[SIZE_LINE], limits[LIMITS_LINE];
	struct text entry, keyword;
	size_t at = 0, room;

	show_size(smtp_size_limit(o->message_size, smtp_capability_size(c)),
	    capability_has_keyword(c, "SIZE"), size);
	if (o->recipients <= LIMIT_MAX)
		lowest[RCPTMAX] = o->recipients;
	take_limits(c, lowest);
	show_limits(lowest, limits);
	room = strlen(size) + strlen(limits) + 2;
	capability_clear(&out);
	while (capability_next(c, &at, &entry)) {
		keyword = keyword_of(entry);
		if (text_caseeq(keyword, "SIZE"))
			(void)capability_add(&out, text_of(size));
		else if (text_caseeq(keyword, "LIMITS"))
			(void)capability_add(&out, text_of(limits));
		else if (stands(c, o, entry))
			add_leaving(&out, entry, room);
	}
	/* At the end, if they had no place yet; "" is never added. */
	(void)capability_add(&out, text_of(size));
	(void)capability_add(&out, text_of(limits));
	*c = out;
}

/* Put these for the SIZE that c may have, and at its end for LIMITS. */
static void
restate(struct capability *c, const char *size, const char *limits)
{
	const struct capability was = *c;
	struct text entry, keyword;
	size_t at = 0;

	capability_clear(c);
	while (capability_next(&was, &at, &entry)) {
		keyword = keyword_of(entry);
		if (text_caseeq(keyword, "SIZE"))
			(void)capability_add(c, text_of(size));
		else if (!text_caseeq(keyword, "LIMITS"))
			add_leaving(
			    c, entry, strlen(size) + strlen(limits) + 2);
	}
	(void)capability_add(c, text_of(limits));
}

void
smtp_capability_merge(struct capability *all, const struct capability *other)
{
	uint64_t lowest[nitems(limit_names)] = { 0 }, n, m;
	struct capability there = *other;
	char size[SIZE_LINE], limits[LIMITS_LINE];

	n = smtp_capability_size(all);
	m = smtp_capability_size(other);
	show_size(n == 0 || (m != 0 && m < n) ? m : n, true, size);
	take_limits(all, lowest);
	take_limits(other, lowest);
	show_limits(lowest, limits);
	restate(all, size, limits);
	restate(&there, size, limits);
	capability_intersect(all, &there);
}

/* sasl-mech, RFC 4422 3.1 */
static bool
is_mechanism(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (!is_alnum(t.p[i]) && t.p[i] != '-' && t.p[i] != '_')
			return false;
	}
	return t.len > 0 && t.len <= 20;
}

/* "AUTH PLAIN ...", or "" when there is no mechanism. */
static void
show_auth(struct text mechanisms, char dst[static SMTP_KEYWORD_LINE_MAX + 1])
{
	const size_t size = SMTP_KEYWORD_LINE_MAX + 1;
	struct text word;
	size_t len = 0;

	(void)add_word(dst, size, &len, TEXT_LIT("AUTH"));
	while (text_word(&mechanisms, &word)) {
		if (is_mechanism(word))
			(void)add_word(dst, size, &len, word);
	}
	if (len == strlen("AUTH"))
		dst[0] = '\0';
}

static bool
is_auth(struct text entry)
{
	struct text keyword = keyword_of(entry);

	return text_caseeq(keyword, "AUTH") ||
	    text_caseprefix(keyword, "AUTH=");
}

void
smtp_capability_auth(
    struct capability *c, struct text mechanisms, bool broken_clients)
{
	struct capability out;
	char auth[SMTP_KEYWORD_LINE_MAX + 1], old[SMTP_KEYWORD_LINE_MAX + 1];
	struct text entry;
	size_t at = 0, room;

	show_auth(mechanisms, auth);
	(void)strlcpy(old, broken_clients ? auth : "", sizeof(old));
	if (old[0] != '\0')
		old[strlen("AUTH")] = '=';
	room = strlen(auth) + strlen(old) + 2;
	capability_clear(&out);
	while (capability_next(c, &at, &entry)) {
		if (!is_auth(entry)) {
			add_leaving(&out, entry, room);
			continue;
		}
		(void)capability_add(&out, text_of(auth));
		(void)capability_add(&out, text_of(old));
	}
	/* At the end, if they had no place yet; "" is never added. */
	(void)capability_add(&out, text_of(auth));
	(void)capability_add(&out, text_of(old));
	*c = out;
}
