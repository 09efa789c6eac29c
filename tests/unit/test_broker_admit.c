/* SPDX-License-Identifier: ISC */
/*
 * broker_admit: by whose address a client counts: the kernel's, or what a
 * worker says of one that a listed proxy has brought; of others it may say
 * nothing.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker_admit.h"
#include "broker_connect.h"
#include "conf.h"
#include "ipc.h"
#include "limit.h"

#define CONNECTIONS 16
#define WORKER 5 /* its serial */

static struct {
	struct event_base *base;
	struct conf conf;
	struct addr_range proxies;
	void *book;
	struct limit *limit;
	void *table;
	struct ledger *ledger;
	struct abuse *abuse;
	struct upstreams *upstreams;
	struct admits *admits;
	struct ipc *ch;
	int worker;           /* the other end of ch */
	int client, accepted; /* both ends of a connection from 127.0.0.1 */
	bool asked;           /* they were admitted, or were to be */
} b;

static struct addr
address(const char *host)
{
	struct addr a;

	assert_int_equal(addr_parse(text_of(host), 4711, &a), 0);
	return a;
}

static int
on_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	(void)arg;
	(void)ch;
	(void)type;
	(void)id;
	(void)r;
	(void)fd;
	return -1;
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	(void)arg;
	(void)ch;
	(void)why;
}

static void
connect_client(void)
{
	struct addr a = address("127.0.0.1");
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	addr_set_port(&a, 0);
	assert_int_equal(bind(listener, &a.sa, addr_len(&a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(addr_local(listener, &a), 0);
	b.client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(b.client, &a.sa, addr_len(&a)), 0);
	b.accepted = accept(listener, NULL, NULL);
	assert_int_not_equal(b.accepted, -1);
	close(listener);
}

/* from: proxy_protocol_from; NULL: none. */
static void
start(const char *from, unsigned int limit_address)
{
	int fds[2];

	b.conf = (struct conf){ .proxies = &b.proxies };
	if (from != NULL) {
		assert_int_equal(
		    addr_range_parse(text_of(from), &b.proxies), 0);
		b.conf.nproxies = 1;
	}
	b.base = event_base_new();
	b.book = calloc(1, limit_size(CONNECTIONS));
	b.limit = limit_new(b.book, CONNECTIONS, 0, limit_address);
	b.upstreams = upstreams_new(b.base, &b.conf, NULL);
	b.table = calloc(1, ledger_size(0));
	ledger_format(b.table, 0);
	b.ledger = ledger_new(b.table, ledger_size(0));
	b.abuse = abuse_new(&b.conf, b.ledger);
	b.admits = admits_new(b.base, &b.conf, b.limit, b.abuse, b.upstreams);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	b.worker = fds[1];
	b.ch = ipc_new(b.base, fds[0], ROLE_BROKER, ROLE_WORKER, on_message,
	    on_closed, NULL);
	b.asked = false;
	connect_client();
}

static void
stop(void)
{
	abuse_free(&b.abuse);
	ledger_free(&b.ledger);
	free(b.table);
	ipc_free(&b.ch);
	close(b.worker);
	close(b.client);
	close(b.accepted);
	admits_free(&b.admits);
	upstreams_free(&b.upstreams);
	limit_free(&b.limit);
	free(b.book);
	event_base_free(b.base);
}

/* What the worker hears; ADMIT_VERDICTS: nothing. */
static enum admit_verdict
heard(void)
{
	struct msg_admit_reply m;
	char octets[MSG_MAX];
	ssize_t n = recv(b.worker, octets, sizeof(octets), 0);
	struct reader r = { octets + MSG_HEADER, (size_t)n - MSG_HEADER };

	if (n == -1)
		return ADMIT_VERDICTS;
	assert_true(n > MSG_HEADER);
	assert_int_equal(msg_get_admit_reply(&r, &m), 0);
	return m.verdict;
}

/* Each time with another client.  claim: what the worker says; NULL: nothing.
 */
static int
ask(uint32_t session, const char *claim)
{
	struct msg_admit m = { .session = session, .waits = 1 };

	if (b.asked) {
		close(b.client);
		close(b.accepted);
		connect_client();
	}
	b.asked = true;
	if (claim != NULL)
		m.client = address(claim);
	return admits_ask(b.admits, b.ch, WORKER, &m, b.accepted);
}

static const char *
counts_as(uint32_t session)
{
	static char shown[ADDR_STRLEN];
	struct addr a;

	if (limit_address(b.limit, WORKER, session, &a) == -1)
		return "nobody";
	return addr_print_host(&a, shown);
}

static void
test_kernel(void **state)
{
	(void)state;
	start(NULL, 0);
	assert_int_equal(ask(1, NULL), 1);
	assert_int_equal(heard(), ADMIT_OK);
	assert_string_equal(counts_as(1), "127.0.0.1");
	stop();
}

/* It has read no header that it could have this from. */
static void
test_lie(void **state)
{
	static const char *const froms[] = { NULL, "127.0.0.2", "192.0.2.0/24",
		"::1" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(froms) / sizeof(froms[0]); i++) {
		start(froms[i], 0);
		assert_int_equal(ask(1, "192.0.2.7"), -1);
		assert_int_equal(heard(), ADMIT_VERDICTS);
		assert_string_equal(counts_as(1), "nobody");
		stop();
	}
}

static void
test_proxy(void **state)
{
	(void)state;
	start("127.0.0.0/8", 1);
	assert_int_equal(ask(1, "192.0.2.7"), 1);
	assert_int_equal(heard(), ADMIT_OK);
	assert_string_equal(counts_as(1), "192.0.2.7");
	/* One of each address, and the proxy's own is one. */
	assert_int_equal(ask(2, "2001:db8::7"), 1);
	assert_int_equal(heard(), ADMIT_OK);
	assert_int_equal(ask(3, NULL), 1);
	assert_int_equal(heard(), ADMIT_OK);
	assert_string_equal(counts_as(3), "127.0.0.1");
	assert_int_equal(ask(4, "192.0.2.7"), 0);
	assert_int_equal(heard(), ADMIT_TOO_MANY_ADDRESS);
	stop();
}

static void
test_gone(void **state)
{
	const struct linger now = { .l_onoff = 1 };

	(void)state;
	start(NULL, 0);
	assert_int_equal(
	    setsockopt(b.client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(b.client);
	assert_int_equal(ask(1, "192.0.2.7"), 0);
	assert_int_equal(heard(), ADMIT_GONE);
	b.client = -1;
	stop();
}

static int
ask_with(uint32_t session, int fd)
{
	struct msg_admit m = { .session = session, .waits = 1 };

	return admits_ask(b.admits, b.ch, WORKER, &m, fd);
}

/* A client counts once; when it has left, another may have its number. */
static void
test_again(void **state)
{
	(void)state;
	start(NULL, 0);
	assert_int_equal(ask_with(1, b.accepted), 1);
	assert_int_equal(ask_with(2, b.accepted), -1);
	assert_string_equal(counts_as(2), "nobody");
	assert_true(admits_release(b.admits, WORKER, 1));
	assert_int_equal(ask_with(2, b.accepted), 1);
	admits_forget(b.admits, WORKER);
	assert_int_equal(ask_with(3, b.accepted), 1);
	stop();
}

/* One too many comes again when another has given way: one connection. */
static void
test_retry(void **state)
{
	const struct addr a = address("127.0.0.1");

	(void)state;
	start(NULL, 0);
	b.conf.client_connection_rate_limit = 3;
	b.conf.anvil_rate_time_unit = 60;
	limit_free(&b.limit);
	b.limit = limit_new(b.book, CONNECTIONS, 1, 0);
	admits_free(&b.admits);
	b.admits = admits_new(b.base, &b.conf, b.limit, b.abuse, b.upstreams);
	assert_int_equal(ask(1, NULL), 1);
	assert_int_equal(heard(), ADMIT_OK);
	assert_int_equal(ask(2, NULL), 0);
	assert_int_equal(heard(), ADMIT_TOO_MANY);
	assert_int_equal(ask_with(2, b.accepted), 0);
	assert_int_equal(heard(), ADMIT_TOO_MANY);
	assert_true(admits_release(b.admits, WORKER, 1));
	/* but not for ever: this would be the third of three */
	assert_int_equal(ask_with(2, b.accepted), 1);
	assert_int_equal(heard(), ADMIT_OK);
	assert_int_equal(ask(3, NULL), 0);
	assert_int_equal(heard(), ADMIT_TOO_OFTEN);
	assert_int_equal(limit_count_address(b.limit, &a), 1);
	stop();
}

static void
test_no_client(void **state)
{
	struct conf_server server = { .name = NULL };
	struct addr a;
	int fds[2];

	(void)state;
	start(NULL, 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(ask_with(1, fds[0]), -1);
	assert_int_equal(ask_with(1, b.worker), -1);
	assert_int_equal(ask_with(1, socket(AF_INET, SOCK_DGRAM, 0)), -1);
	/* its connection to an inner server, for another end's */
	assert_int_equal(addr_peer(b.client, &a), 0);
	server.port = addr_port(&a);
	b.conf.servers = &server;
	b.conf.nservers = 1;
	assert_int_equal(ask_with(1, b.client), -1);
	assert_int_equal(ask_with(1, b.accepted), 1);
	close(fds[0]);
	close(fds[1]);
	stop();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_lie),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_no_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
