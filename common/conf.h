/* SPDX-License-Identifier: ISC */
/*
 * conf: configuration text to struct conf, by one table of directives.  The
 * language is Perdition's (relais.conf(5)); errors name file and line.
 *
 * Three stages.  Reading fills the fields that have a directive, each with
 * where its value came from.  conf_settle() works out what follows from them
 * (listeners, TLS modes, inner servers' ports) and is pure: no files, no
 * names.  Everything that needs the machine (files, users, addresses of
 * names) is checked by the master and, for keys, by the keeper.
 */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "buf.h"
#include "capability.h"
#include "msg.h"
#include "text.h"

/* Which daemon reads: a directive may belong to some of them only. */
enum conf_daemon { CONF_IMAP = 1, CONF_POP3 = 2, CONF_SMTP = 4 };

enum conf_listen_mode { LISTEN_PLAIN, LISTEN_STARTTLS, LISTEN_SSL };

struct conf_listen {
	struct addr addr; /* numeric, with port */
	enum conf_listen_mode mode;
	bool clear_login; /* takes credentials without TLS */
};

struct conf_server {
	char *name; /* as written: a name or a numeric address */
	uint16_t port;
	bool numeric; /* addr holds it; else the broker resolves name */
	struct addr addr;
};
#define CONF_SERVERS_MAX 64 /* msg_connect.tried has a bit for each */

enum conf_outgoing_tls {
	OUTGOING_PLAIN,
	OUTGOING_SSL,
	OUTGOING_STARTTLS,
	OUTGOING_STARTTLS_FORCE
};

struct conf_pair {
	char *cert_file, *key_file;
	const char *cert_where, *key_where; /* conf_where()'s; NULL: default */
};

/*
 * How a user name is changed before it goes to the inner server, which is
 * Perdition's state remote_login.
 */
struct conf_name_rules {
	bool lower_case, strip_domain, add_domain;
};

/* sender_login_map's copy in the spool's etc. */
#define CONF_SENDER_MAP_COPY "sender_login_map"

struct conf {
	/* the service */
	bool enabled;
	bool inetd_mode;            /* a socket has to be inherited */
	bool one_client;            /* settled: it is given, and the only one */
	struct conf_listen *listen; /* settled */
	size_t nlisten;
	struct conf_server *servers;
	size_t nservers;
	enum conf_outgoing_tls outgoing_tls;
	char *outgoing_user; /* the daemon's own login there; NULL: none */
	char *outgoing_password_file;
	char *outgoing_password; /* what is in it; workers alone have it */
	bool outgoing_client_info;
	unsigned int outgoing_proxy; /* settled: its version; 0: none */
	/* settled proxy_protocol_from: whose connections begin with a header */
	struct addr_range *proxies;
	size_t nproxies;
	/* settled trusted_networks: neither counted nor turned away */
	struct addr_range *trusted;
	size_t ntrusted;

	/* metrics_listen, settled: one of these, or neither */
	char *metrics_path;       /* of a UNIX socket */
	struct addr metrics_addr; /* of this host; family 0: none */
	char *metrics_listen;     /* as it was written; NULL: none */
	char *metrics_group;      /* whose the UNIX socket is; NULL: root's */

	/* processes */
	unsigned int workers;            /* 0: one per processor */
	unsigned int worker_connections; /* per worker */
	unsigned int keepers;            /* 0: one per processor, <= workers */
	char *username, *group;          /* workers; group NULL: the user's */
	char *daemon_username;           /* the other roles */
	unsigned int authenticators, authenticators_max;
	char *spool_directory;
	char *pid_file; /* NULL or "": none */
	bool no_daemon;
	char *control_group;  /* NULL: root alone */
	char *control_socket; /* NULL: the usual one; "": none */

	/* limits; 0 is no limit, times are in seconds */
	unsigned int connection_limit;         /* of all clients */
	unsigned int connection_limit_address; /* of one address */
	unsigned int authenticate_timeout;     /* until a login succeeded */
	unsigned int handshake_timeout;        /* TLS with a client */
	unsigned int timeout;                  /* silence after login */
	unsigned int minimum_rate;        /* octets a second; 0: any rate */
	unsigned int minimum_rate_time;   /* over so long */
	unsigned int acknowledge_timeout; /* of what a peer was sent */
	unsigned int outgoing_timeout;    /* each answer of an inner server */
	unsigned int login_attempts;      /* refused logins per connection */
	unsigned int connect_relog;       /* repeat the Auth line; 0: never */
	unsigned int message_size_limit;  /* octets of a message */
	unsigned int recipient_limit;     /* of one message */
	unsigned int user_message_limit, user_recipient_limit; /* an hour */
	/* failed logins until strangers are turned away; see abuse.h */
	unsigned int address_failure_limit, network_failure_limit;
	unsigned int user_failure_limit;
	/* of one address within anvil_rate_time_unit */
	unsigned int client_connection_rate_limit;
	unsigned int client_new_tls_session_rate_limit;
	unsigned int client_message_rate_limit, client_recipient_rate_limit;
	unsigned int anvil_rate_time_unit;
	unsigned int ledger_entries; /* of a ledger that is made */
	unsigned int sasl_timeout;   /* one step of an authenticator */
	unsigned int stop_timeout;   /* from SIGTERM to a worker's end */
	unsigned int drain_timeout; /* of old sessions after a reload */

	/* TLS for clients */
	struct conf_pair *pairs;
	size_t npairs;
	char *ssl_cert_dir; /* settled: NULL without TLS */
	char *ssl_passphrase_file;
	int ssl_passphrase_fd; /* -1: none */
	char *listen_priority; /* GnuTLS priority string, settled */
	char *outgoing_priority;
	bool listen_tls13_only;

	/* TLS towards inner servers */
	char *ssl_ca_file, *ssl_ca_path, *ssl_ca_chain_file;
	bool ssl_ca_accept_self_signed, ssl_cert_accept_self_signed;
	bool ssl_cert_accept_expired, ssl_cert_accept_not_yet_valid;
	unsigned int ssl_cert_verify_depth;
	bool ssl_no_cert_verify, ssl_no_cn_verify;

	/* the dialogue */
	char *capability; /* this daemon's *_capability; NULL: learned */
	unsigned int capability_refresh; /* seconds between two lessons */
	char *ok_line;                   /* NULL: the inner server's own text */
	bool login_disabled;
	char *domain_delimiter, *explicit_domain;
	struct conf_name_rules name_rules;
	bool no_lookup;
	bool outgoing_in_order;
	bool normalize_newlines;       /* settled bare_newline */
	bool broken_sasl_auth_clients; /* "AUTH=" is promised, too */
	bool peername_lookup;          /* what a client's host is called */
	/* what a Received field tells */
	bool received_client, received_user, received_tls;

	/* what users who have logged in may send */
	bool submit_rules;      /* settled: there are any */
	char *sender_login_map; /* NULL: anybody may send as anybody */

	/* logins decided on this machine */
	bool sasl;            /* settled: there are any */
	bool authenticate_in; /* beside what the inner server says */
	char *sasl_application, *sasl_config_path;
	char *sasldb_path; /* NULL: what Cyrus' configuration says */
	char *sasl_local_domain;
	char *sasl_security_options; /* words, checked by conf_settle() */
	bool sasl_network;
	char *sasl_group;
	char *hostname; /* NULL in the master until it is found out */

	/* the log */
	char *log_facility, *log_ident; /* log_ident NULL: the daemon's name */
	bool debug, quiet;

	/* the rest: what was set, where; for --print_config and messages */
	struct conf_private *private;
};

/* A directive's default, where a daemon has its own. */
struct conf_initial {
	const char *name, *value;
};

/* What one daemon's defaults are; each has one, const. */
struct conf_defaults {
	enum conf_daemon daemon;
	const char *name;                    /* "imapsd" */
	const char *protocol;                /* "IMAP4": plain or STARTTLS */
	const char *protocol_tls;            /* "IMAP4S" */
	uint16_t port, port_tls;             /* 143, 993 */
	uint16_t inner_port, inner_port_tls; /* inner servers'; 0: the same */
	const struct conf_initial *initials; /* a NULL name ends; NULL: none */
	const char *sasl_service; /* "imap": the name GSSAPI and PAM know */
};

/* Errors and warnings, each a whole sentence with "file:line: " in front. */
typedef void conf_report(void *arg, bool is_error, const char *text);

/* The sockets that there are, if any, to be served in place of our own. */
struct inherited;

struct conf *conf_new(
    const struct conf_defaults *d, conf_report *report, void *arg);
void conf_free(struct conf **c);

/*
 * Read a whole file's text; name is for messages.  Every fault is reported,
 * not the first alone.  Returns how many errors there were.
 */
unsigned int conf_read_text(struct conf *c, const char *name, struct text t);

/* The same on a file; one that cannot be read is an error. */
unsigned int conf_read_file(struct conf *c, const char *path);

/* What a command line asks for beside directives. */
struct conf_command {
	const char *file; /* -f; NULL: the default */
	bool check_config, print_config, version, help;
	bool status, sessions, json;
	const char *kick;   /* the user; NULL: nobody */
	const char *ledger; /* --ledger: of whom, "" for all; NULL: not asked */
	const char *forgive; /* NULL: nobody */
};

/*
 * Read a command line (argv[0] is skipped): directives as long options and
 * Perdition's letters.  They win over any file, read before or after.
 * Returns how many errors there were.
 */
unsigned int conf_read_args(
    struct conf *c, int argc, char *const argv[], struct conf_command *cmd);

/* The text of --help, for stdout. */
void conf_help(const struct conf *c, struct buf *out);

/*
 * What was inherited, which stays the caller's: for conf_settle() to work out
 * how each of the sockets is served, by its name, or by the listener or the
 * port that it is.
 */
void conf_inherit(struct conf *c, const struct inherited *in);

/*
 * Work out what follows: to be called once, after all reading.  file is the
 * configuration file's path or NULL: its name may tell the protocol
 * (perdition.imap4s.conf).  Returns how many errors there were.
 */
unsigned int conf_settle(struct conf *c, const char *file);

/*
 * Where the directive's last value came from, "imapsd.conf:12" or "command
 * line"; NULL: it is the default.  It is the configuration's.
 */
const char *conf_where(const struct conf *c, const char *name);

/* The effective configuration, a directive a line, "# from" behind each. */
void conf_print(const struct conf *c, struct buf *out);

/*
 * What a role needs to know, and nothing else, as text; conf_read_role() in
 * that role makes a settled conf of it again, or -1.
 */
void conf_write_role(const struct conf *c, enum role role, struct buf *out);
int conf_read_role(struct conf *c, struct text t);

/*
 * sasl_security_options' next word: its bit.  0: there is none any more;
 * -1: *word is none of them.
 */
enum {
	CONF_SASL_NOPLAINTEXT = 1,
	CONF_SASL_NOACTIVE = 2,
	CONF_SASL_NODICTIONARY = 4,
	CONF_SASL_FORWARD_SECRECY = 8,
	CONF_SASL_NOANONYMOUS = 16,
	CONF_SASL_MUTUAL_AUTH = 32
};
int conf_sasl_option(struct text *rest, struct text *word);

/* Is a one of proxy_protocol_from? */
bool conf_is_proxy(const struct conf *c, const struct addr *a);

/* For the log: "IMAP4S" where TLS is implicit, else "IMAP4". */
const char *conf_protocol_name(
    const struct conf *c, enum conf_listen_mode mode);

/* The directives, for the test that the manual documents each: NULL ends. */
const char *conf_directive(size_t i);

#endif
