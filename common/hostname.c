/* SPDX-License-Identifier: ISC */
/* hostname: what this host is called.  Runs in the master, at its start. */
#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "hostname.h"
#include "log.h"
#include "xmalloc.h"

#define HOST_MAX 256 /* octets: RFC 1035 2.3.4, and a NUL */

/* Ask for name's canonical one.  *full stays NULL: that has no domain. */
static int
look_up(const char *name, char **full)
{
	const struct addrinfo hints = { .ai_flags = AI_CANONNAME,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int result = getaddrinfo(name, NULL, &hints, &found);

	if (result != 0)
		return result;
	if (found->ai_canonname != NULL &&
	    strchr(found->ai_canonname, '.') != NULL)
		*full = xstrdup(found->ai_canonname);
	freeaddrinfo(found);
	return 0;
}

char *
hostname_full(unsigned int patience)
{
	const time_t end = clock_seconds() + (time_t)patience;
	char name[HOST_MAX], *full = NULL;
	bool told = false;

	if (gethostname(name, sizeof(name)) == -1)
		fatal("gethostname");
	name[sizeof(name) - 1] = '\0';
	if (strchr(name, '.') != NULL)
		return xstrdup(name);
	/* After a reboot the network may come later than we do. */
	while (look_up(name, &full) == EAI_AGAIN && clock_seconds() < end) {
		if (!told)
			log_warnx("hostname: nobody can be asked for the "
			          "domain of %s: waiting for the network",
			    name);
		told = true;
		(void)sleep(1);
	}
	if (full == NULL)
		log_warnx("hostname: the system's name, %s, has no domain: say "
		          "what this host is called",
		    name);
	return full;
}
