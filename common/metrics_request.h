/* SPDX-License-Identifier: ISC */
/*
 * metrics_request: the head of an HTTP request (RFC 9112), as far as one needs
 * it who has one page to give.  Without I/O.
 */
#ifndef METRICS_REQUEST_H
#define METRICS_REQUEST_H

#include "metrics_text.h"
#include "text.h"

#define METRICS_REQUEST_MAX 8192 /* octets of a request's head */

struct metrics_request {
	bool head; /* HEAD: the page is not sent */
	enum metrics_format format;
};

/*
 * in: what came so far.  0: the head is not whole yet; 200: *r is filled; else
 * the status that it deserves (RFC 9110 15.5).
 */
int metrics_request_parse(struct text in, struct metrics_request *r);

const char *metrics_request_reason(int status);

#endif
