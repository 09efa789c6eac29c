/* SPDX-License-Identifier: ISC */
/*
 * relay: what each of its answers means, and a long transfer to a receiver
 * that is slower than its sender: nothing lost, little kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "relay.h"
#include "stream_peer.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define LONG ((size_t)8 << 20)
/* One read's worth of records and what encrypting them again adds. */
#define KEPT_MAX ((256 + 16 + 8) << 10)

#define TURNS 20000 /* of the loop: more than LONG octets take */
#define HELD_MIN 10 /* turns of LONG in which the receiver is behind */

static struct event_base *base;
static struct far_pki pki;
static char text[1 << 18], got[1 << 16];

/* From what to what. */
static const struct {
	const char *from, *to;
} kinds[] = { { V13, NULL }, { NULL, V13 }, { V12, NULL }, { NULL, V12 },
	{ V13, V13 }, { NULL, NULL } };
#define FROM_TLS 0

/* Two streams with a relay in between; from is read while to is empty. */
static struct path {
	struct stream from, to;
	struct far source, sink;
	enum relay_result last;
	unsigned int moved, held; /* turns; held: with something kept */
	size_t kept_max;
} path;

static void
on_ready(int fd, short what, void *arg)
{
	struct path *p = arg;

	(void)fd;
	if ((what & EV_READ) != 0 && fd == p->from.fd) {
		p->last = relay_move(&p->from, &p->to);
		p->moved += p->last == RELAY_MOVED;
	}
	assert_int_not_equal(stream_flush(&p->to), STREAM_ERROR);
	p->held += stream_pending(&p->to);
	if (p->to.out.len > p->kept_max)
		p->kept_max = p->to.out.len;
	stream_want_read(&p->from, !stream_pending(&p->to));
}

enum medium { TCP, LOCAL };

static void
open_one(struct stream *s, struct far *f, enum medium m, const char *kind)
{
	int fds[2];

	if (m == TCP)
		far_tcp(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		fail_msg("socketpair");
	stream_init(s, 65536);
	stream_open(s, base, fds[0], on_ready, &path);
	*f = (struct far){ .fd = fds[1] };
	if (kind != NULL)
		far_handshake(s, f, pki.server, kind);
	while (kind != NULL && far_read(f, got, sizeof(got)) > 0)
		; /* a ticket */
}

static void
path_open(enum medium m, size_t kind)
{
	memset(&path, 0, sizeof(path));
	open_one(&path.from, &path.source, m, kinds[kind].from);
	open_one(&path.to, &path.sink, m, kinds[kind].to);
	stream_want_read(&path.to, false);
}

static void
path_close(void)
{
	stream_close(&path.from);
	stream_close(&path.to);
	far_close(&path.source);
	far_close(&path.sink);
}

/* Give the kernel the moment that loopback takes. */
static void
wait_for(int fd)
{
	(void)poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 1000);
}

static enum relay_result
move(void)
{
	enum relay_result r;

	wait_for(path.from.fd);
	r = relay_move(&path.from, &path.to);
	(void)stream_flush(&path.to);
	return r;
}

static void
test_moved(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(kinds); i++) {
		path_open(TCP, i);
		assert_int_equal(relay_move(&path.from, &path.to), RELAY_IDLE);
		assert_int_equal(far_write(&path.source, "a NOOP\r\n", 8), 8);
		assert_int_equal(move(), RELAY_MOVED);
		assert_int_equal(relay_move(&path.from, &path.to), RELAY_IDLE);
		wait_for(path.sink.fd);
		assert_int_equal(far_read(&path.sink, got, sizeof(got)), 8);
		assert_memory_equal(got, "a NOOP\r\n", 8);
		assert_int_equal(path.from.received, 8);
		assert_int_equal(path.to.sent, 8);
		assert_null(path.from.in.data);
		assert_null(path.to.out.data);
		path_close();
	}
}

/* NUL, CR, LF and the like are octets among others. */
static void
test_octets(void **state)
{
	size_t i, n;

	(void)state;
	for (i = 0; i < NITEMS(kinds); i++) {
		path_open(TCP, i);
		for (n = 0; n < 256; n++) {
			got[0] = (char)n;
			assert_int_equal(far_write(&path.source, got, 1), 1);
			assert_int_equal(move(), RELAY_MOVED);
			wait_for(path.sink.fd);
			got[0] = (char)~n;
			assert_int_equal(
			    far_read(&path.sink, got, sizeof(got)), 1);
			assert_int_equal((unsigned char)got[0], n);
		}
		path_close();
	}
}

static void
test_eof(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(kinds); i++) {
		path_open(TCP, i);
		assert_int_equal(far_write(&path.source, "last", 4), 4);
		if (kinds[i].from != NULL) {
			pki_ok(gnutls_bye(path.source.tls->s, GNUTLS_SHUT_WR));
			far_push(&path.source);
		}
		assert_int_equal(shutdown(path.source.fd, SHUT_WR), 0);
		assert_int_equal(move(), RELAY_MOVED);
		assert_int_equal(move(), RELAY_EOF);
		wait_for(path.sink.fd);
		assert_int_equal(far_read(&path.sink, got, sizeof(got)), 4);
		/* The relay ends nothing by itself. */
		assert_int_equal(far_read(&path.sink, got, sizeof(got)), -1);
		path_close();
	}
}

static void
test_broken(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(kinds); i++) {
		path_open(TCP, i);
		far_set_reset(path.source.fd);
		far_close(&path.source);
		assert_int_equal(move(), RELAY_BROKEN);
		path_close();
		/* What is broken is to: from is told nothing of it. */
		path_open(TCP, i);
		far_set_reset(path.sink.fd);
		far_close(&path.sink);
		assert_int_equal(far_write(&path.source, "lost", 4), 4);
		assert_int_equal(move(), RELAY_MOVED);
		assert_int_equal(stream_flush(&path.to), STREAM_ERROR);
		path_close();
	}
	path_open(TCP, FROM_TLS);
	assert_int_equal(send(path.source.fd, "not a record", 12, 0), 12);
	assert_int_equal(move(), RELAY_BROKEN);
	path_close();
}

/* So that text goes round at another place than any buffer does. */
static size_t
text_at(size_t at, const char **p)
{
	const size_t period = sizeof(text) - 4099;

	*p = text + at % period;
	return period - at % period;
}

static void
check_text(size_t at, size_t n)
{
	const char *p;
	size_t i, len;

	for (i = 0; i < n; i += len) {
		len = text_at(at + i, &p);
		len = len < n - i ? len : n - i;
		assert_memory_equal(got + i, p, len);
	}
}

/* Send of the text what the socket takes; where that ends. */
static size_t
send_text(size_t at)
{
	size_t len, n = 1;
	const char *p;

	while (n > 0 && at < LONG) {
		len = text_at(at, &p);
		n = far_write(
		    &path.source, p, len < LONG - at ? len : LONG - at);
		at += n;
	}
	if (path.source.tls != NULL)
		far_push(&path.source);
	return at;
}

/*
 * LONG octets across, of which step at most are taken in each turn.  Not over
 * TCP: its timers would make the test long.
 */
static void
carry(size_t step)
{
	size_t sent = 0, came = 0;
	ssize_t n;
	int i;

	for (i = 0; i < TURNS && came < LONG; i++) {
		sent = send_text(sent);
		assert_int_not_equal(
		    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), -1);
		n = far_read(&path.sink, got, step);
		if (n > 0)
			check_text(came, (size_t)n);
		came += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(came, LONG);
}

static void
test_slow(void **state)
{
	int size = 16384;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(kinds); i++) {
		path_open(LOCAL, i);
		assert_int_equal(setsockopt(path.to.fd, SOL_SOCKET, SO_SNDBUF,
		                     &size, sizeof(size)),
		    0);
		carry(20011);
		assert_int_equal(far_read(&path.sink, got, 1), -1);
		assert_int_equal(path.from.received, LONG);
		assert_int_equal(path.to.sent, LONG);
		assert_in_range(path.held, HELD_MIN, SIZE_MAX);
		assert_in_range(path.kept_max, 1, KEPT_MAX);
		assert_false(stream_pending(&path.to));
		assert_null(path.from.in.data);
		assert_null(path.to.out.data);
		path_close();
	}
}

/* A base for each: one that failed leaves its events to the next. */
static int
set_up(void **state)
{
	(void)state;
	base = event_base_new();
	return base == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_moved),
		TEST(test_octets),
		TEST(test_eof),
		TEST(test_broken),
		TEST(test_slow),
	};
	int failed;

	far_pki_start(&pki);
	stream_global_init();
	pki_ok(gnutls_rnd(GNUTLS_RND_NONCE, text, sizeof(text)));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	far_pki_stop(&pki);
	return failed;
}
