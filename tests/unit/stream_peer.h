/* SPDX-License-Identifier: ISC */
/*
 * stream_peer: the far end of a stream, for the tests of stream, relay and
 * session: a socket, with a plain GnuTLS session on it where TLS is wanted.
 * Nothing here blocks: both ends live in one process.
 */
#ifndef STREAM_PEER_H
#define STREAM_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "stream.h"
#include "tls_peer.h"

#define V13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define V12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define FAR_ROUNDS 100 /* of a handshake: far more than any takes */

struct far {
	int fd;
	struct peer *tls; /* NULL: plain */
};

static inline void
far_close(struct far *f)
{
	if (f->tls != NULL)
		peer_free(&f->tls);
	if (f->fd != -1)
		close(f->fd);
	f->fd = -1;
}

/* The next close(2) of fd is a reset. */
static inline void
far_set_reset(int fd)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == -1)
		abort();
}

/* The two ends of a connection over loopback TCP; fds[1] has connected. */
static inline void
far_tcp(int fds[2])
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int on = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	stream_tune(l);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l == -1 || fds[1] == -1 ||
	    bind(l, (struct sockaddr *)&in, len) == -1 || listen(l, 1) == -1 ||
	    getsockname(l, (struct sockaddr *)&in, &len) == -1 ||
	    connect(fds[1], (struct sockaddr *)&in, len) == -1 ||
	    setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
	        -1 ||
	    (fds[0] = accept4(l, NULL, NULL, SOCK_CLOEXEC)) == -1)
		abort();
	close(l);
}

/* Records that wait go as far as the socket takes them. */
static inline void
far_push(struct far *f)
{
	struct wire *w = &f->tls->out;
	ssize_t n = 1;

	while (w->len > 0 && n > 0) {
		n = send(f->fd, w->data + w->start, w->len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			w->start += (size_t)n;
			w->len -= (size_t)n;
		}
	}
	if (w->len == 0)
		w->start = 0;
}

/* Send some of p; how many octets were taken. */
static inline size_t
far_write(struct far *f, const void *p, size_t n)
{
	ssize_t sent;

	if (f->tls == NULL) {
		sent = send(f->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		return sent > 0 ? (size_t)sent : 0;
	}
	far_push(f);
	if (f->tls->out.len > 0)
		return 0;
	sent = gnutls_record_send(f->tls->s, p, n);
	pki_ok((int)sent);
	far_push(f);
	return (size_t)sent;
}

/* One recv(2) of records, to be read later: its result. */
static inline ssize_t
far_fetch(struct far *f, size_t max)
{
	static char records[1 << 18];
	ssize_t n;

	n = recv(f->fd, records, max < sizeof(records) ? max : sizeof(records),
	    MSG_DONTWAIT);
	if (n > 0)
		wire_put(&f->tls->in, records, (size_t)n);
	return n;
}

/* Read: how much, 0: the end (in TLS: close_notify), -1: nothing yet. */
static inline ssize_t
far_read(struct far *f, void *dst, size_t max)
{
	ssize_t n, raw;

	if (f->tls == NULL)
		return recv(f->fd, dst, max, MSG_DONTWAIT);
	do {
		n = gnutls_record_recv(f->tls->s, dst, max);
		if (n >= 0)
			return n;
		if (n != GNUTLS_E_AGAIN)
			pki_ok((int)n);
		raw = f->tls->in.len > 0 ? 1 : far_fetch(f, max);
	} while (raw > 0);
	return -1;
}

/* One side's step in a handshake; whether that side is done. */
static inline bool
far_greet(struct far *f)
{
	(void)far_fetch(f, 1 << 16);
	f->tls->error = gnutls_handshake(f->tls->s);
	if (f->tls->error < 0 && gnutls_error_is_fatal(f->tls->error))
		pki_ok(f->tls->error);
	far_push(f);
	return f->tls->error == 0;
}

/* s becomes a TLS server to f. */
static inline void
far_handshake(struct stream *s, struct far *f, struct tls_server *server,
    const char *priority)
{
	enum stream_result r = STREAM_WAIT;
	bool done = false;
	int i;

	f->tls = peer_new(priority, GNUTLS_CLIENT);
	stream_set_tls(s, tls_accept(server));
	for (i = 0; i < FAR_ROUNDS && (r == STREAM_WAIT || !done); i++) {
		done = done || far_greet(f);
		if (r == STREAM_WAIT)
			r = stream_handshake(s);
		if (stream_flush(s) == STREAM_ERROR)
			abort();
	}
	if (r != STREAM_OK || !done)
		abort();
}

/* What TLS needs in a test: a certificate, its keeper, a server. */
struct far_pki {
	struct pki *pair;
	struct handover *handover;
	struct conf conf;
	struct tls_server *server;
	pid_t keeper;
};

static inline void
far_pki_start(struct far_pki *p)
{
	static char priority[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	static const char key[TICKET_KEY_LEN] = { 1 };
	const char *pem;

	tls_global_init();
	p->pair = pki_new((struct pki_wish){ .names = { "mail.example" } });
	pem = p->pair->cert;
	p->handover = pki_handover(HANDOVER_CERT, &pem, 1);
	p->conf = (struct conf){ .listen_priority = priority,
		.outgoing_priority = priority };
	p->keeper = pki_keeper_start(&p->pair, 1, true);
	p->server = tls_server_new(&p->conf, p->handover, "test");
	tls_server_set_ticket_key(
	    p->server, (struct text){ key, sizeof(key) }, TEXT_NONE);
}

static inline void
far_pki_stop(struct far_pki *p)
{
	tls_server_free(&p->server);
	pki_keeper_stop(p->keeper);
	handover_close(&p->handover);
	pki_free(&p->pair);
}

#endif
