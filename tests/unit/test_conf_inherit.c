/* SPDX-License-Identifier: ISC */
/*
 * test_conf_inherit: sockets that we were given, against what the
 * configuration says: how each is served, and what cannot be.
 */
#include "conf_fixture.h"
#include "inherit.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define BASE "outgoing_server 192.168.0.5\n"
#define TLS_ONLY BASE "listen 127.0.0.1:993 ssl\n"
#define BOTH BASE "listen *:4430 ssl\nlisten *:1430 starttls\n"
#define PLAIN BASE "listen 127.0.0.1:143 plain\n"

static void
give(struct inherited *in, enum inherit_kind kind, const char *host,
    uint16_t port, const char *name)
{
	struct inherited_socket *s = &in->sockets[in->n++];

	in->kind = kind;
	s->fd = 3 + (int)in->n;
	assert_int_equal(addr_parse(text_of(host), port, &s->local), 0);
	(void)strlcpy(s->name, name, sizeof(s->name));
}

static struct conf *
settled(struct said *s, const char *text, const struct inherited *in)
{
	struct conf *c = fixture_new(s);

	conf_inherit(c, in);
	conf_read_text(c, "t.conf", text_of(text));
	conf_settle(c, NULL);
	return c;
}

/* One socket: how it is served; error NULL: without a word. */
static void
test_modes(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		const char *name;
		enum conf_listen_mode mode;
		bool clear;
		const char *error;
	} cases[] = {
		/* a name says it */
		{ BASE, "127.0.0.1", 5, "tls", LISTEN_SSL, false, NULL },
		{ BASE, "::", 5, "starttls", LISTEN_STARTTLS, false, NULL },
		{ TLS_ONLY, "127.0.0.1", 993, "tls", LISTEN_SSL, false, NULL },
		{ TLS_ONLY, "127.0.0.1", 993, "starttls", 0, false,
		    "is named \"starttls\", and the configuration says ssl of "
		    "port 993" },
		{ PLAIN, "127.0.0.1", 143, "starttls", 0, false,
		    "says plain of port 143" },
		{ BASE, "127.0.0.1", 993, "ssl", 0, false,
		    "is named \"ssl\": FileDescriptorName= takes tls or" },
		{ BASE, "127.0.0.1", 993, "TLS", 0, false, "is named \"TLS\"" },
		{ BASE, "127.0.0.1", 993, ".socket", 0, false,
		    "is named \".socket\"" },

		/* without one: the listener with that address or port */
		{ BOTH, "0.0.0.0", 4430, "", LISTEN_SSL, false, NULL },
		{ BOTH, "192.0.2.9", 1430, "connection", LISTEN_STARTTLS, false,
		    NULL },
		{ BOTH, "::", 4430, "imapsd.socket", LISTEN_SSL, false, NULL },
		{ BASE "listen 192.0.2.1:7 ssl\nlisten 192.0.2.2:7 starttls\n",
		    "192.0.2.2", 7, "", LISTEN_STARTTLS, false, NULL },
		{ BASE "listen 192.0.2.1:7 ssl\nlisten *:7 starttls\n",
		    "192.0.2.1", 7, "", LISTEN_SSL, false, NULL },
		{ PLAIN, "127.0.0.1", 143, "unknown", LISTEN_PLAIN, true,
		    NULL },

		/* or the port of the protocol; never in clear by itself */
		{ BASE, "127.0.0.1", 993, "unknown", LISTEN_SSL, false, NULL },
		{ BASE, "::1", 143, "", LISTEN_STARTTLS, false, NULL },
		{ BASE "listen *:4430 ssl\n", "::1", 143, "", LISTEN_STARTTLS,
		    false, NULL },
		{ BASE, "127.0.0.1", 5, "", 0, false,
		    "nothing tells whether there is TLS from the start on the "
		    "socket 127.0.0.1:5" },
	};
	struct inherited in;
	struct said s;
	struct conf *c;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		in = (struct inherited){ 0 };
		/* A client, since of a listener other lines are warned of. */
		give(&in, INHERIT_CLIENT, cases[i].host, cases[i].port,
		    cases[i].name);
		c = settled(&s, cases[i].text, &in);
		fixture_check(
		    cases[i].name, &s, cases[i].error != NULL, cases[i].error);
		assert_int_equal(c->nlisten, 1);
		if (cases[i].error == NULL) {
			assert_int_equal(c->listen[0].mode, cases[i].mode);
			assert_int_equal(
			    c->listen[0].clear_login, cases[i].clear);
		}
		conf_free(&c);
	}
}

static void
test_listeners(void **state)
{
	struct inherited in = { 0 };
	struct said s;
	struct conf *c;

	(void)state;
	give(&in, INHERIT_LISTENERS, "0.0.0.0", 993, "tls");
	give(&in, INHERIT_LISTENERS, "::", 143, "starttls");
	c = settled(&s, BASE "workers 3\n", &in);
	assert_string_equal(s.text, "");
	assert_int_equal(c->nlisten, 2);
	assert_int_equal(c->listen[1].mode, LISTEN_STARTTLS);
	assert_true(addr_eq(&c->listen[1].addr, &in.sockets[1].local));
	assert_false(c->one_client);
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->npairs, 1);
	/* Whoever gave them waits for this process. */
	assert_true(c->no_daemon);
	assert_null(c->pid_file);
	conf_free(&c);
}

/* TLS by name, although the listen lines have none: there is a certificate. */
static void
test_certificate(void **state)
{
	struct inherited in = { 0 };
	struct said s;
	struct conf *c;

	(void)state;
	give(&in, INHERIT_CLIENT, "127.0.0.1", 993, "tls");
	c = settled(&s, PLAIN, &in);
	assert_string_equal(s.text, "");
	assert_int_equal(c->npairs, 1);
	conf_free(&c);
}

static void
test_others_are_warned_of(void **state)
{
	struct inherited in = { 0 };
	struct said s;
	struct conf *c;

	(void)state;
	give(&in, INHERIT_LISTENERS, "::", 4430, "tls");
	c = settled(&s, BOTH, &in);
	fixture_check("others", &s, 0,
	    "W t.conf:3: port 1430 is not among the sockets that were given");
	assert_int_equal(s.warnings, 1);
	conf_free(&c);
}

static void
test_twice(void **state)
{
	struct inherited in = { 0 };
	struct said s;
	struct conf *c;

	(void)state;
	give(&in, INHERIT_LISTENERS, "0.0.0.0", 993, "tls");
	give(&in, INHERIT_LISTENERS, "0.0.0.0", 993, "tls");
	c = settled(&s, BASE, &in);
	fixture_check("twice", &s, 1, "0.0.0.0:993 was given to us twice");
	conf_free(&c);
}

static void
test_one_client(void **state)
{
	struct inherited in = { 0 };
	struct said s;
	struct conf *c;

	(void)state;
	give(&in, INHERIT_CLIENT, "127.0.0.1", 993, "");
	c = settled(&s,
	    BASE "workers 8\nkeepers 8\nworker_connections 500\n"
	         "pid_file /run/x.pid\n",
	    &in);
	assert_string_equal(s.text, "");
	assert_true(c->one_client && c->no_daemon);
	assert_int_equal(c->workers, 1);
	assert_int_equal(c->keepers, 1);
	assert_int_equal(c->worker_connections, 1);
	assert_null(c->pid_file);
	conf_free(&c);
}

/* stdout and stderr are the client: no place for a log. */
static void
test_log(void **state)
{
	static const char *const targets[] = { "-", "+" };
	struct inherited in = { .mute = true };
	struct said s;
	struct conf *c;
	char text[128];
	size_t i;

	(void)state;
	give(&in, INHERIT_CLIENT, "127.0.0.1", 993, "");
	for (i = 0; i < NITEMS(targets); i++) {
		(void)snprintf(
		    text, sizeof(text), BASE "log_facility %s\n", targets[i]);
		c = settled(&s, text, &in);
		fixture_check(targets[i], &s, 1, "that is the client");
		conf_free(&c);
	}
	in.mute = false;
	c = settled(&s, text, &in);
	assert_string_equal(s.text, "");
	conf_free(&c);
}

static void
test_nothing(void **state)
{
	struct inherited in = { 0 };
	struct said s;
	struct conf *c;

	(void)state;
	c = settled(&s, BOTH, &in);
	assert_string_equal(s.text, "");
	assert_int_equal(c->nlisten, 4);
	assert_false(c->no_daemon || c->one_client);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_others_are_warned_of),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_one_client),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
