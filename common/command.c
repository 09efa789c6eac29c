/* SPDX-License-Identifier: ISC */
/*
 * command: a client's commands before its login.  Runs in workers, on what
 * anybody on the Internet says.
 */
#include "command.h"

static enum command_fault
judge(const struct session *s, enum command_when when)
{
	switch (when) {
	case COMMAND_ALWAYS:
		break;
	case COMMAND_BEFORE_TLS:
		if (s->client_secure != SECURE_PLAINTEXT)
			return COMMAND_TLS_ACTIVE;
		if (!s->can_starttls)
			return COMMAND_NO_STARTTLS;
		break;
	case COMMAND_MAY_LOGIN:
		if (s->conf->login_disabled)
			return COMMAND_LOGINS_DISABLED;
		if (!session_may_login(s))
			return COMMAND_TLS_FIRST;
		break;
	}
	return COMMAND_GOOD;
}

enum command_fault
command_find(const struct session *s, const struct command *table, size_t n,
    struct text verb, const struct command **c)
{
	for (*c = table; *c < table + n; (*c)++) {
		if (text_caseeq(verb, (*c)->verb))
			return judge(s, (*c)->when);
	}
	*c = NULL;
	return COMMAND_UNKNOWN;
}

const char *
command_fault_text(enum command_fault fault)
{
	switch (fault) {
	case COMMAND_GOOD:
		break;
	case COMMAND_UNKNOWN:
		return "Unknown command, or log in first";
	case COMMAND_ARGS_UNWANTED:
		return "This command takes no argument";
	case COMMAND_TLS_ACTIVE:
		return "TLS is active already";
	case COMMAND_NO_STARTTLS:
		return "TLS is not offered here";
	case COMMAND_LOGINS_DISABLED:
		return "Logins are disabled";
	case COMMAND_TLS_FIRST:
		return "TLS comes first";
	}
	return "";
}
