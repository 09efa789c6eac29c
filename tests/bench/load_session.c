/* SPDX-License-Identifier: ISC */
/* A client's connection: TCP, TLS, octets both ways, its end. */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "load_dialogue.h"
#include "load_session.h"
#include "pattern.h"

enum { RECORD = 16384 };

static int
on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct session *s = SSL_get_app_data(ssl);

	SSL_SESSION_free(s->ticket);
	s->ticket = ticket;
	return 1; /* it is ours now */
}

SSL_CTX *
session_context(const struct load_options *o)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int version = o->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384") != 1 ||
	    SSL_CTX_set_cipher_list(ctx,
	        "ECDHE-ECDSA-AES256-GCM-SHA384:"
	        "ECDHE-RSA-AES256-GCM-SHA384") != 1)
		errx(2, "no TLS context");
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	if (o->mode == LOAD_RESUME)
		SSL_CTX_sess_set_new_cb(ctx, on_ticket);
	return ctx;
}

/* A session that stays is nobody's to wait for. */
static void
stay(struct session *s, enum load_state state)
{
	s->state = state;
	s->load->busy--;
	s->load->tally.held++;
}

void
session_end(struct session *s, const char *why)
{
	struct tally *t = &s->load->tally;

	if (s->state == LOAD_SILENT || s->state == LOAD_HELD) {
		t->held--;
		t->lost++;
	} else {
		s->load->busy--;
	}
	if (why == NULL)
		t->ok++;
	else if (s->state != LOAD_SILENT) /* a server may end those */
		tally_failed(t, why, s->line);
	if (s->ssl != NULL) {
		if (why == NULL) /* or the ticket would be thrown away */
			SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
		s->ssl = NULL;
	}
	if (s->fd != -1)
		close(s->fd);
	s->state = LOAD_FREE;
	STAILQ_INSERT_TAIL(&s->load->free, s, entry);
}

static void
start_tls(struct session *s)
{
	s->ssl = SSL_new(s->load->ctx);
	if (s->ssl == NULL)
		errx(2, "SSL_new");
	SSL_set_fd(s->ssl, s->fd);
	SSL_set_app_data(s->ssl, s);
	SSL_set_connect_state(s->ssl);
	if (s->ticket != NULL) {
		SSL_set_session(s->ssl, s->ticket);
		s->load->tally.returning++;
	}
	s->state = LOAD_HANDSHAKE;
}

static void
note_tls(struct session *s)
{
	struct tally *t = &s->load->tally;
	X509 *cert = SSL_get1_peer_certificate(s->ssl);
	EVP_PKEY *key = cert != NULL ? X509_get0_pubkey(cert) : NULL;
	const char *group;

	group = OBJ_nid2sn((int)SSL_get_negotiated_group(s->ssl));
	snprintf(t->tls, sizeof(t->tls), "%s %s %s %s-%d",
	    SSL_get_version(s->ssl), SSL_get_cipher_name(s->ssl),
	    group != NULL ? group : "?",
	    key != NULL && EVP_PKEY_base_id(key) == EVP_PKEY_EC ? "ECDSA"
	                                                        : "RSA",
	    key != NULL ? EVP_PKEY_bits(key) : 0);
	X509_free(cert);
}

/* What a call on an SSL means: 0, not now; -1, dead. */
static int
later(struct session *s, int result)
{
	int e = SSL_get_error(s->ssl, result);

	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int
get(struct session *s, char *p, int n)
{
	int got;

	if (s->ssl != NULL) {
		got = SSL_read(s->ssl, p, n);
		return got > 0 ? got : later(s, got);
	}
	got = (int)recv(s->fd, p, (size_t)n, 0);
	return got > 0 ? got : got == -1 && errno == EAGAIN ? 0 : -1;
}

static int
put(struct session *s, const char *p, size_t n)
{
	int sent;

	if (s->ssl != NULL) {
		sent = SSL_write(s->ssl, p, (int)n);
		return sent > 0 ? sent : later(s, sent);
	}
	sent = (int)send(s->fd, p, n, MSG_NOSIGNAL);
	return sent > 0 ? sent : sent == -1 && errno == EAGAIN ? 0 : -1;
}

/* Sends a piece of the message; behind its last one goes the tail. */
static int
put_bulk(struct session *s)
{
	int sent;

	sent = put(s, pattern_at(s->bulk_at),
	    s->bulk_left < RECORD ? s->bulk_left : RECORD);
	if (sent <= 0)
		return sent;
	s->bulk_left -= (size_t)sent;
	s->bulk_at += (size_t)sent;
	if (s->bulk_left == 0) {
		s->out_len = strlen(s->tail);
		memcpy(s->out, s->tail, s->out_len);
	}
	return sent;
}

static int
put_out(struct session *s)
{
	int sent = put(s, s->out, s->out_len);

	if (sent > 0) {
		s->out_len -= (size_t)sent;
		memmove(s->out, s->out + sent, s->out_len);
	}
	return sent;
}

static int
flush(struct session *s)
{
	int sent = 1;

	while (sent > 0 && (s->out_len > 0 || s->bulk_left > 0))
		sent = s->out_len > 0 ? put_out(s) : put_bulk(s);
	return sent == -1 ? -1 : 0;
}

static void
connected(struct session *s)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	if (getpeername(s->fd, (struct sockaddr *)&peer, &len) == -1)
		return; /* not yet, or EPOLLERR tells */
	if (s->silent && !s->load->o.storm_tls)
		stay(s, LOAD_SILENT);
	else if (s->load->o.plain)
		s->state = LOAD_GREETING;
	else
		start_tls(s);
}

static const char *
shake(struct session *s)
{
	struct tally *t = &s->load->tally;
	int done;

	done = SSL_do_handshake(s->ssl);
	if (done != 1)
		return later(s, done) == 0 ? NULL : "handshake";
	t->handshakes++;
	if (SSL_session_reused(s->ssl))
		t->resumed++;
	if (t->handshakes == 1)
		note_tls(s);
	if (s->silent)
		stay(s, LOAD_SILENT);
	else
		s->state = LOAD_GREETING;
	return NULL;
}

/* One step; *more: there may be another one at once. */
static const char *
step(struct session *s, bool *more)
{
	static char buf[64 * 1024];
	enum load_state before = s->state;
	const char *wrong = NULL;
	int got;

	if (s->state == LOAD_CONNECT)
		connected(s);
	else if (s->state == LOAD_HANDSHAKE)
		wrong = shake(s);
	*more = s->state != before;
	if (before == LOAD_CONNECT || before == LOAD_HANDSHAKE)
		return wrong;
	if (flush(s) == -1)
		return "write";
	got = get(s, buf, sizeof(buf));
	if (got == -1)
		return "closed by the server";
	*more = got > 0;
	if (got == 0 || s->state == LOAD_SILENT)
		return NULL;
	wrong = dialogue_feed(s, buf, (size_t)got);
	if (s->state == LOAD_HELD && before != LOAD_HELD)
		stay(s, LOAD_HELD);
	return wrong;
}

void
session_drive(struct session *s)
{
	const char *wrong = NULL;
	bool more = true;

	while (wrong == NULL && more && s->state != LOAD_DONE)
		wrong = step(s, &more);
	if (wrong != NULL || s->state == LOAD_DONE)
		session_end(s, wrong);
}

static int
dial(struct session *s)
{
	struct epoll_event ev = { .events =
		                      EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = s };
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct load *l = s->load;
	int on = 1;

	from.sin_addr.s_addr = htonl(
	    INADDR_LOOPBACK + 1 + l->source++ % (unsigned int)l->o.sources);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd == -1)
		return -1;
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(s->fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    (connect(s->fd, (struct sockaddr *)&l->o.to, sizeof(l->o.to)) ==
	            -1 &&
	        errno != EINPROGRESS))
		return -1;
	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

void
session_begin(struct session *s, bool silent)
{
	struct load *l = s->load;
	SSL_SESSION *ticket = s->ticket;

	*s = (struct session){ .load = l,
		.ticket = ticket,
		.silent = silent,
		.state = LOAD_CONNECT,
		.fd = -1,
		.begin = tally_now() };
	l->busy++;
	if (dial(s) == -1)
		session_end(s, "connect");
	else
		session_drive(s);
}
