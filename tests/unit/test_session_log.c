/* SPDX-License-Identifier: ISC */
/* The lines of a session, sign for sign, and what strangers write into them. */
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>

#include "conf_fixture.h"
#include "log.h"
#include "session_log.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define CONF                                                                   \
	"outgoing_server 192.168.0.5,[fd00::1]:1143,imap.example.org\n"        \
	"outgoing_port 143\nlisten \"127.0.0.1 starttls\"\n"

#define A4 "203.0.113.50:38776"
#define B4 "203.0.113.1:993"
#define A6 "[2001:db8::5]:38776"
#define B6 "[2001:db8::1]:143"
#define NONE " authorisation_id=NONE"
#define U " authentication_id=\"ostaquet\""
#define NOBODY " authentication_id=\"(null)\""

/* authz NULL: the client gave none. */
static const struct {
	enum event_type type;
	enum event_secure client_secure, server_secure;
	const char *client, *local, *authz, *authn;
	uint16_t server;
	const char *status;
	uint64_t received, sent;
	int level;
	const char *line;
} cases[] = {
	{ EVENT_CONNECT, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL, "",
	    MSG_NO_SERVER, "", 0, 0, LOG_INFO, "Connect:  " A4 "->" B4 },
	{ EVENT_CONNECT, SECURE_PLAINTEXT, SECURE_PLAINTEXT, A6, B6, NULL, "",
	    MSG_NO_SERVER, "x", 1, 1, LOG_INFO, "Connect:  " A6 "->" B6 },

	{ EVENT_AUTH, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL, "ostaquet", 0,
	    "ok", 0, 0, LOG_NOTICE,
	    "Auth: " A4 "->" B4 " client-secure=ssl" NONE U
	    " server=\"192.168.0.5:143\" protocol=IMAP4S"
	    " server-secure=plaintext status=\"ok\"" },
	{ EVENT_AUTH, SECURE_STARTTLS, SECURE_SSL, A6, B6, "boss", "ostaquet",
	    1, "failed: Re-Authentication Failure", 0, 0, LOG_NOTICE,
	    "Auth: " A6 "->" B6
	    " client-secure=starttls authorisation_id=\"boss\"" U
	    " server=\"[fd00::1]:1143\" protocol=IMAP4"
	    " server-secure=ssl status=\"failed: Re-Authentication Failure\"" },
	{ EVENT_AUTH, SECURE_PLAINTEXT, SECURE_STARTTLS, A4, B4, "", "ostaquet",
	    2, "ok", 0, 0, LOG_NOTICE,
	    "Auth: " A4 "->" B4
	    " client-secure=plaintext authorisation_id=\"\"" U
	    " server=\"imap.example.org:143\" protocol=IMAP4"
	    " server-secure=starttls status=\"ok\"" },
	/* No server answered; a worker names one that there is not. */
	{ EVENT_AUTH, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL, "ostaquet",
	    MSG_NO_SERVER, "failed: x", 0, 0, LOG_NOTICE,
	    "Auth: " A4 "->" B4 " client-secure=ssl" NONE U
	    " server=\"-\" protocol=IMAP4S server-secure=plaintext"
	    " status=\"failed: x\"" },
	{ EVENT_AUTH, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL, "ostaquet", 3,
	    "failed: x", 0, 0, LOG_NOTICE,
	    "Auth: " A4 "->" B4 " client-secure=ssl" NONE U
	    " server=\"-\" protocol=IMAP4S server-secure=plaintext"
	    " status=\"failed: x\"" },
	/* Nobody writes a line, or a field, of his own. */
	{ EVENT_AUTH, SECURE_SSL, SECURE_PLAINTEXT, A4, B4,
	    "\r\nAuth: ", "u\" status=\"ok\"\n\\\001\377", 0, "failed: \"\n", 0,
	    0, LOG_NOTICE,
	    "Auth: " A4 "->" B4
	    " client-secure=ssl authorisation_id=\"\\r\\nAuth: \""
	    " authentication_id=\"u\\\" status=\\\"ok\\\"\\n\\\\\\001\\377\""
	    " server=\"192.168.0.5:143\" protocol=IMAP4S"
	    " server-secure=plaintext status=\"failed: \\\"\\n\"" },

	{ EVENT_CLOSE, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL, "ostaquet",
	    0, "", 28, 407, LOG_INFO,
	    "Closing session: " A4 "->" B4 NONE U " received=28 sent=407" },
	{ EVENT_CLOSE, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, "boss", "ostaquet",
	    0, "the client left", UINT64_MAX, 0, LOG_INFO,
	    "Closing session: " A4 "->" B4 " authorisation_id=\"boss\"" U
	    " received=18446744073709551615 sent=0" },

	{ EVENT_CLOSE_NULL, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL, "",
	    MSG_NO_SERVER, "", 0, 0, LOG_INFO,
	    "Closing NULL session: " A4 "->" B4 NONE NOBODY },
	{ EVENT_CLOSE_NULL, SECURE_SSL, SECURE_PLAINTEXT, A4, B4, NULL,
	    "ostaquet", MSG_NO_SERVER, "too \"many\"\n", 9, 9, LOG_INFO,
	    "Closing NULL session: " A4 "->" B4 NONE U
	    " reason=\"too \\\"many\\\"\\n\"" },
};

static struct addr
parse(const char *s)
{
	struct text host, port;
	struct addr a;
	uint64_t n;

	assert_int_equal(addr_split(text_of(s), &host, &port), 0);
	assert_true(text_u64(port, UINT16_MAX, &n));
	assert_int_equal(addr_parse(host, (uint16_t)n, &a), 0);
	return a;
}

static struct conf *
new_conf(void)
{
	static struct said said;
	struct conf *c = fixture_settled(&said, CONF, NULL);

	assert_int_equal(said.errors, 0);
	assert_int_equal(c->nservers, 3);
	return c;
}

static void
test_lines(void **state)
{
	struct conf *c = new_conf();
	char line[LOG_LINE_MAX];
	size_t i;
	int level;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		struct msg_event e = {
			.type = (uint8_t)cases[i].type,
			.client_secure = (uint8_t)cases[i].client_secure,
			.server_secure = (uint8_t)cases[i].server_secure,
			.has_authz = cases[i].authz != NULL,
			.client = parse(cases[i].client),
			.local = parse(cases[i].local),
			.authz = text_of(cases[i].authz),
			.authn = text_of(cases[i].authn),
			.server = cases[i].server,
			.status = text_of(cases[i].status),
			.received = cases[i].received,
			.sent = cases[i].sent,
		};

		level = session_log_format(c, &e, line, sizeof(line));
		assert_string_equal(line, cases[i].line);
		assert_int_equal(level, cases[i].level);
	}
	conf_free(&c);
}

/* The longest that a worker can say leaves what is behind a name in place. */
static void
test_longest(void **state)
{
	static char name[MSG_NAME_MAX], status[MSG_STATUS_MAX];
	struct conf *c = new_conf();
	struct msg_event e = { .type = EVENT_AUTH,
		.client_secure = SECURE_PLAINTEXT,
		.server_secure = SECURE_PLAINTEXT,
		.has_authz = 1,
		.authz = { name, sizeof(name) },
		.authn = { name, sizeof(name) },
		.status = { status, sizeof(status) } };
	char line[LOG_LINE_MAX], host[256], tail[64];

	(void)state;
	memset(name, '\377', sizeof(name));
	memset(status, '\001', sizeof(status));
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	free(c->servers[0].name);
	c->servers[0].name = strdup(host);
	e.client = parse("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
	e.client.in6.sin6_scope_id = UINT32_MAX;
	e.local = e.client;
	assert_int_equal(
	    session_log_format(c, &e, line, sizeof(line)), LOG_NOTICE);
	assert_true(strlen(line) < sizeof(line) - 1);
	assert_non_null(strstr(line, "h:143\" protocol=IMAP4 "));
	assert_non_null(strstr(line, " status=\"\\001\\001"));
	(void)strlcpy(tail, line + strlen(line) - 4, sizeof(tail));
	assert_string_equal(tail, "...\"");

	e.type = EVENT_CLOSE;
	session_log_format(c, &e, line, sizeof(line));
	assert_non_null(strstr(line, "...\" received=0 sent=0"));
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
