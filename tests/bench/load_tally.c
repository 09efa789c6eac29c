/* SPDX-License-Identifier: ISC */
/* What the load has counted. */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load_tally.h"

double
tally_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void
samples_init(struct samples *s, size_t max)
{
	s->seconds = calloc(max, sizeof(*s->seconds));
	if (s->seconds == NULL)
		err(2, "calloc");
	s->max = max;
}

void
samples_add(struct samples *s, double seconds)
{
	if (s->n < s->max)
		s->seconds[s->n++] = seconds;
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* In milliseconds; of few samples the highest percentile is the slowest. */
static double
percentile(struct samples *s, double p)
{
	if (s->n == 0)
		return 0;
	qsort(s->seconds, s->n, sizeof(*s->seconds), by_value);
	return s->seconds[(size_t)(p * (double)(s->n - 1) + 0.5)] * 1000;
}

void
tally_failed(struct tally *t, const char *why, const char *line)
{
	char *p;

	t->failed++;
	if (t->error[0] != '\0')
		return;
	snprintf(t->error, sizeof(t->error), "%s (%.80s)", why, line);
	for (p = t->error; *p != '\0'; p++) /* it stands in JSON */
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '?';
}

static void
print_count(const char *name, uint64_t n)
{
	printf("\"%s\":%" PRIu64 ",", name, n);
}

static void
print_number(const char *name, double v)
{
	printf("\"%s\":%.4f,", name, v);
}

void
tally_print(struct tally *t, double wall)
{
	putchar('{');
	print_count("ok", t->ok);
	print_count("failed", t->failed);
	print_count("handshakes", t->handshakes);
	print_count("returning", t->returning);
	print_count("resumed", t->resumed);
	print_count("messages", t->messages);
	print_count("bytes", t->bytes);
	print_count("bad", t->bad);
	print_count("held", (uint64_t)t->plateau);
	print_count("lost", t->lost);
	print_count("logins", t->logins.n);
	print_count("probes", t->probes.n);
	print_number("wall", wall);
	print_number("p50_ms", percentile(&t->logins, 0.5));
	print_number("p99_ms", percentile(&t->logins, 0.99));
	print_number("probe_p99_ms", percentile(&t->probes, 0.99));
	printf("\"tls\":\"%s\",\"error\":\"%s\"}\n", t->tls, t->error);
}
