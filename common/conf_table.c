/* SPDX-License-Identifier: ISC */
/*
 * conf_table: the directives of all daemons, Perdition's 69 among them.  A
 * constant; it runs nowhere and everywhere.
 */
#include <string.h>

#include "conf.h"
#include "conf_table.h"

#define YEAR 31536000 /* seconds; more is a slip of the finger */

#define K CONF_ROLE(ROLE_KEEPER)
#define B CONF_ROLE(ROLE_BROKER)
#define W CONF_ROLE(ROLE_WORKER)
#define A CONF_ROLE(ROLE_AUTHENTICATOR)
#define M CONF_ROLE(ROLE_METRICS)
#define C CONF_ROLE(ROLE_CONTROL)

#define FIELD(f) .field = offsetof(struct conf, f)
#define NO_FIELD .field = CONF_NO_FIELD
#define FLAG(f) .type = CONF_FLAG, FIELD(f)
#define NUMBER(f, from, to)                                                    \
	.type = CONF_NUMBER, FIELD(f), .low = (from), .high = (to)
#define STRING(f) .type = CONF_STRING, FIELD(f)
#define PATH(f) .type = CONF_PATH, FIELD(f), .arg = "PATH"
/* For conf_settle(), as written. */
#define RAW .type = CONF_STRING, NO_FIELD
#define RAW_PATH .type = CONF_PATH, NO_FIELD, .arg = "PATH"
#define RAW_FLAG .type = CONF_FLAG, NO_FIELD
#define HOLDS .fate = CONF_HOLDS
#define IDLE .fate = CONF_IDLE
#define REFUSED .fate = CONF_REFUSED
#define COMMAND .fate = CONF_COMMAND

#define TOGETHER .flags = CONF_MANY /* repeats add up, as in Perdition */

/* clang-format off */
static const struct conf_directive directives[] = {
	/* the service */
	{ "enabled", FLAG(enabled), .initial = "yes",
	  .meaning = "no: start nothing and exit with success" },
	{ "listen", RAW, .flags = CONF_MANY,
	  .arg = "\"ADDRESS[:PORT] ssl|starttls|plain\"",
	  .meaning = "where and how clients are awaited; may be repeated" },
	{ "bind_address", 'b', RAW, .arg = "HOST[:PORT],...",
	  .meaning = "addresses to listen on, by listen_port and ssl_mode" },
	{ "listen_port", 'l', RAW, .arg = "PORT",
	  .meaning = "the port where bind_address names none" },
	{ "protocol", 'P', RAW, .arg = "PROTOCOL",
	  .meaning = "decides on TLS where ssl_mode does not" },
	{ "proxy_protocol_from", RAW, .flags = CONF_MANY, .roles = B | W,
	  .arg = "ADDRESS[/BITS],...",
	  .meaning = "proxies, which say in a PROXY header who the client is" },
	{ "inetd_mode", 'i', FLAG(inetd_mode), .initial = "no",
	  .meaning = "do not start unless descriptor 0 is a socket" },

	/* inner servers */
	{ "outgoing_server", 's', RAW, .arg = "HOST[:PORT],...",
	  .meaning = "the inner servers, taken in turn" },
	{ "outgoing_port", 'p', RAW, .arg = "PORT",
	  .meaning = "their port where outgoing_server names none" },
	{ "outgoing_timeout", NUMBER(outgoing_timeout, 1, YEAR),
	  .roles = B | W, .initial = "30", .arg = "SECONDS",
	  .meaning = "how long an inner server may take to answer" },
	{ "outgoing_in_order", FLAG(outgoing_in_order), .initial = "no",
	  .roles = B,
	  .meaning = "use the first inner server that serves, not one in turn" },
	{ "no_lookup", 'n', FLAG(no_lookup), .initial = "no", .roles = B,
	  .meaning = "inner servers are numeric addresses; ask no DNS" },
	{ "outgoing_user", STRING(outgoing_user), .daemons = CONF_SMTP,
	  .roles = W, .arg = "USER",
	  .meaning = "whom inner servers know us as; default: no login" },
	{ "outgoing_password_file", PATH(outgoing_password_file),
	  .daemons = CONF_SMTP,
	  .meaning = "a file with outgoing_user's password" },
	{ "outgoing_client_info", FLAG(outgoing_client_info),
	  .roles = W, .initial = "yes",
	  .meaning = "tell inner servers who the client is, if they ask" },
	{ "outgoing_proxy_protocol", RAW, .roles = W, .initial = "no",
	  .arg = "no|v1|v2",
	  .meaning = "begin with a PROXY header that tells the client's address" },
	{ "capability_refresh", NUMBER(capability_refresh, 1, YEAR),
	  .roles = B, .initial = "300", .arg = "SECONDS",
	  .meaning = "how often inner servers are asked what they can do" },

	/* processes */
	{ "username", 'u', STRING(username), .initial = "_relais",
	  .roles = W, .arg = "USER", .meaning = "whom the workers run as" },
	{ "group", 'g', STRING(group), .roles = W, .arg = "GROUP",
	  .meaning = "the workers' group; default: the user's own" },
	{ "daemon_username", STRING(daemon_username), .initial = "_relaisd",
	  .roles = K | B | A | C, .arg = "USER",
	  .meaning = "whom the others run as" },
	{ "spool_directory", PATH(spool_directory),
	  .roles = K | B | W | A | C | M, .initial = "/var/spool/relais",
	  .meaning = "the root directory of all processes but the master" },
	{ "pid_file", PATH(pid_file), .flags = CONF_EMPTY,
	  .meaning = "default: /run/DAEMON.pid; \"\" or no_daemon: none" },
	{ "control_group", STRING(control_group), .arg = "GROUP",
	  .meaning = "who beside root may use --status, --sessions, --kick" },
	{ "control_socket", PATH(control_socket), .flags = CONF_EMPTY,
	  .roles = W,
	  .meaning = "their socket; default: run/DAEMON.sock in the spool; "
	      "\"\": none" },
	{ "no_daemon", FLAG(no_daemon), .initial = "no",
	  .meaning = "stay in the foreground" },
	{ "workers", NUMBER(workers, 0, 1024), .initial = "0", .roles = B | C,
	  .arg = "NUMBER", .meaning = "0: one for each processor" },
	{ "worker_connections", NUMBER(worker_connections, 1, 100000),
	  .roles = B | W | C, .initial = "10000", .arg = "NUMBER",
	  .meaning = "clients that one worker serves at a time" },
	{ "keepers", NUMBER(keepers, 0, 1024), .initial = "0",
	  .arg = "NUMBER", .meaning = "0: one for each processor" },

	/* limits */
	{ "connection_limit", 'L', NUMBER(connection_limit, 0, 1000000),
	  .roles = B | C, .initial = "0", .arg = "NUMBER",
	  .meaning = "clients in all; 0: as many as the workers can serve" },
	{ "connection_limit_address",
	  NUMBER(connection_limit_address, 0, 1000000), .roles = B,
	  .initial = "2000", .arg = "NUMBER",
	  .meaning = "clients of one address; 0: no limit" },
	{ "authenticate_timeout", NUMBER(authenticate_timeout, 0, YEAR),
	  .roles = W, .initial = "60", .arg = "SECONDS",
	  .meaning = "time until a login has succeeded; 0: no limit" },
	{ "handshake_timeout", NUMBER(handshake_timeout, 0, YEAR), .roles = W,
	  .initial = "30", .arg = "SECONDS",
	  .meaning = "of these, for the TLS handshake; 0: all of them" },
	{ "timeout", 't', NUMBER(timeout, 0, YEAR), .roles = W,
	  .initial = "1800", .arg = "SECONDS",
	  .meaning = "silence after the login; 0: no limit" },
	{ "minimum_rate", NUMBER(minimum_rate, 0, 1000000), .roles = W,
	  .initial = "100", .arg = "OCTETS",
	  .meaning = "what is sent is to be taken, a second; 0: at any rate" },
	{ "minimum_rate_time", NUMBER(minimum_rate_time, 1, YEAR), .roles = W,
	  .initial = "120", .arg = "SECONDS",
	  .meaning = "for how long a peer may be slower than that" },
	{ "acknowledge_timeout", NUMBER(acknowledge_timeout, 0, 1000000),
	  .roles = W, .initial = "300", .arg = "SECONDS",
	  .meaning = "until a peer that acknowledges nothing has vanished" },
	{ "stop_timeout", NUMBER(stop_timeout, 1, YEAR), .roles = W,
	  .initial = "5", .arg = "SECONDS",
	  .meaning = "how long work under way may take after SIGTERM" },
	{ "drain_timeout", NUMBER(drain_timeout, 0, YEAR), .initial = "0",
	  .arg = "SECONDS",
	  .meaning = "how long sessions outlive a reload; 0: no limit" },
	{ "address_failure_limit", NUMBER(address_failure_limit, 0, 900),
	  .roles = B | A, .initial = "10", .arg = "NUMBER",
	  .meaning = "failed logins of an address until it is turned away" },
	{ "network_failure_limit", NUMBER(network_failure_limit, 0, 900),
	  .roles = B | A, .initial = "40", .arg = "NUMBER",
	  .meaning = "the same of an IPv4 /24 or IPv6 /64; 0: no limit" },
	{ "user_failure_limit", NUMBER(user_failure_limit, 0, 400),
	  .roles = B | A, .initial = "10", .arg = "NUMBER",
	  .meaning = "the same of all who are strangers to a user" },
	{ "client_connection_rate_limit",
	  NUMBER(client_connection_rate_limit, 0, 1000000), .roles = B,
	  .initial = "0", .arg = "NUMBER",
	  .meaning = "connections of one address in a unit; 0: no limit" },
	{ "client_new_tls_session_rate_limit",
	  NUMBER(client_new_tls_session_rate_limit, 0, 1000000), .roles = B,
	  .initial = "0", .arg = "NUMBER",
	  .meaning = "TLS handshakes of one address in a unit; 0: no limit" },
	{ "anvil_rate_time_unit", NUMBER(anvil_rate_time_unit, 1, 3600),
	  .roles = B | A, .initial = "60", .arg = "SECONDS",
	  .meaning = "the unit of time of the client_ limits" },
	{ "trusted_networks", RAW, .flags = CONF_MANY | CONF_EMPTY,
	  .roles = B | A, .initial = "127.0.0.0/8,::1",
	  .arg = "ADDRESS[/BITS],...",
	  .meaning = "whom no limit on failures and rates is for" },
	{ "ledger_entries", NUMBER(ledger_entries, 1024, 100000000),
	  .initial = "100000", .arg = "NUMBER",
	  .meaning = "addresses, networks and users that are counted" },
	{ "login_attempts", NUMBER(login_attempts, 0, 1000000), .roles = W,
	  .initial = "10", .arg = "NUMBER",
	  .meaning = "refused logins until goodbye; 0: no limit" },

	{ "message_size_limit", NUMBER(message_size_limit, 0, UINT32_MAX),
	  .daemons = CONF_SMTP, .roles = W, .initial = "10240000",
	  .arg = "OCTETS", .meaning = "of one message; 0: no limit" },
	{ "sender_login_map", PATH(sender_login_map), .daemons = CONF_SMTP,
	  .roles = B | W,
	  .meaning = "a file of senders and who may send as them" },
	{ "user_message_limit", NUMBER(user_message_limit, 0, 1000000),
	  .daemons = CONF_SMTP, .roles = B | W, .initial = "0",
	  .arg = "NUMBER", .meaning = "of one user in an hour; 0: no limit" },
	{ "user_recipient_limit", NUMBER(user_recipient_limit, 0, 1000000),
	  .daemons = CONF_SMTP, .roles = B | W, .initial = "0",
	  .arg = "NUMBER", .meaning = "of one user in an hour; 0: no limit" },
	{ "client_message_rate_limit",
	  NUMBER(client_message_rate_limit, 0, 1000000),
	  .daemons = CONF_SMTP, .roles = B | W, .initial = "0",
	  .arg = "NUMBER", .meaning = "of one address in a unit; 0: no limit" },
	{ "client_recipient_rate_limit",
	  NUMBER(client_recipient_rate_limit, 0, 1000000),
	  .daemons = CONF_SMTP, .roles = B | W, .initial = "0",
	  .arg = "NUMBER", .meaning = "of one address in a unit; 0: no limit" },
	{ "recipient_limit", NUMBER(recipient_limit, 1, 50000),
	  .daemons = CONF_SMTP, .roles = W, .initial = "1000",
	  .arg = "NUMBER", .meaning = "recipients of one message" },

	/* TLS */
	{ "ssl_mode", RAW, .flags = CONF_MANY | CONF_EMPTY,
	  .arg = "MODE,...", .meaning = "TLS with clients and inner servers" },
	{ "plaintext_login", RAW_FLAG, .initial = "no", .roles = W,
	  .meaning = "tls_listen takes passwords before STARTTLS, too" },
	{ "ssl_cert_file", RAW_PATH,
	  .initial = "/etc/relais/server.crt",
	  .meaning = "certificate and chain, PEM" },
	{ "ssl_key_file", RAW_PATH,
	  .initial = "/etc/relais/server.key",
	  .meaning = "its private key, PEM" },
	{ "ssl_pair", RAW, .flags = CONF_MANY, .arg = "\"CERT KEY\"",
	  .meaning = "a further certificate and key; may be repeated" },
	{ "ssl_cert_dir", PATH(ssl_cert_dir),
	  .meaning = "a folder of certificates and keys, chosen by SNI" },
	{ "ssl_passphrase_fd", .type = CONF_NUMBER, NO_FIELD, .high = 1023,
	  .arg = "NUMBER",
	  .meaning = "a descriptor with the keys' passphrase" },
	{ "ssl_passphrase_file", PATH(ssl_passphrase_file),
	  .meaning = "a file with the keys' passphrase" },
	{ "ssl_listen_min_proto_version", RAW, .roles = K | W,
	  .initial = "tlsv1.2", .arg = "VERSION",
	  .meaning = "tlsv1, tlsv1.1, tlsv1.2 or tlsv1.3" },
	{ "ssl_listen_max_proto_version", RAW, .flags = CONF_EMPTY,
	  .roles = W, .initial = "", .arg = "VERSION",
	  .meaning = "the same; \"\": no maximum" },
	{ "ssl_outgoing_min_proto_version", RAW, .roles = W,
	  .initial = "tlsv1.2", .arg = "VERSION",
	  .meaning = "the same for inner servers" },
	{ "ssl_outgoing_max_proto_version", RAW, .flags = CONF_EMPTY,
	  .roles = W, .initial = "", .arg = "VERSION",
	  .meaning = "the same; \"\": no maximum" },
	{ "ssl_listen_ciphers", RAW, .roles = W, .arg = "STRING",
	  .meaning = "fewer cipher suites, as OpenSSL writes them" },
	{ "ssl_outgoing_ciphers", RAW, .roles = W, .arg = "STRING",
	  .meaning = "the same for inner servers" },
	{ "ssl_no_cipher_server_preference", RAW_FLAG, .initial = "no",
	  .roles = W, .meaning = "the client's order of cipher suites" },
	{ "ssl_ca_file", PATH(ssl_ca_file),
	  .meaning = "CAs of inner servers; default: the system's" },
	{ "ssl_ca_path", PATH(ssl_ca_path),
	  .meaning = "a directory with such files" },
	{ "ssl_ca_chain_file", PATH(ssl_ca_chain_file),
	  .meaning = "a further such file" },
	{ "ssl_ca_accept_self_signed", FLAG(ssl_ca_accept_self_signed),
	  .initial = "no", .roles = W,
	  .meaning = "inner servers: an unknown CA will do" },
	{ "ssl_cert_accept_self_signed", FLAG(ssl_cert_accept_self_signed),
	  .initial = "no", .roles = W,
	  .meaning = "inner servers: a self-signed certificate will do" },
	{ "ssl_cert_accept_expired", FLAG(ssl_cert_accept_expired),
	  .initial = "no", .roles = W,
	  .meaning = "inner servers: an expired certificate will do" },
	{ "ssl_cert_accept_not_yet_valid",
	  FLAG(ssl_cert_accept_not_yet_valid), .initial = "no", .roles = W,
	  .meaning = "inner servers: a certificate of tomorrow will do" },
	{ "ssl_cert_verify_depth", NUMBER(ssl_cert_verify_depth, 0, 100),
	  .roles = W, .initial = "9", .arg = "NUMBER",
	  .meaning = "longest chain of an inner server's certificate" },
	{ "ssl_no_cert_verify", FLAG(ssl_no_cert_verify), .initial = "no",
	  .roles = W, .meaning = "inner servers: any certificate will do" },
	{ "ssl_no_cn_verify", FLAG(ssl_no_cn_verify), .initial = "no",
	  .roles = W, .meaning = "inner servers: any name will do" },
	{ "ssl_no_client_cert_verify", RAW_FLAG, HOLDS,
	  .meaning = "it is so: no client is asked for a certificate" },
	{ "ssl_dh_params_file", RAW, IDLE, .arg = "PATH",
	  .meaning = "without effect",
	  .advice = "finite-field Diffie-Hellman is not offered" },
	{ "ssl_listen_compression", RAW_FLAG, IDLE,
	  .meaning = "without effect",
	  .advice = "TLS compression gives secrets away and is never used" },
	{ "ssl_outgoing_compression", RAW_FLAG, IDLE,
	  .meaning = "without effect",
	  .advice = "TLS compression gives secrets away and is never used" },

	/* the dialogue before the login */
	{ "imap_capability", STRING(capability), .daemons = CONF_IMAP,
	  .roles = B | W, .arg = "WORDS",
	  .meaning = "the list before login; default: learned inside" },
	{ "pop_capability", STRING(capability), .daemons = CONF_POP3,
	  .roles = B | W, .arg = "WORDS",
	  .meaning = "the list before login; default: learned inside" },
	{ "smtp_capability", STRING(capability), .daemons = CONF_SMTP,
	  .roles = B | W, .arg = "LIST",
	  .meaning = "what EHLO promises; default: learned inside" },
	{ "managesieve_capability", RAW, IDLE, .arg = "WORDS",
	  .meaning = "without effect",
	  .advice = "Relais has no ManageSieve daemon" },
	{ "capability", 'I', RAW, .alias = "imap_capability", .arg = "WORDS",
	  .meaning = "old name of this daemon's list before login" },
	{ "login_disabled", FLAG(login_disabled), .initial = "no",
	  .roles = W, .meaning = "refuse all logins" },
	{ "ok_line", 'O', STRING(ok_line), .roles = W, .arg = "TEXT",
	  .meaning = "text of a good login; default: the inner server's" },
	{ "server_resp_line", 'o', RAW_FLAG, .initial = "no", .roles = W,
	  .meaning = "the inner server's text, whatever ok_line says" },
	{ "server_ok_line", RAW_FLAG, .alias = "server_resp_line",
	  .meaning = "old name of server_resp_line" },
	{ "no_bind_banner", 'B', RAW_FLAG, HOLDS,
	  .meaning = "it is so: the greeting shows no address" },

	{ "bare_newline", RAW, .daemons = CONF_SMTP, .roles = W,
	  .initial = "refuse", .arg = "refuse|normalize",
	  .meaning = "what becomes of CR and LF alone in a message" },
	{ "broken_sasl_auth_clients", FLAG(broken_sasl_auth_clients),
	  .daemons = CONF_SMTP, .roles = W, .initial = "no",
	  .meaning = "promise \"AUTH=\" as well, for very old clients" },
	{ "peername_lookup", FLAG(peername_lookup), .daemons = CONF_SMTP,
	  .roles = B, .initial = "yes",
	  .meaning = "ask DNS what clients' hosts are called" },
	{ "received_client", FLAG(received_client), .daemons = CONF_SMTP,
	  .roles = W, .initial = "yes",
	  .meaning = "Received tells the client's name and address" },
	{ "received_user", FLAG(received_user), .daemons = CONF_SMTP,
	  .roles = W, .initial = "yes",
	  .meaning = "Received tells who has logged in" },
	{ "received_tls", FLAG(received_tls), .daemons = CONF_SMTP,
	  .roles = W, .initial = "yes",
	  .meaning = "Received tells TLS version and cipher" },

	/* logins decided on this machine, by Cyrus SASL */
	{ "authenticate_in", 'a', FLAG(authenticate_in), .initial = "no",
	  .roles = B | W | A,
	  .meaning = "check passwords here before the inner server does" },
	{ "authenticators", NUMBER(authenticators, 1, 1024), .roles = B,
	  .initial = "2", .arg = "NUMBER",
	  .meaning = "processes that check passwords" },
	{ "authenticators_max", NUMBER(authenticators_max, 1, 1024),
	  .roles = B | W, .initial = "32", .arg = "NUMBER",
	  .meaning = "how many there are when checks take long" },
	{ "sasl_timeout", NUMBER(sasl_timeout, 1, YEAR), .roles = B | W | A,
	  .initial = "10", .arg = "SECONDS",
	  .meaning = "how long the check of a password may take" },
	{ "sasl_application", STRING(sasl_application), .initial = "smtpd",
	  .arg = "NAME", .meaning = "NAME.conf is Cyrus SASL's configuration" },
	{ "sasl_config_path", STRING(sasl_config_path),
	  .initial = "/etc/postfix/sasl:/etc/sasl2:/usr/lib/sasl2",
	  .arg = "PATH:...", .meaning = "folders where that file is looked for" },
	{ "sasldb_path", PATH(sasldb_path), .roles = A,
	  .meaning = "users' passwords; default: /etc/sasldb2" },
	{ "sasl_local_domain", STRING(sasl_local_domain), .roles = A,
	  .arg = "DOMAIN", .meaning = "what users without a domain get" },
	{ "sasl_security_options", STRING(sasl_security_options),
	  .flags = CONF_EMPTY, .roles = A, .initial = "noanonymous",
	  .arg = "WORD,...", .meaning = "what a mechanism must be, at least" },
	{ "sasl_network", FLAG(sasl_network), .initial = "no", .roles = A,
	  .meaning = "Cyrus SASL may open connections of its own" },
	{ "sasl_group", STRING(sasl_group), .roles = A, .initial = "sasl",
	  .arg = "GROUP",
	  .meaning = "the group of sasldb2 and of saslauthd's socket" },
	{ "hostname", STRING(hostname), .roles = A | W, .arg = "NAME",
	  .meaning = "this host's full name; default: the system's" },

	/* user names */
	{ "lower_case", RAW, TOGETHER, .roles = W, .arg = "STATE,...",
	  .meaning = "remote_login or all: user names in lower case" },
	{ "strip_domain", 'S', RAW, TOGETHER, .roles = W, .arg = "STATE,...",
	  .meaning = "remote_login or all: user names without domain" },
	{ "add_domain", 'A', RAW, TOGETHER, .roles = W, .arg = "STATE,...",
	  .meaning = "remote_login or all: user names with explicit_domain" },
	{ "domain_delimiter", 'D', STRING(domain_delimiter), .roles = W,
	  .initial = "@", .arg = "STRING",
	  .meaning = "what parts a user's name and domain" },
	{ "explicit_domain", 'e', STRING(explicit_domain), .roles = W,
	  .arg = "DOMAIN", .meaning = "the domain that add_domain adds" },
	{ "client_server_specification", 'c', RAW_FLAG, REFUSED, .but = "no",
	  .meaning = "users name their inner server",
	  .advice = "leave it out: whoever chooses the server that gets a "
	      "password must not be the client; use outgoing_server" },
	{ "map_library", 'M', RAW, REFUSED, .but = "", .flags = CONF_EMPTY,
	  .arg = "PATH", .meaning = "where users' servers are looked up",
	  .advice = "not available yet: write map_library \"\" and name the "
	      "servers in outgoing_server" },
	{ "map_library_opt", 'm', RAW, REFUSED, .but = "",
	  .flags = CONF_EMPTY, .arg = "STRING",
	  .meaning = "what map_library is told",
	  .advice = "not available yet: leave it out, with map_library \"\"" },
	{ "query_key", RAW, REFUSED, .arg = "FORMAT,...",
	  .meaning = "what map_library is asked for",
	  .advice = "not available yet: leave it out, with map_library \"\"" },
	{ "username_from_database", 'U', RAW_FLAG, REFUSED, .but = "no",
	  .meaning = "map_library tells the user's inner name",
	  .advice = "not available yet: leave it out, with map_library \"\"" },

	/* the log */
	{ "log_facility", 'F', STRING(log_facility), .initial = "local5",
	  .arg = "FACILITY",
	  .meaning = "of syslog, or a path, - (stdout), + (stderr)" },
	{ "log_ident", STRING(log_ident), .arg = "NAME",
	  .meaning = "identity in the log; default: the daemon's name" },
	{ "debug", 'd', FLAG(debug), .initial = "no",
	  .roles = K | B | W | A | C | M,
	  .meaning = "log much more; wins over quiet" },
	{ "quiet", 'q', FLAG(quiet), .initial = "no",
	  .roles = K | B | W | A | C | M,
	  .meaning = "log errors only" },
	{ "connect_relog", NUMBER(connect_relog, 0, YEAR), .roles = W,
	  .initial = "0", .arg = "SECONDS",
	  .meaning = "repeat a session's Auth line so often; 0: never" },
	{ "connection_logging", 'C', RAW_FLAG, IDLE,
	  .meaning = "without effect",
	  .advice = "the dialogue of a login is never logged, it has the "
	      "password; debug logs its steps" },
	{ "log_passwd", RAW, REFUSED, .but = "never", .arg = "never",
	  .meaning = "passwords are never logged",
	  .advice = "passwords are never logged: leave it out" },
	{ "tcp_keepalive", RAW_FLAG, HOLDS,
	  .meaning = "it is so: both legs have TCP keep-alive" },

	/* numbers */
	{ "metrics_listen", STRING(metrics_listen), .roles = M,
	  .arg = "ADDRESS:PORT|PATH",
	  .meaning = "where Prometheus gets its numbers; default: nowhere" },
	{ "metrics_group", STRING(metrics_group), .arg = "GROUP",
	  .meaning = "who may, where that is the PATH of a UNIX socket" },

	/* the command line alone */
	{ "config_file", 'f', RAW, COMMAND, .arg = "PATH",
	  .meaning = "the configuration file" },
	{ "check_config", RAW_FLAG, COMMAND,
	  .meaning = "check all that a start would need, and exit" },
	{ "print_config", RAW_FLAG, COMMAND,
	  .meaning = "print the effective configuration, and exit" },
	{ "status", RAW_FLAG, COMMAND,
	  .meaning = "how the daemon that runs is: its processes, servers" },
	{ "sessions", RAW_FLAG, COMMAND,
	  .meaning = "who is connected to it" },
	{ "kick", RAW, COMMAND, .arg = "USER",
	  .meaning = "end all sessions of this user" },
	{ "ledger", RAW_FLAG, COMMAND, .arg = "[ADDRESS|NETWORK|USER]",
	  .meaning = "print what has been counted of clients and users" },
	{ "forgive", RAW, COMMAND, .arg = "ADDRESS|NETWORK|USER",
	  .meaning = "forget what has been counted of it" },
	{ "json", RAW_FLAG, COMMAND,
	  .meaning = "the answer to any of these for programs" },
	{ "version", RAW_FLAG, COMMAND, .meaning = "print the version" },
	{ "help", 'h', RAW_FLAG, COMMAND, .meaning = "print this" },
};
/* clang-format on */

#define NDIRECTIVES (sizeof(directives) / sizeof(directives[0]))
#define NAME_MAX_LEN 63 /* octets; nothing longer is like any name */

const struct conf_directive *
conf_table(size_t i)
{
	return i < NDIRECTIVES ? &directives[i] : NULL;
}

size_t
conf_table_place(const struct conf_directive *d)
{
	return (size_t)(d - directives);
}

const char *
conf_directive(size_t i)
{
	return i < NDIRECTIVES ? directives[i].name : NULL;
}

const struct conf_directive *
conf_table_find(struct text name)
{
	size_t i;

	for (i = 0; i < NDIRECTIVES; i++) {
		if (text_eq(name, directives[i].name))
			return &directives[i];
	}
	return NULL;
}

const struct conf_directive *
conf_table_letter(char letter)
{
	size_t i;

	for (i = 0; letter != '\0' && i < NDIRECTIVES; i++) {
		if (directives[i].letter == letter)
			return &directives[i];
	}
	return NULL;
}

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * The edit distance (Levenshtein) of two names: how many octets must be put
 * in, taken out or replaced; enough where it is that or more.  One row of the
 * matrix is kept, and no row's least is below that of the row before.
 */
static size_t
distance(struct text a, struct text b, size_t enough)
{
	size_t row[NAME_MAX_LEN + 1];
	size_t i, j, corner, above, least = 0;

	if (a.len >= b.len + enough || b.len >= a.len + enough)
		return enough;
	for (j = 0; j <= b.len; j++)
		row[j] = j;
	for (i = 1; i <= a.len && least < enough; i++) {
		corner = row[0];
		least = row[0] = i;
		for (j = 1; j <= b.len; j++) {
			above = row[j];
			row[j] = smaller(smaller(above, row[j - 1]) + 1,
			    corner + (a.p[i - 1] != b.p[j - 1]));
			corner = above;
			least = smaller(least, row[j]);
		}
	}
	return least < enough ? row[b.len] : enough;
}

const struct conf_directive *
conf_table_nearest(struct text name)
{
	const struct conf_directive *best = NULL;
	size_t i, n, nearest = 2 + name.len / 4; /* farther is not alike */

	if (name.len < 2 || name.len > NAME_MAX_LEN)
		return NULL;
	for (i = 0; i < NDIRECTIVES; i++) {
		n = distance(name, text_of(directives[i].name), nearest);
		if (n < nearest) {
			nearest = n;
			best = &directives[i];
		}
	}
	return best;
}
