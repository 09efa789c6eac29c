/* SPDX-License-Identifier: ISC */
/* Pairs as they come to a keeper: whole or not, good or not. */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "keeper_chain.h"
#include "keeper_pairs.h"
#include "log.h"
#include "pki.h"

static struct pki *good, *other, *expired, *early;

static int
set_up(void **state)
{
	(void)state;
	good = pki_new((struct pki_wish){ .names = { "a.test", "b.test" } });
	other = pki_new((struct pki_wish){ .names = { "o.test" } });
	expired = pki_new((struct pki_wish){ .from = -9 * DAY, .until = -DAY });
	early = pki_new((struct pki_wish){ .from = DAY });
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pki_free(&good);
	pki_free(&other);
	pki_free(&expired);
	pki_free(&early);
	return 0;
}

static void
test_chain(void **state)
{
	struct keeper_chain c;
	const char *why = NULL;
	char both[32768], chain[16384];
	size_t i, n;

	(void)state;
	assert_int_equal(keeper_chain_read(text_of(good->cert), &c, &why), 0);
	assert_string_equal(c.names, "a.test b.test");
	assert_true(c.not_after > time(NULL));
	assert_string_equal(c.pem, good->cert);
	keeper_chain_free(&c);
	/* nothing of a key that is in the file goes on */
	(void)snprintf(both, sizeof(both), "%stext between\n%s%s", good->cert,
	    good->key, other->cert);
	(void)snprintf(chain, sizeof(chain), "%s%s", good->cert, other->cert);
	assert_int_equal(keeper_chain_read(text_of(both), &c, &why), 0);
	assert_null(strstr(c.pem, "PRIVATE"));
	assert_string_equal(c.pem, chain);
	keeper_chain_free(&c);
	/* cut anywhere inside a certificate */
	n = strlen(good->cert);
	for (i = 0; i < strlen(chain) - 1; i++) {
		if (i + 5 > n && i < n + 5)
			continue; /* that is whole, or begins a boundary */
		assert_int_equal(
		    keeper_chain_read((struct text){ chain, i }, &c, &why), -1);
		assert_non_null(why);
		assert_null(c.pem);
	}
}

static void
test_too_long(void **state)
{
	struct keeper_chain c;
	const char *why = NULL;
	char *many = xcalloc(40, sizeof(good->cert));
	int i;

	(void)state;
	for (i = 0; i < KEEPER_CHAIN_CERTS + 1; i++)
		strcat(many, good->cert);
	assert_int_equal(keeper_chain_read(text_of(many), &c, &why), -1);
	assert_non_null(strstr(why, "more than 16"));
	free(many);
}

/* A worker would end where it cannot read a chain's public keys. */
static void
test_unknown_kind(void **state)
{
	/* id-ecPublicKey, RFC 5480 2.1.1 */
	static const unsigned char ec[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
		0x01 };
	struct keeper_chain c;
	const char *why = NULL;
	gnutls_datum_t der, pem;
	unsigned char *oid;
	char both[16384];

	(void)state;
	pki_ok(gnutls_x509_crt_export2(other->crt, GNUTLS_X509_FMT_DER, &der));
	oid = memmem(der.data, der.size, ec, sizeof(ec));
	assert_non_null(oid);
	oid[sizeof(ec) - 1] = 0x7f;
	pki_ok(gnutls_pem_base64_encode2("CERTIFICATE", &der, &pem));
	(void)snprintf(both, sizeof(both), "%s%.*s", good->cert, (int)pem.size,
	    (char *)pem.data);
	assert_int_equal(keeper_chain_read(text_of(both), &c, &why), -1);
	assert_non_null(strstr(why, "not known"));
	assert_null(c.pem);
	gnutls_free(der.data);
	gnutls_free(pem.data);
}

static const struct {
	struct pki **cert, **key;
	const char *why; /* NULL: it is good */
} cases[] = {
	{ &good, &good, NULL },
	{ &good, &other, "its key is not that of its first certificate" },
	{ &expired, &expired, "its certificate is expired" },
	{ &early, &early, "its certificate is not valid yet" },
	{ &other, &other, NULL },
};
#define NCASES (sizeof(cases) / sizeof(cases[0]))

static struct handover *
hand_over(bool extra, uint16_t from)
{
	struct handover *h;
	size_t i;
	int fd = handover_new("test");

	for (i = 0; i < NCASES; i++) {
		uint16_t number = (uint16_t)(from + i);

		if (extra)
			assert_int_equal(handover_add(fd, HANDOVER_EXTRA,
			                     number, TEXT_LIT("")),
			    0);
		assert_int_equal(handover_add(fd, HANDOVER_CERT, number,
		                     text_of((*cases[i].cert)->cert)),
		    0);
		assert_int_equal(handover_add(fd, HANDOVER_KEY, number,
		                     text_of((*cases[i].key)->key)),
		    0);
	}
	assert_int_equal(handover_seal(fd), 0);
	h = handover_open(fd);
	close(fd);
	return h;
}

static struct ipc *
channel(struct event_base *base, int *end)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	*end = fds[1];
	return ipc_new(
	    base, fds[0], ROLE_KEEPER, ROLE_MASTER, NULL, NULL, NULL);
}

/* The next that the master is told. */
static void
next_message(
    int fd, char *in, enum msg_type type, uint32_t id, struct reader *r)
{
	ssize_t n = recv(fd, in, MSG_MAX, MSG_DONTWAIT);
	uint16_t got;
	uint32_t got_id;

	assert_true(n > 0);
	*r = (struct reader){ in, (size_t)n };
	assert_int_equal(get_u16(r, &got), 0);
	assert_int_equal(get_u32(r, &got_id), 0);
	assert_int_equal(got, type);
	assert_int_equal(got_id, id);
}

/* What it was told of each, and that the keys are there or not. */
static void
test_renewed(void **state)
{
	struct keeper_pairs *p = keeper_pairs_new();
	struct handover *h = hand_over(true, 20);
	struct event_base *base = event_base_new();
	char in[MSG_MAX];
	struct msg_pair m;
	struct reader r;
	struct ipc *ch;
	size_t i;
	int end;

	(void)state;
	ch = channel(base, &end);
	keeper_pairs_add(p, h);
	handover_close(&h);
	keeper_pairs_tell(p, ch, 77);
	for (i = 0; i < NCASES; i++) {
		next_message(end, in, MSG_PAIR, 0, &r);
		assert_int_equal(msg_get_pair(&r, &m), 0);
		assert_int_equal(m.number, 20 + i);
		assert_int_equal(m.ok, cases[i].why == NULL);
		if (cases[i].why != NULL)
			assert_true(text_eq(m.why, cases[i].why));
		else
			assert_true(text_eq(m.chain, (*cases[i].cert)->cert));
		assert_true(m.not_after > 0);
		assert_int_equal(keeper_pairs_get(p, m.number) != NULL, m.ok);
	}
	next_message(end, in, MSG_PAIRS_REPLY, 77, &r);
	keeper_pairs_drop(p, 20);
	assert_null(keeper_pairs_get(p, 20));
	assert_true(keeper_pairs_had(p, 20));
	assert_false(keeper_pairs_had(p, 25));
	assert_null(keeper_pairs_get(p, UINT16_MAX));
	keeper_pairs_drop(p, UINT16_MAX);
	keeper_pairs_free(&p);
	assert_null(p);
	ipc_free(&ch);
	close(end);
	event_base_free(base);
}

static void
silence(void *arg, int priority, const char *text)
{
	(void)priority;
	++*(int *)arg;
	(void)text;
}

/* At the start one that is expired will do; one of a folder may be bad. */
static void
test_start(void **state)
{
	struct keeper_pairs *p = keeper_pairs_new();
	struct handover *h = hand_over(true, 0);
	int lines = 0;

	(void)state;
	log_set_sink(silence, &lines);
	assert_int_equal(keeper_pairs_load(p, h, true), 0);
	assert_int_equal(lines, 3);
	assert_null(keeper_pairs_get(p, 1));
	assert_non_null(keeper_pairs_get(p, 2));
	handover_close(&h);
	keeper_pairs_free(&p);
	h = hand_over(false, 0);
	p = keeper_pairs_new();
	assert_int_equal(keeper_pairs_load(p, h, true), -1);
	handover_close(&h);
	keeper_pairs_free(&p);
	log_set_sink(NULL, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_unknown_kind),
		cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_start),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
