/* SPDX-License-Identifier: ISC */
/*
 * worker_broker: what a worker asks of the broker, and what it hears from it:
 * admission, inner servers, authenticators, lists.  Runs in the worker.  The
 * broker is taken at its word on these; its messages are checked as any
 * other's, and what other workers said through it is, too.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "proof.h"
#include "worker_impl.h"
#include "xmalloc.h"

/*
 * Before implicit TLS a client is served at once, and the broker's word on it
 * may come later: in the handshake there is still a way to refuse.  After a
 * refusal all wait for so long: a flood is not worth a handshake.
 */
#define WARY_SECONDS 10

/* What it need not know at once. */
static void
to_broker_later(struct worker *w, struct writer *m)
{
	if (w->broker != NULL)
		ipc_send_later(w->broker, m);
}

static void
to_broker(struct worker *w, struct writer *m, int fd)
{
	if (w->broker != NULL)
		(void)ipc_send(w->broker, m, fd);
}

/*
 * In clear its word comes before anything is said.  A process for one client
 * has nothing else to do meanwhile, nor does it hear how others fared.
 */
static bool
is_patient(const struct worker *w, const struct session *s)
{
	return s->client_secure != SECURE_SSL || w->places == 1 ||
	    w->conf->peername_lookup || clock_seconds() < w->wary_until;
}

bool
worker_admit(struct worker *w, const struct session *s)
{
	struct msg_admit m = { .session = s->number,
		.waits = s->state == SESSION_ADMIT && is_patient(w, s) };
	int fd = s->accepted != -1 ? s->accepted : s->client.fd;
	struct writer msg UNZEROED;

	/*
	 * The broker stands still.  One client more would break the channel,
	 * and with it what is between us and all the others: it waits in vain.
	 */
	if (w->broker != NULL && !ipc_has_room(w->broker))
		return true;
	if (s->proxied)
		m.client = s->client_addr;
	msg_start(&msg, MSG_ADMIT, 0);
	msg_put_admit(&msg, &m);
	to_broker(w, &msg, fd);
	return m.waits;
}

void
worker_connect(struct worker *w, const struct session *s)
{
	struct msg_connect m = { .session = s->number, .tried = s->tried };
	char name[CREDENTIALS_NAME_MAX + 1];
	struct writer msg UNZEROED;

	/* As inner servers know him: no other way to write him is another. */
	if (s->login != NULL &&
	    credentials_rename(w->conf, s->login->authn, name) == 0)
		m.user = text_of(name);
	if (m.user.len > MSG_NAME_MAX)
		m.user.len = MSG_NAME_MAX;
	msg_start(&msg, MSG_CONNECT, 0);
	msg_put_connect(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_auth(struct worker *w, const struct session *s)
{
	struct msg_auth m = { .session = s->number };
	struct writer msg UNZEROED;

	msg_start(&msg, MSG_AUTH, 0);
	msg_put_auth(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_submit(struct worker *w, const struct session *s)
{
	struct msg_submit m = { .session = s->number,
		.what = (uint8_t)s->submit_what,
		.user = text_of(s->user),
		.sender = s->submit_sender };
	struct writer msg UNZEROED;

	if (m.user.len > MSG_NAME_MAX)
		m.user.len = MSG_NAME_MAX; /* nobody's name */
	msg_start(&msg, MSG_SUBMIT, 0);
	msg_put_submit(&msg, &m);
	to_broker(w, &msg, -1);
}

void
worker_outcome(struct worker *w, const struct session *s, enum outcome outcome)
{
	struct msg_outcome m = { .session = s->number,
		.server = s->server_number,
		.outcome = (uint8_t)outcome };
	struct writer msg UNZEROED;

	if (outcome == OUTCOME_REFUSED && s->login != NULL)
		m.proof = proof_of(w->proof_key, text_of(s->user),
		    text_of(s->login->password));
	msg_start(&msg, MSG_OUTCOME, 0);
	msg_put_outcome(&msg, &m);
	if (outcome == OUTCOME_OK)
		to_broker_later(w, &msg);
	else
		to_broker(w, &msg, -1);
}

void
worker_release(struct worker *w, const struct session *s)
{
	struct msg_handshakes h = { s->number, s->handshakes };
	struct msg_release m = { .session = s->number };
	struct writer msg UNZEROED;

	if (h.n > 0) {
		msg_start(&msg, MSG_HANDSHAKES, 0);
		msg_put_handshakes(&msg, &h);
		to_broker_later(w, &msg);
	}
	msg_start(&msg, MSG_RELEASE, 0);
	msg_put_release(&msg, &m);
	to_broker_later(w, &msg);
}

/* The broker may have heard otherwise from others: nothing is told yet. */
static void
forget_told(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->conf->nservers; i++) {
		free(w->told[i]);
		w->told[i] = NULL;
	}
}

void
worker_learned(struct worker *w, uint16_t server, const struct capability *list)
{
	struct msg_capability m = { .server = server, .known = list != NULL };
	struct writer msg UNZEROED;

	if (w->conf->capability != NULL)
		return;
	if (list != NULL) {
		m.list = (struct text){ list->text, list->len };
		if (w->told[server] != NULL && text_eq(m.list, w->told[server]))
			return; /* as at each login */
		free(w->told[server]);
		w->told[server] = xstrndup(m.list.p, m.list.len);
	}
	msg_start(&msg, MSG_CAPABILITY, 0);
	msg_put_capability(&msg, &m);
	to_broker(w, &msg, -1);
}

static struct session *
find(const struct worker *w, uint32_t number)
{
	struct session *s = w->sessions[number % w->places];

	return s != NULL && s->number == number ? s : NULL;
}

static void
set_list(struct worker *w, const struct msg_capability_set *m)
{
	const struct protocol *p = w->start->protocol;
	struct text rest = m->list, entry;
	unsigned int i;

	forget_told(w);
	capability_clear(&w->list);
	/* It comes from another worker, which may have been taken over. */
	while (rest.len > 0 && text_split(&rest, '\n', &entry))
		if (p->is_capability == NULL || p->is_capability(entry))
			(void)capability_add(&w->list, entry);
	w->list_state = m->known ? WORKER_LIST_KNOWN : WORKER_LIST_NONE;
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_list_known(w->sessions[i]);
}

static int
do_admit_reply(struct worker *w, struct reader *r)
{
	struct msg_admit_reply m;
	struct session *s;

	if (msg_get_admit_reply(r, &m) == -1)
		return -1;
	if (m.verdict != ADMIT_OK && m.verdict != ADMIT_GONE)
		w->wary_until = clock_seconds() + WARY_SECONDS;
	s = find(w, m.session);
	if (s == NULL) /* the client has left meanwhile */
		return 0;
	if (m.name.len > 0 && s->client_name == NULL)
		s->client_name = xstrndup(m.name.p, m.name.len);
	session_admitted(s, m.verdict);
	return 0;
}

static int
do_connect_reply(struct worker *w, struct reader *r, int fd)
{
	struct msg_connect_reply m;
	struct session *s;

	if (msg_get_connect_reply(r, &m) == -1 || (m.ok != 0) != (fd != -1) ||
	    (m.ok && m.server >= w->conf->nservers)) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (fd == FDPASS_LOST)
		fd = -1; /* as if it could not be connected to */
	s = find(w, m.session);
	if (s != NULL && m.turned)
		session_turned_away(s, m.failure_delay_ms);
	else if (s != NULL)
		session_connected(s, fd, m.server, m.failure_delay_ms);
	else if (fd != -1)
		close(fd); /* the client has left meanwhile */
	return 0;
}

static int
do_auth_reply(struct worker *w, struct reader *r, int fd)
{
	struct sasl_channel *ch = NULL;
	struct msg_auth_reply m;
	struct session *s;

	if (msg_get_auth_reply(r, &m) == -1 || (!m.ok && fd != -1)) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (fd != -1)
		sasl_channels_add(w->authenticators, m.serial, fd);
	if (m.ok)
		ch = sasl_channels_find(w->authenticators, m.serial);
	s = find(w, m.session);
	if (s != NULL)
		session_auth_granted(s, ch, m.exchange);
	else if (ch != NULL) /* the client has left meanwhile */
		sasl_channel_cancel(ch, m.exchange);
	return 0;
}

static int
do_submit_reply(struct worker *w, struct reader *r)
{
	struct msg_submit_reply m;
	struct session *s;

	if (msg_get_submit_reply(r, &m) == -1)
		return -1;
	s = find(w, m.session);
	if (s != NULL)
		session_submit_answered(s, m.verdict);
	return 0;
}

static int
do_mechanisms(struct worker *w, struct reader *r)
{
	struct msg_sasl_mechs m;

	if (msg_get_sasl_mechs(r, &m) == -1)
		return -1;
	memcpy(w->mechanisms, m.list.p, m.list.len);
	w->mechanisms[m.list.len] = '\0';
	return 0;
}

static int
do_learn(struct worker *w, struct reader *r, int fd)
{
	struct msg_learn m;

	if (msg_get_learn(r, &m) == -1 || m.server >= w->conf->nservers) {
		close(fd);
		return -1;
	}
	free(w->told[m.server]); /* the answer is due in any case */
	w->told[m.server] = NULL;
	if (fd == FDPASS_LOST)
		worker_learned(w, m.server, NULL);
	else
		session_new_lesson(w, fd, m.server);
	return 0;
}

/* What the broker may say. */
static int
on_broker(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct worker *w = arg;
	struct msg_capability_set set;

	(void)ch;
	(void)id;
	switch (type) {
	case MSG_ADMIT_REPLY:
		return do_admit_reply(w, r);
	case MSG_CONNECT_REPLY:
		return do_connect_reply(w, r, fd);
	case MSG_AUTH_REPLY:
		return do_auth_reply(w, r, fd);
	case MSG_SUBMIT_REPLY:
		return do_submit_reply(w, r);
	case MSG_SASL_MECHS:
		return do_mechanisms(w, r);
	case MSG_LEARN:
		return do_learn(w, r, fd);
	case MSG_CAPABILITY_SET:
		if (msg_get_capability_set(r, &set) == -1)
			return -1;
		set_list(w, &set);
		return 0;
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

static void
on_bereft(int fd, short what, void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	(void)fd;
	(void)what;
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL &&
		    w->sessions[i]->state != SESSION_RELAY)
			session_stop(w->sessions[i]);
}

/*
 * A worker of an old generation gets no other broker: who waits for the word
 * of one, or will, would wait in vain.  Not within whatever a session does.
 */
void
worker_bereft(struct worker *w)
{
	const struct timeval now = { .tv_sec = 0 };

	if (w->draining && !w->stopping && w->broker == NULL)
		event_base_once(w->base, -1, EV_TIMEOUT, on_bereft, w, &now);
}

/* It died, or found fault with us: the master sends another or ends us. */
static void
on_broker_closed(void *arg, struct ipc *ch, const char *why)
{
	struct worker *w = arg;

	(void)ch;
	if (why != NULL)
		log_warnx("the broker sent %s", why);
	ipc_free(&w->broker);
	worker_bereft(w);
}

/*
 * Tell a new broker whom we serve, and whom we should like to, then ask again
 * what was not answered.
 */
static void
introduce(struct worker *w)
{
	struct msg_held m = { .last = 0 };
	uint32_t held[MSG_HELD_MAX];
	struct writer msg UNZEROED;
	unsigned int i, n = 0;

	for (i = 0; i <= w->places; i++) {
		if (i < w->places && w->sessions[i] != NULL &&
		    w->sessions[i]->admitted)
			held[n++] = htobe32(w->sessions[i]->number);
		if (n < MSG_HELD_MAX && i < w->places)
			continue;
		m.last = i == w->places;
		m.n = (uint16_t)n;
		m.sessions =
		    (struct text){ (const char *)held, n * sizeof(*held) };
		msg_start(&msg, MSG_HELD, 0);
		msg_put_held(&msg, &m);
		to_broker(w, &msg, -1);
		n = 0;
	}
	for (i = 0; i < w->places; i++)
		if (w->sessions[i] != NULL)
			session_broker_back(w->sessions[i]);
}

/* The one that came with us has nothing to hear of before. */
void
worker_set_broker(struct worker *w, int fd)
{
	forget_told(w);
	ipc_free(&w->broker);
	w->broker = ipc_new(w->base, fd, ROLE_WORKER, ROLE_BROKER, on_broker,
	    on_broker_closed, w);
	ipc_expect_bursts(w->broker, w->conf->worker_connections,
	    w->conf->worker_connections);
	if (w->began)
		introduce(w);
}
