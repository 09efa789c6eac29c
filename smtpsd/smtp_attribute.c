/* SPDX-License-Identifier: ISC */
/*
 * smtp_attribute: what is told of a client in XCLIENT and XFORWARD.  Runs in
 * the worker, on what clients said of themselves: as xtext nothing of it can
 * end a value or a line.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "smtp_attribute.h"
#include "smtp_scan.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define UNAVAILABLE "[UNAVAILABLE]"

static const char *const names[] = {
	[SMTP_ATTRIBUTE_NAME] = "NAME",
	[SMTP_ATTRIBUTE_PORT] = "PORT",
	[SMTP_ATTRIBUTE_PROTO] = "PROTO",
	[SMTP_ATTRIBUTE_HELO] = "HELO",
	[SMTP_ATTRIBUTE_LOGIN] = "LOGIN",
	[SMTP_ATTRIBUTE_DESTADDR] = "DESTADDR",
	[SMTP_ATTRIBUTE_DESTPORT] = "DESTPORT",
	[SMTP_ATTRIBUTE_SOURCE] = "SOURCE",
	[SMTP_ATTRIBUTE_ADDR] = "ADDR",
};
_Static_assert(nitems(names) == SMTP_ATTRIBUTES, "name every attribute");

/* Before a value: "XFORWARD DESTADDR=". */
#define VALUE_MAX (SMTP_ATTRIBUTE_SIZE - (sizeof("XFORWARD DESTADDR=") - 1))

unsigned int
smtp_attributes_wanted(const struct capability *list, const char *keyword)
{
	unsigned int i, wanted = 0;

	for (i = 0; i < SMTP_ATTRIBUTES; i++) {
		if (capability_has_argument(list, keyword, names[i]))
			wanted |= SMTP_ATTRIBUTE_BIT(i);
	}
	return wanted;
}

/* As in RFC 5321 4.1.3, without brackets; no scope, which is ours alone. */
static struct text
show_addr(const struct addr *a, char dst[static VALUE_MAX])
{
	size_t prefix = 0;
	const void *octets;

	switch (a->sa.sa_family) {
	case AF_INET:
		octets = &a->in.sin_addr;
		break;
	case AF_INET6:
		octets = &a->in6.sin6_addr;
		prefix = strlcpy(dst, "IPV6:", VALUE_MAX);
		break;
	default:
		return TEXT_NONE;
	}
	if (inet_ntop(a->sa.sa_family, octets, dst + prefix,
	        (socklen_t)(VALUE_MAX - prefix)) == NULL)
		return TEXT_NONE;
	return text_of(dst);
}

static struct text
show_port(const struct addr *a, char dst[static VALUE_MAX])
{
	(void)snprintf(dst, VALUE_MAX, "%u", (unsigned int)addr_port(a));
	return text_of(dst);
}

/* In xtext; TEXT_NONE: too long, or none. */
static struct text
show_text(struct text value, char dst[static VALUE_MAX])
{
	struct text out;

	if (value.len > 0 && smtp_xtext_encode(value, dst, VALUE_MAX, &out))
		return out;
	return TEXT_NONE;
}

/* A value, maybe in dst; TEXT_NONE: not known. */
static struct text
show(const struct smtp_attributes *who, enum smtp_attribute a,
    char dst[static VALUE_MAX])
{
	switch (a) {
	case SMTP_ATTRIBUTE_NAME:
		return show_text(who->name, dst);
	case SMTP_ATTRIBUTE_PORT:
		return show_port(&who->addr, dst);
	case SMTP_ATTRIBUTE_PROTO:
		return who->esmtp ? TEXT_LIT("ESMTP") : TEXT_LIT("SMTP");
	case SMTP_ATTRIBUTE_HELO:
		return show_text(who->helo, dst);
	case SMTP_ATTRIBUTE_LOGIN:
		return show_text(who->login, dst);
	case SMTP_ATTRIBUTE_DESTADDR:
		return show_addr(&who->local, dst);
	case SMTP_ATTRIBUTE_DESTPORT:
		return show_port(&who->local, dst);
	case SMTP_ATTRIBUTE_SOURCE:
		return TEXT_LIT("REMOTE");
	case SMTP_ATTRIBUTE_ADDR:
		return show_addr(&who->addr, dst);
	case SMTP_ATTRIBUTES:
		break;
	}
	return TEXT_NONE;
}

unsigned int
smtp_attributes_next(const struct smtp_attributes *who, const char *keyword,
    unsigned int *left, char dst[static SMTP_ATTRIBUTE_SIZE])
{
	size_t len = strlcpy(dst, keyword, SMTP_ATTRIBUTE_SIZE);
	unsigned int i, told = 0;
	char octets[VALUE_MAX];
	struct text value;
	bool known;

	for (i = 0; i < SMTP_ATTRIBUTES; i++) {
		if ((*left & SMTP_ATTRIBUTE_BIT(i)) == 0)
			continue;
		value = show(who, (enum smtp_attribute)i, octets);
		known = value.p != NULL;
		if (!known)
			value = TEXT_LIT(UNAVAILABLE);
		/* A blank, the name, '=', the value, a NUL. */
		if (strlen(names[i]) + value.len + 3 >
		    SMTP_ATTRIBUTE_SIZE - len)
			break;
		len += (size_t)snprintf(dst + len, SMTP_ATTRIBUTE_SIZE - len,
		    " %s=%.*s", names[i], TEXT_ARG(value));
		*left &= ~SMTP_ATTRIBUTE_BIT(i);
		if (known)
			told |= SMTP_ATTRIBUTE_BIT(i);
	}
	return told;
}
