/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_reply: what an inner SMTP server says, line by line, and what its
 * reply to EHLO makes clients hear of.
 */
#include "fuzz.h"
#include "smtp_attribute.h"
#include "smtp_capability.h"
#include "smtp_reply.h"

static void
check_whole(struct smtp_reply *r)
{
	struct text rest = buf_view(&r->octets), line, status;
	size_t n = 0, before;

	MUST(r->whole && r->octets.len <= SMTP_REPLY_MAX);
	MUST(r->lines <= SMTP_REPLY_LINES_MAX && r->code >= 200 &&
	    r->code <= 599);
	while (smtp_reply_next(&rest, &line)) {
		MUST(fuzz_within(line, buf_view(&r->octets)));
		MUST(!text_has(line, '\r') && !text_has(line, '\n'));
		before = line.len;
		status = smtp_reply_status(&line);
		if (status.p == NULL)
			MUST(line.len == before);
		else
			MUST(status.len >= 5 && line.len < before);
		n++;
	}
	MUST(n == r->lines);
}

static void
check_list(const struct capability *c)
{
	struct capability again;
	struct text entry;
	size_t at = 0;

	capability_clear(&again);
	while (capability_next(c, &at, &entry)) {
		MUST(entry.len > 0 && fuzz_printable(entry));
		MUST(entry.len <= SMTP_KEYWORD_LINE_MAX);
		MUST(smtp_add_keyword(&again, entry) == 0);
	}
	MUST(capability_same(c, &again));
}

/* The list's way to a client. */
static void
promise(const struct capability *inner, struct input *in)
{
	struct smtp_offer o = { input_u16(in), input_u8(in), false };
	static const unsigned int situations[] = { CAPABILITY_CLEAR,
		CAPABILITY_CLEAR_LOGIN, CAPABILITY_TLS,
		CAPABILITY_CLEAR | CAPABILITY_STARTTLS };
	struct capability out;
	unsigned int s = situations[input_u8(in) % NITEMS(situations)];
	uint64_t inner_size = smtp_capability_size(inner), told;

	o.inner_tls = s == CAPABILITY_TLS;
	(void)smtp_attributes_wanted(inner, "XCLIENT");
	capability_rewrite(smtp_rules, SMTP_NRULES, s, inner, &out);
	smtp_capability_settle(&out, &o);
	check_list(&out);
	told = smtp_capability_size(&out);
	if (capability_has_keyword(&out, "SIZE") && told != 0)
		MUST((o.message_size == 0 || told <= o.message_size) &&
		    (inner_size == 0 || told <= inner_size));
	MUST(!capability_has_keyword(&out, "XCLIENT") &&
	    !capability_has_keyword(&out, "XFORWARD"));
	MUST(capability_has(&out, "STARTTLS") ==
	    ((s & CAPABILITY_STARTTLS) != 0));
	smtp_capability_auth(&out,
	    s == CAPABILITY_CLEAR ? TEXT_NONE : input_text(in, 20), s & 1);
	if (s == CAPABILITY_CLEAR)
		MUST(!capability_has_keyword(&out, "AUTH"));
}

static void
read_replies(struct input *in, struct capability *list)
{
	enum smtp_reply_result res = SMTP_REPLY_MORE;
	struct smtp_reply_line l;
	struct smtp_reply r;
	struct text line;

	smtp_reply_init(&r);
	while (in->left > 0 && res != SMTP_REPLY_BAD) {
		line = input_line(in);
		line = fuzz_copy(line.p, line.len);
		if (smtp_parse_reply(line, &l)) {
			MUST(l.code >= 200 && l.code <= 599);
			MUST(fuzz_within(l.text, line));
			if (r.lines > 0)
				(void)smtp_add_keyword(list, l.text);
		}
		res = smtp_reply_add(&r, line);
		if (res == SMTP_REPLY_OK) {
			check_whole(&r);
			smtp_reply_free(&r);
		}
		fuzz_free(line);
	}
	smtp_reply_free(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size }, tail;
	struct capability list, other, all;
	size_t n = size < 8 ? size : 8;
	char *set;

	tail = (struct input){ data, n };
	in = (struct input){ data + n, size - n };
	capability_clear(&list);
	capability_clear(&other);
	set = strndup((const char *)in.p, in.left);
	if (smtp_parse_capability(set, &other) == 0)
		check_list(&other);
	free(set);
	read_replies(&in, &list);
	check_list(&list);
	all = list;
	smtp_capability_merge(&all, &other);
	check_list(&all);
	promise(&list, &tail);
	promise(&all, &tail);
	return 0;
}
