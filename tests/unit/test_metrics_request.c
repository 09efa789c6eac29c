/* SPDX-License-Identifier: ISC */
/* Tests of metrics_request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_request.h"

#define OPEN                                                                   \
	"application/openmetrics-text;version=1.0.0,"                          \
	"application/openmetrics-text;version=0.0.1;q=0.75,"                   \
	"text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

static const struct {
	const char *in;
	int status;
	bool head;
	enum metrics_format format;
} cases[] = {
	{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, false,
	    METRICS_PLAIN },
	{ "GET /metrics HTTP/1.0\r\n\r\n", 200, false, METRICS_PLAIN },
	{ "GET /metrics?a=b&c=d HTTP/1.1\r\n\r\n", 200, false, METRICS_PLAIN },
	{ "HEAD /metrics HTTP/1.1\r\n\r\n", 200, true, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\nAccept: " OPEN "\r\n\r\n", 200, false,
	    METRICS_OPEN },
	{ "GET /metrics HTTP/1.1\r\nX: y\r\naccept:" OPEN "\r\nA: b\r\n\r\n",
	    200, false, METRICS_OPEN },
	{ "GET /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n", 200, false,
	    METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\nX-Accept: " OPEN "\r\n\r\n", 200, false,
	    METRICS_PLAIN },
	/* what follows is never answered */
	{ "GET /metrics HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n", 200, false,
	    METRICS_PLAIN },

	{ "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405, false,
	    METRICS_PLAIN },
	{ "get /metrics HTTP/1.1\r\n\r\n", 405, false, METRICS_PLAIN },
	{ "GET / HTTP/1.1\r\n\r\n", 404, false, METRICS_PLAIN },
	{ "GET /metrics/ HTTP/1.1\r\n\r\n", 404, false, METRICS_PLAIN },
	{ "GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n", 404, false,
	    METRICS_PLAIN },
	{ "HEAD /x HTTP/1.1\r\n\r\n", 404, true, METRICS_PLAIN },
	{ "GET http://x/metrics HTTP/1.1\r\n\r\n", 404, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/2.0\r\n\r\n", 505, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.10\r\n\r\n", 505, false, METRICS_PLAIN },

	{ "\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET /metrics\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET  /metrics HTTP/1.1\r\n\r\n", 400, false, METRICS_PLAIN },
	{ " GET /metrics HTTP/1.1\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET /metrics FTP/1.1\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\nHost: x\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400, false,
	    METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\n: x\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\nA b: x\r\n\r\n", 400, false,
	    METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\nA: b\001\r\n\r\n", 400, false,
	    METRICS_PLAIN },
	{ "GET /met\rrics HTTP/1.1\r\n\r\n", 400, false, METRICS_PLAIN },
	{ "\026\003\001\001 hello\r\n\r\n", 400, false, METRICS_PLAIN },

	{ "", 0, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\r\nHost: x\r\n", 0, false, METRICS_PLAIN },
	{ "GET /metrics HTTP/1.1\n\n", 0, false, METRICS_PLAIN },
};

/* Octets at the end of a page of their own, for sanitizers to see. */
static struct text
copy_of(const char *s, size_t n)
{
	char *p = malloc(n > 0 ? n : 1);

	assert_non_null(p);
	memcpy(p, s, n);
	return (struct text){ p, n };
}

static void
test_cases(void **state)
{
	struct metrics_request r;
	struct text in;
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = copy_of(cases[i].in, strlen(cases[i].in));
		status = metrics_request_parse(in, &r);
		if (status != cases[i].status || r.head != cases[i].head ||
		    (status == 200 && r.format != cases[i].format))
			fail_msg("%s: %d", cases[i].in, status);
		free((void *)(uintptr_t)in.p);
	}
}

/* However it is cut, it is the same in the end, and nothing before. */
static void
test_octet_by_octet(void **state)
{
	const char *end;
	struct metrics_request r;
	struct text in;
	size_t i, n, whole;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		end = strstr(cases[i].in, "\r\n\r\n");
		if (end == NULL)
			continue;
		whole = (size_t)(end - cases[i].in) + 4;
		for (n = 0; n <= whole; n++) {
			in = copy_of(cases[i].in, n);
			assert_int_equal(metrics_request_parse(in, &r),
			    n < whole ? 0 : cases[i].status);
			free((void *)(uintptr_t)in.p);
		}
	}
}

static void
test_nul(void **state)
{
	static const char in[] = "GET /metrics\0 HTTP/1.1\r\n\r\n";
	struct metrics_request r;

	(void)state;
	assert_int_equal(
	    metrics_request_parse((struct text){ in, sizeof(in) - 1 }, &r),
	    400);
}

static void
test_too_large(void **state)
{
	char in[METRICS_REQUEST_MAX];
	struct metrics_request r;

	(void)state;
	memset(in, 'a', sizeof(in));
	assert_int_equal(
	    metrics_request_parse((struct text){ in, sizeof(in) - 1 }, &r), 0);
	assert_int_equal(
	    metrics_request_parse((struct text){ in, sizeof(in) }, &r), 431);
}

static void
test_reasons(void **state)
{
	(void)state;
	assert_string_equal(metrics_request_reason(200), "OK");
	assert_string_equal(
	    metrics_request_reason(431), "Request Header Fields Too Large");
	assert_string_equal(metrics_request_reason(999), "Error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_octet_by_octet),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
