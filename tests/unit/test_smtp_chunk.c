/* SPDX-License-Identifier: ISC */
/*
 * test_smtp_chunk: messages in chunks, for every short string of the octets
 * that matter, cut into chunks and buffers at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "smtp_chunk.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)

/*
 * Send t as one chunk, step octets at a time, with octets of the next command
 * behind it.  How many octets were passed on.
 */
static size_t
send_chunk(struct smtp_chunk *c, struct text t, bool last, size_t step)
{
	enum smtp_chunk_result result;
	struct text piece, out;
	size_t at = 0, passed = 0, taken;
	char octets[512];

	assert_true(t.len + 4 <= sizeof(octets));
	memcpy(octets, t.p, t.len);
	memcpy(octets + t.len, "BDAT", 4);
	smtp_chunk_begin(c, t.len, last);
	do {
		piece = (struct text){ octets + at, t.len + 4 - at };
		if (piece.len > step)
			piece.len = step;
		result = smtp_chunk_feed(c, piece, &taken, &out);
		if (out.len != 0) {
			assert_ptr_equal(out.p, piece.p);
			assert_int_equal(out.len, taken);
			assert_int_equal(c->watch.fault, SMTP_FAULT_NONE);
		}
		at += taken;
		passed += out.len;
		assert_int_equal(
		    result, at < t.len ? SMTP_CHUNK_MORE : SMTP_CHUNK_END);
	} while (result == SMTP_CHUNK_MORE);
	assert_int_equal(at, t.len);
	return passed;
}

static enum smtp_fault
ref_fault(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] == '\0')
			return SMTP_FAULT_NUL;
		if (t.p[i] == '\r' && i + 1 < t.len && t.p[i + 1] == '\n')
			i++;
		else if (t.p[i] == '\r' || t.p[i] == '\n')
			return SMTP_FAULT_BARE;
	}
	return SMTP_FAULT_NONE;
}

/* t in two chunks, the second perhaps empty, from buffers of step octets. */
static void
check(struct text t, size_t first, size_t step, bool binary)
{
	enum smtp_fault fault = binary ? SMTP_FAULT_NONE : ref_fault(t);
	struct smtp_chunk c;
	size_t passed;

	smtp_chunk_init(&c, 0, binary);
	passed = send_chunk(&c, (struct text){ t.p, first }, false, step);
	passed += send_chunk(&c, text_skip(t, first), true, step);
	if (c.watch.fault != fault)
		fail_msg("%zu octets, %zu, %zu: fault %d, not %d", t.len, first,
		    step, c.watch.fault, fault);
	/* An empty last chunk is all that is left to be withheld. */
	if (fault == SMTP_FAULT_NONE)
		assert_int_equal(passed, t.len);
	else if (first < t.len)
		assert_true(passed < t.len);
}

static void
test_all_strings(void **state)
{
	static const char alphabet[] = { 'a', '.', '\r', '\n', '\0' };
	unsigned int i, rest, count = 1;
	size_t len, k, first;
	char s[6];

	(void)state;
	for (len = 0; len <= sizeof(s); len++, count *= NITEMS(alphabet)) {
		for (i = 0; i < count; i++) {
			for (k = 0, rest = i; k < len; k++) {
				s[k] = alphabet[rest % NITEMS(alphabet)];
				rest /= NITEMS(alphabet);
			}
			for (first = 0; first <= len; first++) {
				struct text t = { s, len };

				check(t, first, 1, false);
				check(t, first, 3, false);
				check(t, first, 64, false);
				check(t, first, 2, true);
			}
		}
	}
}

/* Many lines, and in the place of some octets what must not be passed over. */
static void
test_many_lines(void **state)
{
	static const char line[] = "twenty-two octets ..\r\n";
	static const char alphabet[] = { 'a', '.', '\r', '\n', '\0' };
	char s[16 * (sizeof(line) - 1)];
	size_t i, k, n;

	(void)state;
	for (i = 0; i < sizeof(alphabet); i++) {
		for (n = 0; n < sizeof(s); n++) {
			for (k = 0; k < sizeof(s); k++)
				s[k] = line[k % (sizeof(line) - 1)];
			s[n] = alphabet[i];
			check((struct text){ s, sizeof(s) }, 0, 400, false);
			check((struct text){ s, sizeof(s) }, 100, 70, false);
		}
	}
}

/* A fault stays, and what follows is swallowed by its count. */
static void
test_swallow(void **state)
{
	struct smtp_chunk c;

	(void)state;
	smtp_chunk_init(&c, 0, false);
	assert_int_equal(send_chunk(&c, S("a\r\n"), false, 2), 3);
	assert_int_equal(send_chunk(&c, S("b\nc"), false, 64), 0);
	assert_int_equal(send_chunk(&c, S("d\0"), false, 1), 0);
	assert_int_equal(send_chunk(&c, S("e\r\n"), true, 64), 0);
	assert_int_equal(c.watch.fault, SMTP_FAULT_BARE);

	smtp_chunk_init(&c, 0, false);
	smtp_watch_condemn(&c.watch, SMTP_FAULT_REFUSED);
	assert_int_equal(send_chunk(&c, S("a\n"), true, 1), 0);
	assert_int_equal(c.watch.fault, SMTP_FAULT_REFUSED);
}

static void
test_limit(void **state)
{
	struct smtp_chunk c;
	struct text out;
	size_t taken;

	(void)state;
	smtp_chunk_init(&c, 8, false);
	assert_int_equal(send_chunk(&c, S("12345"), false, 3), 5);
	assert_int_equal(send_chunk(&c, S("678"), true, 3), 3);
	assert_int_equal(c.watch.fault, SMTP_FAULT_NONE);
	assert_int_equal(c.watch.size, 8);

	smtp_chunk_init(&c, 8, false);
	assert_int_equal(send_chunk(&c, S("12345"), false, 3), 5);
	assert_int_equal(send_chunk(&c, S("6789"), true, 3), 0);
	assert_int_equal(c.watch.fault, SMTP_FAULT_TOO_BIG);

	/* Known from the size that was declared, whatever it is. */
	smtp_chunk_init(&c, 8, false);
	assert_int_equal(send_chunk(&c, S("12345"), false, 3), 5);
	smtp_chunk_begin(&c, UINT64_MAX, false);
	assert_int_equal(c.watch.fault, SMTP_FAULT_TOO_BIG);

	/* And without a limit, any size is counted down. */
	smtp_chunk_init(&c, 0, false);
	smtp_chunk_begin(&c, INT64_MAX, true);
	assert_int_equal(
	    smtp_chunk_feed(&c, S("abc"), &taken, &out), SMTP_CHUNK_MORE);
	assert_int_equal(out.len, 3);
	assert_true(c.left == INT64_MAX - 3);
}

/* The header is watched across chunks; a dot is a dot. */
static void
test_header(void **state)
{
	struct smtp_chunk c;

	(void)state;
	smtp_chunk_init(&c, 0, false);
	(void)send_chunk(&c, S(".Received: x\r"), false, 64);
	(void)send_chunk(&c, S("\nReceived: y\r\nMessage"), false, 5);
	(void)send_chunk(&c, S("-ID: <a@b>\r\n\r\nReceived: z"), true, 1);
	assert_int_equal(c.watch.fault, SMTP_FAULT_NONE);
	assert_int_equal(c.watch.received, 1);
	assert_true(smtp_watch_header_ended(&c.watch));
	assert_true(text_eq(smtp_watch_message_id(&c.watch), "<a@b>"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_strings),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_swallow),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
