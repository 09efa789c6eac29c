/* SPDX-License-Identifier: ISC */
/*
 * stats_table: what the numbers on a page mean: their names, their labels, and
 * which role may say them.  A constant; it runs nowhere and everywhere.
 */
#include <string.h>

#include "stats.h"

#define N(names) (sizeof(names) / sizeof((names)[0]))

static const char *const refused[] = { "limit", "address_limit", "loop",
	"proxy_header", "too_often", "gave_way" };
_Static_assert(N(refused) == STATS_REFUSED, "name all");

static const char *const login_results[] = { "ok", "refused", "unavailable",
	"turned_away" };
_Static_assert(N(login_results) == STATS_LOGINS, "name all");

static const char *const checks[] = { "ok", "refused", "unavailable" };
_Static_assert(N(checks) == STATS_CHECKS, "name all");

static const char *const mechanisms[] = { "command", "PLAIN", "LOGIN",
	"CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "GSSAPI",
	"EXTERNAL", "OAUTHBEARER", "XOAUTH2", "other" };
_Static_assert(N(mechanisms) == STATS_MECHANISMS, "name all");

static const char *const tls_versions[] = { "1.2", "1.3" };
_Static_assert(N(tls_versions) == STATS_TLS_VERSIONS, "name all");

static const char *const ciphers[] = { "AES-128-GCM", "AES-256-GCM",
	"CHACHA20-POLY1305", "AES-128-CCM", "AES-256-CCM", "AES-128-CBC",
	"AES-256-CBC", "other" };
_Static_assert(N(ciphers) == STATS_CIPHERS, "name all");

static const char *const no_yes[] = { "no", "yes" };

static const char *const directions[] = { "received", "sent" };
_Static_assert(N(directions) == STATS_DIRECTIONS, "name all");

static const char *const message_results[] = { "accepted", "deferred",
	"rejected" };
_Static_assert(N(message_results) == STATS_MESSAGES, "name all");

static const char *const outcomes[] = { "ok", "refused", "failed" };
_Static_assert(N(outcomes) == STATS_OUTCOMES, "name all");

static const char *const connects[] = { "ok", "failed" };
_Static_assert(N(connects) == STATS_CONNECTS, "name all");

static const char *const signatures[] = { "ok", "refused" };
_Static_assert(N(signatures) == STATS_SIGNATURES, "name all");

static const char *const ends[] = { "died", "no_answer", "kin_died" };
_Static_assert(N(ends) == STATS_ENDS, "name all");

static const char *const reloads[] = { "done", "refused" };
_Static_assert(N(reloads) == STATS_RELOADS, "name all");

static const char *const spares[] = { "busy", "spare", "old" };
_Static_assert(N(spares) == STATS_SPARES, "name all");

/* As role_name() has them. */
static const char *const roles[] = { "master", "keeper", "broker", "worker",
	"authenticator", "nursery", "metrics", "control" };
_Static_assert(N(roles) == ROLE_MAX, "name every role");

#define K (1U << ROLE_KEEPER)
#define B (1U << ROLE_BROKER)
#define A (1U << ROLE_AUTHENTICATOR)
/* A nursery's page is that of its workers. */
#define W (1U << ROLE_WORKER | 1U << ROLE_NURSERY)
#define MASTER 0

#define COUNTER(field) STATS_COUNTER, offsetof(struct stats, field)
#define GAUGE(field) STATS_GAUGE, offsetof(struct stats, field)
#define HISTOGRAM(field) STATS_HISTOGRAM, offsetof(struct stats, field)
/* clang-format off */
#define LABEL(name, values) { name, values, N(values) }
#define SERVER { "server", NULL, CONF_SERVERS_MAX }

static const struct stats_family families[] = {
	{ "relais_connections_accepted", "Clients that have connected.",
	  COUNTER(connections), .roles = W },
	{ "relais_connections", "Clients that are connected.",
	  GAUGE(clients), .roles = W },
	{ "relais_sessions", "Clients that have logged in and are connected.",
	  GAUGE(sessions), .roles = W },
	{ "relais_connections_refused", "Clients that were turned away.",
	  COUNTER(refused), { LABEL("reason", refused) }, .roles = B | W },
	{ "relais_logins",
	  "Logins, by what came of them and how the credentials came.",
	  COUNTER(logins),
	  { LABEL("result", login_results), LABEL("mechanism", mechanisms) },
	  .roles = W },
	{ "relais_login_duration_seconds",
	  "Of logins that went well: from the credentials to the yes.",
	  HISTOGRAM(login_seconds), .roles = W },
	{ "relais_login_delays", "Refusals that were held back.",
	  COUNTER(delays), .roles = W | A },
	{ "relais_login_delay_seconds", "For how long, in all.",
	  COUNTER(delays_ms), .roles = W | A, .divisor = 1000 },
	{ "relais_tls_handshakes", "TLS handshakes with clients.",
	  COUNTER(handshakes),
	  { LABEL("version", tls_versions), LABEL("cipher", ciphers),
	    LABEL("resumed", no_yes) }, .roles = W },
	{ "relais_tls_handshake_failures",
	  "TLS handshakes with clients that came to no good end.",
	  COUNTER(handshakes_failed), .roles = W },
	{ "relais_client_bytes",
	  "Octets of clients' dialogues and mail, without TLS.",
	  COUNTER(bytes), { LABEL("direction", directions) }, .roles = W },
	{ "relais_messages", "Messages, by the inner server's word on them.",
	  COUNTER(messages), { LABEL("result", message_results) }, .roles = W,
	  .daemons = CONF_SMTP },
	{ "relais_message_recipients",
	  "Recipients of messages, by the inner server's word on those.",
	  COUNTER(recipients), { LABEL("result", message_results) },
	  .roles = W, .daemons = CONF_SMTP },
	{ "relais_message_bytes",
	  "Octets of messages that an inner server has answered.",
	  COUNTER(message_bytes), .roles = W, .daemons = CONF_SMTP },
	{ "relais_rejects",
	  "Senders, recipients and messages that were refused on the way.",
	  COUNTER(rejects), .roles = W, .daemons = CONF_SMTP },

	{ "relais_signatures", "TLS signatures, made and refused by keepers.",
	  COUNTER(signatures), { LABEL("result", signatures) }, .roles = K },
	{ "relais_signature_duration_seconds",
	  "How long a keeper took to sign.",
	  HISTOGRAM(signature_seconds), .roles = K },

	{ "relais_authentications", "Passwords that were checked here.",
	  COUNTER(checks), { LABEL("result", checks) }, .roles = A },
	{ "relais_authentication_duration_seconds",
	  "How long Cyrus SASL took for a step.",
	  HISTOGRAM(check_seconds), .roles = A },

	{ "relais_inner_server_up",
	  "Does the inner server serve, as far as is known?",
	  GAUGE(server_up), { SERVER }, .roles = B },
	{ "relais_inner_server_connects",
	  "Connections to inner servers that were tried.",
	  COUNTER(server_connects), { SERVER, LABEL("result", connects) },
	  .roles = B },
	{ "relais_inner_server_logins",
	  "What came of connections to inner servers.",
	  COUNTER(server_outcomes), { SERVER, LABEL("result", outcomes) },
	  .roles = B },
	{ "relais_inner_server_connect_duration_seconds",
	  "How long an inner server took to accept a connection.",
	  HISTOGRAM(connect_seconds), { SERVER }, .roles = B },
	{ "relais_inner_server_greeting_duration_seconds",
	  "From then on, how long it took until it was ready for a login.",
	  HISTOGRAM(greeting_seconds), { SERVER }, .roles = W },

	{ "relais_processes", "Processes that run.",
	  GAUGE(processes), { LABEL("role", roles) }, .roles = MASTER },
	{ "relais_workers", "Workers that run, by what they are for.",
	  GAUGE(workers), { LABEL("state", spares) }, .roles = MASTER },
	{ "relais_processes_started", "Processes that were started.",
	  COUNTER(started), { LABEL("role", roles) }, .roles = MASTER },
	{ "relais_processes_replaced",
	  "Processes that came to a bad end and were replaced.",
	  COUNTER(replaced), { LABEL("role", roles), LABEL("reason", ends) },
	  .roles = MASTER },
	{ "relais_reloads", "Reloads.", COUNTER(reloads),
	  { LABEL("result", reloads) }, .roles = MASTER },
	{ "relais_generation", "Which configuration serves: 1 at the start.",
	  GAUGE(generation), .roles = MASTER },
	{ "relais_log_lines", "Lines for the log.", COUNTER(log_lines),
	  .roles = MASTER },
	{ "relais_log_lines_lost", "Lines that the log could not take.",
	  COUNTER(log_lines_lost), .roles = MASTER },
	{ "relais_master_open_files",
	  "Descriptors that the master has open, about.",
	  GAUGE(open_files), .roles = MASTER },
	{ "relais_master_open_files_limit",
	  "Descriptors that the master may have open.",
	  GAUGE(max_files), .roles = MASTER },
	{ "relais_start_timestamp_seconds", "When the daemon was started.",
	  GAUGE(started_at), .roles = MASTER },
	{ "relais_configuration_timestamp_seconds",
	  "When the configuration that serves was read.",
	  GAUGE(reloaded_at), .roles = MASTER },
};
/* clang-format on */

const struct stats_family *
stats_family(size_t i)
{
	return i < N(families) ? &families[i] : NULL;
}

size_t
stats_family_size(const struct stats_family *f)
{
	size_t i, n = 1;

	for (i = 0; i < STATS_LABELS && f->labels[i].name != NULL; i++)
		n *= f->labels[i].n;
	return n;
}

/* Mechanisms have such names (RFC 4422 3.1). */
enum stats_mechanism
stats_mechanism(struct text name)
{
	size_t i;

	for (i = MECHANISM_PLAIN; i < MECHANISM_OTHER; i++)
		if (text_caseeq(name, mechanisms[i]))
			return (enum stats_mechanism)i;
	return MECHANISM_OTHER;
}
