/* SPDX-License-Identifier: ISC */
/*
 * What a role lives on goes on working in its sandbox: TLS, the event loop
 * and clients in a worker, keys in a keeper, connecting and names in a
 * broker.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <ares.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "confined.h"
#include "fdpass.h"
#include "pki.h"
#include "sandbox.h"

/* An attempt returns the line where it failed. */
#define NEED(what)                                                             \
	do {                                                                   \
		if (!(what))                                                   \
			return __LINE__;                                       \
	} while (0)

static void
check(enum role role, attempt *try)
{
	struct result r = confined(role, sandbox_enter, try, NULL);

	if ((r.missing & SANDBOX_NO_SECCOMP) != 0)
		print_message("no seccomp here: only Landlock confines\n");
	if (r.value > 0)
		print_error("failed in line %d\n", r.value);
	assert_int_equal(r.value, 0);
}

/* TLS in memory, a client and a server. */
struct end {
	gnutls_session_t s;
	struct wire *in, *out;
};
static struct wire wires[2];
static struct pki *pair;
static gnutls_certificate_credentials_t cred[2]; /* server, client */
static gnutls_priority_t priority;

static void
prepare_tls(void)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	size_t i;

	pair = pki_new((struct pki_wish){ .names = { "mail.example" } });
	key = pair->x;
	crt = pair->crt;
	for (i = 0; i < 2; i++)
		pki_ok(gnutls_certificate_allocate_credentials(&cred[i]));
	pki_ok(gnutls_certificate_set_x509_key(cred[0], &crt, 1, key));
	pki_ok(gnutls_certificate_set_x509_trust(cred[1], &crt, 1));
	pki_ok(gnutls_priority_init(&priority, "NORMAL", NULL));
}

static ssize_t
push(gnutls_transport_ptr_t arg, const void *p, size_t n)
{
	const struct end *e = arg;

	wire_put(e->out, p, n);
	return (ssize_t)n;
}

static ssize_t
pull(gnutls_transport_ptr_t arg, void *p, size_t n)
{
	const struct end *e = arg;

	if (e->in->len > 0)
		return (ssize_t)wire_get(e->in, p, n);
	gnutls_transport_set_errno(e->s, EAGAIN);
	return -1;
}

static int
end_init(struct end *e, unsigned int side)
{
	NEED(gnutls_init(&e->s,
	         GNUTLS_NONBLOCK |
	             (side == 0 ? GNUTLS_SERVER : GNUTLS_CLIENT)) == 0);
	e->in = &wires[side];
	e->out = &wires[1 - side];
	NEED(gnutls_priority_set(e->s, priority) == 0);
	NEED(gnutls_credentials_set(e->s, GNUTLS_CRD_CERTIFICATE, cred[side]) ==
	    0);
	gnutls_transport_set_ptr(e->s, e);
	gnutls_transport_set_push_function(e->s, push);
	gnutls_transport_set_pull_function(e->s, pull);
	gnutls_handshake_set_timeout(e->s, 0);
	return 0;
}

/* A whole life: handshake, the peer's certificate, a record, the end. */
static int
tls_life(void)
{
	struct end e[2];
	char in[16] = "";
	int line, done[2] = { -1, -1 }, i;

	for (i = 0; i < 2; i++)
		if ((line = end_init(&e[i], (unsigned int)i)) != 0)
			return line;
	gnutls_session_set_verify_cert(e[1].s, "mail.example", 0);
	for (i = 0; i < 20 && (done[0] != 0 || done[1] != 0); i++)
		done[i % 2] = gnutls_handshake(e[i % 2].s);
	NEED(done[0] == 0 && done[1] == 0);
	NEED(gnutls_record_send(e[1].s, "hello", 5) == 5);
	NEED(gnutls_record_recv(e[0].s, in, sizeof(in)) == 5);
	NEED(memcmp(in, "hello", 5) == 0);
	for (i = 0; i < 2; i++) {
		gnutls_bye(e[i].s, GNUTLS_SHUT_WR);
		gnutls_deinit(e[i].s);
	}
	return 0;
}

/* Memory of every size that malloc(3) treats apart, the clock, dice. */
static int
process_life(void)
{
	struct timespec t;
	size_t n;
	char *p;

	for (n = 16; n < (64UL << 20); n *= 8) {
		p = malloc(n);
		NEED(p != NULL);
		memset(p, 1, n);
		p = realloc(p, n * 2);
		NEED(p != NULL && p[n - 1] == 1);
		free(p);
	}
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(p != MAP_FAILED);
	NEED(mremap(p, 4096, 8192, MREMAP_MAYMOVE) != MAP_FAILED);
	NEED(getrandom(&n, sizeof(n), 0) == sizeof(n));
	NEED(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0);
	return 0;
}

/* A message and its descriptor over a channel, waited for in poll(2). */
static int
channel_life(void)
{
	char octet = 'x';
	int passed;

	NEED(fdpass_send(FD_PAIR, &octet, 1, FD_UDP) == 0);
	NEED(poll(&(struct pollfd){ FD_PAIR_PEER, POLLIN, 0 }, 1, 1000) == 1);
	NEED(fdpass_recv(FD_PAIR_PEER, &octet, 1, false, &passed) == 1);
	NEED(passed != -1 && close(passed) == 0);
	return 0;
}

static int accepted;

static void
on_listener(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	accepted =
	    accept4(FD_LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* The listener in an epoll of one's own, which is an event in libevent. */
static int
accept_life(void)
{
	struct epoll_event listener = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct timeval second = { 1, 0 };
	struct event ev;

	NEED(epoll_ctl(FD_EPOLL, EPOLL_CTL_ADD, FD_LISTENER, &listener) == 0);
	NEED(
	    event_assign(&ev, base, FD_EPOLL, EV_READ, on_listener, NULL) == 0);
	accepted = -1;
	NEED(event_add(&ev, &second) == 0);
	NEED(event_base_loop(base, EVLOOP_ONCE) == 0);
	NEED(accepted != -1);
	return 0;
}

static int
client_life(void)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char in[8];
	int on = 1;

	NEED(getpeername(accepted, (struct sockaddr *)&peer, &len) == 0);
	NEED(getsockname(accepted, (struct sockaddr *)&peer, &len) == 0);
	NEED(setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
	    0);
	NEED(setsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) ==
	    0);
	NEED(send(FD_CLIENT, "abc", 3, MSG_NOSIGNAL) == 3);
	NEED(poll(&(struct pollfd){ accepted, POLLIN, 0 }, 1, 1000) == 1);
	NEED(recv(accepted, in, sizeof(in), 0) == 3);
	NEED(send(accepted, "abc", 3, MSG_NOSIGNAL) == 3);
	NEED(shutdown(accepted, SHUT_WR) == 0);
	NEED(recv(FD_CLIENT, in, sizeof(in), 0) == 3);
	NEED(recv(FD_CLIENT, in, sizeof(in), 0) == 0);
	NEED(close(accepted) == 0);
	return 0;
}

static int
worker_life(const void *arg)
{
	int (*const lives[])(void) = { process_life, channel_life, accept_life,
		client_life, tls_life };
	size_t i;
	int line;

	(void)arg;
	for (i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		if ((line = lives[i]()) != 0)
			return line;
	return 0;
}

static void
test_worker(void **state)
{
	(void)state;
	prepare_more = prepare_tls;
	check(ROLE_WORKER, worker_life);
}

/* A key is parsed, signs, and its signature is good. */
static int
keeper_life(const void *arg)
{
	const gnutls_datum_t pem = { (unsigned char *)pair->key,
		(unsigned int)strlen(pair->key) };
	const gnutls_datum_t text = pem; /* any octets will do */
	gnutls_datum_t sig;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	int line;

	(void)arg;
	if ((line = process_life()) != 0 || (line = channel_life()) != 0)
		return line;
	NEED(gnutls_privkey_init(&key) == 0 && gnutls_pubkey_init(&pub) == 0);
	NEED(gnutls_privkey_import_x509_raw(
	         key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) == 0);
	NEED(gnutls_pubkey_import_x509(pub, pair->crt, 0) == 0);
	NEED(gnutls_privkey_sign_data2(
	         key, GNUTLS_SIGN_ECDSA_SHA256, 0, &text, &sig) == 0);
	NEED(gnutls_pubkey_verify_data2(
	         pub, GNUTLS_SIGN_ECDSA_SHA256, 0, &text, &sig) == 0);
	gnutls_free(sig.data);
	gnutls_privkey_deinit(key);
	gnutls_pubkey_deinit(pub);
	return 0;
}

static void
test_keeper(void **state)
{
	(void)state;
	prepare_more = prepare_tls;
	check(ROLE_KEEPER, keeper_life);
}

static int
connect_life(void)
{
	int fd, error = -1;
	socklen_t len = sizeof(error);

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	NEED(fd != -1);
	NEED(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ||
	    errno == EINPROGRESS);
	NEED(poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, 1000) == 1);
	NEED(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	NEED(error == 0);
	NEED(close(fd) == 0);
	return 0;
}

/* c-ares, with ourselves as the name server that knows no name. */
static ares_channel dns;
static int dns_fd = -1, dns_status = -1;

static void
on_dns_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	(void)arg;
	dns_fd = readable || writable ? fd : -1;
}

static void
prepare_dns(void)
{
	struct ares_options o = { .sock_state_cb = on_dns_socket };
	char server[32], lookups[] = "fb"; /* hosts, then the name server */

	o.lookups = lookups;
	snprintf(server, sizeof(server), "127.0.0.1:%u", ntohs(at.sin_port));
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&dns, &o,
	        ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS) != ARES_SUCCESS ||
	    ares_set_servers_ports_csv(dns, server) != ARES_SUCCESS)
		abort();
}

static void
on_dns(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	(void)arg;
	(void)timeouts;
	dns_status = status;
	if (found != NULL)
		ares_freeaddrinfo(found);
}

/* RFC 1035 4.1.1: the question comes back as an answer with NXDOMAIN. */
static int
dns_answer(void)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	unsigned char q[512];
	ssize_t n;

	NEED(poll(&(struct pollfd){ FD_UDP, POLLIN, 0 }, 1, 1000) == 1);
	n = recvfrom(FD_UDP, q, sizeof(q), 0, (struct sockaddr *)&from, &len);
	NEED(n > 12);
	q[2] |= 0x80;
	q[3] = 3;
	NEED(connect(FD_UDP, (struct sockaddr *)&from, len) == 0);
	NEED(send(FD_UDP, q, (size_t)n, 0) == n);
	NEED(poll(&(struct pollfd){ dns_fd, POLLIN, 0 }, 1, 1000) == 1);
	ares_process_fd(dns, dns_fd, ARES_SOCKET_BAD);
	return 0;
}

static int
names_life(void)
{
	struct ares_addrinfo_hints want = { .ai_family = AF_INET };
	int line;

	ares_getaddrinfo(dns, "localhost", NULL, &want, on_dns, NULL);
	NEED(dns_status == ARES_SUCCESS);
	dns_status = -1;
	ares_getaddrinfo(dns, "mail.example.", NULL, &want, on_dns, NULL);
	NEED(dns_fd != -1);
	if ((line = dns_answer()) != 0)
		return line;
	NEED(dns_status == ARES_ENOTFOUND);
	ares_destroy(dns);
	return 0;
}

static int
broker_life(const void *arg)
{
	int line;

	(void)arg;
	if ((line = process_life()) != 0 || (line = channel_life()) != 0 ||
	    (line = connect_life()) != 0)
		return line;
	return names_life();
}

static void
test_broker(void **state)
{
	(void)state;
	prepare_more = prepare_dns;
	check(ROLE_BROKER, broker_life);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_keeper),
		cmocka_unit_test(test_broker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
