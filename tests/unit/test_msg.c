/* SPDX-License-Identifier: ISC */
/*
 * The messages between processes: each survives the wire, none survives it
 * shortened or lengthened, and each channel carries only what it may.
 */
#include <sys/socket.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdpass.h"
#include "ipc.h"
#include "msg.h"
#include "msg_control.h"
#include "role.h"

static char key[TICKET_KEY_LEN];

/* Fill w with a good message of the type; -1: it has no fields. */
static int
make(struct writer *w, enum msg_type type)
{
	const struct text t = TEXT_LIT("text");
	struct msg_event event = { .type = EVENT_AUTH,
		.authn = t,
		.status = t,
		.server = 1,
		.received = 7,
		.sent = 8 };
	struct msg_record record = { .type = 200,
		.ntexts = 2,
		.nnumbers = 1,
		.texts = { t, TEXT_NONE },
		.numbers = { UINT64_MAX } };

	msg_start(w, type, 9);
	switch (type) {
	case MSG_READY:
		msg_put_ready(w, &(struct msg_ready){ 3 });
		return 0;
	case MSG_LOG:
		msg_put_log(w, &(struct msg_log){ LOG_INFO, t });
		return 0;
	case MSG_EVENT:
		(void)addr_parse(TEXT_LIT("192.0.2.1"), 993, &event.client);
		(void)addr_parse(TEXT_LIT("2001:db8::1"), 1, &event.local);
		msg_put_event(w, &event);
		return 0;
	case MSG_RECORD:
		(void)addr_parse(TEXT_LIT("192.0.2.1"), 25, &record.server);
		msg_put_record(w, &record);
		return 0;
	case MSG_PEER:
		msg_put_peer(w, &(struct msg_peer){ ROLE_WORKER, 1, 2 });
		return 0;
	case MSG_BIRTH:
		msg_put_birth(w, &(struct msg_birth){ 1, 2 });
		return 0;
	case MSG_BORN:
		msg_put_born(w, &(struct msg_born){ 1, 2, 3 });
		return 0;
	case MSG_STATS:
		msg_put_stats(w, &(struct msg_stats){ ROLE_WORKER, 1 });
		return 0;
	case MSG_ACCUSE:
		msg_put_accuse(w, &(struct msg_accuse){ ROLE_WORKER, 1, 2 });
		return 0;
	case MSG_TICKET_KEY:
		msg_put_ticket_key(w,
		    &(struct msg_ticket_key){
		        { key, sizeof(key) }, { key, sizeof(key) } });
		return 0;
	case MSG_ADMIT:
		msg_put_admit(
		    w, &(struct msg_admit){ .session = 1, .waits = 1 });
		return 0;
	case MSG_ADMIT_REPLY:
		msg_put_admit_reply(w,
		    &(struct msg_admit_reply){
		        1, ADMIT_OK, TEXT_LIT("c.example.org") });
		return 0;
	case MSG_RELEASE:
		msg_put_release(w, &(struct msg_release){ 1 });
		return 0;
	case MSG_HANDSHAKES:
		msg_put_handshakes(w, &(struct msg_handshakes){ 1, 2 });
		return 0;
	case MSG_HELD:
		msg_put_held(w, &(struct msg_held){ 1, 1, TEXT_LIT("abcd") });
		return 0;
	case MSG_CONNECT:
		msg_put_connect(w, &(struct msg_connect){ 1, 2, t });
		return 0;
	case MSG_CONNECT_REPLY:
		msg_put_connect_reply(
		    w, &(struct msg_connect_reply){ 1, 1, 0, 2, 3 });
		return 0;
	case MSG_OUTCOME:
		msg_put_outcome(
		    w, &(struct msg_outcome){ 1, 2, OUTCOME_REFUSED, 3 });
		return 0;
	case MSG_LEARN:
		msg_put_learn(w, &(struct msg_learn){ 1 });
		return 0;
	case MSG_CAPABILITY:
		msg_put_capability(w, &(struct msg_capability){ 1, 1, t });
		return 0;
	case MSG_CAPABILITY_SET:
		msg_put_capability_set(w, &(struct msg_capability_set){ 1, t });
		return 0;
	case MSG_SIGN:
		msg_put_sign(w, &(struct msg_sign){ 1, 2, 1, t });
		return 0;
	case MSG_SIGN_REPLY:
		msg_put_sign_reply(w, &(struct msg_sign_reply){ 1, t });
		return 0;
	case MSG_AUTH:
		msg_put_auth(w, &(struct msg_auth){ 1 });
		return 0;
	case MSG_AUTH_REPLY:
		msg_put_auth_reply(w, &(struct msg_auth_reply){ 1, 1, 2, 3 });
		return 0;
	case MSG_SUBMIT:
		msg_put_submit(w, &(struct msg_submit){ 1, SUBMIT_MAIL, t, t });
		return 0;
	case MSG_SUBMIT_REPLY:
		msg_put_submit_reply(
		    w, &(struct msg_submit_reply){ 1, SUBMIT_TOO_MANY });
		return 0;
	case MSG_POOL:
		msg_put_pool(w, &(struct msg_pool){ 3 });
		return 0;
	case MSG_SASL_MECHS:
		msg_put_sasl_mechs(w,
		    &(struct msg_sasl_mechs){ TEXT_LIT("PLAIN SCRAM-SHA-1") });
		return 0;
	case MSG_EXCHANGE:
		msg_put_exchange(w,
		    &(struct msg_exchange){ 1, 2, 3, 2000, event.client, 1 });
		return 0;
	case MSG_STEP:
		msg_put_step(w, &(struct msg_step){ 1, STEP_OK, t, 3 });
		return 0;
	case MSG_BROKEN:
		msg_put_broken(w, &(struct msg_broken){ 1, 2 });
		return 0;
	case MSG_SASL_START:
		msg_put_sasl_start(w,
		    &(struct msg_sasl_start){ .ssf = 256,
		        .has_initial = 1,
		        .mechanism = t,
		        .initial = t });
		return 0;
	case MSG_SASL_STEP:
		msg_put_sasl_step(w, &(struct msg_sasl_step){ t });
		return 0;
	case MSG_SASL_CHECK:
		msg_put_sasl_check(
		    w, &(struct msg_sasl_check){ .name = t, .password = t });
		return 0;
	case MSG_SASL_REPLY:
		msg_put_sasl_reply(w, &(struct msg_sasl_reply){ AUTH_OK, t });
		return 0;
	case MSG_ASK:
		msg_put_ask(
		    w, &(struct msg_ask){ ASK_VERSION, ASK_KICK, 1, t });
		return 0;
	case MSG_ANSWER:
		msg_put_answer(w, &(struct msg_answer){ t });
		return 0;
	case MSG_ANSWER_END:
		msg_put_answer_end(
		    w, &(struct msg_answer_end){ CONTROL_FAILED, t });
		return 0;
	case MSG_ROLL:
		msg_put_roll(w, &(struct msg_roll){ 7 });
		return 0;
	case MSG_PROCESS:
		msg_put_process(w,
		    &(struct msg_process){
		        ROLE_WORKER, 1, 2, 3, 4, PROCESS_DRAINS, 1, 5, 6 });
		return 0;
	case MSG_ROLL_END:
		msg_put_roll_end(w, &(struct msg_roll_end){ 1, 2, 3, 4 });
		return 0;
	case MSG_SERVERS_REPLY:
		msg_put_servers_reply(w,
		    &(struct msg_servers_reply){
		        2, { { 0, 0 }, { UINT32_MAX, 7 } } });
		return 0;
	case MSG_LIST:
		msg_put_list(w, &(struct msg_list){ 64, 1 });
		return 0;
	case MSG_SESSION:
		(void)addr_parse(TEXT_LIT("192.0.2.1"), 25, &record.client);
		msg_put_session(w,
		    &(struct msg_session){ STAGE_RELAY, SECURE_SSL,
		        SECURE_PLAINTEXT, record.client, t, t, t, t, 1, 2, 3 });
		return 0;
	case MSG_LIST_END:
		msg_put_list_end(w, &(struct msg_list_end){ 1, 3, 2 });
		return 0;
	case MSG_KICK:
		msg_put_kick(w, &(struct msg_kick){ 7, t });
		return 0;
	case MSG_KICK_REPLY:
		msg_put_kick_reply(
		    w, &(struct msg_kick_reply){ 3, 2, 1, { t, t }, 2 });
		return 0;
	case MSG_PAIRS:
		msg_put_pairs(w, &(struct msg_pairs){ 7 });
		return 0;
	case MSG_CERTIFICATES:
		msg_put_certificates(w, &(struct msg_certificates){ 8 });
		return 0;
	case MSG_EXPIRIES:
		msg_put_expiries(w, &(struct msg_expiries){ 0 });
		return 0;
	case MSG_TOTALS:
		msg_put_totals(w, &(struct msg_totals){ { 1 } });
		return 0;
	case MSG_PAIR:
		msg_put_pair(w, &(struct msg_pair){ 1, 1, 2, 3, t, t, t });
		return 0;
	case MSG_PAIR_DROP:
		msg_put_pair_drop(w, &(struct msg_pair_drop){ 9 });
		return 0;
	case MSG_SERVERS:
	case MSG_BUSY:
	case MSG_PAIRS_REPLY:
	case MSG_LOGGED_IN:
	case MSG_SASL_CANCEL:
	case MSG_STOP:
	case MSG_ALIVE:
	case MSG_ALIVE_REPLY:
	case MSG_DRAIN:
	case MSG_SETTLED:
	case MSG_GIVE_WAY:
	case MSG_MANY:
	case MSG_TYPES:
		break;
	}
	return -1;
}

/* Read the fields of type out of n octets. */
static int
take(enum msg_type type, const char *p, size_t n)
{
	union {
		struct msg_ready ready;
		struct msg_log log;
		struct msg_event event;
		struct msg_record record;
		struct msg_peer peer;
		struct msg_birth birth;
		struct msg_born born;
		struct msg_stats stats;
		struct msg_accuse accuse;
		struct msg_ticket_key ticket_key;
		struct msg_admit admit;
		struct msg_admit_reply admit_reply;
		struct msg_release release;
		struct msg_handshakes handshakes;
		struct msg_held held;
		struct msg_connect connect;
		struct msg_connect_reply connect_reply;
		struct msg_outcome outcome;
		struct msg_learn learn;
		struct msg_capability capability;
		struct msg_capability_set capability_set;
		struct msg_sign sign;
		struct msg_sign_reply sign_reply;
		struct msg_auth auth;
		struct msg_auth_reply auth_reply;
		struct msg_submit submit;
		struct msg_submit_reply submit_reply;
		struct msg_pool pool;
		struct msg_sasl_mechs sasl_mechs;
		struct msg_exchange exchange;
		struct msg_step step;
		struct msg_broken broken;
		struct msg_sasl_start sasl_start;
		struct msg_sasl_step sasl_step;
		struct msg_sasl_check sasl_check;
		struct msg_sasl_reply sasl_reply;
		struct msg_ask ask;
		struct msg_answer answer;
		struct msg_answer_end answer_end;
		struct msg_roll roll;
		struct msg_process process;
		struct msg_roll_end roll_end;
		struct msg_servers_reply servers_reply;
		struct msg_list list;
		struct msg_session session;
		struct msg_list_end list_end;
		struct msg_kick kick;
		struct msg_kick_reply kick_reply;
		struct msg_pairs pairs;
		struct msg_certificates certificates;
		struct msg_expiries expiries;
		struct msg_totals totals;
		struct msg_pair pair;
		struct msg_pair_drop pair_drop;
	} m;
	struct reader r = { p, n };

	switch (type) {
#define TAKE(constant, name)                                                   \
	case constant:                                                         \
		return msg_get_##name(&r, &m.name)
		TAKE(MSG_READY, ready);
		TAKE(MSG_LOG, log);
		TAKE(MSG_EVENT, event);
		TAKE(MSG_RECORD, record);
		TAKE(MSG_PEER, peer);
		TAKE(MSG_BIRTH, birth);
		TAKE(MSG_BORN, born);
		TAKE(MSG_STATS, stats);
		TAKE(MSG_ACCUSE, accuse);
		TAKE(MSG_TICKET_KEY, ticket_key);
		TAKE(MSG_ADMIT, admit);
		TAKE(MSG_ADMIT_REPLY, admit_reply);
		TAKE(MSG_RELEASE, release);
		TAKE(MSG_HANDSHAKES, handshakes);
		TAKE(MSG_HELD, held);
		TAKE(MSG_CONNECT, connect);
		TAKE(MSG_CONNECT_REPLY, connect_reply);
		TAKE(MSG_OUTCOME, outcome);
		TAKE(MSG_LEARN, learn);
		TAKE(MSG_CAPABILITY, capability);
		TAKE(MSG_CAPABILITY_SET, capability_set);
		TAKE(MSG_SIGN, sign);
		TAKE(MSG_SIGN_REPLY, sign_reply);
		TAKE(MSG_AUTH, auth);
		TAKE(MSG_AUTH_REPLY, auth_reply);
		TAKE(MSG_SUBMIT, submit);
		TAKE(MSG_SUBMIT_REPLY, submit_reply);
		TAKE(MSG_POOL, pool);
		TAKE(MSG_SASL_MECHS, sasl_mechs);
		TAKE(MSG_EXCHANGE, exchange);
		TAKE(MSG_STEP, step);
		TAKE(MSG_BROKEN, broken);
		TAKE(MSG_SASL_START, sasl_start);
		TAKE(MSG_SASL_STEP, sasl_step);
		TAKE(MSG_SASL_CHECK, sasl_check);
		TAKE(MSG_SASL_REPLY, sasl_reply);
		TAKE(MSG_ASK, ask);
		TAKE(MSG_ANSWER, answer);
		TAKE(MSG_ANSWER_END, answer_end);
		TAKE(MSG_ROLL, roll);
		TAKE(MSG_PROCESS, process);
		TAKE(MSG_ROLL_END, roll_end);
		TAKE(MSG_SERVERS_REPLY, servers_reply);
		TAKE(MSG_LIST, list);
		TAKE(MSG_SESSION, session);
		TAKE(MSG_LIST_END, list_end);
		TAKE(MSG_KICK, kick);
		TAKE(MSG_KICK_REPLY, kick_reply);
		TAKE(MSG_PAIRS, pairs);
		TAKE(MSG_CERTIFICATES, certificates);
		TAKE(MSG_EXPIRIES, expiries);
		TAKE(MSG_TOTALS, totals);
		TAKE(MSG_PAIR, pair);
		TAKE(MSG_PAIR_DROP, pair_drop);
	case MSG_SERVERS:
	case MSG_BUSY:
	case MSG_PAIRS_REPLY:
	case MSG_LOGGED_IN:
	case MSG_SASL_CANCEL:
	case MSG_STOP:
	case MSG_ALIVE:
	case MSG_ALIVE_REPLY:
	case MSG_DRAIN:
	case MSG_SETTLED:
	case MSG_GIVE_WAY:
	case MSG_MANY:
	case MSG_TYPES:
		break;
	}
	return get_end(&r);
}

static void
test_every_length(void **state)
{
	struct writer w;
	unsigned int type;
	size_t n;

	(void)state;
	for (type = MSG_READY; type < MSG_TYPES; type++) {
		if (make(&w, type) == -1)
			continue;
		assert_false(w.failed);
		for (n = MSG_HEADER; n < w.len; n++)
			assert_int_equal(
			    take(type, w.data + MSG_HEADER, n - MSG_HEADER),
			    -1);
		assert_int_equal(
		    take(type, w.data + MSG_HEADER, w.len - MSG_HEADER), 0);
		w.data[w.len++] = 0;
		assert_int_equal(
		    take(type, w.data + MSG_HEADER, w.len - MSG_HEADER), -1);
	}
}

static void
test_values(void **state)
{
	struct msg_connect_reply m = { 0x01020304, 1, 0, 0x0506, 0x0708090a },
	                         g;
	struct reader r;
	struct writer w;

	(void)state;
	msg_start(&w, MSG_CONNECT_REPLY, 7);
	msg_put_connect_reply(&w, &m);
	r = (struct reader){ w.data + MSG_HEADER, w.len - MSG_HEADER };
	assert_int_equal(msg_get_connect_reply(&r, &g), 0);
	assert_int_equal(g.session, m.session);
	assert_int_equal(g.ok, m.ok);
	assert_int_equal(g.server, m.server);
	assert_int_equal(g.failure_delay_ms, m.failure_delay_ms);
	w.data[MSG_HEADER + 4] = 2; /* ok is 0 or 1 */
	r = (struct reader){ w.data + MSG_HEADER, w.len - MSG_HEADER };
	assert_int_equal(msg_get_connect_reply(&r, &g), -1);
}

/* Whom a proxy has brought, or nobody. */
static void
test_admit_client(void **state)
{
	static const char *const hosts[] = { "192.0.2.7", "2001:db8::7", NULL };
	struct msg_admit m = { .session = 0x01020304 }, g;
	struct reader r;
	struct writer w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		memset(&m.client, 0, sizeof(m.client));
		if (hosts[i] != NULL)
			assert_int_equal(
			    addr_parse(text_of(hosts[i]), 4711, &m.client), 0);
		msg_start(&w, MSG_ADMIT, 0);
		msg_put_admit(&w, &m);
		r = (struct reader){ w.data + MSG_HEADER, w.len - MSG_HEADER };
		assert_int_equal(msg_get_admit(&r, &g), 0);
		assert_int_equal(g.session, m.session);
		assert_int_equal(g.client.sa.sa_family, m.client.sa.sa_family);
		assert_true(hosts[i] == NULL || addr_eq(&g.client, &m.client));
		put_u8(&w, 0);
		r = (struct reader){ w.data + MSG_HEADER, w.len - MSG_HEADER };
		assert_int_equal(msg_get_admit(&r, &g), -1);
	}
}

/* A client's name has no octet more than names can have. */
static void
test_peer_name_longest(void **state)
{
	static char octets[MSG_PEER_NAME_MAX + 1];
	struct msg_admit_reply m = { .name = { octets, MSG_PEER_NAME_MAX } };
	struct writer w;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		msg_start(&w, MSG_ADMIT_REPLY, 0);
		msg_put_admit_reply(&w, &m);
		assert_int_equal(take(MSG_ADMIT_REPLY, w.data + MSG_HEADER,
		                     w.len - MSG_HEADER),
		    -i);
		m.name.len++;
	}
}

/* A record has as many texts and numbers as it says, and no more than fit. */
static void
test_record_bounds(void **state)
{
	static const struct {
		unsigned int texts, numbers, len;
		int result;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ MSG_RECORD_TEXTS, MSG_RECORD_NUMBERS, MSG_RECORD_TEXT_MAX,
		    0 },
		{ MSG_RECORD_TEXTS + 1, 0, 0, -1 },
		{ 0, MSG_RECORD_NUMBERS + 1, 0, -1 },
		{ 1, 0, MSG_RECORD_TEXT_MAX + 1, -1 },
	};
	static const char octets[MSG_RECORD_TEXT_MAX + 1];
	struct msg_record m;
	struct reader r;
	struct writer w;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		msg_start(&w, MSG_RECORD, 0);
		put_u8(&w, 1);
		put_u8(&w, (uint8_t)cases[i].texts);
		put_u8(&w, (uint8_t)cases[i].numbers);
		put_u8(&w, 0);
		put_u8(&w, 0);
		for (k = 0; k < cases[i].texts; k++)
			put_text(&w, (struct text){ octets, cases[i].len });
		for (k = 0; k < cases[i].numbers; k++)
			put_u64(&w, k);
		assert_false(w.failed);
		r = (struct reader){ w.data + MSG_HEADER, w.len - MSG_HEADER };
		assert_int_equal(msg_get_record(&r, &m), cases[i].result);
	}
}

/* What has a good length, and still is no good message. */
static void
test_sasl_values(void **state)
{
	static const struct {
		enum msg_type type;
		size_t at; /* of the octet that is changed */
		char to;
	} cases[] = {
		{ MSG_AUTH_REPLY, 4, 2 }, /* ok */
		{ MSG_SUBMIT, 4, SUBMIT_WHATS },
		{ MSG_SUBMIT, 7, 5 }, /* a user's length */
		{ MSG_SUBMIT_REPLY, 4, SUBMIT_VERDICTS },
		{ MSG_SASL_MECHS, 4, 'p' },  /* lower case */
		{ MSG_SASL_MECHS, 4, '\n' }, /* a line of its own */
		{ MSG_STEP, 4, STEPS },
		{ MSG_SASL_START, 3, 2 }, /* has_initial */
		{ MSG_SASL_START, 3, 0 }, /* none, yet octets of it */
		{ MSG_SASL_REPLY, 0, AUTH_RESULTS },
		{ MSG_SASL_REPLY, 0, AUTH_FAILED }, /* with a text */
		{ MSG_ACCUSE, 0, ROLE_MAX },
		{ MSG_BORN, 6, -1 }, /* a negative pid */
		{ MSG_BORN, 9, 1 },  /* init's */
		{ MSG_BORN, 9, 0 },
		{ MSG_STATS, 0, ROLE_MAX },
		{ MSG_STATS, 1, 2 },
	};
	struct writer w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(make(&w, cases[i].type), 0);
		w.data[MSG_HEADER + cases[i].at] = cases[i].to;
		assert_int_equal(take(cases[i].type, w.data + MSG_HEADER,
		                     w.len - MSG_HEADER),
		    -1);
	}
}

/* The longest response there may be fits, one octet more does not. */
static void
test_sasl_longest(void **state)
{
	static char octets[MSG_SASL_MAX + 1];
	struct msg_sasl_step m = { { octets, MSG_SASL_MAX } };
	struct msg_sasl_start start = { .has_initial = 1,
		.mechanism = TEXT_LIT("12345678901234567890"),
		.initial = { octets, MSG_SASL_MAX } };
	struct writer w;

	(void)state;
	(void)addr_parse(TEXT_LIT("2001:db8::1"), 1, &start.local);
	msg_start(&w, MSG_SASL_START, 1);
	msg_put_sasl_start(&w, &start);
	assert_false(w.failed);
	assert_int_equal(
	    take(MSG_SASL_START, w.data + MSG_HEADER, w.len - MSG_HEADER), 0);
	m.data.len++;
	msg_start(&w, MSG_SASL_STEP, 1);
	msg_put_sasl_step(&w, &m);
	assert_false(w.failed);
	assert_int_equal(
	    take(MSG_SASL_STEP, w.data + MSG_HEADER, w.len - MSG_HEADER), -1);
}

static void
test_who_may(void **state)
{
	static const struct {
		unsigned int type;
		enum role from, to;
		bool fd, allowed;
	} cases[] = {
		{ MSG_SIGN, ROLE_WORKER, ROLE_KEEPER, false, true },
		{ MSG_SIGN, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_SIGN, ROLE_BROKER, ROLE_KEEPER, false, false },
		{ MSG_SIGN, ROLE_WORKER, ROLE_KEEPER, true, false },
		{ MSG_ADMIT, ROLE_WORKER, ROLE_BROKER, true, true },
		{ MSG_ADMIT, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_STOP, ROLE_MASTER, ROLE_WORKER, false, true },
		{ MSG_STOP, ROLE_WORKER, ROLE_MASTER, false, false },
		{ MSG_ALIVE, ROLE_MASTER, ROLE_KEEPER, false, true },
		{ MSG_ALIVE, ROLE_KEEPER, ROLE_MASTER, false, false },
		{ MSG_ALIVE, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_ALIVE_REPLY, ROLE_KEEPER, ROLE_MASTER, false, true },
		{ MSG_ALIVE_REPLY, ROLE_WORKER, ROLE_KEEPER, false, false },
		{ MSG_ALIVE, ROLE_MASTER, ROLE_WORKER, true, false },
		{ MSG_DRAIN, ROLE_MASTER, ROLE_BROKER, false, true },
		{ MSG_DRAIN, ROLE_BROKER, ROLE_WORKER, false, false },
		{ MSG_SETTLED, ROLE_WORKER, ROLE_MASTER, false, true },
		{ MSG_GIVE_WAY, ROLE_MASTER, ROLE_WORKER, false, true },
		{ MSG_GIVE_WAY, ROLE_BROKER, ROLE_WORKER, false, false },
		{ MSG_SETTLED, ROLE_BROKER, ROLE_MASTER, false, false },
		{ MSG_PEER, ROLE_WORKER, ROLE_MASTER, true, false },
		{ MSG_ACCUSE, ROLE_WORKER, ROLE_MASTER, false, false },
		{ MSG_ACCUSE, ROLE_KEEPER, ROLE_MASTER, false, true },
		{ MSG_TICKET_KEY, ROLE_MASTER, ROLE_BROKER, false, false },
		{ MSG_RECORD, ROLE_WORKER, ROLE_MASTER, false, true },
		{ MSG_RECORD, ROLE_BROKER, ROLE_MASTER, false, false },
		{ MSG_RECORD, ROLE_WORKER, ROLE_MASTER, true, false },
		{ MSG_RECORD, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_AUTH, ROLE_WORKER, ROLE_BROKER, false, true },
		{ MSG_AUTH, ROLE_WORKER, ROLE_AUTHENTICATOR, false, false },
		{ MSG_AUTH_REPLY, ROLE_BROKER, ROLE_WORKER, true, true },
		{ MSG_AUTH_REPLY, ROLE_AUTHENTICATOR, ROLE_WORKER, true,
		    false },
		{ MSG_SUBMIT, ROLE_WORKER, ROLE_BROKER, false, true },
		{ MSG_SUBMIT, ROLE_AUTHENTICATOR, ROLE_BROKER, false, false },
		{ MSG_SUBMIT_REPLY, ROLE_BROKER, ROLE_WORKER, false, true },
		{ MSG_SUBMIT_REPLY, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_POOL, ROLE_BROKER, ROLE_MASTER, false, true },
		{ MSG_POOL, ROLE_WORKER, ROLE_MASTER, false, false },
		{ MSG_LOGGED_IN, ROLE_WORKER, ROLE_MASTER, false, true },
		{ MSG_LOGGED_IN, ROLE_BROKER, ROLE_MASTER, false, false },
		{ MSG_BIRTH, ROLE_MASTER, ROLE_NURSERY, true, true },
		{ MSG_BIRTH, ROLE_MASTER, ROLE_NURSERY, false, false },
		{ MSG_BIRTH, ROLE_MASTER, ROLE_WORKER, true, false },
		{ MSG_BIRTH, ROLE_WORKER, ROLE_NURSERY, true, false },
		{ MSG_BORN, ROLE_NURSERY, ROLE_MASTER, false, true },
		{ MSG_BORN, ROLE_WORKER, ROLE_MASTER, false, false },
		{ MSG_PEER, ROLE_MASTER, ROLE_NURSERY, true, false },
		{ MSG_STATS, ROLE_MASTER, ROLE_METRICS, true, true },
		{ MSG_STATS, ROLE_MASTER, ROLE_METRICS, false, false },
		{ MSG_STATS, ROLE_MASTER, ROLE_WORKER, true, false },
		{ MSG_STATS, ROLE_WORKER, ROLE_METRICS, true, false },
		{ MSG_EXPIRIES, ROLE_MASTER, ROLE_METRICS, true, true },
		{ MSG_EXPIRIES, ROLE_MASTER, ROLE_CONTROL, true, true },
		{ MSG_EXPIRIES, ROLE_MASTER, ROLE_CONTROL, false, false },
		{ MSG_EXPIRIES, ROLE_MASTER, ROLE_WORKER, true, false },
		{ MSG_EXPIRIES, ROLE_KEEPER, ROLE_CONTROL, true, false },
		{ MSG_TOTALS, ROLE_MASTER, ROLE_CONTROL, false, true },
		{ MSG_TOTALS, ROLE_MASTER, ROLE_METRICS, false, false },
		{ MSG_PEER, ROLE_MASTER, ROLE_METRICS, true, false },
		{ MSG_EVENT, ROLE_METRICS, ROLE_MASTER, false, false },
		{ MSG_ALIVE, ROLE_MASTER, ROLE_METRICS, false, true },
		{ MSG_SIGN, ROLE_NURSERY, ROLE_KEEPER, false, false },
		{ MSG_ALIVE, ROLE_MASTER, ROLE_NURSERY, false, true },
		{ MSG_ALIVE_REPLY, ROLE_NURSERY, ROLE_MASTER, false, true },
		{ MSG_ROLL, ROLE_CONTROL, ROLE_MASTER, false, true },
		{ MSG_ROLL, ROLE_WORKER, ROLE_MASTER, false, false },
		{ MSG_PEER, ROLE_MASTER, ROLE_CONTROL, true, true },
		{ MSG_KICK, ROLE_CONTROL, ROLE_WORKER, false, true },
		{ MSG_KICK, ROLE_BROKER, ROLE_WORKER, false, false },
		{ MSG_KICK, ROLE_CONTROL, ROLE_BROKER, false, false },
		{ MSG_SESSION, ROLE_WORKER, ROLE_CONTROL, false, true },
		{ MSG_SESSION, ROLE_WORKER, ROLE_CONTROL, true, false },
		{ MSG_ACCUSE, ROLE_CONTROL, ROLE_MASTER, false, false },
		{ MSG_POOL, ROLE_CONTROL, ROLE_MASTER, false, false },
		{ MSG_SIGN, ROLE_CONTROL, ROLE_KEEPER, false, false },
		{ MSG_ASK, ROLE_CONTROL, ROLE_CONTROL, false, true },
		{ MSG_ASK, ROLE_CONTROL, ROLE_CONTROL, true, false },
		{ MSG_ADMIT, ROLE_NURSERY, ROLE_BROKER, true, false },
		{ MSG_READY, ROLE_NURSERY, ROLE_MASTER, false, true },
		{ MSG_STOP, ROLE_MASTER, ROLE_NURSERY, false, true },
		{ MSG_POOL, ROLE_AUTHENTICATOR, ROLE_MASTER, false, false },
		{ MSG_SASL_MECHS, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_EXCHANGE, ROLE_BROKER, ROLE_AUTHENTICATOR, true, true },
		{ MSG_EXCHANGE, ROLE_BROKER, ROLE_AUTHENTICATOR, false, true },
		{ MSG_EXCHANGE, ROLE_WORKER, ROLE_AUTHENTICATOR, false, false },
		{ MSG_EXCHANGE, ROLE_WORKER, ROLE_AUTHENTICATOR, true, false },
		{ MSG_STEP, ROLE_AUTHENTICATOR, ROLE_BROKER, false, true },
		{ MSG_STEP, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_BROKEN, ROLE_AUTHENTICATOR, ROLE_BROKER, false, true },
		{ MSG_BROKEN, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_OUTCOME, ROLE_AUTHENTICATOR, ROLE_BROKER, false, false },
		{ MSG_SASL_START, ROLE_WORKER, ROLE_AUTHENTICATOR, false,
		    true },
		{ MSG_SASL_START, ROLE_WORKER, ROLE_BROKER, false, false },
		{ MSG_SASL_STEP, ROLE_BROKER, ROLE_AUTHENTICATOR, false,
		    false },
		{ MSG_SASL_CHECK, ROLE_WORKER, ROLE_AUTHENTICATOR, true,
		    false },
		{ MSG_SASL_CANCEL, ROLE_WORKER, ROLE_AUTHENTICATOR, false,
		    true },
		{ MSG_SASL_REPLY, ROLE_AUTHENTICATOR, ROLE_WORKER, false,
		    true },
		{ MSG_SASL_REPLY, ROLE_BROKER, ROLE_WORKER, false, false },
		{ MSG_ACCUSE, ROLE_AUTHENTICATOR, ROLE_MASTER, false, false },
		{ 0, ROLE_MASTER, ROLE_WORKER, false, false },
		{ MSG_TYPES, ROLE_MASTER, ROLE_WORKER, false, false },
		{ 65535, ROLE_MASTER, ROLE_WORKER, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(msg_allowed(cases[i].type, cases[i].from,
		                     cases[i].to, cases[i].fd, MSG_HEADER),
		    cases[i].allowed);
	assert_false(msg_allowed(
	    MSG_STOP, ROLE_MASTER, ROLE_WORKER, false, MSG_HEADER - 1));
	assert_false(msg_allowed(
	    MSG_STOP, ROLE_MASTER, ROLE_WORKER, false, MSG_MAX + 1));
}

struct end {
	unsigned int messages, ends;
	const char *why;
};

static int
on_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct end *e = arg;
	struct msg_release m;

	(void)ch;
	(void)id;
	assert_int_equal(fd, -1);
	if (type != MSG_RELEASE || msg_get_release(r, &m) == -1)
		return -1;
	e->messages++;
	return 0;
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	struct end *e = arg;

	e->ends++;
	e->why = why;
	ipc_free(&ch);
}

/* A worker speaks to a broker's channel: what it sends, what comes of it. */
static void
test_a_rule_broken(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
		bool fd;
		unsigned int messages, ends;
	} cases[] = {
		{ "\0\x0b\0\0\0\0\0\0\0\1", 10, false, 1, 0 }, /* release */
		{ "\0\x0b\0\0\0\0\0\0\0", 9, false, 0, 1 },    /* cut */
		{ "\0\x0b\0\0\0\0\0\0\0\1\0", 11, false, 0, 1 },
		{ "\0\x0b\0\0\0\0\0\0\0\1", 10, true, 0, 1 }, /* with fd */
		{ "\0\x05\0\0\0\0", 6, false, 0, 1 }, /* the master's word */
		{ "\0\xff\0\0\0\0", 6, false, 0, 1 },
		{ "\0", 1, false, 0, 1 },
	};
	struct event_base *base = role_event_base();
	struct ipc *ch;
	size_t i;
	int fds[2];

	(void)state;
	assert_int_equal(MSG_RELEASE, 0x0b);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct end e = { 0, 0, NULL };

		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
		ch = ipc_new(base, fds[0], ROLE_BROKER, ROLE_WORKER, on_message,
		    on_closed, &e);
		assert_int_equal(fdpass_send(fds[1], cases[i].octets,
		                     cases[i].len, cases[i].fd ? 0 : -1),
		    0);
		event_base_loop(base, EVLOOP_NONBLOCK);
		assert_int_equal(e.messages, cases[i].messages);
		assert_int_equal(e.ends, cases[i].ends);
		if (e.ends == 0)
			ipc_free(&ch);
		else
			assert_non_null(e.why);
		close(fds[1]);
	}
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_admit_client),
		cmocka_unit_test(test_peer_name_longest),
		cmocka_unit_test(test_record_bounds),
		cmocka_unit_test(test_sasl_values),
		cmocka_unit_test(test_sasl_longest),
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_a_rule_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
