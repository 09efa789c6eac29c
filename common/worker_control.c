/* SPDX-License-Identifier: ISC */
/*
 * worker_control: what the role control hears of a worker's sessions, and may
 * have ended.  Runs in the worker.  Control may have been taken over: all that
 * it can have is what an administrator could, and it is served in small parts,
 * so that no client waits for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "credentials.h"
#include "log.h"
#include "msg_control.h"
#include "worker_impl.h"

/*
 * A message under way may end well within this, and last words go out; then
 * what is left is cut.
 */
#define KICK_MS 700

/*
 * The name by which the session's user is known: an inner server's for him,
 * or, where the login is decided here, Cyrus SASL's.  False: nobody can tell
 * yet, or he has not logged in.
 */
static bool
user_of(const struct session *s, char name[static CREDENTIALS_NAME_MAX + 1])
{
	if ((!s->logged_in && s->login == NULL) || s->user == NULL)
		return false;
	if (s->protocol->message != NULL) {
		(void)strlcpy(name, s->user, CREDENTIALS_NAME_MAX + 1);
		return true;
	}
	return credentials_rename(s->conf, s->user, name) == 0;
}

static enum session_stage
stage_of(const struct session *s)
{
	if (s->state == SESSION_CLOSING)
		return STAGE_CLOSING;
	return s->logged_in ? STAGE_RELAY : STAGE_LOGIN;
}

static struct text
server_of(const struct session *s, char dst[static MSG_SERVER_NAME_MAX])
{
	const struct conf_server *v;
	bool colons;

	if (s->server_number >= s->conf->nservers ||
	    !stream_is_open(&s->server))
		return TEXT_NONE;
	v = &s->conf->servers[s->server_number];
	colons = strchr(v->name, ':') != NULL; /* IPv6 */
	(void)snprintf(dst, MSG_SERVER_NAME_MAX, "%s%s%s:%u", colons ? "[" : "",
	    v->name, colons ? "]" : "", v->port);
	return text_of(dst);
}

static void
send_session(struct worker *w, const struct session *s, uint32_t id)
{
	char user[CREDENTIALS_NAME_MAX + 1], server[MSG_SERVER_NAME_MAX];
	const struct tls *tls = s->client.tls;
	struct msg_session m = { .stage = (uint8_t)stage_of(s),
		.client_secure = (uint8_t)s->client_secure,
		.server_secure = (uint8_t)s->server_secure,
		.client = s->client_addr,
		.server = server_of(s, server),
		.received = s->client.received,
		.sent = s->client.sent,
		.seconds = (uint32_t)(clock_seconds() - s->began) };
	struct writer msg UNZEROED;

	if (m.client.sa.sa_family == AF_UNSPEC) /* its header is awaited */
		m.client = s->proxy_addr;
	if (user_of(s, user))
		m.user = text_of(user);
	if (tls != NULL && s->state != SESSION_HANDSHAKE) {
		m.tls = text_of(tls_version(tls));
		m.cipher = text_of(tls_cipher(tls));
	}
	msg_start(&msg, MSG_SESSION, id);
	msg_put_session(&msg, &m);
	ipc_send_later(w->control, &msg);
}

/* A part of the sessions, or only their number. */
static int
do_list(struct worker *w, struct reader *r, uint32_t id)
{
	struct msg_list_end end = { .next = MSG_LIST_ALL, .sessions = w->used };
	struct writer msg UNZEROED;
	struct msg_list m;
	uint32_t i, n = 0;

	if (msg_get_list(r, &m) == -1)
		return -1;
	for (i = m.from; m.rows && i < w->places && n < MSG_LIST_ROWS; i++)
		if (w->sessions[i] != NULL) {
			send_session(w, w->sessions[i], id);
			n++;
		}
	if (m.rows && i < w->places)
		end.next = i;
	for (i = 0; !m.rows && i < w->places; i++)
		if (w->sessions[i] != NULL && w->sessions[i]->logged_in)
			end.logged_in++;
	msg_start(&msg, MSG_LIST_END, id);
	msg_put_list_end(&msg, &end);
	(void)ipc_send(w->control, &msg, -1);
	return 0;
}

/* Time is up for those that were kicked. */
static void
on_kick(int fd, short what, void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	(void)fd;
	(void)what;
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_cut(w->sessions[i]);
}

/* What a kick finds. */
struct found {
	struct msg_kick_reply reply;
	/* of reply.similar */
	char names[MSG_SIMILAR_MAX][CREDENTIALS_NAME_MAX + 1];
};

/* Of a user whom the administrator may have meant. */
static void
note_similar(struct found *f, const char *name)
{
	const uint8_t n = f->reply.nsimilar;
	uint8_t i;

	for (i = 0; i < n; i++)
		if (strcmp(f->names[i], name) == 0)
			return;
	if (n == MSG_SIMILAR_MAX)
		return;
	(void)strlcpy(f->names[n], name, sizeof(f->names[n]));
	f->reply.similar[n] = text_of(f->names[n]);
	f->reply.nsimilar++;
}

/* Is s this user's?  Else f is told what there is to tell of it. */
static bool
is_users(const struct session *s, struct text user, struct found *f)
{
	char name[CREDENTIALS_NAME_MAX + 1];

	if (s->kicked || s->state == SESSION_CLOSING)
		return false;
	if (!user_of(s, name)) {
		f->reply.unknown += !s->logged_in && s->login == NULL &&
		    s->state == SESSION_AUTH;
		return false;
	}
	if (text_eq(user, name))
		return true;
	if (text_caseeq(user, name))
		note_similar(f, name);
	return false;
}

/* "Closing session:" has no room for it. */
static void
log_kick(const struct session *s, const struct msg_kick *m)
{
	char user[256], client[ADDR_STRLEN] = "unknown";

	if (s->client_addr.sa.sa_family != AF_UNSPEC)
		(void)addr_print(&s->client_addr, client);
	log_at(LOG_NOTICE, "kicked by uid %" PRIu32 ": user=\"%s\" client=%s",
	    m->uid, text_printable(m->user, user, sizeof(user)), client);
}

static int
do_kick(struct worker *w, struct reader *r, uint32_t id)
{
	const struct timeval soon = { .tv_usec = KICK_MS * 1000 };
	struct found found = { .reply.ended = 0 };
	struct msg_kick_reply *const reply = &found.reply;
	struct writer msg UNZEROED;
	struct msg_kick m;
	struct session *s;
	unsigned int i;

	if (msg_get_kick(r, &m) == -1)
		return -1;
	for (i = 0; i < w->places; i++) {
		s = w->sessions[i];
		if (s == NULL || !is_users(s, m.user, &found))
			continue;
		log_kick(s, &m);
		reply->ended++;
		reply->owed += session_is_owed(s);
		session_kick(s); /* it may be gone */
	}
	if (reply->ended > 0) {
		reply->nsimilar = 0; /* that was the one */
		(void)event_base_once(
		    w->base, -1, EV_TIMEOUT, on_kick, w, &soon);
	}
	msg_start(&msg, MSG_KICK_REPLY, id);
	msg_put_kick_reply(&msg, reply);
	(void)ipc_send(w->control, &msg, -1);
	ipc_flush(w->master); /* what was said of their ends */
	return 0;
}

/* What control may say. */
static int
on_control(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct worker *w = arg;

	(void)ch;
	(void)fd; /* msg_allowed(): none of these brings one */
	switch (type) {
	case MSG_LIST:
		return do_list(w, r, id);
	case MSG_KICK:
		return do_kick(w, r, id);
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

static void
on_control_closed(void *arg, struct ipc *ch, const char *why)
{
	struct worker *w = arg;

	(void)ch;
	(void)why; /* it is replaced, and the next one comes by itself */
	ipc_free(&w->control);
}

void
worker_set_control(struct worker *w, int fd)
{
	ipc_free(&w->control);
	w->control = ipc_new(w->base, fd, ROLE_WORKER, ROLE_CONTROL, on_control,
	    on_control_closed, w);
}
