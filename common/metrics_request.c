/* SPDX-License-Identifier: ISC */
/*
 * metrics_request: reads what whoever is on this host sends, without trusting
 * it.  Runs in the metrics role.
 */
#include <string.h>

#include "metrics_request.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 400, "Bad Request" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

const char *
metrics_request_reason(int status)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

/* The head without its empty line; false: it is not there yet. */
static bool
find_head(struct text in, struct text *head)
{
	const char *end =
	    in.len > 0 ? memmem(in.p, in.len, "\r\n\r\n", 4) : NULL;

	if (end == NULL)
		return false;
	*head = (struct text){ in.p, (size_t)(end - in.p) };
	return true;
}

/* The next line, without CRLF; false: there is none, or it is no line. */
static bool
next_line(struct text *rest, struct text *line)
{
	return text_split(rest, '\n', line);
}

static bool
is_line(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (((unsigned char)t.p[i] < ' ' && t.p[i] != '\t') ||
		    t.p[i] == 0x7f)
			return false;
	return true;
}

/* Of each line but the last one the CR is left. */
static bool
cut_cr(struct text *line, bool last)
{
	if (last)
		return true;
	if (line->len == 0 || line->p[line->len - 1] != '\r')
		return false;
	line->len--;
	return true;
}

/* A query may follow: Prometheus's params. */
static bool
is_our_path(struct text target)
{
	struct text path;

	return text_split(&target, '?', &path) && text_eq(path, "/metrics");
}

static int
read_request_line(struct text line, struct metrics_request *r)
{
	struct text method, target;

	if (!text_split(&line, ' ', &method) ||
	    !text_split(&line, ' ', &target) || method.len == 0 ||
	    target.len == 0 || line.p == NULL)
		return 400;
	if (!text_caseprefix(line, "HTTP/"))
		return 400;
	if (!text_eq(line, "HTTP/1.1") && !text_eq(line, "HTTP/1.0"))
		return 505;
	r->head = text_eq(method, "HEAD");
	if (!r->head && !text_eq(method, "GET"))
		return 405;
	return is_our_path(target) ? 200 : 404;
}

/* Accept (RFC 9110 12.5.1): whoever names OpenMetrics gets it. */
static int
read_field(struct text line, struct metrics_request *r)
{
	struct text name;
	const char type[] = "application/openmetrics-text";

	if (!text_split(&line, ':', &name) || name.len == 0 || line.p == NULL ||
	    text_has(name, ' ') || text_has(name, '\t'))
		return 400;
	if (text_caseeq(name, "Accept") && line.len > 0 &&
	    memmem(line.p, line.len, type, sizeof(type) - 1) != NULL)
		r->format = METRICS_OPEN;
	return 200;
}

int
metrics_request_parse(struct text in, struct metrics_request *r)
{
	struct text rest, line;
	int status = 0, field;

	*r = (struct metrics_request){ .format = METRICS_PLAIN };
	if (!find_head(in, &rest))
		return in.len >= METRICS_REQUEST_MAX ? 431 : 0;
	if (rest.len > METRICS_REQUEST_MAX)
		return 431;
	while (next_line(&rest, &line)) {
		if (!cut_cr(&line, rest.p == NULL) || !is_line(line))
			return 400;
		if (status == 0) {
			status = read_request_line(line, r);
			continue;
		}
		field = read_field(line, r);
		if (field != 200)
			return field;
	}
	return status;
}
