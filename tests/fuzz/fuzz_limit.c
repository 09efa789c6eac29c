/* SPDX-License-Identifier: ISC */
/*
 * fuzz_limit: the book of connections as a broker that has died, or that was
 * taken over, left it, and those of old generations: whatever stands there,
 * counts are no more than places, and who is forgotten is nowhere.
 */
#include "fuzz.h"
#include "limit.h"

#define PLACES 6
#define MAX_ALL 5
#define MAX_ADDRESS 2
#define STEPS_MAX 24
#define SESSIONS_MAX 4

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	return 0;
}

static struct addr
client_of(uint8_t which)
{
	static const char *const clients[] = { "192.0.2.1", "192.0.2.2",
		"2001:db8::1", "2001:db8::2" };
	struct addr a;

	MUST(
	    addr_parse(text_of(clients[which % NITEMS(clients)]), 25, &a) == 0);
	return a;
}

/* A good book, and octets in it. */
static struct text
make_book(struct input *in, uint8_t n)
{
	struct text t;
	char *p = calloc(1, limit_size(PLACES));
	struct limit *l = limit_new(p, PLACES, MAX_ALL, MAX_ADDRESS);
	struct addr a;
	size_t at;

	for (; n > 0; n--) {
		a = client_of(n);
		(void)limit_admit(l, n % 3U, n, &a);
	}
	limit_free(&l);
	while (input_u8(in) & 1) {
		at = input_u16(in) % limit_size(PLACES);
		t = input_text(in, input_u8(in) % 64);
		if (t.len > limit_size(PLACES) - at)
			t.len = limit_size(PLACES) - at;
		memcpy(p + at, t.p, t.len);
	}
	return (struct text){ p, limit_size(PLACES) };
}

static void
check(struct limit *l)
{
	unsigned int all = 0;
	uint8_t i;

	MUST(limit_count(l) <= PLACES * 2);
	for (i = 0; i < 4; i += 2) {
		struct addr a = client_of(i);

		all += limit_count_address(l, &a);
	}
	MUST(all <= limit_count(l) + PLACES);
}

static void
step(struct limit *l, struct input *in)
{
	uint8_t what = input_u8(in), who = input_u8(in), i;
	uint32_t worker = who % 3, session = who / 16, held[SESSIONS_MAX];
	struct addr a = client_of(who / 4), b;
	enum limit_verdict v;

	switch (what % 6) {
	case 0:
	case 1:
		v = limit_admit(l, worker, session, &a);
		MUST((v == LIMIT_OK) ==
		    (limit_address(l, worker, session, &b) == 0));
		if (v == LIMIT_OK)
			MUST(addr_eq_host(&a, &b) &&
			    limit_count(l) <= MAX_ALL &&
			    limit_count_address(l, &a) <= MAX_ADDRESS);
		break;
	case 2:
		limit_release(l, worker, session);
		MUST(limit_address(l, worker, session, &b) == -1);
		break;
	case 3:
		(void)limit_forget_worker(l, worker);
		MUST(limit_address(l, worker, session, &b) == -1);
		MUST(limit_forget_worker(l, worker) == 0);
		break;
	case 4:
		for (i = 0; i < SESSIONS_MAX; i++)
			held[i] = what / 8U + i;
		limit_reconcile(l, worker, held, SESSIONS_MAX);
		break;
	default:
		held[0] = worker;
		limit_keep_workers(l, held, 1);
		MUST(worker == 2 || limit_forget_worker(l, 2) == 0);
	}
	(void)limit_look_at_old(l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in), n = input_u8(&in);
	struct text book = make_book(&in, n % 8), old = make_book(&in, n / 16),
	            cut;
	struct addr a = client_of(flags);
	struct limit *l;
	char *p;
	int i;

	memcpy(&p, &book.p, sizeof(p));
	cut = fuzz_copy(
	    old.p, flags & 4 ? input_u16(&in) % (old.len + 1) : old.len);
	(void)limit_book_has(cut.p, cut.len, flags / 64, &a);
	l = limit_new(p, PLACES, MAX_ALL, MAX_ADDRESS);
	MUST(limit_count(l) <= PLACES);
	limit_add_old(l, cut.p, cut.len);
	(void)limit_look_at_old(l);
	check(l);
	for (i = 0; i < STEPS_MAX && in.left > 0; i++) {
		step(l, &in);
		check(l);
	}
	if (flags & 8 && cut.len >= 4) {
		memcpy(&p, &cut.p, sizeof(p));
		memset(p, 0, 4); /* the master strikes it out */
		MUST(!limit_look_at_old(l));
		MUST(limit_count(l) <= PLACES);
	}
	limit_free(&l);
	MUST(l == NULL);
	fuzz_free(cut);
	fuzz_free(old);
	fuzz_free(book);
	return 0;
}
