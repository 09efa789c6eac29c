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
#include "keeper_pairs.h"
#include "keeper_sign.h"
#include "log.h"
#include "msg.h"
#include "sandbox.h"
#include "stats.h"
#include "tls.h"
#include "xmalloc.h"

#define KEEPER_FILES 4096 /* descriptors: a channel for each worker */
/* Requests a second of one worker: more than a processor can sign. */
#define KEEPER_QUOTA 20000

struct keeper {
	struct event_base *base;
	struct keeper_pairs *pairs;
	struct ipc *master;
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

	const struct keeper_key *key = keeper_pairs_get(kp->pairs, m->key);

	/* Dropped, perhaps, since the handshake began. */
	if (key == NULL)
		return keeper_pairs_had(kp->pairs, m->key) ? KEEPER_REFUSED
		                                           : KEEPER_WRONG;
	if (!m->content && !keeper_bucket_take(&ch->digests, now_ms()))
		return KEEPER_REFUSED;
	return keeper_sign(key, m, kp->tls12, sig, siglen);
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

static void
count(enum keeper_result result, uint32_t since_us)
{
	if (result == KEEPER_SIGNED)
		stats_time(&stats_own->signature_seconds, since_us);
	STATS_ADD(signatures[result == KEEPER_SIGNED ? STATS_SIGNED
	                                             : STATS_SIGNATURE_REFUSED],
	    1);
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
	const uint32_t since_us = stats_now_us();

	if (fd != -1)
		close(fd);
	if (fd != -1 || type != MSG_SIGN || msg_get_sign(r, &m) == -1)
		return -1;
	if ((result = sign(ch, &m, sig, &siglen)) == KEEPER_WRONG)
		return -1;
	if (result == KEEPER_REFUSED)
		log_refusal(ch, &m);
	count(result, since_us);
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

/* Pairs to look at; fd is ours to close. */
static int
do_pairs(struct keeper *kp, struct reader *r, uint32_t id, int fd)
{
	struct handover *h = NULL;
	struct msg_pairs m;

	if (msg_get_pairs(r, &m) == 0)
		h = handover_map(fd, m.len);
	close(fd);
	if (h == NULL)
		return -1;
	keeper_pairs_add(kp->pairs, h);
	handover_close(&h);
	keeper_pairs_tell(kp->pairs, kp->master, id);
	return 0;
}

/*
 * What the master may say: MSG_PEER with a worker's channel, MSG_PAIRS with
 * certificates and keys, MSG_PAIR_DROP, MSG_STOP.
 */
static int
master_message(void *arg, struct ipc *ipc, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct keeper *kp = arg;
	struct msg_pair_drop drop;
	struct msg_peer m;

	(void)ipc;
	if (type == MSG_PAIRS && fd != -1)
		return do_pairs(kp, r, id, fd);
	if (type == MSG_PAIR_DROP && msg_get_pair_drop(r, &drop) == 0) {
		keeper_pairs_drop(kp->pairs, drop.number);
		return 0;
	}
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
	kp.pairs = keeper_pairs_new();
	if (keeper_pairs_load(kp.pairs, start->handover, start->number == 0) ==
	    -1)
		exit(1);
	if (start->number == 0)
		keeper_pairs_advise(kp.pairs);
	kp.master =
	    role_confine(start, &box, KEEPER_FILES, master_message, &kp);
	keeper_pairs_tell(kp.pairs, kp.master, 0);
	event_base_dispatch(kp.base);
	exit(0);
}
