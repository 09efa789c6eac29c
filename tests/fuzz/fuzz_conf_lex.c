/* SPDX-License-Identifier: ISC */
/*
 * fuzz_conf_lex: the language of the configuration without its directives,
 * and the small languages in values (cipher strings, addresses, networks,
 * services' ports).  fuzz_conf does the whole, and is slow.
 */
#include "addr.h"
#include "conf_cipher.h"
#include "conf_lex.h"
#include "fuzz.h"

/* As a value that conf_print() writes: in double quotes. */
static struct text
quote(struct text value)
{
	static char line[2 * CONF_TOKEN_MAX + 16];
	size_t i, n = 6;

	memcpy(line, "name \"", n);
	for (i = 0; i < value.len; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\')
			line[n++] = '\\';
		line[n++] = value.p[i];
	}
	memcpy(line + n, "\"\n", 2);
	return (struct text){ line, n + 2 };
}

static void
check_again(struct text value)
{
	static struct conf_statement st;
	struct conf_lex lx;

	conf_lex_init(&lx, quote(value));
	MUST(conf_lex_next(&lx, &st) == CONF_LEX_STATEMENT);
	MUST(st.has_value && st.line == 1);
	MUST(fuzz_same(value, (struct text){ st.value.text, st.value.len }));
	MUST(conf_lex_next(&lx, &st) == CONF_LEX_END);
}

static void
check_address(struct text t)
{
	char shown[ADDR_STRLEN];
	struct text host, port;
	struct addr_range r;
	struct addr a, b;

	if (addr_split(t, &host, &port) == 0)
		MUST(fuzz_within(host, t) && fuzz_within(port, t));
	if (addr_parse(t, 25, &a) == 0) {
		(void)addr_print_host(&a, shown);
		MUST(addr_parse(text_of(shown), 25, &b) == 0);
		MUST(addr_eq(&a, &b));
		MUST(addr_split(text_of(addr_print(&a, shown)), &host, &port) ==
		    0);
		MUST(text_eq(port, "25"));
		MUST(addr_parse(host, 25, &b) == 0 && addr_eq_host(&a, &b));
	}
	if (addr_range_parse(t, &r) == 0) {
		MUST(r.bits <= 128 && addr_in_range(&r.addr, &r));
		(void)addr_is_private(&r.addr);
	}
}

static void
check_value(struct text t)
{
	struct conf_ciphers c;
	struct text word;
	const char *why;
	size_t i, j;

	why = conf_cipher_map(t, t.len & 1, &c, &word);
	if (why != NULL)
		MUST(fuzz_within(word, t));
	for (i = 0; why == NULL && i < c.n; i++)
		for (j = 0; j < i; j++)
			MUST(c.order[i] != c.order[j] && c.n <= CIPHER_MAX);
	check_address(t);
	check_again(t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf_statement st;
	struct text in, t;
	enum conf_lex_result r;
	struct conf_lex lx;
	unsigned int line = 0, results = 0;

	if (memchr(data, '\0', size) != NULL)
		return 0; /* conf_read_text() refuses it */
	in = fuzz_copy(data, size);
	conf_lex_init(&lx, in);
	while ((r = conf_lex_next(&lx, &st)) != CONF_LEX_END) {
		MUST(st.line >= line && st.line <= size + 1);
		line = st.line;
		MUST(++results <= size);
		if (r != CONF_LEX_STATEMENT)
			continue;
		MUST(st.name.len <= CONF_TOKEN_MAX &&
		    st.value.len <= CONF_TOKEN_MAX);
		if (!st.has_value)
			continue;
		t = fuzz_copy(st.value.text, st.value.len);
		check_value(t);
		fuzz_free(t);
	}
	fuzz_free(in);
	return 0;
}
