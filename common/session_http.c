/* SPDX-License-Identifier: ISC */
/*
 * session_http: a browser that was led here, to have it take what we say for
 * an answer of a web server of the same name and certificate (the ALPACA
 * attack, 2021).  Runs in the worker.  Its request's first line tells; none of
 * the rest, which may hold commands or what we should repeat, is read.
 */
#include "session_impl.h"

/* request-line = method SP request-target SP HTTP-version, RFC 9112 3 */
static bool
is_request_line(struct text line)
{
	const struct text version = TEXT_LIT("HTTP/");
	struct text word = TEXT_NONE, rest = line;
	unsigned int n = 0;

	while (text_word(&rest, &word))
		n++;
	if (n < 3 || word.len < version.len)
		return false;
	word.len = version.len;
	return text_casesame(word, version);
}

bool
session_is_http(const struct session *s)
{
	struct text all = buf_view(&s->client.in), line;

	if (s->commands > 0 || s->state != SESSION_DIALOGUE ||
	    !text_has(all, '\n'))
		return false;
	return text_split(&all, '\n', &line) && is_request_line(line);
}
