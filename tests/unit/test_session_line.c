/* SPDX-License-Identifier: ISC */
/*
 * test_session_line: lines of a client and of an inner server, at once and
 * octet by octet, and what becomes of a side that sends none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "dialogue_fake.h"

#define SERVER_LINES_MAX 100

static void
goodbye(struct session *s, const char *reason)
{
	stream_printf(&s->client, "{bye %s}", reason);
}

static const struct protocol protocol = { .goodbye = goodbye };

static void
start(void)
{
	fake_start();
	fake.s.protocol = &protocol;
	fake.s.state = SESSION_DIALOGUE;
}

#define CLIENT_MAX 8
#define LONG "{bye line too long}{close line too long}"
#define BAD "{bye invalid octets}{close invalid octets}"

static const struct {
	struct text in;
	const char *line; /* NULL: none */
	const char *said;
} client_lines[] = {
	{ S("NOOP\r\n"), "NOOP", "" },
	{ S("\r\n"), "", "" },
	{ S(" a \xc3\xb6\r\n"), " a \xc3\xb6", "" },
	{ S("123456\r\n"), "123456", "" },
	{ S("NOOP\r"), NULL, "" },
	{ S("1234567"), NULL, "" },
	{ S("123456\r"), NULL, "" },
	{ S("1234567\r\n"), NULL, LONG },
	{ S("12345678"), NULL, LONG },
	{ S("NOOP\n"), NULL, BAD },
	{ S("NO\rP\r\n"), NULL, BAD },
	{ S("NO\0P\r\n"), NULL, BAD },
	{ S("\n"), NULL, BAD },
	{ S("\0"), NULL, BAD },
};

/* Until there is a line, or an end of it all. */
static bool
feed_client(struct text in, size_t step, struct text *line)
{
	size_t n;

	while (in.len > 0 && fake.s.state == SESSION_DIALOGUE) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(&fake.s.client.in, in.p, n), 0);
		in = text_skip(in, n);
		if (session_client_line(&fake.s, CLIENT_MAX, line)) {
			assert_int_equal(in.len, 0);
			return true;
		}
	}
	return false;
}

static void
test_client(void **state)
{
	struct text line;
	size_t i, step;
	bool ok;

	(void)state;
	for (i = 0; i < NITEMS(client_lines); i++) {
		for (step = 1; step <= client_lines[i].in.len; step++) {
			start();
			ok = feed_client(client_lines[i].in, step, &line);
			assert_int_equal(ok, client_lines[i].line != NULL);
			if (ok)
				assert_true(
				    text_eq(line, client_lines[i].line));
			assert_string_equal(
			    fake_text(&fake.to_client), client_lines[i].said);
			fake_end();
		}
	}
}

/* It is the caller who takes the line away. */
static void
test_client_keeps(void **state)
{
	struct text line;

	(void)state;
	start();
	assert_int_equal(buf_append(&fake.s.client.in, "a\r\nb\r\n", 6), 0);
	assert_true(session_client_line(&fake.s, CLIENT_MAX, &line));
	assert_true(session_client_line(&fake.s, CLIENT_MAX, &line));
	assert_true(text_eq(line, "a"));
	buf_consume(&fake.s.client.in, line.len + 2);
	assert_true(session_client_line(&fake.s, CLIENT_MAX, &line));
	assert_true(text_eq(line, "b"));
	fake_end();
}

/* After how many lines, if any. */
static const struct {
	unsigned int before;
	struct text in;
	const char *line, *said;
} server_lines[] = {
	{ 0, S("+OK\r\n"), "+OK", "" },
	{ 0, S("\r\n"), "", "" },
	{ 0, S("\xff\x01\r\n"), "\xff\x01", "" },
	{ 0, S("+OK\r"), NULL, "" },
	{ 0, S("+OK\n"), NULL, "{server: Connection Negotiation Failure}" },
	{ 0, S("+O\0K\r\n"), NULL, "{server: Connection Negotiation Failure}" },
	{ 0, S("+O\rK\r\n"), NULL, "{server: Connection Negotiation Failure}" },
	{ 1, S("+OK\n"), NULL, "{server: Invalid response from server}" },
	{ 1, S("+OK\r\n"), "+OK", "" },
	{ SERVER_LINES_MAX - 1, S("+OK\r\n"), "+OK", "" },
	{ SERVER_LINES_MAX, S("+OK\r\n"), NULL,
	    "{server: Too many lines from server}" },
};

/* The same; the line is taken, into dst. */
static bool
feed_server(struct text in, size_t step, char *dst, struct text *line)
{
	size_t n;

	while (in.len > 0 && fake.s.state == SESSION_LOGIN) {
		n = in.len < step ? in.len : step;
		assert_int_equal(buf_append(&fake.s.server.in, in.p, n), 0);
		in = text_skip(in, n);
		if (session_server_line(&fake.s, dst, line)) {
			assert_ptr_equal(line->p, dst);
			assert_int_equal(fake.s.server.in.len, 0);
			return true;
		}
	}
	return false;
}

static void
test_server(void **state)
{
	char dst[SESSION_SERVER_LINE_MAX];
	struct text line;
	unsigned int n;
	size_t i, step;
	bool ok;

	(void)state;
	for (i = 0; i < NITEMS(server_lines); i++) {
		for (step = 1; step <= server_lines[i].in.len; step++) {
			start();
			fake.s.state = SESSION_LOGIN;
			for (n = 0; n < server_lines[i].before; n++)
				assert_true(
				    feed_server(S("* x\r\n"), 99, dst, &line));
			ok = feed_server(server_lines[i].in, step, dst, &line);
			assert_int_equal(ok, server_lines[i].line != NULL);
			if (ok)
				assert_true(
				    text_eq(line, server_lines[i].line));
			assert_string_equal(
			    fake_text(&fake.to_client), server_lines[i].said);
			fake_end();
		}
	}
}

/* Lines one by one, and what is behind them stays. */
static void
test_server_takes(void **state)
{
	char dst[SESSION_SERVER_LINE_MAX];
	struct text line;

	(void)state;
	start();
	assert_int_equal(buf_append(&fake.s.server.in, "a\r\nbc\r\nd", 8), 0);
	assert_true(session_server_line(&fake.s, dst, &line));
	assert_true(text_eq(line, "a"));
	assert_true(session_server_line(&fake.s, dst, &line));
	assert_true(text_eq(line, "bc"));
	assert_false(session_server_line(&fake.s, dst, &line));
	assert_string_equal(fake_text(&fake.s.server.in), "d");
	assert_int_equal(fake.s.server_lines, 2);
	fake_end();
}

/* The longest line, and one octet more. */
static void
test_server_long(void **state)
{
	static char in[SESSION_SERVER_LINE_MAX + 1];
	static const size_t steps[] = { 1, 1000, sizeof(in) };
	char dst[SESSION_SERVER_LINE_MAX];
	struct text line;
	size_t i, len;

	(void)state;
	for (i = 0; i < NITEMS(steps); i++)
		for (len = sizeof(in) - 1; len <= sizeof(in); len++) {
			memset(in, 'x', sizeof(in));
			in[len - 2] = '\r';
			in[len - 1] = '\n';
			start();
			fake.s.state = SESSION_LOGIN;
			assert_int_equal(feed_server((struct text){ in, len },
			                     steps[i], dst, &line),
			    len <= SESSION_SERVER_LINE_MAX);
			assert_string_equal(fake_text(&fake.to_client),
			    len <= SESSION_SERVER_LINE_MAX
			        ? ""
			        : "{server: Line from server too long}");
			fake_end();
		}
}

/* In a lesson it is the same, with nobody to tell. */
static void
test_lesson(void **state)
{
	char dst[SESSION_SERVER_LINE_MAX];
	struct text line;

	(void)state;
	start();
	fake.s.state = SESSION_LOGIN;
	fake.s.lesson = true;
	assert_false(feed_server(S("+OK\n"), 1, dst, &line));
	assert_string_equal(fake_text(&fake.to_client), "{learned nothing}");
	fake_end();
}

/* What it says is a line, but not the one that is due. */
static void
test_garbage(void **state)
{
	char dst[SESSION_SERVER_LINE_MAX];
	struct text line;

	(void)state;
	start();
	fake.s.state = SESSION_LOGIN;
	assert_true(feed_server(S("220 smtp\r\n"), 99, dst, &line));
	session_server_garbage(&fake.s);
	assert_string_equal(fake_text(&fake.to_client),
	    "{server: Connection Negotiation Failure}");
	fake_end();

	start();
	fake.s.state = SESSION_LOGIN;
	assert_true(feed_server(S("+OK\r\n"), 99, dst, &line));
	assert_true(feed_server(S("what\r\n"), 99, dst, &line));
	session_server_garbage(&fake.s);
	assert_string_equal(fake_text(&fake.to_client),
	    "{server: Invalid response from server}");
	fake_end();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_client_keeps),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_server_takes),
		cmocka_unit_test(test_server_long),
		cmocka_unit_test(test_lesson),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
