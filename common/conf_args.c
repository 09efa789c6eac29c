/* SPDX-License-Identifier: ISC */
/*
 * conf_args: the command line.  Every directive is a long option, and has
 * Perdition's letter; letters can stand together (-dn), values be attached
 * (-t40, --timeout=40) or the next word.  Runs in the master.
 *
 * Not by getopt_long(3): it takes abbreviations, which Perdition does not and
 * which mean something else as soon as a directive is added; it permutes argv;
 * and it cannot say which name was meant.
 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "conf.h"
#include "conf_set.h"
#include "conf_table.h"
#include "log.h"

#define WHERE "command line"

/* Where we are in argv. */
struct args {
	int argc, at;
	char *const *argv;
	struct conf_command *cmd;
};

/* Options that are no directives: file names come as they are, from argv. */
static void
take_command(struct conf *c, struct args *a, const struct conf_directive *d,
    const char *value)
{
	struct text name = text_of(d->name);

	if (text_eq(name, "config_file")) {
		if (value == NULL || *value == '\0')
			conf_error(c, WHERE, "%s needs a value", d->name);
		else
			a->cmd->file = value;
		return;
	}
	if (text_eq(name, "kick")) {
		a->cmd->kick = value == NULL ? "" : value;
		if (*a->cmd->kick == '\0')
			conf_error(c, WHERE, "%s needs a user's name", d->name);
		return;
	}
	if (text_eq(name, "forgive")) {
		if (value == NULL || *value == '\0')
			conf_error(c, WHERE, "%s needs a value", d->name);
		else
			a->cmd->forgive = value;
		return;
	}
	if (text_eq(name, "ledger")) {
		/* No word stands for itself: the next one can only be its. */
		if (value == NULL && a->at < a->argc &&
		    a->argv[a->at][0] != '-')
			value = a->argv[a->at++];
		a->cmd->ledger = value != NULL ? value : "";
		return;
	}
	if (value != NULL)
		conf_error(c, WHERE, "%s takes no value", d->name);
	if (text_eq(name, "check_config"))
		a->cmd->check_config = true;
	else if (text_eq(name, "print_config"))
		a->cmd->print_config = true;
	else if (text_eq(name, "status"))
		a->cmd->status = true;
	else if (text_eq(name, "sessions"))
		a->cmd->sessions = true;
	else if (text_eq(name, "json"))
		a->cmd->json = true;
	else if (text_eq(name, "version"))
		a->cmd->version = true;
	else
		a->cmd->help = true;
}

/* attached: what is written in one word with the option, or NULL. */
static void
take_option(struct conf *c, struct args *a, const struct conf_directive *d,
    const char *attached)
{
	const char *value = attached;

	if (value == NULL && d->type != CONF_FLAG && a->at < a->argc)
		value = a->argv[a->at++];
	if (d->fate == CONF_COMMAND)
		take_command(c, a, d, value);
	else
		conf_set(c, d, FROM_ARGS, WHERE, text_of(value));
}

/* word: behind "--" */
static void
long_option(struct conf *c, struct args *a, const char *word)
{
	const char *equals = strchr(word, '=');
	const struct conf_directive *d;
	struct text name = text_of(word);

	if (equals != NULL)
		name.len = (size_t)(equals - word);
	d = conf_table_find(name);
	if (d != NULL) {
		take_option(c, a, d, equals == NULL ? NULL : equals + 1);
		return;
	}
	d = conf_table_nearest(name);
	if (d != NULL)
		conf_error(c, WHERE, "unknown option --%s; is it --%s?",
		    CONF_SHOW(name), d->name);
	else
		conf_error(c, WHERE, "unknown option --%s", CONF_SHOW(name));
}

/* letters: behind "-"; one that takes a value ends the word. */
static void
short_options(struct conf *c, struct args *a, const char *letters)
{
	const struct conf_directive *d;

	for (; *letters != '\0'; letters++) {
		d = conf_table_letter(*letters);
		if (d == NULL) {
			conf_error(c, WHERE, "unknown option -%s",
			    CONF_SHOW(((struct text){ letters, 1 })));
			return;
		}
		if (d->type != CONF_FLAG) {
			take_option(
			    c, a, d, letters[1] == '\0' ? NULL : letters + 1);
			return;
		}
		take_option(c, a, d, NULL);
	}
}

unsigned int
conf_read_args(
    struct conf *c, int argc, char *const argv[], struct conf_command *cmd)
{
	struct args a = { .argc = argc, .at = 1, .argv = argv, .cmd = cmd };
	unsigned int before = c->private->nerrors;
	const char *word;

	*cmd = (struct conf_command){ .file = NULL };
	while (a.at < argc) {
		word = argv[a.at++];
		if (word[0] == '-' && word[1] == '-' && word[2] != '\0')
			long_option(c, &a, word + 2);
		else if (word[0] == '-' && word[1] != '\0' && word[1] != '-')
			short_options(c, &a, word + 1);
		else
			conf_error(c, WHERE,
			    "\"%s\" belongs to no option; a flag is switched "
			    "off as in --debug=no",
			    CONF_SHOW(text_of(word)));
	}
	return c->private->nerrors - before;
}

static void
help_line(struct buf *out, const struct conf_directive *d, const char *initial)
{
	char option[128], letter[8] = "   ";

	if (d->letter != '\0')
		(void)snprintf(letter, sizeof(letter), "-%c,", d->letter);
	(void)snprintf(option, sizeof(option), "%s --%s %s", letter, d->name,
	    d->arg == NULL ? "" : d->arg);
	if (buf_printf(out, "  %s\n          %s", option, d->meaning) == -1 ||
	    (initial != NULL && d->type != CONF_FLAG && *initial != '\0' &&
	        buf_printf(out, "; default: %s", initial) == -1) ||
	    buf_printf(out, "\n") == -1)
		fatalx("conf: --help does not fit");
}

void
conf_help(const struct conf *c, struct buf *out)
{
	const struct conf_defaults *defaults = c->private->defaults;
	const struct conf_directive *d;
	size_t i;

	if (buf_printf(out,
	        "usage: %s [-f FILE] [option ...]\n\n"
	        "Each option is a directive of the configuration file, too, "
	        "without the dashes;\nthe command line wins.  They are "
	        "described in relais.conf(5).\n\n",
	        defaults->name) == -1)
		fatalx("conf: --help does not fit");
	for (i = 0; (d = conf_table(i)) != NULL; i++) {
		if (d->daemons == 0 || (d->daemons & defaults->daemon))
			help_line(out, d, conf_initial(c, d));
	}
}
