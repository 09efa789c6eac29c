/* SPDX-License-Identifier: ISC */
/*
 * fuzz_metrics_request: a request for the page of metrics: its status is one of
 * HTTP, and has a reason.
 */
#include "fuzz.h"
#include "metrics_request.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = fuzz_copy(data, size);
	struct metrics_request r;
	int status = metrics_request_parse(in, &r);

	MUST(status == 0 || status == 200 || (status >= 400 && status < 600));
	MUST(status != 0 || size < METRICS_REQUEST_MAX);
	if (status == 200)
		MUST(r.format == METRICS_PLAIN || r.format == METRICS_OPEN);
	if (status != 0)
		MUST(metrics_request_reason(status) != NULL);
	fuzz_free(in);
	return 0;
}
