/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_data: the message stream of DATA, in pieces that the input says
 * and in others, a short one octet by octet, against a reference that looks at
 * one octet after the other; and what is passed on is one message to a
 * receiver however lax, with the octets that it had.
 */
#include "fuzz.h"
#include "smtp_data.h"

#define PIECES 8

struct octets {
	char *p;
	size_t len;
};

static void
put(struct octets *o, const char *p, size_t n)
{
	if (n > 0)
		memcpy(o->p + o->len, p, n);
	o->len += n;
}

/* How long is the message, its end included?  0: it has no end. */
static size_t
end_of(struct text t)
{
	size_t i;

	if (t.len >= 3 && memcmp(t.p, ".\r\n", 3) == 0)
		return 3;
	for (i = 0; i + 5 <= t.len; i++)
		if (memcmp(t.p + i, "\r\n.\r\n", 5) == 0)
			return i + 5;
	return 0;
}

/* CR and LF that are no CRLF, or NUL: of the message alone. */
static bool
is_dirty(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (t.p[i] == '\0' ||
		    (t.p[i] == '\n' && (i == 0 || t.p[i - 1] != '\r')) ||
		    (t.p[i] == '\r' && (i + 1 == t.len || t.p[i + 1] != '\n')))
			return true;
	return false;
}

/* No receiver sees an end in it, whatever it takes for the end of a line. */
static void
check_no_end(struct text t)
{
	size_t i;
	bool begins = true;

	MUST(!is_dirty(t));
	for (i = 0; i < t.len; i++) {
		if (begins && t.p[i] == '.')
			MUST(i + 1 < t.len && t.p[i + 1] != '\r' &&
			    t.p[i + 1] != '\n');
		begins = t.p[i] == '\n' || t.p[i] == '\r';
	}
}

/* The octets that a receiver has, the dots of stuffing gone. */
static uint64_t
unstuffed(struct text t)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < t.len; i++)
		n += !(t.p[i] == '.' && (i == 0 || t.p[i - 1] == '\n'));
	return n;
}

static bool
feed(struct smtp_data *d, struct text in, size_t *at, struct octets *out)
{
	enum smtp_data_result r = SMTP_DATA_MORE;
	size_t taken, idle = 0;
	struct text given;

	while (*at < in.len && r == SMTP_DATA_MORE) {
		r = smtp_data_feed(d, text_skip(in, *at), &taken, &given);
		idle = taken == 0 && given.len == 0 ? idle + 1 : 0;
		MUST(idle == 0);
		MUST(taken <= in.len - *at);
		MUST(r == SMTP_DATA_MORE || given.len == 0);
		put(out, given.p, given.len);
		*at += taken;
	}
	return r == SMTP_DATA_END;
}

/* In pieces that the input says; each in memory of its own. */
static bool
feed_all(struct smtp_data *d, struct input *cuts, struct text in, size_t *used,
    struct octets *out)
{
	size_t n, at = 0, taken, i;
	bool ended = false;
	struct text piece;

	for (i = 0; at < in.len && !ended; i++) {
		n = i < PIECES ? 1 + input_u8(cuts) % 16U : in.len;
		if (n > in.len - at)
			n = in.len - at;
		piece = fuzz_copy(in.p + at, n);
		taken = 0;
		ended = feed(d, piece, &taken, out);
		MUST(ended || taken == n);
		fuzz_free(piece);
		at += taken;
	}
	*used = at;
	return ended;
}

static void
check(
    const struct smtp_data *d, struct text message, struct text out, bool ended)
{
	struct text clean = { message.p, message.len - (ended ? 3 : 0) };

	check_no_end(ended ? out : TEXT_NONE);
	if (d->watch.fault == SMTP_FAULT_NONE && ended) {
		if (d->bare == SMTP_BARE_REFUSE)
			MUST(!is_dirty(clean) && fuzz_same(clean, out));
		MUST(d->watch.size == unstuffed(out));
		MUST(out.len == 0 ||
		    memcmp(out.p + out.len - 2, "\r\n", 2) == 0);
	}
	if (ended && d->bare == SMTP_BARE_REFUSE && is_dirty(clean))
		MUST(d->watch.fault != SMTP_FAULT_NONE);
	if (d->watch.limit != 0 && d->watch.fault == SMTP_FAULT_NONE)
		MUST(d->watch.size <= d->watch.limit);
	MUST(smtp_watch_message_id(&d->watch).len <= SMTP_MESSAGE_ID_MAX);
}

static void
check_same(const struct smtp_data *a, const struct smtp_data *b)
{
	/*
	 * One is seen earlier or later within a piece, and of two, which the
	 * first is may depend on that.
	 */
	MUST((a->watch.fault == SMTP_FAULT_NONE) ==
	    (b->watch.fault == SMTP_FAULT_NONE));
	MUST(a->watch.fault == b->watch.fault || a->watch.limit != 0);
	if (a->watch.fault != SMTP_FAULT_NONE)
		return;
	MUST(a->watch.size == b->watch.size);
	MUST(a->watch.received == b->watch.received);
	MUST(fuzz_same(smtp_watch_message_id(&a->watch),
	    smtp_watch_message_id(&b->watch)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size }, said;
	struct fuzz_cuts cuts;
	struct octets a, b;
	struct smtp_data d, e;
	size_t used, used_whole, end;
	struct text t;
	uint8_t flags = input_u8(&in);
	uint64_t limit = flags & 2 ? input_u8(&in) : 0;
	bool ended;

	t = input_text(&in, PIECES);
	said = (struct input){ (const uint8_t *)t.p, t.len };
	t = fuzz_copy(in.p, in.left);
	cuts = fuzz_cuts(t);
	a = (struct octets){ malloc(3 * t.len + 16), 0 };
	b = (struct octets){ malloc(3 * t.len + 16), 0 };
	smtp_data_init(
	    &d, flags & 1 ? SMTP_BARE_NORMALIZE : SMTP_BARE_REFUSE, limit);
	e = d;
	ended = feed_all(&d, &said, t, &used, &a);
	/* The same, cut elsewhere. */
	for (end = used_whole = 0; used_whole < t.len && end == 0;)
		end = feed(&e,
		    (struct text){
		        t.p, used_whole + fuzz_cut(&cuts, t.len - used_whole) },
		    &used_whole, &b);
	MUST(ended == (end != 0) && used == used_whole);
	end = end_of(t);
	MUST(ended ? used == end : end == 0);
	/* A condemned message is cut where the fault was found. */
	if (d.watch.fault == SMTP_FAULT_NONE)
		MUST(fuzz_same(
		    (struct text){ a.p, a.len }, (struct text){ b.p, b.len }));
	check_same(&d, &e);
	check(&d, (struct text){ t.p, used }, (struct text){ a.p, a.len },
	    ended && d.watch.fault == SMTP_FAULT_NONE);
	if (ended && d.bare == SMTP_BARE_REFUSE && limit == 0)
		MUST(is_dirty((struct text){ t.p, used - 3 }) ==
		        (d.watch.fault == SMTP_FAULT_BARE ||
		            d.watch.fault == SMTP_FAULT_NUL) ||
		    d.watch.fault == SMTP_FAULT_LOOP);
	fuzz_free(t);
	free(a.p);
	free(b.p);
	return 0;
}
