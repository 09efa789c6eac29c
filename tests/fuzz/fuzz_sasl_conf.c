/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sasl_conf: Cyrus SASL's configuration of an application
 * (authenticator_conf), and the order of mechanisms by its mech_list.
 */
#include "authenticator_conf.h"
#include "fuzz.h"

static const char *const options[] = { "mech_list", "pwcheck_method",
	"sasldb_path", "log_level", "a" };

static size_t
words_in(struct text t)
{
	struct text word;
	size_t n = 0;

	while (text_word(&t, &word))
		n++;
	return n;
}

static void
check_order(struct text model, struct text words)
{
	char *dst = malloc(words.len + 1), list[64];
	struct text rest, word;

	sasl_conf_sort(words, model, dst);
	MUST(strlen(dst) <= words.len);
	MUST(words_in(text_of(dst)) <= words_in(words));
	for (rest = words; text_word(&rest, &word);)
		MUST(text_has_word(text_of(dst), word));
	for (rest = text_of(dst); text_word(&rest, &word);)
		MUST(text_has_word(words, word));
	(void)snprintf(list, sizeof(list), "%.*s", TEXT_ARG(words));
	sasl_conf_add_login(list, sizeof(list), model);
	MUST(strlen(list) < sizeof(list));
	free(dst);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct text model = input_line(&in), words = input_line(&in), file;
	struct sasl_conf *c;
	const char *value;
	size_t bad = 0, i;

	file = fuzz_copy(in.p, in.left);
	c = sasl_conf_new(file, &bad);
	for (i = 0; c != NULL && i < NITEMS(options); i++) {
		value = sasl_conf_get(c, options[i]);
		if (value == NULL)
			continue;
		MUST(value[0] != '\0' && strchr(value, '\n') == NULL);
		MUST(memmem(file.p, file.len, value, strlen(value)) != NULL);
	}
	MUST(c != NULL || bad > 0);
	sasl_conf_free(&c);
	if (!text_has(model, '\0') && !text_has(words, '\0'))
		check_order(model, words);
	fuzz_free(file);
	return 0;
}
