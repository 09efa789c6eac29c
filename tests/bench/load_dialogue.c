/* SPDX-License-Identifier: ISC */
/* What a client of the load says: connect, log in, work, log out. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "load_dialogue.h"
#include "pattern.h"

__attribute__((format(printf, 3, 4))) static void
say(struct session *s, enum load_state next, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	s->out_len = (size_t)vsnprintf(s->out, sizeof(s->out), format, ap);
	va_end(ap);
	s->state = next;
}

static void
say_auth_plain(struct session *s)
{
	const struct load_options *o = &s->load->o;
	char raw[256], coded[512];
	int n;

	n = snprintf(
	    raw, sizeof(raw), "%c%s%c%s", '\0', o->user, '\0', o->password);
	EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)raw, n);
	say(s, LOAD_AUTH, "AUTH PLAIN %s\r\n", coded);
}

static void
log_in(struct session *s)
{
	const struct load_options *o = &s->load->o;

	switch (o->proto) {
	case LOAD_IMAP:
		say(s, LOAD_AUTH, "a LOGIN \"%s\" \"%s\"\r\n", o->user,
		    o->password);
		break;
	case LOAD_POP3:
		say(s, LOAD_USER, "USER %s\r\n", o->user);
		break;
	case LOAD_SMTP:
		say_auth_plain(s);
		break;
	}
}

static void
greeted(struct session *s)
{
	if (s->load->o.proto == LOAD_SMTP && s->state == LOAD_GREETING)
		say(s, LOAD_EHLO, "EHLO bench.example.com\r\n");
	else
		log_in(s);
}

static void
log_out(struct session *s)
{
	say(s, LOAD_QUIT,
	    s->load->o.proto == LOAD_IMAP ? "q LOGOUT\r\n" : "QUIT\r\n");
}

static void
next_message(struct session *s)
{
	const struct load_options *o = &s->load->o;

	if (s->messages_left-- == 0)
		log_out(s);
	else if (o->mode == LOAD_FETCH && o->proto == LOAD_IMAP)
		say(s, LOAD_FETCHING, "f FETCH %" PRIu64 " BODY[]\r\n",
		    o->size / 1024);
	else if (o->mode == LOAD_FETCH)
		say(s, LOAD_FETCHING, "RETR %" PRIu64 "\r\n", o->size / 1024);
	else if (o->proto == LOAD_IMAP)
		say(s, LOAD_APPEND, "p APPEND INBOX {%" PRIu64 "}\r\n",
		    o->size);
	else
		say(s, LOAD_MAIL, "MAIL FROM:<bench@example.com>\r\n");
}

static void
logged_in(struct session *s)
{
	const struct load_options *o = &s->load->o;

	samples_add(&s->load->tally.logins, tally_now() - s->begin);
	s->messages_left = o->messages;
	if (o->mode == LOAD_IDLE)
		say(s, LOAD_SETTLE,
		    o->proto == LOAD_IMAP ? "i IDLE\r\n" : "NOOP\r\n");
	else if (o->mode != LOAD_FETCH && o->mode != LOAD_SEND)
		log_out(s);
	else if (o->proto == LOAD_IMAP)
		say(s, LOAD_SELECT, "e SELECT INBOX\r\n");
	else
		next_message(s);
}

void
dialogue_probe(struct session *s)
{
	s->begin = tally_now();
	say(s, LOAD_PROBE,
	    s->load->o.proto == LOAD_IMAP ? "DONE\r\n" : "NOOP\r\n");
}

static void
message_done(struct session *s)
{
	s->load->tally.messages++;
	s->load->tally.bytes += s->load->o.size;
	s->in_body = false;
	next_message(s);
}

static void
upload(struct session *s, const char *tail)
{
	s->state = LOAD_SENT;
	s->bulk_left = s->load->o.size;
	s->bulk_at = 0;
	s->tail = tail;
}

static void
expect_body(struct session *s)
{
	s->body_left = s->load->o.size;
	s->body_at = 0;
	s->in_body = true;
}

/* A good reply: what comes next. */
static const char *
go_on(struct session *s)
{
	switch (s->state) {
	case LOAD_GREETING:
	case LOAD_EHLO:
		greeted(s);
		return NULL;
	case LOAD_USER:
		say(s, LOAD_AUTH, "PASS %s\r\n", s->load->o.password);
		return NULL;
	case LOAD_AUTH:
		logged_in(s);
		return NULL;
	case LOAD_SELECT:
		next_message(s);
		return NULL;
	case LOAD_FETCHING:
		if (s->load->o.proto == LOAD_POP3)
			expect_body(s);
		else if (s->in_body)
			message_done(s);
		else
			return "no message";
		return NULL;
	case LOAD_APPEND:
		upload(s, "\r\n");
		return NULL;
	case LOAD_MAIL:
		say(s, LOAD_RCPT, "RCPT TO:<user@example.net>\r\n");
		return NULL;
	case LOAD_RCPT:
		say(s, LOAD_DATA, "DATA\r\n");
		return NULL;
	case LOAD_DATA:
		upload(s, ".\r\n");
		return s->line[0] == '3' ? NULL : "no 354";
	case LOAD_SENT:
		message_done(s);
		return NULL;
	case LOAD_SETTLE:
		s->state = LOAD_HELD;
		return NULL;
	case LOAD_PROBE:
		samples_add(&s->load->tally.probes, tally_now() - s->begin);
		s->state = LOAD_DONE;
		return NULL;
	case LOAD_QUIT:
		s->state = LOAD_DONE;
		return NULL;
	case LOAD_FREE:
	case LOAD_CONNECT:
	case LOAD_HANDSHAKE:
	case LOAD_HELD:
	case LOAD_SILENT:
	case LOAD_DONE:
		break;
	}
	return "unexpected";
}

static const char *
imap_line(struct session *s)
{
	const char *l = s->line, *brace;

	if (s->state == LOAD_GREETING)
		return strncmp(l, "* OK", 4) == 0 ? go_on(s) : "refused";
	if (s->state == LOAD_FETCHING && l[0] == '*' &&
	    (brace = strchr(l, '{')) != NULL) {
		expect_body(s);
		return strtoull(brace + 1, NULL, 10) == s->load->o.size
		    ? NULL
		    : "wrong size";
	}
	if (strncmp(l, "* ", 2) == 0 || strcmp(l, ")") == 0)
		return NULL; /* untagged data */
	if (l[0] == '+' || strncmp(l + 1, " OK", 3) == 0)
		return go_on(s);
	return "refused";
}

static const char *
pop3_line(struct session *s)
{
	if (s->in_body) {
		if (strcmp(s->line, ".") != 0)
			return "no dot";
		message_done(s);
		return NULL;
	}
	return s->line[0] == '+' ? go_on(s) : "refused";
}

static const char *
smtp_line(struct session *s)
{
	if (s->line[0] != '2' && s->line[0] != '3')
		return "refused";
	return s->line_len > 3 && s->line[3] == '-' ? NULL : go_on(s);
}

static const char *
on_line(struct session *s)
{
	while (s->line_len > 0 &&
	    (s->line[s->line_len - 1] == '\n' ||
	        s->line[s->line_len - 1] == '\r'))
		s->line_len--;
	s->line[s->line_len] = '\0';
	switch (s->load->o.proto) {
	case LOAD_IMAP:
		return imap_line(s);
	case LOAD_POP3:
		return pop3_line(s);
	case LOAD_SMTP:
		return smtp_line(s);
	}
	return NULL;
}

static size_t
feed_body(struct session *s, const char *p, size_t n)
{
	if (n > s->body_left)
		n = s->body_left;
	if (!pattern_ok(p, n, s->body_at))
		s->load->tally.bad++;
	s->body_left -= n;
	s->body_at += n;
	return n;
}

const char *
dialogue_feed(struct session *s, const char *p, size_t n)
{
	const char *lf, *wrong;
	size_t take;

	for (; n > 0; p += take, n -= take) {
		if (s->body_left > 0) {
			take = feed_body(s, p, n);
			continue;
		}
		lf = memchr(p, '\n', n);
		take = lf != NULL ? (size_t)(lf + 1 - p) : n;
		if (take >= sizeof(s->line) - s->line_len)
			return "a line that is too long";
		memcpy(s->line + s->line_len, p, take);
		s->line_len += take;
		if (lf == NULL)
			continue;
		wrong = on_line(s);
		s->line_len = 0;
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}
