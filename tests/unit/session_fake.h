/* SPDX-License-Identifier: ISC */
/*
 * session_fake: what stands around a session in its tests: a worker whose
 * requests and events are kept as words (fake.trace), a protocol of lines
 * that both sides understand, and a clock that stands still until it is told.
 * Included once by a test program; include cmocka.h before it.
 */
#ifndef SESSION_FAKE_H
#define SESSION_FAKE_H

#include <inttypes.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "log.h"
#include "session.h"
#include "stream_peer.h"
#include "worker.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define FAKE_LINE_MAX 200
#define FAKE_ANSWER_SECONDS 10
#define FAKE_SERVER_IN_MAX 40000
#define FAKE_MANY 100000 /* octets: no test counts so many exactly */

struct worker {
	struct event_base *base;
	struct conf conf;
	struct conf_server servers[2];
	struct tls_client *tls_client;
	enum worker_list list_state;
	struct capability list;
	bool hasty;              /* clients do not wait to be admitted */
	struct session *session; /* NULL: there is none any more */
	unsigned int ended;      /* times that protocol.end() was called */
	enum worker_yield yield; /* the session's */
	bool has_room;           /* another may give way */
	char trace[4096];
};

static struct worker fake;
static struct far_pki fake_pki;
static time_t fake_now = 1000;

/* In place of libc's, for us and for libevent's timers. */
int
clock_gettime(clockid_t id, struct timespec *t)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, id, t);
	*t = (struct timespec){ .tv_sec = fake_now };
	return 0;
}

static void __attribute__((format(printf, 1, 2))) trace(const char *fmt, ...)
{
	size_t len = strlen(fake.trace);
	va_list ap;

	if (len > 0)
		fake.trace[len++] = ' ';
	va_start(ap, fmt);
	(void)vsnprintf(fake.trace + len, sizeof(fake.trace) - len, fmt, ap);
	va_end(ap);
}

/* The worker. */

struct event_base *
worker_base(struct worker *w)
{
	return w->base;
}

const struct conf *
worker_conf(const struct worker *w)
{
	return &w->conf;
}

struct tls_server *
worker_tls_server(struct worker *w)
{
	(void)w;
	return fake_pki.server;
}

struct tls_client *
worker_tls_client(struct worker *w)
{
	return w->tls_client;
}

enum worker_list
worker_list(const struct worker *w, const struct capability **list)
{
	*list = &w->list;
	return w->list_state;
}

bool
worker_admit(struct worker *w, const struct session *s)
{
	char shown[ADDR_STRLEN];

	assert_true(s->accepted != -1 || stream_is_open(&s->client));
	if (s->proxied)
		trace("admit(%s)", addr_print(&s->client_addr, shown));
	else
		trace("admit");
	return !w->hasty;
}

void
worker_connect(struct worker *w, const struct session *s)
{
	(void)w;
	trace("connect:%" PRIx64, s->tried);
}

void
worker_auth(struct worker *w, const struct session *s)
{
	(void)w;
	(void)s;
	trace("auth");
}

void
worker_submit(struct worker *w, const struct session *s)
{
	(void)w;
	trace(
	    "submit:%d:%.*s", (int)s->submit_what, TEXT_ARG(s->submit_sender));
}

const char *
worker_mechanisms(const struct worker *w)
{
	(void)w;
	return "PLAIN";
}

void
worker_logged_in(struct worker *w)
{
	(void)w; /* it goes with the outcome, or with the state */
}

void
worker_outcome(struct worker *w, const struct session *s, enum outcome outcome)
{
	static const char *const names[] = { [OUTCOME_OK] = "ok",
		[OUTCOME_REFUSED] = "refused",
		[OUTCOME_SERVER] = "bad" };

	(void)w;
	trace("%s@%u", names[outcome], s->server_number);
}

void
worker_learned(struct worker *w, uint16_t server, const struct capability *list)
{
	char words[CAPABILITY_MAX + 1] = "nothing";

	(void)w;
	if (list != NULL)
		assert_int_equal(
		    capability_print(list, " ", words, sizeof(words)), 0);
	trace("learned@%u=%s", server, words);
}

void
worker_event(struct worker *w, const struct msg_event *e)
{
	(void)w;
	assert_true(addr_is_loopback(&e->client));
	assert_true(addr_is_loopback(&e->local));
	switch ((enum event_type)e->type) {
	case EVENT_CONNECT:
		trace("Connect");
		break;
	case EVENT_AUTH:
		trace(
		    "Auth(%.*s %.*s)", TEXT_ARG(e->authn), TEXT_ARG(e->status));
		break;
	case EVENT_CLOSE:
		if (e->sent >= FAKE_MANY || e->received >= FAKE_MANY)
			trace("Close(many%.*s)", TEXT_ARG(e->status));
		else
			trace("Close(%" PRIu64 "/%" PRIu64 "%.*s)", e->received,
			    e->sent, TEXT_ARG(e->status));
		break;
	case EVENT_CLOSE_NULL:
		trace("Null(%.*s)", TEXT_ARG(e->status));
		break;
	case EVENT_TYPES:
		fail_msg("an event without a type");
	}
}

void
worker_record(struct worker *w, const struct msg_record *m)
{
	(void)w;
	trace("record%u", m->type);
}

void
worker_set_yield(struct worker *w, struct session *s, enum worker_yield yield)
{
	(void)s;
	w->yield = yield;
}

bool
worker_make_room(struct worker *w, const struct session *wanted)
{
	assert_true(w->session == NULL || w->session == wanted);
	if (w->has_room)
		trace("room");
	return w->has_room;
}

void
worker_forget(struct worker *w, struct session *s)
{
	/* NULL: it ends before session_new() has returned. */
	assert_true(w->session == NULL || w->session == s);
	w->session = NULL;
	trace("forget");
}

/* The protocol. */

/* Take the next line, without its LF. */
static bool
fake_line(struct buf *in, char line[static FAKE_LINE_MAX])
{
	struct text t = buf_view(in);
	const char *lf = t.len > 0 ? memchr(t.p, '\n', t.len) : NULL;
	size_t n;

	if (lf == NULL)
		return false;
	n = (size_t)(lf - t.p);
	assert_true(n < FAKE_LINE_MAX);
	memcpy(line, t.p, n);
	line[n] = '\0';
	buf_consume(in, n + 1);
	return true;
}

/* After prefix, or NULL. */
static const char *
fake_after(const char *line, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(line, prefix, n) == 0 ? line + n : NULL;
}

static void
fake_print_list(struct session *s)
{
	char words[CAPABILITY_MAX + 1];
	struct capability list;

	session_capability(s, &list);
	assert_int_equal(capability_print(&list, " ", words, sizeof(words)), 0);
	stream_printf(&s->client, "%s\n", words);
}

static void
fake_greet(struct session *s)
{
	stream_printf(&s->client, "hello ");
	fake_print_list(s);
}

static void
fake_login(struct session *s, const char *name)
{
	struct credentials *l;

	if (!session_may_login(s)) {
		stream_printf(&s->client, "denied\n");
		return;
	}
	l = session_login_space(s);
	(void)strlcpy(l->authn, name, sizeof(l->authn));
	(void)strlcpy(l->password, "secret", sizeof(l->password));
	session_login(s);
}

/* auth MECHANISM [INITIAL], answer DATA, check NAME PASSWORD, cancel. */
static bool
fake_sasl(struct session *s, const char *line)
{
	struct text rest, word;
	const char *args;

	if ((args = fake_after(line, "auth ")) != NULL) {
		rest = text_of(args);
		(void)text_split(&rest, ' ', &word);
		session_sasl_start(s, word, rest);
	} else if ((args = fake_after(line, "answer ")) != NULL) {
		session_sasl_step(s, text_of(args));
	} else if ((args = fake_after(line, "check ")) != NULL) {
		rest = text_of(args);
		(void)text_split(&rest, ' ', &word);
		session_sasl_check(s, word, rest);
	} else if (strcmp(line, "cancel") == 0) {
		session_sasl_cancel(s);
	} else {
		return false;
	}
	return true;
}

static void
fake_sasl_reply(struct session *s, enum sasl_result result, struct text text)
{
	assert_int_equal(s->state, SESSION_DIALOGUE);
	stream_printf(
	    &s->client, "sasl %d %.*s\n", (int)result, TEXT_ARG(text));
}

/* Behind session_mail(): what the inner server owes is waited for. */
static bool
fake_mail_input(struct session *s)
{
	char line[FAKE_LINE_MAX];

	assert_int_equal(s->state, SESSION_MAIL);
	if (s->answer_by != 0 || !fake_line(&s->client.in, line))
		return false;
	if (strcmp(line, "connect") == 0) {
		session_mail_connect(s);
	} else if (strcmp(line, "next") == 0) {
		session_mail_next(s);
	} else if (strcmp(line, "ask") == 0) {
		stream_printf(&s->server, "ask\n");
		session_await(s, FAKE_ANSWER_SECONDS);
	} else if (strcmp(line, "may I") == 0) {
		session_submit(s, SUBMIT_MAIL, TEXT_LIT("me"));
	} else if (strcmp(line, "message") == 0) {
		session_message(s, true);
	} else if (strcmp(line, "drop") == 0) {
		session_mail_disconnect(s);
	} else if (strcmp(line, "quit") == 0) {
		stream_printf(&s->client, "bye\n");
		session_close(s, NULL);
	} else {
		stream_printf(&s->client, "echo %s\n", line);
	}
	return true;
}

static void
fake_submit_reply(struct session *s, enum submit_verdict v)
{
	assert_int_equal(s->state, SESSION_MAIL);
	stream_printf(&s->client, "verdict %d\n", (int)v);
}

/* A message ends where it says so, in one piece. */
static size_t
fake_message(struct session *s, struct text octets)
{
	const struct text mark = TEXT_LIT("<end>");
	const char *end;
	size_t n = octets.len;

	assert_int_equal(s->state, SESSION_MESSAGE);
	end = n > 0 ? memmem(octets.p, n, mark.p, mark.len) : NULL;
	if (end != NULL)
		n = (size_t)(end - octets.p);
	stream_write(&s->server, octets.p, n);
	if (end == NULL)
		return n;
	session_message(s, false);
	return n + mark.len;
}

static void
fake_server_gone(struct session *s, const char *reason)
{
	assert_false(stream_is_open(&s->server));
	assert_int_equal(s->answer_by, 0);
	stream_printf(&s->client, "gone %s\n", reason);
}

static bool
fake_client_input(struct session *s)
{
	char line[FAKE_LINE_MAX];
	const char *name;

	if (s->state == SESSION_MAIL)
		return fake_mail_input(s);
	assert_int_equal(s->state, SESSION_DIALOGUE);
	if (!fake_line(&s->client.in, line))
		return false;
	if ((name = fake_after(line, "login ")) != NULL) {
		fake_login(s, name);
	} else if (strcmp(line, "starttls") == 0) {
		stream_printf(&s->client, "go ahead\n");
		session_starttls(s);
	} else if (strcmp(line, "mail") == 0) {
		session_mail(s);
	} else if (strcmp(line, "list") == 0) {
		fake_print_list(s);
	} else if (strcmp(line, "quit") == 0) {
		stream_printf(&s->client, "bye\n");
		session_close(s, NULL);
	} else if (!fake_sasl(s, line)) {
		stream_printf(&s->client, "echo %s\n", line);
	}
	return true;
}

static void
fake_client_reset(struct session *s)
{
	(void)s;
	trace("reset");
}

static void
fake_goodbye(struct session *s, const char *reason)
{
	stream_printf(&s->client, "bye %s\n", reason);
}

static void
fake_server_start(struct session *s)
{
	char **word = s->data;

	assert_int_equal(s->state, SESSION_LOGIN);
	if (*word == NULL)
		*word = xstrdup("what a protocol keeps");
}

static void
fake_learned(struct session *s, struct text words)
{
	struct capability list;

	capability_clear(&list);
	assert_int_equal(capability_add_words(&list, words), 0);
	session_learned(s, &list);
}

static void
fake_server_line(struct session *s, struct text line)
{
	if (text_eq(line, "ready")) {
		session_mail_ready(s);
	} else if (text_eq(line, "answer") && s->answer_by != 0) {
		session_await(s, 0);
		stream_printf(&s->client, "answer\n");
	} else if (text_eq(line, "greet")) {
		session_server_greeted(s);
		if (session_is_lesson(s))
			stream_printf(&s->server, "list?\n");
		else
			stream_printf(&s->server, "user %s %s\n",
			    s->login->authn, s->login->password);
	} else if (text_eq(line, "starttls")) {
		session_server_starttls(s);
	} else if (text_caseprefix(line, "list ")) {
		fake_learned(s, text_skip(line, strlen("list ")));
	} else if (text_eq(line, "ok")) {
		stream_printf(&s->client, "ok\n");
		session_login_ok(s);
	} else if (text_eq(line, "no")) {
		session_login_failed(s, LOGIN_REFUSED, NULL);
	} else if (text_eq(line, "down")) {
		session_login_failed(s, LOGIN_UNAVAILABLE, "it is ill");
	} else if (text_eq(line, "cannot")) {
		session_login_failed(s, LOGIN_MISMATCH, "it cannot");
	} else if (line.len > 0) {
		session_server_garbage(s);
	}
}

static bool
fake_server_input(struct session *s)
{
	char line[SESSION_SERVER_LINE_MAX];
	struct text t;

	assert_true(s->state == SESSION_LOGIN || s->state == SESSION_MAIL ||
	    s->state == SESSION_MESSAGE);
	if (!session_server_line(s, line, &t))
		return false;
	fake_server_line(s, t);
	return true;
}

static void
fake_server_tls(struct session *s)
{
	stream_printf(&s->server, "secured\n");
}

static void
fake_login_failed(struct session *s, enum login_failure why)
{
	static const char *const names[] = { [LOGIN_REFUSED] = "refused",
		[LOGIN_UNAVAILABLE] = "unavailable",
		[LOGIN_MISMATCH] = "mismatch" };

	stream_printf(&s->client, "failed %s\n", names[why]);
}

static void
fake_end(struct session *s)
{
	char **word = s->data;

	free(*word);
	fake.ended++;
}

static int
fake_parse(const char *text, struct capability *out)
{
	capability_clear(out);
	return capability_add_words(out, text_of(text));
}

#define FAKE_ALWAYS                                                            \
	(CAPABILITY_CLEAR | CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS |          \
	    CAPABILITY_AFTER | CAPABILITY_STARTTLS)

static const struct capability_rule fake_rules[] = {
	{ "STLS", 0, CAPABILITY_STARTTLS, true, "it can be started" },
	{ "LOGIN", 0, CAPABILITY_CLEAR_LOGIN | CAPABILITY_TLS, false, "now" },
	{ "*", FAKE_ALWAYS, 0, false, "anything" },
};

static const struct protocol fake_protocol = {
	.alpn = "test",
	.data_size = sizeof(char *),
	.greet = fake_greet,
	.client_input = fake_client_input,
	.client_reset = fake_client_reset,
	.goodbye = fake_goodbye,
	.server_start = fake_server_start,
	.server_input = fake_server_input,
	.server_tls = fake_server_tls,
	.submit_reply = fake_submit_reply,
	.message = fake_message,
	.server_gone = fake_server_gone,
	.login_failed = fake_login_failed,
	.sasl_reply = fake_sasl_reply,
	.end = fake_end,
	.rules = fake_rules,
	.nrules = NITEMS(fake_rules),
	.minimum = "MIN",
	.parse_capability = fake_parse,
};

const struct protocol *
worker_protocol(const struct worker *w)
{
	(void)w;
	return &fake_protocol;
}

#endif
