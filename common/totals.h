/* SPDX-License-Identifier: ISC */
/*
 * totals: what an administrator wants to see of what was counted (stats.h)
 * since the daemon was started.
 */
#ifndef TOTALS_H
#define TOTALS_H

#include <stdint.h>

enum total {
	TOTAL_CONNECTIONS,
	TOTAL_CONNECTIONS_REFUSED,
	TOTAL_HANDSHAKES,
	TOTAL_HANDSHAKES_FAILED,
	TOTAL_HANDSHAKES_RESUMED, /* of the first */
	TOTAL_LOGINS,
	TOTAL_LOGINS_REFUSED,
	TOTAL_LOGINS_UNAVAILABLE,
	TOTAL_DELAYS,
	TOTAL_DELAY_SECONDS,
	TOTAL_RECEIVED, /* octets from clients */
	TOTAL_SENT,     /* and to them */
	TOTAL_MESSAGES, /* SMTP's, as their recipients */
	TOTAL_MESSAGES_REJECTED,
	TOTAL_MESSAGES_DEFERRED,
	TOTAL_RECIPIENTS,
	TOTAL_RECIPIENTS_REJECTED,
	TOTAL_RECIPIENTS_DEFERRED,
	TOTAL_REPLACED, /* processes, after a bad end */
	TOTAL_RELOADS,
	TOTAL_RELOADS_REFUSED,
	TOTAL_LOG_LINES_LOST,
	TOTALS
};

struct stats;

/* out: TOTALS numbers. */
void totals_of(const struct stats *sum, uint64_t *out);
const char *totals_name(enum total t); /* in JSON */

#endif
