/* SPDX-License-Identifier: ISC */
/*
 * tls: the session over memory: handshake, decrypt, encrypt, goodbye, and the
 * words for what went wrong.  Runs in the worker; everything that comes in is
 * from strangers and goes to GnuTLS as it is.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "proxy_header.h"
#include "tls_impl.h"
#include "tls_key.h"
#include "tls_pairs.h"
#include "wipe.h"
#include "xmalloc.h"

static bool wiping = true;

/* Stands in for free(3) within GnuTLS, which leaves secrets in freed memory. */
static void
wiping_free(void *p)
{
	if (wiping)
		wipe_free(p);
	else
		free(p);
}

/* The same for what realloc(3) would leave behind when it moves a block. */
static void *
wiping_realloc(void *p, size_t size)
{
	return wiping ? wipe_realloc(p, size) : realloc(p, size);
}

void
tls_global_init(void)
{
	if (gnutls_global_init() != 0)
		fatalx("GnuTLS cannot be used");
	gnutls_free = wiping_free;
	gnutls_realloc = wiping_realloc;
}

void
tls_set_wiping(bool on)
{
	wiping = on;
}

gnutls_datum_t
tls_datum(struct text t)
{
	union {
		const char *in;
		unsigned char *out; /* GnuTLS's datum is for both directions */
	} p = { .in = t.p };

	return (gnutls_datum_t){ p.out, (unsigned int)t.len };
}

/* GnuTLS has records to send. */
static ssize_t
push(gnutls_transport_ptr_t arg, const void *p, size_t n)
{
	struct tls *t = arg;

	t->io->out(t->io->arg, p, n);
	return (ssize_t)n;
}

/* GnuTLS wants records. */
static ssize_t
pull(gnutls_transport_ptr_t arg, void *dst, size_t n)
{
	struct tls *t = arg;
	struct text *in = &t->io->in;

	if (in->len == 0) {
		gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	if (n > in->len)
		n = in->len;
	memcpy(dst, in->p, n);
	*in = text_skip(*in, n);
	return (ssize_t)n;
}

struct tls *
tls_new(unsigned int flags, gnutls_priority_t priority,
    gnutls_certificate_credentials_t cred)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	int error;

	flags |= GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
	if ((error = gnutls_init(&t->session, flags)) != 0 ||
	    (error = gnutls_priority_set(t->session, priority)) != 0 ||
	    (error = gnutls_credentials_set(
	         t->session, GNUTLS_CRD_CERTIFICATE, cred)) != 0)
		fatalx(
		    "a TLS session cannot be made: %s", gnutls_strerror(error));
	gnutls_session_set_ptr(t->session, t);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_push_function(t->session, push);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_handshake_set_timeout(t->session, 0); /* the session has one */
	return t;
}

void
tls_free(struct tls **t)
{
	if (*t == NULL)
		return;
	gnutls_deinit((*t)->session);
	tls_transcript_free(&(*t)->transcript);
	tls_pair_release(&(*t)->pair);
	free((*t)->name);
	free((*t)->error);
	free((*t)->description);
	free(*t);
	*t = NULL;
}

void
tls_set_error(struct tls *t, const char *fmt, ...)
{
	va_list ap;

	if (t->error != NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&t->error, fmt, ap) == -1)
		fatalx("out of memory");
	va_end(ap);
}

/* Where GnuTLS's own words would not help who reads the log. */
static const struct {
	int code;
	const char *phrase;
} phrases[] = {
	{ GNUTLS_E_NO_CIPHER_SUITES,
	    "no common cipher, or none that goes with our certificate" },
	{ GNUTLS_E_INCOMPATIBLE_SIG_WITH_KEY,
	    "no common signature algorithm for our certificate" },
	{ GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM,
	    "no common signature algorithm" },
	{ GNUTLS_E_NO_COMMON_KEY_SHARE, "no common group" },
	{ GNUTLS_E_UNSUPPORTED_VERSION_PACKET,
	    "no common TLS version, or not TLS at all" },
	{ GNUTLS_E_UNEXPECTED_PACKET, "not TLS" },
	{ GNUTLS_E_UNEXPECTED_PACKET_LENGTH, "not TLS, or a malformed record" },
	{ GNUTLS_E_RECORD_OVERFLOW, "not TLS, or a malformed record" },
	{ GNUTLS_E_NO_APPLICATION_PROTOCOL,
	    "no common application protocol (ALPN)" },
	{ GNUTLS_E_INAPPROPRIATE_FALLBACK,
	    "the client fell back to an older TLS version than need be" },
	{ GNUTLS_E_PK_SIGN_FAILED, "there was no signature from the keeper" },
	{ GNUTLS_E_DECRYPTION_FAILED, "a record was damaged on its way" },
	{ GNUTLS_E_REHANDSHAKE, "the client asked for a renegotiation" },
	{ GNUTLS_E_NO_CERTIFICATE_FOUND, "the server has no certificate" },
};

static enum tls_result
fail(struct tls *t, int code)
{
	size_t i;

	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		tls_set_error(t, "the peer sent the alert \"%s\"",
		    gnutls_alert_get_name(gnutls_alert_get(t->session)));
		return TLS_FAILED;
	}
	for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].code == code)
			tls_set_error(t, "%s", phrases[i].phrase);
	tls_set_error(t, "%s", gnutls_strerror(code));
	return TLS_FAILED;
}

/* Tell the peer, too; but do not answer an alert with an alert. */
static enum tls_result
fail_aloud(struct tls *t, int code)
{
	if (code != GNUTLS_E_FATAL_ALERT_RECEIVED)
		gnutls_alert_send_appropriate(t->session, code);
	return fail(t, code);
}

/* What was needed for the handshake alone. */
static void
handshake_done(struct tls *t)
{
	tls_transcript_free(&t->transcript);
	tls_pair_release(&t->pair);
	gnutls_handshake_set_hook_function(
	    t->session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, NULL);
}

enum tls_result
tls_handshake(struct tls *t, struct tls_io *io)
{
	enum tls_result result = TLS_OK;
	int error;

	t->io = io;
	/* Should it fail, this is why. */
	if (t->server != NULL && proxy_header_look(io->in) == PROXY_OK)
		tls_set_error(t, "%s", TLS_PROXY_HEADER);
	tls_key_set_current(t->session, t->transcript);
	do
		error = gnutls_handshake(t->session);
	while (error != 0 && error != GNUTLS_E_AGAIN &&
	    !gnutls_error_is_fatal(error)); /* warnings, interruptions */
	tls_key_set_current(NULL, NULL);
	if (error == 0 && t->server != NULL)
		error = tls_server_send_ticket(t);
	if (error == GNUTLS_E_AGAIN)
		result = TLS_WAIT;
	else if (error != 0)
		result = fail_aloud(t, error);
	if (result != TLS_WAIT)
		handshake_done(t);
	t->io = NULL;
	return result;
}

/*
 * Data that came in place of an end of records: 0 when there may be more in
 * io->in, or the result.
 */
static int
no_data(struct tls *t, int code, enum tls_result *result)
{
	if (code == 0) {
		*result = TLS_CLOSED;
		return -1;
	}
	/* A client may pass over a HelloRequest (RFC 5246 7.4.1.1). */
	if (code == GNUTLS_E_REHANDSHAKE && t->client != NULL)
		return 0;
	if (code == GNUTLS_E_REHANDSHAKE) /* we do not (RFC 9325 3.5) */
		gnutls_alert_send(
		    t->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
	else if (!gnutls_error_is_fatal(code))
		return 0;
	else if (code != GNUTLS_E_FATAL_ALERT_RECEIVED)
		gnutls_alert_send_appropriate(t->session, code);
	*result = fail(t, code);
	return -1;
}

/*
 * Nothing is left in io->in nor of the record that was just read: GnuTLS,
 * which takes no octet beyond a record's, would take buffers for the next one
 * only to find that out.
 */
static bool
is_drained(const struct tls *t)
{
	return t->io->in.len == 0 &&
	    gnutls_record_check_pending(t->session) == 0;
}

enum tls_result
tls_decrypt(struct tls *t, struct tls_io *io, void *dst, size_t size, size_t *n)
{
	enum tls_result result = TLS_WAIT;
	ssize_t got;
	size_t before;

	*n = 0;
	if (t->end != TLS_OK)
		return t->end;
	t->io = io;
	while (*n < size) {
		before = io->in.len;
		got =
		    gnutls_record_recv(t->session, (char *)dst + *n, size - *n);
		if (got > 0) {
			*n += (size_t)got;
			if (is_drained(t))
				break;
			continue;
		}
		/* GnuTLS also says so after a ticket or a new key. */
		if (got == GNUTLS_E_AGAIN && io->in.len > 0 &&
		    io->in.len < before)
			continue;
		if (got == GNUTLS_E_AGAIN)
			break;
		if (no_data(t, (int)got, &result) == -1) {
			t->end = result;
			break;
		}
	}
	t->io = NULL;
	/* What was decrypted goes first; the next call tells the rest. */
	return *n > 0 || size == 0 ? TLS_OK : result;
}

bool
tls_is_over(const struct tls *t)
{
	return t->end != TLS_OK;
}

enum tls_result
tls_encrypt(struct tls *t, struct tls_io *io, const void *p, size_t n)
{
	enum tls_result result = TLS_OK;
	const char *at = p;
	ssize_t sent;

	t->io = io;
	while (n > 0) {
		sent = gnutls_record_send(t->session, at, n);
		if (sent <= 0) {
			result = fail(t, (int)sent);
			break;
		}
		at += sent;
		n -= (size_t)sent;
	}
	t->io = NULL;
	return result;
}

void
tls_bye(struct tls *t, struct tls_io *io)
{
	t->io = io;
	gnutls_bye(t->session, GNUTLS_SHUT_WR); /* nothing to do if it fails */
	t->io = NULL;
}

void
tls_refuse(struct tls *t, struct tls_io *io)
{
	t->io = io;
	gnutls_alert_send(t->session, GNUTLS_AL_FATAL, GNUTLS_A_INTERNAL_ERROR);
	t->io = NULL;
}

const char *
tls_error(const struct tls *t)
{
	return t->error != NULL ? t->error : "the connection broke";
}

bool
tls_resumed(const struct tls *t)
{
	return gnutls_session_is_resumed(t->session) != 0;
}

uint16_t
tls_strength(const struct tls *t)
{
	return (uint16_t)(8 *
	    gnutls_cipher_get_key_size(gnutls_cipher_get(t->session)));
}

const char *
tls_version(const struct tls *t)
{
	switch (gnutls_protocol_get_version(t->session)) {
	case GNUTLS_TLS1_0:
		return "TLSv1";
	case GNUTLS_TLS1_1:
		return "TLSv1.1";
	case GNUTLS_TLS1_2:
		return "TLSv1.2";
	case GNUTLS_TLS1_3:
		return "TLSv1.3";
	default:
		return "unknown"; /* not one that we offer */
	}
}

const char *
tls_cipher(const struct tls *t)
{
	const char *suite = gnutls_ciphersuite_get(t->session);

	return suite != NULL ? suite : "unknown";
}

const char *
tls_describe(struct tls *t)
{
	const char *version, *group;

	if (t->description != NULL)
		return t->description;
	version =
	    gnutls_protocol_get_name(gnutls_protocol_get_version(t->session));
	group = gnutls_group_get_name(gnutls_group_get(t->session));
	t->description = xasprintf("%s %s%s%s",
	    version != NULL ? version : "unknown", tls_cipher(t),
	    group != NULL ? " " : "", group != NULL ? group : "");
	return t->description;
}
