/* SPDX-License-Identifier: ISC */
/*
 * smtp_log: events as lines of a Postfix log.  Runs in the master (the names
 * of messages: in the worker).  The events come from a worker, which may
 * have been taken over, and their texts from clients and inner servers.  The
 * enums are in their ranges, which the message's reader has seen to; texts
 * are cut so that none can push what stands behind it out of the line, and
 * none can pose as the beginning of another field.
 */
#include <stdio.h>
#include <string.h>

#include "smtp_log.h"

/* Octets of a text as it is shown, escaped, with a NUL. */
#define ADDRESS_SHOWN 260 /* RFC 5321 4.5.3.1.3 has 256 for a path */
#define NAME_SHOWN 256    /* RFC 5321 4.5.3.1.2 */
#define HELO_SHOWN 200
#define USER_SHOWN 101 /* Postfix cuts at 100 */
#define WORD_SHOWN 32  /* names of messages, mechanisms and codes */
#define REASON_SHOWN 320
#define FIXED_MAX 320 /* what is ours, numbers and an address */

_Static_assert(NAME_SHOWN + 3 * ADDRESS_SHOWN + HELO_SHOWN + USER_SHOWN +
            2 * WORD_SHOWN + REASON_SHOWN + FIXED_MAX <=
        LOG_LINE_MAX,
    "the longest line, which is a reject, fits");

static const char *const place_names[] = {
	[SMTP_HELO] = "HELO",
	[SMTP_EHLO] = "EHLO",
	[SMTP_XCLIENT] = "XCLIENT",
	[SMTP_XFORWARD] = "XFORWARD",
	[SMTP_STARTTLS] = "STARTTLS",
	[SMTP_AUTH] = "AUTH",
	[SMTP_MAIL] = "MAIL",
	[SMTP_RCPT] = "RCPT",
	[SMTP_DATA] = "DATA",
	[SMTP_BDAT] = "BDAT",
	[SMTP_RSET] = "RSET",
	[SMTP_NOOP] = "NOOP",
	[SMTP_VRFY] = "VRFY",
	[SMTP_ETRN] = "ETRN",
	[SMTP_QUIT] = "QUIT",
	[SMTP_UNKNOWN] = "UNKNOWN",
	[SMTP_CONNECT] = "CONNECT",
	[SMTP_END_OF_MESSAGE] = "END-OF-MESSAGE",
};
_Static_assert(sizeof(place_names) / sizeof(place_names[0]) == SMTP_PLACES,
    "name every enum smtp_verb");

/* The line as it grows; there is always room for a NUL. */
struct line {
	char *dst;
	size_t len;
};

static void
put_octets(struct line *l, struct text t)
{
	size_t left = LOG_LINE_MAX - l->len;

	if (t.len >= left)
		t.len = left - 1;
	memcpy(l->dst + l->len, t.p, t.len);
	l->len += t.len;
	l->dst[l->len] = '\0';
}

static void
put(struct line *l, const char *s)
{
	put_octets(l, text_of(s));
}

static void
put_number(struct line *l, uint64_t n)
{
	char s[TEXT_DECIMAL];

	put_octets(l, text_decimal(n, 1, s));
}

/* At most shown octets of t; what of the line it is. */
static char *
put_text(struct line *l, struct text t, size_t shown)
{
	char *s = l->dst + l->len;

	if (shown <= LOG_LINE_MAX - l->len) { /* as it is, by the sums above */
		text_printable(t, s, shown);
		l->len += strlen(s);
	}
	return s;
}

/* t between before and after, at most shown octets of it. */
static void
add_text(struct line *l, const char *before, struct text t, size_t shown,
    const char *after)
{
	put(l, before);
	(void)put_text(l, t, shown);
	put(l, after);
}

/* The same where after has a '>', which t must not bring about. */
static void
add_bracketed(struct line *l, const char *before, struct text t, size_t shown,
    const char *after)
{
	char *p;

	put(l, before);
	for (p = put_text(l, t, shown); *p != '\0'; p++) {
		if (*p == '<' || *p == '>')
			*p = '?';
	}
	put(l, after);
}

/* What DNS gives as a client's name comes from whoever owns the address. */
static bool
is_host_name(struct text t)
{
	size_t i;
	char c;

	for (i = 0; i < t.len; i++) {
		c = t.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
			return false;
	}
	return t.len > 0 && t.len < NAME_SHOWN;
}

/* "name[address]" */
static void
add_peer(struct line *l, struct text name, const struct addr *a)
{
	char host[ADDR_STRLEN];

	add_text(l, "", name, NAME_SHOWN, "[");
	put(l, addr_print_host(a, host));
	put(l, "]");
}

static void
add_client(struct line *l, const struct smtp_log_peer *p)
{
	add_peer(
	    l, is_host_name(p->name) ? p->name : TEXT_LIT("unknown"), &p->addr);
}

static void
add_id(struct line *l, struct text id)
{
	add_text(
	    l, "", id.len > 0 ? id : TEXT_LIT("NOQUEUE"), WORD_SHOWN, ": ");
}

static void
format_client(struct line *l, const struct smtp_log_event *e)
{
	const struct smtp_log_client *c = &e->login;

	add_id(l, e->id);
	put(l, "client=");
	add_client(l, &e->client);
	if (c->mechanism.len == 0)
		return;
	add_text(l, ", sasl_method=", c->mechanism, WORD_SHOWN, "");
	add_text(l, ", sasl_username=", c->user, USER_SHOWN, "");
}

static void
format_message_id(struct line *l, const struct smtp_log_event *e)
{
	struct text t = e->message_id.len > 0 ? e->message_id : TEXT_LIT("<>");

	add_id(l, e->id);
	add_text(l, "message-id=", t, LOG_LINE_MAX / 2, "");
}

static void
format_from(struct line *l, const struct smtp_log_event *e)
{
	const struct smtp_log_from *f = &e->from;

	add_id(l, e->id);
	add_bracketed(l, "from=<", f->sender, ADDRESS_SHOWN, ">");
	put(l, ", size=");
	put_number(l, f->size);
	put(l, ", nrcpt=");
	put_number(l, f->recipients);
	put(l, " (queue active)");
}

/*
 * Seconds as Postfix has them: two digits that count, at most two of them
 * behind the point, and no zeros at the end.
 */
static void
add_delay(struct line *l, const char *before, uint64_t ms)
{
	uint64_t unit = ms < 1000 ? 10 : ms < 10000 ? 100 : 1000;
	uint64_t hundredths = (ms + unit / 2) / unit * unit / 10;
	unsigned int rest = (unsigned int)(hundredths % 100);

	put(l, before);
	put_number(l, hundredths / 100);
	if (rest == 0)
		return;
	put(l, ".");
	put_number(l, rest / 10);
	if (rest % 10 != 0)
		put_number(l, rest % 10);
}

static void
add_delays(struct line *l, const uint32_t ms[static 4])
{
	size_t i;

	add_delay(l, "delay=", (uint64_t)ms[0] + ms[1] + ms[2] + ms[3]);
	for (i = 0; i < 4; i++)
		add_delay(l, i == 0 ? ", delays=" : "/", ms[i]);
}

static void
format_to(struct line *l, const struct smtp_log_event *e)
{
	static const char *const names[] = {
		[SMTP_SENT] = "sent",
		[SMTP_DEFERRED] = "deferred",
		[SMTP_BOUNCED] = "bounced",
	};
	const struct smtp_log_to *t = &e->to;

	_Static_assert(sizeof(names) / sizeof(names[0]) == SMTP_STATUSES,
	    "name every enum smtp_log_status");
	add_id(l, e->id);
	add_bracketed(l, "to=<", t->recipient, ADDRESS_SHOWN, ">, relay=");
	if (t->has_relay) {
		add_peer(l, t->relay.name, &t->relay.addr);
		put(l, ":");
		put_number(l, addr_port(&t->relay.addr));
		put(l, ", ");
	} else {
		put(l, "none, ");
	}
	add_delays(l, t->delays_ms);
	add_text(l, ", dsn=", t->dsn, WORD_SHOWN, "");
	put(l, ", status=");
	put(l, names[t->status]);
	add_text(l, " (", t->reply, REASON_SHOWN, ")");
}

static void
format_reject(struct line *l, const struct smtp_log_event *e)
{
	const struct smtp_log_reject *r = &e->reject;

	add_id(l, e->id);
	put(l, "reject: ");
	put(l, place_names[r->verb]);
	put(l, " from ");
	add_client(l, &e->client);
	put(l, ": ");
	put_number(l, r->code);
	put(l, " ");
	if (r->dsn.len > 0)
		add_text(l, "", r->dsn, WORD_SHOWN, " ");
	if (r->about.len > 0)
		add_bracketed(l, "<", r->about, ADDRESS_SHOWN, ">: ");
	add_text(l, "", r->reason, REASON_SHOWN, ";");
	if (r->has_sender)
		add_bracketed(l, " from=<", r->sender, ADDRESS_SHOWN, ">");
	if (r->has_recipient)
		add_bracketed(l, " to=<", r->recipient, ADDRESS_SHOWN, ">");
	if (r->helo.len > 0) {
		put(l, r->esmtp ? " proto=ESMTP" : " proto=SMTP");
		add_bracketed(l, " helo=<", r->helo, HELO_SHOWN, ">");
	}
	if (r->user.len > 0)
		add_bracketed(l, " sasl_username=<", r->user, USER_SHOWN, ">");
}

static void
format_sasl_failed(struct line *l, const struct smtp_log_event *e)
{
	const struct smtp_log_sasl *s = &e->sasl;

	put(l, "warning: ");
	add_client(l, &e->client);
	add_text(l, ": SASL ", s->mechanism, WORD_SHOWN, "");
	add_text(l, " authentication failed: ", s->reason, REASON_SHOWN, "");
	add_text(l, ", sasl_username=",
	    s->user.len > 0 ? s->user : TEXT_LIT("(unavailable)"), USER_SHOWN,
	    "");
}

static void
format_trouble(struct line *l, const struct smtp_log_event *e, const char *what)
{
	const struct smtp_log_trouble *t = &e->trouble;

	put(l, what);
	put(l, " after ");
	put(l, place_names[t->after]);
	if (t->after == SMTP_DATA) {
		put(l, " (");
		put_number(l, t->octets);
		put(l, " bytes)");
	}
	put(l, " from ");
	add_client(l, &e->client);
	if (t->detail.len > 0)
		add_text(l, ": ", t->detail, REASON_SHOWN, "");
}

static void
format_tls_failed(struct line *l, const struct smtp_log_event *e)
{
	put(l, "SSL_accept error from ");
	add_client(l, &e->client);
	add_text(l, ": ", e->trouble.detail, REASON_SHOWN, "");
}

/* good, or good/all: even when there was none, in the sum of them. */
static void
add_count(struct line *l, const char *name, uint64_t good, uint64_t all)
{
	put(l, " ");
	put(l, name);
	put(l, "=");
	put_number(l, good);
	if (good == all && all != 0)
		return;
	put(l, "/");
	put_number(l, all);
}

static void
format_disconnect(struct line *l, const struct smtp_log_event *e)
{
	static const char names[SMTP_VERBS][10] = { "helo", "ehlo", "xclient",
		"xforward", "starttls", "auth", "mail", "rcpt", "data", "bdat",
		"rset", "noop", "vrfy", "etrn", "quit", "unknown" };
	const struct smtp_log_counts *c = &e->counts;
	uint64_t good = 0, all = 0;
	size_t i;

	put(l, "disconnect from ");
	add_client(l, &e->client);
	for (i = 0; i < SMTP_VERBS; i++) {
		if (c->of[i].all == 0)
			continue;
		add_count(l, names[i], c->of[i].good, c->of[i].all);
		good += c->of[i].good;
		all += c->of[i].all;
	}
	add_count(l, "commands", good, all);
}

int
smtp_log_format(const struct smtp_log_event *e, char dst[static LOG_LINE_MAX])
{
	struct line l = { dst, 0 };

	dst[0] = '\0';
	switch (e->type) {
	case SMTP_LOG_CONNECT:
		put(&l, "connect from ");
		add_client(&l, &e->client);
		break;
	case SMTP_LOG_CLIENT:
		format_client(&l, e);
		break;
	case SMTP_LOG_MESSAGE_ID:
		format_message_id(&l, e);
		break;
	case SMTP_LOG_FROM:
		format_from(&l, e);
		break;
	case SMTP_LOG_TO:
		format_to(&l, e);
		break;
	case SMTP_LOG_REMOVED:
		add_id(&l, e->id);
		put(&l, "removed");
		break;
	case SMTP_LOG_REJECT:
		format_reject(&l, e);
		break;
	case SMTP_LOG_SASL_FAILED:
		format_sasl_failed(&l, e);
		return LOG_WARNING;
	case SMTP_LOG_LOST:
		format_trouble(&l, e, "lost connection");
		break;
	case SMTP_LOG_TIMEOUT:
		format_trouble(&l, e, "timeout");
		break;
	case SMTP_LOG_TOO_MANY_ERRORS:
		format_trouble(&l, e, "too many errors");
		break;
	case SMTP_LOG_PIPELINING:
		format_trouble(&l, e, "improper command pipelining");
		break;
	case SMTP_LOG_TLS_FAILED:
		format_tls_failed(&l, e);
		break;
	case SMTP_LOG_DISCONNECT:
		format_disconnect(&l, e);
		break;
	case SMTP_LOG_TYPES: /* the message's reader lets none pass */
		break;
	}
	return LOG_INFO;
}

/* Which of Postfix's programs writes such a line. */
static const char *
program(enum smtp_log_type type)
{
	switch (type) {
	case SMTP_LOG_MESSAGE_ID:
		return "cleanup";
	case SMTP_LOG_FROM:
	case SMTP_LOG_REMOVED:
		return "qmgr";
	case SMTP_LOG_TO:
		return "smtp";
	case SMTP_LOG_CONNECT:
	case SMTP_LOG_CLIENT:
	case SMTP_LOG_REJECT:
	case SMTP_LOG_SASL_FAILED:
	case SMTP_LOG_LOST:
	case SMTP_LOG_TIMEOUT:
	case SMTP_LOG_TOO_MANY_ERRORS:
	case SMTP_LOG_PIPELINING:
	case SMTP_LOG_TLS_FAILED:
	case SMTP_LOG_DISCONNECT:
	case SMTP_LOG_TYPES:
		break;
	}
	return "smtpd";
}

void
smtp_log_ident(const char *ident, enum smtp_log_type type,
    char dst[static SMTP_LOG_IDENT_MAX])
{
	static const char daemon[] = "/smtpd";
	size_t n = strlen(ident), tail = sizeof(daemon) - 1;

	if (n < tail || strcmp(ident + n - tail, daemon) != 0)
		(void)snprintf(dst, SMTP_LOG_IDENT_MAX, "%s", ident);
	else
		(void)snprintf(dst, SMTP_LOG_IDENT_MAX, "%.*s/%s",
		    (int)(n - tail), ident, program(type));
}

/* The lowest digits of v. */
static char *
put_hex(char *dst, uint32_t v, unsigned int digits)
{
	while (digits-- > 0)
		*dst++ = "0123456789ABCDEF"[v >> 4 * digits & 0xf];
	return dst;
}

void
smtp_log_id(
    time_t now, pid_t pid, uint32_t sequence, char dst[static SMTP_ID_SIZE])
{
	dst = put_hex(dst, (uint32_t)now, 8);
	dst = put_hex(dst, (uint32_t)pid, 6);
	dst = put_hex(dst, sequence, 4);
	*dst = '\0';
}

enum smtp_verb
smtp_verb_of(struct text word)
{
	enum smtp_verb v;

	for (v = 0; v < SMTP_UNKNOWN; v++) {
		if (text_caseeq(word, place_names[v]))
			return v;
	}
	return SMTP_UNKNOWN;
}
