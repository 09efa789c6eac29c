/* SPDX-License-Identifier: ISC */
/*
 * fuzz_session_smtp: a submission session between any client and any inner
 * server (session_play.h).  What the inner server gets is read by a parser of
 * its own, which goes by its own replies: commands that there are, messages
 * with one end, and never more of them than the client sent; of a client that
 * keeps to the rules they are what it sent, octet by octet.
 */
#define main smtpsd_main /* libFuzzer has one of its own */
int smtpsd_main(int argc, char *argv[]);
#include "../../smtpsd/main.c"
#undef main

#define WORLD_PROTOCOL smtp
#define WORLD_LIST                                                             \
	"PIPELINING, SIZE 10240, CHUNKING, BINARYMIME, 8BITMIME, SMTPUTF8, "   \
	"DSN"
#include "session_play.h"
#include "session_reference.h"

#define BODIES_MAX 32

/* What the client sent by M, as it went; and what arrived. */
static struct {
	struct text body[BODIES_MAX];
	size_t n, arrived;
	size_t whole;   /* messages that inner servers have had */
	bool free_hand; /* it has also said octets of a message otherwise */
} sent;

static void
world_begin(void)
{
	while (sent.n > 0)
		fuzz_free(sent.body[--sent.n]);
	memset(&sent, 0, sizeof(sent));
}

static void
world_step(void)
{
}

static void
world_over(void)
{
}

/* Lines of a client that waits for each answer are no part of a message. */
static void
world_said(const struct session *s, bool line)
{
	const struct smtp_session *p = s->data;

	if (s->state == SESSION_MESSAGE || p->asked != SMTP_ASKED_NOTHING ||
	    (!line && s->logged_in) || s->client.in.len > 0 ||
	    client.octets.len > 0)
		sent.free_hand = true;
}

static bool
world_in_exchange(const struct session *s)
{
	return smtp_auth_is_under_way(s->data);
}

static void
world_login(uint8_t how, struct text name, struct text password)
{
	char code[4096];

	world_said(world.session, false);
	if (reference_plain(name, password, code, sizeof(code)) == 0 &&
	    (how & 1) == 0)
		say_printf(&client, "AUTH PLAIN %s\r\n", code);
	if ((how & 1) == 0 ||
	    base64_encode(name.p, name.len, code, sizeof(code)) == -1)
		return;
	say_printf(&client, "AUTH LOGIN %s\r\n", code);
	settle();
	if (base64_encode(password.p, password.len, code, sizeof(code)) == 0)
		say_printf(&client, "%s\r\n", code);
}

/* A body in lines, dots stuffed; its end is not in it. */
static struct text
stuff(struct text body)
{
	char *p = malloc(3 * body.len + 3);
	size_t i, n = 0;
	bool begins = true;
	char c;

	MUST(p != NULL);
	for (i = 0; i < body.len; i++) {
		c = body.p[i];
		if (c == '\r' || c == '\0' || c == '\n')
			continue;
		if (c == '\1') {
			memcpy(p + n, "\r\n", 2);
			n += 2;
			begins = true;
			continue;
		}
		if (begins && c == '.')
			p[n++] = '.';
		p[n++] = c;
		begins = false;
	}
	if (!begins) {
		memcpy(p + n, "\r\n", 2);
		n += 2;
	}
	return (struct text){ p, n };
}

static void
world_body(struct session *s, struct text body)
{
	const struct smtp_session *p = s->data;
	struct text t;
	size_t i;

	if (s->state != SESSION_MESSAGE || p->mail.bdat ||
	    p->mail.data.watch.size > 0 ||
	    p->mail.data.state != SMTP_DATA_LINE || client.octets.len > 0 ||
	    sent.n == BODIES_MAX || text_has(body, TAINT)) {
		world_said(s, false);
		say(&client, body);
		return;
	}
	t = stuff(body);
	sent.body[sent.n++] = t;
	/* Cut somewhere: it is the same. */
	i = t.len > 0 ? (size_t)(unsigned char)t.p[0] % t.len : 0;
	say(&client, (struct text){ t.p, i });
	settle();
	say(&client, text_skip(t, i));
	say(&client, TEXT_LIT(".\r\n"));
}

static void
world_answer(struct session *s, bool yes)
{
	static const char list[] = "250-inner\r\n250-PIPELINING\r\n"
	                           "250-CHUNKING\r\n250-BINARYMIME\r\n"
	                           "250-SIZE 10000\r\n250-8BITMIME\r\n"
	                           "250-XCLIENT ADDR LOGIN NAME HELO\r\n"
	                           "250-XFORWARD ADDR NAME HELO\r\n"
	                           "250-SMTPUTF8\r\n250-STARTTLS\r\n"
	                           "250-AUTH PLAIN LOGIN\r\n250 DSN\r\n";
	static const char poor[] = "250-inner\r\n250 AUTH LOGIN\r\n";
	const struct smtp_session *p = s->data;

	switch (p->asked) {
	case SMTP_ASKED_NOTHING:
		break;
	case SMTP_ASKED_GREETING:
		say_line(&server,
		    yes ? TEXT_LIT("220 inner ESMTP") : TEXT_LIT("554 no"));
		break;
	case SMTP_ASKED_EHLO:
	case SMTP_ASKED_EHLO_POSING:
	case SMTP_ASKED_EHLO_AGAIN:
		say(&server,
		    yes ? text_of(world.poor ? poor : list)
		        : TEXT_LIT("550 no\r\n"));
		break;
	case SMTP_ASKED_PLAIN:
	case SMTP_ASKED_LOGIN_NAME:
	case SMTP_ASKED_LOGIN_PASSWORD:
		say_line(&server, yes ? TEXT_LIT("334 ") : TEXT_LIT("535 no"));
		break;
	case SMTP_ASKED_DATA:
		say_line(&server,
		    yes ? TEXT_LIT("354 go ahead") : TEXT_LIT("451 4.3.0 no"));
		break;
	case SMTP_ASKED_STARTTLS:
	case SMTP_ASKED_XCLIENT:
	case SMTP_ASKED_AUTH:
	case SMTP_ASKED_XFORWARD:
	case SMTP_ASKED_MAIL:
	case SMTP_ASKED_RCPT:
	case SMTP_ASKED_DOT:
	case SMTP_ASKED_BDAT:
	case SMTP_ASKED_LAST:
	case SMTP_ASKED_RSET:
	case SMTP_ASKED_CLEANUP:
		if (p->asked == SMTP_ASKED_XCLIENT && yes)
			say_line(&server, TEXT_LIT("220 inner"));
		else
			say_line(&server,
			    yes ? TEXT_LIT("250 2.0.0 Ok")
			        : TEXT_LIT("550 5.0.0 no"));
		break;
	}
}

/* The code of the inner server's next reply; 0: it has said no more. */
static unsigned int
next_reply(struct text *replies)
{
	const char *lf;
	unsigned int code = 0;
	bool last;

	do {
		lf = replies->len > 0 ? memchr(replies->p, '\n', replies->len)
		                      : NULL;
		if (lf == NULL || lf - replies->p < 4)
			return 0;
		code = (unsigned int)(replies->p[0] - '0') * 100 +
		    (unsigned int)(replies->p[1] - '0') * 10 +
		    (unsigned int)(replies->p[2] - '0');
		last = replies->p[3] != '-';
		*replies = text_skip(*replies, (size_t)(lf + 1 - replies->p));
	} while (!last);
	return code;
}

/* The trace field that is ours, off; what is left is the client's. */
static struct text
without_trace(struct text message)
{
	struct text line;

	MUST(text_caseprefix(message, "Received: from "));
	do
		MUST(reference_line(&message, &line));
	while (message.len > 0 && message.p[0] == '\t');
	return message;
}

/* No receiver, however lax, sees its end before it is there. */
static void
check_message(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		MUST(t.p[i] != '\0');
		if (t.p[i] == '\n')
			MUST(i > 0 && t.p[i - 1] == '\r');
		if (t.p[i] == '\r')
			MUST(i + 1 < t.len && t.p[i + 1] == '\n');
		if (t.p[i] == '.' && (i == 0 || t.p[i - 1] == '\n'))
			MUST(i + 1 < t.len && t.p[i + 1] != '\r');
	}
}

static void
arrive(struct text message)
{
	check_message(message);
	message = without_trace(message);
	sent.whole++;
	if (sent.free_hand)
		return;
	while (sent.arrived < sent.n &&
	    !fuzz_same(sent.body[sent.arrived], message))
		sent.arrived++;
	MUST(sent.arrived < sent.n);
	sent.arrived++;
}

/* Behind 354.  False: it is cut, and so no message. */
static bool
take_message(struct text *t)
{
	const char *end =
	    t->len > 0 ? memmem(t->p, t->len, "\r\n.\r\n", 5) : NULL;
	size_t n;

	if (end == NULL)
		return false;
	n = (size_t)(end - t->p) + 2;
	arrive((struct text){ t->p, n });
	*t = text_skip(*t, n + 3);
	return true;
}

/* BDAT's argument, and its octets.  False: they are cut. */
static bool
take_chunk(struct text args, struct text *t)
{
	struct text count;
	uint64_t n;

	MUST(text_word(&args, &count) && text_u64(count, UINT64_MAX, &n));
	if (n > t->len)
		return false;
	*t = text_skip(*t, (size_t)n);
	if (args.len > 0) {
		MUST(text_caseeq(text_trim(args), "LAST"));
		sent.whole++;
	}
	return true;
}

/* The address is one that the client said. */
static void
check_path(struct text path)
{
	const struct text said = buf_view(&client.said);
	const char *gt;

	MUST(path.len > 1 && path.p[0] == '<');
	path = text_skip(path, 1);
	gt = memchr(path.p, '>', path.len);
	MUST(gt != NULL);
	/* A quoted one may have such a sign in it: then this is a part. */
	path.len = (size_t)(gt - path.p);
	MUST(path.len == 0 ||
	    memmem(said.p, said.len, path.p, path.len) != NULL);
}

static bool
is_known(struct text line)
{
	static const char *const verbs[] = { "EHLO ", "XCLIENT ", "XFORWARD " };
	size_t i;

	for (i = 0; i < NITEMS(verbs); i++)
		if (text_caseprefix(line, verbs[i]))
			return true;
	return text_eq(line, "STARTTLS") || text_eq(line, "RSET") ||
	    text_eq(line, "QUIT");
}

/* Our own login there: lines of base64, one for each 3yz. */
static bool
take_responses(struct text *t, struct text *replies, unsigned int code)
{
	char octets[64];
	struct text line;
	size_t n;

	for (; code / 100 == 3; code = next_reply(replies)) {
		if (!reference_line(t, &line))
			return false;
		MUST(base64_decode(line, octets, sizeof(octets), &n) == 0);
	}
	return true;
}

/* One command and what is behind it; false: the rest is cut. */
static bool
take_command(struct text *t, struct text *replies)
{
	struct text line;
	unsigned int code;

	if (!reference_line(t, &line))
		return false;
	code = next_reply(replies);
	if (text_eq(line, "DATA")) {
		if (code / 100 == 3 && !take_message(t))
			return false;
		if (code / 100 == 3)
			(void)next_reply(replies); /* to the message */
		return true;
	}
	if (text_caseprefix(line, "BDAT "))
		return take_chunk(text_skip(line, 5), t);
	if (text_caseprefix(line, "AUTH "))
		return take_responses(t, replies, code);
	if (text_caseprefix(line, "MAIL FROM:"))
		check_path(text_skip(line, 10));
	else if (text_caseprefix(line, "RCPT TO:"))
		check_path(text_skip(line, 8));
	else
		MUST(is_known(line));
	return true;
}

static size_t
count(struct text t, const char *word)
{
	size_t n = 0, i, len = strlen(word);

	for (i = 0; i + len <= t.len; i++)
		n += text_caseprefix(text_skip(t, i), word);
	return n;
}

static void
world_server_over(void)
{
	struct text t = skip_header(buf_view(&server.heard));
	struct text replies = buf_view(&server.said);
	const bool started = server.clear > 0 && server.st->tls != NULL &&
	    world.conf.outgoing_tls != OUTGOING_SSL;

	(void)reference_may_clear(&t, "STARTTLS\r\n");
	if (started && t.len > 0)
		/*
		 * Both begin anew with TLS; what went in clear before it may
		 * still be on its way.
		 */
		t = server.clear < buf_view(&server.heard).len
		    ? text_skip(buf_view(&server.heard), server.clear)
		    : TEXT_NONE;
	else
		(void)next_reply(&replies);
	while (t.len > 0 && take_command(&t, &replies))
		continue;
	MUST(sent.whole <= count(buf_view(&client.said), "DATA") +
	        count(buf_view(&client.said), "LAST"));
}
