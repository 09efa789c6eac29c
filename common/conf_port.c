/* SPDX-License-Identifier: ISC */
/*
 * conf_port: ports by number or by service name.  Runs in the master; the
 * roles get numbers.  The usual names are known without /etc/services, which
 * a small system may lack.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdint.h>
#include <string.h>

#include "conf_settle.h"

#define SERVICE_NAME_MAX 64

static const struct {
	const char *name;
	uint16_t port;
} services[] = {
	{ "imap", 143 },
	{ "imap2", 143 },
	{ "imap4", 143 },
	{ "imaps", 993 },
	{ "pop3", 110 },
	{ "pop-3", 110 },
	{ "pop3s", 995 },
	{ "smtp", 25 },
	{ "submission", 587 },
	{ "submissions", 465 },
	{ "smtps", 465 },
	{ "ssmtp", 465 },
};

static int
service_port(struct text t, uint16_t *port)
{
	char name[SERVICE_NAME_MAX];
	const struct servent *s;
	size_t i;

	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (text_caseeq(t, services[i].name)) {
			*port = services[i].port;
			return 0;
		}
	}
	if (t.len == 0 || t.len >= sizeof(name))
		return -1;
	memcpy(name, t.p, t.len);
	name[t.len] = '\0';
	s = getservbyname(name, "tcp");
	if (s == NULL)
		return -1;
	*port = ntohs((uint16_t)s->s_port);
	return 0;
}

int
conf_port(struct text t, uint16_t *port)
{
	uint64_t n;

	if (text_u64(t, UINT16_MAX, &n)) {
		*port = (uint16_t)n;
		return n == 0 ? -1 : 0;
	}
	/* More digits than a port has: no service is called so. */
	if (t.len > 0 && t.p[0] >= '0' && t.p[0] <= '9')
		return -1;
	return service_port(t, port);
}
