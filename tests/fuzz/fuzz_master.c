/* SPDX-License-Identifier: ISC */
/*
 * fuzz_master: what any role says to the master, with the master's own
 * handler of it: nobody has another process ended but whom the rules let him,
 * and what is logged is one line that passes for none of the master's own.
 * The log and the processes are the functions below.
 */
#include <stdarg.h>

#include "certs.h"
#include "crew.h"
#include "fuzz.h"
#include "generation.h"
#include "msg_control.h"
#include "smtp_record.h"
#include "supervise_impl.h"

#define WORKERS 2
#define AUTHENTICATORS 2
#define MESSAGES_MAX 20

static struct place workers[WORKERS], keepers[1],
    authenticators[AUTHENTICATORS], crew_places[3], *speaker;
static struct crew crew;
static struct conf_server servers[2];
static struct conf *conf;
static struct supervisor master;
static struct certs *certs;
static bool free_words; /* MSG_LOG */
static bool had_client; /* the book has whom an event is about */

/* The log. */

static void
check_line(const char *line)
{
	size_t i;

	for (i = 0; line[i] != '\0'; i++)
		MUST((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
	MUST(i > 0 && i < MSG_LOG_MAX + LOG_LINE_MAX);
	/* A role's free words say whose they are. */
	if (free_words)
		MUST(strncmp(line, "old ", 4) == 0 ||
		    strncmp(line, role_name(speaker->role),
		        strlen(role_name(speaker->role))) == 0);
}

static void __attribute__((format(printf, 1, 0)))
check_format(const char *fmt, va_list ap)
{
	char *line;

	MUST(vasprintf(&line, fmt, ap) != -1);
	check_line(line);
	free(line);
}

#define LOG_FUNCTION(name)                                                     \
	void name(const char *fmt, ...)                                        \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		check_format(fmt, ap);                                         \
		va_end(ap);                                                    \
	}

LOG_FUNCTION(log_warn)
LOG_FUNCTION(log_warnx)
LOG_FUNCTION(log_info)
LOG_FUNCTION(log_debug)

void
log_at(int priority, const char *fmt, ...)
{
	va_list ap;

	MUST(priority >= LOG_ERR && priority <= LOG_DEBUG);
	va_start(ap, fmt);
	check_format(fmt, ap);
	va_end(ap);
}

_Noreturn void
fatal(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

_Noreturn void
fatalx(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

bool
log_wants(int priority)
{
	return priority <= LOG_DEBUG;
}

const char *
log_ident(void)
{
	return "postfix/smtpd";
}

void
log_write(int priority, pid_t pid, const char *text)
{
	MUST(priority >= LOG_ERR && priority <= LOG_DEBUG);
	MUST(pid == speaker->pid);
	check_line(text);
}

void
log_write_as(const char *ident, int priority, pid_t pid, const char *text)
{
	MUST(strncmp(ident, "postfix/", 8) == 0);
	log_write(priority, pid, text);
}

void
log_gather(bool on)
{
	(void)on;
}

void
log_set_sink(log_sink *sink, void *arg)
{
	(void)sink;
	(void)arg;
}

void
log_set_level(int priority)
{
	(void)priority;
}

/* The processes. */

void
place_end(struct place *p)
{
	MUST(p->role == ROLE_WORKER || p->role == ROLE_AUTHENTICATOR);
	MUST(speaker->role == ROLE_BROKER ||
	    (speaker->role == ROLE_KEEPER && p->role == ROLE_WORKER));
	MUST(p->crew == speaker->crew && p->accused);
}

int
place_alive(struct place *p, struct reader *r)
{
	MUST(p == speaker);
	return get_end(r);
}

int
nursery_born(struct place *p, struct reader *r)
{
	struct msg_born m;

	MUST(p->role == ROLE_NURSERY);
	return msg_get_born(r, &m);
}

struct place *
crew_place(const struct crew *c, enum role role, unsigned int number)
{
	size_t i;

	for (i = 0; i < c->nplaces; i++)
		if (c->places[i].role == role && c->places[i].number == number)
			return &c->places[i];
	return NULL;
}

bool
crew_is_foreign(const struct crew *c)
{
	return c->messages != MSG_VERSION;
}

void
crew_settled(struct crew *c)
{
	MUST(c == &crew && speaker->role == ROLE_WORKER);
}

void
supervise_want_authenticators(struct supervisor *s, unsigned int n)
{
	MUST(n <= s->nauthenticators && speaker->role == ROLE_BROKER);
}

void
supervise_want_spares(struct supervisor *s)
{
	(void)s;
}

void
crews_dismiss_control(struct supervisor *s)
{
	MUST(speaker == &s->control);
}

int
supervise_call_roll(struct place *control, uint32_t id, struct reader *r)
{
	struct msg_roll m;

	(void)id;
	MUST(control->role == ROLE_CONTROL);
	return msg_get_roll(r, &m);
}

bool
supervise_had_client(struct place *p, const struct addr *client)
{
	(void)client;
	MUST(p == speaker);
	return had_client;
}

/* There are no certificates: each that a keeper tells of is one too many. */
struct certs *
generation_certs(const struct generation *g)
{
	(void)g;
	return certs;
}

int
event_base_loopbreak(struct event_base *base)
{
	(void)base;
	return 0;
}

static const struct protocol protocol = {
	.format_record = smtp_record_format,
	.record_ident = smtp_record_ident,
	.record_accuses = smtp_record_accuses,
};

static void
set_place(struct place *p, enum role role, unsigned int number, bool of_crew)
{
	*p = (struct place){ .s = &master,
		.crew = of_crew ? &crew : NULL,
		.role = role,
		.number = number,
		.serial = number,
		.pid = 100 + (pid_t)number };
}

static void
set_up(uint8_t flags)
{
	static const enum role roles[] = { ROLE_WORKER, ROLE_BROKER,
		ROLE_AUTHENTICATOR };
	static char name[] = "mail.example";
	unsigned int i;

	servers[0].name = servers[1].name = name;
	master = (struct supervisor){ .conf = conf,
		.protocol = &protocol,
		.keepers = keepers,
		.workers = workers,
		.authenticators = authenticators,
		.nkeepers = NITEMS(keepers),
		.nworkers = WORKERS,
		.nauthenticators = AUTHENTICATORS,
		.counters = -1,
		.starting = flags & 1,
		.checking = flags & 2 };
	conf->worker_connections = flags & 16 ? 1 : 10;
	had_client = flags & 32;
	crew = (struct crew){ .s = &master,
		.messages = flags & 4 ? MSG_VERSION : MSG_VERSION + 1,
		.conf = flags & 8 ? conf : NULL,
		.places = crew_places,
		.nplaces = NITEMS(crew_places),
		.counters = -1 };
	for (i = 0; i < WORKERS; i++)
		set_place(&workers[i], ROLE_WORKER, i, false);
	for (i = 0; i < AUTHENTICATORS; i++)
		set_place(&authenticators[i], ROLE_AUTHENTICATOR, i, false);
	set_place(&keepers[0], ROLE_KEEPER, 0, false);
	set_place(&master.broker, ROLE_BROKER, 0, false);
	set_place(&master.nurseries[0], ROLE_NURSERY, 0, false);
	set_place(&master.control, ROLE_CONTROL, 0, false);
	for (i = 0; i < NITEMS(roles); i++)
		set_place(&crew_places[i], roles[i], 0, true);
}

static void
say(struct input *in)
{
	struct place *const places[] = { &workers[0], &workers[1], &keepers[0],
		&authenticators[0], &master.broker, &master.nurseries[0],
		&crew_places[0], &crew_places[1], &crew_places[2],
		&master.control };
	unsigned int type;
	struct reader r;
	struct text t;

	speaker = places[input_u8(in) % NITEMS(places)];
	type = input_u8(in); /* no remainder: types are added */
	t = input_text(in, input_u16(in) % 3000);
	/* ipc lets nothing else pass. */
	if (!msg_allowed(
	        type, speaker->role, ROLE_MASTER, false, MSG_HEADER + t.len))
		return;
	t = fuzz_copy(t.p, t.len);
	r = (struct reader){ t.p, t.len };
	free_words = type == MSG_LOG;
	(void)supervise_message(speaker, NULL, (enum msg_type)type, 1, &r, -1);
	fuzz_free(t);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct conf_defaults defaults = { .daemon = CONF_SMTP,
		.name = "smtpsd",
		.protocol = "SMTP",
		.protocol_tls = "SMTPS" };

	(void)argc;
	(void)argv;
	conf = conf_new(&defaults, NULL, NULL);
	conf->servers = servers;
	conf->nservers = NITEMS(servers);
	certs = certs_new(conf, -1, false, NULL);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	int i;

	set_up(input_u8(&in));
	for (i = 0; i < MESSAGES_MAX && in.left > 0; i++)
		say(&in);
	return 0;
}
