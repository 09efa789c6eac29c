/* SPDX-License-Identifier: ISC */
/*
 * conf_cipher: evaluates OpenSSL's little language of cipher strings, by its
 * own rules, over the few suites that Relais offers.  What names a suite that
 * is not among them selects nothing, so that "HIGH:!aNULL:!RC4" keeps its
 * meaning; what OpenSSL does not know either is refused.  Runs in the master
 * and, on what the master checked, in the workers.
 */
#include <string.h>

#include "conf_cipher.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

/* What a suite is made of. */
enum {
	S_RSA = 1 << 0,
	S_ECDSA = 1 << 1,
	S_AES = 1 << 2,
	S_128 = 1 << 3,
	S_256 = 1 << 4,
	S_GCM = 1 << 5,
	S_CHACHA = 1 << 6,
	S_SHA1 = 1 << 7,
	S_TLS12 = 1 << 8,
	S_TLS10 = 1 << 9,
	S_NOTHING = 1 << 10 /* no suite of ours has it */
};

#define EVERY 0U /* all of ours have it */

/* A suite's number is its cipher's, CIPHER_MAX more with ECDSA. */
#define SUITES (2 * CIPHER_MAX)

static const struct {
	const char *name; /* behind "ECDHE-RSA-" and "ECDHE-ECDSA-" */
	unsigned int parts;
} ciphers[CIPHER_MAX] = {
	[CIPHER_AES_256_GCM] = { "AES256-GCM-SHA384",
	    S_AES | S_256 | S_GCM | S_TLS12 },
	[CIPHER_AES_128_GCM] = { "AES128-GCM-SHA256",
	    S_AES | S_128 | S_GCM | S_TLS12 },
	[CIPHER_CHACHA20_POLY1305] = { "CHACHA20-POLY1305",
	    S_CHACHA | S_TLS12 },
	[CIPHER_AES_256_CBC] = { "AES256-SHA",
	    S_AES | S_256 | S_SHA1 | S_TLS10 },
	[CIPHER_AES_128_CBC] = { "AES128-SHA",
	    S_AES | S_128 | S_SHA1 | S_TLS10 },
};

/* OpenSSL's words for groups of suites. */
static const struct {
	const char *word;
	unsigned int parts;
} groups[] = {
	{ "ALL", EVERY },
	{ "DEFAULT", EVERY },
	{ "HIGH", EVERY },
	{ "ECDHE", EVERY },
	{ "EECDH", EVERY },
	{ "ECDH", EVERY },
	{ "kECDHE", EVERY },
	{ "kEECDH", EVERY },
	{ "aRSA", S_RSA },
	{ "aECDSA", S_ECDSA },
	{ "ECDSA", S_ECDSA },
	{ "AES", S_AES },
	{ "AES128", S_AES | S_128 },
	{ "AES256", S_AES | S_256 },
	{ "AESGCM", S_GCM },
	{ "CHACHA20", S_CHACHA },
	{ "SHA", S_SHA1 },
	{ "SHA1", S_SHA1 },
	{ "TLSv1.2", S_TLS12 },
	{ "TLSv1.0", S_TLS10 },
	{ "TLSv1", S_TLS10 },
	{ "FIPS", S_AES },
};

/* Its words for suites of which Relais offers none. */
static const char *const absent[] = { "3DES", "ADH", "AECDH", "AESCCM",
	"AESCCM8", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "CAMELLIA",
	"CAMELLIA128", "CAMELLIA256", "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT",
	"DES", "DH", "DHE", "DSS", "EDH", "EXP", "EXPORT", "EXPORT40",
	"EXPORT56", "GOST89MAC", "GOST94", "IDEA", "KRB5", "LOW", "MD5",
	"MEDIUM", "NULL", "PSK", "RC2", "RC4", "RSA", "SEED", "SHA256",
	"SHA384", "SRP", "SSLv2", "SSLv3", "aDH", "aDSS", "aECDH", "aGOST",
	"aGOST01", "aNULL", "aPSK", "aSRP", "eNULL", "kDH", "kDHE", "kDHEPSK",
	"kDHd", "kDHr", "kECDH", "kECDHEPSK", "kECDHe", "kECDHr", "kEDH",
	"kGOST", "kPSK", "kRSA", "kRSAPSK", "kSRP" };

/* What names of suites are made of, parted by hyphens. */
static const char *const name_parts[] = { "3DES", "ADH", "AECDH", "AES128",
	"AES256", "ARIA128", "ARIA256", "CAMELLIA128", "CAMELLIA256", "CBC",
	"CBC3", "CCM", "CCM8", "CHACHA20", "DES", "DH", "DHE", "DSS", "ECDH",
	"ECDHE", "ECDSA", "EDE", "EDH", "EXP", "GCM", "IDEA", "MD5", "NULL",
	"POLY1305", "PSK", "RC2", "RC4", "RSA", "SEED", "SHA", "SHA256",
	"SHA384", "SRP" };

/* The list in the making (ciphers(1), "Cipher list format"). */
struct list {
	size_t order[SUITES]; /* what is selected, in this order */
	size_t n;
	bool dead[SUITES]; /* by "!": for good */
	bool cbc;
};

static unsigned int
suite_parts(size_t suite)
{
	return ciphers[suite % CIPHER_MAX].parts |
	    (suite < CIPHER_MAX ? S_RSA : S_ECDSA);
}

static bool
is_cbc(size_t suite)
{
	return suite % CIPHER_MAX >= CIPHER_AES_256_CBC;
}

static bool
matches(size_t suite, unsigned int parts)
{
	return (suite_parts(suite) & parts) == parts;
}

static bool
selected(const struct list *l, size_t suite)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->order[i] == suite)
			return true;
	}
	return false;
}

static void
list_add(struct list *l, unsigned int parts)
{
	size_t i;

	for (i = 0; i < SUITES; i++) {
		if (matches(i, parts) && !l->dead[i] && !selected(l, i) &&
		    (l->cbc || !is_cbc(i)))
			l->order[l->n++] = i;
	}
}

/* Take the matching out; keep: put them at the end again. */
static void
list_take(struct list *l, unsigned int parts, bool keep)
{
	size_t taken[SUITES];
	size_t i, left = 0, ntaken = 0;

	for (i = 0; i < l->n; i++) {
		if (matches(l->order[i], parts))
			taken[ntaken++] = l->order[i];
		else
			l->order[left++] = l->order[i];
	}
	for (i = 0; keep && i < ntaken; i++)
		l->order[left++] = taken[i];
	l->n = left;
}

static void
list_kill(struct list *l, unsigned int parts)
{
	size_t i;

	list_take(l, parts, false);
	for (i = 0; i < SUITES; i++)
		l->dead[i] = l->dead[i] || matches(i, parts);
}

static bool
is_one_of(struct text t, const char *const *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (text_eq(t, words[i]))
			return true;
	}
	return false;
}

/* "DHE-RSA-AES256-SHA", or TLS 1.3's "TLS_AES_128_GCM_SHA256". */
static bool
is_foreign_suite(struct text name)
{
	struct text part;

	if (text_caseprefix(name, "TLS_"))
		return true;
	if (!text_has(name, '-'))
		return false;
	while (text_split(&name, '-', &part)) {
		if (!is_one_of(part, name_parts, nitems(name_parts)))
			return false;
	}
	return true;
}

/* One of our suites by its name: all of its parts, else S_NOTHING. */
static unsigned int
own_suite(struct text name)
{
	struct text tail;
	unsigned int certificate;
	size_t i;

	if (text_caseprefix(name, "ECDHE-RSA-")) {
		tail = text_skip(name, sizeof("ECDHE-RSA-") - 1);
		certificate = S_RSA;
	} else if (text_caseprefix(name, "ECDHE-ECDSA-")) {
		tail = text_skip(name, sizeof("ECDHE-ECDSA-") - 1);
		certificate = S_ECDSA;
	} else {
		return S_NOTHING;
	}
	for (i = 0; i < CIPHER_MAX; i++) {
		if (text_eq(tail, ciphers[i].name))
			return ciphers[i].parts | certificate;
	}
	return S_NOTHING;
}

/* One word between plus signs.  -1: nobody knows it. */
static int
word_parts(struct text word, unsigned int *parts)
{
	size_t i;

	for (i = 0; i < nitems(groups); i++) {
		if (text_eq(word, groups[i].word)) {
			*parts |= groups[i].parts;
			return 0;
		}
	}
	*parts |= own_suite(word);
	if ((*parts & S_NOTHING) == 0 ||
	    is_one_of(word, absent, nitems(absent)) || is_foreign_suite(word))
		return 0;
	return -1;
}

/* @STRENGTH: the longer keys first, else as it was. */
static void
list_sort(struct list *l)
{
	list_take(l, S_128, true);
}

static const char *
command(struct list *l, struct text name)
{
	struct text level;
	uint64_t n;

	if (text_eq(name, "STRENGTH")) {
		list_sort(l);
		return NULL;
	}
	if (text_caseprefix(name, "SECLEVEL=")) {
		/* All that is offered is above level 2, the usual. */
		level = text_skip(name, sizeof("SECLEVEL=") - 1);
		if (text_u64(level, 2, &n))
			return NULL;
	}
	return "cannot be followed here";
}

/* One element of the string, as "ECDHE+AESGCM", "!aNULL", "@STRENGTH". */
static const char *
element(struct list *l, struct text e)
{
	unsigned int parts = 0;
	struct text rest = e, word;
	char op = e.p[0];

	if (op == '!' || op == '-' || op == '+' || op == '@')
		rest = text_skip(rest, 1);
	if (op == '@')
		return command(l, rest);
	while (text_split(&rest, '+', &word)) {
		if (word_parts(word, &parts) == -1)
			return "is not known here";
	}
	if (op == '!')
		list_kill(l, parts);
	else if (op == '-')
		list_take(l, parts, false);
	else if (op == '+')
		list_take(l, parts, true);
	else
		list_add(l, parts);
	return NULL;
}

/* GnuTLS has ciphers and certificates apart: any with any. */
static const char *
conclude(const struct list *l, struct conf_ciphers *out)
{
	bool rsa[CIPHER_MAX] = { false }, ecdsa[CIPHER_MAX] = { false };
	size_t i, cipher;

	*out = (struct conf_ciphers){ .n = 0 };
	for (i = 0; i < l->n; i++) {
		cipher = l->order[i] % CIPHER_MAX;
		if (!rsa[cipher] && !ecdsa[cipher])
			out->order[out->n++] = (enum conf_cipher)cipher;
		if (l->order[i] < CIPHER_MAX)
			rsa[cipher] = out->rsa = true;
		else
			ecdsa[cipher] = out->ecdsa = true;
	}
	if (out->n == 0)
		return "leaves no suite that Relais offers (ECDHE with "
		       "AES-GCM or ChaCha20)";
	for (i = 0; i < out->n; i++) {
		if (rsa[out->order[i]] != out->rsa ||
		    ecdsa[out->order[i]] != out->ecdsa)
			return "has other ciphers for RSA than for ECDSA, "
			       "which cannot be kept apart here";
	}
	return NULL;
}

void
conf_cipher_default(bool cbc, struct conf_ciphers *out)
{
	struct list l = { .cbc = cbc };

	list_add(&l, EVERY);
	(void)conclude(&l, out); /* every cipher with every certificate */
}

/*
 * The next element.  OpenSSL parts them by any of these, and a "!" or "@"
 * needs none before it ("DEFAULT@SECLEVEL=1").
 */
static bool
next_element(struct text *rest, struct text *e)
{
	size_t n;

	while (rest->len > 0 && strchr(": ,;", rest->p[0]) != NULL)
		*rest = text_skip(*rest, 1);
	for (n = 0; n < rest->len; n++) {
		if (strchr(": ,;", rest->p[n]) != NULL ||
		    (n > 0 && strchr("!@", rest->p[n]) != NULL))
			break;
	}
	*e = (struct text){ rest->p, n };
	*rest = text_skip(*rest, n);
	return n > 0;
}

const char *
conf_cipher_map(
    struct text string, bool cbc, struct conf_ciphers *out, struct text *word)
{
	struct list l = { .cbc = cbc };
	struct text rest = string;
	const char *why;

	while (next_element(&rest, word)) {
		why = element(&l, *word);
		if (why != NULL)
			return why;
	}
	*word = string;
	return conclude(&l, out);
}
