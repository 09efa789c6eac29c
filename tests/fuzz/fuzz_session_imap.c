/* SPDX-License-Identifier: ISC */
/*
 * fuzz_session_imap: an IMAP session between any client and any inner server
 * (session_play.h).  What the inner server gets is read by a parser of its
 * own, strictly: it names whom the client named.
 */
#define main imapsd_main /* libFuzzer has one of its own */
int imapsd_main(int argc, char *argv[]);
#include "../../imapsd/main.c"
#undef main

#define WORLD_PROTOCOL imap
#define WORLD_LIST "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN ID IDLE"
#include "session_play.h"
#include "session_reference.h"

static void
world_begin(void)
{
}

static void
world_step(void)
{
}

static void
world_over(void)
{
}

static void
world_said(const struct session *s, bool lines)
{
	(void)s;
	(void)lines;
}

static void
world_body(struct session *s, struct text body)
{
	(void)s;
	say(&client, body);
}

static bool
world_in_exchange(const struct session *s)
{
	const struct imap_session *im = s->data;

	return im->exchange.stage != EXCHANGE_NONE || im->scan.line > 0;
}

static bool
is_atom(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (t.p[i] <= ' ' || t.p[i] >= 0x7f ||
		    strchr("(){%*\"\\", t.p[i]) != NULL)
			return false;
	return t.len > 0;
}

static void
say_quoted(struct text t)
{
	size_t i;

	say(&client, TEXT_LIT("\""));
	for (i = 0; i < t.len; i++) {
		if (t.p[i] == '"' || t.p[i] == '\\')
			say(&client, TEXT_LIT("\\"));
		say(&client, (struct text){ t.p + i, 1 });
	}
	say(&client, TEXT_LIT("\""));
}

static void
say_string(uint8_t how, struct text t)
{
	if (how % 4 == 0 && is_atom(t)) {
		say(&client, t);
	} else if (how % 4 == 1) {
		say_printf(&client, "{%zu}\r\n", t.len);
		settle(); /* it is invited */
		say(&client, t);
	} else if (how % 4 == 2) {
		say_printf(&client, "{%zu+}\r\n", t.len);
		say(&client, t);
	} else {
		say_quoted(t);
	}
}

static void
world_login(uint8_t how, struct text name, struct text password)
{
	char code[4096];

	if (how & 16) {
		if (reference_plain(name, password, code, sizeof(code)) == -1)
			return;
		say(&client, TEXT_LIT("u AUTHENTICATE PLAIN"));
		say_printf(&client, how & 32 ? " %s\r\n" : "\r\n%s\r\n", code);
		return;
	}
	say(&client, TEXT_LIT("u LOGIN "));
	say_string(how, name);
	say(&client, TEXT_LIT(" "));
	say_string(how / 4, password);
	say(&client, TEXT_LIT("\r\n"));
}

/* What it was asked, answered in a good form. */
static void
world_answer(struct session *s, bool yes)
{
	static const char rich[] =
	    "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN STARTTLS ID IDLE";
	static const char poor[] = "CAPABILITY IMAP4rev1 AUTH=PLAIN";
	const char *const list = world.poor ? poor : rich;
	const struct imap_session *im = s->data;
	const struct imap_upstream *up = im != NULL ? im->upstream : NULL;
	const char *const word = yes ? "OK" : "NO";

	if (up == NULL) {
		say_line(&server, TEXT_LIT("* 1 EXISTS"));
	} else if (up->state == IMAP_UP_GREETING) {
		say_printf(&server,
		    yes ? "* OK [%s] hello\r\n" : "* OK hello\r\n", list);
	} else if (up->owed != IMAP_OWE_NOTHING && yes) {
		say_line(&server, TEXT_LIT("+ go on"));
	} else {
		if (up->state == IMAP_UP_CAPABILITY ||
		    up->state == IMAP_UP_CAPABILITY_AFTER)
			say_printf(&server, "* %s\r\n", list);
		if (up->owes_id) {
			say_line(&server, TEXT_LIT("* ID NIL"));
			say_printf(&server, "r%u OK done\r\n", up->number - 1);
		}
		say_printf(&server, "%s %s done\r\n", up->tag, word);
	}
}

/* A string of a command, its quotes or literal off.  False: it is cut. */
static bool
take_string(struct text *t, char *dst, size_t size)
{
	size_t n = 0, i, len = 0;

	MUST(t->len > 0);
	if (t->p[0] == '{') {
		for (i = 1; i < t->len && t->p[i] >= '0' && t->p[i] <= '9'; i++)
			len = len * 10 + (size_t)(t->p[i] - '0');
		i += i < t->len && t->p[i] == '+';
		if (t->len - i < 3 || t->len - i - 3 < len)
			return false;
		MUST(memcmp(t->p + i, "}\r\n", 3) == 0 && len < size);
		memcpy(dst, t->p + i + 3, len);
		dst[len] = '\0';
		*t = text_skip(*t, i + 3 + len);
		return true;
	}
	MUST(t->p[0] == '"');
	for (i = 1; i < t->len && t->p[i] != '"'; i++) {
		i += t->p[i] == '\\';
		MUST(i < t->len && n + 1 < size);
		MUST(t->p[i] != '\r' && t->p[i] != '\n');
		dst[n++] = t->p[i];
	}
	MUST(i < t->len);
	dst[n] = '\0';
	*t = text_skip(*t, i + 1);
	return true;
}

/* LOGIN: of the rest of what was heard, which may be cut. */
static bool
judge_login(struct text *t)
{
	char name[2048], password[2048];

	if (!take_string(t, name, sizeof(name)) || t->len == 0)
		return false;
	MUST(t->p[0] == ' ');
	*t = text_skip(*t, 1);
	if (t->len == 0 || !take_string(t, password, sizeof(password)))
		return false;
	MUST(strcmp(name, world.server_login.authn) == 0);
	MUST(strcmp(password, world.server_login.password) == 0);
	MUST(world.server_login.authz[0] == '\0');
	return reference_crlf(t);
}

static bool
judge_plain(struct text *t)
{
	struct text line;

	if (t->len > 0 && t->p[0] == ' ') {
		*t = text_skip(*t, 1);
	} else {
		MUST(reference_crlf(t));
		if (t->len == 0)
			return false; /* it was not invited */
	}
	if (!reference_line(t, &line))
		return false;
	/* "*" takes it back. */
	if (!text_eq(line, "*"))
		reference_check_plain(line);
	return true;
}

/* One command in the clear, or in TLS. */
static bool
judge_command(struct text *t, bool secret_ok)
{
	static const char login[] = "LOGIN ", plain[] = "AUTHENTICATE PLAIN";
	char tag[32];
	size_t n = 0;
	struct text line;

	while (n < t->len && t->p[n] != ' ')
		n++;
	MUST(n > 1 && n < t->len && n < sizeof(tag) && t->p[0] == 'r');
	*t = text_skip(*t, n + 1);
	if (text_caseprefix(*t, login)) {
		MUST(secret_ok);
		*t = text_skip(*t, strlen(login));
		return judge_login(t);
	}
	if (text_caseprefix(*t, plain)) {
		MUST(secret_ok);
		*t = text_skip(*t, strlen(plain));
		return judge_plain(t);
	}
	if (!reference_line(t, &line))
		return false;
	MUST(text_eq(line, "CAPABILITY") || text_eq(line, "STARTTLS") ||
	    text_eq(line, "LOGOUT") || text_caseprefix(line, "ID ("));
	return true;
}

static void
world_server_over(void)
{
	struct text t = reference_before_relay();
	const bool secret_ok = reference_may_clear(&t, "STARTTLS\r\n");

	while (t.len > 0 && judge_command(&t, secret_ok))
		continue;
}
