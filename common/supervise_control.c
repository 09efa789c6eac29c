/* SPDX-License-Identifier: ISC */
/*
 * supervise_control: the role control and its socket.  Runs in the master,
 * which reads nothing that comes from there: it listens and hands the socket
 * on.  What control asks is which processes there are, and for channels to
 * those that it may ask; it may have been taken over, and gets no more.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control_socket.h"
#include "crew.h"
#include "log.h"
#include "msg_control.h"
#include "priv.h"
#include "supervise_impl.h"

#define PART 64      /* processes that are told of at a time */
#define STARTTIME 22 /* the field of /proc/self/stat (proc(5)) */

/* The lowest serials above after, in their order. */
struct part {
	uint32_t after;
	struct place *places[PART];
	size_t n;
	bool more;
};

/* Is there, or will be again, a process in it? */
static bool
is_there(const struct place *p)
{
	return p->ch != NULL || p->pid != 0 ||
	    (p->crew == NULL && evtimer_pending(&p->respawn, NULL));
}

static void
pick(struct place *p, void *arg)
{
	struct part *part = arg;
	size_t i;

	if (p->serial <= part->after || !is_there(p))
		return;
	for (i = part->n; i > 0 && part->places[i - 1]->serial > p->serial; i--)
		if (i < PART)
			part->places[i] = part->places[i - 1];
	if (i < PART)
		part->places[i] = p;
	if (part->n < PART)
		part->n++;
	else
		part->more = true;
}

/* It has closed its end, or died: the loop will hear of it. */
static bool
has_hung_up(const struct place *p)
{
	struct pollfd fd = { .fd = -1 };

	if (p->ch == NULL)
		return true;
	fd.fd = ipc_fd(p->ch);
	return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR)) != 0;
}

static enum process_state
state_of(const struct place *p)
{
	if (p->accused || p->given_up || p->overdue || has_hung_up(p))
		return PROCESS_ENDS;
	if (p->crew != NULL)
		return PROCESS_DRAINS;
	if (!p->ready)
		return PROCESS_STARTS;
	return p->role == ROLE_WORKER && p->s->conf->worker_connections == 1 &&
	        !p->busy
	    ? PROCESS_WAITS
	    : PROCESS_SERVES;
}

/* True: control has a channel to it. */
static bool
make_known(struct place *control, struct place *p)
{
	if (has_hung_up(p) ||
	    (p->role != ROLE_WORKER && p->role != ROLE_BROKER) ||
	    (p->crew != NULL && crew_is_foreign(p->crew)))
		return false;
	if (p->known_to == control->serial)
		return true;
	if (!supervise_has_room(p->s))
		return false;
	if (place_introduce(control, p) == -1)
		return false;
	p->known_to = control->serial;
	return true;
}

static void
tell(struct place *control, struct place *p, uint32_t id)
{
	struct msg_process m = { .role = (uint8_t)p->role,
		.number = (uint16_t)p->number,
		.serial = p->serial,
		.pid = (uint32_t)p->pid,
		.generation =
		    p->crew != NULL ? p->crew->generation : p->s->number,
		.state = (uint8_t)state_of(p),
		.reachable = make_known(control, p),
		.age = (uint32_t)(clock_seconds() - p->started),
		.restarts = p->restarts };
	struct writer w UNZEROED;

	msg_start(&w, MSG_PROCESS, id);
	msg_put_process(&w, &m);
	(void)ipc_send(control->ch, &w, -1);
}

/* Seconds since this process began, whatever it has executed since (proc(5)).
 */
static uint32_t
uptime(void)
{
	const long ticks = sysconf(_SC_CLK_TCK);
	unsigned long long began = 0;
	struct timespec now;
	char line[1024] = "";
	char *p;
	int i;
	FILE *f = fopen("/proc/self/stat", "re");

	if (f == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	(void)fclose(f);
	p = strrchr(line, ')'); /* the name may hold anything */
	for (i = 2; p != NULL && i < STARTTIME; i++)
		p = strchr(p + 1, ' ');
	if (p == NULL || ticks <= 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &now) == -1)
		return 0;
	began = strtoull(p, NULL, 10);
	began /= (unsigned long long)ticks;
	return (unsigned long long)now.tv_sec > began
	    ? (uint32_t)((unsigned long long)now.tv_sec - began)
	    : 0;
}

static void
tell_totals(struct place *control, uint32_t id)
{
	struct msg_totals m;
	struct writer w UNZEROED;
	struct stats sum;

	supervise_stats_sum(control->s, &sum);
	totals_of(&sum, m.n);
	msg_start(&w, MSG_TOTALS, id);
	msg_put_totals(&w, &m);
	(void)ipc_send(control->ch, &w, -1);
}

int
supervise_call_roll(struct place *control, uint32_t id, struct reader *r)
{
	struct supervisor *s = control->s;
	struct msg_roll_end end = { .generation = s->number };
	struct part part = { .n = 0 };
	struct writer w UNZEROED;
	struct msg_roll m;
	size_t i;

	if (msg_get_roll(r, &m) == -1)
		return -1;
	part.after = m.after;
	supervise_visit_all(s, pick, &part);
	for (i = 0; i < part.n; i++) {
		tell(control, part.places[i], id);
		end.last = part.places[i]->serial;
	}
	end.more = part.more;
	if (!end.more) {
		end.uptime = uptime();
		tell_totals(control, id);
	}
	msg_start(&w, MSG_ROLL_END, id);
	msg_put_roll_end(&w, &end);
	(void)ipc_send(control->ch, &w, -1);
	return 0;
}

/* Those of old generations had their sockets at these paths. */
static void
remove_old(struct supervisor *s)
{
	const struct crew *c;
	char *path;

	TAILQ_FOREACH (c, &s->crews, entry) {
		if (c->conf == NULL)
			continue;
		path = control_socket_path(c->conf, s->conf_name);
		if (path != NULL &&
		    (s->control_path == NULL ||
		        strcmp(path, s->control_path) != 0))
			control_socket_remove(path);
		free(path);
	}
}

void
supervise_start_control(struct supervisor *s)
{
	gid_t group = (gid_t)-1;

	s->control_path = control_socket_path(s->conf, s->conf_name);
	if (s->conf->control_group != NULL &&
	    priv_lookup_group(s->conf->control_group, &group) == -1)
		group = (gid_t)-1;
	if (s->control_path != NULL)
		s->control_fd = control_socket_open(s->control_path, group);
	if (s->control_fd == -1) {
		free(s->control_path);
		s->control_path = NULL;
	} else {
		place_spawn(&s->control);
	}
	remove_old(s);
	if (s->control_fd == -1)
		crews_dismiss_control(s);
}

void
supervise_end_control(struct supervisor *s)
{
	if (s->control_path != NULL)
		control_socket_remove(s->control_path);
}
