/* SPDX-License-Identifier: ISC */
/*
 * supervise_cert: certificates by themselves.  Runs in the master.  What is
 * new on the disk goes to all keepers, which judge it; only when each has it
 * do workers hear of it, so that whatever a worker offers its keeper can sign
 * for.  Keys keep their numbers, and the old one is dropped a while later.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "generation.h"
#include "log.h"
#include "supervise_impl.h"
#include "xmalloc.h"

/* A change is taken at the second look that finds it the same. */
#define LOOK_SECONDS 2
/* The answer may take as long as reading thousands of keys does. */
#define ANSWER_LOOKS 30

struct cert_watch {
	struct supervisor *s;
	struct event tick;
	uint32_t question; /* its number; 0 was that of the start */
	bool asking;
	unsigned int answers, looks; /* so far */
	bool unfinished;             /* the memfds are still to be made */
};

static struct certs *
certs_of(const struct supervisor *s)
{
	return generation_certs(s->generation);
}

static void
send_memfd(
    struct place *p, enum msg_type type, uint32_t id, int fd, uint32_t len)
{
	const struct msg_pairs pairs = { len };
	const struct msg_certificates certificates = { len };
	const struct msg_expiries expiries = { len };
	struct writer w;

	if (p->ch == NULL)
		return;
	msg_start(&w, type, id);
	if (type == MSG_PAIRS)
		msg_put_pairs(&w, &pairs);
	else if (type == MSG_CERTIFICATES)
		msg_put_certificates(&w, &certificates);
	else
		msg_put_expiries(&w, &expiries);
	(void)ipc_send(p->ch, &w, fd);
}

/* Whoever of these is there hears how long those in use are good. */
static void
tell_expiries(struct supervisor *s, struct place *places[], size_t n)
{
	uint32_t len;
	size_t i;
	int fd;

	/* What old ones know stays as it is; a new one waits for the first. */
	if (s->generation == NULL || !certs_are_settled(certs_of(s)))
		return;
	fd = expiry_compose(certs_of(s), &len);
	if (fd == -1) {
		log_warn("memory for the list of certificates");
		return;
	}
	for (i = 0; i < n; i++)
		send_memfd(places[i], MSG_EXPIRIES, 0, fd, len);
	close(fd);
}

void
supervise_certs_tell(struct place *p)
{
	tell_expiries(p->s, &p, 1);
}

static void
tell_all(struct supervisor *s)
{
	struct place *places[] = { &s->metrics, &s->control };

	tell_expiries(s, places, sizeof(places) / sizeof(places[0]));
}

int
supervise_certs_begin(struct supervisor *s)
{
	const time_t now = time(NULL);

	(void)certs_settle(certs_of(s), now);
	if (generation_renew(s->generation) == -1) {
		log_warn("memory for certificates");
		return -1;
	}
	tell_all(s);
	certs_warn(certs_of(s), now);
	return 0;
}

/* Those that are there; those that come later have it from their start. */
static void
tell_workers(struct supervisor *s)
{
	uint32_t len;
	unsigned int i;
	int fd = certs_compose_news(certs_of(s), &len);

	if (fd == -1) {
		log_warn("memory for renewed certificates");
		return;
	}
	for (i = 0; i < s->nnurseries; i++)
		send_memfd(&s->nurseries[i], MSG_CERTIFICATES, 0, fd, len);
	for (i = 0; i < s->nworkers; i++)
		send_memfd(&s->workers[i], MSG_CERTIFICATES, 0, fd, len);
	close(fd);
}

/* The keepers have it. */
static void
finish(struct cert_watch *w)
{
	w->unfinished = generation_renew(w->s->generation) == -1;
	if (w->unfinished) {
		log_warn("memory for renewed certificates");
		return;
	}
	tell_workers(w->s);
	tell_all(w->s);
}

static void
drop_old(struct cert_watch *w)
{
	struct supervisor *s = w->s;
	struct msg_pair_drop m;
	struct writer out;
	unsigned int i;

	while (certs_next_drop(certs_of(s), time(NULL), &m.number))
		for (i = 0; i < s->nkeepers; i++) {
			if (s->keepers[i].ch == NULL)
				continue;
			msg_start(&out, MSG_PAIR_DROP, 0);
			msg_put_pair_drop(&out, &m);
			(void)ipc_send(s->keepers[i].ch, &out, -1);
		}
}

/* All that are to answer are there. */
static bool
can_ask(const struct supervisor *s)
{
	unsigned int i;

	for (i = 0; i < s->nkeepers; i++)
		if (s->keepers[i].ch == NULL || !s->keepers[i].ready)
			return false;
	return true;
}

static void
settle(struct cert_watch *w)
{
	w->asking = false;
	if (certs_settle(certs_of(w->s), time(NULL)))
		finish(w);
}

static void
ask(struct cert_watch *w)
{
	struct supervisor *s = w->s;
	unsigned int i;
	uint32_t len;
	int fd = certs_offer(certs_of(s), &len);

	if (fd == -1) { /* some are gone, and none is new */
		settle(w);
		return;
	}
	w->asking = true;
	w->answers = w->looks = 0;
	if (++w->question == 0)
		w->question = 1;
	for (i = 0; i < s->nkeepers; i++)
		send_memfd(&s->keepers[i], MSG_PAIRS, w->question, fd, len);
}

static void
give_up(struct cert_watch *w)
{
	if (!w->asking)
		return;
	w->asking = false;
	certs_forget_offer(certs_of(w->s));
}

static void
on_tick(int fd, short what, void *arg)
{
	struct cert_watch *w = arg;
	struct supervisor *s = w->s;

	(void)fd;
	(void)what;
	if (s->stopping || s->starting || s->reload != NULL ||
	    supervise_is_idle(s))
		return;
	certs_warn(certs_of(s), time(NULL));
	if (w->asking && ++w->looks < ANSWER_LOOKS)
		return;
	give_up(w);
	if (w->unfinished)
		finish(w);
	if (w->unfinished || !can_ask(s))
		return;
	drop_old(w);
	if (certs_look(certs_of(s), time(NULL)))
		ask(w);
}

void
supervise_certs_watch(struct supervisor *s)
{
	const struct timeval every = { .tv_sec = LOOK_SECONDS };
	struct cert_watch *w;

	if (s->conf->one_client || certs_count(certs_of(s)) == 0)
		return;
	w = xcalloc(1, sizeof(*w));
	w->s = s;
	s->certs = w;
	event_assign(&w->tick, s->base, -1, EV_PERSIST, on_tick, w);
	event_add(&w->tick, &every);
}

int
supervise_certs_pair(struct supervisor *s, struct reader *r)
{
	struct msg_pair m;

	if (msg_get_pair(r, &m) == -1)
		return -1;
	return certs_heard(certs_of(s), &m);
}

int
supervise_certs_reply(struct supervisor *s, uint32_t id, struct reader *r)
{
	struct cert_watch *w = s->certs;

	if (get_end(r) == -1)
		return -1;
	if (id == 0)
		s->reported++;
	if (id == 0 || w == NULL || !w->asking || id != w->question)
		return 0; /* we have given that up */
	if (++w->answers == s->nkeepers)
		settle(w);
	return 0;
}

void
supervise_certs_keeper(struct supervisor *s)
{
	if (s->certs != NULL)
		give_up(s->certs);
}
