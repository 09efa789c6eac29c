/* SPDX-License-Identifier: ISC */
/*
 * supervise_message: what the roles say to the master.  Runs in the master;
 * it may come from a process that was taken over: a broken rule costs that
 * process its life, and nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "crew.h"
#include "log.h"
#include "session_log.h"
#include "supervise_impl.h"

static void
log_missing(struct supervisor *s, uint32_t missing)
{
	uint32_t news = missing & ~s->told_missing;

	s->told_missing |= missing;
	if ((news & SANDBOX_NO_LANDLOCK) != 0)
		log_warnx(
		    "this kernel, or a container's filter, has no Landlock: "
		    "done without");
	if ((news & SANDBOX_NO_LANDLOCK_NET) != 0)
		log_info("this kernel's Landlock has no network rules: done "
		         "without");
	if ((news & SANDBOX_NO_LANDLOCK_SCOPE) != 0)
		log_info("this kernel's Landlock does not scope signals: done "
		         "without");
	if ((news & SANDBOX_NO_SECCOMP) != 0)
		log_warnx("no system call filter (the kernel has none, or "
		          "this is a sanitizer build)");
}

static void
write_log(struct place *p, const struct msg_log *m)
{
	char plain[LOG_LINE_MAX + 64] UNZEROED;
	size_t i, n;

	/* A role's free words do not pass for a line of ours, "Auth: ...". */
	(void)snprintf(plain, sizeof(plain),
	    "%s%s %u: ", p->crew != NULL ? "old " : "", role_name(p->role),
	    p->number + 1);
	n = strlen(plain);
	/*
	 * Our own roles escape client text; control octets are not ours, and
	 * beyond ASCII there are controls in every character set.
	 */
	for (i = 0; i < m->text.len; i++)
		plain[n++] = m->text.p[i] < 0x20 || m->text.p[i] > 0x7e
		    ? '?'
		    : m->text.p[i];
	plain[n] = '\0';
	if (!log_wants(m->priority))
		return;
	if (p->s->starting && p->crew == NULL) /* whoever starts us sees it */
		log_at(m->priority, "%s", plain);
	else
		log_write(m->priority, p->pid, plain);
}

/* By which its numbers of inner servers are to be read. */
static const struct conf *
conf_of(const struct place *p)
{
	return p->crew != NULL && p->crew->conf != NULL ? p->crew->conf
	                                                : p->s->conf;
}

/* Does its line tell against the client, so that some ban it? */
static bool
accuses(const struct msg_event *e)
{
	return (e->type == EVENT_AUTH && !text_eq(e->status, "ok")) ||
	    (e->type == EVENT_CLOSE_NULL &&
	        text_eq(e->status, "too many commands"));
}

static void
write_event(struct place *p, const struct msg_event *e)
{
	char line[LOG_LINE_MAX] UNZEROED;
	int level;

	level = session_log_format(conf_of(p), e, line, sizeof(line));
	if (accuses(e) && !supervise_had_client(p, &e->client))
		write_log(p, &(struct msg_log){ LOG_WARNING, text_of(line) });
	else if (log_wants(level))
		log_write(level, p->pid, line);
}

/* A line of a protocol with a log of its own. */
static int
do_record(struct place *p, struct reader *r)
{
	const struct protocol *protocol = p->s->protocol;
	char line[LOG_LINE_MAX] UNZEROED, ident[LOG_IDENT_MAX];
	struct msg_record m;
	int level;

	if (protocol->format_record == NULL || msg_get_record(r, &m) == -1)
		return -1;
	level = protocol->format_record(&m, line);
	if (level == -1)
		return -1;
	protocol->record_ident(&m, log_ident(), ident);
	if (protocol->record_accuses(&m) && !supervise_had_client(p, &m.client))
		write_log(p, &(struct msg_log){ LOG_WARNING, text_of(line) });
	else if (log_wants(level))
		log_write_as(ident, level, p->pid, line);
	return 0;
}

/* NULL: there is no such place. */
static struct place *
accused_of(const struct place *p, const struct msg_accuse *m)
{
	struct supervisor *s = p->s;

	if (m->role != ROLE_WORKER &&
	    (m->role != ROLE_AUTHENTICATOR || p->role != ROLE_BROKER))
		return NULL;
	if (p->crew != NULL)
		return crew_place(p->crew, (enum role)m->role, m->number);
	if (m->role == ROLE_WORKER)
		return m->number < s->nworkers ? &s->workers[m->number] : NULL;
	return m->number < s->nauthenticators ? &s->authenticators[m->number]
	                                      : NULL;
}

static int
do_accuse(struct place *p, struct reader *r)
{
	struct place *accused;
	struct msg_accuse m;

	if (msg_get_accuse(r, &m) == -1)
		return -1;
	accused = accused_of(p, &m);
	if (accused == NULL) /* in a crew it may be one that was gone before */
		return p->crew != NULL ? 0 : -1;
	if (accused->serial == m.serial) {
		accused->accused = true;
		place_end(accused);
	}
	return 0;
}

static int
do_pool(struct supervisor *s, struct reader *r)
{
	struct msg_pool m;

	if (msg_get_pool(r, &m) == -1 || m.wanted > s->nauthenticators)
		return -1;
	supervise_want_authenticators(s, m.wanted);
	return 0;
}

/* All that supervise_start() waits for is there. */
static void
break_when_ready(struct supervisor *s)
{
	unsigned int i;

	if (s->reported < s->nkeepers)
		return;
	for (i = 0; i < s->nkeepers; i++)
		if (!s->keepers[i].ready)
			return;
	for (i = 0; i < s->wanted; i++)
		if (!s->authenticators[i].ready)
			return;
	for (i = 0; s->await_workers && i < s->conf->workers; i++)
		if (!s->workers[i].ready)
			return;
	if (s->checking || s->broker.ready)
		event_base_loopbreak(s->base);
}

static int
do_ready(struct place *p, struct reader *r)
{
	struct msg_ready m;

	if (p->ready || msg_get_ready(r, &m) == -1)
		return -1;
	p->ready = true;
	log_missing(p->s, m.missing);
	if (p->s->starting)
		break_when_ready(p->s);
	if (p->role == ROLE_NURSERY)
		supervise_want_spares(p->s);
	if (p->role == ROLE_CONTROL)
		crews_dismiss_control(p->s);
	return 0;
}

/*
 * Words of a worker with one client: from another they would make a bad end
 * look like a good one.  How many an old generation's have, it knows itself.
 */
static bool
has_one_client(const struct place *p)
{
	return p->crew != NULL || p->s->conf->worker_connections == 1;
}

static int
do_busy(struct place *p, struct reader *r)
{
	if (!has_one_client(p) || p->busy || get_end(r) == -1)
		return -1;
	p->busy = true;
	p->busy_since = clock_seconds();
	supervise_make_room(p->s);
	supervise_want_spares(p->s);
	return 0;
}

static int
do_logged_in(struct place *p, struct reader *r)
{
	if (!has_one_client(p) || get_end(r) == -1)
		return -1;
	p->logged_in = true;
	return 0;
}

/* What an old generation says that means nothing any more. */
static bool
is_idle_word(const struct crew *c, enum msg_type type)
{
	if (crew_is_foreign(c))
		return type != MSG_LOG;
	return type == MSG_READY || type == MSG_POOL || type == MSG_BUSY ||
	    type == MSG_PAIR || type == MSG_PAIRS_REPLY;
}

/* What a role may say. */
int
supervise_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct place *p = arg;
	struct msg_log log;
	struct msg_event event;

	(void)ch;
	(void)fd; /* msg_allowed(): none of these brings one */
	if (p->crew != NULL && is_idle_word(p->crew, type))
		return 0;
	switch (type) {
	case MSG_READY:
		return do_ready(p, r);
	case MSG_LOG:
		if (msg_get_log(r, &log) == -1)
			return -1;
		write_log(p, &log);
		return 0;
	case MSG_EVENT:
		if (msg_get_event(r, &event) == -1)
			return -1;
		write_event(p, &event);
		return 0;
	case MSG_RECORD:
		return do_record(p, r);
	case MSG_ACCUSE:
		return do_accuse(p, r);
	case MSG_PAIR:
		return supervise_certs_pair(p->s, r);
	case MSG_PAIRS_REPLY:
		if (supervise_certs_reply(p->s, id, r) == -1)
			return -1;
		if (p->s->starting)
			break_when_ready(p->s);
		return 0;
	case MSG_POOL:
		return do_pool(p->s, r);
	case MSG_ALIVE_REPLY:
		return place_alive(p, r);
	case MSG_BORN:
		return nursery_born(p, r);
	case MSG_LOGGED_IN:
		return do_logged_in(p, r);
	case MSG_SETTLED:
		if (p->crew == NULL || get_end(r) == -1)
			return -1;
		p->settled = true;
		crew_settled(p->crew);
		return 0;
	case MSG_ROLL:
		return supervise_call_roll(p, id, r);
	case MSG_BUSY:
		return do_busy(p, r);
	default:
		return -1;
	}
}
