/* SPDX-License-Identifier: ISC */
/*
 * handover: what a role gets to know, in one sealed memfd (memfd_create(2)):
 * a sequence of parts, each a kind, a number and octets.  The master makes
 * one per role and generation and gives the very same to each process, so a
 * worker born a day later has its siblings' configuration.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum handover_kind {
	HANDOVER_CONF = 1,   /* conf_write_role() */
	HANDOVER_CERT,       /* PEM chain of pair number */
	HANDOVER_KEY,        /* PEM private key of pair number; keepers only */
	HANDOVER_NAME,       /* pair number's files, for messages */
	HANDOVER_PASSPHRASE, /* of encrypted keys; keepers only */
	HANDOVER_CA,         /* PEM certificates that inner servers chain to */
	HANDOVER_SASL_CONF,  /* Cyrus SASL's; authenticators only */
	HANDOVER_PASSWORD,   /* of outgoing_user; workers only */
	HANDOVER_FILTER,     /* sandbox_compile(); number: the role */
	HANDOVER_BORN,       /* sandbox_compile_born(); nurseries only */
	HANDOVER_USER,       /* struct priv_user; none: not started as root */
	HANDOVER_STRICT,     /* there: certificates must be valid today */
	HANDOVER_ADMIT,      /* struct control_admit: whom control serves */
	HANDOVER_EXTRA,      /* pair number is of a folder: it may be bad */
	HANDOVER_FUSSY,      /* there: it may not */
	/* numbers of pairs (16 bits), the first choice first; number: how */
	HANDOVER_ORDER, /* many of them are for clients without SNI, too */
	HANDOVER_PROOF, /* key of proofs; workers and authenticators */
	HANDOVER_EXPIRY /* expiry_compose() */
};

#define HANDOVER_FILE_MAX (4 * 1024 * 1024) /* octets of one part */

/* An unsealed memfd to be filled, or -1 with errno. */
int handover_new(const char *name);
int handover_add(
    int fd, enum handover_kind kind, uint16_t number, struct text data);
/* The words for handover_add_file()'s errno (static). */
const char *handover_strerror(int error);
/*
 * Add a whole file in the kernel (sendfile(2)), so that what is in it, a key,
 * never enters our memory.  -1 with errno (EFBIG, EISDIR, ENOENT ...).
 */
int handover_add_file(
    int fd, enum handover_kind kind, uint16_t number, const char *path);
int handover_seal(int fd); /* no process can change it any more */

/*
 * In the role: map the memfd, check its form and that it is sealed.  Parts
 * are views into the mapping.  NULL with errno.
 */
struct handover;
struct handover *handover_open(int fd);
void handover_close(struct handover **h);
/*
 * The same of a memfd that the master sent later, of len octets by its word:
 * confined roles have no calls to look for themselves.
 */
struct handover *handover_map(int fd, size_t len);
/* One part after the other: *at begins with 0.  False: that was the last. */
struct handover_part {
	enum handover_kind kind;
	uint16_t number;
	struct text data;
};
bool handover_next(
    const struct handover *h, size_t *at, struct handover_part *part);
/* Part by kind and number; TEXT_NONE when there is none. */
struct text handover_get(
    const struct handover *h, enum handover_kind kind, uint16_t number);

#endif
