/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sasl: how a client hands over its credentials (PLAIN, LOGIN), and how
 * they go on to an inner server: what is taken of one can be said to another
 * relay and is then the same.
 */
#include "conf.h"
#include "exchange.h"
#include "fuzz.h"

static bool
same(const struct credentials *a, const struct credentials *b)
{
	return strcmp(a->authn, b->authn) == 0 &&
	    strcmp(a->authz, b->authz) == 0 &&
	    strcmp(a->password, b->password) == 0;
}

static void
check_good(const struct credentials *c)
{
	const char *const all[] = { c->authn, c->authz, c->password };
	size_t i;

	MUST(credentials_are_good(c));
	MUST(c->password[0] != '\0');
	for (i = 0; i < NITEMS(all); i++)
		MUST(strpbrk(all[i], "\r\n") == NULL);
}

/* Said again in one line of PLAIN. */
static void
check_again(const struct credentials *c)
{
	char code[CREDENTIALS_PLAIN_MAX];
	struct exchange e = { .name = NULL };
	struct credentials again;

	credentials_plain(c, code);
	MUST(strlen(code) < EXCHANGE_LINE_MAX);
	MUST(exchange_begin(&e, TEXT_LIT("PLAIN")));
	MUST(exchange_answer(&e, text_of(code), &again) == EXCHANGE_OK);
	MUST(same(c, &again) && e.stage == EXCHANGE_NONE && e.name == NULL);
}

static void
rename_it(const struct credentials *c, uint8_t flags)
{
	static char delimiter[] = "@", domain[] = "example.org";
	char out[CREDENTIALS_NAME_MAX + 1], again[CREDENTIALS_NAME_MAX + 1];
	struct conf conf = { .domain_delimiter = delimiter,
		.explicit_domain = domain,
		.name_rules = { flags & 2, flags & 4, flags & 8 } };

	if (credentials_rename(&conf, c->authn, out) == -1)
		return;
	MUST(strlen(out) <= CREDENTIALS_NAME_MAX);
	MUST(strpbrk(out, "\r\n") == NULL);
	if (!conf.name_rules.add_domain &&
	    credentials_rename(&conf, out, again) == 0)
		MUST(strcmp(out, again) == 0 || conf.name_rules.strip_domain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in);
	struct exchange e = { .name = NULL };
	enum exchange_result r = EXCHANGE_MORE;
	struct credentials c;
	struct text line;
	bool first = (flags & 1) != 0;

	if (!exchange_begin(&e, input_line(&in)))
		return 0;
	while (r == EXCHANGE_MORE && in.left > 0) {
		MUST(e.stage != EXCHANGE_NONE);
		MUST(exchange_challenge(&e) != NULL);
		line = input_line(&in);
		line = fuzz_copy(line.p, line.len);
		memset(&c, 'x', sizeof(c));
		r = first ? exchange_initial(&e, line, &c)
		          : exchange_answer(&e, line, &c);
		first = false;
		fuzz_free(line);
	}
	if (r != EXCHANGE_MORE)
		MUST(e.stage == EXCHANGE_NONE && e.name == NULL);
	if (r == EXCHANGE_OK) {
		check_good(&c);
		check_again(&c);
		rename_it(&c, flags);
	}
	exchange_end(&e);
	return 0;
}
