/* SPDX-License-Identifier: ISC */
/*
 * stream, reading: text and records whole and in pieces, the ceiling of what
 * is kept, and what comes with the end of a handshake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "stream_pair.h"

/* All of big, in pieces of records or octets, of a dialogue's size. */
static void
test_fill(void **state)
{
	static const struct {
		size_t len, step;
	} cases[] = { { 300, 1 }, { 5000, 5000 }, { 30000, 7001 },
		{ 20000, 16384 } };
	const char *const *k;
	static struct pair p;
	size_t i, at, len;

	(void)state;
	FOR_KINDS(k)
	for (i = 0; i < NITEMS(cases); i++) {
		pair_open(&p, SOCK_STREAM, *k);
		assert_int_equal(stream_fill(&p.s), STREAM_WAIT);
		for (at = 0, len = 0; at < cases[i].len;) {
			len = cases[i].len - at;
			len = len < cases[i].step ? len : cases[i].step;
			at += far_write(&p.far, big + at, len);
			p.what = 0;
			turn();
			assert_int_equal(p.what, EV_READ);
			while (stream_fill(&p.s) == STREAM_OK)
				;
		}
		assert_int_equal(p.s.in.len, cases[i].len);
		assert_int_equal(p.s.received, cases[i].len);
		assert_memory_equal(buf_view(&p.s.in).p, big, cases[i].len);
		pair_close(&p);
	}
}

/* A record octet by octet: no text before its end. */
static void
test_fill_record(void **state)
{
	const char *const *k;
	static struct pair p;
	struct wire *w;
	char c;

	(void)state;
	FOR_KINDS(k)
	{
		if (*k == NULL)
			continue;
		pair_open(&p, SOCK_STREAM, *k);
		pki_ok((int)gnutls_record_send(p.far.tls->s, "a NOOP\r\n", 8));
		for (w = &p.far.tls->out; w->len > 0;) {
			assert_int_equal(stream_fill(&p.s), STREAM_WAIT);
			assert_int_equal(p.s.in.len, 0);
			(void)wire_get(w, &c, 1);
			assert_int_equal(send(p.far.fd, &c, 1, 0), 1);
		}
		assert_int_equal(stream_fill(&p.s), STREAM_OK);
		assert_int_equal(p.s.in.len, 8);
		assert_memory_equal(buf_view(&p.s.in).p, "a NOOP\r\n", 8);
		pair_close(&p);
	}
}

/* What does not fit stays in the socket until there is room. */
static void
test_ceiling(void **state)
{
	enum { LEN = 120000, CEILING = 40000 };
	const char *const *k;
	enum stream_result r;
	static struct pair p;
	size_t at, sent, waits = 0;
	int fds[2];

	(void)state;
	FOR_KINDS(k)
	{
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		pair_up(&p, fds, *k, CEILING);
		assert_true(stream_has_room(&p.s));
		for (sent = 0; sent < LEN;)
			sent += far_write(&p.far, big + sent, LEN - sent);
		for (at = 0; at < LEN;
		     at += p.s.in.len, buf_consume(&p.s.in, p.s.in.len)) {
			while ((r = stream_fill(&p.s)) == STREAM_OK)
				;
			assert_int_equal(r, STREAM_WAIT);
			assert_in_range(p.s.in.len, 0, CEILING);
			/* What one stream_read() brings would fit. */
			assert_in_range(buf_room(&p.s.in),
			    262144 + TLS_DECRYPT_EXTRA, SIZE_MAX);
			waits += !stream_has_room(&p.s);
			if (p.s.in.len > 0)
				memcpy(
				    got + at, buf_view(&p.s.in).p, p.s.in.len);
		}
		assert_in_range(waits, LEN / CEILING, LEN);
		assert_int_equal(at, LEN);
		assert_memory_equal(got, big, LEN);
		pair_close(&p);
	}
}

/* The relay's way: nothing is kept in the stream. */
static void
test_read(void **state)
{
	const char *const *k;
	enum stream_result r;
	static struct pair p;
	struct text t;
	size_t at, sent;

	(void)state;
	FOR_KINDS(k)
	{
		pair_open(&p, SOCK_STREAM, *k);
		for (at = 0, sent = 0; at < BIG; at += t.len) {
			if (sent < BIG)
				sent +=
				    far_write(&p.far, big + sent, BIG - sent);
			while ((r = stream_read(&p.s, &t)) == STREAM_WAIT)
				;
			assert_int_equal(r, STREAM_OK);
			assert_in_range(t.len, 1, BIG - at);
			memcpy(got + at, t.p, t.len);
		}
		assert_memory_equal(got, big, BIG);
		assert_int_equal(stream_read(&p.s, &t), STREAM_WAIT);
		assert_int_equal(p.s.received, BIG);
		assert_null(p.s.in.data);
		assert_null(p.s.out.data);
		pair_close(&p);
	}
}

/* The client's first command is in one segment with the handshake's end. */
static void
test_handshake_and_text(void **state)
{
	static struct pair p;
	int i;

	(void)state;
	pair_open(&p, SOCK_STREAM, NULL);
	p.far.tls = peer_new(V13, GNUTLS_CLIENT);
	stream_set_tls(&p.s, tls_accept(pki.server));
	assert_false(far_greet(&p.far));
	for (i = 0; p.far.tls->error != 0 && i < FAR_ROUNDS; i++) {
		assert_int_equal(stream_handshake(&p.s), STREAM_WAIT);
		(void)stream_flush(&p.s);
		(void)far_fetch(&p.far, BIG);
		p.far.tls->error = gnutls_handshake(p.far.tls->s);
	}
	pki_ok((int)gnutls_record_send(p.far.tls->s, "first\r\n", 7));
	far_push(&p.far);
	assert_int_equal(stream_handshake(&p.s), STREAM_OK);
	assert_int_equal(p.s.in.len, 7);
	assert_memory_equal(buf_view(&p.s.in).p, "first\r\n", 7);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fill),
		TEST(test_fill_record),
		TEST(test_ceiling),
		TEST(test_read),
		TEST(test_handshake_and_text),
	};

	return cmocka_run_group_tests(tests, pair_start, pair_stop);
}
