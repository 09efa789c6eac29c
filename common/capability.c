/* SPDX-License-Identifier: ISC */
/*
 * capability: what may be promised to a client.  Runs in the worker, the
 * broker and the master; entries come from inner servers, and from them
 * nothing but printable ASCII gets in, so that no entry can end a line or
 * begin another.
 */
#include <string.h>

#include "capability.h"

void
capability_clear(struct capability *c)
{
	c->len = 0;
}

bool
capability_next(const struct capability *c, size_t *at, struct text *entry)
{
	struct text rest = { c->text, c->len };

	if (*at >= c->len)
		return false;
	rest = text_skip(rest, *at);
	(void)text_split(&rest, '\n', entry);
	*at += entry->len + 1;
	return true;
}

static bool
has_entry(const struct capability *c, struct text entry)
{
	struct text e;
	size_t at = 0;

	while (capability_next(c, &at, &e)) {
		if (text_casesame(e, entry))
			return true;
	}
	return false;
}

bool
capability_has(const struct capability *c, const char *entry)
{
	return has_entry(c, text_of(entry));
}

/* The next entry of keyword from *at on, as what stands behind it. */
static bool
next_of(const struct capability *c, size_t *at, const char *keyword,
    struct text *arguments)
{
	struct text word;

	while (capability_next(c, at, arguments)) {
		if (text_word(arguments, &word) && text_caseeq(word, keyword))
			return true;
	}
	return false;
}

bool
capability_has_keyword(const struct capability *c, const char *keyword)
{
	struct text arguments;
	size_t at = 0;

	return next_of(c, &at, keyword, &arguments);
}

bool
capability_has_argument(
    const struct capability *c, const char *keyword, const char *argument)
{
	struct text arguments, word;
	size_t at = 0;

	while (next_of(c, &at, keyword, &arguments)) {
		while (text_word(&arguments, &word)) {
			if (text_caseeq(word, argument))
				return true;
		}
	}
	return false;
}

static bool
is_entry(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if (t.p[i] < 0x20 || t.p[i] > 0x7e)
			return false;
	}
	return t.len > 0;
}

/* Add entry if that leaves the set at no more than max octets. */
static int
add_within(struct capability *c, struct text entry, size_t max)
{
	if (!is_entry(entry))
		return -1;
	if (has_entry(c, entry))
		return 0;
	if (c->len >= max || entry.len >= max - c->len) /* and its LF */
		return -1;
	memcpy(c->text + c->len, entry.p, entry.len);
	c->len += entry.len;
	c->text[c->len++] = '\n';
	return 0;
}

int
capability_add(struct capability *c, struct text entry)
{
	return add_within(c, entry, sizeof(c->text));
}

int
capability_add_words(struct capability *c, struct text words)
{
	struct text word;
	size_t before = c->len;

	while (text_word(&words, &word)) {
		if (capability_add(c, word) == -1) {
			c->len = before; /* all of them or none */
			return -1;
		}
	}
	return 0;
}

bool
capability_same(const struct capability *a, const struct capability *b)
{
	struct text x = { a->text, a->len }, y = { b->text, b->len };

	return text_casesame(x, y);
}

/* Is entry what a pattern (capability_rule's word) speaks of? */
static bool
matches(struct text entry, const char *pattern)
{
	struct text p = text_of(pattern);

	if (p.len == 0 || p.p[p.len - 1] != '*')
		return text_casesame(entry, p);
	p.len--;
	if (entry.len > p.len)
		entry.len = p.len;
	return text_casesame(entry, p);
}

/* Take out the entry that stands from octet at up to octet next. */
static void
cut(struct capability *c, size_t at, size_t next)
{
	memmove(c->text + at, c->text + next, c->len - next);
	c->len -= next - at;
}

void
capability_remove(struct capability *c, const char *pattern)
{
	struct text entry;
	size_t at = 0, next = 0;

	while (capability_next(c, &next, &entry)) {
		if (matches(entry, pattern)) {
			cut(c, at, next);
			next = at;
		}
		at = next;
	}
}

void
capability_intersect(struct capability *a, const struct capability *b)
{
	struct text entry;
	size_t at = 0, next = 0;

	while (capability_next(a, &next, &entry)) {
		if (!has_entry(b, entry)) {
			cut(a, at, next);
			next = at;
		}
		at = next;
	}
}

int
capability_print(
    const struct capability *c, const char *sep, char *dst, size_t size)
{
	struct text entry;
	size_t nsep = strlen(sep), at = 0, len = 0, n;

	if (size == 0)
		return -1;
	while (capability_next(c, &at, &entry)) {
		n = len > 0 ? nsep : 0;
		/* No sum may wrap: each part is compared with what is left. */
		if (n >= size - len || entry.len >= size - len - n)
			return -1;
		memcpy(dst + len, sep, n);
		len += n;
		memcpy(dst + len, entry.p, entry.len);
		len += entry.len;
	}
	dst[len] = '\0';
	return 0;
}

/* The first rule that speaks of entry; with edit, of those with edit set. */
static const struct capability_rule *
find_rule(const struct capability_rule *rules, size_t nrules, bool edit,
    struct text entry)
{
	size_t i;

	for (i = 0; i < nrules; i++) {
		if ((rules[i].edit || !edit) && matches(entry, rules[i].word))
			return &rules[i];
	}
	return NULL;
}

static bool
adds(const struct capability_rule *rule, bool edit, unsigned int situation)
{
	return (rule->edit || !edit) && (rule->add & situation) != 0;
}

/*
 * Both rewritings.  What the rules add has its place set aside first: a list
 * that an inner server has stuffed cannot push STARTTLS or LOGINDISABLED out.
 */
static void
rewrite(const struct capability_rule *rules, size_t nrules, bool edit,
    unsigned int situation, const struct capability *in, struct capability *out)
{
	const struct capability_rule *rule;
	struct text entry;
	size_t i, at = 0, max = sizeof(out->text);
	bool keep;

	capability_clear(out);
	for (i = 0; i < nrules; i++) {
		if (adds(&rules[i], edit, situation))
			max -= strlen(rules[i].word) + 1;
	}
	while (capability_next(in, &at, &entry)) {
		rule = find_rule(rules, nrules, edit, entry);
		/* Without a rule: ours to judge, or the administrator's. */
		keep = rule != NULL ? (rule->keep & situation) != 0 : edit;
		if (keep)
			(void)add_within(out, entry, max);
	}
	for (i = 0; i < nrules; i++) {
		if (adds(&rules[i], edit, situation))
			(void)capability_add(out, text_of(rules[i].word));
	}
}

void
capability_rewrite(const struct capability_rule *rules, size_t nrules,
    unsigned int situation, const struct capability *inner,
    struct capability *out)
{
	rewrite(rules, nrules, false, situation, inner, out);
}

void
capability_edit(const struct capability_rule *rules, size_t nrules,
    unsigned int situation, const struct capability *set,
    struct capability *out)
{
	rewrite(rules, nrules, true, situation, set, out);
}
