/* SPDX-License-Identifier: ISC */
/*
 * control: the control socket, and who asks there.  Runs as _relaisd in an
 * empty root.  Who may connect at all, the socket's mode says; the kernel's
 * word on who it is decides once more.  What is asked is hostile until it has
 * been read: it has a bound, a deadline, and a place among a few.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control_impl.h"
#include "log.h"
#include "xmalloc.h"

#define ASKERS_MAX 16
#define ASK_SECONDS 5   /* to ask, and to leave */
#define AGAIN_SECONDS 1 /* when no descriptor was to be had */
#define GROUPS_MAX 256
#define FD_LISTENER ROLE_FD_FIRST

void
asker_free(struct asker *a)
{
	struct control *c = a->control;

	TAILQ_REMOVE(&c->askers, a, entry);
	event_del(&a->late);
	ipc_free(&a->ch);
	free(a);
	if (c->naskers-- == ASKERS_MAX)
		event_add(&c->accept, NULL);
}

static void
on_late(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	asker_free(arg);
}

static void
set_late(struct asker *a)
{
	const struct timeval limit = { .tv_sec = ASK_SECONDS };

	event_add(&a->late, &limit);
}

void
asker_end(struct asker *a, enum control_status status, const char *complaint)
{
	struct msg_answer_end m = { (uint8_t)status, text_of(complaint) };
	struct writer w UNZEROED;

	a->answered = true;
	msg_start(&w, MSG_ANSWER_END, 0);
	msg_put_answer_end(&w, &m);
	(void)ipc_send(a->ch, &w, -1);
	set_late(a);
}

void
control_go_on(struct control *c)
{
	struct asker *a;

	if (c->current != NULL)
		return;
	TAILQ_FOREACH (a, &c->askers, entry)
		if (a->asked && !a->answered) {
			ask_begin(c, a);
			return;
		}
}

/* MSG_ASK, once. */
static int
on_asker(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct asker *a = arg;

	(void)ch;
	(void)id;
	(void)fd; /* msg_allowed(): it brings none */
	if (type != MSG_ASK || a->asked || msg_get_ask(r, &a->ask) == -1)
		return -1;
	a->asked = true;
	event_del(&a->late);
	if (a->ask.version != ASK_VERSION) {
		asker_end(a, CONTROL_FAILED,
		    "the daemon that runs is version " VERSION
		    ", and has another form of answer: reload it");
		return 0;
	}
	memcpy(a->user, a->ask.user.p, a->ask.user.len);
	a->ask.user.p = a->user;
	control_go_on(a->control);
	return 0;
}

static void
on_asker_closed(void *arg, struct ipc *ch, const char *why)
{
	struct asker *a = arg;
	struct control *c = a->control;

	(void)ch;
	if (why != NULL)
		log_warnx("uid %ju at the control socket sent %s",
		    (uintmax_t)a->uid, why);
	if (c->current == a)
		ask_abort(c);
	asker_free(a);
	control_go_on(c);
}

static bool
is_in_group(int fd, const struct ucred *peer, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);
	size_t i;

	if (peer->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool
may_ask(const struct control *c, int fd, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len) == -1)
		return false;
	return peer->uid == 0 || peer->uid == c->admit.owner ||
	    (c->admit.has_group && is_in_group(fd, peer, c->admit.group));
}

static void
asker_new(struct control *c, int fd, const struct ucred *peer)
{
	struct asker *a = xcalloc(1, sizeof(*a));

	a->control = c;
	a->uid = peer->uid;
	a->pid = peer->pid;
	a->ch = ipc_new(c->base, fd, ROLE_CONTROL, ROLE_CONTROL, on_asker,
	    on_asker_closed, a);
	evtimer_assign(&a->late, c->base, on_late, a);
	set_late(a);
	TAILQ_INSERT_TAIL(&c->askers, a, entry);
	if (++c->naskers == ASKERS_MAX)
		event_del(&c->accept); /* others wait in the kernel's queue */
}

static void
on_accept(int listener, short what, void *arg)
{
	const struct timeval later = { .tv_sec = AGAIN_SECONDS };
	struct control *c = arg;
	struct ucred peer;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd == -1) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		log_warn("the control socket");
		event_del(&c->accept);
		event_add(&c->again, &later);
		return;
	}
	if (!may_ask(c, fd, &peer)) {
		log_warnx("uid %ju has no right to the control socket",
		    (uintmax_t)peer.uid);
		close(fd);
		return;
	}
	asker_new(c, fd, &peer);
}

static void
on_again(int fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd;
	(void)what;
	if (c->naskers < ASKERS_MAX)
		event_add(&c->accept, NULL);
}

static int
take_expiries(struct control *c, struct reader *r, int fd)
{
	struct msg_expiries m;
	int result = -1;

	if (msg_get_expiries(r, &m) == 0)
		result = expiry_read(&c->certificates, fd, m.len);
	close(fd);
	return result;
}

/* What the master may say. */
static int
on_master(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	struct control *c = arg;

	(void)ch;
	switch (type) {
	case MSG_PEER:
		return member_introduce(c, r, fd);
	case MSG_PROCESS:
		return id == c->roll ? member_told(c, r) : 0;
	case MSG_EXPIRIES:
		return take_expiries(c, r, fd);
	case MSG_TOTALS:
		return id == c->roll ? msg_get_totals(r, &c->totals) : 0;
	case MSG_ROLL_END:
		return ask_roll_end(c, id, r);
	case MSG_STOP:
		role_end();
	default:
		return -1; /* msg_allowed() has let nothing else in */
	}
}

static void
take_admit(struct control *c)
{
	struct text t = handover_get(c->start->handover, HANDOVER_ADMIT, 0);

	if (t.len != sizeof(c->admit))
		fatalx("nobody was said to have a right");
	memcpy(&c->admit, t.p, sizeof(c->admit));
}

_Noreturn void
control_main(const struct role_start *start)
{
	struct sandbox box = { .role = ROLE_CONTROL };
	struct control c = {
		.start = start, .base = start->base, .listener = FD_LISTENER
	};

	if (start->nfds != 1)
		fatalx("there is no control socket");
	TAILQ_INIT(&c.askers);
	RB_INIT(&c.members);
	ask_init(&c);
	take_admit(&c);
	tzset(); /* while its file can be read */
	event_assign(
	    &c.accept, c.base, c.listener, EV_READ | EV_PERSIST, on_accept, &c);
	evtimer_assign(&c.again, c.base, on_again, &c);
	c.master = role_confine(start, &box, 0, on_master, &c);
	event_add(&c.accept, NULL);
	event_base_dispatch(c.base);
	exit(0);
}
