/* SPDX-License-Identifier: ISC */
/*
 * tls: GnuTLS, whose only doors are the files tls*.c and, for keys,
 * keeper_sign.c.
 *
 * A session works on memory alone: it takes records from where the caller
 * points and hands records to the caller's function, so that the caller
 * decides when the socket is read and written (one recv(2) and one send(2)
 * for many records) and one worker's buffers serve all its sessions.
 */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "handover.h"
#include "stats.h"
#include "text.h"

/* tls_error() of a handshake that began with that, and others' words. */
#define TLS_PROXY_HEADER                                                       \
	"a PROXY header, from an address that is not in proxy_protocol_from"

struct tls;
struct tls_server; /* credentials for clients: certificates, ticket keys */
struct tls_client; /* credentials towards inner servers: CAs, checks */

/* The other side of a session's records. */
struct tls_io {
	struct text in; /* records not yet taken; moves forward as they are */
	/* Take these octets of records: copy them, they do not stay. */
	void (*out)(void *arg, const void *p, size_t n);
	void *arg;
};

enum tls_result {
	TLS_OK,
	TLS_WAIT,   /* needs more records than io->in had */
	TLS_CLOSED, /* the peer said close_notify */
	TLS_FAILED  /* see tls_error() */
};

/*
 * Once per process, before any session.  From here on what GnuTLS frees is
 * wiped (passwords, secrets), but while tls_set_wiping(false): to be used
 * around calls for sessions that relay mail, where it would cost much.
 */
void tls_global_init(void);
void tls_set_wiping(bool on);

/*
 * What clients are served with: every HANDOVER_CERT of h; signatures come
 * from the keeper (tls_key.h); alpn is the protocol's one name.  What SNI asks
 * for picks the pair (tls_pairs.h).
 * fatal() on a certificate that does not parse: the keeper checked them.
 */
struct tls_server *tls_server_new(
    const struct conf *c, const struct handover *h, const char *alpn);

void tls_server_free(struct tls_server **s); /* after its sessions */

/*
 * MSG_CERTIFICATES: h's HANDOVER_ORDER from now on; handshakes that have begun
 * go on with what they chose.  -1: h is malformed.
 */
int tls_server_update(struct tls_server *s, const struct handover *h);

/*
 * MSG_TICKET_KEY: previous may be TEXT_NONE.  Tickets are issued under
 * current; one under previous still resumes, but such a session gets no new
 * ticket: the next one starts with a full handshake.
 */
void tls_server_set_ticket_key(
    struct tls_server *s, struct text current, struct text previous);

struct tls *tls_accept(struct tls_server *s);

/*
 * Towards inner servers.  NULL with *why (static) when the priority string
 * or the CAs are no good.
 */
struct tls_client *tls_client_new(
    const struct conf *c, const struct handover *h, const char **why);
void tls_client_free(struct tls_client **cl); /* after its sessions */
/* name: of the server, for SNI and the check; numeric addresses too. */
struct tls *tls_connect(struct tls_client *cl, const char *name);

void tls_free(struct tls **t);

/* TLS_OK: it is done, and the peer's certificate is good (clients). */
enum tls_result tls_handshake(struct tls *t, struct tls_io *io);

/*
 * Decrypt what io->in has into dst until it is used up or dst is full; *n
 * octets came.  TLS_OK: *n > 0 or dst is full; TLS_WAIT: *n == 0.  When dst
 * has at least io->in.len + TLS_DECRYPT_EXTRA octets, io->in is used up.
 */
bool tls_is_over(const struct tls *t); /* no more comes: it tells how */
enum tls_result tls_decrypt(
    struct tls *t, struct tls_io *io, void *dst, size_t size, size_t *n);
#define TLS_DECRYPT_EXTRA 16384 /* a record that had come in part before */

/* Encrypt all of p; never TLS_WAIT. */
enum tls_result tls_encrypt(
    struct tls *t, struct tls_io *io, const void *p, size_t n);

/* Say close_notify (one way: it is not waited for). */
void tls_bye(struct tls *t, struct tls_io *io);
/*
 * End a handshake that could go on, by the alert internal_error: "unrelated
 * to the peer" (RFC 8446 6.2).
 */
void tls_refuse(struct tls *t, struct tls_io *io);

/* A phrase for the log about the last TLS_FAILED: "no common cipher". */
const char *tls_error(const struct tls *t);

/* As they are counted (tls_count.c). */
void tls_count(const struct tls *t, enum stats_tls_version *version,
    enum stats_cipher *cipher);
/* What SASL calls a security strength factor: its cipher's key, in bits. */
uint16_t tls_strength(const struct tls *t);

/* "TLSv1.3", and the cipher suite as the IANA has it; both are static. */
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);

bool tls_resumed(const struct tls *t);
/* "TLS1.3 TLS_AES_256_GCM_SHA384 X25519"; valid while t is. */
const char *tls_describe(struct tls *t);

#endif
