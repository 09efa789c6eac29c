/* SPDX-License-Identifier: ISC */
/*
 * fuzz_broker: what a worker, which may have been taken over, says to the
 * broker, with the broker's own handlers and book: it gets no more places in
 * the book than are its, nothing is done for a client that was not admitted,
 * and when it is gone nothing of it is left.  Inner servers and the kernel's
 * word on a client's address are the functions below.
 */
#include "../../common/broker.c"
#include <sys/mman.h>
#include <sys/socket.h>

#include <fcntl.h>

#include "broker_peername.h"
#include "fdpass.h"
#include "fuzz.h"
#include "priv.h"

#define PEERS 2
#define CONNECTIONS 3 /* of each worker */
#define SERVERS 2
#define ALL_MAX 5
#define MESSAGES_MAX 40
#define LEDGER_HEAD 64 /* octets, with its key */

static struct conf conf;
static struct broker broker;
static struct peer *peers[PEERS];
static uint8_t client_octet;
static uint32_t exchange;  /* the last one that it was told of */
static int helper_fd = -1; /* an authenticator's end, if there is one */
static char *table;        /* of the ledger */
static size_t table_size;

/* One connection to an inner server that is on its way. */
struct attempt {
	upstream_done *done;
	void *arg;
	uint64_t tried;
	TAILQ_ENTRY(attempt) entry;
};
static TAILQ_HEAD(, attempt) attempts = TAILQ_HEAD_INITIALIZER(attempts);

struct upstreams *
upstreams_new(struct event_base *base, const struct conf *c, struct dns *d)
{
	(void)base;
	(void)c;
	(void)d;
	return NULL;
}

struct attempt *
upstreams_connect(
    struct upstreams *u, uint64_t tried, upstream_done *done, void *arg)
{
	const struct request *rq = arg;
	struct attempt *a = xcalloc(1, sizeof(*a));
	struct addr client;

	(void)u;
	/* For clients in the book alone. */
	MUST(limit_address(
	         broker.limit, rq->peer->serial, rq->session, &client) == 0);
	*a = (struct attempt){ .done = done, .arg = arg, .tried = tried };
	TAILQ_INSERT_TAIL(&attempts, a, entry);
	return a;
}

struct attempt *
upstreams_connect_to(
    struct upstreams *u, uint16_t server, upstream_done *done, void *arg)
{
	(void)u;
	(void)done;
	(void)arg;
	MUST(server < SERVERS);
	return NULL;
}

void
attempt_cancel(struct attempt **a)
{
	if (*a == NULL)
		return;
	TAILQ_REMOVE(&attempts, *a, entry);
	free(*a);
	*a = NULL;
}

void
upstreams_report(struct upstreams *u, uint16_t server, bool good)
{
	(void)u;
	(void)good;
	MUST(server < SERVERS);
}

bool
upstreams_is_ours(const struct upstreams *u, const struct addr *peer, int fd)
{
	(void)u;
	(void)fd;
	return addr_port(peer) == 1;
}

/* The map of senders is read where the configuration has it. */
bool
priv_am_root(void)
{
	return false;
}

/* One client's name that is looked for. */
struct peername_wait {
	peername_done *done;
	void *arg;
	TAILQ_ENTRY(peername_wait) entry;
};
static TAILQ_HEAD(, peername_wait) waits = TAILQ_HEAD_INITIALIZER(waits);

struct peernames *
peernames_new(struct event_base *base)
{
	return (void *)base; /* it is only passed on */
}

struct peername_wait *
peername_lookup(struct peernames *p, const struct addr *addr,
    peername_done *done, void *arg)
{
	struct peername_wait *w = xcalloc(1, sizeof(*w));

	MUST(p != NULL && addr->sa.sa_family != AF_UNSPEC);
	*w = (struct peername_wait){ .done = done, .arg = arg };
	TAILQ_INSERT_TAIL(&waits, w, entry);
	return w;
}

void
peername_cancel(struct peername_wait **w)
{
	if (*w == NULL)
		return;
	TAILQ_REMOVE(&waits, *w, entry);
	free(*w);
	*w = NULL;
}

/* The oldest has an answer. */
static void
name_one(bool known)
{
	struct peername_wait *w = TAILQ_FIRST(&waits), copy;

	if (w == NULL)
		return;
	copy = *w;
	copy.done(copy.arg, known ? "client.example" : NULL);
}

void
role_accuse(enum role role, uint16_t number, uint32_t serial)
{
	(void)role;
	(void)number;
	(void)serial;
}

struct ipc *
role_confine(const struct role_start *start, const struct sandbox *box,
    unsigned int files, ipc_handler *handler, void *arg)
{
	(void)start;
	(void)box;
	(void)files;
	(void)handler;
	(void)arg;
	abort();
}

/* The client at the other end of a descriptor that a worker sends. */
int
getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	(void)fd;
	in.sin_addr.s_addr = htonl(0xc0000200U | (client_octet & 15U));
	in.sin_port = htons(client_octet / 16U);
	MUST(*len >= sizeof(in));
	memcpy(sa, &in, sizeof(in));
	*len = sizeof(in);
	return client_octet == 255 ? -1 : 0;
}

/* Each of them is a socket of its own. */
int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	static uint64_t cookie;
	const int type = SOCK_STREAM;

	(void)fd;
	MUST(level == SOL_SOCKET);
	if (name == SO_TYPE)
		memcpy(value, &type, sizeof(type));
	else if (name == SO_COOKIE && ++cookie > 0)
		memcpy(value, &cookie, sizeof(cookie));
	else
		return -1;
	MUST(*len == (name == SO_TYPE ? sizeof(type) : sizeof(cookie)));
	return 0;
}

int
getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(993) };

	(void)fd;
	in.sin_addr.s_addr = htonl(0xc0000301U);
	MUST(*len >= sizeof(in));
	memcpy(sa, &in, sizeof(in));
	*len = sizeof(in);
	return 0;
}

void
upstreams_tell(const struct upstreams *u, struct msg_servers_reply *m)
{
	(void)u;
	(void)m;
	abort();
}

static int
give_lesson(void *arg, struct writer *w, int fd, uint32_t but, bool *alone)
{
	(void)but;
	(void)alone;
	(void)arg;
	(void)w;
	(void)fd;
	return -1;
}

static void
tell(void *arg, struct writer *w)
{
	(void)arg;
	MUST(!w->failed);
}

/* Joe may send as himself, and everybody of a domain. */
static char *
make_map(void)
{
	static const char text[] = "joe@example.org joe\n@b.example joe\n";
	static char path[32];
	int fd = memfd_create("map", MFD_CLOEXEC);

	MUST(fd != -1 && write(fd, text, sizeof(text) - 1) > 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct conf_server servers[SERVERS];
	static char name[] = "mail.example";
	static struct addr_range proxies;

	(void)argc;
	(void)argv;
	fuzz_quiet();
	servers[0].name = servers[1].name = name;
	MUST(addr_range_parse(TEXT_LIT("192.0.2.8/29"), &proxies) == 0);
	conf = (struct conf){ .servers = servers,
		.nservers = SERVERS,
		.workers = PEERS,
		.worker_connections = CONNECTIONS,
		.connection_limit_address = 2,
		.anvil_rate_time_unit = 60,
		.client_connection_rate_limit = 4,
		.peername_lookup = true,
		.proxies = &proxies,
		.nproxies = 1,
		.authenticators = 1,
		.authenticators_max = 2,
		.sasl_timeout = 10,
		.outgoing_timeout = 10,
		.submit_rules = true,
		.sender_login_map = make_map(),
		.user_message_limit = 2,
		.user_recipient_limit = 3,
		.sasl = true };
	broker = (struct broker){ .base = event_base_new(), .conf = &conf };
	TAILQ_INIT(&broker.peers);
	broker.places = broker_places(&conf);
	broker.limit = limit_new(xcalloc(1, limit_size(broker.places)),
	    broker.places, ALL_MAX, conf.connection_limit_address);
	table = xcalloc(1, ledger_size(0));
	table_size = ledger_size(0);
	ledger_format(table, 0);
	broker.abuse = abuse_new(&conf, ledger_new(table, ledger_size(0)));
	broker.admits =
	    admits_new(broker.base, &conf, broker.limit, broker.abuse, NULL);
	broker.lessons = lessons_new(broker.base, &conf, NULL,
	    capability_intersect, give_lesson, tell, &broker);
	broker.auths = auths_new(broker.base, &conf, broker.limit, broker.abuse,
	    tell, tell, &broker);
	broker.submits = submits_new(&conf, broker.abuse);
	return 0;
}

static struct peer *
peer_new(uint16_t number, int *far)
{
	struct peer *p = xcalloc(1, sizeof(*p));
	int fds[2];

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	p->broker = &broker;
	p->number = number;
	p->serial = 100U + number;
	RB_INIT(&p->requests);
	p->ch = ipc_new(broker.base, fds[0], ROLE_BROKER, ROLE_WORKER,
	    on_worker, on_worker_closed, p);
	TAILQ_INSERT_HEAD(&broker.peers, p, entry);
	*far = fds[1];
	return p;
}

/* The oldest attempt ends. */
static void
connect_one(uint8_t how)
{
	struct attempt *a = TAILQ_FIRST(&attempts), copy;

	if (a == NULL)
		return;
	copy = *a;
	TAILQ_REMOVE(&attempts, a, entry);
	free(a);
	copy.done(copy.arg, how & 1 ? dup(STDIN_FILENO) : -1, how & 2 ? 1 : 0);
}

/* A worker that breaks a rule is ended, and here forgotten. */
static void
say(unsigned int n, struct input *in, bool lost)
{
	unsigned int type = input_u8(in); /* no remainder: types are added */
	struct text t = input_text(in, input_u8(in));
	struct reader r;
	bool has_fd = type == MSG_ADMIT;
	int fd;

	if (peers[n] == NULL ||
	    !msg_allowed(
	        type, ROLE_WORKER, ROLE_BROKER, has_fd, MSG_HEADER + t.len))
		return;
	t = fuzz_copy(t.p, t.len);
	r = (struct reader){ t.p, t.len };
	fd = !has_fd ? -1 : lost ? FDPASS_LOST : dup(STDIN_FILENO);
	if (on_worker(peers[n], peers[n]->ch, (enum msg_type)type, 1, &r, fd) ==
	    -1) {
		on_worker_closed(peers[n], peers[n]->ch, "nonsense");
		peers[n] = NULL;
	}
	fuzz_free(t);
}

static void
turn(void)
{
	char data[MSG_MAX];
	struct msg_exchange m;
	struct reader r;
	uint16_t type;
	uint32_t id;
	ssize_t n;
	int i;

	for (i = 0; i < 2; i++)
		(void)event_base_loop(
		    broker.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	/* Of what it is told, exchanges' numbers matter. */
	while (helper_fd != -1 &&
	    (n = recv(helper_fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		r = (struct reader){ data, (size_t)n };
		if (get_u16(&r, &type) == 0 && get_u32(&r, &id) == 0 &&
		    type == MSG_EXCHANGE && msg_get_exchange(&r, &m) == 0)
			exchange = m.exchange;
	}
}

/* The only authenticator comes, or goes. */
static void
helper_turn(void)
{
	static const struct msg_peer m = { ROLE_AUTHENTICATOR, 0, 50 };
	int fds[2];

	if (helper_fd != -1) {
		close(helper_fd);
		helper_fd = -1;
		turn();
		return;
	}
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	helper_fd = fds[1];
	auths_add(broker.auths, &m, fds[0]);
	turn();
}

/* How the last exchange goes, or the one before. */
static void
helper_step(struct input *in)
{
	static struct writer w;
	struct msg_step m = { 0 };
	uint8_t what = input_u8(in);

	turn(); /* it may have been told of one */
	m.exchange = exchange - what / 128;
	m.step = what % STEPS;
	m.user = input_text(in, what / 8 % 8);
	m.proof = what;
	if (helper_fd == -1)
		return;
	msg_start(&w, MSG_STEP, 0);
	msg_put_step(&w, &m);
	(void)send(helper_fd, w.data, w.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	turn();
}

/* It may have been taken over, too. */
static void
helper_say(struct input *in)
{
	static struct writer w;
	unsigned int type = input_u8(in), id = input_u8(in);
	struct text t = input_text(in, input_u8(in));

	if (helper_fd == -1)
		return;
	msg_start(&w, (enum msg_type)type, id);
	memcpy(w.data + w.len, t.p, t.len);
	(void)send(
	    helper_fd, w.data, w.len + t.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	turn();
}

/* What has been counted of other inputs is forgotten. */
static void
clear_ledger(void)
{
	memset(table + LEDGER_HEAD, 0, table_size - LEDGER_HEAD);
}

static void
check(void)
{
	unsigned int i, all = 0;

	for (i = 0; i < PEERS; i++) {
		if (peers[i] == NULL)
			continue;
		MUST(peers[i]->admitted <= CONNECTIONS);
		MUST(peers[i]->nheld <= broker.places);
		all += peers[i]->admitted;
	}
	MUST(limit_count(broker.limit) <= broker.places);
	MUST(limit_count(broker.limit) == all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	int far[PEERS], i, before = fuzz_lowest_fd();
	uint8_t what;

	clear_ledger();
	for (i = 0; i < PEERS; i++)
		peers[i] = peer_new((uint16_t)i, &far[i]);
	for (i = 0; i < MESSAGES_MAX && in.left > 0; i++) {
		what = input_u8(&in);
		client_octet = input_u8(&in);
		if (what & 2 && what & 32 && what & 4)
			helper_turn();
		else if (what & 2 && what & 32 && what & 64)
			helper_step(&in);
		else if (what & 2 && what & 32)
			helper_say(&in);
		else if (what & 2 && what & 16)
			name_one(what & 4);
		else if (what & 2)
			connect_one(what / 4);
		else
			say(what % PEERS, &in, what & 128);
		check();
	}
	for (i = 0; i < PEERS; i++) {
		if (peers[i] != NULL)
			forget(peers[i]);
		close(far[i]);
	}
	if (helper_fd != -1)
		helper_turn();
	MUST(limit_count(broker.limit) == 0);
	MUST(TAILQ_EMPTY(&broker.peers) && TAILQ_EMPTY(&attempts));
	MUST(TAILQ_EMPTY(&waits));
	MUST(fuzz_lowest_fd() == before);
	return 0;
}
