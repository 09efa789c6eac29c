/* SPDX-License-Identifier: ISC */
/*
 * supervise_start: the start of the processes of one daemon, alone or beside
 * those of an old generation, and --check_config's of keys.  Runs in the
 * master, which trusts its configuration and the image before it.
 */
#include <sys/mman.h>

#include <signal.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "crew.h"
#include "generation.h"
#include "ledger_file.h"
#include "limit.h"
#include "log.h"
#include "priv.h"
#include "reload_state.h"
#include "supervise_impl.h"
#include "tls.h"
#include "xmalloc.h"

#define START_SECONDS 20 /* for keepers and broker to be ready */
#define COPY_SECONDS 2   /* how often they are looked at */

static int
make_memory(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* Nobody who has it makes it shorter than another's mapping of it. */
	if (fd == -1 || ftruncate(fd, (off_t)size) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
	        -1)
		fatal("memory for the %s", name);
	return fd;
}

/*
 * Who of the authenticators' group reads, and nobody else.  Without root they
 * are not locked into the spool and read the file itself.
 */
static int
keep_sasldb(struct supervisor *s)
{
	struct priv_user u;

	if (!s->conf->sasl || !priv_am_root())
		return 0;
	if (priv_lookup_group(s->conf->sasl_group, &u.gid) == -1 &&
	    priv_lookup(s->conf->daemon_username, NULL, &u) == -1)
		return -1;
	s->sasldb = spool_copy_new(s->conf->spool_directory, "sasldb2",
	    generation_sasldb(s->generation), u.gid);
	return spool_copy_look(s->sasldb);
}

/* For the broker. */
static int
keep_senders(struct supervisor *s)
{
	const char *from = s->conf->sender_login_map;
	struct priv_user u;

	if (from == NULL || !priv_am_root())
		return 0;
	if (priv_lookup(s->conf->daemon_username, NULL, &u) == -1)
		return -1;
	s->senders = spool_copy_new(
	    s->conf->spool_directory, CONF_SENDER_MAP_COPY, from, u.gid);
	return spool_copy_look(s->senders);
}

/* What the others see of the system's files, kept up from now on. */
static int
keep_copies(struct supervisor *s)
{
	const struct timeval every = { .tv_sec = COPY_SECONDS };

	if (keep_sasldb(s) == -1 || keep_senders(s) == -1)
		return -1;
	if (priv_am_root() && !s->conf->one_client)
		event_add(&s->copy, &every);
	return 0;
}

static void
make_places(struct supervisor *s)
{
	const struct conf *c = s->conf;
	unsigned int i;

	s->counters = make_memory("counters", limit_size(broker_places(c)));
	s->nkeepers = c->keepers;
	s->nworkers =
	    c->worker_connections == 1 ? broker_places(c) : c->workers;
	s->nauthenticators = c->sasl ? c->authenticators_max : 0;
	s->loads = make_memory("loads", s->nworkers * sizeof(uint32_t));
	s->keepers = xcalloc(s->nkeepers, sizeof(*s->keepers));
	s->workers = xcalloc(s->nworkers, sizeof(*s->workers));
	s->authenticators =
	    xcalloc(s->nauthenticators, sizeof(*s->authenticators));
	for (i = 0; i < s->nauthenticators; i++)
		place_init(s, &s->authenticators[i], ROLE_AUTHENTICATOR, i);
	for (i = 0; i < s->nkeepers; i++)
		place_init(s, &s->keepers[i], ROLE_KEEPER, i);
	for (i = 0; i < s->nworkers; i++)
		place_init(s, &s->workers[i], ROLE_WORKER, i);
	if (c->worker_connections == 1 && !c->one_client)
		nursery_init(s);
}

static struct supervisor *
make(const struct conf *c, const struct protocol *p, const int *listeners,
    struct generation *g)
{
	struct supervisor *s = xcalloc(1, sizeof(*s));

	s->conf = c;
	s->protocol = p;
	s->conf_name = p->defaults->name;
	s->listeners = listeners;
	s->generation = g;
	s->number = 1;
	TAILQ_INIT(&s->crews);
	s->base = role_event_base();
	s->counters = s->loads = s->ledger = s->control_fd = -1;
	place_init(s, &s->broker, ROLE_BROKER, 0);
	place_init(s, &s->metrics, ROLE_METRICS, 0);
	s->metrics_fd = -1;
	supervise_stats_init(s);
	place_init(s, &s->control, ROLE_CONTROL, 0);
	if (g != NULL)
		make_places(s);
	supervise_hear(s);
	return s;
}

struct supervisor *
supervise_new(
    const struct conf *c, const struct protocol *p, const int *listeners)
{
	struct generation *g = generation_new(c, GENERATION_SERVES);
	struct supervisor *s;

	if (g == NULL)
		return NULL;
	s = make(c, p, listeners, g);
	s->ledger = ledger_file_open(c->spool_directory, c->ledger_entries, -1);
	arc4random_buf(s->ticket_key, TICKET_KEY_LEN);
	return s;
}

/* The signals were blocked since before the exec: they come now. */
static void
hear_signals(struct supervisor *s)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* A death may have been told to the image before. */
	event_active(&s->chld, EV_SIGNAL, 1);
}

struct supervisor *
supervise_resume(const struct conf *c, const struct protocol *p,
    const int *listeners, const struct reload_state *before)
{
	struct supervisor *s = make(c, p, listeners,
	    listeners != NULL ? generation_new(c, GENERATION_SERVES) : NULL);

	s->before = before;
	s->number = before->generation + 1;
	s->serial = before->serial;
	s->told_missing = before->told_missing;
	s->reload_again = before->again;
	s->has_previous = before->has_previous;
	memcpy(s->ticket_key, before->ticket_key, TICKET_KEY_LEN);
	memcpy(s->previous_key, before->previous_key, TICKET_KEY_LEN);
	s->ticket_at = before->ticket_at;
	s->ledger = ledger_file_open(
	    c->spool_directory, c->ledger_entries, before->users);
	supervise_stats_adopt(s, before);
	crews_adopt(s, before);
	hear_signals(s);
	return s;
}

/* Run the loop until those that were started are ready, or one failed. */
static int
await_ready(struct supervisor *s)
{
	const struct timeval limit = { .tv_sec = START_SECONDS };

	s->starting = true;
	s->failed = false;
	event_add(&s->deadline, &limit);
	event_base_dispatch(s->base);
	event_del(&s->deadline);
	s->starting = false;
	return s->failed || s->stopping ? -1 : 0;
}

/*
 * What workers would do with the authorities of inner servers.  Only a check,
 * which is a process of its own and short-lived, looks into them itself.
 */
static int
check_authorities(const struct conf *c, const struct generation *g)
{
	struct handover *h;
	struct tls_client *client;
	const char *why;

	if (c->outgoing_tls == OUTGOING_PLAIN)
		return 0;
	h = handover_open(generation_handover(g, ROLE_WORKER));
	if (h == NULL)
		fatal("what workers are handed");
	tls_global_init();
	client = tls_client_new(c, h, &why);
	if (client == NULL)
		log_warnx("TLS towards inner servers (ssl_ca_file, "
		          "ssl_ca_path, ssl_ca_chain_file): %s",
		    why);
	handover_close(&h);
	if (client == NULL)
		return -1;
	tls_client_free(&client);
	return 0;
}

int
supervise_check(const struct conf *c, const struct protocol *p, bool strict)
{
	struct generation *g =
	    generation_new(c, strict ? GENERATION_RELOADS : GENERATION_CHECKS);
	struct supervisor *s;
	int result;

	if (g == NULL)
		return -1;
	s = make(c, p, NULL, g);
	s->nkeepers = 1;
	s->checking = true;
	place_spawn(&s->keepers[0]);
	result = await_ready(s);
	supervise_end_all(s);
	return check_authorities(c, g) == -1 ? -1 : result;
}

/* Keepers, broker, authenticators. */
static int
start_helpers(struct supervisor *s)
{
	unsigned int i;

	if (keep_copies(s) == -1 || supervise_metrics_start(s) == -1)
		return -1;
	for (i = 0; i < s->nkeepers; i++)
		place_spawn(&s->keepers[i]);
	place_spawn(&s->broker);
	if (s->conf->sasl)
		supervise_want_authenticators(s, s->conf->authenticators);
	if (await_ready(s) == -1)
		return -1;
	return supervise_certs_begin(s);
}

static void
start_workers(struct supervisor *s)
{
	unsigned int i;

	if (s->nnurseries > 0)
		nursery_start(s);
	for (i = 0; i < s->conf->workers && s->nnurseries == 0; i++)
		place_spawn(&s->workers[i]);
}

/*
 * The old generation's workers take clients until all the new one's do: what
 * does not come up leaves them where they are.
 */
static int
start_beside(struct supervisor *s)
{
	supervise_set_ticket_timer(s);
	if (supervise_is_idle(s))
		return -1;
	if (start_helpers(s) == -1)
		goto fail;
	start_workers(s);
	s->await_workers = true;
	if (await_ready(s) == -1)
		goto fail;
	s->await_workers = false;
	supervise_certs_watch(s);
	supervise_take_over(s);
	supervise_start_control(s);
	return 0;
fail:
	s->await_workers = false;
	if (s->stopping)
		supervise_set_end(s); /* the deadline was for another end */
	else
		supervise_give_up(s);
	return -1;
}

int
supervise_start(struct supervisor *s)
{
	if (s->before != NULL)
		return start_beside(s);
	if (start_helpers(s) == -1) {
		supervise_end_all(s);
		return -1;
	}
	/* Only now: the keepers have seen that no key is in a certificate. */
	start_workers(s);
	supervise_certs_watch(s);
	supervise_change_ticket_key(s);
	supervise_start_control(s);
	return 0;
}
