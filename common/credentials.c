/* SPDX-License-Identifier: ISC */
/*
 * credentials: whom a client claims to be.  Runs in workers, on what clients
 * send; what is good here holds no octet that could end a line or a string at
 * an inner server.
 */
#include <string.h>

#include "credentials.h"

bool
credentials_copy(struct text t, char *dst, size_t size)
{
	if (t.len >= size || text_has(t, '\0'))
		return false;
	if (t.len > 0)
		memcpy(dst, t.p, t.len);
	dst[t.len] = '\0';
	return true;
}

static bool
has_line_end(const char *s)
{
	return s[strcspn(s, "\r\n")] != '\0';
}

bool
credentials_are_good(const struct credentials *c)
{
	return c->authn[0] != '\0' && c->password[0] != '\0' &&
	    !has_line_end(c->authn) && !has_line_end(c->authz) &&
	    !has_line_end(c->password);
}

/* The last delimiter in name, or NULL. */
static char *
find_domain(char *name, const char *delimiter)
{
	char *at, *last = NULL;

	if (delimiter == NULL || *delimiter == '\0')
		return NULL;
	for (at = name; (at = strstr(at, delimiter)) != NULL; at++)
		last = at;
	return last;
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++) {
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
	}
}

int
credentials_rename(const struct conf *conf, const char *name,
    char out[static CREDENTIALS_NAME_MAX + 1])
{
	const size_t size = CREDENTIALS_NAME_MAX + 1;
	const char *delimiter = conf->domain_delimiter;
	char *domain;

	(void)strlcpy(out, name, size);
	if (*out == '\0')
		return 0; /* no authorisation identity */
	domain = find_domain(out, delimiter);
	if (conf->name_rules.strip_domain && domain != NULL) {
		*domain = '\0'; /* may be the first of out */
		/* cppcheck-suppress identicalConditionAfterEarlyExit */
		if (*out == '\0')
			return -1;
		domain = find_domain(out, delimiter);
	}
	if (conf->name_rules.add_domain && domain == NULL &&
	    delimiter != NULL && conf->explicit_domain != NULL) {
		if (strlcat(out, delimiter, size) >= size ||
		    strlcat(out, conf->explicit_domain, size) >= size)
			return -1;
	}
	if (conf->name_rules.lower_case)
		lower(out);
	return 0;
}

void
credentials_plain(
    const struct credentials *c, char dst[static CREDENTIALS_PLAIN_MAX])
{
	const char *const parts[] = { c->authz, c->authn, c->password };
	char message[CREDENTIALS_MESSAGE_MAX];
	size_t i, n, len = 0;

	for (i = 0; i < 3; i++) {
		if (i > 0)
			message[len++] = '\0';
		n = strlen(parts[i]);
		memcpy(message + len, parts[i], n);
		len += n;
	}
	/* It cannot be too long: its parts have their limits. */
	(void)base64_encode(message, len, dst, CREDENTIALS_PLAIN_MAX);
	explicit_bzero(message, sizeof(message));
}
