/* SPDX-License-Identifier: ISC */
/*
 * json: text as a JSON string (RFC 8259 7).  No I/O.
 */
#ifndef JSON_H
#define JSON_H

#include "buf.h"
#include "text.h"

/*
 * Append t in double quotes, in ASCII alone, whatever is in it: a terminal may
 * see it, too.  What is not ASCII is escaped as UTF-16, and what is no UTF-8
 * is U+FFFD, an octet each.  0, or -1 when it does not fit.
 */
int json_put(struct buf *b, struct text t);

#endif
