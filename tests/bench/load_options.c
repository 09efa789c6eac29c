/* SPDX-License-Identifier: ISC */
/* The load generator's command line. */
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

static const char usage[] =
    "usage: mailload -m MODE -p PROTO -a ADDRESS:PORT [options]\n"
    "  -m  login | resume | fetch | send | idle | storm\n"
    "  -p  imap | pop3 | smtp\n"
    "  -P  no TLS\n"
    "  -V  1.3 | 1.2: version of TLS                    (1.3)\n"
    "  -n  sessions; idle: held; storm: silent          (100)\n"
    "  -c  sessions at a time                           (16)\n"
    "  -k  messages a session                           (1)\n"
    "  -s  KiB of a message                             (64)\n"
    "  -d  seconds after which no session begins        (3600)\n"
    "  -o  seconds after which a session has failed     (60)\n"
    "  -q  storm: honest logins; idle: sessions probed  (50)\n"
    "  -z  storm: tcp (silent) | tls (silent behind the handshake)\n"
    "  -S  source addresses, from 127.0.0.2 on          (8)\n"
    "  -u  user, -w password                            (bench, secret)\n"
    "idle holds its sessions until standard input ends.\n";

static int
pick(const char *arg, const char *const *names)
{
	int i;

	for (i = 0; names[i] != NULL; i++)
		if (strcmp(arg, names[i]) == 0)
			return i;
	errx(2, "%s?\n%s", arg, usage);
}

static int
number(const char *arg)
{
	const char *wrong;
	long long n = strtonum(arg, 1, 1000000, &wrong);

	if (wrong != NULL)
		errx(2, "%s is %s\n%s", arg, wrong, usage);
	return (int)n;
}

static void
address(struct sockaddr_in *sin, char *arg)
{
	char *colon = strrchr(arg, ':');

	if (colon != NULL)
		*colon = '\0';
	sin->sin_family = AF_INET;
	if (colon == NULL || inet_pton(AF_INET, arg, &sin->sin_addr) != 1)
		errx(2, "an address is 127.0.0.1:993\n%s", usage);
	sin->sin_port = htons((uint16_t)number(colon + 1));
}

static void
option(struct load_options *o, int letter, char *arg)
{
	static const char *const modes[] = { "login", "resume", "fetch", "send",
		"idle", "storm", NULL };
	static const char *const protos[] = { "imap", "pop3", "smtp", NULL };
	static const char *const versions[] = { "1.3", "1.2", NULL };
	static const char *const storms[] = { "tcp", "tls", NULL };

	switch (letter) {
	case 'm':
		o->mode = (enum load_mode)pick(arg, modes);
		break;
	case 'p':
		o->proto = (enum load_proto)pick(arg, protos);
		break;
	case 'P':
		o->plain = true;
		break;
	case 'V':
		o->tls12 = pick(arg, versions) == 1;
		break;
	case 'z':
		o->storm_tls = pick(arg, storms) == 1;
		break;
	case 'a':
		address(&o->to, arg);
		break;
	case 'n':
		o->sessions = number(arg);
		break;
	case 'c':
		o->at_once = number(arg);
		break;
	case 'k':
		o->messages = number(arg);
		break;
	case 's':
		o->size = (uint64_t)number(arg) * 1024;
		break;
	case 'd':
		o->duration = number(arg);
		break;
	case 'o':
		o->timeout = number(arg);
		break;
	case 'q':
		o->probes = number(arg);
		break;
	case 'S':
		o->sources = number(arg);
		break;
	case 'u':
		o->user = arg;
		break;
	case 'w':
		o->password = arg;
		break;
	default:
		errx(2, "%s", usage);
	}
}

void
load_options(struct load_options *o, int argc, char **argv)
{
	int letter;

	*o = (struct load_options){ .sessions = 100,
		.at_once = 16,
		.messages = 1,
		.probes = 50,
		.sources = 8,
		.size = 64 * 1024,
		.duration = 3600,
		.timeout = 60,
		.user = "bench",
		.password = "secret" };
	while ((letter = getopt(
	            argc, argv, "m:p:PV:z:a:n:c:k:s:d:o:q:S:u:w:")) != -1)
		option(o, letter, optarg);
	if (o->to.sin_port == 0 || optind != argc ||
	    (o->mode == LOAD_FETCH && o->proto == LOAD_SMTP) ||
	    (o->mode == LOAD_SEND && o->proto == LOAD_POP3))
		errx(2, "%s", usage);
}
