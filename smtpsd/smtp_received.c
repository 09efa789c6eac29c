/* SPDX-License-Identifier: ISC */
/*
 * smtp_received: the Received field.  Runs in the worker.  Programs that
 * trace mail and programs that judge it read this field, so nothing that a
 * client chose (what it calls itself, the name that its address resolves to,
 * users and recipients) may end a line or change what stands around it.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "smtp_received.h"

/* Octets of each thing that is shown; longer ones are cut. */
#define NAME_MAX_SHOWN 255 /* RFC 5321 4.5.3.1.2, a domain */
#define WORD_MAX_SHOWN 64  /* of TLS, and our own id */
#define USER_MAX_SHOWN 255
#define RECIPIENT_MAX 254 /* RFC 5321 4.5.3.1.3, without its brackets */
#define FIXED_MAX 512     /* what is ours, an address and a date */
#define FIXED_LINE_MAX 128

_Static_assert(3 * NAME_MAX_SHOWN + 3 * WORD_MAX_SHOWN + USER_MAX_SHOWN +
            RECIPIENT_MAX + FIXED_MAX <=
        SMTP_RECEIVED_SIZE,
    "the longest field fits");
_Static_assert(2 * NAME_MAX_SHOWN + FIXED_LINE_MAX <= 998,
    "the longest line, which is the first, fits (RFC 5322 2.1.1)");

/* What would be structure outside and inside a comment (RFC 5322 3.2). */
#define RECIPIENT_UNSAFE " <>()\\\";"
#define WORD_UNSAFE RECIPIENT_UNSAFE "@"
#define COMMENT_UNSAFE "()\\"

/* The field as it grows; there is always room for a NUL. */
struct field {
	char *dst;
	size_t len;
};

static void
put(struct field *f, struct text t)
{
	if (t.len >= SMTP_RECEIVED_SIZE - f->len)
		return; /* cannot be, by the sums above */
	memcpy(f->dst + f->len, t.p, t.len);
	f->len += t.len;
	f->dst[f->len] = '\0';
}

/*
 * How many octets the character at the front of t has if it is well-formed
 * UTF-8 (RFC 3629 4) beyond ASCII and no control (C1); else 0.
 */
static size_t
utf8_length(struct text t)
{
	static const struct {
		unsigned char first, last; /* of the first octet */
		unsigned char low, high;   /* of the second */
		size_t len;
	} forms[] = {
		{ 0xc2, 0xc2, 0xa0, 0xbf, 2 }, /* 80 to 9f: C1 */
		{ 0xc3, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, /* no longer than needed */
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, /* no surrogates */
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 }, /* U+10FFFF is the last */
	};
	const unsigned char *p = (const unsigned char *)t.p;
	size_t i, k;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (p[0] < forms[i].first || p[0] > forms[i].last)
			continue;
		if (t.len < forms[i].len || p[1] < forms[i].low ||
		    p[1] > forms[i].high)
			return 0;
		for (k = 2; k < forms[i].len; k++) {
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		}
		return forms[i].len;
	}
	return 0;
}

/* How many octets at the front of t may stand as they are; 0: none. */
static size_t
safe_length(struct text t, const char *unsafe, bool utf8)
{
	char c = t.p[0];

	if (c >= ' ' && c <= '~')
		return strchr(unsafe, c) == NULL ? 1 : 0;
	return utf8 ? utf8_length(t) : 0;
}

/* How many octets at the front of t are ASCII that may stand as it is. */
static size_t
plain_length(struct text t, size_t max, const char *unsafe)
{
	size_t n = 0;

	while (n < t.len && n < max && t.p[n] >= ' ' && t.p[n] <= '~' &&
	    strchr(unsafe, t.p[n]) == NULL)
		n++;
	return n;
}

/* At most max octets of t, made safe; no character is cut in two. */
static void
put_safe(
    struct field *f, struct text t, size_t max, const char *unsafe, bool utf8)
{
	size_t n, left = max;

	while (t.len > 0) {
		n = plain_length(t, left, unsafe);
		if (n == 0)
			n = safe_length(t, unsafe, utf8);
		if ((n > 0 ? n : 1) > left)
			return;
		put(f, n > 0 ? (struct text){ t.p, n } : TEXT_LIT("?"));
		n = n > 0 ? n : 1;
		left -= n;
		t = text_skip(t, n);
	}
}

static void
put_name(struct field *f, struct text t, bool utf8)
{
	if (t.len == 0)
		t = TEXT_LIT("unknown");
	put_safe(f, t, NAME_MAX_SHOWN, WORD_UNSAFE, utf8);
}

/* address-literal without its brackets, RFC 5321 4.1.3: there are no scopes. */
static void
put_addr(struct field *f, const struct addr *a)
{
	char host[ADDR_STRLEN];
	struct text rest, number;

	rest = text_of(addr_print_host(a, host));
	(void)text_split(&rest, '%', &number);
	if (a->sa.sa_family != AF_INET)
		put(f, TEXT_LIT("IPv6:"));
	put(f, number);
}

static void
put_from(struct field *f, const struct smtp_received *r)
{
	put(f, TEXT_LIT("Received: from "));
	if (r->addr == NULL) { /* TCP-info may be left out, RFC 5321 4.4 */
		put_name(f, r->hostname, false);
		put(f, TEXT_LIT("\r\n"));
		return;
	}
	put_name(f, r->helo, r->utf8);
	put(f, TEXT_LIT(" ("));
	put_name(f, r->name, false);
	put(f, TEXT_LIT(" ["));
	put_addr(f, r->addr);
	put(f, TEXT_LIT("])\r\n"));
}

static void
put_comments(struct field *f, const struct smtp_received *r)
{
	char bits[48];

	if (r->tls && r->tls_version.len > 0) {
		put(f, TEXT_LIT("\t(using "));
		put_safe(
		    f, r->tls_version, WORD_MAX_SHOWN, COMMENT_UNSAFE, false);
		put(f, TEXT_LIT(" with cipher "));
		put_safe(
		    f, r->tls_cipher, WORD_MAX_SHOWN, COMMENT_UNSAFE, false);
		(void)snprintf(bits, sizeof(bits), " (%u/%u bits))\r\n",
		    r->tls_bits, r->tls_bits);
		put(f, text_of(bits));
	}
	if (r->auth && r->user.len > 0) {
		put(f, TEXT_LIT("\t(Authenticated sender: "));
		put_safe(f, r->user, USER_MAX_SHOWN, COMMENT_UNSAFE, r->utf8);
		put(f, TEXT_LIT(")\r\n"));
	}
}

/*
 * The transmission type: RFC 3848, and RFC 6531 4.3 where the message may
 * have UTF-8 in its header.  What began with HELO has no other name.
 */
static struct text
with(const struct smtp_received *r)
{
	static const char *const names[2][4] = {
		{ "ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA" },
		{ "UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA" },
	};

	if (!r->esmtp)
		return TEXT_LIT("SMTP");
	return text_of(names[r->utf8][(r->tls ? 2 : 0) + (r->auth ? 1 : 0)]);
}

/* The days since 1970-01-01 as a date; n is not negative. */
static void
date_of(int64_t n, int64_t *year, int64_t *month, int64_t *day)
{
	int64_t days, cycle, y, m;

	/* Years begin in March, so that a leap day is the last of its year. */
	days = n + 719468; /* since 0000-03-01 */
	cycle = days / 146097;
	days %= 146097; /* of a cycle of 400 years */
	y = (days - days / 1460 + days / 36524 - days / 146096) / 365;
	days -= 365 * y + y / 4 - y / 100;
	m = (5 * days + 2) / 153; /* March is 0 */
	*day = days - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + 400 * cycle + (*month <= 2 ? 1 : 0);
}

/* n, which is not negative, with at least so many digits. */
static void
put_number(struct field *f, int64_t n, unsigned int digits)
{
	char s[TEXT_DECIMAL];

	put(f, text_decimal((uint64_t)n, digits, s));
}

/*
 * date-time, RFC 5322 3.3.  By our own arithmetic: strftime(3) writes in a
 * language, and gmtime(3) opens the file of the time zone, as no worker may.
 */
static void
put_date(struct field *f, time_t date, int zone)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	int64_t t = (int64_t)date + (int64_t)zone * 60, year, month, day;
	int ahead = zone < 0 ? -zone : zone;

	if (t < 0)
		t = 0; /* a clock that was never set */
	date_of(t / 86400, &year, &month, &day);
	put(f, TEXT_LIT("; "));
	put(f, text_of(days[(t / 86400 + 4) % 7]));
	put(f, TEXT_LIT(", "));
	put_number(f, day, 1);
	put(f, TEXT_LIT(" "));
	put(f, text_of(months[month - 1]));
	put(f, TEXT_LIT(" "));
	put_number(f, year, 4);
	put(f, TEXT_LIT(" "));
	put_number(f, t / 3600 % 24, 2);
	put(f, TEXT_LIT(":"));
	put_number(f, t / 60 % 60, 2);
	put(f, TEXT_LIT(":"));
	put_number(f, t % 60, 2);
	put(f, zone < 0 ? TEXT_LIT(" -") : TEXT_LIT(" +"));
	put_number(f, ahead / 60, 2);
	put_number(f, ahead % 60, 2);
	put(f, TEXT_LIT("\r\n"));
}

/* May the recipient be told as it is? */
static bool
tells_recipient(const struct smtp_received *r)
{
	struct text t = r->recipient;
	size_t n;

	if (t.len == 0 || t.len > RECIPIENT_MAX)
		return false;
	while (t.len > 0) {
		n = safe_length(t, RECIPIENT_UNSAFE, r->utf8);
		if (n == 0)
			return false;
		t = text_skip(t, n);
	}
	return true;
}

size_t
smtp_received_format(
    const struct smtp_received *r, char dst[static SMTP_RECEIVED_SIZE])
{
	struct field f = { dst, 0 };

	put_from(&f, r);
	put_comments(&f, r);
	put(&f, TEXT_LIT("\tby "));
	put_name(&f, r->hostname, false);
	put(&f, TEXT_LIT(" (Relais) with "));
	put(&f, with(r));
	put(&f, TEXT_LIT(" id "));
	put_safe(&f, r->id, WORD_MAX_SHOWN, WORD_UNSAFE, false);
	if (tells_recipient(r)) {
		put(&f, TEXT_LIT("\r\n\tfor <"));
		put(&f, r->recipient);
		put(&f, TEXT_LIT(">"));
	}
	put_date(&f, r->date, r->zone);
	return f.len;
}
