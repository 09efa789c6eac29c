/* SPDX-License-Identifier: ISC */
/* Tests of metrics_text: the text, to the letter, and what it has to keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert_dir.h"
#include "metrics_text.h"

static char name_of_server[] = "imap\"1\\.example.org", v6[] = "::1";
static const struct conf_server servers[] = {
	{ .name = name_of_server, .port = 143 },
	{ .name = v6, .port = 1143 },
};
static struct expiry certificates[] = {
	{ "/etc/relais/\"server\".crt", "example.org", 1893456000 },
};
static const struct metrics_facts facts = { .daemon = "imapsd",
	.kind = CONF_IMAP,
	.servers = servers,
	.nservers = 2,
	.certificates = { certificates, 1 } };

static char *
text_of_stats(const struct metrics_facts *f, const struct stats *s,
    enum metrics_format format)
{
	struct buf out;
	char *text;

	buf_init(&out, METRICS_TEXT_MAX);
	assert_int_equal(metrics_text_write(f, s, format, &out), 0);
	text = malloc(out.len + 1);
	assert_non_null(text);
	memcpy(text, buf_view(&out).p, out.len);
	text[out.len] = '\0';
	buf_free(&out);
	return text;
}

static void
has(const char *text, const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("no \"%s\" in %s", what, text);
}

static struct stats *
sample(void)
{
	struct stats *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->connections = 7;
	s->clients = 2;
	s->logins[STATS_LOGIN_REFUSED][MECHANISM_PLAIN] = 3;
	s->delays_ms = 12034;
	s->login_seconds.buckets[0] = 1;
	s->login_seconds.buckets[2] = 2;
	s->login_seconds.buckets[STATS_BUCKETS - 1] = 4;
	s->login_seconds.sum_us = 61000042;
	s->server_up[1] = 1;
	s->server_connects[0][STATS_NOT_CONNECTED] = 5;
	return s;
}

static void
test_plain(void **state)
{
	struct stats *s = sample();
	char *t = text_of_stats(&facts, s, METRICS_PLAIN);

	(void)state;
	has(t,
	    "# HELP relais_connections_accepted_total Clients that have "
	    "connected.\n"
	    "# TYPE relais_connections_accepted_total counter\n"
	    "relais_connections_accepted_total{daemon=\"imapsd\"} 7\n"
	    "# HELP relais_connections Clients that are connected.\n"
	    "# TYPE relais_connections gauge\n"
	    "relais_connections{daemon=\"imapsd\"} 2\n");
	has(t,
	    "\nrelais_logins_total{daemon=\"imapsd\",result=\"refused\","
	    "mechanism=\"PLAIN\"} 3\n");
	has(t,
	    "\nrelais_login_delay_seconds_total{daemon=\"imapsd\"} "
	    "12.034\n");
	assert_null(strstr(t, "# EOF"));
	free(t);
	free(s);
}

static void
test_histogram(void **state)
{
	static const char want[] =
	    "# TYPE relais_login_duration_seconds histogram\n"
	    "relais_login_duration_seconds_bucket{daemon=\"imapsd\","
	    "le=\"0.0005\"} 1\n"
	    "relais_login_duration_seconds_bucket{daemon=\"imapsd\","
	    "le=\"0.001\"} 1\n"
	    "relais_login_duration_seconds_bucket{daemon=\"imapsd\","
	    "le=\"0.0025\"} 3\n";
	struct stats *s = sample();
	char *t = text_of_stats(&facts, s, METRICS_OPEN);

	(void)state;
	has(t, want);
	has(t,
	    "le=\"10.0\"} 3\n"
	    "relais_login_duration_seconds_bucket{daemon=\"imapsd\","
	    "le=\"+Inf\"} 7\n"
	    "relais_login_duration_seconds_sum{daemon=\"imapsd\"} 61.000042\n"
	    "relais_login_duration_seconds_count{daemon=\"imapsd\"} 7\n");
	free(t);
	free(s);
}

static void
test_open(void **state)
{
	struct stats *s = sample();
	char *t = text_of_stats(&facts, s, METRICS_OPEN);
	size_t n = strlen(t);

	(void)state;
	has(t,
	    "# TYPE relais_connections_accepted counter\n"
	    "relais_connections_accepted_total{daemon=\"imapsd\"} 7\n");
	assert_true(n > 7);
	assert_string_equal(t + n - 7, "\n# EOF\n");
	free(t);
	free(s);
}

static void
test_escapes(void **state)
{
	struct stats *s = sample();
	char *t = text_of_stats(&facts, s, METRICS_PLAIN);

	(void)state;
	has(t,
	    "\nrelais_inner_server_up{daemon=\"imapsd\","
	    "server=\"imap\\\"1\\\\.example.org:143\"} 0\n"
	    "relais_inner_server_up{daemon=\"imapsd\","
	    "server=\"[::1]:1143\"} 1\n# HELP");
	has(t,
	    "server=\"imap\\\"1\\\\.example.org:143\",result=\"failed\"} 5\n");
	has(t,
	    "relais_certificate_expiry_timestamp_seconds{daemon=\"imapsd\","
	    "file=\"/etc/relais/\\\"server\\\".crt\"} 1893456000\n");
	free(t);
	free(s);
}

/* Files of a folder have any name; the text is UTF-8, line by line. */
static void
test_names(void **state)
{
	static struct expiry odd[] = { { "/a\nb\xff\\c", "", 7 } };
	const struct metrics_facts f = { .daemon = "imapsd",
		.kind = CONF_IMAP,
		.certificates = { odd, 1 } };
	struct stats *s = sample();
	char *t = text_of_stats(&f, s, METRICS_PLAIN);

	(void)state;
	has(t, "{daemon=\"imapsd\",file=\"/a\\\\x0ab\\\\xff\\\\c\"} 7\n");
	free(t);
	free(s);
}

/* As many as there may be, with names that no label has room for. */
static void
test_most(void **state)
{
	static struct conf_server many[CONF_SERVERS_MAX];
	static struct expiry all[CERT_DIR_MAX + 64];
	struct metrics_facts f = { .daemon = "imapsd",
		.kind = CONF_IMAP,
		.servers = many,
		.nservers = CONF_SERVERS_MAX,
		.certificates = { all, sizeof(all) / sizeof(all[0]) } };
	struct stats *s = sample();
	char path[4096], host[256], *t, *p;
	size_t i, n = 0;

	(void)state;
	memset(path, '\n', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	memset(host, '"', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	for (i = 0; i < CONF_SERVERS_MAX; i++)
		many[i] = (struct conf_server){ .name = host, .port = 65535 };
	for (i = 0; i < f.certificates.n; i++)
		all[i] = (struct expiry){ path, "", INT64_MAX };
	t = text_of_stats(&f, s, METRICS_OPEN);
	assert_string_equal(t + strlen(t) - 6, "# EOF\n");
	for (p = t; (p = strstr(p, "_expiry_timestamp_seconds{")) != NULL; p++)
		n++;
	assert_int_equal(n, f.certificates.n);
	free(t);
	free(s);
}

/* Each name once, each sample once, no line that is none. */
static void
test_form(void **state)
{
	struct stats *s = sample();
	char *t = text_of_stats(&facts, s, METRICS_PLAIN), *line, *rest = t;
	char *seen[4096];
	size_t i, n = 0;

	(void)state;
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		assert_true(n < 4096);
		if (line[0] != '#') {
			char *end = strrchr(line, ' ');

			assert_non_null(end);
			assert_true(end[1] >= '0' && end[1] <= '9');
			*end = '\0';
		}
		for (i = 0; i < n; i++)
			if (strcmp(seen[i], line) == 0)
				fail_msg("twice: %s", line);
		seen[n++] = line;
	}
	assert_true(n > 300);
	free(t);
	free(s);
}

static void
test_daemons(void **state)
{
	struct metrics_facts f = facts;
	struct stats *s = sample();
	char *t = text_of_stats(&f, s, METRICS_PLAIN);

	(void)state;
	assert_null(strstr(t, "relais_messages_total"));
	free(t);
	f.kind = CONF_SMTP;
	f.daemon = "smtpsd";
	t = text_of_stats(&f, s, METRICS_PLAIN);
	has(t,
	    "relais_messages_total{daemon=\"smtpsd\",result=\"accepted\"} "
	    "0\n");
	free(t);
	free(s);
}

/* Whatever stands on a page, and with all servers that there can be. */
static void
test_hostile(void **state)
{
	static struct conf_server many[CONF_SERVERS_MAX];
	char longest[256];
	struct metrics_facts f = facts;
	struct stats *s = malloc(sizeof(*s));
	size_t i;
	char *t;

	(void)state;
	assert_non_null(s);
	memset(s, 0xff, sizeof(*s));
	memset(longest, '"', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (i = 0; i < CONF_SERVERS_MAX; i++)
		many[i] = (struct conf_server){ .name = longest,
			.port = (uint16_t)(i + 1) };
	f.servers = many;
	f.nservers = CONF_SERVERS_MAX;
	t = text_of_stats(&f, s, METRICS_OPEN);
	has(t, "relais_connections{daemon=\"imapsd\"} 18446744073709551615\n");
	free(t);
	free(s);
}

static void
test_no_room(void **state)
{
	struct stats *s = sample();
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(
	    metrics_text_write(&facts, s, METRICS_PLAIN, &out), -1);
	buf_free(&out);
	free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_daemons),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
