/* SPDX-License-Identifier: ISC */
/*
 * text: a borrowed view of octets, no NUL at the end, never owned.  All
 * comparisons are in ASCII, whatever the locale.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	const char *p;
	size_t len;
};

#define TEXT_NONE ((struct text){ NULL, 0 })
#define TEXT_LIT(s) ((struct text){ (s), sizeof(s) - 1 })
/* For printf("%.*s", TEXT_ARG(t)); t is at most INT_MAX octets. */
#define TEXT_ARG(t) (int)(t).len, (t).p

struct text text_of(const char *s); /* NULL gives TEXT_NONE */
bool text_eq(struct text a, const char *b);
bool text_caseeq(struct text a, const char *b);
bool text_casesame(struct text a, struct text b);
bool text_caseprefix(struct text a, const char *prefix);
bool text_has(struct text a, char c);
bool text_only(struct text a, const char *octets); /* it has no other */
struct text text_skip(struct text a, size_t n);    /* n is at most a.len */
struct text text_trim(struct text a); /* blanks and tabs, both ends */

/*
 * Take what stands before the first sep out of *rest (sep goes too); the
 * last word leaves *rest with p == NULL.  False when *rest had p == NULL.
 */
bool text_split(struct text *rest, char sep, struct text *word);

/* Take the next word, words being parted by one or more blanks or tabs. */
bool text_word(struct text *rest, struct text *word);

/* Is word one of words, in any case? */
bool text_has_word(struct text words, struct text word);

/* Digits only, no sign, at most max.  False: empty, other octets, too big. */
bool text_u64(struct text a, uint64_t max, uint64_t *out);

/*
 * The same the other way, in dst, with zeros in front where n has fewer digits.
 * For what is written too often for printf(3).
 */
#define TEXT_DECIMAL 20 /* digits of UINT64_MAX */
struct text text_decimal(
    uint64_t n, unsigned int digits, char dst[static TEXT_DECIMAL]);

/*
 * A copy for logs in dst: printable ASCII as it is, everything else, the
 * backslash and the double quote as vis(3) writes it (VIS_CSTYLE | VIS_OCTAL
 * | VIS_DQ); cut with "..." where size would not hold it.  size is at least
 * 8.  Returns dst.
 */
char *text_printable(struct text a, char *dst, size_t size);

/*
 * Take a response code, "[CODE] ", from the front of what a server says to
 * people (RFC 2449 8, RFC 3501 7.1); TEXT_NONE, and *rest as it was: none.
 */
struct text text_code(struct text *rest);

/*
 * What a server says to people, for a client: printable ASCII, others '?',
 * cut to size - 1 octets, and a NUL.
 */
void text_for_people(struct text t, char *dst, size_t size);

#endif
