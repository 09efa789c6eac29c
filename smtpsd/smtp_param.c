/* SPDX-License-Identifier: ISC */
/*
 * smtp_param: the parameters of MAIL and RCPT (RFC 5321 4.1.2): those that
 * were promised pass verbatim, AUTH is dropped, the rest is refused.  Runs in
 * the worker.
 */
#include <string.h>

#include "smtp.h"
#include "smtp_scan.h"

static const struct parameter {
	const char *key, *keyword; /* which promises it */
	bool of_mail;              /* else of RCPT */
} parameters[] = {
	{ "SIZE", "SIZE", true },         /* RFC 1870 */
	{ "BODY", "8BITMIME", true },     /* RFC 6152 */
	{ "SMTPUTF8", "SMTPUTF8", true }, /* RFC 6531 */
	{ "RET", "DSN", true },           /* RFC 3461 */
	{ "ENVID", "DSN", true }, { "NOTIFY", "DSN", false },
	{ "ORCPT", "DSN", false },
	{ "REQUIRETLS", "REQUIRETLS", true }, /* RFC 8689 */
	{ "HOLDFOR", "FUTURERELEASE", true }, /* RFC 4865 */
	{ "HOLDUNTIL", "FUTURERELEASE", true },
	{ "BY", "DELIVERBY", true },                              /* RFC 2852 */
	{ "MT-PRIORITY", "MT-PRIORITY", true },                   /* RFC 6710 */
	{ "MTRK", "MTRK", true },                                 /* RFC 3885 */
	{ "SOLICIT", "NO-SOLICITING", true },                     /* RFC 3865 */
	{ "CONPERM", "CONPERM", true },                           /* RFC 4141 */
	{ "CONNEG", "CONNEG", false }, { "RRVS", "RRVS", false }, /* RFC 7293 */
};

uint64_t
smtp_message_limit(const struct session *s)
{
	const struct smtp_session *p = s->data;

	return smtp_size_limit(s->conf->message_size_limit, p->inner_size);
}

/* The keyword that allows it; NULL: there is none. */
static const char *
keyword_of(const struct smtp_param *param, bool of_mail)
{
	size_t i;

	if (of_mail && text_caseeq(param->key, "BODY") &&
	    text_caseeq(param->value, "BINARYMIME"))
		return "BINARYMIME"; /* RFC 3030 3 */
	for (i = 0; i < nitems(parameters); i++)
		if (parameters[i].of_mail == of_mail &&
		    text_caseeq(param->key, parameters[i].key))
			return parameters[i].keyword;
	return NULL;
}

/* What it means to us.  False: the client was told what is wrong. */
static bool
heed(struct session *s, const struct smtp_param *param)
{
	struct smtp_session *p = s->data;
	uint64_t size, limit = smtp_message_limit(s);

	if (text_caseeq(param->key, "SMTPUTF8"))
		p->mail.utf8 = true;
	if (text_caseeq(param->key, "BODY"))
		p->mail.binary = text_caseeq(param->value, "BINARYMIME");
	if (!text_caseeq(param->key, "SIZE"))
		return true;
	if (!smtp_parse_size(param->value, &size)) {
		smtp_error(s, 501, "5.5.4", "Bad message size syntax");
		return false;
	}
	if (limit == 0 || size <= limit)
		return true;
	smtp_log_reject(s, SMTP_MAIL, 552, TEXT_LIT("5.3.4"),
	    TEXT_LIT("Message size exceeds fixed limit"), TEXT_NONE);
	smtp_error(s, 552, "5.3.4", "Message size exceeds fixed limit");
	return false;
}

/* A blank and t behind command; false: the client was told that. */
static bool
append(struct session *s, struct text t, char *command, size_t size)
{
	size_t len = strlen(command);

	if (t.len + 1 >= size - len) {
		smtp_error(s, 501, "5.5.4", "Error: too many parameters");
		return false;
	}
	command[len++] = ' ';
	memcpy(command + len, t.p, t.len);
	command[len + t.len] = '\0';
	return true;
}

static bool
add_params(struct session *s, struct text rest, bool of_mail, char *command,
    size_t size)
{
	const struct smtp_session *p = s->data;
	struct capability promised;
	struct smtp_param param;
	const char *keyword;
	struct text whole;

	if (rest.len == 0)
		return true;
	smtp_promise(s, &promised);
	for (;;) {
		whole = rest;
		switch (smtp_take_param(&rest, p->mail.utf8, &param)) {
		case SMTP_PARAM_END:
			return true;
		case SMTP_PARAM_BAD:
			smtp_error(s, 501, "5.5.4", "Error: bad parameter");
			return false;
		case SMTP_PARAM_OK:
			break;
		}
		/*
		 * Dropped: the inner server might take the sender for
		 * somebody who has logged in there (RFC 4954 5).
		 */
		if (of_mail && text_caseeq(param.key, "AUTH"))
			continue;
		keyword = keyword_of(&param, of_mail);
		if (keyword == NULL ||
		    !capability_has_keyword(&promised, keyword)) {
			smtp_error(s, 555, "5.5.4",
			    "Unsupported option in this command");
			return false;
		}
		whole.len -= rest.len;
		if ((of_mail && !heed(s, &param)) ||
		    !append(s, text_trim(whole), command, size))
			return false;
	}
}

bool
smtp_add_mail_params(
    struct session *s, struct text rest, char *command, size_t size)
{
	return add_params(s, rest, true, command, size);
}

bool
smtp_add_rcpt_params(
    struct session *s, struct text rest, char *command, size_t size)
{
	return add_params(s, rest, false, command, size);
}
