/* SPDX-License-Identifier: ISC */
/*
 * session_world: what stands around a session when all of it is fuzzed: a
 * worker, a clock, and connections that are memory.  The session's own code
 * and the protocol's are the daemon's; stream, TLS and the event loop are the
 * functions below, which the linker takes in place of the library's.
 *
 * Records of TLS are octets with a mark: what a client says in clear and what
 * it says in TLS can be told apart wherever it goes.  TAINT is an octet that
 * is said in clear alone: once a client is secured, nobody hears of it.
 *
 * Included once, by a target that includes its daemon's main.c for the struct
 * protocol, and defines
 *
 *	WORLD_PROTOCOL		its name
 *	WORLD_LIST		what an administrator's list might be
 *	world_server_over()	an inner connection has ended: judge it
 */
#ifndef SESSION_WORLD_H
#define SESSION_WORLD_H

#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>

#include "clock.h"
#include "fuzz.h"
#include "session.h"
#include "worker.h"
#include "xmalloc.h"

#define CLIENT_FD 1000 /* no descriptor of this process has such a number */
#define SERVER_FD 2000
#define SIDE_MAX (1 << 20)
#define READ_MAX 16384 /* octets of one step */
#define ROOM_MAX 65536
#define TURNS_MAX 2000
#define TAINT '~'

enum kind { KIND_CLEAR = 1, KIND_TLS, KIND_HANDSHAKE };

/* The far end of a connection. */
struct side {
	struct stream *st; /* ours; NULL: not open */
	stream_ready *ready;
	void *arg;
	struct buf octets, kinds; /* on their way to us */
	struct buf said;          /* taken by the session, in this phase */
	struct buf heard;         /* what the session has told it */
	size_t clear;             /* octets of that which went in clear */
	bool eof, broken, full;
	bool secure; /* this end has shaken hands */
	bool ending; /* our FIN has come */
};

struct tls {
	bool up;
};

struct sasl_exchange {
	sasl_heard *heard;
	void *arg;
	bool over;
};

struct worker {
	struct conf conf;
	struct conf_server servers[2];
	enum worker_list list_state;
	struct capability list;
	struct session *session; /* NULL: it has ended */
	bool hasty, automatic;
	bool poor; /* the inner server can do little */
	bool admit_asked, connect_asked, auth_asked, submit_asked;
	struct credentials login;        /* of the last request to connect */
	struct credentials server_login; /* for which it is connected */
	bool has_login;
	/* A relay: octets before it that each side has heard, and has said. */
	bool relays;
	size_t server_heard, server_said, client_heard, client_said;
	struct sasl_exchange *exchange;
	struct sasl_channel *channel;
};

static struct worker world;
static struct side client, server;
static time_t world_now;

static struct {
	event_callback_fn run;
	void *arg;
	bool armed;
	time_t at;
} timer;

static void world_server_over(void);

/* Time and the loop. */

time_t
clock_seconds(void)
{
	return world_now;
}

int64_t
clock_ms(void)
{
	return (int64_t)world_now * 1000;
}

/* For the name of a message and its Received field. */
time_t
time(time_t *t)
{
	if (t != NULL)
		*t = 1800000000;
	return 1800000000;
}

int
event_assign(struct event *ev, struct event_base *base, int fd, short what,
    event_callback_fn run, void *arg)
{
	(void)base;
	MUST(fd == -1 && what == 0);
	memset(ev, 0, sizeof(*ev));
	timer.run = run;
	timer.arg = arg;
	timer.armed = false;
	return 0;
}

int
event_add(struct event *ev, const struct timeval *tv)
{
	(void)ev;
	MUST(tv != NULL && tv->tv_sec >= 0);
	timer.armed = true;
	timer.at = world_now + tv->tv_sec + (tv->tv_usec > 0);
	return 0;
}

int
event_del(struct event *ev)
{
	(void)ev;
	timer.armed = false;
	return 0;
}

/* TLS: it is there when the other end has shaken hands. */

void
tls_count(const struct tls *t, enum stats_tls_version *version,
    enum stats_cipher *cipher)
{
	(void)t;
	*version = (enum stats_tls_version)0;
	*cipher = (enum stats_cipher)0;
}

struct tls *
tls_accept(struct tls_server *s)
{
	(void)s;
	return xcalloc(1, sizeof(struct tls));
}

struct tls *
tls_connect(struct tls_client *cl, const char *name)
{
	(void)cl;
	MUST(name != NULL);
	return xcalloc(1, sizeof(struct tls));
}

void
tls_free(struct tls **t)
{
	free(*t);
	*t = NULL;
}

const char *
tls_error(const struct tls *t)
{
	MUST(t != NULL);
	return "an unexpected TLS packet";
}

uint16_t
tls_strength(const struct tls *t)
{
	MUST(t->up);
	return 256;
}

const char *
tls_version(const struct tls *t)
{
	MUST(t->up);
	return "TLSv1.3";
}

const char *
tls_cipher(const struct tls *t)
{
	MUST(t->up);
	return "TLS_AES_256_GCM_SHA384";
}

bool
tls_resumed(const struct tls *t)
{
	MUST(t->up);
	return false;
}

const char *
tls_describe(struct tls *t)
{
	MUST(t->up);
	return "TLS";
}

void
tls_set_wiping(bool on)
{
	(void)on;
}

/* Streams. */

static struct side *
side_of(const struct stream *st)
{
	MUST(st->fd >= CLIENT_FD);
	return st->fd >= SERVER_FD ? &server : &client;
}

void
stream_init(struct stream *st, size_t in_max)
{
	memset(st, 0, sizeof(*st));
	st->fd = -1;
	MUST(in_max == ROOM_MAX);
	buf_init(&st->in, SIDE_MAX);
	buf_init(&st->out, 4 * SIDE_MAX);
}

bool
stream_is_open(const struct stream *st)
{
	return st->fd != -1;
}

void
stream_tune(int fd)
{
	MUST(fd >= SERVER_FD);
}

void
stream_set_patience(int fd, unsigned int seconds)
{
	(void)seconds;
	MUST(fd >= SERVER_FD);
}

void
stream_open(struct stream *st, struct event_base *base, int fd,
    stream_ready *ready, void *arg)
{
	struct side *d;

	(void)base;
	MUST(st->fd == -1 && st->tls == NULL);
	st->fd = fd;
	st->output = STREAM_TALKS;
	st->failed = st->writing = false;
	st->received = st->sent = 0;
	st->reading = true;
	d = side_of(st);
	d->st = st;
	d->ready = ready;
	d->arg = arg;
}

void
stream_close(struct stream *st)
{
	struct side *d;

	if (st->fd == -1)
		return;
	d = side_of(st);
	if (d == &server)
		world_server_over();
	d->st = NULL;
	st->fd = -1;
	tls_free(&st->tls);
	buf_free(&st->in);
	buf_free(&st->out);
}

/* RFC 2595, RFC 3207: what came in clear is not for what comes in TLS. */
void
stream_set_tls(struct stream *st, struct tls *t)
{
	struct side *d = side_of(st);

	MUST(st->tls == NULL && st->in.len == 0);
	st->tls = t;
	buf_free(&d->said);
}

void
stream_await_tls(struct stream *st, struct tls_server *s)
{
	stream_set_tls(st, tls_accept(s));
}

/* The next octets of one kind, READ_MAX at most; 0: there are none. */
static size_t
run_of(const struct side *d, enum kind *kind)
{
	struct text k = buf_view(&d->kinds);
	size_t n = 0;

	if (k.len == 0)
		return 0;
	*kind = (enum kind)k.p[0];
	while (n < k.len && n < READ_MAX && k.p[n] == k.p[0])
		n++;
	return n;
}

static void
take(struct side *d, struct buf *into, size_t n)
{
	struct text t = buf_view(&d->octets);

	MUST(buf_append(into, t.p, n) == 0);
	MUST(buf_append(&d->said, t.p, n) == 0);
	buf_consume(&d->octets, n);
	buf_consume(&d->kinds, n);
}

/* Octets to read as they are, in the phase that the stream is in. */
static enum stream_result
receive(struct stream *st, struct buf *into)
{
	struct side *d = side_of(st);
	enum kind kind = KIND_CLEAR;
	size_t n = run_of(d, &kind);

	if (st->failed || d->broken)
		return STREAM_ERROR;
	if (n == 0)
		return d->eof ? STREAM_EOF : STREAM_WAIT;
	if (st->tls != NULL && (kind != KIND_TLS || !st->tls->up))
		return STREAM_ERROR; /* no record of this connection */
	take(d, into, n);
	st->received += n;
	return STREAM_OK;
}

/* session_proxy looks at what is on its way, and takes it, by itself. */
ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	struct text t = buf_view(&client.octets);
	struct buf taken;

	MUST(fd == CLIENT_FD && client.st != NULL && client.st->tls == NULL);
	if (client.broken || (t.len == 0 && !client.eof)) {
		errno = client.broken ? ECONNRESET : EAGAIN;
		return -1;
	}
	if (n > t.len)
		n = t.len;
	if (n > 0)
		memcpy(p, t.p, n);
	if ((flags & MSG_PEEK) == 0) {
		buf_init(&taken, SIDE_MAX);
		take(&client, &taken, n);
		buf_free(&taken);
	}
	return (ssize_t)n;
}

enum stream_result
stream_handshake(struct stream *st)
{
	struct side *d = side_of(st);
	enum kind kind = KIND_CLEAR;
	struct buf nothing;

	MUST(st->tls != NULL && !st->tls->up && st->in.len == 0);
	if (st->failed || d->broken)
		return STREAM_ERROR;
	if (run_of(d, &kind) == 0)
		return d->eof ? STREAM_EOF : STREAM_WAIT;
	if (kind != KIND_HANDSHAKE)
		return STREAM_ERROR;
	buf_init(&nothing, SIDE_MAX);
	take(d, &nothing, 1);
	buf_free(&nothing);
	buf_free(&d->said);
	st->tls->up = true;
	/* The first command may come with the end of the handshake. */
	if (run_of(d, &kind) > 0 && receive(st, &st->in) == STREAM_ERROR)
		return STREAM_ERROR;
	return STREAM_OK;
}

bool
stream_has_room(const struct stream *st)
{
	return st->in.len + READ_MAX <= ROOM_MAX;
}

enum stream_result
stream_fill(struct stream *st)
{
	return stream_has_room(st) ? receive(st, &st->in) : STREAM_WAIT;
}

/* In memory that is gone at the next call. */
enum stream_result
stream_read(struct stream *st, struct text *t)
{
	static struct text last;
	enum stream_result r;
	struct buf b;

	if (last.p != NULL)
		fuzz_free(last);
	last = TEXT_NONE;
	buf_init(&b, SIDE_MAX);
	r = receive(st, &b);
	if (r == STREAM_OK)
		*t = last = fuzz_copy(buf_view(&b).p, b.len);
	buf_free(&b);
	return r;
}

enum stream_result
stream_discard(struct stream *st)
{
	struct text t;

	return stream_read(st, &t);
}

void
stream_write(struct stream *st, const void *p, size_t n)
{
	if (st->fd == -1 || st->failed || st->output != STREAM_TALKS || n == 0)
		return;
	MUST(st->tls == NULL || st->tls->up);
	st->sent += n;
	if (st->tls == NULL)
		side_of(st)->clear += n;
	MUST(buf_append(&st->out, p, n) == 0);
}

void
stream_printf(struct stream *st, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	MUST(n != -1);
	stream_write(st, text, (size_t)n);
	free(text);
}

enum stream_result
stream_flush(struct stream *st)
{
	struct side *d;

	if (st->fd == -1)
		return STREAM_OK;
	d = side_of(st);
	if (d->broken && st->out.len > 0)
		st->failed = true;
	if (st->failed)
		return STREAM_ERROR;
	if (!d->full && st->out.len > 0) {
		MUST(buf_append(&d->heard, buf_view(&st->out).p, st->out.len) ==
		    0);
		buf_free(&st->out);
	}
	st->writing = st->out.len > 0;
	if (st->writing)
		return STREAM_WAIT;
	if (st->output == STREAM_ENDING) {
		st->output = STREAM_ENDED;
		d->ending = true;
	}
	return STREAM_OK;
}

bool
stream_pending(const struct stream *st)
{
	return st->out.len > 0;
}

void
stream_want_read(struct stream *st, bool on)
{
	st->reading = on;
}

void
stream_refuse(struct stream *st)
{
	struct text hello;

	if (st->fd == -1)
		return;
	if (st->tls == NULL) {
		(void)stream_read(st, &hello);
		stream_write(st, "alert", 5);
	}
	(void)stream_flush(st);
}

void
stream_goodbye(struct stream *st)
{
	if (st->fd != -1 && !st->failed && st->output == STREAM_TALKS)
		(void)stream_flush(st);
}

void
stream_shutdown(struct stream *st)
{
	if (st->fd == -1 || st->failed || st->output != STREAM_TALKS)
		return;
	st->output = STREAM_ENDING;
	(void)stream_flush(st);
}

/* Authenticators. */

struct sasl_exchange *
sasl_exchange_new(
    struct sasl_channel *ch, uint32_t number, sasl_heard *heard, void *arg)
{
	(void)ch;
	(void)number;
	MUST(world.exchange == NULL);
	world.exchange = xcalloc(1, sizeof(*world.exchange));
	world.exchange->heard = heard;
	world.exchange->arg = arg;
	return world.exchange;
}

void
sasl_exchange_free(struct sasl_exchange **x)
{
	if (*x == NULL)
		return;
	MUST(*x == world.exchange);
	world.exchange = NULL;
	free(*x);
	*x = NULL;
}

void
sasl_channel_cancel(struct sasl_channel *ch, uint32_t number)
{
	(void)ch;
	(void)number;
}

#endif
