/* SPDX-License-Identifier: ISC */
/*
 * pki: certificates and keys for the tests of TLS, made in memory; a keeper
 * in a child process; records between two ends.  Each test includes what it
 * needs: hence static inline.
 */
#ifndef PKI_H
#define PKI_H

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "handover.h"
#include "keeper_sign.h"
#include "msg.h"
#include "text.h"
#include "tls_key.h"
#include "xmalloc.h"

#define DAY 86400L

struct pki {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t x;
	char cert[8192], key[8192]; /* PEM; cert may get a chain */
};

/* What a certificate is to be like; zero: a server's for a year. */
struct pki_wish {
	gnutls_pk_algorithm_t pk; /* 0: ECDSA */
	unsigned int bits;        /* 0: P-256, or 2048 for RSA */
	const char *names[3];     /* DNS names; the first is the CN, too */
	const char *ip;
	long from, until; /* seconds from now; 0: a day and a year */
	int is_ca;
	const char *purpose;      /* extended key usage; NULL: none */
	const struct pki *issuer; /* NULL: self-signed */
};

static inline void
pki_ok(int error)
{
	if (error < 0) {
		fprintf(stderr, "pki: %s\n", gnutls_strerror(error));
		abort();
	}
}

static inline void
pki_names(gnutls_x509_crt_t crt, const struct pki_wish *w)
{
	unsigned char ip[16];
	size_t i;

	for (i = 0; i < 3 && w->names[i] != NULL; i++)
		pki_ok(gnutls_x509_crt_set_subject_alt_name(crt,
		    GNUTLS_SAN_DNSNAME, w->names[i],
		    (unsigned int)strlen(w->names[i]), GNUTLS_FSAN_APPEND));
	if (w->names[0] != NULL)
		pki_ok(gnutls_x509_crt_set_dn_by_oid(crt,
		    GNUTLS_OID_X520_COMMON_NAME, 0, w->names[0],
		    (unsigned int)strlen(w->names[0])));
	if (w->ip != NULL && inet_pton(AF_INET, w->ip, ip) == 1)
		pki_ok(gnutls_x509_crt_set_subject_alt_name(
		    crt, GNUTLS_SAN_IPADDRESS, ip, 4, GNUTLS_FSAN_APPEND));
	if (w->ip != NULL && inet_pton(AF_INET6, w->ip, ip) == 1)
		pki_ok(gnutls_x509_crt_set_subject_alt_name(
		    crt, GNUTLS_SAN_IPADDRESS, ip, 16, GNUTLS_FSAN_APPEND));
}

static inline void
pki_sign(struct pki *p, const struct pki_wish *w)
{
	const struct pki *by = w->issuer != NULL ? w->issuer : p;

	pki_ok(gnutls_x509_crt_set_key(p->crt, p->x));
	pki_ok(gnutls_x509_crt_sign2(p->crt, by->crt, by->x,
	    gnutls_x509_privkey_get_pk_algorithm(by->x) ==
	            GNUTLS_PK_EDDSA_ED25519
	        ? GNUTLS_DIG_SHA512
	        : GNUTLS_DIG_SHA256,
	    0));
}

static inline struct pki *
pki_new(struct pki_wish w)
{
	static unsigned char serial[8] = { 1 };
	struct pki *p = xcalloc(1, sizeof(*p));
	size_t n = sizeof(p->cert);
	time_t now = time(NULL);

	if (w.pk == 0)
		w.pk = GNUTLS_PK_ECDSA;
	if (w.bits == 0)
		w.bits = w.pk == GNUTLS_PK_RSA
		    ? 2048
		    : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
	serial[7]++;
	pki_ok(gnutls_x509_privkey_init(&p->x));
	pki_ok(gnutls_x509_privkey_generate(p->x, w.pk, w.bits, 0));
	pki_ok(gnutls_x509_crt_init(&p->crt));
	pki_ok(gnutls_x509_crt_set_version(p->crt, 3));
	pki_ok(gnutls_x509_crt_set_serial(p->crt, serial, sizeof(serial)));
	pki_ok(gnutls_x509_crt_set_activation_time(
	    p->crt, now + (w.from != 0 ? w.from : -DAY)));
	pki_ok(gnutls_x509_crt_set_expiration_time(
	    p->crt, now + (w.until != 0 ? w.until : 365 * DAY)));
	if (w.is_ca) {
		pki_ok(gnutls_x509_crt_set_basic_constraints(p->crt, 1, -1));
		pki_ok(gnutls_x509_crt_set_key_usage(
		    p->crt, GNUTLS_KEY_KEY_CERT_SIGN));
	}
	if (w.purpose != NULL)
		pki_ok(
		    gnutls_x509_crt_set_key_purpose_oid(p->crt, w.purpose, 0));
	pki_names(p->crt, &w);
	pki_sign(p, &w);
	pki_ok(
	    gnutls_x509_crt_export(p->crt, GNUTLS_X509_FMT_PEM, p->cert, &n));
	n = sizeof(p->key);
	pki_ok(gnutls_x509_privkey_export_pkcs8(
	    p->x, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, p->key, &n));
	return p;
}

static inline void
pki_free(struct pki **p)
{
	gnutls_x509_crt_deinit((*p)->crt);
	gnutls_x509_privkey_deinit((*p)->x);
	free(*p);
	*p = NULL;
}

/* A handover with these parts, of this kind, numbered from 0. */
static inline struct handover *
pki_handover(enum handover_kind kind, const char *const *pem, size_t n)
{
	struct handover *h;
	size_t i;
	int fd = handover_new("test");

	/* an empty one cannot be mapped */
	if (handover_add(fd, HANDOVER_CONF, 0, TEXT_LIT("test")) == -1)
		abort();
	for (i = 0; i < n; i++)
		if (handover_add(fd, kind, (uint16_t)i, text_of(pem[i])) == -1)
			abort();
	if (handover_seal(fd) == -1 || (h = handover_open(fd)) == NULL)
		abort();
	return h;
}

/* A keeper in little: answers on fd until its end. */
static inline void
pki_keeper_serve(int fd, struct keeper_key *const *keys, bool tls12)
{
	char in[MSG_MAX], sig[MSG_SIGNATURE_MAX];
	struct msg_sign m;
	struct msg_sign_reply reply;
	struct reader r;
	struct writer w;
	uint16_t type;
	uint32_t id;
	size_t siglen;
	ssize_t n;
	int passed;

	while (poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, -1) == 1 &&
	    (n = fdpass_recv(fd, in, sizeof(in), false, &passed)) > 0) {
		r = (struct reader){ in, (size_t)n };
		if (get_u16(&r, &type) == -1 || type != MSG_SIGN ||
		    get_u32(&r, &id) == -1 || msg_get_sign(&r, &m) == -1)
			break;
		siglen = 0;
		reply.ok = keeper_sign(keys[m.key], &m, tls12, sig, &siglen) ==
		    KEEPER_SIGNED;
		reply.signature = (struct text){ sig, siglen };
		msg_start(&w, MSG_SIGN_REPLY, id);
		msg_put_sign_reply(&w, &reply);
		if (fdpass_send(fd, w.data, w.len, -1) == -1)
			break;
	}
}

/*
 * Start one with these pairs and make it this process's keeper.  It signs
 * digests only with tls12, so that what succeeds without was laid open.
 */
static inline pid_t
pki_keeper_start(struct pki *const *pairs, size_t n, bool tls12)
{
	struct keeper_key *keys[8];
	const char *why;
	size_t i;
	pid_t pid;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1 ||
	    (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		close(fds[0]);
		for (i = 0; i < n; i++)
			keys[i] = keeper_key_new(text_of(pairs[i]->cert),
			    text_of(pairs[i]->key), TEXT_NONE, &why);
		pki_keeper_serve(fds[1], keys, tls12);
		_exit(0);
	}
	close(fds[1]);
	tls_key_set_channel(fds[0]);
	return pid;
}

static inline void
pki_keeper_stop(pid_t pid)
{
	tls_key_set_channel(-1);
	while (waitpid(pid, NULL, 0) == -1)
		;
}

/* One direction of a connection: what one end has sent, in order. */
struct wire {
	char data[1 << 18];
	size_t start, len;
};

static inline void
wire_put(void *arg, const void *p, size_t n)
{
	struct wire *w = arg;

	if (n > sizeof(w->data) - w->start - w->len)
		abort();
	memcpy(w->data + w->start + w->len, p, n);
	w->len += n;
}

static inline size_t
wire_get(struct wire *w, void *p, size_t n)
{
	if (n > w->len)
		n = w->len;
	memcpy(p, w->data + w->start, n);
	w->start += n;
	w->len -= n;
	if (w->len == 0)
		w->start = 0;
	return n;
}

#endif
