/* SPDX-License-Identifier: ISC */
/*
 * smtp_path: the grammar of SMTP's paths.  Runs in the worker, on what users
 * send.  An address goes on to the inner server as it stands, so all that
 * could be read there in another way is refused.
 */
#include <string.h>
#include <arpa/inet.h>

#include "smtp_path.h"
#include "smtp_scan.h"

/* How many octets at the front of a view are one good character; 0: none. */
typedef size_t character(struct text t);

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

/* atext (RFC 5322 3.2.3, RFC 6531 3.3), and the dots between atoms. */
static size_t
atom_character(struct text t)
{
	char c = t.p[0];

	if (is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c)))
		return 1;
	return smtp_utf8(t);
}

/* qtextSMTP and quoted-pairSMTP, RFC 5321 4.1.2, RFC 6531 3.3. */
static size_t
quoted_character(struct text t)
{
	if (t.p[0] == '\\')
		return t.len > 1 && t.p[1] >= ' ' && t.p[1] < 0x7f ? 2 : 0;
	if (t.p[0] >= ' ' && t.p[0] < 0x7f && t.p[0] != '"')
		return 1;
	return smtp_utf8(t);
}

/* sub-domain, RFC 5321 4.1.2, RFC 6531 3.3; underscores are in use. */
static size_t
label_character(struct text t)
{
	if (is_alnum(t.p[0]) || t.p[0] == '-' || t.p[0] == '_')
		return 1;
	return smtp_utf8(t);
}

static struct text
take_while(struct text *rest, character *good)
{
	struct text out = { rest->p, 0 };
	size_t n;

	while (rest->len > 0 && (n = good(*rest)) > 0) {
		out.len += n;
		*rest = text_skip(*rest, n);
	}
	return out;
}

static bool
take_char(struct text *rest, char c)
{
	if (rest->len == 0 || rest->p[0] != c)
		return false;
	*rest = text_skip(*rest, 1);
	return true;
}

/* From where start is to where rest is now. */
static struct text
between(struct text start, struct text rest)
{
	return (struct text){ start.p, start.len - rest.len };
}

static bool
take_local(struct text *rest, struct text *local)
{
	struct text start = *rest;

	if (take_char(rest, '"')) {
		(void)take_while(rest, quoted_character);
		if (!take_char(rest, '"'))
			return false;
	} else if (take_while(rest, atom_character).len == 0) {
		return false;
	}
	*local = between(start, *rest);
	return true;
}

/* What is in the brackets of an address literal (RFC 5321 4.1.3). */
static bool
is_address(struct text t)
{
	unsigned char address[sizeof(struct in6_addr)];
	char s[INET6_ADDRSTRLEN];
	int family = AF_INET;

	if (text_caseprefix(t, "IPv6:")) {
		family = AF_INET6;
		t = text_skip(t, strlen("IPv6:"));
	}
	if (t.len >= sizeof(s) || text_has(t, '\0'))
		return false;
	memcpy(s, t.p, t.len);
	s[t.len] = '\0';
	return inet_pton(family, s, address) == 1;
}

static bool
take_literal(struct text *rest)
{
	struct text inside, t = text_skip(*rest, 1);

	if (!text_has(t, ']'))
		return false;
	(void)text_split(&t, ']', &inside);
	if (!is_address(inside))
		return false;
	*rest = text_skip(*rest, inside.len + 2);
	return true;
}

static bool
take_labels(struct text *rest)
{
	struct text label;

	do {
		label = take_while(rest, label_character);
		if (label.len == 0 || label.p[0] == '-' ||
		    label.p[label.len - 1] == '-')
			return false;
	} while (take_char(rest, '.'));
	return true;
}

static bool
take_domain(struct text *rest, bool literal, struct text *domain)
{
	struct text start = *rest;

	if (literal && rest->len > 0 && rest->p[0] == '[') {
		if (!take_literal(rest))
			return false;
	} else if (!take_labels(rest)) {
		return false;
	}
	*domain = between(start, *rest);
	return true;
}

/* A-d-l ":", RFC 5321 4.1.2, or nothing. */
static bool
take_route(struct text *rest)
{
	struct text domain;

	if (rest->len == 0 || rest->p[0] != '@')
		return true;
	do {
		if (!take_char(rest, '@') || !take_domain(rest, false, &domain))
			return false;
	} while (take_char(rest, ','));
	return take_char(rest, ':');
}

/* What stands between the brackets, which is not nothing. */
static bool
take_address(struct text *rest, struct smtp_path *path)
{
	struct text start;

	if (!take_route(rest))
		return false;
	start = *rest;
	if (!take_local(rest, &path->local))
		return false;
	if (take_char(rest, '@') && !take_domain(rest, true, &path->domain))
		return false;
	path->address = between(start, *rest);
	return true;
}

static bool
has_utf8(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++) {
		if ((unsigned char)t.p[i] > 0x7f)
			return true;
	}
	return false;
}

/* The brackets, what is between them, and what must follow. */
static bool
take_brackets(
    struct text *rest, enum smtp_path_kind kind, struct smtp_path *path)
{
	bool null;

	if (!take_char(rest, '<'))
		return false;
	null = kind == SMTP_FROM && rest->len > 0 && rest->p[0] == '>';
	if (!null && !take_address(rest, path))
		return false;
	if (!take_char(rest, '>'))
		return false;
	return rest->len == 0 || rest->p[0] == ' ';
}

enum smtp_path_result
smtp_take_path(struct text *rest, enum smtp_path_kind kind, bool utf8,
    struct smtp_path *path)
{
	const char *keyword = kind == SMTP_FROM ? "FROM:" : "TO:";
	struct text all, t = *rest;

	*path = (struct smtp_path){ .address = TEXT_NONE };
	if (!text_caseprefix(t, keyword))
		return SMTP_PATH_BAD;
	t = text_skip(t, strlen(keyword));
	while (take_char(&t, ' '))
		continue;
	all = t;
	if (!take_brackets(&t, kind, path)) {
		*path = (struct smtp_path){ .address = TEXT_NONE };
		return SMTP_PATH_BAD;
	}
	*rest = t;
	all = between(all, t);
	path->utf8 = has_utf8(all);
	if (path->utf8 && !utf8)
		return SMTP_PATH_UTF8;
	if (all.len > SMTP_PATH_MAX || path->local.len > SMTP_LOCAL_MAX)
		return SMTP_PATH_TOO_LONG;
	if (path->address.len == 0 || path->domain.len > 0)
		return SMTP_PATH_OK;
	return kind == SMTP_TO && text_caseeq(path->local, "Postmaster")
	    ? SMTP_PATH_OK
	    : SMTP_PATH_NO_DOMAIN;
}
