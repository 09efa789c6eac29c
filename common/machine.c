/* SPDX-License-Identifier: ISC */
/*
 * machine: what a configuration leaves to the machine that it is used on.
 * Runs in the master, before it gives up its capabilities.
 */
#include <sys/resource.h>

#include <unistd.h>

#include "broker.h"
#include "hostname.h"
#include "log.h"
#include "machine.h"

#define FILES_PER_CLIENT 2 /* the client's, the inner server's */
#define FILES_BESIDE 256   /* channels, listeners, memfds */
/* The master's: memfds, channels; and FILES_KEPT for a new generation. */
#define FILES_BESIDE_PROCESSES 128

static void
fit_processors(struct conf *c)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int processors = n < 1 ? 1 : (unsigned int)n;

	if (c->workers == 0)
		c->workers = processors;
	if (c->keepers == 0)
		c->keepers = processors;
	if (c->keepers > c->workers)
		c->keepers = c->workers;
}

/* No more clients than a worker can have descriptors for. */
static void
fit_files(struct conf *c)
{
	struct rlimit r;
	rlim_t want;

	want = (rlim_t)c->worker_connections * FILES_PER_CLIENT + FILES_BESIDE +
	    c->nlisten;
	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	if (want > r.rlim_max) {
		/* Root may raise it; else there will be fewer clients. */
		struct rlimit more = { r.rlim_cur, want };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			r.rlim_max = want;
	}
	if (want > r.rlim_max) {
		want = r.rlim_max > FILES_BESIDE + c->nlisten + 2
		    ? (r.rlim_max - FILES_BESIDE - c->nlisten) /
		        FILES_PER_CLIENT
		    : 1;
		log_debug("worker_connections is %llu: the limit of open files "
		          "allows no more",
		    (unsigned long long)want);
		c->worker_connections = (unsigned int)want;
	}
}

/*
 * With a process for each client the master has a descriptor for each: whoever
 * cannot have one is to hear it from the broker, and not to wait.
 */
static void
fit_processes(struct conf *c)
{
	const rlim_t beside = FILES_BESIDE_PROCESSES + c->nlisten +
	    2 * (rlim_t)c->workers + c->keepers + c->authenticators_max;
	unsigned int most = broker_places(c) - c->workers;
	struct rlimit r;

	if (c->one_client || getrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    r.rlim_max >= beside + most)
		return;
	c->connection_limit =
	    r.rlim_max > beside ? (unsigned int)(r.rlim_max - beside) : 1;
	log_warnx("connection_limit is %u: the limit of open files allows no "
	          "more",
	    c->connection_limit);
}

/* What it calls itself where others can check it (RFC 5321 4.1.1.1). */
static void
find_hostname(struct conf *c)
{
	if (c->sasl && c->hostname == NULL)
		c->hostname = hostname_full();
}

void
machine_fit(struct conf *c)
{
	fit_processors(c);
	fit_files(c);
	if (c->worker_connections == 1)
		fit_processes(c);
	find_hostname(c);
}

void
machine_allow_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		log_warn("raising the limit of open files");
}
