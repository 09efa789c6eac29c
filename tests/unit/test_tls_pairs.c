/* SPDX-License-Identifier: ISC */
/* Which certificate a name gets, and what becomes of one that is renewed. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "pki.h"
#include "tls.h"
#include "tls_pairs.h"

static const struct {
	const char *name;
	bool wildcard;
	const char *clean; /* NULL: it is none */
} name_cases[] = {
	{ "mail.example.org", false, "mail.example.org" },
	{ "MAIL.Example.ORG", false, "mail.example.org" },
	{ "a", false, "a" },
	{ "_dmarc.x", false, "_dmarc.x" },
	{ "xn--bcher-kva.example", false, "xn--bcher-kva.example" },
	{ "", false, NULL },
	{ ".", false, NULL },
	{ "a.", false, NULL },
	{ ".a", false, NULL },
	{ "a..b", false, NULL },
	{ "a b", false, NULL },
	{ "a\nb", false, NULL },
	{ "b\303\274cher.example", false, NULL },
	{ "*.example.org", false, NULL },
	{ "*.example.org", true, "*.example.org" },
	{ "*.Example.ORG", true, "*.example.org" },
	{ "*.org", true, NULL }, /* all of a top level domain */
	{ "*", true, NULL },
	{ "*.", true, NULL },
	{ "w*.example.org", true, NULL },
	{ "a.*.example.org", true, NULL },
	{ "*.*.example.org", true, NULL },
};

static void
test_names(void **state)
{
	char clean[TLS_NAME_MAX + 1], longest[TLS_NAME_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(name_cases) / sizeof(name_cases[0]); i++) {
		bool is = tls_name_clean(
		    text_of(name_cases[i].name), name_cases[i].wildcard, clean);

		assert_int_equal(is, name_cases[i].clean != NULL);
		if (is)
			assert_string_equal(clean, name_cases[i].clean);
	}
	assert_false(tls_name_clean(TEXT_NONE, true, clean));
	assert_false(tls_name_clean((struct text){ "a\0b", 3 }, false, clean));
	memset(longest, 'x', sizeof(longest));
	assert_true(tls_name_clean(
	    (struct text){ longest, TLS_NAME_MAX }, false, clean));
	assert_false(tls_name_clean(
	    (struct text){ longest, TLS_NAME_MAX + 1 }, false, clean));
}

enum { A_RSA, A_EC, WILD, B, CN_ONLY, NPAIRS };
static struct pki *pairs[NPAIRS];

static int
set_up(void **state)
{
	static const struct pki_wish wishes[NPAIRS] = {
		[A_RSA] = { .pk = GNUTLS_PK_RSA, .names = { "a.test" } },
		[A_EC] = { .names = { "A.Test", "other.test" } },
		[WILD] = { .names = { "wild.test", "*.wild.test" } },
		[B] = { .names = { "b.wild.test" } },
		[CN_ONLY] = { .ip = "192.0.2.1" },
	};
	size_t i;

	(void)state;
	tls_global_init();
	for (i = 0; i < NPAIRS; i++)
		pairs[i] = pki_new(wishes[i]);
	return 0;
}

static int
tear_down(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NPAIRS; i++)
		pki_free(&pairs[i]);
	return 0;
}

/* With those numbers in that order; certificates of those in fresh. */
static struct handover *
hand_over(const int *order, size_t n, uint16_t defaults, const int *fresh,
    size_t nfresh)
{
	uint16_t numbers[NPAIRS];
	struct handover *h;
	size_t i;
	int fd = handover_new("test");

	for (i = 0; i < n; i++)
		numbers[i] = htobe16((uint16_t)order[i]);
	assert_int_equal(handover_add(fd, HANDOVER_ORDER, defaults,
	                     (struct text){ (const char *)numbers, 2 * n }),
	    0);
	for (i = 0; i < nfresh; i++)
		assert_int_equal(
		    handover_add(fd, HANDOVER_CERT, (uint16_t)fresh[i],
		        text_of(pairs[fresh[i] % 10]->cert)),
		    0);
	assert_int_equal(handover_seal(fd), 0);
	h = handover_open(fd);
	assert_non_null(h);
	close(fd);
	return h;
}

static bool
fits(void *arg, const struct tls_pair *p)
{
	const bool *rsa_only = arg;

	return !*rsa_only || p->rsa;
}

static int
chosen(struct tls_pairs *s, const char *name, bool rsa_only)
{
	const struct tls_pair *p =
	    tls_pairs_choose(s, text_of(name), fits, &rsa_only);

	assert_non_null(p->key); /* it is loaded */
	assert_int_equal(p->nchain, 1);
	return p->number;
}

static void
test_choice(void **state)
{
	static const int all[] = { A_RSA, A_EC, WILD, B, CN_ONLY };
	struct handover *h = hand_over(all, NPAIRS, 0, all, NPAIRS);
	struct tls_pairs *s = tls_pairs_new(h);

	(void)state;
	assert_int_equal(tls_pairs_count(s), NPAIRS);
	/* of a folder, what costs least comes first */
	assert_int_equal(chosen(s, "a.test", false), A_EC);
	assert_int_equal(chosen(s, "a.test", true), A_RSA);
	assert_int_equal(chosen(s, "OTHER.test", false), A_EC);
	assert_int_equal(chosen(s, "wild.test", false), WILD);
	assert_int_equal(chosen(s, "x.wild.test", false), WILD);
	assert_int_equal(chosen(s, "b.wild.test", false), B); /* exactly */
	/* one label, no more; then the default, which is the first's host */
	assert_int_equal(chosen(s, "x.y.wild.test", false), A_EC);
	assert_int_equal(chosen(s, "x.y.wild.test", true), A_RSA);
	assert_int_equal(chosen(s, "nobody.test", false), A_EC);
	assert_int_equal(chosen(s, NULL, false), A_EC);
	assert_int_equal(chosen(s, "a\nb", true), A_RSA);
	/* nothing that the client can use: still an answer */
	assert_int_equal(chosen(s, "b.wild.test", true), A_RSA);
	tls_pairs_free(&s);
	handover_close(&h);
}

/* The configuration's own have its order, and are the defaults. */
static void
test_defaults(void **state)
{
	static const int all[] = { B, A_RSA, A_EC, WILD };
	struct handover *h = hand_over(all, 4, 2, all, 4);
	struct tls_pairs *s = tls_pairs_new(h);

	(void)state;
	assert_int_equal(chosen(s, "a.test", false), A_RSA);
	assert_int_equal(chosen(s, NULL, false), B);
	assert_int_equal(chosen(s, "nobody.test", true), A_RSA);
	tls_pairs_free(&s);
	handover_close(&h);
}

static void
test_update(void **state)
{
	static const int before[] = { A_EC, WILD }, after[] = { 11, B, A_RSA },
	                 fresh[] = { 11, B, A_RSA }, unknown[] = { A_EC, 7 };
	struct handover *h = hand_over(before, 2, 1, before, 2);
	struct tls_pairs *s = tls_pairs_new(h);
	bool any = false;
	struct tls_pair *held =
	    tls_pair_hold(tls_pairs_choose(s, TEXT_NONE, fits, &any));

	(void)state;
	handover_close(&h);
	/* one that is not there: all stays as it was */
	h = hand_over(unknown, 2, 1, NULL, 0);
	assert_int_equal(tls_pairs_update(s, h), -1);
	handover_close(&h);
	assert_int_equal(chosen(s, "a.test", false), A_EC);
	/* renewed (11 is what was A_EC), added, removed */
	h = hand_over(after, 3, 1, fresh, 3);
	assert_int_equal(tls_pairs_update(s, h), 0);
	assert_int_equal(tls_pairs_update(s, h), 0); /* twice is no matter */
	handover_close(&h);
	assert_int_equal(tls_pairs_count(s), 3);
	assert_int_equal(chosen(s, "other.test", false), 11);
	assert_int_equal(chosen(s, "b.wild.test", false), B);
	assert_int_equal(chosen(s, "x.wild.test", false), 11);
	/* a handshake that began with the old one goes on with it */
	assert_int_equal(held->number, A_EC);
	assert_int_equal(held->refs, 1);
	assert_int_equal(held->nchain, 1);
	tls_pair_release(&held);
	assert_null(held);
	tls_pairs_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_update),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
