/* SPDX-License-Identifier: ISC */
/*
 * control_totals: what --status tells of the time since the start.  Runs in
 * the role control.
 */
#include <inttypes.h>

#include "control_text.h"
#include "log.h"

#define NONE TOTALS /* there is no such number */

static const struct row {
	const char *name;
	enum total done, refused, failed;
	bool smtp; /* of smtpsd alone */
} rows[] = {
	{ "connections", TOTAL_CONNECTIONS, TOTAL_CONNECTIONS_REFUSED, NONE,
	    false },
	{ "TLS handshakes", TOTAL_HANDSHAKES, NONE, TOTAL_HANDSHAKES_FAILED,
	    false },
	{ "logins", TOTAL_LOGINS, TOTAL_LOGINS_REFUSED,
	    TOTAL_LOGINS_UNAVAILABLE, false },
	{ "messages", TOTAL_MESSAGES, TOTAL_MESSAGES_REJECTED,
	    TOTAL_MESSAGES_DEFERRED, true },
	{ "recipients", TOTAL_RECIPIENTS, TOTAL_RECIPIENTS_REJECTED,
	    TOTAL_RECIPIENTS_DEFERRED, true },
	{ "reloads", TOTAL_RELOADS, TOTAL_RELOADS_REFUSED, NONE, false },
};

static void
must_fit(int result)
{
	if (result == -1)
		fatalx("control: an answer does not fit");
}

static void
put_column(struct buf *b, const struct msg_totals *m, enum total t)
{
	if (t == NONE)
		must_fit(buf_printf(b, " %12s", "-"));
	else
		must_fit(buf_printf(b, " %12" PRIu64, m->n[t]));
}

static void
put_table(struct buf *b, const struct msg_totals *m, bool smtp)
{
	const struct row *r;

	must_fit(buf_printf(b, "\n%-18s %12s %12s %12s\n", "SINCE THE START",
	    "OK", "REFUSED", "FAILED"));
	for (r = rows; r < rows + sizeof(rows) / sizeof(rows[0]); r++) {
		if (r->smtp && !smtp)
			continue;
		must_fit(buf_printf(b, "%-18s", r->name));
		put_column(b, m, r->done);
		put_column(b, m, r->refused);
		put_column(b, m, r->failed);
		must_fit(buf_printf(b, "\n"));
	}
	must_fit(buf_printf(b, "%-18s %12" PRIu64 "\n%-18s %12" PRIu64 "\n",
	    "octets received", m->n[TOTAL_RECEIVED], "octets sent",
	    m->n[TOTAL_SENT]));
	must_fit(buf_printf(b, "%-18s %12" PRIu64 "\n", "TLS resumed",
	    m->n[TOTAL_HANDSHAKES_RESUMED]));
	must_fit(buf_printf(b, "%-18s %12" PRIu64 ", %" PRIu64 " s in all\n",
	    "refusals delayed", m->n[TOTAL_DELAYS], m->n[TOTAL_DELAY_SECONDS]));
	must_fit(buf_printf(b, "%-18s %12" PRIu64 "\n%-18s %12" PRIu64 "\n",
	    "processes replaced", m->n[TOTAL_REPLACED], "log lines lost",
	    m->n[TOTAL_LOG_LINES_LOST]));
}

static bool
is_smtp(size_t t)
{
	return t >= TOTAL_MESSAGES && t <= TOTAL_RECIPIENTS_DEFERRED;
}

static void
put_json(struct buf *b, const struct msg_totals *m, bool smtp)
{
	size_t i;

	must_fit(buf_printf(b, "],\n  \"totals\": {"));
	for (i = 0; i < TOTALS; i++)
		if (smtp || !is_smtp(i))
			must_fit(buf_printf(b, "%s\n    \"%s\": %" PRIu64,
			    i > 0 ? "," : "", totals_name((enum total)i),
			    m->n[i]));
	must_fit(buf_printf(b, "},\n  \"processes\": ["));
}

void
control_put_totals(
    struct buf *b, const struct msg_totals *m, bool smtp, bool json)
{
	if (json) {
		put_json(b, m, smtp);
		return;
	}
	put_table(b, m, smtp);
	must_fit(buf_printf(b, "\n%-17s %7s  %-7s %8s %4s %8s %8s\n", "PROCESS",
	    "PID", "STATE", "SESSIONS", "GEN", "AGE", "RESTARTS"));
}
