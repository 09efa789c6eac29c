/* SPDX-License-Identifier: ISC */
/*
 * conf_tls: the directives on TLS versions and ciphers to GnuTLS priority
 * strings.  Runs in the master, to check them, and in the workers; it writes
 * strings and knows nothing of GnuTLS but their words.
 */
#include <stdlib.h>

#include "buf.h"
#include "conf_cipher.h"
#include "conf_settle.h"
#include "log.h"
#include "xmalloc.h"

#define PRIORITY_MAX 1024

enum version { VERSION_10, VERSION_11, VERSION_12, VERSION_13, VERSIONS };

static const struct {
	const char *word; /* Perdition's */
	const char *priority;
} versions[VERSIONS] = {
	[VERSION_10] = { "tlsv1", "VERS-TLS1.0" },
	[VERSION_11] = { "tlsv1.1", "VERS-TLS1.1" },
	[VERSION_12] = { "tlsv1.2", "VERS-TLS1.2" },
	[VERSION_13] = { "tlsv1.3", "VERS-TLS1.3" },
};

static const char *const cipher_priorities[CIPHER_MAX] = {
	[CIPHER_AES_256_GCM] = "AES-256-GCM",
	[CIPHER_AES_128_GCM] = "AES-128-GCM",
	[CIPHER_CHACHA20_POLY1305] = "CHACHA20-POLY1305",
	[CIPHER_AES_256_CBC] = "AES-256-CBC",
	[CIPHER_AES_128_CBC] = "AES-128-CBC",
};

/* The directives of one leg. */
struct leg {
	const char *min, *max, *ciphers;
	enum version floor;
};

/* Before 1.2 a server signs MD5 and SHA-1 digests, which no keeper does. */
static const struct leg listen_leg = { "ssl_listen_min_proto_version",
	"ssl_listen_max_proto_version", "ssl_listen_ciphers", VERSION_12 };
static const struct leg outgoing_leg = { "ssl_outgoing_min_proto_version",
	"ssl_outgoing_max_proto_version", "ssl_outgoing_ciphers", VERSION_10 };

static int
version_of(struct conf *c, const char *name, enum version *v)
{
	struct text word = text_of(conf_text(c, name));
	int i;

	for (i = 0; i < VERSIONS; i++) {
		if (text_caseeq(word, versions[i].word)) {
			*v = (enum version)i;
			return 0;
		}
	}
	if (text_caseeq(word, "sslv3"))
		conf_error(c, conf_where(c, name),
		    "%s sslv3: SSL 3.0 is broken (RFC 7568) and not to be "
		    "had; tlsv1 is the least",
		    name);
	else
		conf_error(c, conf_where(c, name),
		    "%s takes tlsv1, tlsv1.1, tlsv1.2 or tlsv1.3, not \"%s\"",
		    name, CONF_SHOW(word));
	return -1;
}

/* From which version to which.  -1: reported. */
static int
version_range(
    struct conf *c, const struct leg *leg, enum version *min, enum version *max)
{
	*max = VERSION_13;
	if (version_of(c, leg->min, min) == -1)
		return -1;
	if (*conf_text(c, leg->max) != '\0' &&
	    version_of(c, leg->max, max) == -1)
		return -1;
	if (*min < leg->floor) {
		conf_warn(c, conf_where(c, leg->min),
		    "%s: clients get %s at least; what was before has been "
		    "given up (RFC 8996)",
		    leg->min, versions[leg->floor].word);
		*min = leg->floor;
	}
	if (*min > *max) {
		conf_error(c, conf_where(c, leg->max),
		    "%s is below the least version, which is %s", leg->max,
		    versions[*min].word);
		return -1;
	}
	if (*min < VERSION_12)
		conf_warn(c, conf_where(c, leg->min),
		    "%s allows versions of TLS that have been given up (RFC "
		    "8996), and CBC ciphers for their sake",
		    leg->min);
	return 0;
}

/* Which ciphers.  -1: reported. */
static int
cipher_choice(struct conf *c, const struct leg *leg, enum version min,
    enum version max, struct conf_ciphers *out)
{
	const char *string = conf_text(c, leg->ciphers);
	const char *why;
	struct text word;
	size_t i;

	if (string == NULL) {
		conf_cipher_default(min < VERSION_12, out);
		return 0;
	}
	why = conf_cipher_map(text_of(string), min < VERSION_12, out, &word);
	if (why != NULL) {
		conf_error(c, conf_where(c, leg->ciphers), "%s: \"%s\" %s",
		    leg->ciphers, CONF_SHOW(word), why);
		return -1;
	}
	for (i = 0; i < out->n; i++) {
		if (out->order[i] <= CIPHER_CHACHA20_POLY1305 ||
		    max < VERSION_12)
			return 0;
	}
	conf_error(c, conf_where(c, leg->ciphers),
	    "%s has nothing for TLS 1.2 and later: add AES-GCM or ChaCha20",
	    leg->ciphers);
	return -1;
}

static void
put(struct buf *b, const char *prefix, const char *word)
{
	if (buf_printf(b, "%s%s", prefix, word) == -1)
		fatalx("conf: a priority string does not fit");
}

/*
 * NORMAL less everything we have an opinion on, then what we want in our
 * order.  The groups must be said: with %SERVER_PRECEDENCE alone GnuTLS puts
 * P-256 first and costs X25519 clients a HelloRetryRequest.
 */
static void
write_priority(struct buf *b, enum version min, enum version max,
    const struct conf_ciphers *ciphers, bool precedence)
{
	size_t i;
	int v;

	put(b, "NORMAL", ":-VERS-ALL");
	for (v = (int)max; v >= (int)min; v--)
		put(b, ":+", versions[v].priority);
	put(b, ":-KX-ALL", ciphers->ecdsa ? ":+ECDHE-ECDSA" : "");
	put(b, "", ciphers->rsa ? ":+ECDHE-RSA" : "");
	put(b, ":-GROUP-ALL",
	    ":+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1");
	put(b, ":-CIPHER-ALL", "");
	for (i = 0; i < ciphers->n; i++)
		put(b, ":+", cipher_priorities[ciphers->order[i]]);
	put(b, ":-MAC-ALL:+AEAD", min < VERSION_12 ? ":+SHA1" : "");
	put(b, ":-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1", ":-SIGN-DSA-SHA1");
	put(b, "", precedence ? ":%SERVER_PRECEDENCE" : "");
}

/* A leg's string, NULL when there is none to be had. */
static char *
priority(
    struct conf *c, const struct leg *leg, bool precedence, bool *tls13_only)
{
	struct conf_ciphers ciphers;
	enum version min, max;
	struct buf b;
	char *s;

	if (version_range(c, leg, &min, &max) == -1 ||
	    cipher_choice(c, leg, min, max, &ciphers) == -1)
		return NULL;
	*tls13_only = min == VERSION_13;
	buf_init(&b, PRIORITY_MAX);
	write_priority(&b, min, max, &ciphers, precedence);
	s = xstrndup(buf_view(&b).p, buf_view(&b).len);
	buf_free(&b);
	return s;
}

void
conf_settle_tls(struct conf *c)
{
	bool outgoing_tls13_only;

	free(c->listen_priority);
	free(c->outgoing_priority);
	c->listen_priority = priority(c, &listen_leg,
	    !conf_flag(c, "ssl_no_cipher_server_preference"),
	    &c->listen_tls13_only);
	c->outgoing_priority =
	    priority(c, &outgoing_leg, false, &outgoing_tls13_only);
}
