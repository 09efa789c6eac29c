/* SPDX-License-Identifier: ISC */
/*
 * stream, writing: what goes out together, what is kept when the peer does
 * not take it, and in which order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "stream_pair.h"

/* One send(2)'s worth, as text in got; -1 when there was none. */
static ssize_t
read_one(struct pair *p)
{
	ssize_t n;

	if (p->far.tls == NULL) {
		n = recv(p->far.fd, got, BIG, MSG_DONTWAIT);
	} else {
		n = far_fetch(&p->far, BIG);
		if (n > 0)
			n = gnutls_record_recv(p->far.tls->s, got, BIG);
		while (n > 0 && p->far.tls->in.len > 0)
			n += gnutls_record_recv(p->far.tls->s, got + n, BIG);
	}
	if (n >= 0)
		got[n] = '\0';
	return n;
}

static void
test_gather(void **state)
{
	const char *const *k;
	static struct pair p;

	(void)state;
	FOR_KINDS(k)
	{
		pair_open(&p, SOCK_SEQPACKET, *k);
		(void)read_far(&p, 0); /* a ticket */
		stream_write(&p.s, "one ", 4);
		stream_printf(&p.s, "%s ", "two");
		stream_write(&p.s, "", 0);
		stream_write(&p.s, "three", 5);
		assert_true(stream_pending(&p.s));
		assert_int_equal(read_one(&p), -1);
		assert_int_equal(stream_flush(&p.s), STREAM_OK);
		assert_false(stream_pending(&p.s));
		assert_false(armed(&p.s.write_ev, EV_WRITE));
		assert_int_equal(read_one(&p), 13);
		assert_string_equal(got, "one two three");
		assert_int_equal(stream_flush(&p.s), STREAM_OK);
		assert_int_equal(read_one(&p), -1);
		assert_int_equal(p.s.sent, 13);
		assert_null(p.s.out.data);
		pair_close(&p);
	}
}

/* What is long goes out behind what was gathered before. */
static void
test_gather_long(void **state)
{
	const char *const *k;
	static struct pair p;
	size_t len;

	(void)state;
	FOR_KINDS(k)
	{
		pair_open(&p, SOCK_SEQPACKET, *k);
		stream_write(&p.s, big, 100);
		stream_write(&p.s, big + 100, 50000);
		stream_write(&p.s, big + 50100, 100);
		assert_int_equal(stream_flush(&p.s), STREAM_OK);
		len = read_far(&p, 0);
		assert_int_equal(len, 50200);
		assert_memory_equal(got, big, len);
		pair_close(&p);
	}
}

/* RFC 8446 4.6.1: the ticket, and the greeting behind it, in one segment. */
static void
test_gather_ticket(void **state)
{
	enum stream_result r = STREAM_WAIT;
	static struct pair p;
	int i;

	(void)state;
	pair_open(&p, SOCK_SEQPACKET, NULL);
	p.far.tls = peer_new(V13, GNUTLS_CLIENT);
	stream_set_tls(&p.s, tls_accept(pki.server));
	for (i = 0; i < FAR_ROUNDS && r == STREAM_WAIT; i++) {
		(void)stream_flush(&p.s);
		if (p.far.tls->error != 0 || i == 0)
			(void)far_greet(&p.far);
		r = stream_handshake(&p.s);
	}
	assert_int_equal(r, STREAM_OK);
	assert_int_equal(p.far.tls->error, 0);
	stream_printf(&p.s, "hello\r\n");
	assert_int_equal(stream_flush(&p.s), STREAM_OK);
	assert_true(far_fetch(&p.far, BIG) > 0);
	assert_int_equal(far_fetch(&p.far, BIG), -1);
	assert_int_equal(read_far(&p, 0), 7);
	assert_string_equal(got, "hello\r\n");
	assert_int_equal(p.far.tls->tickets, 1);
	pair_close(&p);
}

/*
 * Flush and read in turn, some octets at a time, until the far end has len
 * octets of big.
 */
static void
drain(struct pair *p, size_t len, size_t step)
{
	size_t at = 0;
	ssize_t n;
	int i;

	for (i = 0; i < TURNS && at < len; i++) {
		turn();
		if (step > sizeof(got) - at)
			step = sizeof(got) - at;
		n = far_read(&p->far, got + at, step);
		at += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(at, len);
	assert_memory_equal(got, big, len);
	assert_int_equal(far_read(&p->far, got, 1), -1);
	assert_false(stream_pending(&p->s));
	assert_false(armed(&p->s.write_ev, EV_WRITE));
	assert_null(p->s.out.data);
}

/* Two streams have one buffer to gather in. */
static void
test_two(void **state)
{
	static const struct {
		size_t who, n;
	} writes[] = { { 0, 1 }, { 1, 10 }, { 0, 4096 }, { 0, 7 }, { 1, 4097 },
		{ 0, 3 }, { 1, 1 }, { 1, 30000 }, { 0, 20000 }, { 1, 5 },
		{ 0, 100000 }, { 1, 100000 }, { 0, 9 } };
	size_t sent[2], i, who;
	const char *const *k;
	static struct pair p[2];

	(void)state;
	FOR_KINDS(k)
	{
		pair_open(&p[0], SOCK_STREAM, *k);
		pair_open(&p[1], SOCK_STREAM, *k);
		sent[0] = sent[1] = 0;
		for (i = 0; i < NITEMS(writes); i++) {
			who = writes[i].who;
			stream_write(&p[who].s, big + sent[who], writes[i].n);
			sent[who] += writes[i].n;
		}
		for (who = 0; who < 2; who++) {
			(void)stream_flush(&p[who].s);
			drain(&p[who], sent[who], BIG);
		}
		pair_close(&p[0]);
		pair_close(&p[1]);
	}
}

/* A stream that closes with something gathered leaves the buffer to others. */
static void
test_close_gathered(void **state)
{
	static struct pair p[2];

	(void)state;
	pair_open(&p[0], SOCK_STREAM, NULL);
	pair_open(&p[1], SOCK_STREAM, NULL);
	stream_printf(&p[0].s, "never sent");
	pair_close(&p[0]);
	stream_printf(&p[1].s, "sent");
	assert_int_equal(stream_flush(&p[1].s), STREAM_OK);
	assert_int_equal(read_far(&p[1], 0), 4);
	assert_string_equal(got, "sent");
	pair_close(&p[1]);
}

static void
test_slow_peer(void **state)
{
	static const size_t steps[] = { 1000, 4096, 65536 };
	const char *const *k;
	static struct pair p;
	size_t i;

	(void)state;
	FOR_KINDS(k)
	for (i = 0; i < NITEMS(steps); i++) {
		pair_open(&p, SOCK_STREAM, *k);
		(void)read_far(&p, 0); /* a ticket */
		overfill(&p);
		turn();
		assert_true(stream_pending(&p.s));
		drain(&p, BIG, steps[i]);
		assert_int_equal(stream_flush(&p.s), STREAM_OK);
		pair_close(&p);
	}
}

/* Nobody reads, and the writer does not care: memory has its bound. */
static void
test_never_read(void **state)
{
	const char *const *k;
	static struct pair p;
	struct text t;
	size_t n = 0;

	(void)state;
	FOR_KINDS(k)
	{
		pair_open(&p, SOCK_STREAM, *k);
		for (n = 0; !p.s.failed && n < 100; n++) {
			stream_write(&p.s, big, 50000);
			(void)stream_flush(&p.s);
			assert_true(p.s.out.len <= 1 << 20);
		}
		assert_in_range(n, 10, 50);
		assert_int_equal(stream_flush(&p.s), STREAM_ERROR);
		assert_int_equal(stream_fill(&p.s), STREAM_ERROR);
		assert_int_equal(stream_read(&p.s, &t), STREAM_ERROR);
		pair_close(&p);
	}
}

static void
test_want_read(void **state)
{
	static struct pair p;

	(void)state;
	pair_open(&p, SOCK_STREAM, NULL);
	assert_true(armed(&p.s.read_ev, EV_READ));
	stream_want_read(&p.s, false);
	stream_want_read(&p.s, false);
	assert_int_equal(far_write(&p.far, "x", 1), 1);
	turn();
	assert_int_equal(p.what, 0);
	stream_want_read(&p.s, true);
	turn();
	assert_int_equal(p.what, EV_READ);
	pair_close(&p);
}

/* What a dead or slow client needs of its socket comes from the listener. */
static void
test_options(void **state)
{
	static const struct {
		int level, option;
	} options[] = { { SOL_SOCKET, SO_KEEPALIVE },
		{ IPPROTO_TCP, TCP_NODELAY } };
	static struct pair p;
	socklen_t len;
	size_t i;
	int fds[2], value;

	(void)state;
	far_tcp(fds);
	pair_up(&p, fds, NULL, IN_MAX);
	for (i = 0; i < NITEMS(options); i++) {
		len = sizeof(value);
		value = 0;
		assert_int_equal(getsockopt(fds[0], options[i].level,
		                     options[i].option, &value, &len),
		    0);
		assert_int_equal(value, 1);
	}
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_gather),
		TEST(test_gather_long),
		TEST(test_gather_ticket),
		TEST(test_two),
		TEST(test_close_gathered),
		TEST(test_slow_peer),
		TEST(test_never_read),
		TEST(test_want_read),
		TEST(test_options),
	};

	return cmocka_run_group_tests(tests, pair_start, pair_stop);
}
