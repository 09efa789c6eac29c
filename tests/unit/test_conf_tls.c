/* SPDX-License-Identifier: ISC */
/*
 * TLS versions and OpenSSL cipher strings, and what GnuTLS makes of the
 * priority strings that come of them.
 */
#include <stdlib.h>
#include <gnutls/gnutls.h>

#include "conf_cipher.h"
#include "conf_fixture.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define SERVER "outgoing_server 192.168.0.5\n"

/* A string, old versions allowed, ciphers and certificates or the reason. */
static const struct {
	const char *string;
	bool cbc;
	const char *out;
} strings[] = {
	{ "ALL", false, "A256 A128 CC rsa ecdsa" },
	{ "ALL", true, "A256 A128 CC CBC256 CBC128 rsa ecdsa" },
	{ "DEFAULT", false, "A256 A128 CC rsa ecdsa" },
	{ "HIGH", false, "A256 A128 CC rsa ecdsa" },
	{ "HIGH:!aNULL:!MD5:!RC4:!3DES", false, "A256 A128 CC rsa ecdsa" },
	{ "ALL:!LOW:!EXP:!SSLv2:+HIGH:@STRENGTH", false,
	    "A256 CC A128 rsa ecdsa" },
	{ "EECDH+AESGCM", false, "A256 A128 rsa ecdsa" },
	{ "EECDH+AESGCM:EDH+AESGCM", false, "A256 A128 rsa ecdsa" },
	{ "ECDHE+CHACHA20:ECDHE+AESGCM", false, "CC A256 A128 rsa ecdsa" },
	{ "AES128+AESGCM,HIGH", false, "A128 A256 CC rsa ecdsa" },
	{ "HIGH;!CHACHA20", false, "A256 A128 rsa ecdsa" },
	{ "HIGH:-AES128:AES128", false, "A256 CC A128 rsa ecdsa" },
	{ "HIGH:+AESGCM", false, "CC A256 A128 rsa ecdsa" },
	{ "!AES128:HIGH:AES128", false, "A256 CC rsa ecdsa" },
	{ "HIGH:!ECDSA", false, "A256 A128 CC rsa" },
	{ "HIGH:!aRSA", false, "A256 A128 CC ecdsa" },
	{ "HIGH:!SHA1", true, "A256 A128 CC rsa ecdsa" },
	{ "TLSv1.2+HIGH", true, "A256 A128 CC rsa ecdsa" },
	{ "DEFAULT@SECLEVEL=1", false, "A256 A128 CC rsa ecdsa" },
	{ "HIGH!CHACHA20@STRENGTH", false, "A256 A128 rsa ecdsa" },
	{ "DEFAULT:@SECLEVEL=1", false, "A256 A128 CC rsa ecdsa" },
	{ "DEFAULT:@SECLEVEL=5", false, "? cannot be followed here" },
	{ "DEFAULT:@WHAT", false, "? cannot be followed here" },
	/* Mozilla's "intermediate", what is left of it. */
	{ "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
	  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
	  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
	  "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384",
	    false, "A128 A256 CC rsa ecdsa" },
	{ "ECDHE-RSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384", false,
	    "A256 rsa" },
	{ "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256", true,
	    "CBC128 A128 rsa" },
	/* what cannot be */
	{ "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", false,
	    "? has other ciphers" },
	{ "kRSA", false, "? leaves no suite" },
	{ "DHE-RSA-AES256-SHA:AES256-SHA:DES-CBC3-SHA", false,
	    "? leaves no suite" },
	{ "ECDHE-RSA-AES128-SHA", false, "? leaves no suite" },
	{ "!aNULL", false, "? leaves no suite" },
	{ "", false, "? leaves no suite" },
	{ "HIGH:!aNUL", false, "? is not known here" },
	{ "HIGH:!", false, "? is not known here" },
	{ "HIGH+", false, "? is not known here" },
	{ "ECDHE-RSA-AES257-GCM-SHA384", false, "? is not known here" },
	{ "high", false, "? is not known here" },
};

static const char *const cipher_names[] = { [CIPHER_AES_256_GCM] = "A256",
	[CIPHER_AES_128_GCM] = "A128",
	[CIPHER_CHACHA20_POLY1305] = "CC",
	[CIPHER_AES_256_CBC] = "CBC256",
	[CIPHER_AES_128_CBC] = "CBC128" };

static void
test_strings(void **state)
{
	struct conf_ciphers c;
	const char *why;
	struct text word;
	char out[256];
	size_t i, j;

	(void)state;
	for (i = 0; i < nitems(strings); i++) {
		why = conf_cipher_map(
		    text_of(strings[i].string), strings[i].cbc, &c, &word);
		out[0] = '\0';
		for (j = 0; why == NULL && j < c.n; j++) {
			strlcat(out, cipher_names[c.order[j]], sizeof(out));
			strlcat(out, " ", sizeof(out));
		}
		if (why != NULL)
			snprintf(out, sizeof(out), "? %s", why);
		else
			strlcat(out,
			    c.rsa && c.ecdsa ? "rsa ecdsa"
			        : c.rsa      ? "rsa"
			                     : "ecdsa",
			    sizeof(out));
		if (strncmp(out, strings[i].out, strlen(strings[i].out)) != 0)
			print_message("case: %s\n", strings[i].string);
		/* Of a reason the beginning will do. */
		if (why != NULL)
			out[strnlen(strings[i].out, sizeof(out) - 1)] = '\0';
		assert_string_equal(out, strings[i].out);
	}
}

/* Any octets at all: an answer, and no more than that. */
static void
test_every_cut(void **state)
{
	struct conf_ciphers c;
	struct text word;
	size_t i, n;
	char *copy;

	(void)state;
	for (i = 0; i < nitems(strings); i++) {
		for (n = 1; n <= strlen(strings[i].string); n++) {
			copy = xmalloc(n);
			memcpy(copy, strings[i].string, n);
			conf_cipher_map(
			    (struct text){ copy, n }, true, &c, &word);
			free(copy);
		}
	}
}

/* Lines behind an outgoing_server, then errors and a message. */
static const struct {
	const char *in;
	unsigned int errors;
	const char *message;
} versions[] = {
	{ "", 0, NULL },
	{ "ssl_listen_min_proto_version tlsv1.3", 0, NULL },
	{ "ssl_listen_min_proto_version TLSv1.2", 0, NULL },
	{ "ssl_listen_min_proto_version tlsv1.1", 0,
	    "W t.conf:2: ssl_listen_min_proto_version: clients get tlsv1.2" },
	{ "ssl_outgoing_min_proto_version tlsv1", 0,
	    "W t.conf:2: ssl_outgoing_min_proto_version allows" },
	{ "ssl_listen_min_proto_version sslv3", 1, "SSL 3.0 is broken" },
	{ "ssl_outgoing_max_proto_version sslv3", 1, "SSL 3.0 is broken" },
	{ "ssl_listen_min_proto_version tls", 1, "takes tlsv1, tlsv1.1" },
	{ "ssl_listen_min_proto_version \"\"", 1, "must not be empty" },
	{ "ssl_listen_max_proto_version \"\"", 0, NULL },
	{ "ssl_listen_max_proto_version tlsv1.2", 0, NULL },
	{ "ssl_listen_max_proto_version tlsv1.1", 1,
	    "ssl_listen_max_proto_version is below" },
	{ "ssl_listen_ciphers HIGH:!aNULL", 0, NULL },
	{ "ssl_listen_ciphers HIGH:!FOO", 1,
	    "t.conf:2: ssl_listen_ciphers: \"!FOO\" is not known here" },
	{ "ssl_outgoing_ciphers kRSA", 1, "\"kRSA\" leaves no suite" },
	{ "ssl_listen_ciphers ECDHE-RSA-AES128-SHA", 1, "leaves no suite" },
	{ "ssl_outgoing_ciphers ECDHE-RSA-AES128-SHA\n"
	  "ssl_outgoing_min_proto_version tlsv1",
	    1, "nothing for TLS 1.2 and later" },
	{ "ssl_outgoing_ciphers ECDHE-RSA-AES128-SHA\n"
	  "ssl_outgoing_min_proto_version tlsv1\n"
	  "ssl_outgoing_max_proto_version tlsv1.1",
	    0, "given up" },
};

static void
check_priority(const char *priority)
{
	gnutls_priority_t p;
	const char *bad;

	if (gnutls_priority_init(&p, priority, &bad) != GNUTLS_E_SUCCESS)
		fail_msg("%s: wrong at %s", priority, bad);
	gnutls_priority_deinit(p);
}

static void
test_versions(void **state)
{
	struct said said;
	struct conf *c;
	char *in;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(versions); i++) {
		in = xasprintf("%s%s", SERVER, versions[i].in);
		c = fixture_settled(&said, in, NULL);
		fixture_check(
		    in, &said, versions[i].errors, versions[i].message);
		if (said.errors == 0) {
			check_priority(c->listen_priority);
			check_priority(c->outgoing_priority);
		}
		conf_free(&c);
		free(in);
	}
}

/* GnuTLS's own list of the suites in a priority string, in its order. */
static void
list_suites(const char *priority, char *out, size_t size)
{
	gnutls_priority_t p;
	unsigned int i, index;
	const char *name;

	assert_int_equal(gnutls_priority_init(&p, priority, NULL), 0);
	out[0] = '\0';
	for (i = 0;; i++) {
		int r = gnutls_priority_get_cipher_suite_index(p, i, &index);

		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (r != GNUTLS_E_SUCCESS)
			continue; /* a combination that is no suite */
		name = gnutls_cipher_suite_info(
		    index, NULL, NULL, NULL, NULL, NULL);
		strlcat(out, name, size);
		strlcat(out, " ", size);
	}
	gnutls_priority_deinit(p);
}

static const struct {
	const char *in;
	bool outgoing; /* which leg is looked at */
	const char *suites;
} offers[] = {
	{ "", false,
	    "TLS_AES_256_GCM_SHA384 TLS_AES_128_GCM_SHA256 "
	    "TLS_CHACHA20_POLY1305_SHA256 "
	    "TLS_ECDHE_ECDSA_AES_256_GCM_SHA384 "
	    "TLS_ECDHE_ECDSA_AES_128_GCM_SHA256 "
	    "TLS_ECDHE_ECDSA_CHACHA20_POLY1305 "
	    "TLS_ECDHE_RSA_AES_256_GCM_SHA384 "
	    "TLS_ECDHE_RSA_AES_128_GCM_SHA256 "
	    "TLS_ECDHE_RSA_CHACHA20_POLY1305 " },
	{ "ssl_listen_min_proto_version tlsv1.3", false,
	    "TLS_AES_256_GCM_SHA384 TLS_AES_128_GCM_SHA256 "
	    "TLS_CHACHA20_POLY1305_SHA256 " },
	{ "ssl_listen_max_proto_version tlsv1.2\n"
	  "ssl_listen_ciphers AES128+AESGCM+aRSA",
	    false, "TLS_ECDHE_RSA_AES_128_GCM_SHA256 " },
	{ "ssl_outgoing_max_proto_version tlsv1.1\n"
	  "ssl_outgoing_min_proto_version tlsv1\nssl_outgoing_ciphers aRSA",
	    true,
	    "TLS_ECDHE_RSA_AES_256_CBC_SHA1 "
	    "TLS_ECDHE_RSA_AES_128_CBC_SHA1 " },
};

static void
test_offers(void **state)
{
	char out[2048];
	struct said said;
	struct conf *c;
	char *in;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(offers); i++) {
		in = xasprintf("%s%s", SERVER, offers[i].in);
		c = fixture_settled(&said, in, NULL);
		list_suites(offers[i].outgoing ? c->outgoing_priority
		                               : c->listen_priority,
		    out, sizeof(out));
		assert_string_equal(out, offers[i].suites);
		conf_free(&c);
		free(in);
	}
}

/* Groups in our order, versions from the top, no SHA-1, and who decides. */
static void
test_default_string(void **state)
{
	const unsigned int *groups;
	gnutls_priority_t p;
	struct said said;
	struct conf *c = fixture_settled(&said, SERVER, NULL);

	(void)state;
	assert_int_equal(gnutls_priority_init(&p, c->listen_priority, NULL), 0);
	assert_int_equal(gnutls_priority_group_list(p, &groups), 3);
	assert_int_equal(groups[0], GNUTLS_GROUP_X25519);
	assert_int_equal(groups[1], GNUTLS_GROUP_SECP256R1);
	assert_int_equal(gnutls_priority_protocol_list(p, &groups), 2);
	assert_int_equal(groups[0], GNUTLS_TLS1_3);
	assert_int_equal(groups[1], GNUTLS_TLS1_2);
	assert_int_equal(gnutls_priority_mac_list(p, &groups), 1);
	assert_int_equal(groups[0], GNUTLS_MAC_AEAD);
	gnutls_priority_deinit(p);
	assert_non_null(strstr(c->listen_priority, "%SERVER_PRECEDENCE"));
	assert_null(strstr(c->outgoing_priority, "%SERVER_PRECEDENCE"));
	assert_false(c->listen_tls13_only);
	conf_free(&c);

	c = fixture_settled(&said,
	    SERVER "ssl_no_cipher_server_preference\n"
	           "ssl_listen_min_proto_version tlsv1.3\n",
	    NULL);
	assert_null(strstr(c->listen_priority, "%SERVER_PRECEDENCE"));
	assert_true(c->listen_tls13_only);
	conf_free(&c);
}

static void
test_no_sha1_signatures(void **state)
{
	const unsigned int *kinds;
	gnutls_priority_t p;
	struct said said;
	struct conf *c = fixture_settled(&said, SERVER, NULL);
	int i, n;

	(void)state;
	assert_int_equal(gnutls_priority_init(&p, c->listen_priority, NULL), 0);
	n = gnutls_priority_sign_list(p, &kinds);
	assert_true(n > 0);
	for (i = 0; i < n; i++)
		assert_true(
		    gnutls_sign_is_secure((gnutls_sign_algorithm_t)kinds[i]));
	gnutls_priority_deinit(p);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_default_string),
		cmocka_unit_test(test_no_sha1_signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
