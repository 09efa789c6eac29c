/* SPDX-License-Identifier: ISC */
/*
 * supervise_state: what this image of the master has to hand over to the
 * next.  Runs in the master.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "generation.h"
#include "log.h"
#include "pid_file.h"
#include "reload_state.h"
#include "supervise_impl.h"
#include "xmalloc.h"

#define CONF_MAX 1048576 /* octets of a role's configuration */

static void
put_role(struct reload_state *st, uint32_t generation, const struct place *p)
{
	struct reload_role *r;

	if (p->pid == 0)
		return;
	st->roles = xrecallocarray(
	    st->roles, st->nroles, st->nroles + 1, sizeof(*st->roles));
	r = &st->roles[st->nroles++];
	r->generation = generation;
	r->role = (uint8_t)p->role;
	r->number = (uint16_t)p->number;
	r->serial = p->serial;
	r->pid = p->pid;
	r->fd = p->ch != NULL ? ipc_fd(p->ch) : -1;
}

static struct reload_crew *
put_crew(struct reload_state *st)
{
	st->crews = xrecallocarray(
	    st->crews, st->ncrews, st->ncrews + 1, sizeof(*st->crews));
	return &st->crews[st->ncrews++];
}

static void
put_old_crews(struct reload_state *st, const struct supervisor *s)
{
	const struct crew *c;
	struct reload_crew *r;
	size_t i;

	TAILQ_FOREACH (c, &s->crews, entry) {
		r = put_crew(st);
		r->generation = c->generation;
		r->messages = c->messages;
		r->until = c->until;
		r->counters = c->counters;
		r->conf = xstrdup(c->conf_text);
		for (i = 0; i < c->nplaces; i++)
			put_role(st, c->generation, &c->places[i]);
	}
}

static void
put_this_crew(struct reload_state *st, const struct supervisor *s)
{
	struct reload_crew *r;
	struct buf text;
	unsigned int i;

	if (supervise_is_idle(s))
		return;
	buf_init(&text, CONF_MAX);
	conf_write_role(s->conf, ROLE_WORKER, &text);
	r = put_crew(st);
	r->generation = s->number;
	r->messages = MSG_VERSION;
	r->counters = s->counters;
	r->conf = xstrndup(buf_view(&text).p, buf_view(&text).len);
	buf_free(&text);
	put_role(st, s->number, &s->broker);
	put_role(st, s->number, &s->metrics);
	put_role(st, s->number, &s->control);
	for (i = 0; i < s->nkeepers; i++)
		put_role(st, s->number, &s->keepers[i]);
	for (i = 0; i < s->nauthenticators; i++)
		put_role(st, s->number, &s->authenticators[i]);
	for (i = 0; i < s->nworkers; i++)
		put_role(st, s->number, &s->workers[i]);
}

static void
put_listener(struct reload_state *st, const struct reload_listener *l)
{
	st->listeners = xrecallocarray(st->listeners, st->nlisteners,
	    st->nlisteners + 1, sizeof(*st->listeners));
	st->listeners[st->nlisteners++] = *l;
}

static struct reload_listener
listener_of(const struct supervisor *s, size_t number)
{
	const struct inherited *in = s->launch->inherited;
	struct reload_listener l = { .fd = s->listeners[number],
		.addr = s->conf->listen[number].addr };
	size_t i;

	for (i = 0; i < in->n; i++)
		if (in->sockets[i].fd == l.fd)
			memcpy(l.name, in->sockets[i].name, sizeof(l.name));
	return l;
}

static void
put_listeners(struct reload_state *st, const struct supervisor *s)
{
	struct reload_listener l;
	size_t i;

	if (!supervise_is_idle(s))
		for (i = 0; i < s->conf->nlisten; i++) {
			l = listener_of(s, i);
			put_listener(st, &l);
		}
	else if (s->before != NULL)
		for (i = 0; i < s->before->nlisteners; i++)
			put_listener(st, &s->before->listeners[i]);
}

const char *
supervise_log_target(const struct supervisor *s)
{
	return supervise_is_idle(s) && s->before != NULL
	    ? s->before->log_target
	    : s->conf->log_facility;
}

static int
passphrase_of(const struct supervisor *s)
{
	if (s->generation != NULL && !supervise_is_idle(s))
		return generation_passphrase(s->generation);
	return s->before != NULL ? s->before->passphrase : -1;
}

struct reload_state *
supervise_state(const struct supervisor *s)
{
	struct reload_state *st = xcalloc(1, sizeof(*st));
	const struct supervise_launch *l = s->launch;

	st->pid = getpid();
	st->version = xstrdup(VERSION);
	st->generation = s->number;
	st->serial = s->serial;
	st->background = l->background;
	st->again = s->reload_again;
	st->inherited = l->inherited->kind == INHERIT_LISTENERS;
	st->folder = xstrdup(l->folder);
	st->log_target = xstrdup(supervise_log_target(s));
	st->log_ident = xstrdup(log_ident());
	st->log_level = log_wants(LOG_DEBUG) ? LOG_DEBUG
	    : log_wants(LOG_INFO)            ? LOG_INFO
	                                     : LOG_ERR;
	log_queue_get(&st->log);
	st->pid_fd = -1;
	if (l->pid_file != NULL) {
		st->pid_path = xstrdup(pid_file_path(l->pid_file));
		st->pid_fd = pid_file_fd(l->pid_file);
	}
	st->users = s->ledger;
	st->passphrase = passphrase_of(s);
	memcpy(st->ticket_key, s->ticket_key, TICKET_KEY_LEN);
	memcpy(st->previous_key, s->previous_key, TICKET_KEY_LEN);
	st->has_previous = s->has_previous;
	st->ticket_at = s->ticket_at;
	st->told_missing = s->told_missing;
	put_listeners(st, s);
	put_old_crews(st, s);
	put_this_crew(st, s);
	supervise_stats_put(s, st);
	supervise_metrics_put(s, st);
	return st;
}
