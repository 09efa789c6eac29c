/* SPDX-License-Identifier: ISC */
/*
 * What follows from a configuration: listeners, inner servers, and what each
 * role is told.
 */
#include <stdlib.h>

#include "conf_fixture.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define SERVER "outgoing_server 192.168.0.5\n"

/* The set-up that Relais was made to replace. */
#define ORIGINAL                                                               \
	"    outgoing_server 192.168.0.5\n"                                    \
	"    outgoing_port 143\n"                                              \
	"    log_facility local5\n"                                            \
	"    no_lookup\n"                                                      \
	"    timeout 40\n"                                                     \
	"    imap_capability \"IMAP4rev1 UIDPLUS CHILDREN NAMESPACE "          \
	"THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE STARTTLS\"\n" \
	"    listen_port 993\n"                                                \
	"    ssl_mode ssl_listen\n"                                            \
	"    ssl_cert_file /etc/ssl/server.crt\n"                              \
	"    ssl_key_file /etc/ssl/server.key\n"

#define ANY_SSL "0.0.0.0:993 ssl;[::]:993 ssl;"
#define ANY_STARTTLS "0.0.0.0:143 starttls;[::]:143 starttls;"
#define ANY_PLAIN "0.0.0.0:143 plain clear;[::]:143 plain clear;"

/*
 * Lines behind an outgoing_server, the file's name, the listeners, then "->"
 * and how inner servers are spoken to, errors, message (NULL: none at all).
 */
static const struct {
	const char *in, *file, *out;
	unsigned int errors;
	const char *message;
} listeners[] = {
	{ "", NULL, ANY_SSL ANY_STARTTLS "->plain", 0, NULL },
	{ "", "/etc/relais/imapsd.conf", ANY_SSL ANY_STARTTLS "->plain", 0,
	    NULL },
	/* listen */
	{ "listen \"10.0.0.1 ssl\"", NULL, "10.0.0.1:993 ssl;->plain", 0,
	    NULL },
	{ "listen \"[fd00::1]:imap STARTTLS\"", NULL,
	    "[fd00::1]:143 starttls;->plain", 0, NULL },
	{ "listen \"* ssl\"\nlisten \"127.0.0.1 plain\"", NULL,
	    ANY_SSL "127.0.0.1:143 plain clear;->plain", 0, NULL },
	{ "listen \"10.0.0.1 plain\"", NULL, "10.0.0.1:143 plain clear;->plain",
	    0, "in clear on 10.0.0.1" },
	{ "listen \"10.0.0.1:993 plain\"", NULL,
	    "10.0.0.1:993 plain clear;->plain", 0, "expect TLS" },
	{ "listen \"10.0.0.1:993 starttls\"", NULL,
	    "10.0.0.1:993 starttls;->plain", 0, "expect TLS" },
	{ "listen 10.0.0.1", NULL, "->plain", 1, "listen takes an address" },
	{ "listen \"10.0.0.1 tls\"", NULL, "->plain", 1, "listen takes" },
	{ "listen \"10.0.0.1 ssl x\"", NULL, "->plain", 1, "listen takes" },
	{ "listen \"10.0.0.1:0 ssl\"", NULL, "->plain", 1,
	    "is no ADDRESS[:PORT]" },
	{ "listen \"10.0.0.1:70000 ssl\"", NULL, "->plain", 1, "no ADDRESS" },
	{ "listen \"mail ssl\"", NULL, "->plain", 1, "no numeric address" },
	{ "listen \"*:993 ssl\"\nlisten \"[::]:993 ssl\"", NULL,
	    ANY_SSL "->plain", 1, "t.conf:3: [::]:993 is listened on" },
	{ "listen \"* ssl\"\nlisten_port 993", NULL, ANY_SSL "->plain", 1,
	    "listen_port does not go with listen" },
	{ "listen \"* ssl\"\nb 10.0.0.1", NULL, ANY_SSL "->plain", 1,
	    "bind_address does not go with listen" },
	{ "listen \"* ssl\"\nssl_mode ssl_all", NULL, ANY_SSL "->ssl", 1,
	    "outgoing only" },
	{ "listen \"* ssl\"\nssl_mode none", NULL, ANY_SSL "->plain", 1,
	    "outgoing only" },
	{ "listen \"* ssl\"\nssl_mode ssl_outgoing", NULL, ANY_SSL "->ssl", 0,
	    NULL },
	/* ssl_mode */
	{ "ssl_mode ssl_listen", NULL, ANY_SSL "->plain", 0, NULL },
	{ "ssl_mode SSL_ALL", NULL, ANY_SSL "->ssl", 0, NULL },
	{ "ssl_mode \"\"", NULL, ANY_SSL ANY_STARTTLS "->plain", 0, NULL },
	{ "ssl_mode tls_listen_force", NULL, ANY_STARTTLS "->plain", 0, NULL },
	{ "ssl_mode tls_listen", NULL, ANY_STARTTLS "->plain", 0,
	    "takes no passwords before STARTTLS" },
	{ "ssl_mode tls_listen\nplaintext_login", NULL,
	    "0.0.0.0:143 starttls clear;[::]:143 starttls clear;->plain", 0,
	    "in clear on 0.0.0.0:143" },
	{ "ssl_mode tls_listen_force\nplaintext_login", NULL, NULL, 1,
	    "contradicts" },
	{ "plaintext_login", NULL, NULL, 1, "tls_listen only" },
	{ "listen \"* starttls\"\nplaintext_login", NULL,
	    ANY_STARTTLS "->plain", 1, "tls_listen only" },
	{ "ssl_mode \"ssl_listen, tls_outgoing\"", NULL, ANY_SSL "->starttls",
	    0, NULL },
	{ "ssl_mode ssl_listen\nssl_mode tls_outgoing_force", NULL,
	    ANY_SSL "->starttls force", 0, NULL },
	{ "ssl_mode tls_all_force", NULL, ANY_STARTTLS "->starttls force", 0,
	    NULL },
	{ "ssl_mode ssl_listen,tls_listen", NULL, NULL, 1, "not both" },
	{ "ssl_mode ssl_all,tls_outgoing", NULL, NULL, 1, "not both" },
	{ "ssl_mode ssl_listn", NULL, NULL, 1, "no word \"ssl_listn\"" },
	{ "ssl_mode ssl_listen,", NULL, NULL, 1, "no word \"\"" },
	{ "ssl_mode none", NULL, ANY_PLAIN "->plain", 0, "in clear" },
	{ "ssl_mode none\nlisten_port 993", NULL,
	    "0.0.0.0:993 plain clear;[::]:993 plain clear;->plain", 0,
	    "expect TLS" },
	{ "ssl_mode ssl_outgoing", NULL, ANY_SSL ANY_STARTTLS "->ssl", 0,
	    NULL },
	/* bind_address and listen_port, protocol not known */
	{ "listen_port 993", NULL, ANY_SSL "->plain", 0, NULL },
	{ "listen_port imaps", NULL, ANY_SSL "->plain", 0, NULL },
	{ "listen_port 143", NULL, ANY_STARTTLS "->plain", 0, NULL },
	{ "listen_port nowhere-at-all", NULL, "->plain", 1, "is no port" },
	{ "listen_port 0", NULL, "->plain", 1, "is no port" },
	{ "listen_port 65536", NULL, "->plain", 1, "is no port" },
	{ "b \"10.0.0.1, [fd00::1]:993\"", NULL,
	    "10.0.0.1:993 ssl;10.0.0.1:143 starttls;[fd00::1]:993 ssl;->plain",
	    0, NULL },
	{ "b 10.0.0.1:imaps\nl 10143", NULL, "10.0.0.1:993 ssl;->plain", 0,
	    NULL },
	{ "b mail.example.net", NULL, "->plain", 1,
	    "t.conf:2: \"mail.example.net\" is no numeric address" },
	/* the protocol decides where ssl_mode does not */
	{ "P imap4s", NULL, ANY_SSL "->ssl", 0, "with TLS as well" },
	{ "", "/x/perdition.imap4s.conf", ANY_SSL "->ssl", 0,
	    "perdition.imap4s.conf: protocol IMAP4S without ssl_mode" },
	{ "", "perdition.imaps.conf", ANY_SSL "->ssl", 0, "as well" },
	{ "ssl_mode ssl_listen", "perdition.imaps.conf", ANY_SSL "->plain", 0,
	    NULL },
	{ "protocol IMAP4", NULL, ANY_PLAIN "->plain", 0,
	    "t.conf:2: passwords cross the network in clear" },
	{ "", "/x/perdition.imap4.conf", ANY_PLAIN "->plain", 0,
	    "/x/perdition.imap4.conf: passwords cross" },
	{ "l 993", "perdition.imap4.conf", "->plain", 1,
	    "port 993 would be without TLS" },
	{ "b 10.0.0.1:993\nP IMAP4", NULL, "->plain", 1,
	    "t.conf:2: port 993 would be without TLS" },
	{ "P IMAP4\nssl_mode tls_outgoing", NULL, ANY_PLAIN "->starttls", 0,
	    "in clear" },
	{ "P IMAP4S\nssl_mode tls_outgoing", NULL, ANY_SSL "->starttls", 0,
	    "although ssl_mode does not say ssl_listen" },
	{ "P IMAP4\nssl_mode ssl_listen", NULL,
	    "0.0.0.0:143 ssl;[::]:143 ssl;->plain", 0, NULL },
	{ "P POP3S", NULL, NULL, 1, "POP3S is spoken by pop3sd" },
	{ "", "perdition.pop3.conf", NULL, 1, "spoken by pop3sd" },
	{ "P IMAP4S\nssl_mode ssl_listen", "perdition.pop3.conf",
	    ANY_SSL "->plain", 0, NULL },
	{ "P managesieve", NULL, NULL, 1, "no daemon for MANAGESIEVE" },
	{ "P IMAP5", NULL, NULL, 1, "there is no protocol \"IMAP5\"" },
};

static const char *const modes[] = { [LISTEN_PLAIN] = "plain",
	[LISTEN_STARTTLS] = "starttls",
	[LISTEN_SSL] = "ssl" };
static const char *const outgoing[] = { [OUTGOING_PLAIN] = "plain",
	[OUTGOING_SSL] = "ssl",
	[OUTGOING_STARTTLS] = "starttls",
	[OUTGOING_STARTTLS_FORCE] = "starttls force" };

static void
show_listeners(const struct conf *c, char *out, size_t size)
{
	char part[256], a[ADDR_STRLEN];
	size_t i;

	out[0] = '\0';
	for (i = 0; i < c->nlisten; i++) {
		snprintf(part, sizeof(part), "%s %s%s;",
		    addr_print(&c->listen[i].addr, a), modes[c->listen[i].mode],
		    c->listen[i].clear_login ? " clear" : "");
		strlcat(out, part, size);
	}
	strlcat(out, "->", size);
	strlcat(out, outgoing[c->outgoing_tls], size);
}

static void
test_listeners(void **state)
{
	char out[1024];
	struct said said;
	struct conf *c;
	char *in;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(listeners); i++) {
		in = xasprintf("%s%s", SERVER, listeners[i].in);
		c = fixture_settled(&said, in, listeners[i].file);
		fixture_check(
		    in, &said, listeners[i].errors, listeners[i].message);
		show_listeners(c, out, sizeof(out));
		if (listeners[i].out != NULL &&
		    strcmp(out, listeners[i].out) != 0)
			print_message("case: %s\n", in);
		if (listeners[i].out != NULL)
			assert_string_equal(out, listeners[i].out);
		conf_free(&c);
		free(in);
	}
}

/* Whole configurations, and "name:port" of their inner servers. */
static const struct {
	const char *in, *out;
	unsigned int errors;
	const char *message;
} servers[] = {
	{ SERVER, "192.168.0.5:143 numeric;", 0, NULL },
	{ "s 192.168.0.5\noutgoing_port imaps", "192.168.0.5:993 numeric;", 0,
	    NULL },
	{ "s 192.168.0.5\nssl_mode ssl_outgoing", "192.168.0.5:993 numeric;", 0,
	    NULL },
	{ "s 192.168.0.5\nssl_mode tls_outgoing", "192.168.0.5:143 numeric;", 0,
	    NULL },
	{ "s \"a.example:1143, b_1.example ,[fd00::1],[fd00::2]:144\"",
	    "a.example:1143;b_1.example:143;fd00::1:143 numeric;"
	    "fd00::2:144 numeric;",
	    0, NULL },
	/* The last line wins, as in Perdition. */
	{ "s a.example\ns b.example", "b.example:143;", 0, NULL },
	{ "", "", 1, "no outgoing_server" },
	{ "enabled no", "", 0, NULL },
	{ "s a.example\nno_lookup", "", 1, "no_lookup allows addresses only" },
	{ "s joe@a.example", "", 1, "a user name before the server" },
	{ "s a.example:nowhere-at-all", "", 1, "is no HOST[:PORT]" },
	{ "s a.example,", "a.example:143;", 1, "t.conf:1: \"\" is no" },
	{ "s a..b/c", "", 1, "is no server's name" },
	{ "s -a", "", 1, "is no server's name" },
	{ "s 0.0.0.0", NULL, 1, "is no server's address" },
	{ "s a.example\np 0", NULL, 1, "outgoing_port \"0\" is no port" },
	/* itself */
	{ "s 127.0.0.1", NULL, 1, "connects to itself" },
	{ "s [::1]:993", NULL, 1, "connects to itself" },
	{ "s 10.0.0.1\nlisten \"10.0.0.1 plain\"", NULL, 1, "to itself" },
	{ "s 10.0.0.1:144\nlisten \"10.0.0.1 starttls\"",
	    "10.0.0.1:144 numeric;", 0, NULL },
	{ "s 127.0.0.1:144", "127.0.0.1:144 numeric;", 0, NULL },
	{ "s 127.0.0.1\nlisten \"10.0.0.1 starttls\"", "127.0.0.1:143 numeric;",
	    0, NULL },
	{ "s 127.0.0.1\nlisten \"[::]:143 starttls\"", "127.0.0.1:143 numeric;",
	    0, NULL },
	/* in clear over the Internet */
	{ "s 8.8.8.8", NULL, 0, "W t.conf:1: 8.8.8.8:143 is a public" },
	{ "s 8.8.8.8\nssl_mode tls_outgoing", NULL, 0, "no STARTTLS" },
	{ "s 8.8.8.8\nssl_mode tls_outgoing_force", NULL, 0, NULL },
	{ "s 8.8.8.8\nssl_mode ssl_outgoing", NULL, 0, NULL },
};

static void
show_servers(const struct conf *c, char *out, size_t size)
{
	char part[320];
	size_t i;

	out[0] = '\0';
	for (i = 0; i < c->nservers; i++) {
		snprintf(part, sizeof(part), "%s:%u%s;", c->servers[i].name,
		    c->servers[i].port,
		    c->servers[i].numeric ? " numeric" : "");
		strlcat(out, part, size);
	}
}

static void
test_servers(void **state)
{
	char out[1024];
	struct said said;
	struct conf *c;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(servers); i++) {
		c = fixture_settled(&said, servers[i].in, NULL);
		fixture_check(servers[i].in, &said, servers[i].errors,
		    servers[i].message);
		show_servers(c, out, sizeof(out));
		if (servers[i].out != NULL)
			assert_string_equal(out, servers[i].out);
		conf_free(&c);
	}
}

/* Whose PROXY header counts; and what the workers are handed says the same. */
static void
test_proxies(void **state)
{
	static const char *const in[] = { "192.0.2.7", "198.51.100.9",
		"2001:db8:1::1" };
	static const char *const out[] = { "192.0.2.8", "198.51.101.0",
		"2001:db9::", "127.0.0.1" };
	struct said said;
	struct conf *c = fixture_settled(&said,
	    "outgoing_server 192.168.0.5\n"
	    "proxy_protocol_from 192.0.2.7, 198.51.100.0/24\n"
	    "proxy_protocol_from 2001:db8::/32\noutgoing_proxy_protocol V2\n",
	    NULL);
	struct conf *role;
	struct addr a;
	struct buf b;
	size_t i;

	(void)state;
	fixture_check("proxies", &said, 0, NULL);
	buf_init(&b, 65536);
	conf_write_role(c, ROLE_WORKER, &b);
	role = fixture_new(&said);
	assert_int_equal(conf_read_role(role, buf_view(&b)), 0);
	assert_int_equal(role->outgoing_proxy, 2);
	for (i = 0; i < nitems(in); i++) {
		assert_int_equal(addr_parse(text_of(in[i]), 1, &a), 0);
		assert_true(conf_is_proxy(c, &a) && conf_is_proxy(role, &a));
	}
	for (i = 0; i < nitems(out); i++) {
		assert_int_equal(addr_parse(text_of(out[i]), 1, &a), 0);
		assert_false(conf_is_proxy(c, &a) || conf_is_proxy(role, &a));
	}
	buf_free(&b);
	conf_free(&role);
	conf_free(&c);
}

static void
test_too_many_servers(void **state)
{
	char list[2048] = "s a1";
	struct said said;
	struct conf *c;
	int i;

	(void)state;
	for (i = 1; i < CONF_SERVERS_MAX; i++)
		strlcat(list, ",a1", sizeof(list));
	c = fixture_settled(&said, list, NULL);
	assert_int_equal(said.errors, 0);
	assert_int_equal(c->nservers, CONF_SERVERS_MAX);
	conf_free(&c);
	strlcat(list, ",a1", sizeof(list));
	c = fixture_settled(&said, list, NULL);
	fixture_check("servers", &said, 1, "more than 64 servers");
	conf_free(&c);
}

static void
test_original(void **state)
{
	struct said said;
	struct conf *c = fixture_settled(&said, ORIGINAL, NULL);
	char out[256];

	(void)state;
	fixture_check("original", &said, 0, NULL);
	show_listeners(c, out, sizeof(out));
	assert_string_equal(out, ANY_SSL "->plain");
	show_servers(c, out, sizeof(out));
	assert_string_equal(out, "192.168.0.5:143 numeric;");
	assert_int_equal(c->timeout, 40);
	assert_true(c->no_lookup);
	assert_int_equal(strncmp(c->capability, "IMAP4rev1 UIDPLUS", 17), 0);
	assert_int_equal(c->npairs, 1);
	assert_string_equal(c->pairs[0].cert_file, "/etc/ssl/server.crt");
	assert_string_equal(c->pairs[0].key_file, "/etc/ssl/server.key");
	conf_free(&c);
}

/* The text for a role, and the configuration it makes there. */
static struct conf *
role_conf(const struct conf *c, enum role role, char *text, size_t size)
{
	struct said said;
	struct conf *r = fixture_new(&said);
	struct buf b;

	buf_init(&b, size);
	conf_write_role(c, role, &b);
	fixture_string(&b, text, size);
	if (conf_read_role(r, text_of(text)) == -1) {
		print_message("%s\n%s", text, said.text);
		fail();
	}
	assert_string_equal(said.text, ""); /* the master has warned */
	return r;
}

static void
check_same(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static const struct {
	const char *text, *file;
} role_texts[] = {
	{ ORIGINAL, NULL },
	{ SERVER, "perdition.imap4.conf" },
	{ SERVER, "perdition.imap4s.conf" },
	{ SERVER "ssl_mode none\nl 993", NULL },
	{ SERVER "ssl_mode tls_listen,tls_outgoing\nplaintext_login", NULL },
	{ SERVER "listen \"[fd00::1]:1993 ssl\"\nlisten \"* plain\"\n"
	         "ssl_mode tls_outgoing_force\nssl_pair \"/secret/c "
	         "/secret/k\"\nssl_passphrase_file /secret/p\n",
	    NULL },
	{ "s \"a.example:1, [fd00::2]\"\np 144\ncapability \"A \\\"B\"\n"
	  "ok_line 'a # b'\nS all\nA remote_login\nA all\n"
	  "e example.net\nD '='\nssl_listen_ciphers ECDHE+AESGCM\n"
	  "ssl_listen_min_proto_version tlsv1.3\nssl_no_cert_verify\n"
	  "ssl_no_cipher_server_preference\nd\nlogin_attempts 3\n"
	  "connect_relog 7\nauthenticate_timeout 9\nworkers 3\n"
	  "worker_connections 4\nconnection_limit 5\n"
	  "capability_refresh 6\noutgoing_timeout 8\nlogin_disabled\n",
	    NULL },
};

static void
check_worker(const struct conf *c)
{
	char text[8192], a[1024], b[1024];
	struct conf *r = role_conf(c, ROLE_WORKER, text, sizeof(text));

	assert_null(strstr(text, "/etc/"));
	assert_null(strstr(text, "/secret/"));
	assert_null(strstr(text, "pair"));
	assert_null(strstr(text, "daemon_username"));
	check_same(c->username, r->username);
	check_same(c->spool_directory, r->spool_directory);
	assert_int_equal(r->npairs, 0);
	show_listeners(c, a, sizeof(a));
	show_listeners(r, b, sizeof(b));
	assert_string_equal(a, b);
	show_servers(c, a, sizeof(a));
	show_servers(r, b, sizeof(b));
	assert_string_equal(a, b);
	assert_string_equal(c->listen_priority, r->listen_priority);
	assert_string_equal(c->outgoing_priority, r->outgoing_priority);
	assert_int_equal(c->listen_tls13_only, r->listen_tls13_only);
	assert_int_equal(c->authenticate_timeout, r->authenticate_timeout);
	assert_int_equal(c->timeout, r->timeout);
	assert_int_equal(c->outgoing_timeout, r->outgoing_timeout);
	assert_int_equal(c->login_attempts, r->login_attempts);
	assert_int_equal(c->connect_relog, r->connect_relog);
	assert_int_equal(c->worker_connections, r->worker_connections);
	assert_int_equal(c->ssl_no_cert_verify, r->ssl_no_cert_verify);
	assert_int_equal(c->login_disabled, r->login_disabled);
	assert_int_equal(c->debug, r->debug);
	check_same(c->capability, r->capability);
	check_same(c->ok_line, r->ok_line);
	check_same(c->domain_delimiter, r->domain_delimiter);
	check_same(c->explicit_domain, r->explicit_domain);
	assert_memory_equal(
	    &c->name_rules, &r->name_rules, sizeof(c->name_rules));
	conf_free(&r);
}

static void
check_broker(const struct conf *c)
{
	char text[8192], a[1024], b[1024];
	struct conf *r = role_conf(c, ROLE_BROKER, text, sizeof(text));

	assert_null(strstr(text, "/etc/"));
	assert_null(strstr(text, "/secret/"));
	assert_null(strstr(text, "ciphers"));
	show_servers(c, a, sizeof(a));
	show_servers(r, b, sizeof(b));
	assert_string_equal(a, b);
	assert_int_equal(c->nlisten, r->nlisten);
	assert_int_equal(c->workers, r->workers);
	assert_int_equal(c->worker_connections, r->worker_connections);
	assert_int_equal(c->connection_limit, r->connection_limit);
	assert_int_equal(
	    c->connection_limit_address, r->connection_limit_address);
	assert_int_equal(c->outgoing_timeout, r->outgoing_timeout);
	assert_int_equal(c->capability_refresh, r->capability_refresh);
	assert_int_equal(c->no_lookup, r->no_lookup);
	check_same(c->daemon_username, r->daemon_username);
	conf_free(&r);
}

static void
check_keeper(const struct conf *c)
{
	char text[1024];
	struct conf *r = role_conf(c, ROLE_KEEPER, text, sizeof(text));

	assert_true(strlen(text) < 200);
	check_same(c->daemon_username, r->daemon_username);
	check_same(c->spool_directory, r->spool_directory);
	assert_null(strstr(text, "/secret/"));
	assert_int_equal(r->nlisten, 0);
	assert_int_equal(r->nservers, 0);
	assert_int_equal(c->listen_tls13_only, r->listen_tls13_only);
	assert_int_equal(c->debug, r->debug);
	conf_free(&r);
}

static void
test_roles(void **state)
{
	struct said said;
	struct conf *c;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(role_texts); i++) {
		c = fixture_settled(
		    &said, role_texts[i].text, role_texts[i].file);
		assert_int_equal(said.errors, 0);
		check_worker(c);
		check_broker(c);
		check_keeper(c);
		conf_free(&c);
	}
}

/* The longest list of servers, written out with ports, still gets across. */
static void
test_roles_long_list(void **state)
{
	static char text[65536];
	char list[5000] = "s ";
	struct said said;
	struct conf *c, *r;
	int i;

	(void)state;
	for (i = 0; i < CONF_SERVERS_MAX; i++) { /* 4,031 octets of 4,093 */
		strlcat(list, i == 0 ? "" : ",", sizeof(list));
		strlcat(list,
		    "a-name-of-sixty-two-octets.that-takes-up-all-of-"
		    "a-line.example",
		    sizeof(list));
	}
	c = fixture_settled(&said, list, NULL);
	assert_int_equal(said.errors, 0);
	r = role_conf(c, ROLE_BROKER, text, sizeof(text));
	assert_int_equal(r->nservers, CONF_SERVERS_MAX);
	conf_free(&r);
	conf_free(&c);
}

static void
test_role_refuses(void **state)
{
	static const char *const bad[] = { "foo 1\n", "timeout x\n",
		"listen \"* foo\"\n", "outgoing_server a/b\n" };
	struct said said;
	struct conf *c;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(bad); i++) {
		c = fixture_new(&said);
		assert_int_equal(conf_read_role(c, text_of(bad[i])), -1);
		conf_free(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_too_many_servers),
		cmocka_unit_test(test_original),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_roles_long_list),
		cmocka_unit_test(test_role_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
