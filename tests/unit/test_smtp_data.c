/* SPDX-License-Identifier: ISC */
/*
 * test_smtp_data: where a message ends and what is passed on of it, against a
 * slow reference, for every short string of the octets that matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "smtp_data.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))
#define S(s) TEXT_LIT(s)
#define OCTETS_MAX 131072

struct octets {
	char p[OCTETS_MAX];
	size_t len;
};

static void
add(struct octets *o, const char *p, size_t n)
{
	if (n > sizeof(o->p) - o->len)
		fail_msg("the message grows without end");
	memcpy(o->p + o->len, p, n);
	o->len += n;
}

static struct text
view(const struct octets *o)
{
	return (struct text){ o->p, o->len };
}

static bool
same(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.p, b.p, a.len));
}

/* A case as a failed test names it. */
static const char *
shown(struct text t)
{
	static char s[4][512];
	static unsigned int n;

	return text_printable(t, s[n++ % NITEMS(s)], sizeof(s[0]));
}

/*
 * Feed in, in pieces of at most step octets, the first of at most first; what
 * is passed goes to out.  How many octets were taken; *ended: was it all?
 */
static size_t
feed(struct smtp_data *d, struct text in, size_t first, size_t step,
    struct octets *out, bool *ended)
{
	struct text piece, pass;
	size_t at = 0, taken, n = first;

	out->len = 0;
	*ended = false;
	while (at < in.len && !*ended) {
		piece = text_skip(in, at);
		if (piece.len > n)
			piece.len = n;
		*ended =
		    smtp_data_feed(d, piece, &taken, &pass) == SMTP_DATA_END;
		if (taken > piece.len || (*ended && pass.len > 0) ||
		    (!*ended && taken == 0 && pass.len == 0))
			fail_msg("no progress: %s", shown(in));
		if (pass.len > 0)
			add(out, pass.p, pass.len);
		at += taken;
		/* A piece is used up before the next is cut. */
		n -= taken;
		if (n == 0)
			n = step;
	}
	return at;
}

/* The reference: RFC 5321 as it is written, one step after the other. */

#define NO_END SIZE_MAX

/* Where the message in t ends; *len of its octets are before the dot. */
static size_t
ref_end(struct text t, size_t *len)
{
	const char *p;

	*len = 0;
	if (t.len >= 3 && memcmp(t.p, ".\r\n", 3) == 0)
		return 3;
	p = t.len == 0 ? NULL : memmem(t.p, t.len, "\r\n.\r\n", 5);
	if (p == NULL)
		return NO_END;
	*len = (size_t)(p - t.p) + 2;
	return *len + 3;
}

/* RFC 5321 4.5.2: the first dot of a line goes.  Lines end in CRLF. */
static void
ref_unstuff(struct text t, struct octets *out)
{
	size_t i;

	out->len = 0;
	for (i = 0; i < t.len; i++) {
		if (t.p[i] != '.' ||
		    (i > 0 && (i < 2 || memcmp(t.p + i - 2, "\r\n", 2) != 0)))
			add(out, t.p + i, 1);
	}
}

static bool
ref_is_bare(struct text t, size_t i)
{
	if (t.p[i] == '\r')
		return i + 1 == t.len || t.p[i + 1] != '\n';
	return t.p[i] == '\n' && (i == 0 || t.p[i - 1] != '\r');
}

static void
ref_normalize(struct text t, struct octets *out)
{
	size_t i;

	out->len = 0;
	for (i = 0; i < t.len; i++) {
		if (ref_is_bare(t, i))
			add(out, "\r\n", 2);
		else
			add(out, t.p + i, 1);
	}
}

/* The fault that the message t has, and where; none: at its end. */
static enum smtp_fault
ref_fault(struct text t, enum smtp_bare bare, size_t *at)
{
	for (*at = 0; *at < t.len; (*at)++) {
		if (t.p[*at] == '\0')
			return SMTP_FAULT_NUL;
		if (bare == SMTP_BARE_REFUSE && ref_is_bare(t, *at))
			return SMTP_FAULT_BARE;
	}
	return SMTP_FAULT_NONE;
}

/* Is there anything that a lax receiver could take for an end? */
static bool
is_harmless(struct text t)
{
	size_t i, begin = 0;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] == '\0' || ref_is_bare(t, i))
			return false;
		if (t.p[i] != '\n')
			continue;
		if (i - begin == 2 && t.p[begin] == '.')
			return false;
		begin = i + 1;
	}
	return true;
}

/* What the reference makes of one stream. */
struct expected {
	struct text in;
	enum smtp_bare bare;
	size_t end;
	struct text raw; /* before the dot */
	enum smtp_fault fault;
	size_t fault_at;
	struct octets message; /* what the inner server is to make of it */
};

static void
expect(struct text in, enum smtp_bare bare, struct expected *e)
{
	static struct octets unstuffed;

	e->in = in;
	e->bare = bare;
	e->raw.p = in.p;
	e->end = ref_end(in, &e->raw.len);
	assert_true(e->end != NO_END);
	e->fault = ref_fault(e->raw, bare, &e->fault_at);
	ref_unstuff(e->raw, &unstuffed);
	ref_normalize(view(&unstuffed), &e->message);
}

static void
check(const struct expected *e, size_t first, size_t step)
{
	static struct octets out, got;
	struct smtp_data d;
	size_t n, end, len;
	bool ended;

	smtp_data_init(&d, e->bare, 0);
	n = feed(&d, e->in, first, step, &out, &ended);
	if (!ended || n != e->end)
		fail_msg("%s %zu %zu: %zu taken, not %zu", shown(e->in), first,
		    step, n, e->end);
	if (d.watch.fault != e->fault)
		fail_msg("%s %zu %zu: fault %d, not %d", shown(e->in), first,
		    step, d.watch.fault, e->fault);
	if (!is_harmless(view(&out)))
		fail_msg("%s %zu %zu: passed %s", shown(e->in), first, step,
		    shown(view(&out)));
	if (e->bare == SMTP_BARE_REFUSE &&
	    (out.len > e->fault_at || memcmp(out.p, e->raw.p, out.len) != 0))
		fail_msg("%s %zu %zu: passed %s", shown(e->in), first, step,
		    shown(view(&out)));
	if (e->fault != SMTP_FAULT_NONE)
		return;

	/* The inner server: one message, all of it, and then silence. */
	add(&out, SMTP_DATA_DOT, strlen(SMTP_DATA_DOT));
	end = ref_end(view(&out), &len);
	ref_unstuff((struct text){ out.p, len }, &got);
	if (end != out.len || !same(view(&got), view(&e->message)) ||
	    d.watch.size != got.len)
		fail_msg("%s %zu %zu: %s is %s, not %s", shown(e->in), first,
		    step, shown(view(&out)), shown(view(&got)),
		    shown(view(&e->message)));
}

static void
check_both(struct text in, bool splits)
{
	static struct expected e;
	size_t first;
	int bare;

	for (bare = SMTP_BARE_REFUSE; bare <= SMTP_BARE_NORMALIZE; bare++) {
		expect(in, bare, &e);
		check(&e, in.len, in.len);
		check(&e, 1, 1);
		for (first = 1; splits && first < in.len; first++)
			check(&e, first, in.len);
	}
}

/*
 * All strings of these octets, each as the beginning of a stream that ends
 * at last and has a command behind it: whole, octet by octet, and the shorter
 * ones cut in two at each octet.
 */
#define LENGTH_MAX 8
#define LENGTH_SPLIT 7

static void
test_all_strings(void **state)
{
	static const char alphabet[] = { 'a', '.', '\r', '\n', '\0' };
	static const char tail[] = "\r\n.\r\n.\r\n";
	char s[LENGTH_MAX + sizeof(tail)];
	unsigned int i, rest, count = 1;
	size_t len, k;

	(void)state;
	for (len = 0; len <= LENGTH_MAX; len++, count *= NITEMS(alphabet)) {
		for (i = 0; i < count; i++) {
			for (k = 0, rest = i; k < len; k++) {
				s[k] = alphabet[rest % NITEMS(alphabet)];
				rest /= NITEMS(alphabet);
			}
			memcpy(s + len, tail, strlen(tail));
			check_both((struct text){ s, len + strlen(tail) },
			    len <= LENGTH_SPLIT);
		}
	}
}

/* The published variants by name, so that a failure says which. */
static void
test_smuggling(void **state)
{
	static const struct {
		struct text in;
		struct text normalized;
		enum smtp_fault fault; /* when refusing */
	} cases[] = {
		{ S("a\n.\n"), S("a\r\n..\r\n"), SMTP_FAULT_BARE },
		{ S("a\r\n.\n"), S("a\r\n\r\n"), SMTP_FAULT_BARE },
		{ S("a\n.\r\n"), S("a\r\n..\r\n"), SMTP_FAULT_BARE },
		{ S("a\r.\r"), S("a\r\n..\r\n"), SMTP_FAULT_BARE },
		{ S("a\r.\r\n"), S("a\r\n..\r\n"), SMTP_FAULT_BARE },
		{ S("a\r\n.\r"), S("a\r\n\r\n"), SMTP_FAULT_BARE },
		{ S("a\r\r\n.\r\r\n"), S("a\r\n\r\n\r\n\r\n"),
		    SMTP_FAULT_BARE },
		{ S("a\r\n.\r\r\n"), S("a\r\n\r\n\r\n"), SMTP_FAULT_BARE },
		{ S("a\n\n.\n\n"), S("a\r\n\r\n..\r\n\r\n"), SMTP_FAULT_BARE },
		{ S("a\n..\n"), S("a\r\n...\r\n"), SMTP_FAULT_BARE },
		{ S("a\r\n..\n"), S("a\r\n..\r\n"), SMTP_FAULT_BARE },
		{ S("a\r\n..\r\n"), S("a\r\n..\r\n"), SMTP_FAULT_NONE },
		{ S("a\r\n.a\r\n"), S("a\r\n.a\r\n"), SMTP_FAULT_NONE },
		{ S("a\n\r.\n\r"), S("a\r\n\r\n..\r\n\r\n"), SMTP_FAULT_BARE },
		{ S("a\r\n.\xff\r\n"), S("a\r\n.\xff\r\n"), SMTP_FAULT_NONE },
		{ S("a\r\n. \r\n"), S("a\r\n. \r\n"), SMTP_FAULT_NONE },
	};
	static struct octets in, out;
	struct smtp_data d;
	bool ended;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		in.len = 0;
		add(&in, cases[i].in.p, cases[i].in.len);
		add(&in, "b\r\n.\r\nQUIT\r\n", 12);
		check_both(view(&in), true);

		smtp_data_init(&d, SMTP_BARE_NORMALIZE, 0);
		(void)feed(&d, view(&in), in.len, in.len, &out, &ended);
		if (!ended || out.len < 3 ||
		    !same((struct text){ out.p, out.len - 3 },
		        cases[i].normalized))
			fail_msg("%s became %s", shown(cases[i].in),
			    shown(view(&out)));
		smtp_data_init(&d, SMTP_BARE_REFUSE, 0);
		(void)feed(&d, view(&in), in.len, in.len, &out, &ended);
		assert_int_equal(d.watch.fault, cases[i].fault);
	}
}

/* NUL is refused, whatever becomes of CR and LF. */
static void
test_nul(void **state)
{
	static const struct text cases[] = { S("\0\r\n.\r\n"),
		S("a\r\n\0.\r\n.\r\n"), S("a\r\n.\0\r\n.\r\n"),
		S("a\r\n.\r\0\n\r\n.\r\n"), S("a\r\0\n\r\n.\r\n") };
	static struct octets out;
	struct smtp_data d;
	bool ended;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		check_both(cases[i], true);
		smtp_data_init(&d, SMTP_BARE_NORMALIZE, 0);
		assert_int_equal(
		    cases[i].len, feed(&d, cases[i], 1, 1, &out, &ended));
		assert_int_equal(d.watch.fault, SMTP_FAULT_NUL);
	}
}

/* Lines longer than any look ahead, with something at each place. */
static void
test_long_lines(void **state)
{
	static const char *const middles[] = { "", "\r\n", "\r", "\n", "\r\n..",
		"\r\n.\r", "\n.\r\n", "\r\n.\r\n" };
	static struct octets in;
	char as[2100];
	size_t i, n;

	(void)state;
	memset(as, 'a', sizeof(as));
	for (i = 0; i < NITEMS(middles); i++) {
		for (n = 1000; n < sizeof(as); n += n % 1024 == 50 ? 900 : 1) {
			in.len = 0;
			add(&in, as, n);
			add(&in, middles[i], strlen(middles[i]));
			add(&in, as, 1500);
			add(&in, "\r\n.\r\nQUIT\r\n", 11);
			check_both(view(&in), false);
		}
	}
}

/* Many lines, and in the place of some octets what must not be passed over. */
static void
test_many_lines(void **state)
{
	static const char line[] = "twenty-two octets ..\r\n";
	static const char *const odd[] = { "", "\r", "\n", ".", "\r\n", "\n.",
		"\r.", "\n\r", "\r\n.\r", "\r\n.\r\n", "\r\n..", "\r\r\n" };
	static struct octets in;
	size_t i, n, k;

	(void)state;
	for (i = 0; i < NITEMS(odd); i++) {
		for (n = 0; n < 220; n++) {
			in.len = 0;
			for (k = 0; k < 14; k++)
				add(&in, line, strlen(line));
			memcpy(in.p + n, odd[i], strlen(odd[i]));
			add(&in, ".\r\nQUIT\r\n", 9);
			check_both(view(&in), false);
			in.p[n] = '\0';
			check_both(view(&in), false);
		}
	}
}

/* What is passed is the caller's own octets, in one piece. */
static void
test_zero_copy(void **state)
{
	static const struct text in = S("a: b\r\n\r\n..c\r\nd\r\n.\r\nQUIT");
	struct text out;
	struct smtp_data d;
	size_t taken;

	(void)state;
	smtp_data_init(&d, SMTP_BARE_REFUSE, 0);
	assert_int_equal(smtp_data_feed(&d, in, &taken, &out), SMTP_DATA_MORE);
	assert_ptr_equal(out.p, in.p);
	assert_int_equal(out.len, in.len - 7);
	assert_int_equal(taken, out.len);
	assert_int_equal(smtp_data_feed(&d, text_skip(in, taken), &taken, &out),
	    SMTP_DATA_END);
	assert_int_equal(taken, 3);
	assert_int_equal(out.len, 0);

	/* And behind the end there is nothing more. */
	assert_int_equal(
	    smtp_data_feed(&d, S("\r\n.\r\n"), &taken, &out), SMTP_DATA_END);
	assert_int_equal(taken, 0);
	assert_int_equal(out.len, 0);
}

/* CR and LF are one CRLF when they come apart; nothing waits but they. */
static void
test_withheld(void **state)
{
	static const struct {
		struct text in, out;
	} steps[] = {
		{ S("a\r"), S("a") },
		{ S("\n"), S("\r\n") },
		{ S("."), S("") },
		{ S("."), S("..") },
		{ S(".\r"), S(".") },
		{ S("\n.\r"), S("\r\n") },
		{ S("\n"), S("") },
	};
	struct octets *out = calloc(1, sizeof(*out));
	struct smtp_data d;
	bool ended = false;
	size_t i;

	(void)state;
	assert_non_null(out);
	smtp_data_init(&d, SMTP_BARE_REFUSE, 0);
	for (i = 0; i < NITEMS(steps); i++) {
		assert_false(ended);
		assert_int_equal(steps[i].in.len,
		    feed(&d, steps[i].in, steps[i].in.len, 1, out, &ended));
		if (!same(view(out), steps[i].out))
			fail_msg("step %zu: %s", i, shown(view(out)));
	}
	assert_true(ended);
	free(out);
}

static void
test_size(void **state)
{
	static const struct {
		struct text in;
		uint64_t size;
	} cases[] = {
		{ S(".\r\n"), 0 },
		{ S("\r\n.\r\n"), 2 },
		{ S("abc\r\n.\r\n"), 5 },
		{ S("..\r\n.\r\n"), 3 },
		{ S(".abc\r\n.\r\n"), 5 },
		{ S("a\n.b\r\n.\r\n"), 7 },
		{ S("a\r\n.\n\r\n.\r\n"), 7 },
	};
	static struct octets out;
	struct smtp_data d;
	size_t i, step, all;
	bool ended;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		for (step = 1; step <= cases[i].in.len; step++) {
			smtp_data_init(&d, SMTP_BARE_NORMALIZE, cases[i].size);
			(void)feed(&d, cases[i].in, step, step, &out, &ended);
			assert_true(ended);
			assert_int_equal(d.watch.size, cases[i].size);
			assert_int_equal(d.watch.fault, SMTP_FAULT_NONE);
			all = out.len;
			if (cases[i].size < 2)
				continue; /* a limit of 0 is none */
			smtp_data_init(
			    &d, SMTP_BARE_NORMALIZE, cases[i].size - 1);
			(void)feed(&d, cases[i].in, step, step, &out, &ended);
			assert_true(ended);
			assert_int_equal(d.watch.fault, SMTP_FAULT_TOO_BIG);
			assert_true(out.len < all);
		}
	}
}

/* The caller's own reason: nothing passes, but the end is found. */
static void
test_refused(void **state)
{
	static struct octets out;
	struct smtp_data d;
	bool ended;

	(void)state;
	smtp_data_init(&d, SMTP_BARE_REFUSE, 0);
	smtp_watch_condemn(&d.watch, SMTP_FAULT_REFUSED);
	assert_int_equal(
	    feed(&d, S("a\r\n\n.\n\r\n.\r\nQUIT\r\n"), 1, 1, &out, &ended), 11);
	assert_true(ended);
	assert_int_equal(out.len, 0);
	assert_int_equal(d.watch.fault, SMTP_FAULT_REFUSED);
}

/* The header, as far as it is looked at. */
static void
test_header(void **state)
{
	static const struct {
		struct text in, id;
		unsigned int received;
		bool ended;
	} cases[] = {
		{ S("Message-ID: <a@b>\r\n\r\n"), S("<a@b>"), 0, true },
		{ S("Message-ID: <a@b>\r\n"), S("<a@b>"), 0, false },
		{ S("message-id:<a@b>  \r\n\r\n"), S("<a@b>"), 0, true },
		{ S("MESSAGE-ID \t: \t<a@b>\r\n\r\n"), S("<a@b>"), 0, true },
		{ S("Message-ID:\r\n <a@b>\r\n\r\n"), S("<a@b>"), 0, true },
		{ S("Message-ID: <a\r\n\tb>\r\nX: c\r\n d\r\n"), S("<a\tb>"), 0,
		    false },
		{ S("Message-ID: a\r\nMessage-ID: b\r\n\r\n"), S("a"), 0,
		    true },
		{ S("Message-ID: \r\nMessage-ID: b\r\n\r\n"), S("b"), 0, true },
		{ S("X: a\r\n Message-ID: b\r\n\r\n"), S(""), 0, true },
		{ S("XMessage-ID: b\r\n\r\n"), S(""), 0, true },
		{ S("Message-I: b\r\nMessage-IDX: c\r\n\r\n"), S(""), 0, true },
		{ S("\r\nMessage-ID: b\r\nReceived: c\r\n"), S(""), 0, true },
		{ S(" Message-ID: b\r\n"), S(""), 0, true },
		{ S("hello, world\r\nMessage-ID: b\r\n"), S(""), 0, true },
		{ S("hello\r\nMessage-ID: b\r\n"), S(""), 0, true },
		{ S("X\xff: a\r\nMessage-ID: b\r\n"), S(""), 0, true },
		{ S(": a\r\nMessage-ID: b\r\n"), S(""), 0, true },
		{ S("Received: a\r\n\tb\r\nRECEIVED:c\r\n\r\nReceived: d\r\n"),
		    S(""), 2, true },
		{ S("Received : a\r\nReceiver: b\r\n"), S(""), 1, false },
		{ S("X: y\r\n Received: a\r\n"), S(""), 0, false },
		/* Dots are not the message's (RFC 5321 4.5.2). */
		{ S(".Message-ID: a\r\n.Received: b\r\n\r\n"), S("a"), 1,
		    true },
		{ S("..Message-ID: a\r\n.\tb\r\n\r\n"), S(""), 0, true },
		{ S("Message-ID: a\r\n. b\r\n\r\n"), S("a b"), 0, true },
		{ S("Message-ID: \xc3\xbc\x1b[0m\r\n\r\n"),
		    S("\xc3\xbc\x1b[0m"), 0, true },
		/* What is made a line is one. */
		{ S("X: a\nMessage-ID: b\rReceived: c\n\n"), S("b"), 1, true },
	};
	static struct octets out;
	struct smtp_data d;
	size_t i, step;
	bool ended;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		for (step = 1; step <= cases[i].in.len; step++) {
			smtp_data_init(&d, SMTP_BARE_NORMALIZE, 0);
			(void)feed(&d, cases[i].in, step, step, &out, &ended);
			if (!same(
			        smtp_watch_message_id(&d.watch), cases[i].id) ||
			    d.watch.received != cases[i].received ||
			    smtp_watch_header_ended(&d.watch) != cases[i].ended)
				fail_msg("%s, step %zu: %s, %u, %d",
				    shown(cases[i].in), step,
				    shown(smtp_watch_message_id(&d.watch)),
				    d.watch.received, d.watch.header);
		}
	}
}

static void
test_long_id(void **state)
{
	static struct octets in, out;
	struct smtp_data d;
	struct text id;
	size_t i;
	bool ended;

	(void)state;
	in.len = 0;
	add(&in, "Message-ID: ", 12);
	for (i = 0; i < 90000; i++)
		add(&in, "x", 1);
	add(&in, "\r\nReceived: a\r\n\r\n.\r\n", 20);
	smtp_data_init(&d, SMTP_BARE_REFUSE, 0);
	(void)feed(&d, view(&in), 1000, 1000, &out, &ended);
	assert_true(ended);
	id = smtp_watch_message_id(&d.watch);
	assert_int_equal(id.len, SMTP_MESSAGE_ID_MAX);
	assert_int_equal(d.watch.received, 1);
	assert_int_equal(out.len, in.len - 3);
}

static void
test_loop(void **state)
{
	static struct octets in, out;
	struct smtp_data d;
	unsigned int n;
	bool ended;

	(void)state;
	for (n = SMTP_RECEIVED_MAX; n <= SMTP_RECEIVED_MAX + 1; n++) {
		in.len = 0;
		while (in.len < n * 14)
			add(&in, "Received: abc\n", 14);
		add(&in, "\r\n.\r\n", 5);
		smtp_data_init(&d, SMTP_BARE_NORMALIZE, 0);
		(void)feed(&d, view(&in), 100, 100, &out, &ended);
		assert_true(ended);
		assert_int_equal(d.watch.received, n);
		assert_int_equal(d.watch.fault,
		    n > SMTP_RECEIVED_MAX ? SMTP_FAULT_LOOP : SMTP_FAULT_NONE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_strings),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_zero_copy),
		cmocka_unit_test(test_withheld),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_long_id),
		cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
