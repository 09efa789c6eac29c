/* SPDX-License-Identifier: ISC */
/*
 * relay: copies between two streams.  Runs in workers; trusts neither side.
 * Mail is not wiped from GnuTLS's freed memory as passwords are: it would
 * cost a second pass over every octet.
 */
#include "relay.h"
#include "tls.h"

enum relay_result
relay_move(struct stream *from, struct stream *to)
{
	enum stream_result r;
	struct text t;

	tls_set_wiping(false);
	r = stream_read(from, &t);
	if (r == STREAM_OK)
		stream_write(to, t.p, t.len);
	tls_set_wiping(true);
	switch (r) {
	case STREAM_OK:
		return RELAY_MOVED;
	case STREAM_WAIT:
		return RELAY_IDLE;
	case STREAM_EOF:
		return RELAY_EOF;
	case STREAM_ERROR:
		break;
	}
	return RELAY_BROKEN;
}
