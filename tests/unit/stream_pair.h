/* SPDX-License-Identifier: ISC */
/*
 * stream_pair: a stream and its far end, plain or TLS, and a loop, for the
 * tests of stream.  Include cmocka.h before it.
 */
#ifndef STREAM_PAIR_H
#define STREAM_PAIR_H

#include "stream_peer.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define IN_MAX 65536
#define BIG 200000
#define TURNS 5000 /* of the loop: more than any test takes */

static struct event_base *base;
static struct far_pki pki;
static char big[BIG], got[BIG + 4096];

/* Plain, and TLS as each version has it. */
static const char *const kinds[] = { NULL, V12, V13 };
#define FOR_KINDS(k) for (k = kinds; k < kinds + NITEMS(kinds); k++)

/* A stream and its far end. */
struct pair {
	struct stream s;
	struct far far;
	short what; /* of the last event */
};

static inline void
on_ready(int fd, short what, void *arg)
{
	struct pair *p = arg;

	(void)fd;
	p->what = what;
	if ((what & EV_WRITE) != 0)
		(void)stream_flush(&p->s);
}

static inline void
pair_up(struct pair *p, const int fds[2], const char *kind, size_t in_max)
{
	stream_init(&p->s, in_max);
	assert_false(stream_is_open(&p->s));
	stream_open(&p->s, base, fds[0], on_ready, p);
	assert_true(stream_is_open(&p->s));
	p->far = (struct far){ .fd = fds[1] };
	p->what = 0;
	if (kind != NULL)
		far_handshake(&p->s, &p->far, pki.server, kind);
}

/* Of SOCK_SEQPACKET, one recv(2) shows what one send(2) sent. */
static inline void
pair_open(struct pair *p, int type, const char *kind)
{
	int fds[2], size = 4096;

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF,
		                     &size, sizeof(size)),
		    0);
	pair_up(p, fds, kind, IN_MAX);
}

static inline void
pair_close(struct pair *p)
{
	stream_close(&p->s);
	assert_false(stream_is_open(&p->s));
	assert_null(p->s.in.data);
	assert_null(p->s.out.data);
	assert_null(p->s.tls);
	far_close(&p->far);
}

static inline void
turn(void)
{
	const int once = EVLOOP_ONCE | EVLOOP_NONBLOCK;

	assert_int_not_equal(event_base_loop(base, once), -1);
}

static inline bool
armed(const struct event *ev, short what)
{
	return event_pending(ev, what, NULL) != 0;
}

/* What the far end has by now goes to got + at; how much. */
static inline size_t
read_far(struct pair *p, size_t at)
{
	size_t len = at;
	ssize_t n;

	while ((n = far_read(&p->far, got + len, BIG - len)) > 0)
		len += (size_t)n;
	got[len] = '\0';
	return len - at;
}

/* Write all of big in pieces, with a flush behind some, to a peer that waits.
 */
static inline void
overfill(struct pair *p)
{
	static const size_t pieces[] = { 1, 700, 4096, 4097, 17, 16385, 40000 };
	size_t at, n, i = 0;

	for (at = 0; at < BIG; at += n, i++) {
		n = pieces[i % NITEMS(pieces)];
		if (n > BIG - at)
			n = BIG - at;
		stream_write(&p->s, big + at, n);
		if (i % 3 == 0)
			assert_int_not_equal(stream_flush(&p->s), STREAM_ERROR);
	}
	assert_int_equal(stream_flush(&p->s), STREAM_WAIT);
	assert_true(stream_pending(&p->s));
	assert_true(armed(&p->s.write_ev, EV_WRITE));
	assert_int_equal(p->s.sent, BIG);
}

/* A base for each: one that failed leaves its events to the next. */
static inline int
set_up(void **state)
{
	(void)state;
	base = event_base_new();
	return base == NULL;
}

static inline int
tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Around all tests of a program. */
static inline int
pair_start(void **state)
{
	(void)state;
	far_pki_start(&pki);
	stream_global_init();
	pki_ok(gnutls_rnd(GNUTLS_RND_NONCE, big, sizeof(big)));
	return 0;
}

static inline int
pair_stop(void **state)
{
	(void)state;
	far_pki_stop(&pki);
	return 0;
}

#endif
