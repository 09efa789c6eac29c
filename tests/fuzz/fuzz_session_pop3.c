/* SPDX-License-Identifier: ISC */
/*
 * fuzz_session_pop3: a POP3 session between any client and any inner server
 * (session_play.h).  What the inner server gets is read by a parser of its
 * own, strictly: it names whom the client named.
 */
#define main pop3sd_main /* libFuzzer has one of its own */
int pop3sd_main(int argc, char *argv[]);
#include "../../pop3sd/main.c"
#undef main

#define WORLD_PROTOCOL pop3
#define WORLD_LIST "TOP.UIDL.USER.SASL PLAIN.UTF8.LANG"
#include "session_play.h"
#include "session_reference.h"

/* The administrator's list has nothing that would end a line. */
static void
world_begin(void)
{
	struct capability c;
	char list[] = "TOP.\1";

	MUST(pop3_parse_capability(list, &c) == -1);
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
world_said(const struct session *s, bool line)
{
	(void)s;
	(void)line;
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
	const struct pop3_session *p = s->data;

	return p->exchange.stage != EXCHANGE_NONE;
}

static void
world_login(uint8_t how, struct text name, struct text password)
{
	char code[4096];

	if (how & 1) {
		if (reference_plain(name, password, code, sizeof(code)) == -1)
			return;
		say_printf(&client,
		    how & 2 ? "AUTH PLAIN %s\r\n" : "AUTH PLAIN\r\n%s\r\n",
		    code);
		return;
	}
	say(&client, TEXT_LIT("USER "));
	say_line(&client, name);
	if (how & 4)
		settle();
	say(&client, TEXT_LIT("PASS "));
	say_line(&client, password);
}

/* What it was asked, answered in a good form. */
static void
world_answer(struct session *s, bool yes)
{
	const struct pop3_session *p = s->data;
	const char *const list = world.poor
	    ? "SASL PLAIN\r\n.\r\n"
	    : "STLS\r\nXCLIENT\r\nUTF8\r\nLANG\r\nSASL PLAIN\r\nUSER\r\n.\r\n";

	if (p == NULL)
		say_line(&server, TEXT_LIT("+OK 1 120"));
	else if (!yes)
		say_line(&server, TEXT_LIT("-ERR [AUTH] no"));
	else if (p->upstream == POP3_UP_LIST)
		say(&server, text_of(list));
	else if (p->upstream == POP3_UP_CAPA)
		say_printf(&server, "+OK\r\n%s", list);
	else if (p->upstream == POP3_UP_AUTH)
		say_line(&server, TEXT_LIT("+ "));
	else
		say_line(&server, TEXT_LIT("+OK"));
}

/* The argument of verb, or false. */
static bool
is_verb(struct text line, const char *verb, struct text *rest)
{
	if (!text_caseprefix(line, verb))
		return false;
	*rest = text_skip(line, strlen(verb));
	return true;
}

static void
world_server_over(void)
{
	struct text t = reference_before_relay(), line, rest;
	const bool secret_ok = reference_may_clear(&t, "STLS\r\n");
	bool coded = false;

	while (t.len > 0 && reference_line(&t, &line)) {
		if (coded) {
			coded = false;
			reference_check_plain(line);
		} else if (is_verb(line, "USER ", &rest)) {
			MUST(secret_ok);
			MUST(text_eq(rest, world.server_login.authn));
			MUST(world.server_login.authz[0] == '\0');
		} else if (is_verb(line, "PASS ", &rest)) {
			MUST(secret_ok);
			MUST(text_eq(rest, world.server_login.password));
		} else if (text_eq(line, "AUTH PLAIN")) {
			MUST(secret_ok);
			coded = true;
		} else {
			MUST(text_eq(line, "CAPA") || text_eq(line, "STLS") ||
			    text_eq(line, "UTF8") || text_eq(line, "QUIT") ||
			    is_verb(
			        line, "XCLIENT ADDR=203.0.113.50 ", &rest) ||
			    is_verb(line, "LANG ", &rest));
		}
	}
}
