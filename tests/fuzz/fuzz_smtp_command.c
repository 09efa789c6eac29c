/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_command: a line of an SMTP client: verb, path, parameters, and
 * the arguments of HELO, BDAT and SIZE.  What is taken are views of the line,
 * and what is said of it holds for the line that is made of it again.
 */
#include "fuzz.h"
#include "smtp_attribute.h"
#include "smtp_log.h"
#include "smtp_path.h"
#include "smtp_scan.h"

static bool
is_utf8(struct text t)
{
	size_t n;

	while (t.len > 0) {
		n = (unsigned char)t.p[0] < 0x80 ? 1 : smtp_utf8(t);
		if (n == 0)
			return false;
		MUST(n <= t.len && n <= 4);
		t = text_skip(t, n);
	}
	return true;
}

/* Nothing that could end a line, or a word of the command passed on. */
static void
check_octets(struct text t, bool utf8)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		MUST((unsigned char)t.p[i] >= 0x20 && t.p[i] != 0x7f);
	MUST(utf8 ? is_utf8(t) : fuzz_printable(t));
}

static void
check_again(const struct smtp_path *p, enum smtp_path_kind kind, bool utf8)
{
	char line[1024];
	struct smtp_path again;
	struct text rest;
	int n;

	n = snprintf(line, sizeof(line), "%s<%.*s>",
	    kind == SMTP_FROM ? "FROM:" : "TO:", TEXT_ARG(p->address));
	MUST(n > 0 && (size_t)n < sizeof(line));
	rest = (struct text){ line, (size_t)n };
	MUST(smtp_take_path(&rest, kind, utf8, &again) == SMTP_PATH_OK);
	MUST(rest.len == 0 && fuzz_same(again.address, p->address));
	MUST(fuzz_same(again.local, p->local));
	MUST(fuzz_same(again.domain, p->domain) &&
	    again.utf8 == !fuzz_printable(p->address));
}

static void
check_path(const struct smtp_path *p, struct text args, bool utf8)
{
	MUST(
	    fuzz_within(p->address, args) && fuzz_within(p->local, p->address));
	MUST(fuzz_within(p->domain, p->address));
	check_octets(p->address, true);
	MUST(utf8 || !p->utf8);
	/* A source route may have them, too. */
	MUST(p->utf8 || fuzz_printable(p->address));
	MUST(p->address.len + 2 <= SMTP_PATH_MAX);
	MUST(p->local.len <= SMTP_LOCAL_MAX);
	if (p->address.len > 0 && p->domain.len > 0)
		MUST(p->address.len == p->local.len + 1 + p->domain.len);
}

static void
check_xtext(struct text value)
{
	char coded[4096], back[4096];
	struct text out;
	unsigned int octet;
	size_t i, n = 0;

	if (!smtp_xtext_encode(value, coded, sizeof(coded), &out))
		return;
	MUST(fuzz_printable(out) && coded[out.len] == '\0');
	for (i = 0; i < out.len; i++) {
		MUST(out.p[i] != ' ' && out.p[i] != '=');
		if (out.p[i] != '+') {
			back[n++] = out.p[i];
			continue;
		}
		MUST(i + 2 < out.len &&
		    sscanf(out.p + i + 1, "%2x", &octet) == 1);
		back[n++] = (char)octet;
		i += 2;
	}
	MUST(fuzz_same(value, (struct text){ back, n }));
}

static void
take_params(struct text rest, bool utf8)
{
	struct text before, whole = rest;
	enum smtp_param_result r;
	struct smtp_param p;
	uint64_t size;

	for (;;) {
		before = rest;
		r = smtp_take_param(&rest, utf8, &p);
		if (r != SMTP_PARAM_OK)
			break;
		MUST(rest.len < before.len && fuzz_within(p.key, whole));
		MUST(p.key.len > 0 && !text_has(p.key, ' '));
		MUST(p.value.p == NULL || p.value.len > 0);
		MUST(!text_has(p.value, ' ') && !text_has(p.value, '='));
		check_octets(p.key, false);
		check_octets(p.value, utf8);
		check_xtext(p.value);
		if (smtp_parse_size(p.value, &size))
			MUST(p.value.len > 0 && p.value.len <= 20);
	}
}

static void
try_path(struct text args, enum smtp_path_kind kind, bool utf8)
{
	struct text rest = args;
	struct smtp_path p;

	switch (smtp_take_path(&rest, kind, utf8, &p)) {
	case SMTP_PATH_OK:
		check_path(&p, args, utf8);
		check_again(&p, kind, utf8);
		MUST(rest.len == 0 || rest.p[0] == ' ');
		MUST(fuzz_within(rest, args));
		take_params(rest, utf8);
		break;
	case SMTP_PATH_UTF8:
		MUST(!utf8);
		break;
	case SMTP_PATH_BAD:
	case SMTP_PATH_TOO_LONG:
	case SMTP_PATH_NO_DOMAIN:
		break;
	}
}

static void
try_rest(struct text args)
{
	char line[64];
	struct text name;
	uint64_t n;
	bool last;

	if (smtp_parse_helo(args, &name)) {
		MUST(name.len > 0 && name.len <= SMTP_DOMAIN_MAX);
		check_octets(name, false);
	}
	if (smtp_parse_bdat(args, &n, &last)) {
		MUST(n <= INT64_MAX);
		(void)snprintf(line, sizeof(line), "%llu%s",
		    (unsigned long long)n, last ? " LAST" : "");
		MUST(smtp_parse_bdat(text_of(line), &n, &last));
	}
	if (smtp_parse_size(args, &n) && n != UINT64_MAX) {
		(void)snprintf(
		    line, sizeof(line), "%llu", (unsigned long long)n);
		MUST(smtp_parse_size(text_of(line), &n));
	}
	check_xtext(args);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	bool utf8 = input_u8(&in) & 1;
	struct text line = fuzz_copy(in.p, in.left);
	struct smtp_command c;

	if (smtp_parse_command(line, utf8, &c)) {
		MUST(fuzz_within(c.verb, line) && fuzz_within(c.args, line));
		MUST(c.verb.len > 0 && fuzz_printable(c.verb));
		MUST(c.args.len == 0 ||
		    (c.args.p[0] != ' ' && c.args.p[c.args.len - 1] != ' '));
		check_octets(line, utf8);
		MUST(smtp_verb_of(c.verb) < SMTP_VERBS);
		try_path(c.args, SMTP_FROM, utf8);
		try_path(c.args, SMTP_TO, utf8);
		try_rest(c.args);
	}
	/* As they come from elsewhere, too. */
	try_path(line, SMTP_FROM, utf8);
	take_params(line, utf8);
	try_rest(line);
	fuzz_free(line);
	return 0;
}
