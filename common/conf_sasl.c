/* SPDX-License-Identifier: ISC */
/*
 * conf_sasl: what is said of logins that are decided on this machine.  Runs
 * in the master and in every role.
 */
#include "conf_settle.h"

/* As Postfix has them. */
static const struct {
	const char *word;
	int bit;
} options[] = {
	{ "noplaintext", CONF_SASL_NOPLAINTEXT },
	{ "noactive", CONF_SASL_NOACTIVE },
	{ "nodictionary", CONF_SASL_NODICTIONARY },
	{ "forward_secrecy", CONF_SASL_FORWARD_SECRECY },
	{ "noanonymous", CONF_SASL_NOANONYMOUS },
	{ "mutual_auth", CONF_SASL_MUTUAL_AUTH },
};

/* Words are parted by commas, blanks, or both. */
static bool
is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t';
}

int
conf_sasl_option(struct text *rest, struct text *word)
{
	size_t i, n = 0;

	while (rest->len > 0 && is_separator(rest->p[0]))
		*rest = text_skip(*rest, 1);
	while (n < rest->len && !is_separator(rest->p[n]))
		n++;
	if (n == 0)
		return 0;
	*word = (struct text){ rest->p, n };
	*rest = text_skip(*rest, n);
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (text_caseeq(*word, options[i].word))
			return options[i].bit;
	return -1;
}

static void
check_options(struct conf *c)
{
	struct text rest = text_of(c->sasl_security_options), word;
	int bit;

	while ((bit = conf_sasl_option(&rest, &word)) != 0)
		if (bit == -1)
			conf_error(c, conf_where(c, "sasl_security_options"),
			    "sasl_security_options has no \"%s\"",
			    CONF_SHOW(word));
}

void
conf_settle_sasl(struct conf *c)
{
	bool always = c->private->defaults->daemon == CONF_SMTP;
	struct text hostname = text_of(c->hostname);

	c->sasl = always || c->authenticate_in;
	if (always) /* and not a second time, before an inner server */
		c->authenticate_in = false;
	check_options(c);
	if (text_has(text_of(c->sasl_application), '/'))
		conf_error(c, conf_where(c, "sasl_application"),
		    "sasl_application is the name of a file without folder "
		    "and without \".conf\"");
	if (c->authenticators > c->authenticators_max)
		conf_error(c, conf_where(c, "authenticators"),
		    "authenticators is more than authenticators_max");
	if (c->hostname != NULL &&
	    (text_has(hostname, ' ') || !text_has(hostname, '.')))
		conf_error(c, conf_where(c, "hostname"),
		    "hostname takes a full name, such as mail.example.org");
}
