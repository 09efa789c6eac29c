/* SPDX-License-Identifier: ISC */
/*
 * session_worker: the worker of a fuzzed session (session_world.h), which
 * looks at what it is asked for: nobody's credentials go anywhere before TLS
 * where the listener wants TLS, and nothing that was said in clear counts
 * when it has come.
 */
#ifndef SESSION_WORKER_H
#define SESSION_WORKER_H

#include "session_world.h"

static bool
has_taint(const char *s)
{
	return s != NULL && strchr(s, TAINT) != NULL;
}

/* A client that gives its credentials may do so. */
static void
check_may_login(const struct session *s)
{
	MUST(!s->conf->login_disabled);
	MUST(s->client_secure != SECURE_PLAINTEXT || s->clear_login);
	MUST(s->client_secure == SECURE_PLAINTEXT ||
	    (s->client.tls != NULL && s->client.tls->up));
}

/* Whom the client names, to an authenticator. */
static void
note_credentials(struct text authn, struct text password)
{
	struct credentials *c = &world.login;

	memset(c, 0, sizeof(*c));
	world.has_login = credentials_copy(authn, c->authn, sizeof(c->authn)) &&
	    credentials_copy(password, c->password, sizeof(c->password));
}

static void
note_plain(struct text initial)
{
	struct text authz, authn;

	if (text_split(&initial, '\0', &authz) &&
	    text_split(&initial, '\0', &authn) && initial.p != NULL)
		note_credentials(authn, initial);
}

/* Of what was said before STARTTLS there is nothing in it. */
static void
check_clean(struct text t)
{
	if (world.session->client_secure == SECURE_STARTTLS)
		MUST(!text_has(t, TAINT));
}

void
sasl_exchange_say(struct sasl_exchange *x, struct writer *w)
{
	struct reader r = { w->data, w->len };
	struct msg_sasl_start start;
	struct msg_sasl_check check;
	struct msg_sasl_step step;
	uint16_t type = 0;
	uint32_t id;

	MUST(x == world.exchange && !w->failed);
	check_may_login(world.session);
	MUST(get_u16(&r, &type) == 0 && get_u32(&r, &id) == 0);
	if (type == MSG_SASL_START) {
		MUST(msg_get_sasl_start(&r, &start) == 0);
		check_clean(start.initial);
		if (text_eq(start.mechanism, "PLAIN"))
			note_plain(start.initial);
	} else if (type == MSG_SASL_CHECK) {
		MUST(msg_get_sasl_check(&r, &check) == 0);
		check_clean(check.name);
		check_clean(check.password);
		note_credentials(check.name, check.password);
	} else {
		MUST(
		    type == MSG_SASL_STEP && msg_get_sasl_step(&r, &step) == 0);
		check_clean(step.data);
	}
}

const struct protocol *
worker_protocol(const struct worker *w)
{
	(void)w;
	return &WORLD_PROTOCOL;
}

struct event_base *
worker_base(struct worker *w)
{
	(void)w;
	return NULL;
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
	return NULL;
}

struct tls_client *
worker_tls_client(struct worker *w)
{
	(void)w;
	return NULL;
}

enum worker_list
worker_list(const struct worker *w, const struct capability **list)
{
	*list = &w->list;
	return w->list_state;
}

const char *
worker_mechanisms(const struct worker *w)
{
	(void)w;
	return "PLAIN LOGIN SCRAM-SHA-256";
}

bool
worker_admit(struct worker *w, const struct session *s)
{
	MUST(!s->dead);
	w->admit_asked = true;
	return !w->hasty;
}

void
worker_connect(struct worker *w, const struct session *s)
{
	w->connect_asked = true;
	w->has_login = s->login != NULL;
	if (s->login == NULL) {
		MUST(s->logged_in);
		return;
	}
	check_may_login(s);
	MUST(credentials_are_good(s->login));
	w->login = *s->login;
	if (s->client_secure == SECURE_STARTTLS)
		MUST(!has_taint(w->login.authn) && !has_taint(w->login.authz) &&
		    !has_taint(w->login.password));
}

void
worker_auth(struct worker *w, const struct session *s)
{
	check_may_login(s);
	w->auth_asked = true;
}

void
worker_submit(struct worker *w, const struct session *s)
{
	MUST(s->logged_in && s->user != NULL);
	MUST(s->submit_sender.len <= MSG_SENDER_MAX);
	w->submit_asked = true;
}

void
worker_logged_in(struct worker *w)
{
	MUST(w->session == NULL || w->session->logged_in);
}

void
worker_outcome(struct worker *w, const struct session *s, enum outcome outcome)
{
	MUST(!s->lesson && s->server_number < NITEMS(w->servers));
	if (outcome == OUTCOME_OK && s->login != NULL) {
		/* What comes now was said by the two behind the login. */
		w->relays = true;
		w->server_heard = server.heard.len + s->server.out.len;
		w->client_heard = client.heard.len + s->client.out.len;
		w->server_said = server.said.len - s->server.in.len;
		w->client_said = client.said.len - s->client.in.len;
	}
}

void
worker_learned(struct worker *w, uint16_t number, const struct capability *list)
{
	MUST(number < NITEMS(w->servers));
	(void)list;
}

void
worker_event(struct worker *w, const struct msg_event *e)
{
	static struct writer out;
	struct reader r;
	struct msg_event got;

	(void)w;
	msg_start(&out, MSG_EVENT, 0);
	msg_put_event(&out, e);
	r = (struct reader){ out.data + MSG_HEADER, out.len - MSG_HEADER };
	MUST(!out.failed && msg_get_event(&r, &got) == 0);
}

void
worker_record(struct worker *w, const struct msg_record *m)
{
	static struct writer out;
	char line[LOG_LINE_MAX];
	struct reader r;
	struct msg_record got;

	(void)w;
	msg_start(&out, MSG_RECORD, 0);
	msg_put_record(&out, m);
	r = (struct reader){ out.data + MSG_HEADER, out.len - MSG_HEADER };
	MUST(!out.failed && msg_get_record(&r, &got) == 0);
	if (WORLD_PROTOCOL.format_record != NULL) {
		MUST(WORLD_PROTOCOL.format_record(&got, line) != -1);
		MUST(fuzz_printable(text_of(line)));
	}
}

void
worker_set_yield(struct worker *w, struct session *s, enum worker_yield yield)
{
	(void)w;
	MUST(yield == YIELD_NEVER || !s->logged_in);
}

bool
worker_make_room(struct worker *w, const struct session *wanted)
{
	MUST(w->session == NULL || w->session == wanted);
	return w->hasty; /* so that both are seen */
}

void
worker_forget(struct worker *w, struct session *s)
{
	MUST(w->session == NULL || w->session == s);
	w->session = NULL;
}

/* main.c's other ends: no process is started here. */

int
role_is_asked(int argc, char *const argv[])
{
	(void)argc;
	(void)argv;
	return 0;
}

_Noreturn void
role_run(const struct protocol *p, int argc, char *argv[])
{
	(void)p;
	(void)argc;
	(void)argv;
	abort();
}

int
master_main(const struct protocol *p, int argc, char *argv[])
{
	(void)p;
	(void)argc;
	(void)argv;
	abort();
}

#endif
