/* SPDX-License-Identifier: ISC */
/*
 * authenticator_sasl: libsasl2.  Runs in authenticators, confined but for
 * sasl_open().  What a client says goes to the library as it is; the
 * library's plugins and its configuration are the administrator's.
 */
#include <sasl/sasl.h>

#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authenticator_sasl.h"
#include "log.h"
#include "wipe.h"
#include "xmalloc.h"

#define SHOWN 512       /* octets of the library's words in the log */
#define PORT_LEN 8      /* ";65535" and a NUL */
#define LISTED_SSF 128  /* mechanisms are listed as behind good TLS */
#define FREED_FILL 0x5a /* what freed memory is filled with */

struct dialogue {
	sasl_conn_t *conn;
	sasl_callback_t callbacks[2];
	dialogue_may_ask *may_ask; /* NULL: always */
	void *arg;
	bool turned;
	char user[MSG_NAME_MAX + 1]; /* "": not known yet */
	int free_fd; /* the first that was free before this step */
};

static const struct sasl_setup *setup; /* the library has but one, too */

/* Every option's value: of the file that the master read. */
static int
get_option(void *context, const char *plugin, const char *option,
    const char **result, unsigned int *len)
{
	(void)context;
	(void)plugin;
	if (strcmp(option, "sasldb_path") == 0)
		*result = setup->sasldb;
	else
		*result = sasl_conf_get(setup->file, option);
	if (*result == NULL)
		return SASL_FAIL;
	if (len != NULL)
		*len = (unsigned int)strlen(*result);
	return SASL_OK;
}

/* Client text may be in it; what it says at SASL_LOG_TRACE, secrets are. */
static int
hear(void *context, int level, const char *message)
{
	char shown[SHOWN];

	(void)context;
	text_printable(text_of(message), shown, sizeof(shown));
	if (level == SASL_LOG_ERR || level == SASL_LOG_FAIL ||
	    level == SASL_LOG_WARN)
		log_warnx("SASL: %s", shown);
	else if (level == SASL_LOG_NOTE)
		log_debug("sasl=\"%s\"", shown);
	return SASL_OK;
}

typedef int callback(void);

/* The library has one type for all callbacks and knows better by the id. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type takes none */
#define CALLBACK(id, function, type)                                           \
	{                                                                      \
		id,                                                            \
		    ((union {                                                  \
			    type *in;                                          \
			    callback *out;                                     \
		    }){ .in = (function) })                                    \
		        .out,                                                  \
		    NULL                                                       \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

/*
 * The library asks what a name is to be before it asks for a password, with
 * any mechanism.
 */
static int
hear_user(sasl_conn_t *conn, void *context, const char *in, unsigned int len,
    unsigned int flags, const char *realm, char *out, unsigned int max,
    unsigned int *out_len)
{
	struct dialogue *d = context;
	size_t n = len < sizeof(d->user) ? len : sizeof(d->user) - 1;

	(void)conn;
	(void)realm;
	if (len > max)
		return SASL_BUFOVER;
	memmove(out, in, len);
	*out_len = len;
	if ((flags & SASL_CU_AUTHID) == 0 || memchr(in, '\0', n) != NULL)
		return SASL_OK;
	/* As he wrote it: the library asks again with a realm behind it. */
	if (d->user[0] == '\0') {
		memcpy(d->user, in, n);
		d->user[n] = '\0';
	}
	if (n == 0 || d->may_ask == NULL ||
	    d->may_ask(d->arg, text_of(d->user)))
		return SASL_OK;
	d->turned = true;
	return SASL_BADAUTH;
}

void
sasl_open(const struct sasl_setup *s)
{
	static sasl_callback_t callbacks[3];
	int rc;

	callbacks[0] = (sasl_callback_t)CALLBACK(
	    SASL_CB_GETOPT, get_option, sasl_getopt_t);
	callbacks[1] = (sasl_callback_t)CALLBACK(SASL_CB_LOG, hear, sasl_log_t);
	callbacks[2] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	setup = s;
	/* Passwords: the library's copies, and those of sasldb's pages. */
	sasl_set_alloc(malloc, calloc, wipe_realloc, wipe_free);
	(void)mallopt(M_PERTURB, FREED_FILL);
	/* Without a name it looks for no file of its own. */
	rc = sasl_server_init(callbacks, NULL);
	if (rc != SASL_OK)
		fatalx("Cyrus SASL cannot be used: %s",
		    sasl_errstring(rc, NULL, NULL));
}

static unsigned int
security_flags(void)
{
	static const struct {
		int bit;
		unsigned int flag;
	} flags[] = {
		{ CONF_SASL_NOPLAINTEXT, SASL_SEC_NOPLAINTEXT },
		{ CONF_SASL_NOACTIVE, SASL_SEC_NOACTIVE },
		{ CONF_SASL_NODICTIONARY, SASL_SEC_NODICTIONARY },
		{ CONF_SASL_FORWARD_SECRECY, SASL_SEC_FORWARD_SECRECY },
		{ CONF_SASL_NOANONYMOUS, SASL_SEC_NOANONYMOUS },
		{ CONF_SASL_MUTUAL_AUTH, SASL_SEC_MUTUAL_AUTH },
	};
	struct text rest = text_of(setup->conf->sasl_security_options), word;
	unsigned int result = SASL_SEC_NOANONYMOUS; /* whatever it says */
	size_t i;
	int bit;

	while ((bit = conf_sasl_option(&rest, &word)) > 0)
		for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
			if (flags[i].bit == bit)
				result |= flags[i].flag;
	return result;
}

/* No security layer of SASL's own: TLS is outside. */
static int
set_properties(sasl_conn_t *conn, unsigned int ssf)
{
	sasl_security_properties_t p = { .max_ssf = 0,
		.security_flags = security_flags() };
	sasl_ssf_t external = ssf;

	if (sasl_setprop(conn, SASL_SEC_PROPS, &p) != SASL_OK ||
	    sasl_setprop(conn, SASL_SSF_EXTERNAL, &external) != SASL_OK)
		return -1;
	return 0;
}

/* "192.0.2.1;993", as the library has it. */
static const char *
name_address(const struct addr *a, char dst[static ADDR_STRLEN + PORT_LEN])
{
	size_t n;

	if (a == NULL || a->sa.sa_family == AF_UNSPEC)
		return NULL;
	addr_print_host(a, dst);
	n = strlen(dst);
	(void)snprintf(dst + n, ADDR_STRLEN + PORT_LEN - n, ";%u",
	    (unsigned int)addr_port(a));
	return dst;
}

struct dialogue *
dialogue_new(
    const struct addr *client, const struct addr *local, unsigned int ssf)
{
	char here[ADDR_STRLEN + PORT_LEN], there[ADDR_STRLEN + PORT_LEN];
	struct dialogue *d = xcalloc(1, sizeof(*d));
	int rc;

	d->callbacks[0] = (sasl_callback_t)CALLBACK(
	    SASL_CB_CANON_USER, hear_user, sasl_canon_user_t);
	d->callbacks[0].context = d;
	d->callbacks[1] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	rc = sasl_server_new(setup->service, setup->conf->hostname,
	    setup->conf->sasl_local_domain, name_address(local, here),
	    name_address(client, there), d->callbacks, 0, &d->conn);
	if (rc == SASL_OK && set_properties(d->conn, ssf) == 0)
		return d;
	log_warnx("SASL: no new dialogue: %s", sasl_errstring(rc, NULL, NULL));
	dialogue_free(&d);
	return NULL;
}

void
dialogue_guard(struct dialogue *d, dialogue_may_ask *may_ask, void *arg)
{
	d->may_ask = may_ask;
	d->arg = arg;
}

bool
dialogue_turned(const struct dialogue *d)
{
	return d->turned;
}

struct text
dialogue_user(const struct dialogue *d)
{
	return text_of(d->user);
}

void
dialogue_free(struct dialogue **dp)
{
	struct dialogue *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	sasl_dispose(&d->conn);
	free(d);
	wipe_stack();
}

void
sasl_mechanisms(char dst[static MSG_MECHS_MAX + 1])
{
	struct dialogue *d = dialogue_new(NULL, NULL, LISTED_SSF);
	struct text model = text_of(sasl_conf_get(setup->file, "mech_list"));
	char all[MSG_MECHS_MAX + 1];
	const char *list;

	dst[0] = '\0';
	if (d == NULL)
		return;
	if (sasl_listmech(d->conn, NULL, "", " ", "", &list, NULL, NULL) ==
	        SASL_OK &&
	    strlcpy(all, list, sizeof(all)) < sizeof(all)) {
		if ((security_flags() & SASL_SEC_NOPLAINTEXT) == 0)
			sasl_conf_add_login(all, sizeof(all), model);
		sasl_conf_sort(text_of(all), model, dst);
	}
	dialogue_free(&d);
}

/* Nothing but sasldb, which leaves no descriptor behind, is asked. */
static bool
asks_no_daemon(void)
{
	const char *plugin = sasl_conf_get(setup->file, "auxprop_plugin");
	const char *method = sasl_conf_get(setup->file, "pwcheck_method");

	return plugin != NULL && strcmp(plugin, "sasldb") == 0 &&
	    (method == NULL || strcmp(method, "auxprop") == 0);
}

/* -1: no matter. */
static int
first_free_fd(void)
{
	int fd;

	if (asks_no_daemon())
		return -1;
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd != -1)
		close(fd);
	return fd;
}

/*
 * libsasl2 2.1.28 forgets its socket when saslauthd is not there or hangs up
 * (lib/checkpw.c).  It is the one that a step begins with, and nothing else
 * of a step stays open; plugins that have connections are another matter.
 */
static void
close_forgotten(struct dialogue *d)
{
	if (!setup->conf->sasl_network && d->free_fd != -1 &&
	    first_free_fd() != d->free_fd)
		close(d->free_fd);
}

/* Whose they are.  A name that could be two lines elsewhere is nobody's. */
static enum sasl_result
user_of(struct dialogue *d, struct text *out)
{
	const void *name = NULL;
	size_t i;

	if (sasl_getprop(d->conn, SASL_USERNAME, &name) != SASL_OK ||
	    name == NULL)
		return AUTH_UNAVAILABLE;
	*out = text_of(name);
	for (i = 0; i < out->len; i++)
		if ((unsigned char)out->p[i] < ' ' || out->p[i] == 0x7f)
			break;
	if (i == out->len && i > 0 && i <= MSG_NAME_MAX)
		return AUTH_OK;
	*out = TEXT_NONE;
	return AUTH_FAILED;
}

/* What a code of the library means to a client. */
static enum sasl_result
meaning(struct dialogue *d, int rc, struct text *out)
{
	char shown[SHOWN];

	switch (rc) {
	case SASL_OK:
		return user_of(d, out);
	case SASL_CONTINUE:
		return AUTH_CHALLENGE;
	case SASL_BADAUTH:
	case SASL_NOAUTHZ:
	case SASL_NOUSER:
	case SASL_EXPIRED:
	case SASL_DISABLED:
	case SASL_TOOWEAK:
	case SASL_TRANS:
	case SASL_PWLOCK:
	case SASL_WEAKPASS:
	case SASL_NOUSERPASS:
	case SASL_BADBINDING:
		return AUTH_FAILED;
	case SASL_BADPROT:
	case SASL_BADPARAM:
		return AUTH_BAD_PROTOCOL;
	case SASL_NOMECH:
	case SASL_WRONGMECH:
	case SASL_ENCRYPT: /* noplaintext, and no TLS around it */
		return AUTH_NO_MECHANISM;
	default: /* no saslauthd is SASL_FAIL */
		break;
	}
	text_printable(text_of(sasl_errdetail(d->conn)), shown, sizeof(shown));
	log_warnx("SASL: a login could not be decided: %s", shown);
	return AUTH_UNAVAILABLE;
}

/* A step's result, with what the library wants the client to see. */
static enum sasl_result
result_of(struct dialogue *d, int rc, const char *data, unsigned int len,
    struct text *out)
{
	enum sasl_result r;

	*out = TEXT_NONE;
	r = meaning(d, rc, out);
	if (r == AUTH_CHALLENGE && len > MSG_SASL_MAX)
		r = AUTH_UNAVAILABLE;
	if (r == AUTH_UNAVAILABLE)
		close_forgotten(d);
	if (r == AUTH_CHALLENGE && data != NULL)
		*out = (struct text){ data, len };
	wipe_stack();
	return r;
}

enum sasl_result
dialogue_start(struct dialogue *d, struct text mechanism, bool has_initial,
    struct text initial, struct text *out)
{
	char name[MSG_MECHANISM_MAX + 1];
	const char *data = NULL;
	unsigned int len = 0;
	int rc;

	*out = TEXT_NONE;
	if (mechanism.len == 0 || mechanism.len > MSG_MECHANISM_MAX ||
	    text_has(mechanism, '\0'))
		return AUTH_NO_MECHANISM;
	memcpy(name, mechanism.p, mechanism.len);
	name[mechanism.len] = '\0';
	d->free_fd = first_free_fd();
	/* An empty initial response is one; none is NULL. */
	if (has_initial && initial.p == NULL)
		initial.p = "";
	rc = sasl_server_start(d->conn, name, has_initial ? initial.p : NULL,
	    has_initial ? (unsigned int)initial.len : 0, &data, &len);
	return result_of(d, rc, data, len, out);
}

enum sasl_result
dialogue_step(struct dialogue *d, struct text answer, struct text *out)
{
	const char *data = NULL;
	unsigned int len = 0;
	int rc;

	d->free_fd = first_free_fd();
	rc = sasl_server_step(d->conn, answer.p != NULL ? answer.p : "",
	    (unsigned int)answer.len, &data, &len);
	return result_of(d, rc, data, len, out);
}

static bool
is_string(struct text t)
{
	return t.len > 0 && !text_has(t, '\0') && !text_has(t, '\r') &&
	    !text_has(t, '\n');
}

enum sasl_result
dialogue_check(struct dialogue *d, struct text name, struct text password,
    struct text *out)
{
	char *user, *secret;
	int rc;

	*out = TEXT_NONE;
	/* An empty password is "anonymous" to some (RFC 4513 5.1.2). */
	if (!is_string(name) || !is_string(password))
		return AUTH_FAILED;
	d->free_fd = first_free_fd();
	/* Verifiers of the library count on a NUL behind each. */
	user = xstrndup(name.p, name.len);
	secret = xstrndup(password.p, password.len);
	rc = sasl_checkpass(d->conn, user, (unsigned int)name.len, secret,
	    (unsigned int)password.len);
	freezero(secret, password.len);
	free(user);
	return result_of(d, rc, NULL, 0, out);
}
