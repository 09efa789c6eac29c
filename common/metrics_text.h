/* SPDX-License-Identifier: ISC */
/*
 * metrics_text: numbers as text that Prometheus reads: OpenMetrics 1.0, or the
 * older text format (0.0.4).  Without I/O.
 */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H

#include <stdbool.h>

#include "buf.h"
#include "conf.h"
#include "expiry.h"
#include "stats.h"

/* Octets: 64 servers and 4064 certificates with long names. */
#define METRICS_TEXT_MAX 8388608

enum metrics_format { METRICS_PLAIN, METRICS_OPEN };

/* What is told beside what was counted; all is borrowed. */
struct metrics_facts {
	const char *daemon; /* "imapsd" */
	enum conf_daemon kind;
	const struct conf_server *servers;
	size_t nservers;
	struct expiry_list certificates;
};

/* The value of Content-Type. */
const char *metrics_text_type(enum metrics_format format);

/* Append all to out; -1: its ceiling is in the way. */
int metrics_text_write(const struct metrics_facts *f, const struct stats *sum,
    enum metrics_format format, struct buf *out);

#endif
