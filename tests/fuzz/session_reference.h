/* SPDX-License-Identifier: ISC */
/*
 * session_reference: how a fuzzed session's inner server reads what it gets:
 * by code of its own, for it to be no judge in its own cause.
 */
#ifndef SESSION_REFERENCE_H
#define SESSION_REFERENCE_H

#include "base64.h"

/* Take a line, without its CRLF; false: it is cut. */
static bool
reference_line(struct text *t, struct text *line)
{
	const char *lf = t->len > 0 ? memchr(t->p, '\n', t->len) : NULL;

	if (lf == NULL)
		return false;
	*line = (struct text){ t->p, (size_t)(lf - t->p) };
	MUST(line->len > 0 && line->p[line->len - 1] == '\r');
	line->len--;
	MUST(!text_has(*line, '\r') && !text_has(*line, '\0'));
	*t = text_skip(*t, line->len + 2);
	return true;
}

static inline bool
reference_crlf(struct text *t)
{
	if (t->len < 2)
		return false;
	MUST(t->p[0] == '\r' && t->p[1] == '\n');
	*t = text_skip(*t, 2);
	return true;
}

/* The header of the PROXY protocol, where there is to be one. */
static struct text
skip_header(struct text t)
{
	struct text line;
	size_t n;

	if (world.conf.outgoing_proxy == 1 && t.len > 0) {
		MUST(text_caseprefix(t, "PROXY TCP4 203.0.113.50 ") ||
		    (world.conf.nproxies > 0 &&
		        text_caseprefix(t, "PROXY TCP")) ||
		    text_caseprefix(t, "PROXY UNKNOWN\r\n"));
		MUST(reference_line(&t, &line));
	} else if (world.conf.outgoing_proxy == 2 && t.len > 0) {
		MUST(t.len >= 16 && memcmp(t.p, "\r\n\r\n", 4) == 0);
		n = 16 + (size_t)(unsigned char)t.p[14] * 256 +
		    (unsigned char)t.p[15];
		MUST(n <= t.len);
		t = text_skip(t, n);
	}
	return t;
}

/* What the server has heard but what a client sent behind its login. */
static inline struct text
reference_before_relay(void)
{
	struct text t = buf_view(&server.heard);

	if (world.relays && t.len > world.server_heard)
		t.len = world.server_heard;
	return skip_header(t);
}

/*
 * May it get credentials?  Where TLS is a must they are not in the clear part:
 * that ends with starttls, and what is in TLS stays in *t, the rest being
 * judged here.
 */
static bool
reference_may_clear(struct text *t, const char *starttls)
{
	const struct text heard = buf_view(&server.heard);
	size_t clear = server.clear, n = strlen(starttls);

	if (world.conf.outgoing_tls == OUTGOING_SSL) {
		/* But for a PROXY header. */
		MUST(clear == (size_t)(heard.len - skip_header(heard).len) ||
		    heard.len == 0);
	} else if (world.conf.outgoing_tls == OUTGOING_STARTTLS_FORCE) {
		if (clear >= heard.len)
			return false;
		MUST(clear >= n &&
		    memcmp(heard.p + clear - n, starttls, n) == 0);
		MUST(memmem(heard.p, clear, "AUTH", 4) == NULL &&
		    memmem(heard.p, clear, "LOGIN", 5) == NULL &&
		    memmem(heard.p, clear, "PASS", 4) == NULL);
		*t = (struct text){ heard.p + clear,
			(size_t)(t->p + t->len - heard.p) - clear };
	}
	return true;
}

/* NUL name NUL password, in base64; -1: it does not fit. */
static inline int
reference_plain(struct text name, struct text password, char *dst, size_t size)
{
	char octets[3000];
	size_t n = name.len + password.len + 2;

	if (n > sizeof(octets))
		return -1;
	octets[0] = octets[name.len + 1] = '\0';
	memcpy(octets + 1, name.p, name.len);
	memcpy(octets + name.len + 2, password.p, password.len);
	return base64_encode(octets, n, dst, size);
}

/* The response of PLAIN (RFC 4616 2) names whom the client named. */
static inline void
reference_check_plain(struct text line)
{
	char octets[4096];
	struct text rest = { octets, 0 }, authz, authn;

	MUST(base64_decode(line, octets, sizeof(octets), &rest.len) == 0);
	MUST(text_split(&rest, '\0', &authz) && rest.p != NULL);
	MUST(text_split(&rest, '\0', &authn) && rest.p != NULL);
	MUST(text_eq(authn, world.server_login.authn));
	MUST(text_eq(authz, world.server_login.authz));
	MUST(text_eq(rest, world.server_login.password));
}

#endif
