/* SPDX-License-Identifier: ISC */
/*
 * capability: what a server says it can do, as an ordered set of entries: an
 * IMAP capability word, a line of POP3 CAPA or of an SMTP EHLO reply.  An
 * entry's keyword ends at the first blank or '='.  Comparison is in ASCII
 * without regard to case.
 */
#ifndef CAPABILITY_H
#define CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define CAPABILITY_MAX 4096 /* octets of all entries and their separators */

struct capability {
	size_t len;
	char text[CAPABILITY_MAX]; /* entries, each followed by LF */
};

void capability_clear(struct capability *c);

/*
 * Add at the end unless the very same entry is there.  -1 when it does not
 * fit, is empty or has an octet outside printable ASCII (0x20 to 0x7e).
 */
int capability_add(struct capability *c, struct text entry);

/* Add the words of a blank-separated list (IMAP).  -1 as above. */
int capability_add_words(struct capability *c, struct text words);

bool capability_has(const struct capability *c, const char *entry);
/* Is there an entry of this keyword, whatever stands behind it? */
bool capability_has_keyword(const struct capability *c, const char *keyword);
/* Has an entry of this keyword that argument, parted by blanks ("SASL")? */
bool capability_has_argument(
    const struct capability *c, const char *keyword, const char *argument);
bool capability_same(const struct capability *a, const struct capability *b);
void capability_remove(struct capability *c, const char *pattern);
/* Keep what is in both, in a's order. */
void capability_intersect(struct capability *a, const struct capability *b);

/* Entries one by one: *at starts at 0.  False at the end. */
bool capability_next(
    const struct capability *c, size_t *at, struct text *entry);

/*
 * Write the entries with sep between them and a NUL at the end; -1 when size
 * does not hold them.
 */
int capability_print(
    const struct capability *c, const char *sep, char *dst, size_t size);

/*
 * The situation of a client, as a bit: which rule applies depends on it.
 */
enum capability_situation {
	CAPABILITY_CLEAR = 1,       /* no TLS; credentials are refused */
	CAPABILITY_CLEAR_LOGIN = 2, /* no TLS; the configuration takes them */
	CAPABILITY_TLS = 4,         /* TLS is up, no login yet */
	CAPABILITY_AFTER = 8,       /* logged in: the inner server answers */
	CAPABILITY_STARTTLS = 16 /* added to a CLEAR one: TLS can be started */
};

/*
 * What a client may be told of one entry.  The first rule that matches an
 * entry decides.  word is a whole entry, or ends in '*' and then matches
 * every entry that begins so ("AUTH=*").  "*" alone, as last rule, decides
 * on what nobody has heard of; without it such entries are removed.
 */
struct capability_rule {
	const char *word;
	unsigned int keep; /* situations that let the inner server's pass */
	unsigned int add;  /* situations in which the relay adds it by itself */
	bool edit; /* also edited in a list that the administrator wrote */
	const char *why;
};

/*
 * Make the list for a client in situation: the entries of inner that the
 * rules keep, in inner's order, then what the rules add, in the rules' order.
 * A rule applies when (its mask & situation) is not 0.  A word that is added
 * and was kept stays where it was.
 */
void capability_rewrite(const struct capability_rule *rules, size_t nrules,
    unsigned int situation, const struct capability *inner,
    struct capability *out);

/* The same on a list the administrator wrote: only rules with edit apply. */
void capability_edit(const struct capability_rule *rules, size_t nrules,
    unsigned int situation, const struct capability *set,
    struct capability *out);

#endif
