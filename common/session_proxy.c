/* SPDX-License-Identifier: ISC */
/*
 * session_proxy: the PROXY protocol on both legs: a proxy that the
 * administrator has named says for whom it speaks before anything else is
 * read, and inner servers are told in turn.  Runs in workers.  A header of
 * anybody else is the end of the session: it can only be meant to deceive, or
 * be a proxy that the configuration does not know.
 */
#include <sys/socket.h>

#include <errno.h>
#include <string.h>

#include "log.h"
#include "proxy_header.h"
#include "session_impl.h"

#define BLANK_LINES "\r\n\r\n" /* what no more than begins a header */
#define LOOK_MAX 16            /* octets that tell whether it is one */

/* No line of the log but this: there was no client. */
static void
give_up(struct session *s, const char *what)
{
	char shown[ADDR_STRLEN];

	log_warnx("%s is one of proxy_protocol_from, and %s",
	    addr_print(&s->proxy_addr, shown), what);
	STATS_ADD(refused[REFUSED_PROXY_HEADER], 1);
	session_drop(s, what);
}

/*
 * Take so many octets, which were looked at and are there, out of the
 * connection.
 */
static bool
take(const struct session *s, char *octets, size_t n)
{
	return n == 0 ||
	    recv(s->client.fd, octets, n, MSG_DONTWAIT) == (ssize_t)n;
}

/*
 * Take the octets of the header, and none of those behind it, which may be
 * TLS's.  STREAM_WAIT: more are to come.
 */
static enum stream_result
read_header(struct session *s, struct proxy_header *h)
{
	char octets[PROXY_HEADER_MAX];
	size_t before = s->client.in.len, len;
	enum proxy_result r;
	ssize_t got;

	do
		got = recv(s->client.fd, octets, sizeof(octets),
		    MSG_PEEK | MSG_DONTWAIT);
	while (got == -1 && errno == EINTR);
	if (got == 0)
		return STREAM_EOF;
	if (got == -1)
		return errno == EAGAIN ? STREAM_WAIT : STREAM_ERROR;
	if (buf_append(&s->client.in, octets, (size_t)got) == -1)
		return STREAM_ERROR;
	r = proxy_header_parse(buf_view(&s->client.in), h, &len);
	if (r == PROXY_WAIT)
		len = s->client.in.len;
	if (r == PROXY_BAD || !take(s, octets, len - before))
		return STREAM_ERROR;
	return r == PROXY_WAIT ? STREAM_WAIT : STREAM_OK;
}

/* From here on the client is who the header says. */
static void
welcome(struct session *s, const struct proxy_header *h)
{
	buf_free(&s->client.in);
	s->proxied = h->relayed;
	s->client_addr = s->proxy_addr;
	if (h->relayed) {
		s->client_addr = h->client;
		s->local_addr = h->local;
	}
	if (h->hops != 0)
		session_limit_hops(s, h->hops);
	s->hops_told = s->hops;
	session_enter(s, SESSION_ADMIT);
	if (!worker_admit(s->worker, s))
		session_begin(s);
}

void
session_proxy_ready(struct session *s)
{
	struct proxy_header h;

	switch (read_header(s, &h)) {
	case STREAM_OK:
		welcome(s, &h);
		break;
	case STREAM_WAIT:
		break;
	case STREAM_EOF:
		/* A health check that only knocks is not worth a line. */
		if (s->client.in.len > 0)
			give_up(s, "left within its PROXY header");
		else
			session_drop(s, "a proxy left without a word");
		break;
	case STREAM_ERROR:
		give_up(s, "sent no PROXY header, or a malformed one");
		break;
	}
}

void
session_proxy_begin(struct session *s)
{
	session_enter(s, SESSION_PROXY);
	stream_open(&s->client, worker_base(s->worker), s->accepted,
	    session_client_ready, s);
	s->accepted = -1;
	session_proxy_ready(s); /* it is most often there by now */
}

void
session_proxy_late(struct session *s)
{
	give_up(s, "sent no PROXY header in time");
}

/*
 * Does the client's first input look like a header?  That of version 2 begins
 * with two empty lines, which may have come before, and been taken as commands.
 */
static enum proxy_result
look(const struct session *s, size_t *len)
{
	char octets[sizeof(BLANK_LINES) - 1 + LOOK_MAX] = BLANK_LINES;
	struct text in = buf_view(&s->client.in);
	size_t n = s->blanks * 2U;

	if (in.len > LOOK_MAX)
		in.len = LOOK_MAX;
	memcpy(octets + n, in.p, in.len);
	*len = n + in.len;
	return proxy_header_look((struct text){ octets, *len });
}

void
session_refuse_header(struct session *s)
{
	size_t len;

	if (s->commands == 0)
		s->blanks = 0;
	if (!s->input || s->state != SESSION_DIALOGUE ||
	    s->commands != s->blanks || s->client.in.len == 0)
		return;
	switch (look(s, &len)) {
	case PROXY_BAD:
		return;
	case PROXY_WAIT:
		/* An empty line is answered: it may be all that was meant. */
		if (len < sizeof(BLANK_LINES))
			s->blanks = (uint8_t)(len / 2);
		else
			s->input = false;
		return;
	case PROXY_OK:
		break;
	}
	STATS_ADD(refused[REFUSED_PROXY_HEADER], 1);
	s->protocol->goodbye(s, "no PROXY header is taken from your address");
	session_close(s, TLS_PROXY_HEADER);
}

void
session_limit_hops(struct session *s, uint64_t hops)
{
	if (hops < s->hops)
		s->hops = (unsigned int)hops;
}

void
session_send_header(struct session *s)
{
	char octets[PROXY_HEADER_SIZE];
	size_t n;

	if (s->conf->outgoing_proxy == 0)
		return;
	/* Without a client it is this daemon that asks what there is. */
	n = proxy_header_write(s->conf->outgoing_proxy,
	    s->lesson ? NULL : &s->client_addr, &s->local_addr,
	    (uint8_t)(s->hops - 1), octets);
	stream_write(&s->server, octets, n);
}
