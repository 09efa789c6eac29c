/* SPDX-License-Identifier: ISC */
/*
 * floor: the least that a relay can cost, as a measure for the others.
 *
 *	floor [-c CERTIFICATE -k KEY] PORT:TARGET ...
 *
 * Two processes on 127.0.0.1.  Without a certificate octets are copied; with
 * one TLS ends here, by GnuTLS on memory, so that one system call takes many
 * records.  No protocol, no login, no separation, the key in each process.
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

enum {
	LISTENERS = 8,
	PROCESSES = 2,
	EVENTS = 256,
	RECORD = 16384,
	CHUNK = 65536,
	OUT = CHUNK + CHUNK / 8 + 32768 /* records of one chunk, and tickets */
};

/* What could not be passed on yet. */
struct bytes {
	char *p;
	size_t n;
};

struct pair;

struct end {
	struct pair *pair; /* NULL: a listener */
	int fd;
	uint32_t want;
	uint16_t target;
};

struct pair {
	struct end client, server;
	gnutls_session_t tls; /* NULL: none */
	bool shaken, over;
	struct bytes in;  /* records read */
	struct bytes out; /* for the client */
	struct bytes up;  /* for the server */
	struct pair *next;
};

static int ep;
static bool use_tls;
static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priorities;
static gnutls_datum_t ticket_key;
static struct pair *dead; /* freed behind a round of events */
static char inbuf[CHUNK + RECORD], outbuf[OUT], text[CHUNK];
static size_t in_at, in_n, out_n;

static ssize_t
push(gnutls_transport_ptr_t t, const void *p, size_t n)
{
	struct pair *q = t;

	if (n > sizeof(outbuf) - out_n) {
		gnutls_transport_set_errno(q->tls, EAGAIN);
		return -1;
	}
	memcpy(outbuf + out_n, p, n);
	out_n += n;
	return (ssize_t)n;
}

static ssize_t
pull(gnutls_transport_ptr_t t, void *p, size_t n)
{
	struct pair *q = t;

	if (in_at == in_n) {
		gnutls_transport_set_errno(q->tls, EAGAIN);
		return -1;
	}
	if (n > in_n - in_at)
		n = in_n - in_at;
	memcpy(p, inbuf + in_at, n);
	in_at += n;
	return (ssize_t)n;
}

static void
keep(struct bytes *b, const char *p, size_t n)
{
	char *old = b->p;

	*b = (struct bytes){ .n = n };
	if (n > 0) {
		b->p = malloc(n);
		if (b->p == NULL)
			err(2, "malloc");
		memcpy(b->p, p, n);
	}
	free(old);
}

/* Sends p and keeps what does not go.  -1: the connection is dead. */
static int
put(int fd, struct bytes *rest, const char *p, size_t n)
{
	ssize_t sent = n > 0 ? send(fd, p, n, MSG_NOSIGNAL) : 0;

	if (sent == -1 && errno != EAGAIN)
		return -1;
	if (sent == -1)
		sent = 0;
	if ((size_t)sent < n || rest->p != NULL)
		keep(rest, p + sent, n - (size_t)sent);
	return 0;
}

static void
arm(struct end *e, uint32_t want)
{
	struct epoll_event ev = { .events = want, .data.ptr = e };

	if (want != e->want)
		epoll_ctl(ep, EPOLL_CTL_MOD, e->fd, &ev);
	e->want = want;
}

/* Nobody is read whose peer has not taken all. */
static void
watch(struct pair *q)
{
	uint32_t client = 0, server = 0;

	if (q->up.n == 0)
		client |= EPOLLIN;
	else
		server |= EPOLLOUT;
	if (q->out.n > 0)
		client |= EPOLLOUT;
	else if (q->shaken)
		server |= EPOLLIN;
	arm(&q->client, client);
	arm(&q->server, server);
}

static void
hang_up(struct pair *q)
{
	close(q->client.fd);
	close(q->server.fd);
	q->over = true;
	q->next = dead;
	dead = q;
}

static void
bury(void)
{
	struct pair *q;

	while ((q = dead) != NULL) {
		dead = q->next;
		if (q->tls != NULL)
			gnutls_deinit(q->tls);
		free(q->in.p);
		free(q->out.p);
		free(q->up.p);
		free(q);
	}
}

/* recv() for which an empty socket is 0 octets, its end -1. */
static ssize_t
get(int fd, char *p, size_t n)
{
	ssize_t got = recv(fd, p, n, 0);

	if (got == -1 && errno == EAGAIN)
		return 0;
	return got > 0 ? got : -1;
}

static int
copy(int from, int to, struct bytes *rest)
{
	ssize_t n = get(from, text, sizeof(text));

	return n <= 0 ? (int)n : put(to, rest, text, (size_t)n);
}

/* What was put by comes first, so no more than that is in memory. */
static int
read_records(struct pair *q)
{
	ssize_t n;

	in_at = in_n = 0;
	if (q->in.n > 0) {
		in_n = q->in.n;
		memcpy(inbuf, q->in.p, in_n);
		keep(&q->in, NULL, 0);
		return 0;
	}
	n = get(q->client.fd, inbuf, CHUNK);
	if (n == -1)
		return -1;
	in_n = (size_t)n;
	return 0;
}

static int
shake(struct pair *q)
{
	int done;

	out_n = 0;
	done = gnutls_handshake(q->tls);
	if (done < 0 && gnutls_error_is_fatal(done))
		return -1;
	q->shaken = done == 0;
	return put(q->client.fd, &q->out, outbuf, out_n);
}

static int
decrypt(struct pair *q)
{
	size_t n;
	ssize_t got;

	do {
		n = 0;
		while (sizeof(text) - n >= RECORD &&
		    (got = gnutls_record_recv(
		         q->tls, text + n, sizeof(text) - n)) > 0)
			n += (size_t)got;
		if (put(q->server.fd, &q->up, text, n) == -1 || got == 0 ||
		    (got < 0 && gnutls_error_is_fatal((int)got)))
			return -1;
	} while (q->up.n == 0 && in_at < in_n);
	return 0;
}

static int
upward(struct pair *q)
{
	if (q->tls == NULL)
		return copy(q->client.fd, q->server.fd, &q->up);
	if (read_records(q) == -1 || (!q->shaken && shake(q) == -1) ||
	    (q->shaken && decrypt(q) == -1))
		return -1;
	if (in_at < in_n)
		keep(&q->in, inbuf + in_at, in_n - in_at);
	return 0;
}

static int
downward(struct pair *q)
{
	size_t at, take;
	ssize_t n;

	if (q->tls == NULL)
		return copy(q->server.fd, q->client.fd, &q->out);
	n = get(q->server.fd, text, sizeof(text));
	if (n <= 0)
		return (int)n;
	out_n = 0;
	for (at = 0; at < (size_t)n; at += take) {
		take = (size_t)n - at < RECORD ? (size_t)n - at : RECORD;
		if (gnutls_record_send(q->tls, text + at, take) < 0)
			return -1;
	}
	return put(q->client.fd, &q->out, outbuf, out_n);
}

static int
serve(struct end *e, uint32_t events)
{
	struct pair *q = e->pair;
	struct bytes *due = e == &q->client ? &q->out : &q->up;

	if (events & EPOLLERR)
		return -1;
	if ((events & EPOLLOUT) && due->n > 0 &&
	    put(e->fd, due, due->p, due->n) == -1)
		return -1;
	if (e == &q->server && q->up.n == 0 && q->in.n > 0 && upward(q) == -1)
		return -1;
	if ((events & (EPOLLIN | EPOLLHUP)) == 0)
		return 0;
	if (e == &q->client)
		return q->up.n == 0 ? upward(q) : 0;
	return q->shaken && q->out.n == 0 ? downward(q) : 0;
}

static void
begin_tls(struct pair *q)
{
	if (gnutls_init(&q->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK) < 0)
		errx(2, "gnutls_init");
	gnutls_priority_set(q->tls, priorities);
	gnutls_credentials_set(q->tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_handshake_set_timeout(q->tls, 0);
	gnutls_session_ticket_enable_server(q->tls, &ticket_key);
	gnutls_transport_set_ptr(q->tls, q);
	gnutls_transport_set_push_function(q->tls, push);
	gnutls_transport_set_pull_function(q->tls, pull);
}

static int
dial(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 &&
	        errno != EINPROGRESS))
		err(2, "connect");
	return fd;
}

static void
add(struct pair *q, struct end *e, int fd, uint32_t want)
{
	struct epoll_event ev = { .events = want, .data.ptr = e };
	int on = 1;

	*e = (struct end){ .pair = q, .fd = fd, .want = want };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(2, "epoll_ctl");
}

static void
welcome(const struct end *l)
{
	struct pair *q;
	int fd;

	while ((fd = accept4(
	            l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		q = calloc(1, sizeof(*q));
		if (q == NULL)
			err(2, "calloc");
		q->shaken = !use_tls;
		if (use_tls)
			begin_tls(q);
		add(q, &q->client, fd, EPOLLIN);
		add(q, &q->server, dial(l->target), use_tls ? 0 : EPOLLIN);
	}
}

static void
work(struct end *listeners, int n)
{
	struct epoll_event events[EVENTS], ev;
	struct end *e;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < n; i++) {
		ev.events = EPOLLIN | EPOLLEXCLUSIVE;
		ev.data.ptr = &listeners[i];
		epoll_ctl(ep, EPOLL_CTL_ADD, listeners[i].fd, &ev);
	}
	for (;;) {
		n = epoll_wait(ep, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			e = events[i].data.ptr;
			if (e->pair == NULL)
				welcome(e);
			else if (e->pair->over)
				continue;
			else if (serve(e, events[i].events) == -1)
				hang_up(e->pair);
			else
				watch(e->pair);
		}
		bury();
	}
}

static void
prepare_tls(const char *certificate, const char *key)
{
	use_tls = true;
	if (gnutls_certificate_allocate_credentials(&credentials) < 0 ||
	    gnutls_certificate_set_x509_key_file(
	        credentials, certificate, key, GNUTLS_X509_FMT_PEM) < 0 ||
	    gnutls_priority_init(&priorities,
	        "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL) < 0 ||
	    gnutls_session_ticket_key_generate(&ticket_key) < 0)
		errx(2, "no TLS with %s, %s", certificate, key);
}

static uint16_t
port(const char *s)
{
	const char *wrong;
	uint16_t n = (uint16_t)strtonum(s, 1, 65535, &wrong);

	if (wrong != NULL)
		errx(2, "port %s is %s", s, wrong);
	return n;
}

static struct end
listener(char *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct end e = { 0 };
	char *colon = strchr(arg, ':');
	int on = 1;

	if (colon == NULL)
		errx(2, "PORT:TARGET, not %s", arg);
	*colon = '\0';
	sin.sin_port = htons(port(arg));
	e.target = port(colon + 1);
	e.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (e.fd == -1 ||
	    setsockopt(e.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(e.fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(e.fd, 4096) == -1)
		err(2, "port %s", arg);
	return e;
}

int
main(int argc, char **argv)
{
	struct end listeners[LISTENERS];
	const char *certificate = NULL, *key = NULL;
	struct rlimit limit;
	int i, letter, n = 0;

	signal(SIGPIPE, SIG_IGN);
	/* a session is two descriptors */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	while ((letter = getopt(argc, argv, "c:k:")) != -1) {
		if (letter == 'c')
			certificate = optarg;
		else if (letter == 'k')
			key = optarg;
	}
	if (certificate != NULL && key != NULL)
		prepare_tls(certificate, key);
	for (; optind < argc && n < LISTENERS; optind++)
		listeners[n++] = listener(argv[optind]);
	for (i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			work(listeners, n);
	while (wait(NULL) > 0)
		continue;
	return 0;
}
