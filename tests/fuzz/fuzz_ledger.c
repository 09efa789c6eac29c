/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ledger: a ledger as it is found at a start, cut, with any octets in any
 * place, and changed by another's broker while it is used: it is none, or what
 * is counted in it has its bounds, and nothing outside it is touched.
 */
#include <sys/mman.h>

#include <unistd.h>

#include "fuzz.h"
#include "ledger.h"
#include "ledger_file.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define HEAD 64U
#define SLOT 96U
#define ENTRIES 1024U
#define SPARE 8U /* as many more are there as a head may say */
#define DIRTY_MAX 80
#define STEPS_MAX 24
#define NOW 1764000000U

static char *table;
static size_t table_size;
static char head[HEAD];

/* The slots that have to be emptied for the next input. */
static size_t dirty[DIRTY_MAX];
static unsigned int ndirty;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	table_size = ledger_size(ENTRIES + SPARE);
	MUST(table_size == HEAD + (ENTRIES + SPARE) * SLOT);
	table = calloc(1, table_size);
	MUST(table != NULL);
	ledger_format(table, ENTRIES);
	memset(table + 16, 0x42, 16); /* its key: the same each time */
	memcpy(head, table, sizeof(head));
	return 0;
}

static void
touch(size_t i)
{
	if (ndirty < DIRTY_MAX)
		dirty[ndirty++] = i;
}

/* Which slot it is, whose place is right. */
static unsigned int
number_of(const struct ledger *l, const struct ledger_slot *s)
{
	size_t at = (size_t)((const char *)s - table);

	MUST((const char *)s >= table + HEAD && (at - HEAD) % SLOT == 0);
	MUST((at - HEAD) / SLOT < ledger_entries(l));
	return (unsigned int)((at - HEAD) / SLOT);
}

static struct ledger_id
id_of(const struct ledger *l, uint8_t which, struct text user)
{
	struct addr a;

	MUST(addr_parse(
	         which & 4 ? TEXT_LIT("2001:db8::7") : TEXT_LIT("192.0.2.7"), 0,
	         &a) == 0);
	switch (which % 4) {
	case 0:
		return ledger_id_address(l, &a);
	case 1:
		return ledger_id_network(l, &a);
	case 2:
		return ledger_id_user(l, user);
	default:
		return ledger_id_pair(l, &a, user);
	}
}

/* Any octets: in the head, or in a slot. */
static void
write_any(struct input *in, size_t slot)
{
	uint8_t at = input_u8(in);
	struct text t;

	if (at >= 192) {
		t = input_text(in, at % 16);
		at = input_u8(in) % (HEAD - 16);
		memcpy(table + at, t.p, t.len);
		return;
	}
	at %= SLOT;
	t = input_text(in, input_u8(in) % (SLOT - at + 1U));
	memcpy(table + HEAD + slot * SLOT + at, t.p, t.len);
	touch(slot);
}

static void
check_look(const struct ledger *l, unsigned int i)
{
	struct ledger_slot *s = ledger_at(l, i);
	char shown[LEDGER_SHOWN];
	enum ledger_kind kind;
	struct addr_range r;

	memset(shown, 'x', sizeof(shown));
	kind = ledger_look(l, i, shown);
	MUST(kind < LEDGER_KINDS);
	MUST(memchr(shown, '\0', sizeof(shown)) != NULL);
	MUST(fuzz_printable(text_of(shown)));
	MUST(ledger_at(l, ledger_entries(l)) == NULL);
	if ((kind == LEDGER_ADDRESS || kind == LEDGER_NETWORK) &&
	    addr_range_parse(text_of(shown), &r) == 0)
		MUST(ledger_is_within(s, &r));
}

static void
count(struct ledger_slot *s, uint8_t what, enum ledger_count c,
    struct input *in, uint32_t now)
{
	uint32_t seconds = input_u16(in), limit = input_u8(in), before;

	before = ledger_window(s, c, seconds, now);
	switch (what % 6) {
	case 0:
		ledger_raise(s, c, (int32_t)((seconds - 20000) * 4000U), now);
		break;
	case 1:
		ledger_count(s, c, limit * 0x1000000U, seconds, now);
		MUST(ledger_window(s, c, seconds, now) >= before);
		break;
	case 2:
		if (ledger_take(s, c, limit, seconds, now))
			MUST(s == NULL || limit == 0 || before < limit);
		else
			MUST(s != NULL && limit != 0 && before >= limit);
		break;
	case 3:
		ledger_set_good(s, now);
		MUST(ledger_is_good(s, now) == (s != NULL));
		break;
	case 4:
		(void)ledger_note(s, c, (uint16_t)seconds);
		MUST(ledger_has(s, c, (uint16_t)seconds) ==
		    (seconds != 0 && s != NULL));
		break;
	default:
		ledger_clear(s, c);
		MUST(ledger_level(s, c, now) == 0 &&
		    ledger_window(s, c, UINT32_MAX, now) == 0);
	}
	MUST(ledger_level(s, c, now) <= LEDGER_LEVEL_MAX * LEDGER_ONE);
}

static void
step(struct ledger *l, struct input *in, struct text user)
{
	uint8_t what = input_u8(in), which = input_u8(in);
	enum ledger_count c = which / 8 % LEDGER_COUNTS;
	uint32_t now = NOW + input_u16(in) * 64U;
	struct ledger_id id = id_of(l, which, user);
	struct ledger_slot *s = ledger_find(l, &id);
	size_t bucket;

	if (s != NULL)
		check_look(l, number_of(l, s));
	if (what & 1) {
		s = ledger_make(l, &id, now);
		touch(number_of(l, s));
		MUST(ledger_find(l, &id) != NULL);
		bucket = number_of(l, s) / 8U * 8U;
		if (what & 2)
			write_any(in, bucket + what / 4 % 8);
		check_look(l, number_of(l, s));
		(void)ledger_pair_is_of(s, &id);
	}
	count(s, what / 4, c, in, now);
}

/* The same in a file: the one is a ledger if the other is. */
static void
check_file(size_t size, bool is)
{
	int fd = memfd_create("ledger", MFD_CLOEXEC);
	struct ledger *l;
	unsigned int i;

	MUST(fd != -1 && ftruncate(fd, (off_t)size) == 0);
	(void)pwrite(fd, table, size < HEAD ? size : HEAD, 0);
	l = ledger_file_map(fd, PROT_READ);
	MUST((l != NULL) == is);
	for (i = 0; l != NULL && i < 8; i++)
		MUST(ledger_window(ledger_at(l, i), LEDGER_GOOD, 1, NOW) == 0);
	if (l != NULL) {
		struct ledger_slot *first = ledger_at(l, 0);

		MUST(munmap((char *)first - HEAD, size) == 0);
	}
	ledger_free(&l);
	close(fd);
}

static void
use(struct ledger *l, struct input *in, size_t size)
{
	struct text user = input_text(in, input_u8(in));
	unsigned int i;

	MUST(ledger_entries(l) >= LEDGER_ENTRIES_MIN);
	MUST(ledger_size(ledger_entries(l)) <= size);
	for (i = 0; i < STEPS_MAX && in->left > 0; i++)
		step(l, in, user);
	for (i = 0; i < ndirty; i++)
		if (dirty[i] < ledger_entries(l))
			check_look(l, (unsigned int)dirty[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in), n = input_u8(&in) % 8;
	size_t cut = flags & 1 ? (size_t)input_u16(&in) * 2 : table_size;
	struct ledger *l;

	if (cut > table_size)
		cut = table_size;
	ndirty = 0;
	while (n-- > 0)
		write_any(&in, input_u16(&in) % (ENTRIES + SPARE));
	ASAN_POISON_MEMORY_REGION(table + cut, table_size - cut);
	l = ledger_new(table, cut);
	if (flags & 2)
		check_file(cut, l != NULL);
	if (l != NULL)
		use(l, &in, cut);
	ledger_free(&l);
	ASAN_UNPOISON_MEMORY_REGION(table + cut, table_size - cut);
	memcpy(table, head, sizeof(head));
	while (ndirty > 0)
		memset(table + HEAD + dirty[--ndirty] * SLOT, 0, SLOT);
	return 0;
}
