/* SPDX-License-Identifier: ISC */
/*
 * The broker's view of authenticators: who gets an exchange, when there are
 * to be more or fewer, what becomes of one that does not come back or that
 * breaks a rule.  The test is the authenticators, the master and the clock.
 */
#include <sys/socket.h>
#include <sys/syscall.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker_pool.h"
#include "fdpass.h"
#include "log.h"
#include "role.h"

#define HELPERS 4 /* authenticators_max */
#define TIMEOUT 10

static struct event_base *base;
static struct pool *pool;
static struct conf conf;
static int far[HELPERS]; /* the authenticators' ends */
static char trace[1024];
static struct pool_grant last;
static int64_t now_ms = 1000000;

/* In place of libc's, for us and for libevent's timers. */
int
clock_gettime(clockid_t id, struct timespec *t)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, id, t);
	*t = (struct timespec){ .tv_sec = (time_t)(now_ms / 1000),
		.tv_nsec = (long)(now_ms % 1000) * 1000000 };
	return 0;
}

static void __attribute__((format(printf, 1, 2))) note(const char *fmt, ...)
{
	size_t len = strlen(trace);
	va_list ap;

	if (len > 0)
		trace[len++] = ' ';
	va_start(ap, fmt);
	(void)vsnprintf(trace + len, sizeof(trace) - len, fmt, ap);
	va_end(ap);
}

/* In place of role.c's. */
void
role_accuse(enum role role, uint16_t number, uint32_t serial)
{
	note("%s:%u/%u", role == ROLE_WORKER ? "worker" : "accuse", number,
	    serial);
}

struct event_base *
role_event_base(void)
{
	return event_base_new();
}

static const char *
name_of(const void *arg)
{
	return arg;
}

static void
on_granted(void *arg, const struct pool_grant *g)
{
	note("%s:%s", name_of(arg), g != NULL ? "granted" : "taken");
	if (g != NULL)
		last = *g;
}

static void
on_outcome(void *arg, const struct msg_step *m)
{
	note("%s:%s", name_of(arg), m->step == STEP_OK ? "ok" : "refused");
}

static void
on_over(void *arg)
{
	note("%s:over", name_of(arg));
}

static void
to_master(void *arg, struct writer *w)
{
	struct reader r = { w->data + MSG_HEADER, w->len - MSG_HEADER };
	struct msg_pool m;

	(void)arg;
	assert_int_equal(msg_get_pool(&r, &m), 0);
	note("want:%u", m.wanted);
}

static void
to_workers(void *arg, struct writer *w)
{
	struct reader r = { w->data + MSG_HEADER, w->len - MSG_HEADER };
	struct msg_sasl_mechs m;

	(void)arg;
	assert_int_equal(msg_get_sasl_mechs(&r, &m), 0);
	note("mechs(%.*s)", TEXT_ARG(m.list));
}

/* What has happened since the last time. */
static void
expect(const char *what)
{
	int i;

	for (i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_string_equal(trace, what);
	trace[0] = '\0';
}

static void
add(uint16_t number, uint32_t serial)
{
	struct msg_peer m = { ROLE_AUTHENTICATOR, number, serial };
	int ends[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	if (far[number] != -1)
		close(far[number]);
	far[number] = ends[1];
	pool_add(pool, &m, ends[0]);
}

static void
send_far(unsigned int n, const struct writer *w)
{
	assert_int_equal(fdpass_send(far[n], w->data, w->len, -1), 0);
}

static void
say_mechs(unsigned int n)
{
	struct writer w;

	msg_start(&w, MSG_SASL_MECHS, 0);
	msg_put_sasl_mechs(
	    &w, &(struct msg_sasl_mechs){ TEXT_LIT("PLAIN LOGIN") });
	send_far(n, &w);
}

static void
say(unsigned int n, uint32_t exchange, enum step step)
{
	struct writer w;

	msg_start(&w, MSG_STEP, 0);
	msg_put_step(&w,
	    &(struct msg_step){ .exchange = exchange, .step = (uint8_t)step });
	send_far(n, &w);
}

/* The number of the exchange that authenticator n was given for worker. */
static uint32_t
given_for(unsigned int n, uint32_t worker, bool channel)
{
	char data[MSG_MAX];
	struct msg_exchange m;
	struct reader r;
	ssize_t len;
	int fd;

	len = fdpass_recv(far[n], data, sizeof(data), false, &fd);
	assert_true(len > MSG_HEADER);
	assert_int_equal(fd != -1, channel);
	if (fd != -1)
		close(fd);
	r = (struct reader){ data + MSG_HEADER, (size_t)len - MSG_HEADER };
	assert_int_equal(msg_get_exchange(&r, &m), 0);
	assert_int_equal(m.failure_delay_ms, 2345);
	assert_true(addr_is_loopback(&m.client));
	assert_int_equal(m.serial, worker);
	return m.exchange;
}

static uint32_t
given(unsigned int n)
{
	return given_for(n, 11, true);
}

static void
ask_for(char *name, uint32_t worker)
{
	struct addr client;

	assert_int_equal(addr_parse(TEXT_LIT("127.0.0.1"), 1, &client), 0);
	pool_ask(pool, 1, worker, &client, 2345, false, name);
}

/* As a worker of its own, which has no channel yet. */
static void
ask(char *name)
{
	pool_forget(pool, 11);
	ask_for(name, 11);
}

static void
pass(time_t seconds)
{
	now_ms += seconds * 1000;
}

/* Longer than steps most often take. */
static void
be_patient(void)
{
	now_ms += 101;
}

static const struct pool_user user = { on_granted, on_outcome, on_over };

/* With two authenticators that serve. */
static int
setup(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < HELPERS; i++)
		far[i] = -1;
	trace[0] = '\0';
	conf = (struct conf){ .sasl = true,
		.authenticators = 2,
		.authenticators_max = HELPERS,
		.sasl_timeout = TIMEOUT };
	base = event_base_new();
	pool = pool_new(base, &conf, &user, to_master, to_workers, NULL);
	add(0, 1);
	add(1, 2);
	say_mechs(0);
	say_mechs(1);
	expect("mechs(PLAIN LOGIN)"); /* once */
	return 0;
}

static int
teardown(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < HELPERS; i++)
		if (far[i] != -1)
			close(far[i]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	pool_free(&pool);
	event_base_free(base);
	return 0;
}

static char a[] = "a", b[] = "b", c[] = "c", d[] = "d", e[] = "e";

static void
test_a_login(void **state)
{
	uint32_t n;

	(void)state;
	ask(a);
	expect("a:granted");
	n = given(0);
	say(0, n, STEP_REFUSED);
	expect("a:refused");
	say(0, n, STEP_OVER);
	expect("a:over");
	ask(b); /* the same one again: it has nothing to do */
	expect("b:granted");
	n = given(0);
	say(0, n, STEP_OK);
	expect("b:ok b:over");
}

/* Each to one of its own, as long as there may be more. */
static void
test_it_grows(void **state)
{
	uint32_t na;

	(void)state;
	ask(a);
	ask(b);
	expect("a:granted b:granted");
	na = given(0);
	(void)given(1);
	ask(c);
	ask(d);
	expect("");
	be_patient();
	expect("want:3 want:4");
	ask(e); /* at the limit, and none hears us */
	expect("");
	be_patient();
	expect("e:taken");
	add(2, 3);
	say_mechs(2);
	expect("c:granted");
	(void)given(2);
	say(0, na, STEP_WAITS);
	expect(""); /* it waits for its client: no room for d's first step */
	say(0, na, STEP_OVER);
	expect("a:over d:granted");
}

/* A burst of logins is soon over: no more processes for that. */
static void
test_it_is_patient(void **state)
{
	uint32_t na;

	(void)state;
	ask(a);
	ask(b);
	ask(c);
	ask(d);
	expect("a:granted b:granted");
	na = given(0);
	(void)given(1);
	say(0, na, STEP_OVER);
	expect("a:over c:granted");
	na = given(0);
	say(0, na, STEP_OVER);
	expect("c:over d:granted");
	be_patient();
	expect("");
}

/* One whose client thinks would be in its way with another one's step. */
static void
test_it_does_not_share_yet(void **state)
{
	uint32_t na, nb;

	(void)state;
	ask(a);
	ask(b);
	na = given(0);
	nb = given(1);
	say(0, na, STEP_WAITS);
	say(1, nb, STEP_WAITS);
	expect("a:granted b:granted");
	ask(c);
	expect("want:3");
	add(2, 3);
	say_mechs(2);
	expect("c:granted");
}

/* A failure that is held back is in nobody's way. */
static void
test_failures_take_no_place(void **state)
{
	uint32_t na, nb;

	(void)state;
	ask(a);
	ask(b);
	na = given(0);
	nb = given(1);
	say(0, na, STEP_REFUSED);
	say(1, nb, STEP_TURNED);
	expect("a:granted b:granted a:refused b:refused");
	ask(c);
	expect("c:granted");
	(void)given(0);
	ask(d);
	expect("d:granted");
	say(1, given(1), STEP_OVER);
	expect("d:over");
	say(0, na, STEP_OVER);
	say(1, nb, STEP_OVER);
	expect("a:over b:over");
	ask(d); /* a's end has not made room beside c */
	expect("d:granted");
	(void)given(1);
}

/* Its answer would be lost. */
static void
test_none_goes_that_holds_a_failure(void **state)
{
	uint32_t n;

	(void)state;
	add(2, 3);
	say_mechs(2);
	ask(a);
	ask(b);
	ask(c);
	expect("a:granted b:granted c:granted");
	n = given(2);
	say(2, n, STEP_REFUSED);
	expect("c:refused");
	pass(2 * TIMEOUT - 1);
	say(0, given(0), STEP_OVER);
	say(1, given(1), STEP_OVER);
	expect("a:over b:over");
	pass(2);
	expect("");
	say(2, n, STEP_OVER);
	expect("c:over");
	pass(2 * TIMEOUT + 1);
	expect("want:2");
}

/* At the limit those that wait for a client take another one. */
static void
test_they_share(void **state)
{
	char *names[] = { a, b, c, d };
	uint32_t n[4];
	unsigned int i;

	(void)state;
	add(2, 3);
	add(3, 4);
	say_mechs(2);
	say_mechs(3);
	expect("");
	for (i = 0; i < 4; i++) {
		ask(names[i]);
		n[i] = given(i);
	}
	expect("a:granted b:granted c:granted d:granted");
	ask(e);
	expect("");
	be_patient();
	expect("e:taken");
	say(2, n[2], STEP_WAITS); /* a challenge went out */
	expect("");
	ask(e);
	expect("e:granted");
	(void)given(2);
	ask(a); /* e's first step is to come: it is not to wait for a's */
	be_patient();
	expect("a:taken");
}

static void
test_it_shrinks(void **state)
{
	uint32_t n;

	(void)state;
	ask(a);
	ask(b);
	ask(c);
	expect("a:granted b:granted");
	be_patient();
	expect("want:3");
	add(2, 3);
	say_mechs(2);
	expect("c:granted");
	n = given(2);
	say(2, n, STEP_WAITS);
	say(0, given(0), STEP_OVER);
	say(1, given(1), STEP_OVER);
	expect("a:over b:over");
	pass(2 * TIMEOUT + 1);
	expect(""); /* the last one has something to do */
	say(2, n, STEP_OVER);
	expect("c:over");
	pass(2 * TIMEOUT - 1);
	expect("");
	pass(2);
	expect("want:2");
	ask(a); /* to one that stays */
	expect("a:granted");
	(void)given(0);
	close(far[2]);
	far[2] = -1;
	expect(""); /* nobody is to blame */
}

static void
test_it_hangs(void **state)
{
	uint32_t n;

	(void)state;
	ask(a);
	expect("a:granted");
	n = given(0);
	say(0, n, STEP_WAITS);
	expect("");
	pass(TIMEOUT + 2);
	expect(""); /* it is the client who takes his time */
	say(0, n, STEP_BEGINS);
	expect("");
	pass(TIMEOUT);
	expect("");
	pass(2);
	expect("accuse:0/1");
	add(0, 7); /* the master's next one in its place */
	expect("a:over");
	say_mechs(0);
	expect("");
	ask(b);
	expect("b:granted");
	(void)given(0);
}

/*
 * A worker that has its grant and does not speak holds nobody up: so says its
 * authenticator, which is known to hang when it does not.
 */
static void
test_no_beginning(void **state)
{
	(void)state;
	conf.authenticators_max = 2;
	ask(a);
	ask(b);
	ask(c);
	be_patient();
	expect("a:granted b:granted c:taken");
	say(0, given(0), STEP_WAITS);
	expect("");
	ask(c);
	expect("c:granted");
	pass(TIMEOUT + 2);
	expect("accuse:1/2 accuse:0/1");
}

/* One for a worker and an authenticator, for as long as both live. */
static void
test_channels(void **state)
{
	uint32_t n;

	(void)state;
	ask_for(a, 11);
	expect("a:granted");
	n = given_for(0, 11, true);
	assert_int_equal(last.exchange, n);
	assert_int_equal(last.serial, 1);
	assert_int_not_equal(last.fd, -1);
	say(0, n, STEP_OK);
	expect("a:ok a:over");
	ask_for(b, 11);
	expect("b:granted");
	say(0, given_for(0, 11, false), STEP_OK);
	assert_int_equal(last.fd, -1);
	expect("b:ok b:over");
	ask_for(c, 12); /* another worker's is its own */
	expect("c:granted");
	n = given_for(0, 12, true);
	ask_for(d, 11); /* with another authenticator */
	expect("d:granted");
	(void)given_for(1, 11, true);
	assert_int_equal(last.serial, 2);
	say(0, n, STEP_OVER);
	pool_forget(pool, 11);
	expect("c:over");
	ask_for(a, 12);
	expect("a:granted");
	say(0, given_for(0, 12, false), STEP_OVER);
	expect("a:over");
	ask_for(b, 11);
	expect("b:granted");
	(void)given_for(0, 11, true);
	add(0, 7); /* the master's next one in its place */
	say_mechs(0);
	expect("b:over");
	ask_for(c, 11);
	expect("c:granted");
	(void)given_for(0, 11, true);
}

/* Those that it serves, it may accuse, and no other. */
static void
test_broken(void **state)
{
	struct writer w;
	uint32_t serial;

	(void)state;
	ask_for(a, 11);
	ask_for(b, 12);
	expect("a:granted b:granted");
	for (serial = 11; serial <= 13; serial++) {
		msg_start(&w, MSG_BROKEN, 0);
		msg_put_broken(&w, &(struct msg_broken){ 1, serial });
		send_far(0, &w);
	}
	expect("worker:1/11");
}

/* A client that leaves while it waits: nothing is granted to it. */
static void
test_withdrawn(void **state)
{
	(void)state;
	ask(a);
	ask(b);
	ask(c);
	ask(d);
	be_patient();
	expect("a:granted b:granted want:3 want:4");
	pool_withdraw(pool, c);
	pool_withdraw(pool, a); /* it has what it wanted */
	expect("c:over");
	say(0, given(0), STEP_OVER);
	expect("a:over d:granted");
	pass(TIMEOUT - 1);
	expect("");
}

static void
test_none_comes(void **state)
{
	(void)state;
	ask(a);
	ask(b);
	ask(c);
	be_patient();
	expect("a:granted b:granted want:3");
	say(0, given(0), STEP_WAITS);
	say(1, given(1), STEP_WAITS);
	expect("");
	pass(TIMEOUT + 1);
	expect("c:taken");
}

/* Of a new broker, all that there are, and one in a step of long ago. */
static void
test_new_broker(void **state)
{
	(void)state;
	add(3, 4);
	expect("");
	pass(21);
	expect("accuse:3/4");
	ask(a);
	ask(b);
	ask(c);
	ask(d);
	expect("a:granted b:granted");
}

static void
test_rules(void **state)
{
	struct writer w;
	uint32_t n;

	(void)state;
	ask(a);
	expect("a:granted");
	n = given(0);
	say(1, n, STEP_OK); /* it is not number 1's */
	expect("accuse:1/2");
	say(0, n, STEP_BEGINS); /* it has begun */
	expect("accuse:0/1 a:over");

	add(0, 5);
	say_mechs(0);
	say_mechs(0); /* twice */
	expect("accuse:0/5");
	add(0, 6);
	say(0, n, STEP_OVER); /* of the one before */
	expect("accuse:0/6");
	add(0, 7);
	say_mechs(0);
	expect("");
	ask(b);
	n = given(0);
	say(0, n, STEP_WAITS);
	expect("b:granted");
	say(0, n, STEP_OK); /* in no step */
	expect("accuse:0/7 b:over");
	add(0, 8);
	msg_start(&w, MSG_POOL, 0);
	msg_put_pool(&w, &(struct msg_pool){ 1 });
	send_far(0, &w); /* forbidden */
	expect("accuse:0/8");
	add(0, 9);
	say_mechs(0);
	expect("");
	ask(c);
	n = given(0);
	say(0, n, STEP_REFUSED);
	expect("c:granted c:refused");
	say(0, n, STEP_BEGINS); /* behind a refusal */
	expect("accuse:0/9 c:over");
}

static void
hear(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_login),
		TEST(test_it_grows),
		TEST(test_it_is_patient),
		TEST(test_it_does_not_share_yet),
		TEST(test_failures_take_no_place),
		TEST(test_none_goes_that_holds_a_failure),
		TEST(test_they_share),
		TEST(test_it_shrinks),
		TEST(test_it_hangs),
		TEST(test_no_beginning),
		TEST(test_channels),
		TEST(test_broken),
		TEST(test_withdrawn),
		TEST(test_none_comes),
		TEST(test_new_broker),
		TEST(test_rules),
	};

	log_set_sink(hear, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
