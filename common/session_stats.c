/* SPDX-License-Identifier: ISC */
/*
 * session_stats: what is counted of sessions.  Runs in workers.
 */
#include "session_impl.h"
#include "tls.h"

void
session_count_login(const struct session *s, enum stats_login result)
{
	STATS_ADD(logins[result][s->mechanism], 1);
	if (result == STATS_LOGIN_OK)
		stats_time(&stats_own->login_seconds, s->login_us);
}

void
session_count_handshake(const struct session *s)
{
	enum stats_tls_version version;
	enum stats_cipher cipher;

	tls_count(s->client.tls, &version, &cipher);
	STATS_ADD(handshakes[version][cipher][tls_resumed(s->client.tls)], 1);
}

void
session_count_greeting(const struct session *s)
{
	if (s->server_number < CONF_SERVERS_MAX)
		stats_time(&stats_own->greeting_seconds[s->server_number],
		    s->server_us);
}
