/* SPDX-License-Identifier: ISC */
/*
 * keeper_pairs: certificates and keys as they come to the keeper: at its
 * start, and renewed by and by.  A key keeps its number until it is dropped,
 * so that a handshake under way ends with the key it began with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keeper_chain.h"
#include "keeper_pairs.h"
#include "log.h"
#include "xmalloc.h"

/* What MSG_PAIR will say. */
struct report {
	uint16_t number;
	struct keeper_chain chain; /* pem NULL: the pair is bad */
	const char *why;
};

struct keeper_pairs {
	struct keeper_key **keys; /* by the pair's number; NULL: none */
	size_t nkeys;
	char *passphrase; /* a copy: renewed keys may need it, too; or NULL */
	size_t passphrase_len;
	struct report *reports;
	size_t nreports;
};

/* A pair's parts, as they come by. */
struct incoming {
	struct text name, cert;
	bool extra;
};

/* How bad is what is wrong? */
struct rules {
	bool start;  /* on the log; else the master has the word */
	bool first;  /* of the keepers */
	bool strict; /* must be valid today */
	bool fussy;  /* those of folders must be good, too */
};

struct keeper_pairs *
keeper_pairs_new(void)
{
	return xcalloc(1, sizeof(struct keeper_pairs));
}

static void
forget_reports(struct keeper_pairs *p)
{
	size_t i;

	for (i = 0; i < p->nreports; i++)
		keeper_chain_free(&p->reports[i].chain);
	free(p->reports);
	p->reports = NULL;
	p->nreports = 0;
}

void
keeper_pairs_free(struct keeper_pairs **pp)
{
	struct keeper_pairs *p = *pp;
	size_t i;

	if (p == NULL)
		return;
	*pp = NULL;
	forget_reports(p);
	for (i = 0; i < p->nkeys; i++)
		keeper_key_free(&p->keys[i]);
	free(p->keys);
	freezero(p->passphrase, p->passphrase_len);
	free(p);
}

static void
put(struct keeper_pairs *p, uint16_t number, struct keeper_key *k)
{
	if (number >= p->nkeys) {
		p->keys = xrecallocarray(
		    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers */
		    p->keys, p->nkeys, number + 1U, sizeof(*p->keys));
		p->nkeys = number + 1U;
	}
	keeper_key_free(&p->keys[number]);
	p->keys[number] = k;
}

static struct report *
new_report(struct keeper_pairs *p, uint16_t number)
{
	struct report *r;

	p->reports = xrecallocarray(
	    p->reports, p->nreports, p->nreports + 1, sizeof(*p->reports));
	r = &p->reports[p->nreports++];
	r->number = number;
	return r;
}

/*
 * The key, or NULL with *why; *why alone is a warning.  At a reload there is
 * a certificate to go on with; at a start there is not, and one that is
 * expired is better than none.
 */
static struct keeper_key *
read_pair(const struct keeper_pairs *p, struct text cert, struct text key,
    bool strict, struct keeper_chain *chain, const char **why)
{
	struct keeper_key *k;

	*why = NULL;
	if (keeper_chain_read(cert, chain, why) == -1 ||
	    (k = keeper_key_new(cert, key,
	         (struct text){ p->passphrase, p->passphrase_len }, why)) ==
	        NULL)
		return NULL;
	*why = keeper_key_dates(k, time(NULL));
	if (*why != NULL && strict)
		keeper_key_free(&k);
	return k;
}

static int
take_pair(struct keeper_pairs *p, const struct incoming *in, uint16_t number,
    struct text key, const struct rules *rules)
{
	struct report *r = new_report(p, number);
	struct text cert = in->cert.p != NULL ? in->cert : key;
	bool must = !in->extra || rules->fussy;
	struct keeper_key *k = read_pair(p, cert, key,
	    rules->strict && (!rules->start || !in->extra), &r->chain, &r->why);

	if (r->why != NULL && rules->start && (must || rules->first))
		/* With "quiet", too: it is why there is no start. */
		log_at(k == NULL && must ? LOG_ERR : LOG_WARNING,
		    "certificate pair %u (%.*s): %s%s", number + 1U,
		    TEXT_ARG(in->name), r->why,
		    k == NULL && !must ? ": it is left out" : "");
	if (k != NULL) {
		put(p, number, k);
		return 0;
	}
	free(r->chain.pem);
	r->chain.pem = NULL;
	r->chain.len = 0;
	return must ? -1 : 0;
}

/* A pair's key is its last part. */
static int
take_all(
    struct keeper_pairs *p, const struct handover *h, const struct rules *rules)
{
	struct incoming in = { TEXT_NONE, TEXT_NONE, false };
	struct handover_part part;
	size_t at = 0;
	int result = 0;

	while (handover_next(h, &at, &part)) {
		if (part.kind == HANDOVER_NAME)
			in.name = part.data;
		else if (part.kind == HANDOVER_EXTRA)
			in.extra = true;
		else if (part.kind == HANDOVER_CERT)
			in.cert = part.data;
		if (part.kind != HANDOVER_KEY)
			continue;
		if (take_pair(p, &in, part.number, part.data, rules) == -1)
			result = -1;
		in = (struct incoming){ TEXT_NONE, TEXT_NONE, false };
	}
	return result;
}

int
keeper_pairs_load(struct keeper_pairs *p, const struct handover *h, bool first)
{
	const struct text t = handover_get(h, HANDOVER_PASSPHRASE, 0);
	const struct rules rules = { .start = true,
		.first = first,
		.strict = handover_get(h, HANDOVER_STRICT, 0).p != NULL,
		.fussy = handover_get(h, HANDOVER_FUSSY, 0).p != NULL };

	if (t.p != NULL) {
		p->passphrase = xstrndup(t.p, t.len);
		p->passphrase_len = t.len;
	}
	return take_all(p, h, &rules);
}

void
keeper_pairs_add(struct keeper_pairs *p, const struct handover *h)
{
	const struct rules rules = { .strict = true };

	(void)take_all(p, h, &rules);
}

static void
tell(const struct report *r, struct ipc *master)
{
	struct msg_pair m = { .number = r->number,
		.ok = r->chain.pem != NULL,
		.names = text_of(r->chain.names),
		.why = text_of(r->why),
		.chain = { r->chain.pem, r->chain.len } };
	struct writer w UNZEROED;

	if (r->chain.not_before > 0)
		m.not_before = (uint64_t)r->chain.not_before;
	if (r->chain.not_after > 0)
		m.not_after = (uint64_t)r->chain.not_after;
	msg_start(&w, MSG_PAIR, 0);
	msg_put_pair(&w, &m);
	(void)ipc_send(master, &w, -1);
}

void
keeper_pairs_tell(struct keeper_pairs *p, struct ipc *master, uint32_t id)
{
	struct writer w UNZEROED;
	size_t i;

	for (i = 0; i < p->nreports; i++)
		tell(&p->reports[i], master);
	forget_reports(p);
	msg_start(&w, MSG_PAIRS_REPLY, id);
	(void)ipc_send(master, &w, -1);
}

void
keeper_pairs_drop(struct keeper_pairs *p, uint16_t number)
{
	if (number < p->nkeys)
		keeper_key_free(&p->keys[number]);
}

const struct keeper_key *
keeper_pairs_get(const struct keeper_pairs *p, uint16_t number)
{
	return number < p->nkeys ? p->keys[number] : NULL;
}

bool
keeper_pairs_had(const struct keeper_pairs *p, uint16_t number)
{
	return number < p->nkeys;
}

void
keeper_pairs_advise(const struct keeper_pairs *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->nkeys; i++) {
		if (p->keys[i] != NULL && !keeper_key_is_rsa(p->keys[i]))
			return;
		n += p->keys[i] != NULL;
	}
	if (n > 0)
		log_at(LOG_NOTICE,
		    "all certificates are for RSA: a login costs a multiple of "
		    "what one with ECDSA P-256 does (ssl_pair takes both)");
}
