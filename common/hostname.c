/* SPDX-License-Identifier: ISC */
/* hostname: what this host is called.  Runs in the master, at its start. */
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "hostname.h"
#include "log.h"
#include "xmalloc.h"

#define HOST_MAX 256 /* octets: RFC 1035 2.3.4, and a NUL */

char *
hostname_full(void)
{
	const struct addrinfo hints = { .ai_flags = AI_CANONNAME,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char name[HOST_MAX], *full = NULL;

	if (gethostname(name, sizeof(name)) == -1)
		fatal("gethostname");
	name[sizeof(name) - 1] = '\0';
	if (strchr(name, '.') != NULL)
		return xstrdup(name);
	if (getaddrinfo(name, NULL, &hints, &found) == 0) {
		if (found->ai_canonname != NULL &&
		    strchr(found->ai_canonname, '.') != NULL)
			full = xstrdup(found->ai_canonname);
		freeaddrinfo(found);
	}
	if (full == NULL)
		log_warnx("hostname: the system's name, %s, has no domain: say "
		          "what this host is called",
		    name);
	return full;
}
