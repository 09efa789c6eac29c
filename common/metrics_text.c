/* SPDX-License-Identifier: ISC */
/*
 * metrics_text: numbers as text.  Runs in the metrics role.  Names, labels and
 * their values are ours (stats_table.c), but for those of inner servers and of
 * certificates, which the administrator has written.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "metrics_text.h"

#define LABELS_MAX 1024 /* octets of a sample's labels */
#define VALUE_MAX 600   /* of one that is escaped: a path may be cut */
#define SERVER_MAX (VALUE_MAX + 10) /* with its port */

struct output {
	const struct metrics_facts *facts;
	const struct stats *sum;
	enum metrics_format format;
	struct buf *out;
	int result; /* -1: something did not fit */
};

static void put(struct output *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct output *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (buf_vprintf(o->out, fmt, ap) == -1)
		o->result = -1;
	va_end(ap);
}

const char *
metrics_text_type(enum metrics_format format)
{
	return format == METRICS_OPEN
	    ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	    : "text/plain; version=0.0.4; charset=utf-8";
}

/* OpenMetrics 1.0, "Escaping"; the same in the older format. */
static const char *
escape(const char *value, char dst[static VALUE_MAX])
{
	size_t n = 0;
	unsigned char c;

	for (; (c = (unsigned char)*value) != '\0' && n + 5 < VALUE_MAX;
	     value++) {
		/* It has to be UTF-8, and files of a folder have any name. */
		if (c < ' ' || c > '~') {
			n += (size_t)snprintf(
			    dst + n, VALUE_MAX - n, "\\\\x%02x", (unsigned)c);
			continue;
		}
		if (c == '\\' || c == '"')
			dst[n++] = '\\';
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	return dst;
}

/* A counter's samples have a suffix, and in the older format all has it. */
static void
put_head(
    struct output *o, const char *name, const char *help, enum stats_type type)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const char *suffix =
	    type == STATS_COUNTER && o->format == METRICS_PLAIN ? "_total" : "";

	put(o, "# HELP %s%s %s\n", name, suffix, help);
	put(o, "# TYPE %s%s %s\n", name, suffix, types[type]);
}

static void
server_name(const struct conf_server *s, char dst[static SERVER_MAX])
{
	char escaped[VALUE_MAX];

	(void)snprintf(dst, SERVER_MAX,
	    strchr(s->name, ':') != NULL ? "[%s]:%u" : "%s:%u",
	    escape(s->name, escaped), (unsigned int)s->port);
}

/* daemon="imapsd",result="ok"; false: there is no such inner server. */
static bool
labels_of(const struct output *o, const struct stats_family *f, size_t number,
    char dst[static LABELS_MAX])
{
	size_t i, at, left = stats_family_size(f);
	char server[SERVER_MAX];
	const char *value;
	size_t n;

	n = (size_t)snprintf(
	    dst, LABELS_MAX, "daemon=\"%s\"", o->facts->daemon);
	for (i = 0; i < STATS_LABELS && f->labels[i].name != NULL; i++) {
		left /= f->labels[i].n;
		at = number / left % f->labels[i].n;
		if (f->labels[i].values != NULL) {
			value = f->labels[i].values[at];
		} else {
			if (at >= o->facts->nservers)
				return false;
			server_name(&o->facts->servers[at], server);
			value = server;
		}
		n += (size_t)snprintf(dst + n, LABELS_MAX - n, ",%s=\"%s\"",
		    f->labels[i].name, value);
	}
	return n < LABELS_MAX;
}

/* n parts, of which the unit has so many. */
static void
put_value(struct output *o, uint64_t n, unsigned int divisor)
{
	if (divisor > 1)
		put(o, " %" PRIu64 ".%03u\n", n / divisor,
		    (unsigned int)(n % divisor * 1000 / divisor));
	else
		put(o, " %" PRIu64 "\n", n);
}

static void
put_number(struct output *o, const struct stats_family *f, uint64_t n,
    const char *labels)
{
	put(o, "%s%s{%s}", f->name, f->type == STATS_COUNTER ? "_total" : "",
	    labels);
	put_value(o, n, f->divisor);
}

static void
put_histogram(struct output *o, const struct stats_family *f,
    const struct stats_histogram *h, const char *labels)
{
	uint64_t all = 0;
	size_t i;

	for (i = 0; i < STATS_BUCKETS; i++) {
		all += h->buckets[i];
		put(o, "%s_bucket{%s,le=\"%s\"} %" PRIu64 "\n", f->name, labels,
		    i < STATS_BUCKETS - 1 ? stats_bounds[i] : "+Inf", all);
	}
	put(o, "%s_sum{%s} %" PRIu64 ".%06u\n", f->name, labels,
	    h->sum_us / 1000000, (unsigned int)(h->sum_us % 1000000));
	put(o, "%s_count{%s} %" PRIu64 "\n", f->name, labels, all);
}

static void
put_family(struct output *o, const struct stats_family *f)
{
	const char *at = (const char *)o->sum + f->offset;
	const void *first = at;
	const struct stats_histogram *histograms = first;
	const uint64_t *numbers = first;
	char labels[LABELS_MAX];
	size_t i;

	if (f->daemons != 0 && (f->daemons & o->facts->kind) == 0)
		return;
	put_head(o, f->name, f->help, f->type);
	for (i = 0; i < stats_family_size(f); i++) {
		if (!labels_of(o, f, i, labels))
			continue;
		if (f->type == STATS_HISTOGRAM)
			put_histogram(o, f, &histograms[i], labels);
		else
			put_number(o, f, numbers[i], labels);
	}
}

static void
put_certificates(struct output *o)
{
	const struct expiry_list *l = &o->facts->certificates;
	char file[VALUE_MAX];
	size_t i;

	put_head(o, "relais_certificate_expiry_timestamp_seconds",
	    "Until when a certificate is good.", STATS_GAUGE);
	for (i = 0; i < l->n; i++)
		put(o,
		    "relais_certificate_expiry_timestamp_seconds"
		    "{daemon=\"%s\",file=\"%s\"} %lld\n",
		    o->facts->daemon, escape(l->all[i].file, file),
		    (long long)l->all[i].not_after);
}

int
metrics_text_write(const struct metrics_facts *facts, const struct stats *sum,
    enum metrics_format format, struct buf *out)
{
	struct output o = { facts, sum, format, out, 0 };
	const struct stats_family *f;
	size_t i;

	put_head(
	    &o, "relais_build_info", "Which program this is.", STATS_GAUGE);
	put(&o, "relais_build_info{daemon=\"%s\",version=\"%s\"} 1\n",
	    facts->daemon, VERSION);
	for (i = 0; (f = stats_family(i)) != NULL; i++)
		put_family(&o, f);
	put_certificates(&o);
	if (format == METRICS_OPEN)
		put(&o, "# EOF\n");
	return o.result;
}
