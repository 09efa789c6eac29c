/* SPDX-License-Identifier: ISC */
/*
 * smtp_record: each event is the same line before and behind the wire, and
 * what no event has is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_record.h"

#define T(s) TEXT_LIT(s)

static struct smtp_log_event
event_of(enum smtp_log_type type)
{
	struct smtp_log_event e = { .type = type, .id = T("ID") };
	size_t i;

	(void)addr_parse(T("192.0.2.1"), 1025, &e.client.addr);
	e.client.name = T("client.example.net");
	switch (type) {
	case SMTP_LOG_CONNECT:
	case SMTP_LOG_REMOVED:
	case SMTP_LOG_TYPES:
		break;
	case SMTP_LOG_CLIENT:
		e.login = (struct smtp_log_client){ T("PLAIN"), T("joe") };
		break;
	case SMTP_LOG_MESSAGE_ID:
		e.message_id = T("<1@x>");
		break;
	case SMTP_LOG_FROM:
		e.from = (struct smtp_log_from){ T("a@b"), UINT64_MAX, 7 };
		break;
	case SMTP_LOG_TO:
		e.to = (struct smtp_log_to){ .recipient = T("b@c"),
			.has_relay = true,
			.relay.name = T("inner"),
			.delays_ms = { 1, 20, 300, 4000 },
			.dsn = T("5.1.1"),
			.status = SMTP_BOUNCED,
			.reply = T("550 5.1.1 no") };
		(void)addr_parse(T("2001:db8::1"), 25, &e.to.relay.addr);
		break;
	case SMTP_LOG_REJECT:
		e.reject = (struct smtp_log_reject){ .verb = SMTP_RCPT,
			.code = 554,
			.dsn = T("5.7.1"),
			.about = T("x"),
			.reason = T("no"),
			.has_sender = true,
			.has_recipient = true,
			.sender = T("s"),
			.recipient = T("r"),
			.esmtp = true,
			.helo = T("me"),
			.user = T("joe") };
		break;
	case SMTP_LOG_SASL_FAILED:
		e.sasl =
		    (struct smtp_log_sasl){ T("LOGIN"), T("no"), T("joe") };
		break;
	case SMTP_LOG_LOST:
	case SMTP_LOG_TIMEOUT:
	case SMTP_LOG_TOO_MANY_ERRORS:
	case SMTP_LOG_PIPELINING:
	case SMTP_LOG_TLS_FAILED:
		e.trouble = (struct smtp_log_trouble){ SMTP_DATA, 77, T("d") };
		break;
	case SMTP_LOG_DISCONNECT:
		for (i = 0; i < SMTP_VERBS; i++) {
			e.counts.of[i].good = (uint32_t)i;
			e.counts.of[i].all = (uint32_t)(2 * i);
		}
		break;
	}
	return e;
}

static void
test_each(void **state)
{
	char before[LOG_LINE_MAX], behind[LOG_LINE_MAX];
	struct smtp_log_event e;
	struct msg_record m, got;
	struct reader r;
	struct writer w;
	unsigned int t;

	(void)state;
	for (t = 0; t < SMTP_LOG_TYPES; t++) {
		e = event_of((enum smtp_log_type)t);
		smtp_record_put(&e, &m);
		msg_start(&w, MSG_RECORD, 0);
		msg_put_record(&w, &m);
		assert_false(w.failed);
		r = (struct reader){ w.data + MSG_HEADER, w.len - MSG_HEADER };
		assert_int_equal(msg_get_record(&r, &got), 0);
		assert_int_equal(smtp_record_format(&got, behind),
		    smtp_log_format(&e, before));
		assert_string_equal(before, behind);
	}
}

/* One text or number too few or too many is no event. */
static void
test_counts(void **state)
{
	struct smtp_log_event e;
	struct msg_record m;
	unsigned int t;

	(void)state;
	for (t = 0; t < SMTP_LOG_TYPES; t++) {
		e = event_of((enum smtp_log_type)t);
		smtp_record_put(&e, &m);
		m.ntexts++;
		assert_false(smtp_record_get(&m, &e));
		m.ntexts -= 2;
		assert_false(smtp_record_get(&m, &e));
		m.ntexts++;
		m.nnumbers++;
		assert_false(smtp_record_get(&m, &e));
		m.nnumbers--;
		assert_true(smtp_record_get(&m, &e));
	}
}

static void
test_ranges(void **state)
{
	static const struct {
		enum smtp_log_type type;
		unsigned int number;
		uint64_t value;
		bool good;
	} cases[] = {
		{ SMTP_LOG_TO, 0, 2, false }, /* has_relay */
		{ SMTP_LOG_TO, 1, UINT32_MAX, true },
		{ SMTP_LOG_TO, 1, UINT64_C(1) << 32, false },
		{ SMTP_LOG_TO, 5, SMTP_STATUSES, false },
		{ SMTP_LOG_REJECT, 0, SMTP_PLACES - 1, true },
		{ SMTP_LOG_REJECT, 0, SMTP_PLACES, false },
		{ SMTP_LOG_REJECT, 1, 600, false },
		{ SMTP_LOG_LOST, 0, SMTP_PLACES, false },
		{ SMTP_LOG_FROM, 1, UINT64_C(1) << 32, false },
	};
	struct smtp_log_event e;
	char line[LOG_LINE_MAX];
	struct msg_record m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		e = event_of(cases[i].type);
		smtp_record_put(&e, &m);
		m.numbers[cases[i].number] = cases[i].value;
		assert_int_equal(smtp_record_get(&m, &e), cases[i].good);
		assert_int_equal(
		    smtp_record_format(&m, line) != -1, cases[i].good);
	}
	m.type = SMTP_LOG_TYPES;
	assert_int_equal(smtp_record_format(&m, line), -1);
}

static void
test_long_texts(void **state)
{
	static char octets[2 * MSG_RECORD_TEXT_MAX];
	struct smtp_log_event e = event_of(SMTP_LOG_TO);
	struct msg_record m;

	(void)state;
	memset(octets, 'x', sizeof(octets));
	e.to.reply = (struct text){ octets, sizeof(octets) };
	smtp_record_put(&e, &m);
	assert_true(smtp_record_get(&m, &e));
	assert_int_equal(e.to.reply.len, MSG_RECORD_TEXT_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_long_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
