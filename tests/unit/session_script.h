/* SPDX-License-Identifier: ISC */
/*
 * session_script: a session's life as a script, for its tests.  A case is a
 * situation, steps, and what the session has then asked of its worker.
 *
 * Steps: what the broker or the master does ("admit", "connect 1": to inner
 * server 1, "connect in vain": when nobody asked for it, "verdict 1", "stop"),
 * what time does ("wait 30": seconds), what an authenticator does (A, see
 * session_authenticator.h), and what the two far ends do, C being the client
 * and S the inner server:
 *
 *	C>text    sends text            C fin    ends its side
 *	C<text    must get text         C eof    must get our end, nothing else
 *	C silent  has nothing to read   C gone   is cut off, in whatever way
 *	C tls     shakes hands          C close  closes its socket
 *	C bye     says close_notify     C reset  resets the connection
 *	C cork, C uncork: what it says in between goes out at once
 *	C flood   sends a line without end
 *	C chatter sends too many empty lines
 *	C pour    sends until nothing goes any further
 *	S last    sends what the session must keep for the client, and its end
 *	C drain   must get all that was poured
 */
#ifndef SESSION_SCRIPT_H
#define SESSION_SCRIPT_H

#include "session_authenticator.h"

#define SETTLE_TURNS 30 /* of the loop: more than one step sets off */
#define READ_TRIES 400  /* each of 5 ms at most */
#define SCRIPT_DELAY_MS 2000
#define LAST_WORDS 32768 /* octets */
#define CHATTER 101      /* lines: one more than a dialogue may have */

enum situation {
	IMPLICIT_TLS = 1,
	OFFER_STARTTLS = 2,
	NO_CLEAR_LOGIN = 4,
	LIST_AWAITED = 8,
	LIST_SET = 16, /* by the administrator */
	TWO_SERVERS = 32,
	INNER_TLS = 64,
	RELOG = 128,
	LESSON = 256, /* begins with a connection to the inner server */
	NO_TIMEOUTS = 512,
	CHECK_HERE = 1024, /* authenticate_in */
	HASTY = 2048,      /* the broker need not have spoken yet */
	PROXIED = 4096,    /* the client's address is a proxy's */
	SEND_HEADER = 8192 /* of version 1, to inner servers */
};

struct script {
	const char *name;
	unsigned int situation;
	const char *const *steps;
	const char *trace;
};
#define STEPS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct far client, server;
static const struct script *script; /* the one that runs */
static const char *step;            /* of it */
static char script_got[1 << 16], script_text[1 << 16];
static size_t poured, drained; /* octets */

#define script_fail(what) fail_msg("%s: %s: %s", script->name, step, what)

static void
settle(void)
{
	int i;

	for (i = 0; i < SETTLE_TURNS; i++)
		(void)event_base_loop(fake.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Let the session run until f has something to read, or the end. */
static void
settle_for(const struct far *f)
{
	settle();
	if (f->tls == NULL || f->tls->in.len == 0)
		(void)poll(&(struct pollfd){ f->fd, POLLIN, 0 }, 1, 5);
}

static void
far_says(struct far *f, const char *text)
{
	size_t n = strlen(text);

	if (far_write(f, text, n) != n)
		script_fail("it cannot be sent");
}

static void
far_hears(struct far *f, const char *text)
{
	size_t at = 0, want = strlen(text);
	ssize_t n = -1;
	int i;

	for (i = 0; i < READ_TRIES && at < want && n != 0; i++) {
		settle_for(f);
		n = far_read(f, script_got + at, want - at);
		at += n > 0 ? (size_t)n : 0;
	}
	script_got[at] = '\0';
	if (strcmp(script_got, text) != 0)
		script_fail(script_got);
}

static void
far_sees_end(struct far *f)
{
	ssize_t n = -1;
	int i;

	for (i = 0; i < READ_TRIES && n == -1; i++) {
		settle_for(f);
		n = far_read(f, script_got, sizeof(script_got));
	}
	if (n != 0)
		script_fail("it does not end here");
	/* Behind close_notify there is the FIN, and nothing in between. */
	n = -1;
	for (i = 0; f->tls != NULL && i < READ_TRIES && n == -1; i++) {
		settle_for(f);
		n = far_fetch(f, sizeof(script_got));
	}
	if (n > 0 || (f->tls != NULL && n != 0))
		script_fail("more behind the end");
}

static void
far_is_gone(struct far *f)
{
	ssize_t n = -1;
	int i;

	for (i = 0; i < READ_TRIES && n != 0; i++) {
		settle_for(f);
		n = recv(f->fd, script_got, sizeof(script_got), MSG_DONTWAIT);
	}
	if (n != 0)
		script_fail("it is still there");
}

static void
far_silent(struct far *f)
{
	settle_for(f);
	if (far_read(f, script_got, 1) != -1)
		script_fail("something came");
}

static void
far_pours(struct far *f)
{
	size_t n, stalls = 0;

	drained = 0;
	for (poured = 0; stalls < 3; poured += n) {
		n = far_write(f, script_text, sizeof(script_text));
		if (n < sizeof(script_text)) /* the same octets each time */
			stalls = n == 0 ? stalls + 1 : 3;
		settle();
	}
}

/* More than a session keeps, and no LF in it. */
static void
far_floods(struct far *f)
{
	memset(script_got, 'x', sizeof(script_got));
	if (far_write(f, script_got, sizeof(script_got)) != sizeof(script_got))
		script_fail("it cannot be sent");
}

/* Lines of which there is no end, and nothing in them. */
static void
far_chatters(struct far *f)
{
	char lines[2 * CHATTER];
	size_t i;

	for (i = 0; i < sizeof(lines); i += 2)
		memcpy(lines + i, "\r\n", 2);
	if (far_write(f, lines, sizeof(lines)) != sizeof(lines))
		script_fail("it cannot be sent");
}

/* RFC 8446 6.1: no more from this side; the socket stays. */
static void
far_says_bye(struct far *f)
{
	pki_ok(gnutls_bye(f->tls->s, GNUTLS_SHUT_WR));
	far_push(f);
}

/* The next ones of what was poured, at most so many.  Returns how many. */
static size_t
far_sips(struct far *f, size_t most)
{
	const size_t left = sizeof(script_text) - drained % sizeof(script_text);
	ssize_t n;

	settle_for(f);
	n = far_read(f, script_got, left < most ? left : most);
	if (n <= 0)
		return 0;
	if (memcmp(script_got, script_text + drained % sizeof(script_text),
	        (size_t)n) != 0)
		script_fail("other octets");
	drained += (size_t)n;
	return (size_t)n;
}

static void
far_drains(struct far *f)
{
	int i;

	for (i = 0; i < READ_TRIES && drained < poured; i++)
		if (far_sips(f, sizeof(script_text)) > 0)
			i = 0;
	if (drained != poured)
		script_fail("not all of it");
}

static void
far_pours_some(struct far *f, size_t n)
{
	const size_t left = sizeof(script_text) - poured % sizeof(script_text);

	if (n > left)
		n = left;
	if (far_write(f, script_text + poured % sizeof(script_text), n) != n)
		script_fail("it cannot be sent");
	poured += n;
}

/*
 * The kernel is full of what is for the client, and the session keeps nothing
 * of it yet; then come the last words, which it has to keep, with the end.
 */
static void
far_says_last(void)
{
	struct stream *st = &fake.session->client;
	const int small = 4096;
	int i;

	if (setsockopt(st->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) ==
	    -1)
		script_fail("SO_SNDBUF");
	poured = drained = 0;
	while (!stream_pending(st)) {
		far_pours_some(&server, LAST_WORDS);
		settle();
	}
	for (i = 0; i < READ_TRIES && stream_pending(st); i++)
		(void)far_sips(&client, 512);
	far_pours_some(&server, LAST_WORDS);
	if (shutdown(server.fd, SHUT_WR) == -1)
		script_fail("shutdown");
	settle();
	if (!stream_pending(st))
		script_fail("nothing waits");
}

static void
far_secures(struct far *f, unsigned int flags)
{
	bool done = false;
	int i;

	f->tls = peer_new(V13, flags);
	if (flags == GNUTLS_SERVER)
		pki_ok(gnutls_certificate_set_x509_key(
		    f->tls->cred, &fake_pki.pair->crt, 1, fake_pki.pair->x));
	for (i = 0; i < FAR_ROUNDS && !done; i++) {
		settle_for(f);
		done = far_greet(f);
	}
	if (!done)
		script_fail(gnutls_strerror(f->tls->error));
}

static void
far_cork(struct far *f, int on)
{
	assert_int_equal(
	    setsockopt(f->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
}

static void
far_does(struct far *f, const char *what, unsigned int tls_flags)
{
	if (f->fd == -1)
		script_fail("it is not there");
	if (what[0] == '>')
		far_says(f, what + 1);
	else if (what[0] == '<')
		far_hears(f, what + 1);
	else if (strcmp(what, " silent") == 0)
		far_silent(f);
	else if (strcmp(what, " tls") == 0)
		far_secures(f, tls_flags);
	else if (strcmp(what, " eof") == 0)
		far_sees_end(f);
	else if (strcmp(what, " gone") == 0)
		far_is_gone(f);
	else if (strcmp(what, " fin") == 0)
		assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
	else if (strcmp(what, " pour") == 0)
		far_pours(f);
	else if (strcmp(what, " flood") == 0)
		far_floods(f);
	else if (strcmp(what, " chatter") == 0)
		far_chatters(f);
	else if (strcmp(what, " cork") == 0)
		far_cork(f, 1);
	else if (strcmp(what, " uncork") == 0)
		far_cork(f, 0);
	else if (strcmp(what, " bye") == 0)
		far_says_bye(f);
	else if (strcmp(what, " drain") == 0)
		far_drains(f);
	else if (strcmp(what, " last") == 0)
		far_says_last();
	else if (strcmp(what, " close") == 0)
		far_close(f);
	else if (strcmp(what, " reset") == 0) {
		far_set_reset(f->fd);
		far_close(f);
	} else
		script_fail("no such step");
}

/* The near end of a new connection to the inner server. */
static int
new_server(void)
{
	int fds[2];

	far_close(&server);
	far_tcp(fds);
	server.fd = fds[1];
	return fds[0];
}

static bool
admission(const char *what)
{
	static const char *const names[] = { [ADMIT_OK] = "admit",
		[ADMIT_TOO_MANY] = "too many",
		[ADMIT_TOO_MANY_ADDRESS] = "too many of you",
		[ADMIT_LOOP] = "loop",
		[ADMIT_GONE] = "left" };
	size_t i;

	for (i = 0; i < NITEMS(names); i++)
		if (strcmp(what, names[i]) == 0) {
			session_admitted(fake.session, (enum admit_verdict)i);
			return true;
		}
	return false;
}

/* Whether it gives way, or another for it. */
static bool
room(const char *what)
{
	static const char *const names[] = { [YIELD_NEVER] = "stays",
		[YIELD_IN_TURN] = "yields",
		[YIELD_FIRST] = "yields first" };
	size_t i;

	for (i = 0; i < NITEMS(names); i++)
		if (strcmp(what, names[i]) == 0) {
			if (fake.yield != i)
				script_fail(names[fake.yield]);
			return true;
		}
	if (strcmp(what, "room") == 0) {
		fake.has_room = true;
		return true;
	}
	if (strcmp(what, "give way") != 0)
		return false;
	fake.session->unplaced = true;
	session_give_way(fake.session);
	return true;
}

static void
list_known(void)
{
	capability_clear(&fake.list);
	(void)capability_add_words(&fake.list, TEXT_LIT("KNOWN"));
	fake.list_state = WORKER_LIST_KNOWN;
	session_list_known(fake.session);
}

/* A connection that nobody waits for is closed, and the session goes on. */
static void
connect_in_vain(void)
{
	int fds[2];

	far_tcp(fds);
	session_connected(fake.session, fds[0], 0, SCRIPT_DELAY_MS);
	if (poll(&(struct pollfd){ fds[1], POLLIN, 0 }, 1, 1000) != 1 ||
	    recv(fds[1], script_got, 1, 0) != 0)
		script_fail("it is not closed");
	close(fds[1]);
}

/* A step of the processes around the session. */
static void
role_does(const char *what)
{
	const char *n;
	uint64_t number = 0;

	if (fake.session == NULL)
		script_fail("the session has ended");
	if ((n = fake_after(what, "connect ")) != NULL &&
	    text_u64(text_of(n), 1, &number))
		session_connected(fake.session, new_server(), (uint16_t)number,
		    SCRIPT_DELAY_MS);
	else if ((n = fake_after(what, "verdict ")) != NULL &&
	    text_u64(text_of(n), SUBMIT_VERDICTS - 1, &number))
		session_submit_answered(
		    fake.session, (enum submit_verdict)number);
	else if (strcmp(what, "connect in vain") == 0)
		connect_in_vain();
	else if (strcmp(what, "no server") == 0)
		session_connected(
		    fake.session, -1, MSG_NO_SERVER, SCRIPT_DELAY_MS);
	else if (strcmp(what, "list") == 0)
		list_known();
	else if (strcmp(what, "stop") == 0)
		session_stop(fake.session);
	else if (strcmp(what, "broker") == 0)
		session_broker_back(fake.session);
	else if (!admission(what) && !room(what))
		script_fail("no such step");
}

static void
do_step(void)
{
	const char *n;
	uint64_t seconds = 0;

	if (step[0] == 'C')
		far_does(&client, step + 1, GNUTLS_CLIENT);
	else if (step[0] == 'S')
		far_does(&server, step + 1, GNUTLS_SERVER);
	else if (step[0] == 'A')
		authenticator_does(step + 1);
	else if ((n = fake_after(step, "wait ")) != NULL &&
	    text_u64(text_of(n), 1000, &seconds))
		fake_now += (time_t)seconds;
	else
		role_does(step);
	settle();
}

static void
set_situation(unsigned int situation)
{
	static char name[] = "mail.example", words[] = "SET";
	bool limits = (situation & NO_TIMEOUTS) == 0;

	static struct addr_range proxies;

	fake.conf = fake_pki.conf;
	assert_int_equal(
	    addr_range_parse(TEXT_LIT("127.0.0.0/8"), &proxies), 0);
	fake.conf.proxies = &proxies;
	fake.conf.nproxies = situation & PROXIED ? 1 : 0;
	fake.conf.outgoing_proxy = situation & SEND_HEADER ? 1 : 0;
	fake.servers[0].name = fake.servers[1].name = name;
	fake.conf.servers = fake.servers;
	fake.conf.nservers = situation & TWO_SERVERS ? 2 : 1;
	fake.conf.authenticate_timeout = limits ? 60 : 0;
	fake.conf.timeout = limits ? 40 : 0;
	fake.hasty = (situation & HASTY) != 0;
	fake.has_room = false;
	fake.conf.authenticate_in = (situation & CHECK_HERE) != 0;
	fake.conf.sasl_timeout = 10;
	fake.conf.outgoing_timeout = 30;
	fake.conf.login_attempts = limits ? 2 : 0;
	fake.conf.connect_relog = situation & RELOG ? 10 : 0;
	fake.conf.capability = situation & LIST_SET ? words : NULL;
	fake.conf.outgoing_tls =
	    situation & INNER_TLS ? OUTGOING_SSL : OUTGOING_PLAIN;
	fake.list_state =
	    situation & LIST_AWAITED ? WORKER_LIST_AWAITED : WORKER_LIST_NONE;
}

static void
begin(unsigned int situation)
{
	struct conf_listen l = { .mode = LISTEN_PLAIN,
		.clear_login = (situation & NO_CLEAR_LOGIN) == 0 };
	struct addr peer, local;
	int fds[2];

	set_situation(situation);
	if (situation & LESSON) {
		fake.session = session_new_lesson(&fake, new_server(), 0);
		return;
	}
	if (situation & IMPLICIT_TLS)
		l.mode = LISTEN_SSL;
	else if (situation & OFFER_STARTTLS)
		l.mode = LISTEN_STARTTLS;
	far_tcp(fds);
	client.fd = fds[1];
	assert_int_equal(addr_peer(fds[0], &peer), 0);
	assert_int_equal(addr_local(fds[0], &local), 0);
	fake.session = session_new(&fake, fds[0], &l, &peer, &local, 7);
}

static int
open_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
run_script(const struct script *sc)
{
	const char *const *at;
	int fds;

	script = sc;
	step = "begin";
	fake.trace[0] = '\0';
	fake.ended = 0;
	fds = open_descriptors();
	begin(sc->situation);
	for (at = sc->steps; *at != NULL; at++) {
		step = *at;
		do_step();
	}
	step = "end";
	if (strcmp(fake.trace, sc->trace) != 0)
		script_fail(fake.trace);
	if (fake.session != NULL)
		script_fail("the session lives on");
	far_close(&client);
	far_close(&server);
	authenticator_end();
	if (fake.ended != 1)
		script_fail("the protocol's part was not ended once");
	if (open_descriptors() != fds)
		script_fail("a descriptor is left");
}

static inline void
run_scripts(const struct script *scripts, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		run_script(&scripts[i]);
}

static void
drop_message(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
}

/* Around all tests of a program. */
static inline int
script_start(void **state)
{
	const char *why;

	(void)state;
	log_set_sink(drop_message, NULL);
	far_pki_start(&fake_pki);
	fake_pki.conf.ssl_no_cert_verify = true;
	fake.tls_client =
	    tls_client_new(&fake_pki.conf, fake_pki.handover, &why);
	stream_global_init();
	pki_ok(gnutls_rnd(GNUTLS_RND_NONCE, script_text, sizeof(script_text)));
	return fake.tls_client == NULL;
}

static inline int
script_stop(void **state)
{
	(void)state;
	tls_client_free(&fake.tls_client);
	far_pki_stop(&fake_pki);
	return 0;
}

/* A loop for each test: one that failed leaves its events to the next. */
static int
script_set_up(void **state)
{
	(void)state;
	fake.base = event_base_new();
	client.fd = server.fd = -1;
	return fake.base == NULL;
}

static int
script_tear_down(void **state)
{
	(void)state;
	event_base_free(fake.base);
	return 0;
}

#define SCRIPT_TEST(f)                                                         \
	cmocka_unit_test_setup_teardown(f, script_set_up, script_tear_down)

#define SCRIPTS(name)                                                          \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		run_scripts(name, NITEMS(name));                               \
	}

/* What many scripts begin with, and what comes of it. */
#define HELLO "C<hello MIN LOGIN\n"
#define JOE "S<user joe secret\n"
/* In clear, to the moment when the inner server knows who comes. */
#define LOGIN_STEPS                                                            \
	"admit", HELLO, "C>login joe\n", "connect 0", "S>greet\r\n", JOE
#define RELAY_STEPS LOGIN_STEPS, "S>ok\r\n", "C<ok\n"
#define LOGIN_TRACE "admit Connect connect:0 "
#define RELAY_TRACE LOGIN_TRACE "Auth(joe ok) ok@0 "

#endif
