/* SPDX-License-Identifier: ISC */
/*
 * control_text: the answers of the control socket.  Runs in the role control.
 * Names come from clients by way of workers, and are escaped here; numbers
 * are only numbers.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf_settle.h"
#include "control_text.h"
#include "json.h"
#include "log.h"

#define USER_SHOWN (MSG_NAME_MAX * 4 + 8) /* octets, escaped */
#define SHORT 16                          /* room for a number in words */
#define DAY 86400

/* Our own reckoning of the room: callers leave CONTROL_TEXT_MAX. */
static void put(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (buf_vprintf(b, fmt, ap) == -1)
		fatalx("control: an answer does not fit");
	va_end(ap);
}

/* "name": "text" */
static void
put_member(struct buf *b, const char *name, struct text t)
{
	put(b, "\"%s\": ", name);
	if (json_put(b, t) == -1)
		fatalx("control: an answer does not fit");
}

/* What is not there is null. */
static void
put_optional(struct buf *b, const char *name, struct text t)
{
	if (t.len > 0)
		put_member(b, name, t);
	else
		put(b, "\"%s\": null", name);
}

/* "3d 4h", "4h05m", "5m06s", "6s" */
static const char *
duration(uint32_t s, char dst[static SHORT])
{
	if (s >= DAY)
		(void)snprintf(dst, SHORT, "%" PRIu32 "d %" PRIu32 "h", s / DAY,
		    s % DAY / 3600);
	else if (s >= 3600)
		(void)snprintf(dst, SHORT, "%" PRIu32 "h%02" PRIu32 "m",
		    s / 3600, s % 3600 / 60);
	else if (s >= 60)
		(void)snprintf(
		    dst, SHORT, "%" PRIu32 "m%02" PRIu32 "s", s / 60, s % 60);
	else
		(void)snprintf(dst, SHORT, "%" PRIu32 "s", s);
	return dst;
}

/* "1023", "9.9K", "123M": five columns at most. */
static const char *
amount(uint64_t n, char dst[static SHORT])
{
	static const char units[] = "KMGTPE";
	double v = (double)n;
	size_t i;

	if (n < 10000) {
		(void)snprintf(dst, SHORT, "%" PRIu64, n);
		return dst;
	}
	v /= 1024;
	for (i = 0; v >= 1000 && i < sizeof(units) - 2; i++)
		v /= 1024;
	(void)snprintf(dst, SHORT, v < 100 ? "%.1f%c" : "%.0f%c", v, units[i]);
	return dst;
}

/* A time of day, or a date. */
static const char *
since(time_t at, time_t now, char dst[static SHORT])
{
	struct tm tm;

	if (localtime_r(&at, &tm) == NULL ||
	    strftime(dst, SHORT, now - at < DAY ? "%H:%M:%S" : "%b %e", &tm) ==
	        0)
		(void)strlcpy(dst, "-", SHORT);
	return dst;
}

static const char *
state_name(uint8_t state)
{
	static const char *const names[] = { "starts", "serves", "waits",
		"drains", "ends" };
	_Static_assert(sizeof(names) / sizeof(names[0]) == PROCESS_STATES,
	    "name every state");

	return state < PROCESS_STATES ? names[state] : "unknown";
}

static void
put_listeners(struct buf *b, const struct conf *c, bool json)
{
	char a[ADDR_STRLEN];
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		(void)addr_print(&c->listen[i].addr, a);
		if (json)
			put(b,
			    "%s\n    {\"address\": \"%s\", \"mode\": \"%s\"}",
			    i > 0 ? "," : "", a,
			    conf_listen_mode_name(c->listen[i].mode));
		else
			put(b, "%-10s %s %s\n", i == 0 ? "listening" : "", a,
			    conf_listen_mode_name(c->listen[i].mode));
	}
}

static void
put_server(struct buf *b, const struct control_status_head *h, size_t i)
{
	const struct conf_server *v = &h->conf->servers[i];
	bool colons = strchr(v->name, ':') != NULL; /* IPv6 */

	put(b, "%-10s %s%s%s:%u ", i == 0 ? "servers" : "", colons ? "[" : "",
	    v->name, colons ? "]" : "", v->port);
	if (h->servers == NULL || i >= h->servers->n)
		put(b, "not known\n");
	else if (h->servers->servers[i].failures == 0)
		put(b, "up\n");
	else
		put(b,
		    "down (failures: %" PRIu32 ", tried again in %" PRIu32
		    " s)\n",
		    h->servers->servers[i].failures,
		    h->servers->servers[i].alone);
}

static void
put_server_json(struct buf *b, const struct control_status_head *h, size_t i)
{
	const struct conf_server *v = &h->conf->servers[i];

	put(b, "%s\n    {", i > 0 ? "," : "");
	put_member(b, "host", text_of(v->name));
	put(b, ", \"port\": %u, ", v->port);
	if (h->servers == NULL || i >= h->servers->n)
		put(b, "\"up\": null}");
	else
		put(b,
		    "\"up\": %s, \"failures\": %" PRIu32
		    ", \"retry_seconds\": %" PRIu32 "}",
		    h->servers->servers[i].failures == 0 ? "true" : "false",
		    h->servers->servers[i].failures,
		    h->servers->servers[i].alone);
}

/* Days that are left; below 0: since it has expired. */
static long
days_left(const struct expiry *e, time_t now)
{
	const long left = (long)(e->not_after - now);

	return left >= 0 ? left / DAY : -((DAY - 1 - left) / DAY);
}

static void
put_certificate_json(struct buf *b, const struct expiry *e, time_t now)
{
	char when[32];
	struct tm tm;

	put_member(b, "file", text_of(e->file));
	put(b, ", ");
	put_member(b, "names", text_of(e->names));
	if (gmtime_r(&e->not_after, &tm) == NULL ||
	    strftime(when, sizeof(when), "%FT%TZ", &tm) == 0)
		put(b, ", \"not_after\": null, \"days\": null}");
	else
		put(b, ", \"not_after\": \"%s\", \"days\": %ld}", when,
		    days_left(e, now));
}

/* The date that its reader's calendar has. */
static const char *
date_of(const struct expiry *e, char dst[static SHORT])
{
	struct tm tm;

	if (localtime_r(&e->not_after, &tm) == NULL ||
	    strftime(dst, SHORT, "%F", &tm) == 0)
		(void)strlcpy(dst, "-", SHORT);
	return dst;
}

void
control_put_certificate(
    struct buf *b, const struct expiry *e, time_t now, bool json, bool first)
{
	char file[1024], when[SHORT];
	long days = days_left(e, now);

	if (json) {
		put(b, "%s\n    {", first ? "" : ",");
		put_certificate_json(b, e, now);
		return;
	}
	put(b, "%-10s %s: ", first ? "certs" : "",
	    text_printable(text_of(e->file), file, sizeof(file)));
	if (days < 0)
		put(b, "EXPIRED on %s\n", date_of(e, when));
	else
		put(b, "%ld day%s left, until %s\n", days, days == 1 ? "" : "s",
		    date_of(e, when));
}

void
control_put_more_certificates(
    struct buf *b, size_t left, const struct expiry *next)
{
	char when[SHORT];

	put(b, "%-10s and %zu more, none of which ends before %s\n", "", left,
	    date_of(next, when));
}

static void
put_status_json(struct buf *b, const struct control_status_head *h)
{
	size_t i;

	put(b,
	    "{\n  \"daemon\": \"%s\",\n  \"version\": \"%s\",\n"
	    "  \"pid\": %ld,\n  \"uptime_seconds\": %" PRIu32
	    ",\n  \"generation\": %" PRIu32 ",\n",
	    h->daemon, VERSION, (long)h->master, h->uptime, h->generation);
	put(b,
	    "  \"sessions\": %" PRIu32 ",\n  \"logged_in\": %" PRIu32
	    ",\n  \"session_limit\": %" PRIu32 ",\n  \"listeners\": [",
	    h->sessions, h->logged_in, h->limit);
	put_listeners(b, h->conf, true);
	put(b, "],\n  \"servers\": [");
	for (i = 0; i < h->conf->nservers; i++)
		put_server_json(b, h, i);
	put(b, "],\n  \"certificates\": [");
}

void
control_put_status(
    struct buf *b, const struct control_status_head *h, bool json)
{
	char age[SHORT];
	size_t i;

	if (json) {
		put_status_json(b, h);
		return;
	}
	put(b, "%s %s, pid %ld, up %s, generation %" PRIu32 "\n", h->daemon,
	    VERSION, (long)h->master, duration(h->uptime, age), h->generation);
	put(b,
	    "%-10s %" PRIu32 " of at most %" PRIu32 ", %" PRIu32
	    " logged in, at %" PRIu32 " worker%s\n",
	    "sessions", h->sessions, h->limit, h->logged_in, h->workers,
	    h->workers == 1 ? "" : "s");
	put_listeners(b, h->conf, false);
	for (i = 0; i < h->conf->nservers; i++)
		put_server(b, h, i);
}

static void
put_process_json(struct buf *b, const struct control_process *p)
{
	put(b,
	    "{\"role\": \"%s\", \"number\": %u, \"pid\": %" PRIu32
	    ", \"state\": \"%s\", \"answers\": %s, \"generation\": %" PRIu32
	    ", \"age_seconds\": %" PRIu32 ", \"restarts\": %" PRIu32,
	    role_name(p->m.role), p->m.number + 1U, p->m.pid,
	    state_name(p->m.state), p->silent ? "false" : "true",
	    p->m.generation, p->m.age, p->m.restarts);
	if (p->sessions == CONTROL_NO_SESSIONS)
		put(b, ", \"sessions\": null}");
	else
		put(b, ", \"sessions\": %" PRIu32 "}", p->sessions);
}

void
control_put_process(
    struct buf *b, const struct control_process *p, bool json, bool first)
{
	char name[32], age[SHORT], sessions[SHORT] = "-";

	if (json) {
		put(b, "%s\n    ", first ? "" : ",");
		put_process_json(b, p);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s %u", role_name(p->m.role),
	    p->m.number + 1U);
	if (p->sessions != CONTROL_NO_SESSIONS)
		(void)snprintf(
		    sessions, sizeof(sessions), "%" PRIu32, p->sessions);
	put(b, "%-17s %7" PRIu32 "  %-7s %8s %4" PRIu32 " %8s %8" PRIu32 "\n",
	    name, p->m.pid, p->silent ? "silent" : state_name(p->m.state),
	    sessions, p->m.generation, duration(p->m.age, age), p->m.restarts);
}

void
control_put_group(struct buf *b, const struct control_group *g)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%" PRIu32 " worker%s", g->workers,
	    g->workers == 1 ? "" : "s");
	put(b, "%-17s %7s  %-7s %8" PRIu32 " %4" PRIu32 " %8s %8s\n", name, "-",
	    g->silent ? "silent" : state_name(g->state), g->sessions,
	    g->generation, "-", "-");
}

void
control_put_status_end(struct buf *b, bool json)
{
	if (json)
		put(b, "]\n}\n");
}

void
control_put_sessions(struct buf *b, const char *daemon, bool json)
{
	if (json)
		put(b, "{\n  \"daemon\": \"%s\",\n  \"sessions\": [", daemon);
	else
		put(b, "%-14s %-15s %-5s %-8s %-15s %5s %5s %s\n", "USER",
		    "FROM", "STATE", "SINCE", "SERVER", "IN", "OUT", "PID");
}

static const char *
stage_name(const struct control_session *s, bool json)
{
	if (s->m->stage == STAGE_LOGIN)
		return "login";
	if (s->m->stage == STAGE_CLOSING)
		return json ? "closing" : "ends";
	if (s->worker->state == PROCESS_DRAINS)
		return json ? "draining" : "drain";
	return json ? "logged-in" : "in";
}

static const char *
secure_name(uint8_t secure)
{
	switch (secure) {
	case SECURE_STARTTLS:
		return "\"starttls\"";
	case SECURE_SSL:
		return "\"ssl\"";
	default:
		return "null";
	}
}

static void
put_session_json(struct buf *b, const struct control_session *s)
{
	const time_t at = s->now - (time_t)s->m->seconds;
	char client[ADDR_STRLEN] = "", when[32] = "";
	struct tm tm;

	if (s->m->client.sa.sa_family != AF_UNSPEC)
		(void)addr_print(&s->m->client, client);
	if (gmtime_r(&at, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		when[0] = '\0';
	put(b, "{");
	put_optional(b, "user", s->m->user);
	put(b, ", ");
	put_optional(b, "client", text_of(client));
	put(b,
	    ", \"state\": \"%s\", \"since\": \"%s\", \"seconds\": %" PRIu32
	    ", ",
	    stage_name(s, true), when, s->m->seconds);
	put_optional(b, "server", s->m->server);
	put(b,
	    ", \"received\": %" PRIu64 ", \"sent\": %" PRIu64
	    ", \"client_tls\": %s, ",
	    s->m->received, s->m->sent, secure_name(s->m->client_secure));
	put_optional(b, "tls_version", s->m->tls);
	put(b, ", ");
	put_optional(b, "tls_cipher", s->m->cipher);
	put(b,
	    ", \"server_tls\": %s, \"worker\": %u, \"pid\": %" PRIu32
	    ", \"generation\": %" PRIu32 "}",
	    secure_name(s->m->server_secure), s->worker->number + 1U,
	    s->worker->pid, s->worker->generation);
}

void
control_put_session(
    struct buf *b, const struct control_session *s, bool json, bool first)
{
	char user[USER_SHOWN], server[MSG_SERVER_NAME_MAX * 4 + 8];
	char client[ADDR_STRLEN] = "-", when[SHORT], in[SHORT], out[SHORT];

	if (json) {
		put(b, "%s\n    ", first ? "" : ",");
		put_session_json(b, s);
		return;
	}
	if (s->m->client.sa.sa_family != AF_UNSPEC)
		(void)addr_print_host(&s->m->client, client);
	(void)text_printable(s->m->user, user, sizeof(user));
	(void)text_printable(s->m->server, server, sizeof(server));
	put(b, "%-14s %-15s %-5s %-8s %-15s %5s %5s %" PRIu32 "\n",
	    *user == '\0' ? "-" : user, client, stage_name(s, false),
	    since(s->now - (time_t)s->m->seconds, s->now, when),
	    *server == '\0' ? "-" : server, amount(s->m->received, in),
	    amount(s->m->sent, out), s->worker->pid);
}

void
control_put_sessions_end(
    struct buf *b, uint32_t total, unsigned int silent, bool json)
{
	if (json)
		put(b, "],\n  \"count\": %" PRIu32 ",\n  \"silent\": %u\n}\n",
		    total, silent);
	else
		put(b, "%" PRIu32 " session%s\n", total, total == 1 ? "" : "s");
}

/* ..., "similar": ["Ann"]} */
static void
put_similar_json(struct buf *b, const struct msg_kick_reply *k)
{
	uint8_t i;

	put(b, ", \"similar\": [");
	for (i = 0; i < k->nsimilar; i++) {
		put(b, "%s", i == 0 ? "" : ", ");
		if (json_put(b, k->similar[i]) == -1)
			fatalx("control: an answer does not fit");
	}
	put(b, "]}\n");
}

/* ; did you mean "Ann" or "ANN"? */
static void
put_similar(struct buf *b, const struct msg_kick_reply *k)
{
	char shown[USER_SHOWN];
	uint8_t i;

	for (i = 0; i < k->nsimilar; i++) {
		(void)text_printable(k->similar[i], shown, sizeof(shown));
		put(b, "%s \"%s\"", i == 0 ? "; did you mean" : " or", shown);
	}
	put(b, "%s", k->nsimilar > 0 ? "?" : "");
}

void
control_put_kick(struct buf *b, const char *daemon, struct text user,
    const struct msg_kick_reply *k, unsigned int silent, bool json)
{
	char shown[USER_SHOWN];

	if (json) {
		put(b, "{\"daemon\": \"%s\", ", daemon);
		put_member(b, "user", user);
		put(b,
		    ", \"ended\": %" PRIu32 ", \"owed\": %" PRIu32
		    ", \"unknown\": %" PRIu32 ", \"silent\": %u",
		    k->ended, k->owed, k->unknown, silent);
		put_similar_json(b, k);
		return;
	}
	(void)text_printable(user, shown, sizeof(shown));
	put(b, "%" PRIu32 " session%s of \"%s\" ended", k->ended,
	    k->ended == 1 ? "" : "s", shown);
	if (k->owed > 0)
		put(b,
		    "; of these %" PRIu32 " as soon as the inner server has "
		    "said whether it took a message",
		    k->owed);
	put_similar(b, k);
	put(b, "\n");
	if (k->unknown > 0)
		put(b,
		    "%" PRIu32 " in a login of a user not known yet: "
		    "ask again\n",
		    k->unknown);
}
