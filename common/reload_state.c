/* SPDX-License-Identifier: ISC */
/*
 * reload_state: the hand-over from one image of the master to the next.  Runs
 * in the master.  It is a handover memfd whose parts hold fields as messages
 * have them; what is read was written by another build of this program, so
 * nothing in it is taken on trust.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handover.h"
#include "reload_state.h"
#include "xmalloc.h"

/* Parts, beside handover_kind's; FORMAT comes first and never changes. */
enum {
	PART_FORMAT = 0x7265,
	PART_HEAD,
	PART_KEYS,
	PART_LISTENER,
	PART_CREW,
	PART_CREW_CONF,
	PART_ROLE,
	PART_END, /* how many there were of each list */
	PART_STATS,
	PART_METRICS,
	PART_LOG,      /* how many lines are lost and not told of */
	PART_LOG_LINES /* as struct log_queue has them */
};

#define PATH_LENGTH_MAX 4096
#define NO_FD UINT32_MAX

static void
put_string(struct writer *w, const char *s)
{
	put_u8(w, s != NULL);
	put_text(w, text_of(s));
}

static void
put_fd(struct writer *w, int fd)
{
	put_u32(w, fd == -1 ? NO_FD : (uint32_t)fd);
}

/* One part; its fields are in w behind a message's header, which stays. */
static int
add(int fd, int kind, size_t number, struct writer *w)
{
	struct text t = { w->data + MSG_HEADER, w->len - MSG_HEADER };
	int result;

	if (w->failed || number > UINT16_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	result =
	    handover_add(fd, (enum handover_kind)kind, (uint16_t)number, t);
	explicit_bzero(w->data, w->len);
	return result;
}

static void
begin(struct writer *w)
{
	msg_start(w, MSG_READY, 0);
}

static int
add_head(int fd, const struct reload_state *st)
{
	struct writer w UNZEROED;

	begin(&w);
	put_u32(&w, RELOAD_FORMAT);
	if (add(fd, PART_FORMAT, 0, &w) == -1)
		return -1;
	begin(&w);
	put_u32(&w, (uint32_t)st->pid);
	put_string(&w, st->version);
	put_u32(&w, st->generation);
	put_u32(&w, st->serial);
	put_u8(&w, st->background);
	put_u8(&w, st->again);
	put_u8(&w, st->inherited);
	put_string(&w, st->folder);
	put_string(&w, st->log_target);
	put_string(&w, st->log_ident);
	put_u32(&w, st->log_level);
	put_string(&w, st->pid_path);
	put_fd(&w, st->pid_fd);
	put_fd(&w, st->users);
	put_fd(&w, st->passphrase);
	put_u32(&w, st->told_missing);
	return add(fd, PART_HEAD, 0, &w);
}

static int
add_keys(int fd, const struct reload_state *st)
{
	struct writer w UNZEROED;

	begin(&w);
	put_u8(&w, st->has_previous);
	put_u64(&w, st->ticket_at);
	put_text(&w, (struct text){ st->ticket_key, TICKET_KEY_LEN });
	put_text(&w, (struct text){ st->previous_key, TICKET_KEY_LEN });
	return add(fd, PART_KEYS, 0, &w);
}

static int
add_crew(int fd, size_t i, const struct reload_crew *c)
{
	struct writer w UNZEROED;

	begin(&w);
	put_u32(&w, c->generation);
	put_u32(&w, c->messages);
	put_u64(&w, c->until);
	put_fd(&w, c->counters);
	if (add(fd, PART_CREW, i, &w) == -1)
		return -1;
	return handover_add(fd, (enum handover_kind)PART_CREW_CONF, (uint16_t)i,
	    text_of(c->conf));
}

static int
add_lists(int fd, const struct reload_state *st)
{
	const struct reload_role *r;
	struct writer w UNZEROED;
	size_t i;

	for (i = 0; i < st->nlisteners; i++) {
		begin(&w);
		put_fd(&w, st->listeners[i].fd);
		put_addr(&w, &st->listeners[i].addr);
		put_text(&w, text_of(st->listeners[i].name));
		if (add(fd, PART_LISTENER, i, &w) == -1)
			return -1;
	}
	for (i = 0; i < st->ncrews; i++)
		if (add_crew(fd, i, &st->crews[i]) == -1)
			return -1;
	for (i = 0; i < st->nroles; i++) {
		r = &st->roles[i];
		begin(&w);
		put_u32(&w, r->generation);
		put_u8(&w, r->role);
		put_u16(&w, r->number);
		put_u32(&w, r->serial);
		put_u32(&w, (uint32_t)r->pid);
		put_fd(&w, r->fd);
		if (add(fd, PART_ROLE, i, &w) == -1)
			return -1;
	}
	begin(&w);
	put_u64(&w, st->nlisteners);
	put_u64(&w, st->ncrews);
	put_u64(&w, st->nroles);
	return add(fd, PART_END, 0, &w);
}

/* Parts that a program of the same format need not know. */
static int
add_stats(int fd, const struct reload_state *st)
{
	const struct reload_stats *p;
	struct writer w UNZEROED;
	size_t i;

	for (i = 0; i < st->nstats; i++) {
		p = &st->stats[i];
		begin(&w);
		put_u32(&w, p->generation);
		put_u8(&w, p->role);
		put_u16(&w, p->number);
		put_fd(&w, p->fd);
		if (add(fd, PART_STATS, i, &w) == -1)
			return -1;
	}
	if (st->metrics_listen == NULL)
		return 0;
	begin(&w);
	put_string(&w, st->metrics_listen);
	put_fd(&w, st->metrics_fd);
	return add(fd, PART_METRICS, 0, &w);
}

static int
add_log(int fd, const struct reload_state *st)
{
	const struct text lines = { st->log.lines, st->log.len };
	struct writer w UNZEROED;

	if (st->log.lost == 0 && lines.len == 0)
		return 0;
	begin(&w);
	put_u64(&w, st->log.lost);
	if (add(fd, PART_LOG, 0, &w) == -1)
		return -1;
	return handover_add(fd, (enum handover_kind)PART_LOG_LINES, 0, lines);
}

int
reload_state_write(const struct reload_state *st)
{
	int save, fd = handover_new("reload");

	if (fd == -1)
		return -1;
	if (add_head(fd, st) == 0 && add_keys(fd, st) == 0 &&
	    add_lists(fd, st) == 0 && add_stats(fd, st) == 0 &&
	    add_log(fd, st) == 0 && handover_seal(fd) == 0)
		return fd;
	save = errno;
	close(fd);
	errno = save;
	return -1;
}

static int
get_string(struct reader *r, char **s)
{
	struct text t;
	uint8_t is_there;

	if (get_bool(r, &is_there) == -1 ||
	    get_text(r, PATH_LENGTH_MAX, &t) == -1 ||
	    (t.len > 0 && memchr(t.p, '\0', t.len) != NULL))
		return -1;
	*s = is_there ? xstrndup(t.len > 0 ? t.p : "", t.len) : NULL;
	return 0;
}

static int
get_string_there(struct reader *r, char **s)
{
	return get_string(r, s) == -1 || *s == NULL ? -1 : 0;
}

/* An open one, or -1 where none is allowed. */
static int
get_fd(struct reader *r, bool maybe, int *fd)
{
	uint32_t n;

	if (get_u32(r, &n) == -1)
		return -1;
	*fd = -1;
	if (n == NO_FD)
		return maybe ? 0 : -1;
	if (n <= STDERR_FILENO || n > INT32_MAX || fcntl((int)n, F_GETFD) == -1)
		return -1;
	*fd = (int)n;
	return 0;
}

static int
get_pid(struct reader *r, pid_t *pid)
{
	uint32_t n;

	if (get_u32(r, &n) == -1 || n == 0 || n > INT32_MAX)
		return -1;
	*pid = (pid_t)n;
	return 0;
}

static struct reader
part(const struct handover *h, int kind, size_t number, bool *is_there)
{
	struct text t =
	    handover_get(h, (enum handover_kind)kind, (uint16_t)number);

	*is_there = t.p != NULL;
	return (struct reader){ t.p, t.len };
}

static int
read_head(const struct handover *h, struct reload_state *st)
{
	bool is_there;
	struct reader r = part(h, PART_HEAD, 0, &is_there);

	if (!is_there || get_pid(&r, &st->pid) == -1 ||
	    get_string_there(&r, &st->version) == -1 ||
	    get_u32(&r, &st->generation) == -1 ||
	    get_u32(&r, &st->serial) == -1 ||
	    get_bool(&r, &st->background) == -1 ||
	    get_bool(&r, &st->again) == -1 ||
	    get_bool(&r, &st->inherited) == -1 ||
	    get_string_there(&r, &st->folder) == -1 ||
	    get_string_there(&r, &st->log_target) == -1 ||
	    get_string_there(&r, &st->log_ident) == -1 ||
	    get_u32(&r, &st->log_level) == -1 || st->log_level > 7 ||
	    get_string(&r, &st->pid_path) == -1 ||
	    get_fd(&r, st->pid_path == NULL, &st->pid_fd) == -1 ||
	    get_fd(&r, true, &st->users) == -1 ||
	    get_fd(&r, true, &st->passphrase) == -1 ||
	    get_u32(&r, &st->told_missing) == -1)
		return -1;
	return get_end(&r);
}

static int
read_keys(const struct handover *h, struct reload_state *st)
{
	bool is_there;
	struct reader r = part(h, PART_KEYS, 0, &is_there);
	struct text current, previous;

	if (!is_there || get_bool(&r, &st->has_previous) == -1 ||
	    get_u64(&r, &st->ticket_at) == -1 ||
	    get_text(&r, TICKET_KEY_LEN, &current) == -1 ||
	    get_text(&r, TICKET_KEY_LEN, &previous) == -1 ||
	    current.len != TICKET_KEY_LEN || previous.len != TICKET_KEY_LEN)
		return -1;
	memcpy(st->ticket_key, current.p, TICKET_KEY_LEN);
	memcpy(st->previous_key, previous.p, TICKET_KEY_LEN);
	return get_end(&r);
}

/* 1: there is one more, 0: there is none, -1: it is bad. */
static int
read_listener(const struct handover *h, struct reload_state *st)
{
	struct reload_listener l = { .fd = -1 };
	struct text name;
	bool is_there;
	struct reader r = part(h, PART_LISTENER, st->nlisteners, &is_there);
	socklen_t len = sizeof(int);
	int listens = 0;

	if (!is_there)
		return 0;
	if (get_fd(&r, false, &l.fd) == -1 || get_addr(&r, &l.addr) == -1 ||
	    get_text(&r, sizeof(l.name) - 1, &name) == -1 ||
	    get_end(&r) == -1 ||
	    getsockopt(l.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1 ||
	    !listens)
		return -1;
	memcpy(l.name, name.p, name.len);
	st->listeners = xrecallocarray(st->listeners, st->nlisteners,
	    st->nlisteners + 1, sizeof(*st->listeners));
	st->listeners[st->nlisteners++] = l;
	return 1;
}

static int
read_crew(const struct handover *h, struct reload_state *st)
{
	struct reload_crew c;
	bool is_there;
	struct reader r = part(h, PART_CREW, st->ncrews, &is_there);
	struct text conf;

	if (!is_there)
		return 0;
	conf = handover_get(
	    h, (enum handover_kind)PART_CREW_CONF, (uint16_t)st->ncrews);
	if (get_u32(&r, &c.generation) == -1 ||
	    get_u32(&r, &c.messages) == -1 || get_u64(&r, &c.until) == -1 ||
	    get_fd(&r, true, &c.counters) == -1 || get_end(&r) == -1 ||
	    conf.p == NULL)
		return -1;
	c.conf = xstrndup(conf.p, conf.len);
	st->crews = xrecallocarray(
	    st->crews, st->ncrews, st->ncrews + 1, sizeof(*st->crews));
	st->crews[st->ncrews++] = c;
	return 1;
}

static bool
has_crew(const struct reload_state *st, uint32_t generation)
{
	size_t i;

	for (i = 0; i < st->ncrews; i++)
		if (st->crews[i].generation == generation)
			return true;
	return false;
}

static int
read_role(const struct handover *h, struct reload_state *st)
{
	struct reload_role role;
	bool is_there;
	struct reader r = part(h, PART_ROLE, st->nroles, &is_there);

	if (!is_there)
		return 0;
	if (get_u32(&r, &role.generation) == -1 ||
	    !has_crew(st, role.generation) ||
	    get_enum(&r, ROLE_MAX, &role.role) == -1 ||
	    role.role == ROLE_MASTER || get_u16(&r, &role.number) == -1 ||
	    get_u32(&r, &role.serial) == -1 || get_pid(&r, &role.pid) == -1 ||
	    get_fd(&r, true, &role.fd) == -1 || get_end(&r) == -1)
		return -1;
	st->roles = xrecallocarray(
	    st->roles, st->nroles, st->nroles + 1, sizeof(*st->roles));
	st->roles[st->nroles++] = role;
	return 1;
}

static int
read_stats(const struct handover *h, struct reload_state *st)
{
	struct reload_stats p;
	bool is_there;
	struct reader r = part(h, PART_STATS, st->nstats, &is_there);

	if (!is_there)
		return 0;
	if (get_u32(&r, &p.generation) == -1 ||
	    get_enum(&r, ROLE_MAX, &p.role) == -1 ||
	    get_u16(&r, &p.number) == -1 || get_fd(&r, false, &p.fd) == -1 ||
	    get_end(&r) == -1)
		return -1;
	st->stats = xrecallocarray(
	    st->stats, st->nstats, st->nstats + 1, sizeof(*st->stats));
	st->stats[st->nstats++] = p;
	return 1;
}

static int
read_metrics(const struct handover *h, struct reload_state *st)
{
	bool is_there;
	struct reader r = part(h, PART_METRICS, 0, &is_there);

	st->metrics_fd = -1;
	if (!is_there)
		return 0;
	if (get_string_there(&r, &st->metrics_listen) == -1 ||
	    get_fd(&r, true, &st->metrics_fd) == -1)
		return -1;
	return get_end(&r);
}

static int
read_log(const struct handover *h, struct reload_state *st)
{
	bool is_there;
	struct reader r = part(h, PART_LOG, 0, &is_there);
	struct text lines =
	    handover_get(h, (enum handover_kind)PART_LOG_LINES, 0);

	if (!is_there)
		return 0;
	if (get_u64(&r, &st->log.lost) == -1)
		return -1;
	if (lines.len > 0) {
		st->log.lines = xmalloc(lines.len);
		memcpy(st->log.lines, lines.p, lines.len);
		st->log.len = lines.len;
	}
	return get_end(&r);
}

/* All of a list.  There are at most 65536 of each: numbers have 16 bits. */
static int
read_list(const struct handover *h, struct reload_state *st,
    int (*one)(const struct handover *, struct reload_state *))
{
	size_t i;
	int more = 1;

	for (i = 0; i <= UINT16_MAX && more == 1; i++)
		more = one(h, st);
	return more == -1 ? -1 : 0;
}

/* Nothing is missing. */
static int
read_end(const struct handover *h, const struct reload_state *st)
{
	bool is_there;
	struct reader r = part(h, PART_END, 0, &is_there);
	uint64_t nlisteners, ncrews, nroles;

	if (!is_there || get_u64(&r, &nlisteners) == -1 ||
	    get_u64(&r, &ncrews) == -1 || get_u64(&r, &nroles) == -1 ||
	    nlisteners != st->nlisteners || ncrews != st->ncrews ||
	    nroles != st->nroles)
		return -1;
	return get_end(&r);
}

static bool
is_our_format(const struct handover *h)
{
	bool is_there;
	struct reader r = part(h, PART_FORMAT, 0, &is_there);
	uint32_t format;

	return is_there && get_u32(&r, &format) == 0 && get_end(&r) == 0 &&
	    format == RELOAD_FORMAT;
}

struct reload_state *
reload_state_read(int fd, const char **why)
{
	struct handover *h = handover_open(fd);
	struct reload_state *st;

	*why = "it is no sealed memory of parts";
	if (h == NULL)
		return NULL;
	*why = "it has another format: this program cannot take over from the "
	       "one that runs";
	if (!is_our_format(h)) {
		handover_close(&h);
		return NULL;
	}
	*why = "it is damaged";
	st = xcalloc(1, sizeof(*st));
	if (read_head(h, st) == -1 || read_keys(h, st) == -1 ||
	    read_list(h, st, read_listener) == -1 ||
	    read_list(h, st, read_crew) == -1 ||
	    read_list(h, st, read_role) == -1 || read_end(h, st) == -1 ||
	    read_list(h, st, read_stats) == -1 || read_metrics(h, st) == -1 ||
	    read_log(h, st) == -1)
		reload_state_free(&st);
	handover_close(&h);
	return st;
}

void
reload_state_free(struct reload_state **stp)
{
	struct reload_state *st = *stp;
	size_t i;

	if (st == NULL)
		return;
	*stp = NULL;
	for (i = 0; i < st->ncrews; i++)
		free(st->crews[i].conf);
	free(st->version);
	free(st->folder);
	free(st->log_target);
	free(st->log_ident);
	free(st->pid_path);
	free(st->listeners);
	free(st->crews);
	free(st->roles);
	free(st->stats);
	free(st->metrics_listen);
	free(st->log.lines);
	freezero(st, sizeof(*st));
}

static void
keep(int fd, bool on)
{
	if (fd != -1)
		(void)fcntl(fd, F_SETFD, on ? 0 : FD_CLOEXEC);
}

void
reload_state_keep_open(const struct reload_state *st, bool on)
{
	size_t i;

	for (i = 0; i < st->nlisteners; i++)
		keep(st->listeners[i].fd, on);
	for (i = 0; i < st->ncrews; i++)
		keep(st->crews[i].counters, on);
	for (i = 0; i < st->nroles; i++)
		keep(st->roles[i].fd, on);
	keep(st->pid_fd, on);
	keep(st->users, on);
	keep(st->passphrase, on);
	for (i = 0; i < st->nstats; i++)
		keep(st->stats[i].fd, on);
	if (st->metrics_listen != NULL)
		keep(st->metrics_fd, on);
}
