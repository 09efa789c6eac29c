/* SPDX-License-Identifier: ISC */
/*
 * The answers of the control socket: what they look like, that no line of a
 * usual table is wider than a terminal, and that no name gets out of its
 * place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control_text.h"

#define NOW 1764000000 /* 2025-11-24T16:00:00Z */
#define COLUMNS 80

static struct conf_listen listeners[2] = { { .mode = LISTEN_SSL },
	{ .mode = LISTEN_STARTTLS } };
static char one[] = "192.168.0.5", two[] = "2001:db8::5";
static struct conf_server servers[] = { { .name = one, .port = 143 },
	{ .name = two, .port = 143 } };
static struct conf conf = {
	.listen = listeners, .nlisten = 2, .servers = servers, .nservers = 2
};
static struct msg_servers_reply reply = { .n = 2,
	.servers = { { 0, 0 }, { 12, 33 } } };
static const struct expiry certificates[] = {
	{ "/etc/relais/server.crt", "example.org a.example",
	    NOW + 77 * 86400 + 5 },
	{ "/a \"b\".crt", "", NOW - 1 }, { "/c.crt", "c.example", NOW + 86400 }
};
static const struct msg_process worker = { .role = ROLE_WORKER,
	.number = 1,
	.serial = 9,
	.pid = 4711,
	.generation = 3,
	.state = PROCESS_SERVES,
	.age = 3700,
	.restarts = 2 };

static struct control_status_head
head(void)
{
	assert_int_equal(
	    addr_parse(TEXT_LIT("0.0.0.0"), 993, &listeners[0].addr), 0);
	assert_int_equal(
	    addr_parse(TEXT_LIT("::"), 143, &listeners[1].addr), 0);
	return (struct control_status_head){ .conf = &conf,
		.daemon = "imapsd",
		.master = 4242,
		.uptime = 3 * 86400 + 4 * 3600 + 5,
		.generation = 3,
		.sessions = 123,
		.logged_in = 118,
		.limit = 20000,
		.workers = 4,
		.servers = &reply };
}

/* Each is another one. */
static struct msg_totals
totals(void)
{
	struct msg_totals m;
	size_t i;

	for (i = 0; i < TOTALS; i++)
		m.n[i] = 1000000000000 + i;
	return m;
}

static void
put_head(struct buf *b, const struct control_status_head *h, bool json)
{
	struct msg_totals m = totals();

	control_put_status(b, h, json);
	control_put_certificate(b, &certificates[0], NOW, json, true);
	control_put_certificate(b, &certificates[1], NOW, json, false);
	if (!json)
		control_put_more_certificates(b, 1234, &certificates[2]);
	control_put_totals(b, &m, !json, json);
}

static void
check(struct buf *b, const char *want)
{
	struct text t = buf_view(b);

	if (!text_eq(t, want))
		fail_msg("\n%.*s, not\n%s", TEXT_ARG(t), want);
	buf_free(b);
}

static void
check_width(struct text t)
{
	struct text line;

	while (text_split(&t, '\n', &line))
		if (line.len > COLUMNS)
			fail_msg("too wide: %.*s", TEXT_ARG(line));
}

static void
test_status(void **state)
{
	struct control_status_head h = head();
	struct control_process p = { worker, 61, false };
	struct buf b;

	(void)state;
	buf_init(&b, CONTROL_TEXT_MAX);
	put_head(&b, &h, false);
	control_put_process(&b, &p, false, true);
	p.m.role = ROLE_AUTHENTICATOR;
	p.sessions = CONTROL_NO_SESSIONS;
	p.silent = true;
	p.m.number = UINT16_MAX;
	control_put_process(&b, &p, false, false);
	control_put_status_end(&b, false);
	check_width(buf_view(&b));
	check(&b,
	    "imapsd " VERSION ", pid 4242, up 3d 4h, generation 3\n"
	    "sessions   123 of at most 20000, 118 logged in, at 4 workers\n"
	    "listening  0.0.0.0:993 ssl\n"
	    "           [::]:143 starttls\n"
	    "servers    192.168.0.5:143 up\n"
	    "           [2001:db8::5]:143 down (failures: 12, tried again in "
	    "33 s)\n"
	    "certs      /etc/relais/server.crt: 77 days left, until "
	    "2026-02-09\n"
	    "           /a \\\"b\\\".crt: EXPIRED on 2025-11-24\n"
	    "           and 1234 more, none of which ends before 2025-11-25\n"
	    "\n"
	    "SINCE THE START              OK      REFUSED       FAILED\n"
	    "connections        1000000000000 1000000000001            -\n"
	    "TLS handshakes     1000000000002            - 1000000000003\n"
	    "logins             1000000000005 1000000000006 1000000000007\n"
	    "messages           1000000000012 1000000000013 1000000000014\n"
	    "recipients         1000000000015 1000000000016 1000000000017\n"
	    "reloads            1000000000019 1000000000020            -\n"
	    "octets received    1000000000010\n"
	    "octets sent        1000000000011\n"
	    "TLS resumed        1000000000004\n"
	    "refusals delayed   1000000000008, 1000000000009 s in all\n"
	    "processes replaced 1000000000018\n"
	    "log lines lost     1000000000021\n"
	    "\n"
	    "PROCESS               PID  STATE   SESSIONS  GEN      AGE "
	    "RESTARTS\n"
	    "worker 2             4711  serves        61    3    1h01m        "
	    "2\n"
	    "authenticator 65536    4711  silent         -    3    1h01m      "
	    "  2\n");
}

static void
test_status_json(void **state)
{
	struct control_status_head h = head();
	struct control_process p = { worker, 61, false };
	struct buf b;

	(void)state;
	h.servers = NULL;
	buf_init(&b, CONTROL_TEXT_MAX);
	put_head(&b, &h, true);
	control_put_process(&b, &p, true, true);
	p.sessions = CONTROL_NO_SESSIONS;
	p.silent = true;
	control_put_process(&b, &p, true, false);
	control_put_status_end(&b, true);
	check(&b,
	    "{\n  \"daemon\": \"imapsd\",\n  \"version\": \"" VERSION "\",\n"
	    "  \"pid\": 4242,\n  \"uptime_seconds\": 273605,\n"
	    "  \"generation\": 3,\n  \"sessions\": 123,\n"
	    "  \"logged_in\": 118,\n  \"session_limit\": 20000,\n"
	    "  \"listeners\": [\n"
	    "    {\"address\": \"0.0.0.0:993\", \"mode\": \"ssl\"},\n"
	    "    {\"address\": \"[::]:143\", \"mode\": \"starttls\"}],\n"
	    "  \"servers\": [\n"
	    "    {\"host\": \"192.168.0.5\", \"port\": 143, \"up\": null},\n"
	    "    {\"host\": \"2001:db8::5\", \"port\": 143, \"up\": null}],\n"
	    "  \"certificates\": [\n"
	    "    {\"file\": \"/etc/relais/server.crt\", "
	    "\"names\": \"example.org a.example\", \"not_after\": "
	    "\"2026-02-09T16:00:05Z\", \"days\": 77},\n"
	    "    {\"file\": \"/a \\\"b\\\".crt\", \"names\": \"\", "
	    "\"not_after\": \"2025-11-24T15:59:59Z\", \"days\": -1}],\n"
	    "  \"totals\": {\n"
	    "    \"connections\": 1000000000000,\n"
	    "    \"connections_refused\": 1000000000001,\n"
	    "    \"tls_handshakes\": 1000000000002,\n"
	    "    \"tls_handshakes_failed\": 1000000000003,\n"
	    "    \"tls_handshakes_resumed\": 1000000000004,\n"
	    "    \"logins\": 1000000000005,\n"
	    "    \"logins_refused\": 1000000000006,\n"
	    "    \"logins_unavailable\": 1000000000007,\n"
	    "    \"refusals_delayed\": 1000000000008,\n"
	    "    \"delay_seconds\": 1000000000009,\n"
	    "    \"bytes_received\": 1000000000010,\n"
	    "    \"bytes_sent\": 1000000000011,\n"
	    "    \"processes_replaced\": 1000000000018,\n"
	    "    \"reloads\": 1000000000019,\n"
	    "    \"reloads_refused\": 1000000000020,\n"
	    "    \"log_lines_lost\": 1000000000021},\n"
	    "  \"processes\": [\n"
	    "    {\"role\": \"worker\", \"number\": 2, \"pid\": 4711, "
	    "\"state\": \"serves\", \"answers\": true, \"generation\": 3, "
	    "\"age_seconds\": 3700, \"restarts\": 2, \"sessions\": 61},\n"
	    "    {\"role\": \"worker\", \"number\": 2, \"pid\": 4711, "
	    "\"state\": \"serves\", \"answers\": false, \"generation\": 3, "
	    "\"age_seconds\": 3700, \"restarts\": 2, \"sessions\": null}]\n"
	    "}\n");
}

static struct msg_session
usual(void)
{
	struct msg_session m = { .stage = STAGE_RELAY,
		.client_secure = SECURE_SSL,
		.user = TEXT_LIT("ann"),
		.server = TEXT_LIT("192.168.0.5:143"),
		.tls = TEXT_LIT("TLSv1.3"),
		.cipher = TEXT_LIT("TLS_AES_256_GCM_SHA384"),
		.received = 9999,
		.sent = 123456789,
		.seconds = 61 };

	assert_int_equal(
	    addr_parse(TEXT_LIT("203.0.113.77"), 51234, &m.client), 0);
	return m;
}

static void
test_sessions(void **state)
{
	struct msg_session m = usual();
	struct control_session s = { &m, &worker, NOW };
	struct buf b;

	(void)state;
	buf_init(&b, CONTROL_TEXT_MAX);
	control_put_sessions(&b, "imapsd", false);
	control_put_session(&b, &s, false, true);
	m.user = m.server = TEXT_NONE;
	m.stage = STAGE_LOGIN;
	m.received = m.sent = UINT64_MAX;
	m.seconds = 86400 * 3;
	control_put_session(&b, &s, false, false);
	control_put_sessions_end(&b, 2, 0, false);
	check_width(buf_view(&b));
	check(&b,
	    "USER           FROM            STATE SINCE    SERVER          "
	    "   IN   OUT PID\n"
	    "ann            203.0.113.77    in    15:58:59 192.168.0.5:143 "
	    " 9999  118M 4711\n"
	    "-              203.0.113.77    login Nov 21   -               "
	    "16.0E 16.0E 4711\n"
	    "2 sessions\n");
}

static void
test_sessions_json(void **state)
{
	struct msg_process old = worker;
	struct msg_session m = usual();
	struct control_session s = { &m, &old, NOW };
	struct buf b;

	(void)state;
	old.state = PROCESS_DRAINS;
	buf_init(&b, CONTROL_TEXT_MAX);
	control_put_sessions(&b, "imapsd", true);
	control_put_session(&b, &s, true, true);
	memset(&m, 0, sizeof(m));
	control_put_session(&b, &s, true, false);
	control_put_sessions_end(&b, 2, 1, true);
	check(&b,
	    "{\n  \"daemon\": \"imapsd\",\n  \"sessions\": [\n"
	    "    {\"user\": \"ann\", \"client\": \"203.0.113.77:51234\", "
	    "\"state\": \"draining\", \"since\": \"2025-11-24T15:58:59Z\", "
	    "\"seconds\": 61, \"server\": \"192.168.0.5:143\", "
	    "\"received\": 9999, \"sent\": 123456789, "
	    "\"client_tls\": \"ssl\", \"tls_version\": \"TLSv1.3\", "
	    "\"tls_cipher\": \"TLS_AES_256_GCM_SHA384\", "
	    "\"server_tls\": null, \"worker\": 2, \"pid\": 4711, "
	    "\"generation\": 3},\n"
	    "    {\"user\": null, \"client\": null, \"state\": \"login\", "
	    "\"since\": \"2025-11-24T16:00:00Z\", \"seconds\": 0, "
	    "\"server\": null, \"received\": 0, \"sent\": 0, "
	    "\"client_tls\": null, \"tls_version\": null, "
	    "\"tls_cipher\": null, \"server_tls\": null, \"worker\": 2, "
	    "\"pid\": 4711, \"generation\": 3}],\n"
	    "  \"count\": 2,\n  \"silent\": 1\n}\n");
}

static void
check_harmless(struct buf *b, unsigned int octet)
{
	struct text t = buf_view(b);
	size_t i;

	for (i = 0; i < t.len; i++)
		if (t.p[i] != '\n' && (t.p[i] < 0x20 || t.p[i] > 0x7e))
			fail_msg("octet %u gets out", octet);
	buf_free(b);
}

/* All octets, the longest there may be: it fits, and is ASCII in one line. */
static void
test_hostile(void **state)
{
	char name[MSG_NAME_MAX], server[MSG_SERVER_NAME_MAX], tls[MSG_TLS_MAX];
	struct msg_session m = usual();
	struct control_session s = { &m, &worker, NOW };
	struct msg_kick_reply k = {
		.ended = UINT32_MAX, .owed = UINT32_MAX, .unknown = UINT32_MAX
	};
	struct buf b;
	unsigned int octet, json;

	(void)state;
	for (octet = 0; octet < 256; octet++)
		for (json = 0; json < 2; json++) {
			memset(name, (int)octet, sizeof(name));
			memset(server, (int)octet, sizeof(server));
			memset(tls, (int)octet, sizeof(tls));
			m.user = (struct text){ name, sizeof(name) };
			m.server = (struct text){ server, sizeof(server) };
			m.tls = m.cipher = (struct text){ tls, sizeof(tls) };
			m.seconds = octet % 2 == 0 ? UINT32_MAX : 0;
			buf_init(&b, CONTROL_TEXT_MAX);
			control_put_session(&b, &s, json, true);
			check_harmless(&b, octet);
			buf_init(&b, CONTROL_TEXT_MAX);
			for (k.nsimilar = 0; k.nsimilar < MSG_SIMILAR_MAX;
			     k.nsimilar++)
				k.similar[k.nsimilar] = m.user;
			control_put_kick(&b, "imapsd", m.user, &k, 7, json);
			check_harmless(&b, octet);
		}
}

static void
test_kick(void **state)
{
	const struct msg_kick_reply none = { .ended = 0 },
	                            some = { .ended = 3,
		                            .owed = 1,
		                            .unknown = 2 },
	                            single = { .ended = 1 },
	                            other = { .similar = { TEXT_LIT("Ann") },
		                            .nsimilar = 1 },
	                            others = { .similar = { TEXT_LIT("Ann"),
		                                   TEXT_LIT("A\"n") },
		                            .nsimilar = 2 };
	struct buf b;

	(void)state;
	buf_init(&b, CONTROL_TEXT_MAX);
	control_put_kick(&b, "imapsd", TEXT_LIT("a\"b"), &none, 0, false);
	control_put_kick(&b, "imapsd", TEXT_LIT("ann"), &single, 0, false);
	control_put_kick(&b, "imapsd", TEXT_LIT("ann"), &some, 0, false);
	control_put_kick(&b, "imapsd", TEXT_LIT("a\"b"), &some, 4, true);
	control_put_kick(&b, "imapsd", TEXT_LIT("ann"), &other, 0, false);
	control_put_kick(&b, "imapsd", TEXT_LIT("ann"), &others, 0, false);
	control_put_kick(&b, "imapsd", TEXT_LIT("ann"), &others, 0, true);
	check(&b,
	    "0 sessions of \"a\\\"b\" ended\n"
	    "1 session of \"ann\" ended\n"
	    "3 sessions of \"ann\" ended; of these 1 as soon as the inner "
	    "server has said whether it took a message\n"
	    "2 in a login of a user not known yet: ask again\n"
	    "{\"daemon\": \"imapsd\", \"user\": \"a\\\"b\", \"ended\": 3, "
	    "\"owed\": 1, \"unknown\": 2, \"silent\": 4, \"similar\": []}\n"
	    "0 sessions of \"ann\" ended; did you mean \"Ann\"?\n"
	    "0 sessions of \"ann\" ended; did you mean \"Ann\" or "
	    "\"A\\\"n\"?\n"
	    "{\"daemon\": \"imapsd\", \"user\": \"ann\", \"ended\": 0, "
	    "\"owed\": 0, \"unknown\": 0, \"silent\": 0, "
	    "\"similar\": [\"Ann\", \"A\\\"n\"]}\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_json),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_sessions_json),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_kick),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
