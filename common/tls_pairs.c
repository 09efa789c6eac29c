/* SPDX-License-Identifier: ISC */
/*
 * tls_pairs: certificates by name.  Runs in the worker.  The certificates come
 * from the keeper by way of the master; the name that is looked for is a
 * stranger's.
 *
 * Of most certificates of a large folder a worker needs the names alone: what
 * else GnuTLS makes of one is made when it is first wanted.
 */
#include <gnutls/x509.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "tls_impl.h"
#include "tls_key.h"
#include "tls_pairs.h"
#include "xmalloc.h"

#define NAMES_MAX 256 /* of one certificate */
/* So few are made at once; a nursery's workers then share them. */
#define EAGER_MAX 16

/* One name of one pair. */
struct entry {
	const char *name; /* the pair's */
	size_t rank;      /* among those with that name */
	struct tls_pair *pair;
};

struct tls_pairs {
	struct tls_pair **pairs; /* in order */
	size_t n, ndefaults;
	struct entry *index; /* by name, then rank */
	size_t nindex;
};

/* GnuTLS failed at something that the keeper has already checked. */
static void
must(int error, const char *what)
{
	if (error < 0)
		fatalx("%s: %s", what, gnutls_strerror(error));
}

static bool
is_label_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_';
}

bool
tls_name_clean(struct text name, bool wildcard, char *dst)
{
	size_t i, dots = 0, begin = 0;
	char c, before = '.';

	if (name.len == 0 || name.len > TLS_NAME_MAX)
		return false;
	if (wildcard && name.len > 2 && name.p[0] == '*' && name.p[1] == '.') {
		memcpy(dst, "*.", 2);
		begin = 2;
	}
	for (i = begin; i < name.len; i++) {
		c = name.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '.' ? before == '.' : !is_label_octet(c))
			return false;
		dots += c == '.';
		before = dst[i] = c;
	}
	dst[i] = '\0';
	return before != '.' && (begin == 0 || dots > 0);
}

static bool
add_name(void *arg, const char *name, size_t len)
{
	struct tls_pair *p = arg;
	char clean[TLS_NAME_MAX + 1];

	if (p->nnames == NAMES_MAX)
		return false;
	if (!tls_name_clean((struct text){ name, len }, true, clean))
		return true;
	p->names = xrecallocarray(
	    p->names, p->nnames, p->nnames + 1, sizeof(*p->names));
	p->names[p->nnames++] = xstrdup(clean);
	return true;
}

static struct tls_pair *
pair_new(uint16_t number, struct text pem)
{
	struct tls_pair *p = xcalloc(1, sizeof(*p));
	gnutls_datum_t d = tls_datum(pem);
	gnutls_x509_crt_t crt;
	int pk;

	p->number = number;
	p->refs = 1;
	p->pem = xstrndup(pem.p, pem.len);
	p->len = pem.len;
	must(gnutls_x509_crt_init(&crt), "certificate");
	must(gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM),
	    "certificate");
	pk = gnutls_x509_crt_get_pk_algorithm(crt, &p->bits);
	must(pk, "public key");
	p->pk = (gnutls_pk_algorithm_t)pk;
	p->rsa = p->pk == GNUTLS_PK_RSA;
	tls_names_visit(crt, add_name, p);
	gnutls_x509_crt_deinit(crt);
	return p;
}

static void
pair_load(struct tls_pair *p)
{
	gnutls_datum_t d = tls_datum((struct text){ p->pem, p->len });

	if (p->loaded)
		return;
	p->nchain = TLS_CHAIN_MAX;
	p->chain = xcalloc(TLS_CHAIN_MAX, sizeof(*p->chain));
	must(gnutls_pcert_list_import_x509_raw(
	         p->chain, &p->nchain, &d, GNUTLS_X509_FMT_PEM, 0),
	    "certificate chain");
	p->key = tls_key_new(p->number, p->chain[0].pubkey);
	p->loaded = true;
	free(p->pem);
	p->pem = NULL;
}

struct tls_pair *
tls_pair_hold(struct tls_pair *p)
{
	p->refs++;
	return p;
}

void
tls_pair_release(struct tls_pair **pp)
{
	struct tls_pair *p = *pp;
	unsigned int i;

	*pp = NULL;
	if (p == NULL || --p->refs > 0)
		return;
	for (i = 0; i < p->nchain; i++)
		gnutls_pcert_deinit(&p->chain[i]);
	free(p->chain);
	if (p->key != NULL)
		gnutls_privkey_deinit(p->key);
	for (i = 0; i < p->nnames; i++)
		free(p->names[i]);
	free(p->names);
	free(p->pem);
	free(p);
}

static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int by_name = strcmp(x->name, y->name);

	if (by_name != 0)
		return by_name;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/*
 * The configuration's own come in its order; of a folder, where there is
 * none, those that cost least first.
 */
static size_t
rank_of(const struct tls_pairs *s, size_t i)
{
	if (i < s->ndefaults)
		return i;
	return i + (s->pairs[i]->rsa ? s->n : 0);
}

static void
make_index(struct tls_pairs *s)
{
	size_t i, j, n = 0;

	for (i = 0; i < s->n; i++)
		n += s->pairs[i]->nnames;
	free(s->index);
	s->index = xcalloc(n + 1, sizeof(*s->index));
	s->nindex = 0;
	for (i = 0; i < s->n; i++)
		for (j = 0; j < s->pairs[i]->nnames; j++)
			s->index[s->nindex++] =
			    (struct entry){ s->pairs[i]->names[j],
				    rank_of(s, i), s->pairs[i] };
	qsort(s->index, s->nindex, sizeof(*s->index), compare);
	for (i = 0; i < s->n && (s->n <= EAGER_MAX || i < s->ndefaults); i++)
		pair_load(s->pairs[i]);
}

/* Is it among those of before? */
static bool
has_number(const struct tls_pairs *s, uint16_t number)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		/* n is 0 where pairs is NULL */
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		if (s->pairs[i]->number == number)
			return true;
	return false;
}

/* A table by number, which is quick to look into. */
static void
by_number(struct tls_pair **table, struct tls_pair **pairs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		table[pairs[i]->number] = pairs[i];
}

static size_t
read_fresh(
    const struct tls_pairs *s, const struct handover *h, struct tls_pair ***out)
{
	struct handover_part part;
	size_t at = 0, n = 0;

	*out = NULL;
	while (handover_next(h, &at, &part)) {
		if (part.kind != HANDOVER_CERT || has_number(s, part.number))
			continue;
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers */
		*out = xrecallocarray(*out, n, n + 1, sizeof(**out));
		(*out)[n++] = pair_new(part.number, part.data);
	}
	return n;
}

/* NULL: the order names a pair that is not there, or none at all. */
static struct tls_pair **
put_in_order(const struct tls_pairs *s, struct text order,
    struct tls_pair **fresh, size_t nfresh)
{
	struct tls_pair **table, **out;
	size_t i, n = order.len / 2;
	uint16_t number;

	if (n == 0)
		return NULL;
	table = xcalloc(UINT16_MAX + 1, sizeof(struct tls_pair *));
	by_number(table, s->pairs, s->n);
	by_number(table, fresh, nfresh);
	out = xcalloc(n, sizeof(struct tls_pair *));
	for (i = 0; i < n && out != NULL; i++) {
		memcpy(&number, order.p + 2 * i, sizeof(number));
		out[i] = table[be16toh(number)];
		if (out[i] == NULL) {
			free(out);
			out = NULL;
		}
	}
	free(table);
	return out;
}

static bool
find_order(const struct handover *h, struct handover_part *order)
{
	size_t at = 0;

	while (handover_next(h, &at, order))
		if (order->kind == HANDOVER_ORDER)
			return true;
	return false;
}

static void
replace(struct tls_pairs *s, struct tls_pair **pairs, size_t n, size_t defaults)
{
	struct tls_pair **old = s->pairs;
	size_t i, nold = s->n;

	for (i = 0; i < n; i++)
		(void)tls_pair_hold(pairs[i]);
	s->pairs = pairs;
	s->n = n;
	s->ndefaults = defaults < n ? defaults : n;
	make_index(s);
	for (i = 0; i < nold; i++)
		tls_pair_release(&old[i]);
	free(old);
}

int
tls_pairs_update(struct tls_pairs *s, const struct handover *h)
{
	struct handover_part order;
	struct tls_pair **fresh, **pairs;
	size_t i, nfresh;

	if (!find_order(h, &order))
		return -1;
	nfresh = read_fresh(s, h, &fresh);
	pairs = put_in_order(s, order.data, fresh, nfresh);
	if (pairs != NULL)
		replace(s, pairs, order.data.len / 2, order.number);
	for (i = 0; i < nfresh; i++) /* the set has its own hold */
		tls_pair_release(&fresh[i]);
	free(fresh);
	return pairs != NULL ? 0 : -1;
}

struct tls_pairs *
tls_pairs_new(const struct handover *h)
{
	struct tls_pairs *s = xcalloc(1, sizeof(*s));
	struct handover_part order;

	if (find_order(h, &order)) {
		if (tls_pairs_update(s, h) == -1)
			fatalx("the certificates handed over are malformed");
	} else { /* as they come, and each is good without SNI */
		s->n = read_fresh(s, h, &s->pairs);
		s->ndefaults = s->n;
		make_index(s);
	}
	if (s->n == 0)
		fatalx("there is no certificate to serve TLS with");
	return s;
}

void
tls_pairs_free(struct tls_pairs **sp)
{
	struct tls_pairs *s = *sp;
	size_t i;

	if (s == NULL)
		return;
	*sp = NULL;
	for (i = 0; i < s->n; i++)
		tls_pair_release(&s->pairs[i]);
	free(s->pairs);
	free(s->index);
	free(s);
}

/* The first entry with this name, or where it would be. */
static size_t
lookup(const struct tls_pairs *s, const char *name)
{
	size_t low = 0, high = s->nindex, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (strcmp(s->index[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct tls_pair *
choose_named(
    const struct tls_pairs *s, const char *name, tls_pair_fits *fits, void *arg)
{
	size_t i;

	for (i = lookup(s, name);
	     i < s->nindex && strcmp(s->index[i].name, name) == 0; i++)
		if (fits(arg, s->index[i].pair))
			return s->index[i].pair;
	return NULL;
}

/* A wildcard stands for one label (RFC 6125 6.4.3). */
static struct tls_pair *
choose_wildcard(
    struct tls_pairs *s, const char *name, tls_pair_fits *fits, void *arg)
{
	char wild[TLS_NAME_MAX + 2];
	const char *dot = strchr(name, '.');

	if (dot == NULL)
		return NULL;
	wild[0] = '*';
	(void)strlcpy(wild + 1, dot, sizeof(wild) - 1);
	return choose_named(s, wild, fits, arg);
}

static struct tls_pair *
choose_default(struct tls_pairs *s, tls_pair_fits *fits, void *arg)
{
	const struct tls_pair *first = s->pairs[0];
	struct tls_pair *p = NULL;
	size_t i;

	for (i = 0; i < s->ndefaults; i++)
		if (fits(arg, s->pairs[i]))
			return s->pairs[i];
	/* Another one for the same host, with a key of another kind. */
	if (s->ndefaults == 0 && first->nnames > 0)
		p = choose_named(s, first->names[0], fits, arg);
	return p != NULL ? p : s->pairs[0];
}

struct tls_pair *
tls_pairs_choose(
    struct tls_pairs *s, struct text name, tls_pair_fits *fits, void *arg)
{
	char clean[TLS_NAME_MAX + 1];
	struct tls_pair *p = NULL;

	if (s->n > 1 && tls_name_clean(name, false, clean)) {
		p = choose_named(s, clean, fits, arg);
		if (p == NULL)
			p = choose_wildcard(s, clean, fits, arg);
	}
	if (p == NULL)
		p = s->n > 1 ? choose_default(s, fits, arg) : s->pairs[0];
	pair_load(p);
	return p;
}

size_t
tls_pairs_count(const struct tls_pairs *s)
{
	return s->n;
}

const struct tls_pair *
tls_pairs_first(const struct tls_pairs *s)
{
	return s->pairs[0];
}
