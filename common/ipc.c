/* SPDX-License-Identifier: ISC */
/*
 * ipc: message channels.  Runs in every process.  What comes in is hostile
 * until msg_allowed() and the message's own get have passed it.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "fdpass.h"
#include "ipc.h"
#include "log.h"
#include "xmalloc.h"

/* Last words that are taken in one turn. */
#define BATCH 32
/* What is sent later waits for so long for company. */
#define LATER_MS 10
/* Messages that wait for a peer that is slow to read. */
#define QUEUE_MAX 4096
/* Those of them that hold a descriptor open. */
#define QUEUE_FDS_MAX 256

struct pending {
	TAILQ_ENTRY(pending) entry;
	int fd;
	size_t len;
	char data[];
};

struct ipc {
	int fd;
	enum role self, peer;
	ipc_handler *handler;
	ipc_closed *closed;
	void *arg;
	struct event read_ev, write_ev;
	TAILQ_HEAD(, pending) queue;
	unsigned int queued, queued_fds;
	unsigned int more, more_fds; /* ipc_expect_bursts() */
	struct writer *held; /* MSG_MANY, of ipc_send_later(); NULL: none yet */
	bool held_matters;   /* more than log lines */
	struct event held_ev;
	bool is_foreign;    /* ipc_set_foreign() */
	bool is_broken;     /* no more is sent; the loop is to close it */
	const char *broken; /* why; NULL: the peer is gone */
	bool *freed;        /* tells the reader below that we are gone */
	unsigned int quota; /* messages a second; 0: any number */
	unsigned int used;
	time_t second;
};

static void on_readable(int fd, short what, void *arg);
static void on_writable(int fd, short what, void *arg);
static void on_held(int fd, short what, void *arg);

struct ipc *
ipc_new(struct event_base *base, int fd, enum role self, enum role peer,
    ipc_handler *handler, ipc_closed *closed, void *arg)
{
	struct ipc *ch = xcalloc(1, sizeof(*ch));
	int flags;

	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		fatal("ipc: fcntl");
	ch->fd = fd;
	ch->self = self;
	ch->peer = peer;
	ch->handler = handler;
	ch->closed = closed;
	ch->arg = arg;
	TAILQ_INIT(&ch->queue);
	if (event_assign(&ch->read_ev, base, fd, EV_READ | EV_PERSIST,
	        on_readable, ch) == -1 ||
	    event_assign(&ch->write_ev, base, fd, EV_WRITE, on_writable, ch) ==
	        -1 ||
	    event_add(&ch->read_ev, NULL) == -1)
		fatalx("ipc: cannot watch a channel");
	evtimer_assign(&ch->held_ev, base, on_held, ch);
	return ch;
}

static void
drop_pending(struct ipc *ch, struct pending *p)
{
	TAILQ_REMOVE(&ch->queue, p, entry);
	ch->queued--;
	if (p->fd != -1) {
		ch->queued_fds--;
		close(p->fd);
	}
	freezero(p, sizeof(*p) + p->len);
}

void
ipc_free(struct ipc **chp)
{
	struct ipc *ch = *chp;
	struct pending *p;

	if (ch == NULL)
		return;
	*chp = NULL;
	if (ch->freed != NULL)
		*ch->freed = true;
	event_del(&ch->read_ev);
	event_del(&ch->write_ev);
	event_del(&ch->held_ev);
	while ((p = TAILQ_FIRST(&ch->queue)) != NULL)
		drop_pending(ch, p);
	close(ch->fd);
	free(ch->held);
	free(ch);
}

void
ipc_expect_bursts(struct ipc *ch, unsigned int more, unsigned int more_fds)
{
	ch->more = more;
	ch->more_fds = more_fds;
}

void
ipc_set_quota(struct ipc *ch, unsigned int per_second)
{
	ch->quota = per_second;
}

void
ipc_set_foreign(struct ipc *ch)
{
	ch->is_foreign = true;
}

int
ipc_fd(const struct ipc *ch)
{
	return ch->fd;
}

/* Have the loop tell that the channel is at its end. */
static void
break_later(struct ipc *ch, const char *why)
{
	if (ch->is_broken)
		return;
	ch->is_broken = true;
	ch->broken = why;
	event_active(&ch->read_ev, EV_READ, 0);
}

static bool
over_quota(struct ipc *ch)
{
	struct timespec now;

	if (ch->quota == 0)
		return false;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != ch->second) {
		ch->second = now.tv_sec;
		ch->used = 0;
	}
	return ++ch->used > ch->quota;
}

/*
 * Whose handler copes with FDPASS_LOST: what concerns one client.  For the
 * others a descriptor is a channel, without which a process is of no use.
 */
static bool
is_for_one_client(enum msg_type type)
{
	return type == MSG_ADMIT || type == MSG_CONNECT_REPLY ||
	    type == MSG_LEARN;
}

/*
 * Hand one message on; fd is the callee's.  -1: the channel has ended, *why
 * says why.
 */
static int
hand_on(struct ipc *ch, struct text t, int fd, const char **why)
{
	struct reader r = { t.p, t.len };
	uint16_t type;
	uint32_t id;

	*why = "a malformed message";
	if (get_u16(&r, &type) == -1 || get_u32(&r, &id) == -1)
		goto bad;
	*why = "a forbidden message";
	if (!msg_allowed(type, ch->peer, ch->self, fd != -1, t.len)) {
		if (!ch->is_foreign)
			goto bad;
		if (fd != -1)
			close(fd);
		return 0;
	}
	*why = "a descriptor, and there is room for none";
	if (fd == FDPASS_LOST && !is_for_one_client(type))
		goto bad;
	*why = "too many messages";
	if (over_quota(ch))
		goto bad;
	*why = "a malformed message";
	return ch->handler(ch->arg, ch, type, id, &r, fd);
bad:
	if (fd != -1)
		close(fd);
	return -1;
}

/* The messages in a MSG_MANY; a descriptor is the last one's. */
static int
hand_on_many(struct ipc *ch, struct text many, int fd, const char **why)
{
	struct reader r = { many.p + MSG_HEADER, many.len - MSG_HEADER };
	bool *freed = ch->freed;
	struct text t;
	int result = 0;

	while (result == 0 && r.left > 0 && !*freed) {
		*why = "a malformed message";
		if (get_text(&r, MSG_MAX, &t) == -1) {
			result = -1;
			break;
		}
		result = hand_on(ch, t, r.left == 0 ? fd : -1, why);
		if (r.left == 0)
			return result; /* fd was handed on, too */
	}
	if (fd != -1)
		close(fd);
	return result;
}

/*
 * Take what came at once, into data (MSG_MAX octets), and hand it on.
 * Returns 1: there may be more; 0: not now; -1: the channel has ended, *why
 * says why.
 */
static int
take_one(struct ipc *ch, char *data, const char **why)
{
	struct text t;
	ssize_t n;
	int fd, result;

	*why = NULL;
	n = fdpass_recv(ch->fd, data, MSG_MAX, false, &fd);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == -1 && errno == EBADMSG)
		*why = "a malformed message";
	if (n == -1 || n == 0)
		return -1; /* ECONNRESET: the peer died */
	t = (struct text){ data, (size_t)n };
	if (msg_is_many(t)) {
		log_gather(true); /* most of them, the master has to write */
		result = hand_on_many(ch, t, fd, why);
		log_gather(false);
	} else {
		result = hand_on(ch, t, fd, why);
	}
	explicit_bzero(data, (size_t)n); /* it may have been a password */
	return result == -1 ? -1 : 1;
}

/* A peer that is gone may have left its last words: they are read first. */
static void
on_readable(int fd, short what, void *arg)
{
	static char data[MSG_MAX];
	struct ipc *ch = arg;
	const char *why = NULL;
	bool freed = false;
	int i = 0, more;

	(void)fd;
	(void)what;
	ch->freed = &freed;
	/* The loop calls again as long as there is more: looking is dearer. */
	do {
		more = take_one(ch, data, &why);
		if (freed)
			return;
	} while (
	    more == 1 && ch->is_broken && ch->broken == NULL && ++i < BATCH);
	ch->freed = NULL;
	if (ch->broken == NULL && (more == 1 || (more == 0 && !ch->is_broken)))
		return;
	event_del(&ch->read_ev);
	event_del(&ch->write_ev);
	ch->closed(ch->arg, ch, more == -1 ? why : ch->broken);
}

void
ipc_drain(struct ipc *ch)
{
	static char data[MSG_MAX]; /* in another one there may be a message */
	const char *why;
	bool freed = false;

	if (ch->broken != NULL)
		return;
	/* cppcheck-suppress autoVariables ; set to NULL below */
	ch->freed = &freed;
	while (take_one(ch, data, &why) == 1 && !freed)
		continue;
	if (!freed)
		ch->freed = NULL;
}

static void
on_writable(int fd, short what, void *arg)
{
	struct ipc *ch = arg;
	struct pending *p;

	(void)fd;
	(void)what;
	while ((p = TAILQ_FIRST(&ch->queue)) != NULL) {
		if (fdpass_send(ch->fd, p->data, p->len, p->fd) == -1) {
			if (errno == EAGAIN || errno == ENOBUFS)
				event_add(&ch->write_ev, NULL);
			else
				break_later(ch, NULL);
			return;
		}
		drop_pending(ch, p);
	}
}

static int
enqueue(struct ipc *ch, const struct writer *w, int fd)
{
	struct pending *p;
	int copy = -1;

	if (ch->queued >= QUEUE_MAX + ch->more ||
	    (fd != -1 && !ipc_takes_fd(ch)))
		return -1;
	if (fd != -1) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy == -1)
			return -1;
		ch->queued_fds++;
	}
	p = xmalloc(sizeof(*p) + w->len);
	p->fd = copy;
	p->len = w->len;
	memcpy(p->data, w->data, w->len);
	TAILQ_INSERT_TAIL(&ch->queue, p, entry);
	ch->queued++;
	event_add(&ch->write_ev, NULL);
	return 0;
}

/* Send one frame; droppable: to lose it is no reason to end the channel. */
static int
send_frame(struct ipc *ch, const struct writer *w, int fd, bool droppable)
{
	if (w->failed)
		fatalx("ipc: a message of ours is too long");
	if (ch->is_broken)
		return -1;
	if (TAILQ_EMPTY(&ch->queue)) {
		if (fdpass_send(ch->fd, w->data, w->len, fd) == 0)
			return 0;
		if (errno != EAGAIN && errno != ENOBUFS) {
			break_later(ch, NULL);
			return -1;
		}
	}
	if (enqueue(ch, w, fd) == 0)
		return 0;
	if (!droppable)
		break_later(ch, "messages to it are not read");
	return -1;
}

static bool
is_droppable(const struct writer *w)
{
	struct reader r = { w->data, w->len };
	uint16_t type = 0;

	(void)get_u16(&r, &type);
	return type == MSG_LOG || type == MSG_RECORD;
}

static bool
is_holding(const struct ipc *ch)
{
	return ch->held != NULL && ch->held->len > 0;
}

/* Add w to what is held.  False: there is no room, and nothing is changed. */
static bool
hold(struct ipc *ch, const struct writer *w)
{
	size_t used = is_holding(ch) ? ch->held->len : MSG_HEADER;

	if (w->failed)
		fatalx("ipc: a message of ours is too long");
	if (MSG_MAX - used < w->len + sizeof(uint32_t)) /* put_text() */
		return false;
	if (!is_holding(ch)) {
		msg_start(ch->held, MSG_MANY, 0);
		ch->held_matters = false;
	}
	put_text(ch->held, (struct text){ w->data, w->len });
	if (!is_droppable(w))
		ch->held_matters = true;
	return true;
}

bool
ipc_is_waiting(const struct ipc *ch)
{
	return !TAILQ_EMPTY(&ch->queue) || is_holding(ch);
}

bool
ipc_has_room(const struct ipc *ch)
{
	return ch->queued < QUEUE_MAX / 2 && ch->queued_fds < QUEUE_FDS_MAX;
}

bool
ipc_takes_fd(const struct ipc *ch)
{
	return ch->queued_fds < QUEUE_FDS_MAX + ch->more_fds;
}

/* Send what is held, fd with it. */
static int
send_held(struct ipc *ch, int fd)
{
	int result = send_frame(ch, ch->held, fd, !ch->held_matters);

	event_del(&ch->held_ev);
	ch->held->len = 0;
	return result;
}

void
ipc_flush(struct ipc *ch)
{
	if (is_holding(ch))
		(void)send_held(ch, -1);
}

static void
on_held(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ipc_flush(arg);
}

int
ipc_send(struct ipc *ch, struct writer *w, int fd)
{
	if (is_holding(ch)) {
		if (hold(ch, w))
			return send_held(ch, fd);
		ipc_flush(ch);
	}
	return send_frame(ch, w, fd, is_droppable(w));
}

void
ipc_send_later(struct ipc *ch, struct writer *w)
{
	const struct timeval later = { .tv_usec = LATER_MS * 1000 };

	if (ch->held == NULL) {
		ch->held = xmalloc(sizeof(*ch->held));
		ch->held->len = 0;
	}
	if (!is_holding(ch))
		event_add(&ch->held_ev, &later);
	if (hold(ch, w))
		return;
	ipc_flush(ch);
	event_add(&ch->held_ev, &later);
	if (!hold(ch, w)) /* so long that it goes alone */
		(void)send_frame(ch, w, -1, is_droppable(w));
}
