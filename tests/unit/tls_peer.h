/* SPDX-License-Identifier: ISC */
/*
 * tls_peer: the other end for the tests of tls: a plain GnuTLS client, and
 * the wires between it and a session of ours.
 */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include <errno.h>

#include "pki.h"
#include "tls.h"

struct peer {
	gnutls_session_t s;
	gnutls_certificate_credentials_t cred;
	struct wire in, out;
	unsigned int tickets; /* that came */
	int error;            /* of the last call */
};

static inline ssize_t
peer_push(gnutls_transport_ptr_t arg, const void *p, size_t n)
{
	struct peer *c = arg;

	wire_put(&c->out, p, n);
	return (ssize_t)n;
}

static inline ssize_t
peer_pull(gnutls_transport_ptr_t arg, void *p, size_t n)
{
	struct peer *c = arg;

	if (c->in.len > 0)
		return (ssize_t)wire_get(&c->in, p, n);
	gnutls_transport_set_errno(c->s, EAGAIN);
	return -1;
}

static inline int
peer_ticket(gnutls_session_t s, unsigned int type, unsigned int when,
    unsigned int incoming, const gnutls_datum_t *msg)
{
	struct peer *c = gnutls_session_get_ptr(s);

	(void)type;
	(void)when;
	(void)msg;
	if (incoming)
		c->tickets++;
	return 0;
}

static inline struct peer *
peer_new(const char *priority, unsigned int flags)
{
	struct peer *c = xcalloc(1, sizeof(*c));

	pki_ok(gnutls_certificate_allocate_credentials(&c->cred));
	pki_ok(gnutls_init(&c->s, flags | GNUTLS_NONBLOCK));
	pki_ok(gnutls_priority_set_direct(c->s, priority, NULL));
	pki_ok(gnutls_credentials_set(c->s, GNUTLS_CRD_CERTIFICATE, c->cred));
	gnutls_session_set_ptr(c->s, c);
	gnutls_transport_set_ptr(c->s, c);
	gnutls_transport_set_push_function(c->s, peer_push);
	gnutls_transport_set_pull_function(c->s, peer_pull);
	gnutls_handshake_set_timeout(c->s, 0);
	gnutls_handshake_set_hook_function(c->s,
	    GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_POST, peer_ticket);
	return c;
}

static inline void
peer_free(struct peer **c)
{
	gnutls_deinit((*c)->s);
	gnutls_certificate_free_credentials((*c)->cred);
	free(*c);
	*c = NULL;
}

/* Records from the peer, at most max octets of them, for a call on ours. */
static inline struct tls_io
peer_io(struct peer *c, size_t max)
{
	struct tls_io io = { .out = wire_put, .arg = &c->in };

	io.in = (struct text){ c->out.data + c->out.start,
		c->out.len < max ? c->out.len : max };
	return io;
}

/* Forget the records that a call took. */
static inline void
peer_taken(struct peer *c, const struct tls_io *io)
{
	size_t n = (size_t)(io->in.p - (c->out.data + c->out.start));

	c->out.start += n;
	c->out.len -= n;
	if (c->out.len == 0)
		c->out.start = 0;
}

static inline enum tls_result
peer_ours(struct tls *t, struct peer *c, size_t max)
{
	struct tls_io io = peer_io(c, max);
	enum tls_result result = tls_handshake(t, &io);

	peer_taken(c, &io);
	return result;
}

/*
 * Both handshakes, ours getting max octets at a time.  What came of ours; of
 * the peer's: c->error.
 */
static inline enum tls_result
peer_handshake(struct tls *t, struct peer *c, size_t max)
{
	enum tls_result result = TLS_WAIT;

	c->error = GNUTLS_E_AGAIN;
	do {
		if (c->error < 0 && !gnutls_error_is_fatal(c->error))
			c->error = gnutls_handshake(c->s);
		if (result == TLS_WAIT)
			result = peer_ours(t, c, max);
	} while (c->out.len > 0 && result == TLS_WAIT);
	while (
	    c->in.len > 0 && c->error < 0 && !gnutls_error_is_fatal(c->error)) {
		c->error = gnutls_handshake(c->s);
		while (result == TLS_WAIT && c->out.len > 0)
			result = peer_ours(t, c, max);
	}
	return result;
}

#endif
