/* SPDX-License-Identifier: ISC */
/*
 * broker: answers the workers.  Runs as _relaisd in the spool.  A worker may
 * have been taken over: it names things by number, and whose connection it
 * serves is asked of the kernel.
 */
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "broker_admit.h"
#include "broker_auth.h"
#include "broker_connect.h"
#include "broker_control.h"
#include "broker_dns.h"
#include "broker_impl.h"
#include "broker_lesson.h"
#include "broker_submit.h"
#include "clock.h"
#include "ledger_file.h"
#include "limit.h"
#include "log.h"
#include "priv.h"
#include "session.h"
#include "stats.h"
#include "xmalloc.h"

/* Sockets under way at a time: a connect in flight each, channels, DNS. */
#define BROKER_FILES 16384
#define SETTLE_SECONDS 2
/* How often old generations' clients are counted. */
#define OLD_BOOKS_SECONDS 1
/*
 * Messages of a worker in a second, beside one for each client that ends when
 * all do: six for each session, and more.
 */
#define QUOTA 50000

static void
peer_free(struct peer *p)
{
	broker_login_end_all(p);
	TAILQ_REMOVE(&p->broker->peers, p, entry);
	ipc_free(&p->ch);
	free(p->held);
	free(p);
}

/* The worker is gone, and with it all its clients. */
static void
forget(struct peer *p)
{
	auths_forget(p->broker->auths, p->serial);
	admits_forget(p->broker->admits, p->serial);
	peer_free(p);
}

/* The client of that number has gone, if there was one. */
static void
do_forget(struct peer *p, uint32_t session)
{
	broker_login_leave(p, session);
	auths_release(p->broker->auths, p->serial, session);
	if (admits_release(p->broker->admits, p->serial, session) &&
	    p->admitted > 0)
		p->admitted--;
}

static int
do_admit(struct peer *p, struct reader *r, int fd)
{
	struct msg_admit m;
	int added;

	if (msg_get_admit(r, &m) == -1) {
		close(fd);
		return -1;
	}
	/* Nobody fills the others' part of the book. */
	do_forget(p, m.session);
	if (p->admitted >= p->broker->conf->worker_connections) {
		close(fd);
		return -1;
	}
	added = admits_ask(p->broker->admits, p->ch, p->serial, &m, fd);
	close(fd);
	if (added == -1)
		return -1;
	p->admitted += (unsigned int)added;
	return 0;
}

static int
do_release(struct peer *p, struct reader *r)
{
	struct msg_release m;

	if (msg_get_release(r, &m) == -1)
		return -1;
	do_forget(p, m.session);
	return 0;
}

static int
do_handshakes(struct peer *p, struct reader *r)
{
	struct broker *b = p->broker;
	struct msg_handshakes m;
	struct addr client;

	if (msg_get_handshakes(r, &m) == -1)
		return -1;
	if (limit_address(b->limit, p->serial, m.session, &client) == 0)
		abuse_handshakes(b->abuse, &client, m.n);
	return 0;
}

/* A worker tells its new broker whom it still serves. */
static int
do_held(struct peer *p, struct reader *r)
{
	struct msg_held m;
	struct addr client;
	uint32_t session;
	size_t i;

	if (msg_get_held(r, &m) == -1 || p->nheld + m.n > p->broker->places)
		return -1;
	p->held =
	    xrecallocarray(p->held, p->nheld, p->nheld + m.n, sizeof(*p->held));
	for (i = 0; i < m.n; i++) {
		memcpy(&session, m.sessions.p + i * sizeof(session),
		    sizeof(session));
		p->held[p->nheld++] = be32toh(session);
	}
	if (!m.last)
		return 0;
	limit_reconcile(p->broker->limit, p->serial, p->held, p->nheld);
	p->admitted = 0;
	for (i = 0; i < p->nheld; i++)
		p->admitted += limit_address(p->broker->limit, p->serial,
		                   p->held[i], &client) == 0;
	free(p->held);
	p->held = NULL;
	p->nheld = 0;
	return 0;
}

/*
 * Nothing is done for others.  A worker that has not heard yet that it is to
 * refuse its client may well ask.
 */
static bool
is_admitted(const struct peer *p, uint32_t session)
{
	struct addr client;

	return limit_address(p->broker->limit, p->serial, session, &client) ==
	    0;
}

static int
do_capability(struct peer *p, struct reader *r)
{
	struct msg_capability m;

	if (msg_get_capability(r, &m) == -1 ||
	    m.server >= p->broker->conf->nservers)
		return -1;
	return lessons_answer(p->broker->lessons, &m, p->serial);
}

static int
do_auth(struct peer *p, struct reader *r)
{
	struct broker *b = p->broker;
	struct msg_auth m;

	if (msg_get_auth(r, &m) == -1 || !b->conf->sasl)
		return -1;
	if (!is_admitted(p, m.session))
		return 0;
	return auths_ask(b->auths, p->ch, p->number, p->serial, m.session);
}

static int
do_submit(struct peer *p, struct reader *r)
{
	struct broker *b = p->broker;
	struct msg_submit_reply reply;
	struct msg_submit m;
	struct addr client;
	struct writer w UNZEROED;

	if (msg_get_submit(r, &m) == -1 || !b->conf->submit_rules ||
	    limit_address(b->limit, p->serial, m.session, &client) == -1)
		return -1;
	reply.session = m.session;
	reply.verdict = (uint8_t)submits_ask(b->submits, &client, &m);
	msg_start(&w, MSG_SUBMIT_REPLY, 0);
	msg_put_submit_reply(&w, &reply);
	(void)ipc_send(p->ch, &w, -1);
	return 0;
}

/* What a worker may say. */
static int
on_worker(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct peer *p = arg;

	(void)ch;
	(void)id;
	switch (type) {
	case MSG_ADMIT:
		return do_admit(p, r, fd);
	case MSG_RELEASE:
		return do_release(p, r);
	case MSG_HANDSHAKES:
		return do_handshakes(p, r);
	case MSG_HELD:
		return do_held(p, r);
	case MSG_CONNECT:
		return broker_login_ask(p, r);
	case MSG_OUTCOME:
		return broker_login_outcome(p, r);
	case MSG_CAPABILITY:
		return do_capability(p, r);
	case MSG_AUTH:
		return do_auth(p, r);
	case MSG_SUBMIT:
		return do_submit(p, r);
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

static void
on_worker_closed(void *arg, struct ipc *ch, const char *why)
{
	struct peer *p = arg;

	(void)ch;
	if (why != NULL)
		log_warnx("worker %u sent %s", p->number + 1U, why);
	/* It is dead, or of no use without us and no longer counted. */
	role_accuse(ROLE_WORKER, p->number, p->serial);
	forget(p);
}

/* A lesson is given to any worker that there is. */
static int
to_any_worker(void *arg, struct writer *w, int fd, uint32_t but, bool *alone)
{
	struct broker *b = arg;
	struct peer *p = TAILQ_FIRST(&b->peers);

	if (p == NULL)
		return -1;
	if (p->serial == but && TAILQ_NEXT(p, entry) != NULL)
		p = TAILQ_NEXT(p, entry);
	*alone = p->serial == but;
	/* Another one next time. */
	TAILQ_REMOVE(&b->peers, p, entry);
	TAILQ_INSERT_TAIL(&b->peers, p, entry);
	return ipc_send(p->ch, w, fd);
}

static void
to_all_workers(void *arg, struct writer *w)
{
	struct broker *b = arg;
	struct peer *p;

	TAILQ_FOREACH (p, &b->peers, entry)
		(void)ipc_send(p->ch, w, -1);
}

static void
to_master(void *arg, struct writer *w)
{
	struct broker *b = arg;

	(void)ipc_send(b->master, w, -1);
}

/*
 * A worker may ask for a socket for each of its clients before it reads an
 * answer.  One that has been taken over may never read: what waits for all of
 * them leaves half of our descriptors to what is under way.
 */
static void
expect_bursts(const struct conf *c, struct ipc *ch)
{
	unsigned int fds = BROKER_FILES / 2;

	if (c->workers > 0)
		fds /= c->workers;
	if (fds > c->worker_connections)
		fds = c->worker_connections;
	ipc_expect_bursts(ch, c->worker_connections, fds);
}

static void
new_peer(struct broker *b, const struct msg_peer *m, int fd)
{
	struct peer *p, *next;
	struct writer w UNZEROED;

	for (p = TAILQ_FIRST(&b->peers); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->number != m->number)
			continue;
		forget(p);
	}
	p = xcalloc(1, sizeof(*p));
	p->broker = b;
	p->number = m->number;
	p->serial = m->serial;
	RB_INIT(&p->requests);
	p->ch = ipc_new(b->base, fd, ROLE_BROKER, ROLE_WORKER, on_worker,
	    on_worker_closed, p);
	ipc_set_quota(p->ch, QUOTA + b->conf->worker_connections);
	expect_bursts(b->conf, p->ch);
	TAILQ_INSERT_HEAD(&b->peers, p, entry);
	if (lessons_put(b->lessons, &w))
		(void)ipc_send(p->ch, &w, -1);
	if (auths_put_mechanisms(b->auths, &w))
		(void)ipc_send(p->ch, &w, -1);
	lessons_start(b->lessons);
}

/* What the master may say. */
static int
on_master(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct broker *b = arg;
	struct msg_peer m;

	(void)ch;
	(void)id;
	if (type == MSG_STOP)
		_exit(0);
	if (type == MSG_PEER && msg_get_peer(r, &m) == 0) {
		if (m.role == ROLE_WORKER) {
			new_peer(b, &m, fd);
			return 0;
		}
		if (m.role == ROLE_AUTHENTICATOR) {
			auths_add(b->auths, &m, fd);
			return 0;
		}
		if (m.role == ROLE_CONTROL) {
			broker_control_set(b->control, fd);
			return 0;
		}
	}
	if (fd != -1)
		close(fd);
	return -1;
}

unsigned int
broker_places(const struct conf *c)
{
	if (c->worker_connections > 1)
		return c->workers * c->worker_connections;
	/* A process per client: the limit, or what a host may well stand. */
	return (c->connection_limit != 0 ? c->connection_limit
	                                 : BROKER_CLIENTS_MAX) +
	    c->workers;
}

/*
 * By now the master has told of every worker there is: what the book has of
 * others is of workers that died while there was no broker.
 */
static void
on_settled(int fd, short what, void *arg)
{
	struct broker *b = arg;
	struct peer *p;
	uint32_t *serials = xcalloc(UINT16_MAX + 1, sizeof(*serials));
	size_t n = 0;

	(void)fd;
	(void)what;
	TAILQ_FOREACH (p, &b->peers, entry)
		if (n <= UINT16_MAX)
			serials[n++] = p->serial;
	limit_keep_workers(b->limit, serials, n);
	free(serials);
}

static void *
map_book(int fd, int protection, size_t *size)
{
	struct stat st;
	void *mem;

	if (fstat(fd, &st) == -1)
		fatal("the counters handed over");
	*size = (size_t)st.st_size;
	mem = mmap(NULL, *size, protection, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		fatal("the counters handed over");
	close(fd);
	return mem;
}

/* Who is with an old generation's workers leaves, and none comes to them. */
static void
on_old_books(int fd, short what, void *arg)
{
	struct broker *b = arg;

	(void)fd;
	(void)what;
	if (!limit_look_at_old(b->limit))
		event_del(&b->old_books);
}

/* A process per client: those beyond are there to say that there is no room. */
static unsigned int
most_clients(const struct conf *c, unsigned int places)
{
	if (c->connection_limit != 0 || c->worker_connections > 1)
		return c->connection_limit;
	return places - c->workers;
}

static void
open_limit(struct broker *b, const struct role_start *start)
{
	const struct timeval every = { .tv_sec = OLD_BOOKS_SECONDS };
	const struct conf *c = start->conf;
	struct ledger *ledger =
	    ledger_file_map(ROLE_FD_FIRST + 1, PROT_READ | PROT_WRITE);
	unsigned int i, n = start->nfds - 2;
	void *mem, *old[BROKER_BOOKS_MAX] = { NULL };
	size_t size, sizes[BROKER_BOOKS_MAX] = { 0 };

	if (start->nfds < 2 || n > BROKER_BOOKS_MAX)
		fatalx("the counters handed over are not what they should be");
	if (ledger == NULL)
		fatalx("the ledger handed over is none");
	close(ROLE_FD_FIRST + 1);
	b->abuse = abuse_new(c, ledger);
	b->places = broker_places(c);
	mem = map_book(ROLE_FD_FIRST, PROT_READ | PROT_WRITE, &size);
	if (size < limit_size(b->places))
		fatalx("the counters handed over are too few");
	for (i = 0; i < n; i++)
		old[i] =
		    map_book(ROLE_FD_FIRST + 2 + (int)i, PROT_READ, &sizes[i]);
	b->limit = limit_new(mem, b->places, most_clients(c, b->places),
	    c->connection_limit_address);
	for (i = 0; i < n; i++)
		limit_add_old(b->limit, old[i], sizes[i]);
	event_assign(&b->old_books, b->base, -1, EV_PERSIST, on_old_books, b);
	if (limit_look_at_old(b->limit))
		event_add(&b->old_books, &every);
}

/* The ports of the inner servers, for Landlock. */
static uint16_t *
ports_of(const struct conf *c)
{
	uint16_t *ports = xcalloc(c->nservers, sizeof(*ports));
	size_t i;

	for (i = 0; i < c->nservers; i++)
		ports[i] = c->servers[i].port;
	return ports;
}

static bool
has_names(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->nservers; i++)
		if (!c->servers[i].numeric)
			return true;
	return false;
}

void
broker_main(const struct role_start *start)
{
	struct broker b = { .base = start->base, .conf = start->conf };
	struct sandbox box = { .role = ROLE_BROKER, .read_paths = { "/etc" } };
	const struct timeval settle = { .tv_sec = SETTLE_SECONDS };

	TAILQ_INIT(&b.peers);
	open_limit(&b, start);
	b.upstreams = upstreams_new(
	    b.base, b.conf, has_names(b.conf) ? dns_new(b.base) : NULL);
	b.control = broker_control_new(b.base, b.upstreams);
	b.admits = admits_new(b.base, b.conf, b.limit, b.abuse, b.upstreams);
	b.lessons = lessons_new(b.base, b.conf, b.upstreams,
	    start->protocol->merge != NULL ? start->protocol->merge
	                                   : capability_intersect,
	    to_any_worker, to_all_workers, &b);
	b.auths = auths_new(
	    b.base, b.conf, b.limit, b.abuse, to_master, to_all_workers, &b);
	b.submits = submits_new(b.conf, b.abuse);
	box.read_paths[1] = submits_folder(b.submits);
	box.ports = ports_of(b.conf);
	box.nports = b.conf->nservers;
	b.master = role_confine(start, &box, BROKER_FILES, on_master, &b);
	event_base_once(b.base, -1, EV_TIMEOUT, on_settled, &b, &settle);
	event_base_dispatch(b.base);
	exit(0);
}
