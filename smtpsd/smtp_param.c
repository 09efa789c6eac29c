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

/* What it means to us; NULL, or what is wrong. */
static const struct smtp_refusal *
heed(struct session *s, const struct smtp_param *param)
{
	static const struct smtp_refusal syntax = { 501, "5.5.4",
		"Bad message size syntax", false };
	static const struct smtp_refusal too_big = { 552, "5.3.4",
		"Message size exceeds fixed limit", true };
	struct smtp_session *p = s->data;
	uint64_t size, limit = smtp_message_limit(s);

	if (text_caseeq(param->key, "SMTPUTF8"))
		p->mail.utf8 = true;
	if (text_caseeq(param->key, "BODY"))
		p->mail.binary = text_caseeq(param->value, "BINARYMIME");
	if (!text_caseeq(param->key, "SIZE"))
		return NULL;
	if (!smtp_parse_size(param->value, &size))
		return &syntax;
	return limit == 0 || size <= limit ? NULL : &too_big;
}

/* Is it in params already? */
static bool
has_param(const char *params, struct text key)
{
	struct text rest = text_of(params), word;

	while (text_word(&rest, &word))
		if (word.len >= key.len &&
		    text_casesame((struct text){ word.p, key.len }, key) &&
		    (word.len == key.len || word.p[key.len] == '='))
			return true;
	return false;
}

/* A blank and t behind command. */
static bool
append(struct text t, char *command, size_t size)
{
	size_t len = strlen(command);

	if (t.len + 1 >= size - len)
		return false;
	command[len++] = ' ';
	memcpy(command + len, t.p, t.len);
	command[len + t.len] = '\0';
	return true;
}

/* One parameter, and as it stands in the command (whole). */
static const struct smtp_refusal *
add_param(struct session *s, const struct capability *promised,
    const struct smtp_param *param, struct text whole, bool of_mail,
    char *command, size_t size)
{
	static const struct smtp_refusal unknown = { 555, "5.5.4",
		"Unsupported option in this command", false };
	static const struct smtp_refusal too_many = { 501, "5.5.4",
		"Error: too many parameters", false };
	const char *keyword = keyword_of(param, of_mail);
	const struct smtp_refusal *r = NULL;

	/*
	 * Dropped: the inner server might take the sender for somebody who has
	 * logged in there (RFC 4954 5).
	 */
	if (of_mail && text_caseeq(param->key, "AUTH"))
		return NULL;
	if (keyword == NULL || !capability_has_keyword(promised, keyword))
		return &unknown;
	if (of_mail)
		r = heed(s, param);
	if (r == NULL && !append(text_trim(whole), command, size))
		r = &too_many;
	return r;
}

const struct smtp_refusal *
smtp_add_params(struct session *s, struct text rest, bool of_mail,
    char *command, size_t size)
{
	static const struct smtp_refusal syntax = { 501, "5.5.4",
		"Error: bad parameter", false };
	static const struct smtp_refusal twice = { 501, "5.5.4",
		"Error: parameter said twice", false };
	const struct smtp_session *p = s->data;
	const struct smtp_refusal *r = NULL;
	struct capability promised;
	struct smtp_param param;
	struct text whole;
	const char *params = command + strlen(command);

	if (rest.len > 0)
		smtp_promise(s, &promised);
	while (r == NULL) {
		whole = rest;
		switch (smtp_take_param(&rest, p->mail.utf8, &param)) {
		case SMTP_PARAM_END:
			return NULL;
		case SMTP_PARAM_BAD:
			return &syntax;
		case SMTP_PARAM_OK:
			break;
		}
		whole.len -= rest.len;
		/* Two servers might each believe another one. */
		r = has_param(params, param.key)
		    ? &twice
		    : add_param(
		          s, &promised, &param, whole, of_mail, command, size);
	}
	return r;
}
