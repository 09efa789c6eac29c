/* SPDX-License-Identifier: ISC */
/*
 * Directives one by one, in files and on the command line, and printing them
 * in a way that can be read back.
 */
#include <stdlib.h>
#include <unistd.h>

#include "conf_fixture.h"
#include "conf_lex.h"
#include "conf_table.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define SERVER "outgoing_server 192.168.0.5\n"

/* Perdition 2.2's directives with their letters. */
static const struct {
	const char *name;
	char letter;
} perdition[] = { { "add_domain", 'A' }, { "authenticate_in", 'a' },
	{ "authenticate_timeout", 0 }, { "no_bind_banner", 'B' },
	{ "bind_address", 'b' }, { "connection_logging", 'C' },
	{ "connect_relog", 0 }, { "client_server_specification", 'c' },
	{ "domain_delimiter", 'D' }, { "debug", 'd' },
	{ "explicit_domain", 'e' }, { "log_facility", 'F' },
	{ "config_file", 'f' }, { "group", 'g' }, { "help", 'h' },
	{ "inetd_mode", 'i' }, { "capability", 'I' }, { "imap_capability", 0 },
	{ "managesieve_capability", 0 }, { "pop_capability", 0 },
	{ "connection_limit", 'L' }, { "listen_port", 'l' },
	{ "log_passwd", 0 }, { "login_disabled", 0 }, { "lower_case", 0 },
	{ "map_library", 'M' }, { "map_library_opt", 'm' }, { "no_daemon", 0 },
	{ "no_lookup", 'n' }, { "ok_line", 'O' }, { "server_resp_line", 'o' },
	{ "server_ok_line", 0 }, { "protocol", 'P' }, { "outgoing_port", 'p' },
	{ "strip_domain", 'S' }, { "outgoing_server", 's' }, { "pid_file", 0 },
	{ "timeout", 't' }, { "tcp_keepalive", 0 }, { "username", 'u' },
	{ "username_from_database", 'U' }, { "quiet", 'q' }, { "query_key", 0 },
	{ "ssl_mode", 0 }, { "ssl_ca_chain_file", 0 }, { "ssl_ca_file", 0 },
	{ "ssl_ca_path", 0 }, { "ssl_ca_accept_self_signed", 0 },
	{ "ssl_cert_file", 0 }, { "ssl_dh_params_file", 0 },
	{ "ssl_cert_accept_expired", 0 },
	{ "ssl_cert_accept_not_yet_valid", 0 },
	{ "ssl_cert_accept_self_signed", 0 }, { "ssl_cert_verify_depth", 0 },
	{ "ssl_key_file", 0 }, { "ssl_listen_ciphers", 0 },
	{ "ssl_outgoing_ciphers", 0 }, { "ssl_no_cert_verify", 0 },
	{ "ssl_no_client_cert_verify", 0 }, { "ssl_no_cn_verify", 0 },
	{ "ssl_passphrase_fd", 0 }, { "ssl_passphrase_file", 0 },
	{ "ssl_listen_min_proto_version", 0 },
	{ "ssl_outgoing_min_proto_version", 0 },
	{ "ssl_listen_max_proto_version", 0 },
	{ "ssl_outgoing_max_proto_version", 0 },
	{ "ssl_listen_compression", 0 }, { "ssl_outgoing_compression", 0 },
	{ "ssl_no_cipher_server_preference", 0 } };

static void
test_perdition_is_known(void **state)
{
	const struct conf_directive *d;
	size_t i, letters = 0;

	(void)state;
	assert_int_equal(nitems(perdition), 69);
	for (i = 0; i < nitems(perdition); i++) {
		d = conf_table_find(text_of(perdition[i].name));
		if (d == NULL)
			print_message("missing: %s\n", perdition[i].name);
		assert_non_null(d);
		assert_int_equal(d->letter, perdition[i].letter);
		if (d->letter != '\0') {
			assert_ptr_equal(conf_table_letter(d->letter), d);
			letters++;
		}
	}
	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		assert_non_null(d->meaning);
		assert_string_equal(conf_directive(i), d->name);
		letters -= d->letter != '\0'; /* no letter but Perdition's */
	}
	assert_int_equal(letters, 0);
	assert_null(conf_directive(i));
}

/*
 * A line of a file, behind an outgoing_server (which is t.conf:1), what
 * --print_config then says (NULL: not looked at), errors, message.
 */
static const struct {
	const char *in, *print;
	unsigned int errors;
	const char *message;
} lines[] = {
	{ "", "timeout 1800  # default", 0, NULL },
	{ "timeout 40", "timeout 40  # t.conf:2", 0, NULL },
	{ "t 40", "timeout 40  # t.conf:2", 0, NULL },
	{ "timeout 40\ntimeout 50", "timeout 50  # t.conf:3", 0, NULL },
	{ "timeout 0", "timeout 0  # t.conf:2", 0, NULL },
	{ "timeout -1", NULL, 1, "t.conf:2: timeout takes a number" },
	{ "timeout 4O", NULL, 1, "not \"4O\"" },
	{ "timeout 99999999999999999999", NULL, 1, "number from 0 to" },
	{ "timeout", NULL, 1, "t.conf:2: timeout needs a value" },
	{ "timeout = 40", NULL, 1, "leave the \"=\" out" },
	{ "timeout=40", NULL, 1, "it is \"timeout\", a blank" },
	{ "timout 40", NULL, 1, "\"timout\"; is it \"timeout\"?" },
	{ "ssl_cert 40", NULL, 1, "unknown directive \"ssl_cert\"" },
	{ "Timeout 40", NULL, 1, "is it \"timeout\"?" },
	{ "--timeout 40", NULL, 1, "is it \"timeout\"?" },
	{ "xyzzy 40", NULL, 1, "unknown directive \"xyzzy\"\n" },
	{ "x 40", NULL, 1, "unknown directive \"x\"" },
	{ "\"\" 40", NULL, 1, "unknown directive \"\"" },
	{ "\"a\x1b[2J\"", NULL, 1, "\"a\\033[2J\"" },
	/* every fault, not the first alone */
	{ "foo\ntimeout x\nbar", NULL, 3, "t.conf:4: unknown" },
	/* flags */
	{ "login_disabled", "login_disabled yes  # t.conf:2", 0, NULL },
	{ "login_disabled On", "login_disabled yes  # t.conf:2", 0, NULL },
	{ "login_disabled off", "login_disabled no  # t.conf:2", 0, NULL },
	{ "enabled no", "enabled no  # t.conf:2", 0, NULL },
	{ "debug maybe", NULL, 1, "takes no value, or yes or no" },
	{ "d\nq", "quiet no  # t.conf:3", 0, NULL },
	/* strings and paths */
	{ "ok_line \"You are so in\"", "ok_line \"You are so in\"  # t.conf:2",
	    0, NULL },
	{ "ok_line 'a \"b\" \\'", "ok_line \"a \\\"b\\\" \\\\\"  # t.conf:2", 0,
	    NULL },
	{ "ok_line \"\"", NULL, 1, "must not be empty" },
	{ "ok_line a\rb", NULL, 1, "control character" },
	{ "o\nok_line hello", "server_resp_line yes  # t.conf:2", 0, NULL },
	{ "server_ok_line", "server_resp_line yes  # t.conf:2", 0, NULL },
	{ "pid_file \"\"", "pid_file \"\"  # t.conf:2", 0, NULL },
	{ "pid_file run/x", NULL, 1, "a path from the root on" },
	{ "", "pid_file /run/imapsd.pid  # default", 0, NULL },
	{ "no_daemon", "# pid_file is not set", 0, NULL },
	{ "log_facility -", "no_daemon yes  # default", 0, NULL },
	{ "log_facility /var/log/x", "log_facility /var/log/x  # t.conf:2", 0,
	    NULL },
	{ "log_facility local9", NULL, 1, "t.conf:2: log_facility" },
	{ "log_ident perdition.imap4s",
	    "log_ident perdition.imap4s  # t.conf:2", 0, NULL },
	{ "log_ident \"a b\"", NULL, 1, "t.conf:2: log_ident" },
	/* lists before login */
	{ "capability \"IMAP4rev1 IDLE\"",
	    "imap_capability \"IMAP4rev1 IDLE\"  # t.conf:2", 0, NULL },
	{ "I IMAP4rev1\nimap_capability IMAP4",
	    "imap_capability IMAP4  # t.conf:3", 0, NULL },
	{ "pop_capability UIDL.USER", NULL, 0, NULL },
	{ "managesieve_capability x", NULL, 0, "has no effect" },
	/* what is so anyway, what has no meaning */
	{ "tcp_keepalive\nB\nssl_no_client_cert_verify",
	    "tcp_keepalive yes  # t.conf:2", 0, NULL },
	{ "ssl_listen_compression", NULL, 0, "W t.conf:2: ssl_listen_comp" },
	{ "ssl_listen_compression no", NULL, 0, NULL },
	{ "ssl_dh_params_file /x", NULL, 0, "has no effect" },
	{ "C", NULL, 0, "connection_logging has no effect" },
	{ "config_file /x", NULL, 0, "on the command line only" },
	{ "help", NULL, 0, "on the command line only" },
	/* what is refused */
	{ "map_library \"\"", "map_library \"\"  # t.conf:2", 0, NULL },
	{ "M /usr/lib/libperditiondb_gdbm.so.0", NULL, 1,
	    "t.conf:2: map_library: not available yet" },
	{ "map_library_opt secret", NULL, 1, "map_library_opt: not" },
	{ "query_key '\\U'", NULL, 1, "query_key: not available" },
	{ "username_from_database", NULL, 1, "not available yet" },
	{ "c", NULL, 1, "client_server_specification: leave" },
	/* logins decided on this machine */
	{ "a", "authenticate_in yes  # t.conf:2", 0, NULL },
	{ "authenticate_in no", "authenticate_in no  # t.conf:2", 0, NULL },
	{ "authenticators 0", NULL, 1, "from 1 to 1024" },
	{ "authenticators 33", NULL, 1, "more than authenticators_max" },
	{ "authenticators 33\nauthenticators_max 33", NULL, 0, NULL },
	{ "sasl_timeout 0", NULL, 1, "sasl_timeout takes a number" },
	{ "sasl_application smtpd", "sasl_application smtpd", 0, NULL },
	{ "sasl_application ../smtpd", NULL, 1, "without folder" },
	{ "sasl_security_options \"noplaintext, noactive mutual_auth\"", NULL,
	    0, NULL },
	{ "sasl_security_options \"\"", NULL, 0, NULL },
	{ "sasl_security_options ,noplain,noactive,", NULL, 1,
	    "has no \"noplain\"" },
	{ "sasldb_path etc/sasldb2", NULL, 1, "a path from the root on" },
	{ "hostname mail.example.org", "hostname mail.example.org", 0, NULL },
	{ "hostname mail", NULL, 1, "hostname takes a full name" },
	{ "inetd_mode", "inetd_mode yes", 0, NULL },
	{ "inetd_mode maybe", NULL, 1, "inetd_mode takes no value" },
	{ "log_passwd never", NULL, 0, NULL },
	{ "log_passwd fail", NULL, 1, "passwords are never logged" },
	/* user names */
	{ "lower_case remote_login\nlower_case ALL",
	    "lower_case ALL  # t.conf:3", 0, NULL },
	{ "strip_domain server_lookup", NULL, 0, "has no effect" },
	{ "strip_domain nowhere", NULL, 1, "remote_login or all" },
	{ "add_domain all", NULL, 1, "add_domain needs explicit_domain" },
	{ "add_domain all, 2\ne example.net", NULL, 0, NULL },
	{ "add_domain local_auth", NULL, 0, "has no effect" },
	/* pairs and passphrases */
	{ "ssl_pair \"/a.crt /a.key\"", "ssl_pair \"/a.crt /a.key\"", 0, NULL },
	{ "ssl_pair /a.crt", NULL, 1, "ssl_pair takes the paths" },
	{ "ssl_pair a.crt a.key", NULL, 1, "ssl_pair takes the paths" },
	{ "ssl_pair \"/a /b /c\"", NULL, 1, "ssl_pair takes the paths" },
	{ "ssl_passphrase_fd 3\nssl_passphrase_file /x", NULL, 1,
	    "do not go together" },
	{ "worker_connections 0", NULL, 1, "number from 1 to" },
};

static void
test_lines(void **state)
{
	static char out[FIXTURE_TEXT_MAX];
	struct said said;
	struct conf *c;
	char *in;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(lines); i++) {
		in = xasprintf("%s%s", SERVER, lines[i].in);
		c = fixture_settled(&said, in, NULL);
		fixture_check(
		    lines[i].in, &said, lines[i].errors, lines[i].message);
		fixture_print(c, out, sizeof(out));
		if (lines[i].print != NULL &&
		    strstr(out, lines[i].print) == NULL) {
			print_message("%s\nlacks: %s\n", out, lines[i].print);
			fail();
		}
		conf_free(&c);
		free(in);
	}
}

/* What was set has reached the fields, and the defaults are what we say. */
static void
test_fields(void **state)
{
	struct said said;
	struct conf *c;

	(void)state;
	c = fixture_settled(&said, SERVER, NULL);
	assert_true(c->enabled);
	assert_int_equal(c->authenticate_timeout, 60);
	assert_int_equal(c->timeout, 1800);
	assert_int_equal(c->connect_relog, 0);
	assert_int_equal(c->login_attempts, 10);
	assert_int_equal(c->connection_limit_address, 2000);
	assert_int_equal(c->ssl_passphrase_fd, -1);
	assert_null(c->capability);
	assert_null(c->ok_line);
	assert_string_equal(c->username, "_relais");
	assert_string_equal(c->daemon_username, "_relaisd");
	assert_string_equal(c->log_facility, "local5");
	assert_int_equal(c->npairs, 1);
	assert_string_equal(c->pairs[0].key_file, "/etc/relais/server.key");
	conf_free(&c);
	assert_null(c);

	c = fixture_settled(&said,
	    SERVER "ssl_passphrase_fd 4\nok_line x\no\nq\nd\nS all\nA "
	           "all\ne example.net\nssl_cert_file /a\nssl_key_file "
	           "/b\nssl_pair \"/c /d\"\nssl_no_cn_verify",
	    NULL);
	assert_int_equal(said.errors, 0);
	assert_int_equal(c->ssl_passphrase_fd, 4);
	assert_null(c->ok_line);
	assert_true(c->debug);
	assert_false(c->quiet);
	assert_false(c->name_rules.lower_case);
	assert_true(c->name_rules.strip_domain);
	assert_true(c->name_rules.add_domain);
	assert_true(c->ssl_no_cn_verify);
	assert_int_equal(c->npairs, 2);
	assert_string_equal(c->pairs[0].cert_file, "/a");
	assert_string_equal(c->pairs[1].key_file, "/d");
	assert_string_equal(conf_protocol_name(c, LISTEN_SSL), "IMAP4S");
	assert_string_equal(conf_protocol_name(c, LISTEN_STARTTLS), "IMAP4");
	conf_free(&c);

	/* No TLS, no certificate. */
	c = fixture_settled(&said, SERVER "listen \"127.0.0.1 plain\"", NULL);
	assert_int_equal(said.errors, 0);
	assert_int_equal(c->npairs, 0);
	conf_free(&c);

	/* ssl_pair can stand alone. */
	c = fixture_settled(&said, SERVER "ssl_pair \"/c /d\"", NULL);
	assert_int_equal(c->npairs, 1);
	assert_string_equal(c->pairs[0].cert_file, "/c");
	conf_free(&c);
}

#define ARGS_MAX 12

static const struct {
	const char *argv[ARGS_MAX]; /* behind argv[0] */
	const char *print;
	unsigned int errors;
	const char *message;
} command_lines[] = {
	{ { "--timeout", "40" }, "timeout 40  # command line", 0, NULL },
	{ { "--timeout=40" }, "timeout 40  # command line", 0, NULL },
	{ { "-t", "40" }, "timeout 40  # command line", 0, NULL },
	{ { "-t40" }, "timeout 40  # command line", 0, NULL },
	{ { "-dnt40" }, "timeout 40  # command line", 0, NULL },
	{ { "-dn" }, "no_lookup yes  # command line", 0, NULL },
	{ { "--debug" }, "debug yes  # command line", 0, NULL },
	{ { "--debug=no" }, "debug no  # command line", 0, NULL },
	{ { "--debug", "no" }, NULL, 1, "\"no\" belongs to no option" },
	{ { "--ok_line", "--x" }, "ok_line --x  # command line", 0, NULL },
	{ { "--ok_line", "a\r\nb" }, NULL, 1, "control character" },
	{ { "--map_library", "" }, "map_library \"\"", 0, NULL },
	{ { "--map_library=" }, "map_library \"\"", 0, NULL },
	{ { "--timeout" }, NULL, 1, "timeout needs a value" },
	{ { "-t" }, NULL, 1, "timeout needs a value" },
	/* Perdition takes no abbreviations, and says nothing. */
	{ { "--time", "40" }, NULL, 2, "unknown option --time" },
	{ { "--timeuot=40" }, NULL, 1, "is it --timeout?" },
	{ { "-dZ" }, NULL, 1, "unknown option -Z" },
	{ { "-" }, NULL, 1, "\"-\" belongs to no option" },
	{ { "--", "-d" }, NULL, 1, "\"--\" belongs to no option" },
	{ { "--version=1" }, NULL, 1, "takes no value" },
	{ { "-f" }, NULL, 1, "config_file needs a value" },
	{ { "--listen", "127.0.0.1:143 plain", "--listen=[::1]:143 plain" },
	    "listen \"[::1]:143 plain\"  # command line", 0, NULL },
};

static int
count(const char *const *words)
{
	int n = 0;

	while (n < ARGS_MAX && words[n] != NULL)
		n++;
	return n;
}

/* Read words as a command line; the copies are for argv's type. */
static void
read_args(struct conf *c, const char *const *words, struct conf_command *cmd)
{
	char *argv[ARGS_MAX + 2] = { NULL };
	int i, n = count(words);

	argv[0] = xstrdup("imapsd");
	for (i = 0; i < n; i++)
		argv[i + 1] = xstrdup(words[i]);
	conf_read_args(c, n + 1, argv, cmd);
	for (i = 0; i <= n; i++)
		free(argv[i]);
}

static void
test_command_lines(void **state)
{
	static char out[FIXTURE_TEXT_MAX];
	struct conf_command cmd;
	struct said said;
	struct conf *c;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(command_lines); i++) {
		c = fixture_new(&said);
		read_args(c, command_lines[i].argv, &cmd);
		conf_read_text(c, "t.conf", text_of(SERVER "timeout 3\n"));
		conf_settle(c, NULL);
		fixture_check(command_lines[i].argv[0], &said,
		    command_lines[i].errors, command_lines[i].message);
		fixture_print(c, out, sizeof(out));
		if (command_lines[i].print != NULL)
			assert_non_null(strstr(out, command_lines[i].print));
		conf_free(&c);
	}
}

static void
test_commands(void **state)
{
	static char file[] = "/etc/x.conf";
	char *argv[] = { (char[]){ "imapsd" }, (char[]){ "-f" }, file,
		(char[]){ "--check_config" }, NULL };
	const char *const rest[ARGS_MAX] = { "--print_config", "--version",
		"-h" };
	struct conf_command cmd;
	struct said said;
	struct conf *c = fixture_new(&said);

	(void)state;
	assert_int_equal(conf_read_args(c, 4, argv, &cmd), 0);
	assert_ptr_equal(cmd.file, file);
	assert_true(cmd.check_config);
	assert_false(cmd.print_config || cmd.version || cmd.help);
	read_args(c, rest, &cmd);
	assert_null(cmd.file);
	assert_true(cmd.print_config && cmd.version && cmd.help);
	conf_free(&c);
}

/* The command line wins over a file that was read before it, too. */
static void
test_command_line_wins(void **state)
{
	const char *const words[ARGS_MAX] = { "--timeout", "40", "--listen",
		"127.0.0.1:143 plain", "-s192.168.0.7" };
	struct conf_command cmd;
	struct said said;
	struct conf *c;
	int first;

	(void)state;
	for (first = 0; first < 2; first++) {
		c = fixture_new(&said);
		if (first)
			read_args(c, words, &cmd);
		conf_read_text(c, "t.conf",
		    text_of(SERVER "timeout 3\nlisten \"*:993 ssl\"\n"));
		if (!first)
			read_args(c, words, &cmd);
		assert_int_equal(conf_settle(c, NULL), 0);
		assert_int_equal(c->timeout, 40);
		assert_int_equal(c->nlisten, 1);
		assert_int_equal(c->nservers, 1);
		assert_string_equal(c->servers[0].name, "192.168.0.7");
		conf_free(&c);
	}
}

/* Without the comments: they tell other places. */
static void
strip_comments(char *s)
{
	char *from = s, *to = s, *hash;

	while (*from != '\0') {
		hash = from + strcspn(from, "\n");
		if (*from != '#' && *from != '\n') {
			char *end = strstr(from, "  # ");

			if (end == NULL || end > hash)
				end = hash;
			memmove(to, from, (size_t)(end - from));
			to += end - from;
			*to++ = '\n';
		}
		from = *hash == '\0' ? hash : hash + 1;
	}
	*to = '\0';
}

static const struct {
	const char *text, *file;
} printed[] = {
	{ SERVER, NULL },
	{ SERVER, "/etc/perdition/perdition.imap4s.conf" },
	{ SERVER, "perdition.imap4.conf" },
	{ SERVER "protocol imap4\nlisten_port imap\nssl_mode tls_listen\n"
	         "ssl_mode tls_outgoing\nplaintext_login\n",
	    NULL },
	{ "outgoing_server 'a.example, [2001:db8::1]:imaps'\nssl_mode "
	  "ssl_all\nb 10.0.0.1,[::1]:995\nok_line 'a \"b\" # \\ c'\n"
	  "D '='\nimap_capability \"IMAP4rev1 IDLE\"\nlower_case all\n"
	  "lower_case remote_login\nF +\n",
	    NULL },
	{ SERVER "ssl_pair \"/a /b\"\nssl_pair \"/c /d\"\n", NULL },
	{ SERVER "listen \"127.0.0.1:1143 plain\"\nlisten \"*:1993 ssl\"\n"
	         "ssl_listen_ciphers ECDHE+AESGCM\nmap_library \"\"\n"
	         "ssl_listen_compression\no\nok_line x\n",
	    NULL },
};

static void
test_print_reads_back(void **state)
{
	static char first[FIXTURE_TEXT_MAX], second[FIXTURE_TEXT_MAX];
	struct said said;
	struct conf *c;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(printed); i++) {
		c = fixture_settled(&said, printed[i].text, printed[i].file);
		assert_int_equal(said.errors, 0);
		fixture_print(c, first, sizeof(first));
		conf_free(&c);
		c = fixture_settled(&said, first, NULL);
		fixture_check(
		    first, &said, 0, said.warnings == 0 ? NULL : "W ");
		fixture_print(c, second, sizeof(second));
		conf_free(&c);
		/* The last lines say what it comes to: the same. */
		assert_string_equal(strstr(first, "\n# In other words"),
		    strstr(second, "\n# In other words"));
		strip_comments(first);
		strip_comments(second);
		assert_string_equal(first, second);
	}
}

static void
test_nul(void **state)
{
	struct said said;
	struct conf *c = fixture_new(&said);

	(void)state;
	assert_int_equal(
	    conf_read_text(c, "t.conf", TEXT_LIT("d\nq\0\nfoo\n")), 1);
	fixture_check("NUL", &said, 1, "t.conf:2: a NUL");
	conf_free(&c);
}

static void
test_too_long(void **state)
{
	char *value = xcalloc(1, CONF_TOKEN_MAX + 2);
	const char *const words[ARGS_MAX] = { "--ok_line", value };
	struct conf_command cmd;
	struct said said;
	struct conf *c = fixture_new(&said);
	char *text;

	(void)state;
	memset(value, 'x', CONF_TOKEN_MAX + 1);
	text = xasprintf("\nok_line %s\n", value);
	assert_int_equal(conf_read_text(c, "t.conf", text_of(text)), 1);
	fixture_check("file", &said, 1, "t.conf:2: longer than 4093");
	read_args(c, words, &cmd);
	fixture_check("args", &said, 2, "command line: ok_line is longer");
	conf_free(&c);
	free(text);
	free(value);
}

static void
test_file(void **state)
{
	char path[] = "/tmp/test_conf.XXXXXX";
	int fd = mkstemp(path);
	struct said said;
	struct conf *c = fixture_new(&said);

	(void)state;
	assert_true(fd != -1);
	assert_int_equal(write(fd, "t 40\nfoo", 8), 8);
	close(fd);
	assert_int_equal(conf_read_file(c, path), 1);
	assert_int_equal(c->timeout, 40);
	assert_non_null(strstr(said.text, path));
	assert_non_null(strstr(said.text, ":2: unknown directive \"foo\""));
	unlink(path);
	assert_int_equal(conf_read_file(c, path), 1);
	assert_non_null(strstr(said.text, "cannot be read: No such file"));
	assert_int_equal(conf_read_file(c, "/"), 1);
	assert_non_null(strstr(said.text, "cannot be read: Is a directory"));
	conf_free(&c);
}

static void
test_help(void **state)
{
	static char out[FIXTURE_TEXT_MAX];
	struct said said;
	struct conf *c = fixture_new(&said);
	struct buf b;

	(void)state;
	buf_init(&b, sizeof(out));
	conf_help(c, &b);
	fixture_string(&b, out, sizeof(out));
	assert_non_null(strstr(out, "usage: imapsd [-f FILE]"));
	assert_non_null(strstr(out, "  -t, --timeout SECONDS\n"));
	assert_null(strstr(out, "pop_capability"));
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_perdition_is_known),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_command_lines),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_command_line_wins),
		cmocka_unit_test(test_print_reads_back),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
