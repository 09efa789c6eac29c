/* SPDX-License-Identifier: ISC */
/*
 * stream, its ends: how a peer's shows, how ours goes out, and what is left
 * of a stream behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "stream_pair.h"

/* The ways a peer ends. */
enum ending { FIN, NOTIFY, NOTIFY_FIN, TEXT_NOTIFY_FIN, GARBAGE, RESET };

static const struct {
	enum ending how;
	bool tls, plain;
	enum stream_result result;
} endings[] = {
	{ FIN, true, true, STREAM_EOF },
	{ NOTIFY, true, false, STREAM_EOF },
	{ NOTIFY_FIN, true, false, STREAM_EOF },
	{ TEXT_NOTIFY_FIN, true, false, STREAM_EOF },
	{ GARBAGE, true, false, STREAM_ERROR },
	{ RESET, true, true, STREAM_ERROR },
};

static void
end_far(struct pair *p, enum ending how)
{
	switch (how) {
	case TEXT_NOTIFY_FIN:
		pki_ok((int)gnutls_record_send(p->far.tls->s, "text", 4));
		/* FALLTHROUGH */
	case NOTIFY_FIN:
	case NOTIFY:
		pki_ok(gnutls_bye(p->far.tls->s, GNUTLS_SHUT_WR));
		far_push(&p->far);
		if (how == NOTIFY)
			break;
		/* FALLTHROUGH */
	case FIN:
		assert_int_equal(shutdown(p->far.fd, SHUT_WR), 0);
		break;
	case GARBAGE:
		assert_int_equal(send(p->far.fd, "a NOOP\r\n", 8, 0), 8);
		break;
	case RESET:
		far_set_reset(p->far.fd);
		far_close(&p->far);
		break;
	}
}

static void
test_endings(void **state)
{
	enum stream_result r;
	const char *const *k;
	static struct pair p;
	struct text t;
	size_t i, len;
	int fds[2], way;

	(void)state;
	FOR_KINDS(k)
	for (i = 0; i < NITEMS(endings); i++)
		for (way = 0; way < 2; way++) {
			if (*k != NULL ? !endings[i].tls : !endings[i].plain)
				continue;
			far_tcp(fds);
			pair_up(&p, fds, *k, IN_MAX);
			end_far(&p, endings[i].how);
			turn();
			assert_int_equal(p.what & ~EV_CLOSED, EV_READ);
			len = 0;
			do {
				r = way == 0 ? stream_fill(&p.s)
				             : stream_read(&p.s, &t);
				len += way == 1 && r == STREAM_OK ? t.len : 0;
			} while (r == STREAM_OK);
			assert_int_equal(r, endings[i].result);
			len += p.s.in.len;
			assert_int_equal(
			    len, endings[i].how == TEXT_NOTIFY_FIN ? 4 : 0);
			pair_close(&p);
		}
}

/* What is there when the end is asked for. */
enum leftover { NOTHING, GATHERED, KEPT };

static const struct {
	enum leftover what;
	unsigned int asked; /* times */
	bool more;          /* written behind: too late */
} shutdowns[] = {
	{ NOTHING, 1, false },
	{ GATHERED, 1, false },
	{ KEPT, 1, false },
	{ NOTHING, 2, true },
	{ GATHERED, 2, true },
	{ KEPT, 2, true },
};

/* All up to the FIN, which comes without another word of ours. */
static size_t
read_to_fin(struct pair *p)
{
	size_t len = 0;
	ssize_t n;
	int i;

	for (i = 0, n = -1; i < TURNS && n != 0; i++) {
		turn();
		if (p->far.tls == NULL)
			n = recv(p->far.fd, got + len, 3000, MSG_DONTWAIT);
		else
			n = far_fetch(&p->far, 3000);
		len += n > 0 && p->far.tls == NULL ? (size_t)n : 0;
	}
	assert_int_equal(n, 0);
	if (p->far.tls == NULL)
		return len;
	while ((n = gnutls_record_recv(
	            p->far.tls->s, got + len, sizeof(got) - len)) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);                  /* close_notify, ... */
	assert_int_equal(p->far.tls->in.len, 0); /* ... and not another */
	return len;
}

static void
check_shutdown(const char *kind, size_t i)
{
	static const size_t lens[] = { 0, 1000, BIG };
	size_t len = lens[shutdowns[i].what];
	static struct pair p;
	unsigned int n;

	pair_open(&p, SOCK_STREAM, kind);
	if (kind != NULL)
		(void)read_far(&p, 0); /* a ticket */
	if (shutdowns[i].what == KEPT)
		overfill(&p);
	else
		stream_write(&p.s, big, len);
	for (n = 0; n < shutdowns[i].asked; n++) {
		stream_shutdown(&p.s);
		if (shutdowns[i].more)
			stream_printf(&p.s, "too late");
		if (shutdowns[i].what == KEPT)
			assert_int_equal(stream_flush(&p.s), STREAM_WAIT);
		else
			assert_int_equal(stream_flush(&p.s), STREAM_OK);
	}
	assert_int_equal(read_to_fin(&p), len);
	assert_memory_equal(got, big, len);
	assert_false(stream_pending(&p.s));
	assert_null(p.s.out.data);
	/* The other direction goes on (RFC 8446 6.1). */
	assert_int_equal(far_write(&p.far, "still here", 10), 10);
	assert_int_equal(stream_fill(&p.s), STREAM_OK);
	assert_int_equal(p.s.in.len, 10);
	pair_close(&p);
}

static void
test_shutdown(void **state)
{
	const char *const *k;
	size_t i;

	(void)state;
	FOR_KINDS(k)
	for (i = 0; i < NITEMS(shutdowns); i++)
		check_shutdown(*k, i);
}

/* A record that is none would get an alert: there is no way for it any more. */
static void
test_garbage_behind_end(void **state)
{
	static struct pair p;

	(void)state;
	pair_open(&p, SOCK_STREAM, V13);
	(void)read_far(&p, 0); /* a ticket */
	stream_shutdown(&p.s);
	assert_int_equal(send(p.far.fd, "a NOOP\r\n", 8, 0), 8);
	assert_int_equal(stream_fill(&p.s), STREAM_ERROR);
	assert_false(stream_pending(&p.s));
	assert_int_equal(stream_flush(&p.s), STREAM_OK);
	assert_int_equal(read_to_fin(&p), 0);
	pair_close(&p);
}

/* A stream that has ended may be opened again, for another connection. */
static void
test_reopen(void **state)
{
	static struct pair p;
	int fds[2];

	(void)state;
	pair_open(&p, SOCK_STREAM, NULL);
	stream_shutdown(&p.s);
	pair_close(&p);
	assert_int_equal(stream_flush(&p.s), STREAM_OK);
	stream_shutdown(&p.s);
	stream_close(&p.s);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	stream_open(&p.s, base, fds[0], on_ready, &p);
	p.far.fd = fds[1];
	stream_printf(&p.s, "again");
	assert_int_equal(stream_flush(&p.s), STREAM_OK);
	assert_int_equal(read_far(&p, 0), 5);
	pair_close(&p);
}

/* The peer is gone: told by the flush, then by reading, and not fatal. */
static void
test_write_error(void **state)
{
	const char *const *k;
	static struct pair p;
	int fds[2];

	(void)state;
	FOR_KINDS(k)
	{
		far_tcp(fds);
		pair_up(&p, fds, *k, IN_MAX);
		far_set_reset(p.far.fd);
		far_close(&p.far);
		stream_write(&p.s, "hello", 5);
		assert_int_equal(stream_flush(&p.s), STREAM_ERROR);
		stream_write(&p.s, "hello", 5);
		assert_int_equal(stream_flush(&p.s), STREAM_ERROR);
		assert_int_equal(stream_fill(&p.s), STREAM_ERROR);
		stream_shutdown(&p.s);
		assert_int_equal(stream_flush(&p.s), STREAM_ERROR);
		pair_close(&p);
	}
}

/* A client that is not served hears it before TLS, and within a handshake. */
static void
test_refuse(void **state)
{
	static const char alert[] = "\x15\x03\x03\0\x02\x02\x50";
	static struct pair p;
	const char *const *k;
	int fds[2], step, error;

	(void)state;
	for (k = kinds + 1; k < kinds + NITEMS(kinds); k++)
		for (step = 0; step < 2; step++) {
			far_tcp(fds);
			pair_up(&p, fds, NULL, IN_MAX);
			p.far.tls = peer_new(*k, GNUTLS_CLIENT);
			stream_await_tls(&p.s, pki.server);
			assert_false(far_greet(&p.far));
			if (step == 1) {
				assert_int_equal(
				    stream_handshake(&p.s), STREAM_WAIT);
				assert_int_equal(stream_flush(&p.s), STREAM_OK);
			}
			stream_refuse(&p.s);
			stream_close(&p.s);
			assert_true(far_fetch(&p.far, 1 << 16) > 0);
			assert_int_equal(far_fetch(&p.far, 1 << 16), 0);
			if (step == 0)
				assert_memory_equal(p.far.tls->in.data, alert,
				    sizeof(alert) - 1);
			do
				error = gnutls_handshake(p.far.tls->s);
			while (error != 0 && !gnutls_error_is_fatal(error));
			if (error == 0) /* it has seen all of the server's */
				error = (int)gnutls_record_recv(
				    p.far.tls->s, got, 1);
			assert_int_equal(error, GNUTLS_E_FATAL_ALERT_RECEIVED);
			assert_int_equal(gnutls_alert_get(p.far.tls->s),
			    GNUTLS_A_INTERNAL_ERROR);
			pair_close(&p);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_endings),
		TEST(test_shutdown),
		TEST(test_garbage_behind_end),
		TEST(test_reopen),
		TEST(test_write_error),
		TEST(test_refuse),
	};

	return cmocka_run_group_tests(tests, pair_start, pair_stop);
}
