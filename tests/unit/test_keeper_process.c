/* SPDX-License-Identifier: ISC */
/*
 * keeper as a process: what its channels carry, and what closes them.  The
 * test is master and worker; role_confine() below stands in for the real one,
 * so that no root is needed and sanitizers can run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>

#include "ipc.h"
#include "keeper.h"
#include "pki.h"
#include "tls_scheme.h"

#define WAIT_MS 5000

static struct pki *pair, *other;
static int master; /* our end of the channel to the keeper */

static void
master_gone(void *arg, struct ipc *ch, const char *why)
{
	(void)arg;
	(void)ch;
	_exit(why == NULL ? 3 : 4);
}

void
role_accuse(enum role role, uint16_t number, uint32_t serial)
{
	assert_int_equal(role, ROLE_WORKER);
	(void)number;
	(void)serial;
}

struct ipc *
role_confine(const struct role_start *start, const struct sandbox *box,
    unsigned int files, ipc_handler *handler, void *arg)
{
	if (box->role != ROLE_KEEPER || files == 0)
		_exit(5);
	return ipc_new(start->base, ROLE_FD_MASTER, ROLE_KEEPER, ROLE_MASTER,
	    handler, master_gone, arg);
}

/* A keeper with these parts; its pid. */
static pid_t
start_keeper(const char *cert, const char *key, bool tls13_only)
{
	struct conf conf = { .listen_tls13_only = tls13_only };
	struct role_start start = { .role = ROLE_KEEPER, .conf = &conf };
	int fds[2], fd = handover_new("test");
	pid_t pid;

	if (handover_add(fd, HANDOVER_CERT, 0, text_of(cert)) == -1 ||
	    handover_add(fd, HANDOVER_KEY, 0, text_of(key)) == -1 ||
	    handover_seal(fd) == -1 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == -1 ||
	    (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		start.handover = handover_open(fd);
		close(fds[0]);
		close(fd);
		dup2(fds[1], ROLE_FD_MASTER);
		start.base = event_base_new();
		keeper_main(&start);
	}
	close(fd);
	close(fds[1]);
	master = fds[0];
	return pid;
}

static int
exit_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What a keeper ends with by itself, or when its master is gone. */
static int
end_of(pid_t pid)
{
	close(master);
	return exit_status(pid);
}

/* Be worker number: our end of a channel that the master makes for it. */
static int
start_worker(uint16_t number)
{
	struct msg_peer m = { .role = ROLE_WORKER, .number = number };
	struct writer w;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	msg_start(&w, MSG_PEER, 0);
	msg_put_peer(&w, &m);
	assert_int_equal(fdpass_send(master, w.data, w.len, fds[1]), 0);
	close(fds[1]);
	return fds[0];
}

/* 1: signed, 0: refused, -1: the channel was closed. */
static int
ask(int worker, uint16_t key, uint8_t content, size_t len)
{
	static uint32_t id;
	char data[256], space[MSG_MAX];
	struct msg_sign m = { .key = key,
		.scheme = 0x0403,
		.content = content,
		.data = { data, len } };
	struct msg_sign_reply reply;
	struct writer w;
	struct reader r;

	memset(data, 'd', sizeof(data));
	if (content)
		memcpy(data, tls_content_prefix, TLS_CONTENT_PREFIX_LEN);
	msg_start(&w, MSG_SIGN, ++id);
	msg_put_sign(&w, &m);
	if (ipc_call(worker, ROLE_WORKER, ROLE_KEEPER, &w, id, MSG_SIGN_REPLY,
	        WAIT_MS, space, &r) == -1) {
		assert_int_not_equal(errno, ETIMEDOUT);
		return -1;
	}
	assert_int_equal(msg_get_sign_reply(&r, &reply), 0);
	assert_int_equal(reply.ok != 0, reply.signature.len > 0);
	return reply.ok != 0;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool
is_closed(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char c;

	return poll(&p, 1, WAIT_MS) == 1 && read(fd, &c, 1) <= 0;
}

/* The master says stop. */
static void
stop(pid_t pid)
{
	struct writer w;

	msg_start(&w, MSG_STOP, 0);
	assert_int_equal(fdpass_send(master, w.data, w.len, -1), 0);
	assert_int_equal(exit_status(pid), 0);
	close(master);
}

static void
test_serving(void **state)
{
	pid_t pid = start_keeper(pair->cert, pair->key, false);
	int a = start_worker(0), b = start_worker(1), c;

	(void)state;
	assert_int_equal(ask(a, 0, 1, 130), 1);
	assert_int_equal(ask(b, 0, 0, 32), 1);
	/* one worker is replaced, the other's channel stays */
	c = start_worker(0);
	assert_int_equal(ask(c, 0, 1, 146), 1);
	assert_true(is_closed(a));
	assert_int_equal(ask(b, 0, 1, 130), 1);
	/* one dies */
	close(b);
	assert_int_equal(ask(c, 0, 1, 130), 1);
	stop(pid);
	assert_true(is_closed(c));
	close(a);
	close(c);
}

static void
test_broken_workers(void **state)
{
	static const struct {
		uint16_t key;
		uint8_t content;
		size_t len;
	} wrong[] = { { 1, 1, 130 }, { 0xffff, 1, 130 }, { 0, 1, 129 },
		{ 0, 1, 0 }, { 0, 0, 33 }, { 0, 0, 256 } };
	pid_t pid = start_keeper(pair->cert, pair->key, false);
	int good = start_worker(9), bad;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bad = start_worker(1);
		if (ask(bad, wrong[i].key, wrong[i].content, wrong[i].len) !=
		    -1)
			fail_msg("case %zu", i);
		close(bad);
		assert_int_equal(ask(good, 0, 1, 130), 1);
	}
	bad = start_worker(1); /* what only the master may say */
	assert_int_equal(fdpass_send(bad, "\0\4\0\0\0\0", 6, -1), 0);
	assert_true(is_closed(bad));
	close(bad);
	assert_int_equal(ask(good, 0, 1, 130), 1);
	close(good);
	stop(pid);
}

static void
test_refusals(void **state)
{
	pid_t pid = start_keeper(pair->cert, pair->key, true);
	int a = start_worker(0);

	(void)state;
	assert_int_equal(ask(a, 0, 0, 32), 0); /* TLS 1.3 only */
	assert_int_equal(ask(a, 0, 1, 130), 1);
	stop(pid);
	close(a);
}

/* Digests are rationed, contents are not. */
static void
test_rationing(void **state)
{
	pid_t pid = start_keeper(pair->cert, pair->key, false);
	int a = start_worker(0);
	uint64_t start = now_ms(), allowed;
	unsigned int n = 0;

	(void)state;
	while (n < 5 * KEEPER_DIGESTS_PER_SECOND && ask(a, 0, 0, 32) == 1)
		n++;
	allowed = KEEPER_DIGESTS_PER_SECOND +
	    (now_ms() - start + 1) * KEEPER_DIGESTS_PER_SECOND / 1000;
	assert_true(n <= allowed);
	assert_int_equal(ask(a, 0, 1, 130), 1);
	close(a);
	stop(pid);
}

static void
test_bad_pairs(void **state)
{
	(void)state;
	assert_int_equal(
	    end_of(start_keeper(pair->cert, other->key, false)), 1);
	assert_int_equal(end_of(start_keeper(pair->cert, "", false)), 1);
	assert_int_equal(end_of(start_keeper("", pair->key, false)), 1);
	/* and with a good one it lives until its master is gone */
	assert_int_equal(end_of(start_keeper(pair->cert, pair->key, false)), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serving),
		cmocka_unit_test(test_broken_workers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_rationing),
		cmocka_unit_test(test_bad_pairs),
	};
	int failed;

	pair = pki_new((struct pki_wish){ .names = { "a.example" } });
	other = pki_new((struct pki_wish){ .names = { "b.example" } });
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pki_free(&pair);
	pki_free(&other);
	return failed;
}
