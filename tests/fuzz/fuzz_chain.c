/* SPDX-License-Identifier: ISC */
/*
 * fuzz_chain: the certificates of a file, as the keeper reads them for
 * workers, and as a worker reads what the keeper wrote: what the one takes,
 * the other does, with the same names; and whom a client asks for finds a pair
 * that is for him.
 */
#include <unistd.h>

#include "fuzz.h"
#include "keeper_chain.h"
#include "keeper_sign.h"
#include "tls_pairs.h"

#define CERTS_MAX 18 /* two more than are taken */

static gnutls_datum_t
datum_of(struct text t)
{
	gnutls_datum_t d = { NULL, (unsigned int)t.len };

	memcpy(&d.data, &t.p, sizeof(t.p)); /* it is only read */
	return d;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	return 0;
}

static void
put_pem(struct buf *b, struct text der)
{
	gnutls_datum_t d = datum_of(der), pem;

	if (gnutls_pem_base64_encode2("CERTIFICATE", &d, &pem) != 0)
		return;
	(void)buf_append(b, pem.data, pem.size);
	gnutls_free(pem.data);
}

/*
 * Each with its length in front, the last again where no other follows; the
 * rest as it is: keys, halves, nonsense.
 */
static void
make_file(struct input *in, uint8_t n, struct buf *b)
{
	struct text der = TEXT_NONE;
	size_t len;

	for (; n > 0; n--) {
		len = in->left > 2 ? input_u16(in) : 0;
		if (len > 0)
			der = input_text(in, len);
		put_pem(b, der);
	}
	(void)buf_append(b, in->p, in->left);
}

static size_t
begins(struct text t, const char *word)
{
	size_t i, n = 0, len = strlen(word);

	for (i = 0; i + len <= t.len; i++)
		n += memcmp(t.p + i, word, len) == 0;
	return n;
}

static void
check_chain(const struct keeper_chain *c, bool read_again)
{
	struct text pem = { c->pem, c->len };
	struct keeper_chain again;
	size_t n = begins(pem, "-----BEGIN CERTIFICATE-----");
	const char *why;

	MUST(c->len <= MSG_CHAIN_MAX && strlen(c->pem) == c->len);
	MUST(n > 0 && n <= KEEPER_CHAIN_CERTS);
	MUST(
	    begins(pem, "-----BEGIN ") == n && begins(pem, "PRIVATE KEY") == 0);
	MUST(fuzz_printable(text_of(c->names)));
	if (!read_again)
		return;
	MUST(keeper_chain_read(pem, &again, &why) == 0);
	MUST(strcmp(again.pem, c->pem) == 0);
	MUST(strcmp(again.names, c->names) == 0);
	MUST(again.not_after == c->not_after &&
	    again.not_before == c->not_before);
	keeper_chain_free(&again);
}

/*
 * The keeper has a private key, too, and sees that it is the first one's: so
 * its public key is of a kind that is known.
 */
static bool
has_known_key(const struct keeper_chain *c)
{
	gnutls_datum_t d = datum_of((struct text){ c->pem, c->len });
	gnutls_x509_crt_t crt;
	gnutls_pubkey_t key;
	bool known;

	MUST(gnutls_x509_crt_init(&crt) == 0 && gnutls_pubkey_init(&key) == 0);
	known = gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM) == 0 &&
	    gnutls_x509_crt_get_pk_algorithm(crt, NULL) > 0 &&
	    gnutls_pubkey_import_x509(key, crt, 0) == 0;
	gnutls_pubkey_deinit(key);
	gnutls_x509_crt_deinit(crt);
	return known;
}

static struct handover *
hand_over(const struct keeper_chain *c, uint8_t flags, int *fd)
{
	static const char order[] = { 0, 1, 0, 2 };
	struct text pem = { c->pem, c->len };
	struct handover *h;

	*fd = handover_new("fuzz");
	MUST(*fd != -1);
	MUST(handover_add(*fd, HANDOVER_CERT, 1, pem) == 0);
	MUST(handover_add(*fd, HANDOVER_CERT, 2, pem) == 0);
	if (flags & 32)
		MUST(handover_add(*fd, HANDOVER_ORDER, flags & 64 ? 1 : 0,
		         (struct text){ order, sizeof(order) }) == 0);
	MUST(handover_seal(*fd) == 0);
	h = handover_open(*fd);
	MUST(h != NULL);
	return h;
}

static bool
fits(void *arg, const struct tls_pair *p)
{
	const uint8_t *flags = arg;

	return (*flags & 128) == 0 || p->number == 2;
}

static void
check_pair(const struct tls_pair *p)
{
	char clean[TLS_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < p->nnames; i++) {
		MUST(tls_name_clean(text_of(p->names[i]), true, clean));
		MUST(strcmp(clean, p->names[i]) == 0);
	}
}

static bool
has_name(const struct tls_pair *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->nnames; i++)
		if (strcmp(p->names[i], name) == 0)
			return true;
	return false;
}

static void
check_pairs(const struct keeper_chain *c, struct text name, uint8_t flags)
{
	char clean[TLS_NAME_MAX + 1];
	int fd;
	struct handover *h = hand_over(c, flags, &fd);
	struct tls_pairs *s = tls_pairs_new(h);
	const struct tls_pair *p;

	MUST(tls_pairs_count(s) == 2);
	check_pair(tls_pairs_first(s));
	p = tls_pairs_choose(s, name, fits, &flags);
	MUST(p != NULL && p->loaded && p->nchain > 0);
	if (tls_name_clean(name, false, clean) && has_name(p, clean) &&
	    (flags & 128) != 0)
		MUST(p->number == 2);
	MUST((tls_pairs_update(s, h) == 0) == ((flags & 32) != 0));
	tls_pairs_free(&s);
	handover_close(&h);
	close(fd);
}

/* The key, too, of the same octets; its passphrase is the name. */
static void
check_key(struct text file, struct text passphrase, bool combined)
{
	struct text key = combined ? file : fuzz_copy(file.p, file.len);
	const char *why = NULL;
	struct keeper_key *k = keeper_key_new(file, key, passphrase, &why);

	if (k != NULL)
		(void)keeper_key_dates(k, 1764000000);
	else
		MUST(why != NULL);
	keeper_key_free(&k);
	MUST(k == NULL);
	if (!combined)
		fuzz_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in);
	struct text name = input_line(&in), file;
	uint32_t luck = fuzz_luck(data, size);
	struct keeper_chain c;
	const char *why = NULL;
	struct buf b;

	buf_init(&b, 1 << 20);
	make_file(&in, flags % 32 % (CERTS_MAX + 1), &b);
	file = fuzz_copy(buf_view(&b).p, buf_view(&b).len);
	buf_free(&b);
	if (keeper_chain_read(file, &c, &why) == 0) {
		/* Now and then, since each reads all certificates again. */
		check_chain(&c, luck % 4 == 0);
		if (luck % 4 == 1 && has_known_key(&c))
			check_pairs(&c, name, flags);
	} else {
		MUST(why != NULL && c.pem == NULL);
	}
	if (luck % 4 == 2)
		check_key(file, name, flags & 64);
	keeper_chain_free(&c);
	fuzz_free(file);
	return 0;
}
