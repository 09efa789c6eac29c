/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_record: what a worker of smtpsd, which may have been taken over,
 * has the master write into the log: one printable line, or nothing; and an
 * event that was read is the same when it is sent again.
 */
#include "fuzz.h"
#include "smtp_record.h"

/* What differs may be views of other memory alone. */
static void
check_again(const struct smtp_log_event *e, const struct msg_record *m)
{
	struct msg_record again;
	size_t i;

	smtp_record_put(e, &again);
	MUST(again.type == m->type && again.ntexts == m->ntexts &&
	    again.nnumbers == m->nnumbers);
	for (i = 0; i < m->ntexts; i++)
		MUST(fuzz_same(again.texts[i], m->texts[i]));
	for (i = 0; i < m->nnumbers; i++)
		MUST(again.numbers[i] == m->numbers[i]);
	MUST(addr_eq(&again.client, &m->client));
}

static void
check_line(const struct msg_record *m)
{
	char line[LOG_LINE_MAX], ident[LOG_IDENT_MAX];
	struct smtp_log_event e;
	int level;

	memset(line, 'x', sizeof(line));
	level = smtp_record_format(m, line);
	MUST((level == -1) == !smtp_record_get(m, &e));
	if (level == -1)
		return;
	MUST(memchr(line, '\0', sizeof(line)) != NULL);
	MUST(level >= 0 && level <= 7 && line[0] != '\0');
	MUST(fuzz_printable(text_of(line)));
	check_again(&e, m);
	smtp_record_ident(m, "postfix/submission/smtpd", ident);
	MUST(strlen(ident) < LOG_IDENT_MAX);
}

/* The fields that an event of this type has, from any input. */
static void
fill(struct input *in, struct msg_record *m)
{
	unsigned int i;

	*m = (struct msg_record){ .type = input_u8(in) % (SMTP_LOG_TYPES + 1) };
	m->ntexts = input_u8(in) % (MSG_RECORD_TEXTS + 1);
	m->nnumbers = input_u8(in) % (MSG_RECORD_NUMBERS + 1);
	(void)addr_parse(TEXT_LIT("192.0.2.1"), 25, &m->client);
	(void)addr_parse(TEXT_LIT("2001:db8::1"), input_u16(in), &m->server);
	for (i = 0; i < m->nnumbers; i++) {
		m->numbers[i] = input_u8(in);
		if (m->numbers[i] == 255)
			m->numbers[i] = (uint64_t)input_u16(in) << 47;
	}
	for (i = 0; i < m->ntexts; i++)
		m->texts[i] = input_text(in, input_u8(in));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text t = fuzz_copy(data, size);
	struct reader r = { t.p, t.len };
	struct input in = { (const uint8_t *)t.p, t.len };
	struct smtp_log_event e;
	struct msg_record m;

	memset(&m, 0, sizeof(m));
	if (msg_get_record(&r, &m) == 0)
		check_line(&m);
	fill(&in, &m);
	check_line(&m);
	/* How many an event has: whichever number it is, once for each. */
	for (m.ntexts = 0; m.ntexts <= MSG_RECORD_TEXTS; m.ntexts++)
		for (m.nnumbers = 0; m.nnumbers <= 10; m.nnumbers++)
			if (smtp_record_get(&m, &e))
				check_line(&m);
	fuzz_free(t);
	return 0;
}
