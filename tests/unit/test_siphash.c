/* SPDX-License-Identifier: ISC */
/* siphash: the vectors of its authors; proof: what tells passwords apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proof.h"
#include "siphash.h"

/* vectors_sip64 of the reference implementation, in its octets' order */
static const struct {
	size_t len;
	uint64_t hash;
} vectors[] = {
	{ 0, UINT64_C(0x726fdb47dd0e0e31) },
	{ 1, UINT64_C(0x74f839c593dc67fd) },
	{ 7, UINT64_C(0xab0200f58b01d137) },
	{ 8, UINT64_C(0x93f5f5799a932462) },
	{ 15, UINT64_C(0xa129ca6149be45e5) },
};

static void
test_vectors(void **state)
{
	uint8_t key[SIPHASH_KEY_LEN], data[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_int_equal(
		    siphash(key, data, vectors[i].len), vectors[i].hash);
}

#define T(s) TEXT_LIT(s)

static void
test_proof(void **state)
{
	const uint8_t key[SIPHASH_KEY_LEN] = { 1 }, other[16] = { 2 };
	const uint16_t proof = proof_of(key, T("alice"), T("secret"));

	(void)state;
	assert_int_not_equal(proof, 0);
	assert_int_equal(proof_of(key, T("alice"), T("secret")), proof);
	assert_int_not_equal(proof_of(key, T("alice"), T("secrets")), proof);
	assert_int_not_equal(proof_of(key, T("alices"), T("ecret")), proof);
	assert_int_not_equal(proof_of(other, T("alice"), T("secret")), proof);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
