/* SPDX-License-Identifier: ISC */
/*
 * conf_mode: ssl_mode, and the protocol that decides where ssl_mode is
 * silent: Perdition knew it by the name it was called by, and so its files
 * often do not say it.  Runs in the master, and in the roles.
 */
#include <string.h>

#include "conf_settle.h"
#include "xmalloc.h"

#define SSL CONF_MODE_SSL
#define TLS CONF_MODE_TLS
#define FORCE (CONF_MODE_TLS | CONF_MODE_FORCE)

static const struct {
	const char *word;
	unsigned int listen, outgoing;
} mode_words[] = {
	{ "none", 0, 0 },
	{ "ssl_listen", SSL, 0 },
	{ "ssl_outgoing", 0, SSL },
	{ "ssl_all", SSL, SSL },
	{ "tls_listen", TLS, 0 },
	{ "tls_outgoing", 0, TLS },
	{ "tls_all", TLS, TLS },
	{ "tls_listen_force", FORCE, 0 },
	{ "tls_outgoing_force", 0, FORCE },
	{ "tls_all_force", FORCE, FORCE },
};

/* daemon: 0 is none of ours. */
static const struct protocol_word {
	const char *word;
	const char *file; /* what its file was called, less ".conf"; NULL: -- */
	enum conf_daemon daemon;
	const char *daemon_name;
	enum conf_protocol protocol;
} protocol_words[] = {
	{ "IMAP4", "perdition.imap4", CONF_IMAP, "imapsd", PROTOCOL_CLEAR },
	{ "IMAP4S", "perdition.imap4s", CONF_IMAP, "imapsd", PROTOCOL_TLS },
	{ "IMAP4S", "perdition.imaps", CONF_IMAP, "imapsd", PROTOCOL_TLS },
	{ "POP3", "perdition.pop3", CONF_POP3, "pop3sd", PROTOCOL_CLEAR },
	{ "POP3S", "perdition.pop3s", CONF_POP3, "pop3sd", PROTOCOL_TLS },
	{ "SMTP", NULL, CONF_SMTP, "smtpsd", PROTOCOL_CLEAR },
	{ "SMTPS", NULL, CONF_SMTP, "smtpsd", PROTOCOL_TLS },
	{ "MANAGESIEVE", "perdition.managesieve", 0, NULL, PROTOCOL_UNKNOWN },
};

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

static void
add_word(
    struct conf *c, struct conf_mode *m, const char *where, struct text word)
{
	size_t i;

	for (i = 0; i < nitems(mode_words); i++) {
		if (!text_caseeq(word, mode_words[i].word))
			continue;
		m->said = true;
		m->none = m->none || i == 0;
		m->listen |= mode_words[i].listen;
		m->outgoing |= mode_words[i].outgoing;
		return;
	}
	conf_error(c, where,
	    "ssl_mode has no word \"%s\"; there are none, and ssl_ or tls_ "
	    "with listen, outgoing or all, and _force behind those of tls_",
	    CONF_SHOW(word));
}

void
conf_settle_mode(struct conf *c, struct conf_mode *m)
{
	const struct conf_setting *s = conf_setting(c, "ssl_mode");
	const char *where = conf_where(c, "ssl_mode");
	struct text rest, word;
	size_t i;

	*m = (struct conf_mode){ 0 };
	for (i = 0; i < s->nvalues; i++) {
		rest = text_of(s->values[i].text);
		if (rest.len == 0)
			continue; /* Perdition's default, "" */
		while (text_split(&rest, ',', &word))
			add_word(c, m, s->values[i].where, text_trim(word));
	}
	if ((m->listen & SSL) && (m->listen & TLS))
		conf_error(c, where,
		    "ssl_mode: one port has TLS from the "
		    "start (ssl_listen) or after STARTTLS (tls_listen), not "
		    "both; use listen for two ports");
	if ((m->outgoing & SSL) && (m->outgoing & TLS))
		conf_error(c, where,
		    "ssl_mode: an inner server has TLS from "
		    "the start (ssl_outgoing) or after STARTTLS "
		    "(tls_outgoing), not both");
}

/* where says which protocol it is: one that this daemon speaks? */
static void
take_protocol(struct conf *c, const char *where, const struct protocol_word *p)
{
	const struct conf_defaults *d = c->private->defaults;

	if (p->daemon == d->daemon) {
		c->private->protocol = p->protocol;
		c->private->protocol_where = xstrdup(where);
	} else if (p->daemon_name == NULL) {
		conf_error(c, where, "Relais has no daemon for %s", p->word);
	} else {
		conf_error(c, where,
		    "%s is spoken by %s; this is %s, which "
		    "speaks %s and %s",
		    p->word, p->daemon_name, d->name, d->protocol,
		    d->protocol_tls);
	}
}

static void
protocol_by_word(struct conf *c, const char *word)
{
	const char *where = conf_where(c, "protocol");
	size_t i;

	for (i = 0; i < nitems(protocol_words); i++) {
		if (text_caseeq(text_of(word), protocol_words[i].word)) {
			take_protocol(c, where, &protocol_words[i]);
			return;
		}
	}
	conf_error(c, where, "there is no protocol \"%s\"; %s speaks %s and %s",
	    CONF_SHOW(text_of(word)), c->private->defaults->name,
	    c->private->defaults->protocol, c->private->defaults->protocol_tls);
}

static void
protocol_by_file(struct conf *c, const char *file)
{
	const char *slash = strrchr(file, '/');
	struct text base = text_of(slash == NULL ? file : slash + 1);
	struct text suffix = TEXT_LIT(".conf");
	size_t i;

	if (base.len < suffix.len ||
	    !text_eq(text_skip(base, base.len - suffix.len), suffix.p))
		return;
	base.len -= suffix.len;
	for (i = 0; i < nitems(protocol_words); i++) {
		if (protocol_words[i].file != NULL &&
		    text_eq(base, protocol_words[i].file)) {
			take_protocol(c, file, &protocol_words[i]);
			return;
		}
	}
}

void
conf_settle_protocol(struct conf *c, const char *file)
{
	const char *word = conf_text(c, "protocol");

	if (word != NULL)
		protocol_by_word(c, word);
	else if (file != NULL)
		protocol_by_file(c, file);
}
