/* SPDX-License-Identifier: ISC */
/*
 * totals: a few sums of what was counted.  Made in the master, shown by
 * control.
 */
#include <stddef.h>

#include "stats.h"
#include "totals.h"

static uint64_t
sum_of(const uint64_t *numbers, size_t n)
{
	uint64_t sum = 0;

	while (n-- > 0)
		sum += numbers[n];
	return sum;
}

static void
add_handshakes(const struct stats *s, uint64_t *out)
{
	const uint64_t *n;
	size_t i, j;

	out[TOTAL_HANDSHAKES] = out[TOTAL_HANDSHAKES_RESUMED] = 0;
	for (i = 0; i < STATS_TLS_VERSIONS; i++)
		for (j = 0; j < STATS_CIPHERS; j++) {
			n = s->handshakes[i][j];
			out[TOTAL_HANDSHAKES] += n[0] + n[1];
			out[TOTAL_HANDSHAKES_RESUMED] += n[1];
		}
	out[TOTAL_HANDSHAKES_FAILED] = s->handshakes_failed;
}

void
totals_of(const struct stats *s, uint64_t *out)
{
	const uint64_t *m = s->messages, *r = s->recipients;
	size_t i;

	out[TOTAL_CONNECTIONS] = s->connections;
	out[TOTAL_CONNECTIONS_REFUSED] = sum_of(s->refused, STATS_REFUSED);
	add_handshakes(s, out);
	out[TOTAL_LOGINS] = sum_of(s->logins[STATS_LOGIN_OK], STATS_MECHANISMS);
	out[TOTAL_LOGINS_REFUSED] =
	    sum_of(s->logins[STATS_LOGIN_REFUSED], STATS_MECHANISMS);
	out[TOTAL_LOGINS_UNAVAILABLE] =
	    sum_of(s->logins[STATS_LOGIN_UNAVAILABLE], STATS_MECHANISMS);
	out[TOTAL_DELAYS] = s->delays;
	out[TOTAL_DELAY_SECONDS] = s->delays_ms / 1000;
	out[TOTAL_RECEIVED] = s->bytes[STATS_RECEIVED];
	out[TOTAL_SENT] = s->bytes[STATS_SENT];
	out[TOTAL_MESSAGES] = m[STATS_ACCEPTED];
	out[TOTAL_MESSAGES_REJECTED] = m[STATS_REJECTED];
	out[TOTAL_MESSAGES_DEFERRED] = m[STATS_DEFERRED];
	out[TOTAL_RECIPIENTS] = r[STATS_ACCEPTED];
	out[TOTAL_RECIPIENTS_REJECTED] = r[STATS_REJECTED];
	out[TOTAL_RECIPIENTS_DEFERRED] = r[STATS_DEFERRED];
	out[TOTAL_REPLACED] = 0;
	for (i = 0; i < ROLE_MAX; i++)
		out[TOTAL_REPLACED] += sum_of(s->replaced[i], STATS_ENDS);
	out[TOTAL_RELOADS] = s->reloads[STATS_RELOAD_DONE];
	out[TOTAL_RELOADS_REFUSED] = s->reloads[STATS_RELOAD_REFUSED];
	out[TOTAL_LOG_LINES_LOST] = s->log_lines_lost;
}

const char *
totals_name(enum total t)
{
	static const char *const names[] = { "connections",
		"connections_refused", "tls_handshakes",
		"tls_handshakes_failed", "tls_handshakes_resumed", "logins",
		"logins_refused", "logins_unavailable", "refusals_delayed",
		"delay_seconds", "bytes_received", "bytes_sent", "messages",
		"messages_rejected", "messages_deferred", "recipients",
		"recipients_rejected", "recipients_deferred",
		"processes_replaced", "reloads", "reloads_refused",
		"log_lines_lost" };
	_Static_assert(
	    sizeof(names) / sizeof(names[0]) == TOTALS, "name every total");

	return names[t];
}
