/* SPDX-License-Identifier: ISC */
/*
 * keeper: the process that holds the private keys and signs with them.  It
 * has no files and no sockets but its channels: one to the master, which it
 * trusts, and one to each worker it serves, which it does not.  keeper_sign
 * decides what is signed; this file is the loop around it.
 */
#include <sys/queue.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "handover.h"
#include "ipc.h"
#include "keeper.h"
#include "keeper_sign.h"
#include "log.h"
#include "msg.h"
#include "sandbox.h"
#include "tls.h"
#include "xmalloc.h"

#define KEEPER_FILES 4096 /* descriptors: a channel for each worker */
/* Requests a second of one worker: more than a processor can sign. */
#define KEEPER_QUOTA 20000

struct keeper {
	struct event_base *base;
	struct keeper_key **keys; /* by the pair's number */
	size_t nkeys;
	bool tls12; /* digests are signed too */
	TAILQ_HEAD(, channel) channels;
};

/* One worker. */
struct channel {
	TAILQ_ENTRY(channel) entry;
	struct keeper *keeper;
	struct ipc *ipc;
	uint16_t number;
	uint32_t serial; /* the worker's place */
	struct keeper_bucket digests;
	bool told; /* a refusal was logged: once is enough */
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* At a reload there is a certificate to go on with; at a start there is not. */
static struct keeper_key *
load_pair(struct text cert, struct text key, struct text passphrase,
    struct text name, size_t i, bool strict)
{
	struct keeper_key *k;
	const char *why;

	if ((k = keeper_key_new(cert, key, passphrase, &why)) == NULL) {
		/* With "quiet", too: it is why there is no start. */
		log_at(LOG_ERR, "certificate pair %zu (%.*s): %s", i + 1,
		    TEXT_ARG(name), why);
		return NULL;
	}
	if ((why = keeper_key_dates(k, time(NULL))) != NULL) {
		log_at(strict ? LOG_ERR : LOG_WARNING,
		    "certificate pair %zu (%.*s): %s", i + 1, TEXT_ARG(name),
		    why);
		if (strict)
			keeper_key_free(&k);
	}
	return k;
}

/* Every pair is looked at, so that all faults are told at once. */
static void
load_pairs(struct keeper *kp, const struct handover *h)
{
	struct text passphrase = handover_get(h, HANDOVER_PASSPHRASE, 0);
	const bool strict = handover_get(h, HANDOVER_STRICT, 0).p != NULL;
	struct text cert, key;
	bool bad = false;

	for (kp->nkeys = 0; kp->nkeys < UINT16_MAX; kp->nkeys++) {
		uint16_t i = (uint16_t)kp->nkeys;

		cert = handover_get(h, HANDOVER_CERT, i);
		key = handover_get(h, HANDOVER_KEY, i);
		if (cert.p == NULL && key.p == NULL)
			break;
		kp->keys = xrecallocarray(
		    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers */
		    kp->keys, kp->nkeys, kp->nkeys + 1, sizeof(*kp->keys));
		kp->keys[i] = load_pair(cert, key, passphrase,
		    handover_get(h, HANDOVER_NAME, i), i, strict);
		if (kp->keys[i] == NULL)
			bad = true;
	}
	if (bad)
		exit(1);
}

/* Said once, by the first keeper, and in --check_config. */
static void
advise(const struct keeper *kp)
{
	size_t i;

	for (i = 0; i < kp->nkeys; i++)
		if (!keeper_key_is_rsa(kp->keys[i]))
			return;
	log_at(LOG_NOTICE,
	    "all certificates are for RSA: a login costs a multiple of "
	    "what one with ECDSA P-256 does (ssl_pair takes both)");
}

static void
channel_free(struct channel *ch)
{
	TAILQ_REMOVE(&ch->keeper->channels, ch, entry);
	ipc_free(&ch->ipc);
	free(ch);
}

static void
worker_closed(void *arg, struct ipc *ipc, const char *why)
{
	struct channel *ch = arg;

	(void)ipc;
	if (why != NULL)
		log_warnx("worker %u sent %s", ch->number + 1U, why);
	/* It is dead, or of no use without us. */
	role_accuse(ROLE_WORKER, ch->number, ch->serial);
	channel_free(ch);
}

static enum keeper_result
sign(struct channel *ch, const struct msg_sign *m, char *sig, size_t *siglen)
{
	struct keeper *kp = ch->keeper;

	if (m->key >= kp->nkeys)
		return KEEPER_WRONG;
	if (!m->content && !keeper_bucket_take(&ch->digests, now_ms()))
		return KEEPER_REFUSED;
	return keeper_sign(kp->keys[m->key], m, kp->tls12, sig, siglen);
}

static void
log_refusal(struct channel *ch, const struct msg_sign *m)
{
	if (!ch->told)
		log_warnx("worker %u: a signature was refused: key=%u "
		          "scheme=0x%04x content=%u",
		    ch->number + 1U, (unsigned int)m->key,
		    (unsigned int)m->scheme, (unsigned int)m->content);
	ch->told = true;
}

/* What a worker may say: MSG_SIGN. */
static int
worker_message(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct channel *ch = arg;
	struct msg_sign m;
	struct msg_sign_reply reply;
	enum keeper_result result;
	struct writer w UNZEROED;
	char sig[MSG_SIGNATURE_MAX];
	size_t siglen = 0;

	if (fd != -1)
		close(fd);
	if (fd != -1 || type != MSG_SIGN || msg_get_sign(r, &m) == -1)
		return -1;
	if ((result = sign(ch, &m, sig, &siglen)) == KEEPER_WRONG)
		return -1;
	if (result == KEEPER_REFUSED)
		log_refusal(ch, &m);
	reply.ok = result == KEEPER_SIGNED;
	reply.signature = (struct text){ sig, siglen };
	msg_start(&w, MSG_SIGN_REPLY, id);
	msg_put_sign_reply(&w, &reply);
	ipc_send(ipc, &w, -1); /* if it cannot, worker_closed() is next */
	return 0;
}

/* A new worker in this place; the one before, if it still lingers, is dead. */
static void
channel_new(struct keeper *kp, const struct msg_peer *m, int fd)
{
	struct channel *ch, *next;

	for (ch = TAILQ_FIRST(&kp->channels); ch != NULL; ch = next) {
		next = TAILQ_NEXT(ch, entry);
		if (ch->number == m->number)
			channel_free(ch);
	}
	ch = xcalloc(1, sizeof(*ch));
	ch->keeper = kp;
	ch->number = m->number;
	ch->serial = m->serial;
	ch->digests.last_ms = now_ms();
	ch->ipc = ipc_new(kp->base, fd, ROLE_KEEPER, ROLE_WORKER,
	    worker_message, worker_closed, ch);
	ipc_set_quota(ch->ipc, KEEPER_QUOTA);
	TAILQ_INSERT_TAIL(&kp->channels, ch, entry);
}

/* What the master may say: MSG_PEER with a worker's channel, MSG_STOP. */
static int
master_message(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct keeper *kp = arg;
	struct msg_peer m;

	(void)ipc;
	(void)id;
	if (type == MSG_STOP && fd == -1 && get_end(r) == 0) {
		event_base_loopbreak(kp->base);
		return 0;
	}
	if (type == MSG_PEER && fd != -1 && msg_get_peer(r, &m) == 0 &&
	    m.role == ROLE_WORKER) {
		channel_new(kp, &m, fd);
		return 0;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

_Noreturn void
keeper_main(const struct role_start *start)
{
	struct sandbox box = { .role = ROLE_KEEPER };
	struct keeper kp = { .base = start->base,
		.tls12 = !start->conf->listen_tls13_only };

	TAILQ_INIT(&kp.channels);
	tls_global_init();
	load_pairs(&kp, start->handover);
	if (start->number == 0)
		advise(&kp);
	role_confine(start, &box, KEEPER_FILES, master_message, &kp);
	event_base_dispatch(kp.base);
	exit(0);
}
