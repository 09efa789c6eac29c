/* SPDX-License-Identifier: ISC */
/*
 * control_ask: one question at the control socket, from the roll to the
 * answer.  Runs in the role control.  One is answered at a time.  Workers are
 * all asked at once, and in parts, each for the next when whoever asks has
 * read the one before: so nothing piles up, and none of them is kept busy.
 * One that says nothing is given up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker.h"
#include "clock.h"
#include "control_impl.h"
#include "ipc.h"
#include "log.h"
#include "session.h"
#include "xmalloc.h"

/* Without a word from anybody. */
#define SILENCE_MS 900
#define GONE_MS 1000 /* from a process's end until the master has seen it */
#define POLL_MS 5
#define STALLED_MAX (10000 / POLL_MS) /* an asker that does not read */
#define OUT_MAX (4 * CONTROL_TEXT_MAX)
#define WORKERS_SHOWN 32 /* each, in a table */
#define CERTIFICATES_SHOWN 32
#define GROUPS_MAX 32
#define COMPLAINT 256 /* octets */
#define OUT_PART 8192 /* octets that are sent at once */

static bool
is_for_workers(const struct member *m)
{
	return m->process.role == ROLE_WORKER;
}

/*
 * There is no process in this place, or it has just ended, which the master
 * may not know yet.  One that is there still has only closed its ears.
 */
static bool
is_nobody(const struct member *m)
{
	return m->ch == NULL &&
	    (m->process.state == PROCESS_ENDS ||
	        (m->gone != 0 && clock_ms() - m->gone < GONE_MS));
}

static bool
is_silent(const struct control *c, const struct member *m)
{
	const enum ask what = c->current->ask.what;

	if (is_nobody(m) ||
	    !(is_for_workers(m) ||
	        (what == ASK_STATUS && m->process.role == ROLE_BROKER)))
		return false;
	/* An old generation's broker is asked nothing. */
	if (m->process.role == ROLE_BROKER && m->state == MEMBER_IDLE)
		return false;
	return m->state != MEMBER_DONE;
}

static void
arm(struct control *c)
{
	const struct timeval limit = { .tv_usec = SILENCE_MS * 1000 };

	event_add(&c->late, &limit);
}

/* Send what there is, all of it at the end. */
static void
flush(struct control *c, bool all)
{
	struct text t = buf_view(&c->out);
	struct msg_answer m;
	struct writer w UNZEROED;

	while (t.len >= (all ? 1 : OUT_PART)) {
		m.text = t;
		if (m.text.len > OUT_PART)
			m.text.len = OUT_PART;
		msg_start(&w, MSG_ANSWER, 0);
		msg_put_answer(&w, &m);
		(void)ipc_send(c->current->ch, &w, -1);
		buf_consume(&c->out, m.text.len);
		t = buf_view(&c->out);
	}
}

/* --- the answer's end --------------------------------------------------- */

static unsigned int
count_silent(struct control *c)
{
	struct member *m;
	unsigned int n = 0;

	RB_FOREACH (m, members, &c->members)
		n += is_silent(c, m);
	return n;
}

/* The first of them by name. */
static void
complain(struct control *c, unsigned int silent, char dst[static COMPLAINT])
{
	struct member *m;

	*dst = '\0';
	if (!c->complete) {
		(void)strlcpy(dst, "the master does not answer", COMPLAINT);
		return;
	}
	RB_FOREACH (m, members, &c->members) {
		if (!is_silent(c, m))
			continue;
		(void)snprintf(dst, COMPLAINT,
		    "%s %u (pid %" PRIu32 ")%s cannot be asked, or %s not "
		    "answer: this is not all",
		    role_name(m->process.role), m->process.number + 1U,
		    m->process.pid, silent > 1 ? " and others" : "",
		    silent > 1 ? "do" : "does");
		return;
	}
}

static uint32_t
session_limit(const struct conf *c)
{
	const uint32_t places = c->worker_connections > 1
	    ? broker_places(c)
	    : broker_places(c) - c->workers;

	return c->connection_limit != 0 && c->connection_limit < places
	    ? c->connection_limit
	    : places;
}

static void
put_processes(struct control *c, enum role role, bool *first)
{
	struct control_process p;
	struct member *m;

	RB_FOREACH (m, members, &c->members) {
		if (m->process.role != role)
			continue;
		p.m = m->process;
		p.silent = is_silent(c, m);
		p.sessions = is_for_workers(m) && m->state == MEMBER_DONE
		    ? m->sessions
		    : CONTROL_NO_SESSIONS;
		control_put_process(&c->out, &p, c->current->ask.json, *first);
		*first = false;
		flush(c, false);
	}
}

/* What a row is about; there are few: state and generation. */
static struct control_group *
group_of(struct control_group groups[static GROUPS_MAX], size_t *n,
    const struct control_group *like)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (groups[i].generation == like->generation &&
		    groups[i].state == like->state &&
		    groups[i].silent == like->silent)
			return &groups[i];
	if (*n == GROUPS_MAX)
		return &groups[GROUPS_MAX - 1];
	groups[*n] = *like;
	return &groups[(*n)++];
}

/* With a process for each client there are too many for a row each. */
static void
put_workers(struct control *c)
{
	struct control_group groups[GROUPS_MAX], like, *g;
	struct member *m;
	size_t i, n = 0;

	RB_FOREACH (m, members, &c->members) {
		if (!is_for_workers(m))
			continue;
		like =
		    (struct control_group){ .generation = m->process.generation,
			    .state = m->process.state,
			    .silent = is_silent(c, m) };
		g = group_of(groups, &n, &like);
		g->workers++;
		g->sessions += m->sessions;
	}
	for (i = 0; i < n; i++)
		control_put_group(&c->out, &groups[i]);
}

static void
put_certificates(struct control *c)
{
	const struct expiry_list *l = &c->certificates;
	const bool json = c->current->ask.json;
	const size_t n =
	    json || l->n <= CERTIFICATES_SHOWN ? l->n : CERTIFICATES_SHOWN;
	const time_t now = time(NULL);
	size_t i;

	for (i = 0; i < n; i++) {
		control_put_certificate(&c->out, &l->all[i], now, json, i == 0);
		flush(c, false);
	}
	if (n < l->n)
		control_put_more_certificates(&c->out, l->n - n, &l->all[n]);
}

static void
put_status(struct control *c)
{
	struct control_status_head head = { .conf = c->start->conf,
		.daemon = c->start->protocol->defaults->name,
		.master = c->start->master,
		.uptime = c->rolled.uptime,
		.generation = c->rolled.generation,
		.limit = session_limit(c->start->conf),
		.servers = c->has_servers ? &c->servers : NULL };
	static const enum role order[] = { ROLE_KEEPER, ROLE_BROKER,
		ROLE_AUTHENTICATOR, ROLE_METRICS, ROLE_CONTROL, ROLE_NURSERY,
		ROLE_WORKER };
	const bool json = c->current->ask.json;
	struct member *m;
	bool first = true;
	size_t i;

	RB_FOREACH (m, members, &c->members)
		if (is_for_workers(m)) {
			head.workers += !is_nobody(m);
			head.sessions += m->sessions;
			head.logged_in += m->logged_in;
		}
	control_put_status(&c->out, &head, json);
	put_certificates(c);
	control_put_totals(&c->out, &c->totals,
	    c->start->protocol->defaults->daemon == CONF_SMTP, json);
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (order[i] == ROLE_WORKER && !json &&
		    head.workers > WORKERS_SHOWN)
			put_workers(c);
		else
			put_processes(c, order[i], &first);
	control_put_status_end(&c->out, json);
}

static enum control_status
put_kick(struct control *c, unsigned int silent)
{
	const struct asker *a = c->current;
	char shown[256];

	if (c->kicked.ended > 0)
		c->kicked.nsimilar = 0; /* whose was meant is clear */
	control_put_kick(&c->out, c->start->protocol->defaults->name,
	    a->ask.user, &c->kicked, silent, a->ask.json);
	log_at(LOG_NOTICE,
	    "kick of \"%s\" by uid %ju: %" PRIu32 " session%s ended",
	    text_printable(a->ask.user, shown, sizeof(shown)),
	    (uintmax_t)a->uid, c->kicked.ended,
	    c->kicked.ended == 1 ? "" : "s");
	return c->kicked.ended > 0 ? CONTROL_GOOD : CONTROL_NOBODY;
}

static void
forget(struct control *c)
{
	struct member *m;
	size_t i;

	RB_FOREACH (m, members, &c->members)
		m->state = MEMBER_IDLE;
	for (i = 0; i < MSG_SIMILAR_MAX; i++) {
		free(c->similar[i]);
		c->similar[i] = NULL;
	}
	event_del(&c->late);
	event_del(&c->poll);
	buf_free(&c->out);
	TAILQ_INIT(&c->due);
	c->owing = 0;
	c->current = NULL;
}

static void
conclude(struct control *c)
{
	struct asker *a = c->current;
	enum control_status status = CONTROL_GOOD;
	unsigned int silent = count_silent(c);
	char complaint[COMPLAINT];

	complain(c, silent, complaint);
	switch ((enum ask)a->ask.what) {
	case ASK_STATUS:
		if (c->complete)
			put_status(c);
		break;
	case ASK_SESSIONS:
		if (c->complete)
			control_put_sessions_end(
			    &c->out, c->rows, silent, a->ask.json);
		break;
	case ASK_KICK:
		if (c->complete)
			status = put_kick(c, silent);
		break;
	case ASKS:
		break;
	}
	if (*complaint != '\0')
		status = CONTROL_FAILED;
	flush(c, true);
	forget(c);
	asker_end(a, status, complaint);
	control_go_on(c);
}

/* Nobody has said a word for too long. */
static void
on_late(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conclude(arg);
}

/* --- what members say --------------------------------------------------- */

static void
ask_on(struct control *c)
{
	const struct timeval soon = { .tv_usec = POLL_MS * 1000 };
	struct member *m;

	if (TAILQ_EMPTY(&c->due))
		return;
	if (ipc_is_waiting(c->current->ch)) {
		arm(c); /* it is not the members that are silent */
		event_add(&c->poll, &soon);
		return;
	}
	c->stalled = 0;
	while ((m = TAILQ_FIRST(&c->due)) != NULL) {
		TAILQ_REMOVE(&c->due, m, due);
		m->state = MEMBER_ASKED;
		member_ask_list(m, true);
	}
}

static void
on_poll(int fd, short what, void *arg)
{
	struct control *c = arg;
	struct asker *a = c->current;

	(void)fd;
	(void)what;
	if (++c->stalled < STALLED_MAX) {
		ask_on(c);
		return;
	}
	log_info(
	    "the answer to uid %ju is not read: given up", (uintmax_t)a->uid);
	ask_abort(c);
	asker_free(a);
}

static void
done(struct member *m)
{
	struct control *c = m->control;

	m->state = MEMBER_DONE;
	if (--c->owing == 0)
		conclude(c);
	else
		arm(c);
}

int
ask_session(struct member *m, const struct msg_session *s)
{
	struct control *c = m->control;
	struct control_session row = { s, &m->process, time(NULL) };

	if (c->current->ask.what != ASK_SESSIONS || ++m->rows > MSG_LIST_ROWS)
		return -1;
	control_put_session(&c->out, &row, c->current->ask.json, c->rows == 0);
	c->rows++;
	flush(c, false);
	return 0;
}

/* Each part is further on, and has no more rows than there were places. */
static bool
goes_on(const struct member *m, const struct msg_list_end *e)
{
	return m->control->current->ask.what == ASK_SESSIONS &&
	    e->next > m->next && e->next <= MSG_LIST_PLACES &&
	    m->rows <= e->next - m->next;
}

void
ask_listed(struct member *m, const struct msg_list_end *e)
{
	struct control *c = m->control;

	m->sessions = e->sessions;
	m->logged_in = e->logged_in;
	if (!goes_on(m, e)) {
		done(m);
		return;
	}
	m->next = e->next;
	m->state = MEMBER_DUE;
	TAILQ_INSERT_TAIL(&c->due, m, due);
	arm(c);
	ask_on(c);
}

/* The name belongs to the message: a copy is kept, once of each. */
static void
note_similar(struct control *c, struct text name)
{
	struct msg_kick_reply *k = &c->kicked;
	uint8_t i;

	for (i = 0; i < k->nsimilar; i++)
		if (text_eq(name, c->similar[i]))
			return;
	if (k->nsimilar == MSG_SIMILAR_MAX)
		return;
	c->similar[i] = xstrndup(name.p, name.len);
	k->similar[i] = text_of(c->similar[i]);
	k->nsimilar++;
}

void
ask_kicked(struct member *m, const struct msg_kick_reply *k)
{
	struct control *c = m->control;
	uint8_t i;

	c->kicked.ended += k->ended;
	c->kicked.owed += k->owed;
	c->kicked.unknown += k->unknown;
	for (i = 0; i < k->nsimilar; i++)
		note_similar(c, k->similar[i]);
	done(m);
}

void
ask_servers(struct member *m, const struct msg_servers_reply *s)
{
	m->control->servers = *s;
	m->control->has_servers = true;
	done(m);
}

/* Its sessions have gone with it. */
void
ask_member_gone(struct member *m)
{
	if (m->control->current == NULL ||
	    (m->state != MEMBER_ASKED && m->state != MEMBER_DUE))
		return;
	if (m->state == MEMBER_DUE)
		TAILQ_REMOVE(&m->control->due, m, due);
	done(m);
}

/* --- the beginning ------------------------------------------------------ */

static void
call_roll(struct control *c, uint32_t after)
{
	struct msg_roll m = { after };
	struct writer w UNZEROED;

	msg_start(&w, MSG_ROLL, c->roll);
	msg_put_roll(&w, &m);
	(void)ipc_send(c->master, &w, -1);
	arm(c);
}

/* True: it owes an answer now. */
static bool
ask_member(struct control *c, struct member *m)
{
	const struct asker *a = c->current;

	m->next = 0;
	if (m->ch == NULL)
		return false;
	m->state = MEMBER_ASKED;
	if (m->process.role == ROLE_BROKER) {
		if (a->ask.what != ASK_STATUS ||
		    m->process.generation != c->rolled.generation) {
			m->state = MEMBER_IDLE;
			return false;
		}
		member_ask_servers(m);
	} else if (a->ask.what == ASK_KICK) {
		member_ask_kick(m, a);
	} else {
		member_ask_list(m, a->ask.what == ASK_SESSIONS);
	}
	return true;
}

static void
ask_members(struct control *c)
{
	const struct asker *a = c->current;
	struct member *m;

	if (a->ask.what == ASK_SESSIONS)
		control_put_sessions(
		    &c->out, c->start->protocol->defaults->name, a->ask.json);
	RB_FOREACH (m, members, &c->members)
		c->owing += ask_member(c, m);
	if (c->owing == 0)
		conclude(c);
	else
		arm(c);
}

int
ask_roll_end(struct control *c, uint32_t id, struct reader *r)
{
	struct msg_roll_end m;

	if (msg_get_roll_end(r, &m) == -1)
		return -1;
	if (c->current == NULL || id != c->roll || c->complete)
		return 0; /* of a question that is given up */
	if (m.more) {
		call_roll(c, m.last);
		return 0;
	}
	c->rolled = m;
	c->complete = true;
	members_forget_others(c);
	ask_members(c);
	return 0;
}

void
ask_begin(struct control *c, struct asker *a)
{
	c->current = a;
	c->roll++;
	c->complete = c->has_servers = false;
	c->rows = c->stalled = 0;
	c->kicked = (struct msg_kick_reply){ 0 };
	buf_init(&c->out, OUT_MAX);
	call_roll(c, 0);
}

void
ask_abort(struct control *c)
{
	forget(c);
	c->roll++; /* what is still said is of another question */
}

void
ask_init(struct control *c)
{
	TAILQ_INIT(&c->due);
	evtimer_assign(&c->late, c->base, on_late, c);
	evtimer_assign(&c->poll, c->base, on_poll, c);
}
