/* SPDX-License-Identifier: ISC */
/*
 * conf_settle: from what was written to what is meant.  Runs in the master,
 * and in every role on the part of the configuration that it was handed.
 */
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "conf_settle.h"
#include "credentials.h"
#include "log.h"
#include "xmalloc.h"

#define IDENT_MAX 64 /* octets: rsyslog's filters expect short tags */
#define PAIRS_MAX 64

static bool
is_ident(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] <= ' ' || t.p[i] > '~' || t.p[i] == ':')
			return false;
	}
	return t.len <= IDENT_MAX;
}

static void
settle_log(struct conf *c)
{
	struct text target = text_of(c->log_facility);

	if (!log_target_valid(c->log_facility))
		conf_error(c, conf_where(c, "log_facility"),
		    "log_facility \"%s\" is no facility of syslog, no path, "
		    "and not - or +",
		    CONF_SHOW(target));
	/* As in Perdition: what writes to a terminal stays with it. */
	if (text_eq(target, "-") || text_eq(target, "+"))
		c->no_daemon = true;
	if (c->debug)
		c->quiet = false;
	if (c->log_ident != NULL && !is_ident(text_of(c->log_ident)))
		conf_error(c, conf_where(c, "log_ident"),
		    "log_ident takes up to %d letters, digits and signs, but "
		    "no blank and no colon",
		    IDENT_MAX);
}

static void
settle_pid_file(struct conf *c)
{
	if (conf_is_set(c, "pid_file") || c->no_daemon)
		return;
	free(c->pid_file);
	c->pid_file = xasprintf("/run/%s.pid", c->private->defaults->name);
}

static void
settle_dialogue(struct conf *c)
{
	if (conf_flag(c, "server_resp_line")) {
		free(c->ok_line);
		c->ok_line = NULL;
	}
}

static void
settle_newlines(struct conf *c)
{
	struct text word = text_of(conf_text(c, "bare_newline"));

	c->normalize_newlines = text_caseeq(word, "normalize");
	if (!c->normalize_newlines && !text_caseeq(word, "refuse"))
		conf_error(c, conf_where(c, "bare_newline"),
		    "bare_newline takes refuse or normalize, not \"%s\"",
		    CONF_SHOW(word));
}

static void
settle_submit(struct conf *c)
{
	c->submit_rules = c->sender_login_map != NULL ||
	    c->user_message_limit != 0 || c->user_recipient_limit != 0 ||
	    c->client_message_rate_limit != 0 ||
	    c->client_recipient_rate_limit != 0;
}

static void
settle_passphrase(struct conf *c)
{
	const char *fd = conf_text(c, "ssl_passphrase_fd");
	uint64_t n;

	if (fd == NULL)
		return;
	if (c->ssl_passphrase_file != NULL)
		conf_error(c, conf_where(c, "ssl_passphrase_fd"),
		    "ssl_passphrase_fd and ssl_passphrase_file do not go "
		    "together");
	if (text_u64(text_of(fd), INT16_MAX, &n))
		c->ssl_passphrase_fd = (int)n;
}

static void
add_pair(struct conf *c, struct text cert, const char *cert_where,
    struct text key, const char *key_where)
{
	struct conf_pair *p;

	c->pairs =
	    xrecallocarray(c->pairs, c->npairs, c->npairs + 1, sizeof(*p));
	p = &c->pairs[c->npairs++];
	conf_replace(&p->cert_file, cert);
	conf_replace(&p->key_file, key);
	p->cert_where = cert_where;
	p->key_where = key_where;
}

/* ssl_pair "CERT KEY" */
static void
add_ssl_pair(struct conf *c, const struct conf_value *v)
{
	struct text rest = text_of(v->text), cert, key;

	if (!text_word(&rest, &cert) || !text_word(&rest, &key) ||
	    text_trim(rest).len > 0 || cert.p[0] != '/' || key.p[0] != '/') {
		conf_error(c, v->where,
		    "ssl_pair takes the paths of a "
		    "certificate and of its key, without blanks in them");
		return;
	}
	if (c->npairs == PAIRS_MAX) {
		conf_error(c, v->where, "more than %d certificates", PAIRS_MAX);
		return;
	}
	add_pair(c, cert, v->where, key, v->where);
}

static bool
serves_tls(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		if (c->listen[i].mode != LISTEN_PLAIN)
			return true;
	}
	return false;
}

/*
 * ssl_cert_file and ssl_key_file, then each ssl_pair; none without TLS.  The
 * default of the former gives way to ssl_pair and ssl_cert_dir.
 */
static void
settle_pairs(struct conf *c)
{
	const struct conf_setting *s = conf_setting(c, "ssl_pair");
	size_t i;

	if (!serves_tls(c)) {
		free(c->ssl_cert_dir);
		c->ssl_cert_dir = NULL;
		return;
	}
	if ((s->nvalues == 0 && c->ssl_cert_dir == NULL) ||
	    conf_is_set(c, "ssl_cert_file") || conf_is_set(c, "ssl_key_file"))
		add_pair(c, text_of(conf_text(c, "ssl_cert_file")),
		    conf_where(c, "ssl_cert_file"),
		    text_of(conf_text(c, "ssl_key_file")),
		    conf_where(c, "ssl_key_file"));
	for (i = 0; i < s->nvalues; i++)
		add_ssl_pair(c, &s->values[i]);
}

/* What the master alone knows and needs. */
static void
settle_master(struct conf *c, const char *file)
{
	/* Whoever hands us sockets waits for this very process. */
	if (c->private->inherited != NULL)
		c->no_daemon = true;
	settle_log(c);
	settle_pid_file(c);
	settle_passphrase(c);
	conf_settle_protocol(c, file);
}

/* What a role can need; it works out the same as the master did. */
static void
settle_common(struct conf *c)
{
	struct conf_mode mode;

	conf_settle_mode(c, &mode);
	conf_settle_listen(c, &mode);
	conf_settle_servers(c, &mode);
	conf_settle_tls(c);
	conf_settle_names(c);
	conf_settle_sasl(c);
	conf_settle_proxy(c);
	conf_settle_metrics(c);
	settle_dialogue(c);
	settle_newlines(c);
	settle_submit(c);
}

/* Can what is said to the inner servers be heard on the way there? */
static bool
speaks_in_clear(const struct conf *c)
{
	size_t i;

	if (c->outgoing_tls == OUTGOING_SSL ||
	    c->outgoing_tls == OUTGOING_STARTTLS_FORCE)
		return false;
	for (i = 0; i < c->nservers; i++) {
		if (!c->servers[i].numeric ||
		    !addr_is_loopback(&c->servers[i].addr))
			return true;
	}
	return false;
}

static void
settle_outgoing_login(struct conf *c)
{
	if ((c->outgoing_user == NULL) != (c->outgoing_password_file == NULL))
		conf_error(c,
		    conf_where(c,
		        c->outgoing_user != NULL ? "outgoing_user"
		                                 : "outgoing_password_file"),
		    "outgoing_user and outgoing_password_file go together");
	else if (c->outgoing_user != NULL &&
	    strlen(c->outgoing_user) > CREDENTIALS_NAME_MAX)
		conf_error(c, conf_where(c, "outgoing_user"),
		    "outgoing_user has more than %d octets",
		    CREDENTIALS_NAME_MAX);
	else if (c->outgoing_user != NULL && speaks_in_clear(c))
		conf_warn(c, conf_where(c, "outgoing_user"),
		    "the password of outgoing_user goes to inner servers in "
		    "clear; see ssl_mode ssl_outgoing and tls_outgoing_force");
}

unsigned int
conf_settle(struct conf *c, const char *file)
{
	unsigned int before = c->private->nerrors;

	settle_master(c, file);
	settle_common(c);
	conf_settle_inherited(c);
	settle_pairs(c);
	settle_outgoing_login(c);
	return c->private->nerrors - before;
}

int
conf_read_role(struct conf *c, struct text t)
{
	c->private->in_role = true;
	conf_read_text(c, "handover", t);
	settle_common(c);
	return c->private->nerrors == 0 ? 0 : -1;
}
