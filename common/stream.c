/* SPDX-License-Identifier: ISC */
/*
 * stream: non-blocking connections.  Runs in workers.  Trusts neither peer.
 *
 * One set of buffers serves all streams of the process: rx holds what one
 * recv(2) brought, plain what TLS made of it, tx what one stream wants to
 * send.  Nothing stays in them from one turn of the loop to the next.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "proxy_header.h"
#include "stats.h"
#include "stream.h"
#include "unzeroed.h"
#include "xmalloc.h"

/*
 * Octets of one recv(2).  Records come in big steps, since an upload pays for
 * each system call; clear text in steps that the processor's cache holds
 * while they are encrypted.
 */
#define RX_SIZE 262144
#define RX_PLAIN_SIZE 65536
#define RX_DIALOGUE_SIZE 16384 /* a dialogue's commands are small */
#define PLAIN_SIZE (RX_SIZE + TLS_DECRYPT_EXTRA)
#define TX_SIZE (RX_PLAIN_SIZE * 2 + 65536)
/* Longer clear text is sent from where it stands rather than gathered. */
#define GATHER_MAX 16384
#define LINE_SIZE 1024 /* octets of text that are formatted on the stack */
/* RFC 8446 5.1 */
#define RECORD_HANDSHAKE 22
#define RECORD_HEADER 5
#define RECORD_MAX 16384
/* What a peer that does not read may have waiting: a turn's worth and more. */
#define OUT_MAX (4 * RX_SIZE)

/*
 * Seconds.  A dead peer is found out after 2 h of silence by default: too
 * late.  It has 11 minutes more to answer (tcp(7)).
 */
#define KEEPALIVE_IDLE 600

/*
 * Octets that the kernel keeps for a slow peer beyond what is on its way.  It
 * would take megabytes, and say nothing for minutes of how they go.
 */
#define NOTSENT_MAX RX_SIZE

static char *rx, *plain, *tx;
static size_t tx_len;
static struct stream *tx_owner; /* whose octets tx holds */

void
stream_global_init(void)
{
	rx = xmalloc(RX_SIZE);
	plain = xmalloc(PLAIN_SIZE);
	tx = xmalloc(TX_SIZE);
}

void
stream_init(struct stream *s, size_t in_max)
{
	memset(s, 0, sizeof(*s));
	s->fd = -1;
	/* A dialogue stops at in_max; behind a message there may be more. */
	buf_init(&s->in, in_max + PLAIN_SIZE);
	buf_init(&s->out, OUT_MAX);
}

bool
stream_is_open(const struct stream *s)
{
	return s->fd != -1;
}

static void
set_option(int fd, int option_level, int option, int value)
{
	/* A socket that is being reset may refuse: its next read tells. */
	(void)setsockopt(fd, option_level, option, &value, sizeof(value));
}

void
stream_tune(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
	set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_MAX);
}

void
stream_set_patience(int fd, unsigned int seconds)
{
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(seconds * 1000));
}

void
stream_open(struct stream *s, struct event_base *base, int fd,
    stream_ready *ready, void *arg)
{
	s->fd = fd;
	s->output = STREAM_TALKS;
	s->failed = s->reading = s->writing = false;
	s->received = s->sent = 0;
	if (event_assign(&s->read_ev, base, fd,
	        EV_READ | EV_CLOSED | EV_PERSIST, ready, arg) == -1 ||
	    event_assign(&s->write_ev, base, fd, EV_WRITE | EV_PERSIST, ready,
	        arg) == -1)
		fatalx("stream: cannot watch a connection");
	stream_want_read(s, true);
}

void
stream_close(struct stream *s)
{
	if (s->fd == -1)
		return;
	if (tx_owner == s) {
		explicit_bzero(tx, tx_len); /* as in empty_tx() */
		tx_owner = NULL;
		tx_len = 0;
	}
	if (s->reading)
		event_del(&s->read_ev);
	if (s->writing)
		event_del(&s->write_ev);
	close(s->fd);
	s->fd = -1;
	s->awaited = NULL;
	tls_free(&s->tls);
	buf_free(&s->in);
	buf_free(&s->out);
}

void
stream_set_tls(struct stream *s, struct tls *t)
{
	s->tls = t;
}

void
stream_await_tls(struct stream *s, struct tls_server *server)
{
	s->awaited = server;
}

/* The end came with the last text: the socket will not tell of it. */
static void
come_again(struct stream *s)
{
	if (s->tls != NULL && tls_is_over(s->tls))
		event_active(&s->read_ev, EV_READ, 0);
}

void
stream_want_read(struct stream *s, bool on)
{
	if (s->reading == on)
		return;
	s->reading = on;
	if ((on ? event_add(&s->read_ev, NULL) : event_del(&s->read_ev)) == -1)
		fatalx("stream: cannot watch a connection");
	if (on)
		come_again(s);
}

static void
want_write(struct stream *s, bool on)
{
	if (s->writing == on)
		return;
	s->writing = on;
	if ((on ? event_add(&s->write_ev, NULL) : event_del(&s->write_ev)) ==
	    -1)
		fatalx("stream: cannot watch a connection");
}

/* Send p; returns how much went, 0 when nothing did. */
static size_t
send_some(struct stream *s, const char *p, size_t n)
{
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	ssize_t sent;

	/* The last words and the end of all go in one segment. */
	if (s->output == STREAM_ENDING)
		flags |= MSG_MORE;
	do
		sent = send(s->fd, p, n, flags);
	while (sent == -1 && errno == EINTR);
	if (sent == -1) {
		if (errno != EAGAIN && errno != ENOBUFS)
			s->failed = true;
		return 0;
	}
	return (size_t)sent;
}

static void
keep(struct stream *s, const char *p, size_t n)
{
	if (n > 0 && !s->failed && buf_append(&s->out, p, n) == -1)
		s->failed = true;
}

/* Get what is gathered for s out of tx. */
static void
empty_tx(struct stream *s)
{
	size_t n = 0;

	if (tx_owner != s)
		return;
	if (s->out.len == 0 && !s->failed)
		n = send_some(s, tx, tx_len);
	keep(s, tx + n, tx_len - n);
	if (s->tls == NULL)
		explicit_bzero(tx, tx_len); /* it may hold a password */
	tx_len = 0;
	tx_owner = NULL;
}

/* Gather octets as they go on the wire. */
static void
gather(void *arg, const void *p, size_t n)
{
	struct stream *s = arg;

	/* Behind its goodbye TLS may still want to send an alert. */
	if (s->output != STREAM_TALKS)
		return;
	if (tx_owner != NULL && tx_owner != s)
		(void)stream_flush(tx_owner);
	if (tx_owner == s && n > TX_SIZE - tx_len)
		empty_tx(s);
	if (s->out.len > 0 || n > TX_SIZE) {
		empty_tx(s);
		keep(s, p, n);
		return;
	}
	memcpy(tx + tx_len, p, n);
	tx_len += n;
	tx_owner = s;
}

void
stream_write(struct stream *s, const void *p, size_t n)
{
	struct tls_io io = { .out = gather, .arg = s };
	size_t sent = 0;

	if (s->fd == -1 || s->failed || s->output != STREAM_TALKS || n == 0)
		return;
	s->sent += n;
	if (s->counted)
		STATS_ADD(bytes[STATS_SENT], n);
	if (s->tls != NULL) {
		if (tls_encrypt(s->tls, &io, p, n) != TLS_OK)
			s->failed = true;
	} else if (n <= GATHER_MAX) {
		gather(s, p, n);
	} else {
		empty_tx(s);
		if (s->out.len == 0)
			sent = send_some(s, p, n);
		keep(s, (const char *)p + sent, n - sent);
	}
}

/* Here or there, it may hold a password. */
void
stream_printf(struct stream *s, const char *fmt, ...)
{
	char line[LINE_SIZE] UNZEROED, *text = line;
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	if (n >= (int)sizeof(line)) {
		text = xmalloc((size_t)n + 1);
		n = vsnprintf(text, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	va_end(ap);
	if (n < 0)
		fatal("stream: a line cannot be formatted");
	stream_write(s, text, (size_t)n);
	explicit_bzero(
	    line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line));
	if (text != line)
		freezero(text, (size_t)n);
}

enum stream_result
stream_flush(struct stream *s)
{
	size_t n;

	if (s->fd == -1)
		return STREAM_OK;
	if (tx_owner == s) {
		empty_tx(s);
	} else if (s->out.len > 0 && !s->failed) {
		n = send_some(s, buf_view(&s->out).p, s->out.len);
		buf_consume(&s->out, n);
		if (s->out.len == 0)
			buf_free(&s->out);
	}
	if (s->failed)
		return STREAM_ERROR;
	want_write(s, s->out.len > 0);
	if (s->out.len > 0)
		return STREAM_WAIT;
	if (s->output == STREAM_ENDING) {
		(void)shutdown(s->fd, SHUT_WR);
		s->output = STREAM_ENDED;
	}
	return STREAM_OK;
}

bool
stream_pending(const struct stream *s)
{
	return s->out.len > 0 || (tx_owner == s && tx_len > 0);
}

static void
count_received(struct stream *s, size_t n)
{
	s->received += n;
	if (s->counted)
		STATS_ADD(bytes[STATS_RECEIVED], n);
}

/* One recv(2) into rx. */
static enum stream_result
receive(struct stream *s, size_t size, size_t *n)
{
	ssize_t got;

	if (s->failed)
		return STREAM_ERROR;
	*n = 0;
	if (s->tls != NULL && tls_is_over(s->tls))
		return STREAM_OK;
	do
		got = recv(s->fd, rx, size, MSG_DONTWAIT);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return errno == EAGAIN ? STREAM_WAIT : STREAM_ERROR;
	*n = (size_t)got;
	return got == 0 ? STREAM_EOF : STREAM_OK;
}

/* Make clear text in plain of the records in io; *n octets. */
static enum stream_result
decrypt(struct stream *s, struct tls_io *io, size_t *n)
{
	switch (tls_decrypt(s->tls, io, plain, PLAIN_SIZE, n)) {
	case TLS_OK:
		come_again(s);
		return STREAM_OK;
	case TLS_WAIT:
		return STREAM_WAIT;
	case TLS_CLOSED:
		return STREAM_EOF;
	case TLS_FAILED:
		break;
	}
	return STREAM_ERROR;
}

/*
 * Is the first record (RFC 8446 5.1) there, as far as its header says?  What
 * begins in another way is TLS's to refuse, a PROXY header by its name.
 */
static bool
is_whole(struct text t)
{
	const unsigned char *p = (const unsigned char *)t.p;
	size_t len;

	if (t.len > 0 && p[0] != RECORD_HANDSHAKE)
		return proxy_header_look(t) != PROXY_WAIT;
	if (t.len < RECORD_HEADER)
		return false;
	len = (size_t)p[3] << 8 | p[4];
	return len > RECORD_MAX || t.len - RECORD_HEADER >= len;
}

/* Begin TLS once *t, what just came, makes the first record whole. */
static enum stream_result
begin_tls(struct stream *s, struct text *t)
{
	if (s->in.len > 0 || !is_whole(*t)) {
		if (buf_append(&s->in, t->p, t->len) == -1)
			return STREAM_ERROR;
		*t = buf_view(&s->in);
	}
	if (!is_whole(*t))
		return STREAM_WAIT;
	s->tls = tls_accept(s->awaited);
	s->awaited = NULL;
	return STREAM_OK;
}

/* What was kept of the first record is TLS's now. */
static enum tls_result
shake(struct stream *s, struct tls_io *io)
{
	enum tls_result r = tls_handshake(s->tls, io);

	/* The client speaks again before it is done: all of it is taken. */
	if (r == TLS_WAIT)
		buf_free(&s->in);
	return r;
}

enum stream_result
stream_handshake(struct stream *s)
{
	struct tls_io io = { .out = gather, .arg = s };
	enum stream_result r;
	size_t n = 0;

	r = receive(s, RX_DIALOGUE_SIZE, &n);
	if (r == STREAM_EOF || r == STREAM_ERROR)
		return r;
	io.in = (struct text){ rx, n };
	if (s->awaited != NULL && (r = begin_tls(s, &io.in)) != STREAM_OK)
		return r;
	switch (shake(s, &io)) {
	case TLS_OK:
		break;
	case TLS_WAIT:
		return STREAM_WAIT;
	case TLS_CLOSED:
		return STREAM_EOF;
	case TLS_FAILED:
		return STREAM_ERROR;
	}
	if (io.in.len == 0)
		return STREAM_OK;
	/* The first command came with the end of the handshake. */
	r = decrypt(s, &io, &n);
	if (r == STREAM_OK && buf_append(&s->in, plain, n) == -1)
		return STREAM_ERROR;
	count_received(s, n);
	explicit_bzero(plain, n);
	return r == STREAM_WAIT ? STREAM_OK : r;
}

enum stream_result
stream_read(struct stream *s, struct text *t)
{
	struct tls_io io = { .out = gather, .arg = s };
	enum stream_result r;
	size_t n;

	r = receive(s, s->tls != NULL ? RX_SIZE : RX_PLAIN_SIZE, &n);
	if (r != STREAM_OK)
		return r;
	*t = (struct text){ rx, n };
	if (s->tls != NULL) {
		io.in = *t;
		r = decrypt(s, &io, &n);
		*t = (struct text){ plain, n };
	}
	if (r == STREAM_OK)
		count_received(s, n);
	return r;
}

enum stream_result
stream_discard(struct stream *s)
{
	struct text t = TEXT_NONE;
	enum stream_result r = stream_read(s, &t);

	if (r == STREAM_OK)
		explicit_bzero(s->tls != NULL ? plain : rx, t.len);
	return r;
}

bool
stream_has_room(const struct stream *s)
{
	/* A step brings at most this much, records put by included. */
	return buf_room(&s->in) >=
	    PLAIN_SIZE + RX_DIALOGUE_SIZE + TLS_DECRYPT_EXTRA;
}

enum stream_result
stream_fill(struct stream *s)
{
	struct tls_io io = { .out = gather, .arg = s };
	enum stream_result r;
	size_t n;
	const char *p = rx;

	if (!stream_has_room(s))
		return STREAM_WAIT;
	r = receive(s, RX_DIALOGUE_SIZE, &n);
	if (r != STREAM_OK)
		return r;
	if (s->tls != NULL) {
		io.in = (struct text){ rx, n };
		r = decrypt(s, &io, &n);
		if (r != STREAM_OK)
			return r;
		p = plain;
	}
	if (buf_append(&s->in, p, n) == -1)
		r = STREAM_ERROR;
	else
		count_received(s, n);
	/* It may hold a password, and these buffers live long. */
	explicit_bzero(p == rx ? rx : plain, n);
	return r;
}

/*
 * Before its handshake an alert in clear is as good as any (RFC 8446 6).  What
 * the client has sent is taken first, or the kernel would send a reset at the
 * end.
 */
void
stream_refuse(struct stream *s)
{
	/* fatal(2), internal_error(80) */
	static const char alert[] = "\x15\x03\x03\0\x02\x02\x50";
	struct tls_io io = { .out = gather, .arg = s };
	size_t n;

	if (s->fd == -1)
		return;
	(void)receive(s, RX_DIALOGUE_SIZE, &n);
	if (s->tls != NULL)
		tls_refuse(s->tls, &io);
	else
		stream_write(s, alert, sizeof(alert) - 1);
	(void)stream_flush(s);
}

void
stream_goodbye(struct stream *s)
{
	struct tls_io io = { .out = gather, .arg = s };

	if (s->fd == -1 || s->failed || s->output != STREAM_TALKS)
		return;
	if (s->tls != NULL)
		tls_bye(s->tls, &io);
	(void)stream_flush(s);
}

void
stream_shutdown(struct stream *s)
{
	struct tls_io io = { .out = gather, .arg = s };

	if (s->fd == -1 || s->failed || s->output != STREAM_TALKS)
		return;
	if (s->tls != NULL)
		tls_bye(s->tls, &io);
	s->output = STREAM_ENDING;
	(void)stream_flush(s);
}
