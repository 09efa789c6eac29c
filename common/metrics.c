/* SPDX-License-Identifier: ISC */
/*
 * metrics: serves the numbers (GET /metrics).  Runs as _relais in an empty
 * root; reads what anybody on this host sends, and numbers that workers may
 * have made up.  A connection is one request; few are served at a time, each
 * in a few seconds.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "log.h"
#include "metrics.h"
#include "metrics_request.h"
#include "session.h"
#include "xmalloc.h"

#define CONNECTIONS_MAX 16
#define SECONDS 10        /* for a request, its answer and goodbye */
#define LINGER_MAX 65536  /* octets that are read behind a request */
#define METRICS_FILES 256 /* descriptors: connections, channel, epoll */
/* How often the pages are read anew while the master moves totals. */
#define READS_MAX 4

struct page {
	const struct stats *stats;
	enum role role;
	bool old;
};

struct metrics {
	struct event_base *base;
	struct metrics_facts facts;
	struct page *pages;
	size_t npages;
	struct stats sum;
	struct event accepting;
	unsigned int nconnections;
	TAILQ_HEAD(, connection) connections;
};

enum state { READING, WRITING, LINGERING };

struct connection {
	TAILQ_ENTRY(connection) entry;
	struct metrics *metrics;
	int fd;
	enum state state;
	struct event io, deadline;
	char in[METRICS_REQUEST_MAX];
	size_t nin, lingered;
	struct buf out;
};

/* --- the sum ------------------------------------------------------------- */

static uint64_t
sequence_of(const struct metrics *m)
{
	size_t i;

	for (i = 0; i < m->npages; i++)
		if (m->pages[i].role == ROLE_MASTER)
			return __atomic_load_n(
			    &m->pages[i].stats->sequence, __ATOMIC_SEQ_CST);
	return 0;
}

/* The master may be moving totals from one page to another meanwhile. */
static void
add_up(struct metrics *m)
{
	uint64_t before;
	unsigned int reads = 0;
	size_t i;

	do {
		before = sequence_of(m);
		memset(&m->sum, 0, sizeof(m->sum));
		for (i = 0; i < m->npages; i++)
			stats_add_page(&m->sum, m->pages[i].stats,
			    m->pages[i].role, m->pages[i].old);
	} while ((before % 2 != 0 || before != sequence_of(m)) &&
	    ++reads < READS_MAX);
}

/* --- connections --------------------------------------------------------- */

static void
connection_free(struct connection *c)
{
	struct metrics *m = c->metrics;

	TAILQ_REMOVE(&m->connections, c, entry);
	m->nconnections--;
	event_del(&c->io);
	event_del(&c->deadline);
	close(c->fd);
	buf_free(&c->out);
	free(c);
}

static void
on_deadline(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connection_free(arg);
}

static void on_io(int fd, short what, void *arg);

static void
wait_for(struct connection *c, enum state state, short what)
{
	if (c->state != state) {
		c->state = state;
		event_del(&c->io);
		event_assign(&c->io, c->metrics->base, c->fd, what | EV_PERSIST,
		    on_io, c);
		event_add(&c->io, NULL);
	}
}

static void
put_answer(struct connection *c, int status, const char *type, struct text body)
{
	(void)buf_printf(&c->out,
	    "HTTP/1.1 %d %s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n"
	    "%sConnection: close\r\n\r\n",
	    status, metrics_request_reason(status), type, body.len,
	    status == 405 ? "Allow: GET, HEAD\r\n" : "");
}

static void
answer_metrics(struct connection *c, const struct metrics_request *r)
{
	struct metrics *m = c->metrics;
	struct buf body;

	buf_init(&body, METRICS_TEXT_MAX);
	add_up(m);
	if (metrics_text_write(&m->facts, &m->sum, r->format, &body) == -1)
		log_warnx("there are more numbers than can be told");
	put_answer(c, 200, metrics_text_type(r->format), buf_view(&body));
	if (!r->head)
		(void)buf_append(
		    &c->out, buf_view(&body).p, buf_view(&body).len);
	buf_free(&body);
}

static void
answer(struct connection *c, int status, const struct metrics_request *r)
{
	const char *reason = metrics_request_reason(status);
	struct text line = text_of(reason);

	if (status == 200) {
		answer_metrics(c, r);
	} else {
		put_answer(c, status, "text/plain; charset=utf-8",
		    (struct text){ reason, line.len + 1 });
		if (!r->head)
			(void)buf_printf(&c->out, "%s\n", reason);
	}
	wait_for(c, WRITING, EV_WRITE);
}

/* 0: go on; -1: it has gone. */
static int
do_read(struct connection *c)
{
	struct metrics_request r;
	ssize_t n;
	int status;

	n = recv(c->fd, c->in + c->nin, sizeof(c->in) - c->nin, MSG_DONTWAIT);
	if (n == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	c->nin += (size_t)n;
	status = metrics_request_parse((struct text){ c->in, c->nin }, &r);
	if (status != 0)
		answer(c, status, &r);
	return 0;
}

static int
do_write(struct connection *c)
{
	struct text t = buf_view(&c->out);
	ssize_t n = send(c->fd, t.p, t.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	buf_consume(&c->out, (size_t)n);
	if (c->out.len > 0)
		return 0;
	/* With octets unread, close(2) would take the answer back. */
	(void)shutdown(c->fd, SHUT_WR);
	wait_for(c, LINGERING, EV_READ);
	return 0;
}

static int
do_linger(struct connection *c)
{
	ssize_t n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c->lingered += (size_t)n;
	return n == 0 || c->lingered > LINGER_MAX ? -1 : 0;
}

static void
on_io(int fd, short what, void *arg)
{
	struct connection *c = arg;
	int result = -1;

	(void)fd;
	(void)what;
	switch (c->state) {
	case READING:
		result = do_read(c);
		break;
	case WRITING:
		result = do_write(c);
		break;
	case LINGERING:
		result = do_linger(c);
		break;
	}
	if (result == -1)
		connection_free(c);
}

static void
connection_new(struct metrics *m, int fd)
{
	const struct timeval limit = { .tv_sec = SECONDS };
	struct connection *c = xcalloc(1, sizeof(*c));

	c->metrics = m;
	c->fd = fd;
	c->state = READING;
	buf_init(&c->out, METRICS_TEXT_MAX + 1024);
	event_assign(&c->io, m->base, fd, EV_READ | EV_PERSIST, on_io, c);
	evtimer_assign(&c->deadline, m->base, on_deadline, c);
	event_add(&c->io, NULL);
	event_add(&c->deadline, &limit);
	TAILQ_INSERT_TAIL(&m->connections, c, entry);
	m->nconnections++;
}

/*
 * Whoever has asked for nothing yet gives way first: anybody on this host may
 * connect and stand there.
 */
static void
make_room(struct metrics *m)
{
	struct connection *c, *oldest = TAILQ_FIRST(&m->connections);

	TAILQ_FOREACH (c, &m->connections, entry)
		if (c->state == READING) {
			oldest = c;
			break;
		}
	if (oldest != NULL)
		connection_free(oldest);
}

static void
on_connection(int listener, short what, void *arg)
{
	struct metrics *m = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd == -1)
		return;
	if (m->nconnections == CONNECTIONS_MAX)
		make_room(m);
	connection_new(m, fd);
}

/* --- the start ----------------------------------------------------------- */

static int
add_page(struct metrics *m, const struct msg_stats *s, int fd)
{
	const struct stats *stats = stats_page_map(fd);

	if (stats == NULL)
		return -1;
	m->pages = xrecallocarray(
	    m->pages, m->npages, m->npages + 1, sizeof(*m->pages));
	m->pages[m->npages++] =
	    (struct page){ stats, (enum role)s->role, s->old };
	return 0;
}

/* Nobody is to miss them in an answer: who asks before the first waits. */
static int
take_expiries(struct metrics *m, int fd, size_t len)
{
	if (expiry_read(&m->facts.certificates, fd, len) == -1)
		return -1;
	if (m->nconnections < CONNECTIONS_MAX)
		event_add(&m->accepting, NULL);
	return 0;
}

/*
 * What the master may say: MSG_STATS with a page, MSG_EXPIRIES with all
 * certificates, MSG_STOP.
 */
static int
on_master(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct metrics *m = arg;
	struct msg_expiries e;
	struct msg_stats s;
	int result = -1;

	(void)ch;
	(void)id;
	if (type == MSG_STOP && fd == -1 && get_end(r) == 0)
		role_end();
	if (type == MSG_STATS && fd != -1 && msg_get_stats(r, &s) == 0)
		result = add_page(m, &s, fd);
	if (type == MSG_EXPIRIES && fd != -1 && msg_get_expiries(r, &e) == 0)
		result = take_expiries(m, fd, e.len);
	if (fd != -1)
		close(fd);
	return result;
}

void
metrics_main(const struct role_start *start)
{
	const struct conf_defaults *d = start->protocol->defaults;
	struct sandbox box = { .role = ROLE_METRICS };
	struct metrics *m = xcalloc(1, sizeof(*m));

	if (start->nfds != 1)
		fatalx("the descriptors handed over are too few");
	m->base = start->base;
	m->facts = (struct metrics_facts){ .daemon = d->name,
		.kind = d->daemon,
		.servers = start->conf->servers,
		.nservers = start->conf->nservers };
	TAILQ_INIT(&m->connections);
	event_assign(&m->accepting, m->base, ROLE_FD_FIRST,
	    EV_READ | EV_PERSIST, on_connection, m);
	(void)role_confine(start, &box, METRICS_FILES, on_master, m);
	event_base_dispatch(m->base);
	role_end();
}
