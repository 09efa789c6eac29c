/* SPDX-License-Identifier: ISC */
/*
 * ipc: message channels.  Runs in every process.  What comes in is hostile
 * until msg_allowed() and the message's own get have passed it.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "fdpass.h"
#include "ipc.h"
#include "log.h"
#include "xmalloc.h"

/* Messages that are taken in one turn, so that no peer starves the others. */
#define BATCH 32
/* Messages that wait for a peer that is slow to read. */
#define QUEUE_MAX 4096

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
	unsigned int queued;
	bool is_broken;     /* no more is sent; the loop is to close it */
	const char *broken; /* why; NULL: the peer is gone */
	bool *freed;        /* tells the reader below that we are gone */
	unsigned int quota; /* messages a second; 0: any number */
	unsigned int used;
	time_t second;
};

static void on_readable(int fd, short what, void *arg);
static void on_writable(int fd, short what, void *arg);

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
	return ch;
}

static void
drop_pending(struct ipc *ch, struct pending *p)
{
	TAILQ_REMOVE(&ch->queue, p, entry);
	ch->queued--;
	if (p->fd != -1)
		close(p->fd);
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
	while ((p = TAILQ_FIRST(&ch->queue)) != NULL)
		drop_pending(ch, p);
	close(ch->fd);
	free(ch);
}

void
ipc_set_quota(struct ipc *ch, unsigned int per_second)
{
	ch->quota = per_second;
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
 * Take one message, into data (MSG_MAX octets), and hand it on.  Returns 1:
 * there may be more; 0: not now; -1: the channel has ended, *why says why.
 */
static int
take_one(struct ipc *ch, char *data, const char **why)
{
	struct reader r;
	uint16_t type;
	uint32_t id;
	ssize_t n;
	int fd, result;

	*why = NULL;
	n = fdpass_recv(ch->fd, data, MSG_MAX, &fd);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == -1 && errno != EBADMSG)
		return -1; /* ECONNRESET: the peer died */
	if (n == 0)
		return -1;
	*why = "a malformed message";
	if (n < MSG_HEADER)
		goto bad;
	r = (struct reader){ data, (size_t)n };
	(void)get_u16(&r, &type);
	(void)get_u32(&r, &id);
	*why = "a forbidden message";
	if (!msg_allowed(type, ch->peer, ch->self, fd != -1, (size_t)n))
		goto bad;
	*why = "too many messages";
	if (over_quota(ch))
		goto bad;
	*why = "a malformed message";
	result = ch->handler(ch->arg, ch, type, id, &r, fd);
	explicit_bzero(data, (size_t)n); /* it may have been a password */
	return result == -1 ? -1 : 1;
bad:
	if (n != -1 && fd != -1)
		close(fd);
	return -1;
}

/* A peer that is gone may have left its last words: they are read first. */
static void
on_readable(int fd, short what, void *arg)
{
	static char data[MSG_MAX];
	struct ipc *ch = arg;
	const char *why = NULL;
	bool freed = false;
	int i, more = 1;

	(void)fd;
	(void)what;
	ch->freed = &freed;
	for (i = 0; i < BATCH && more == 1 && ch->broken == NULL; i++) {
		more = take_one(ch, data, &why);
		if (freed)
			return;
	}
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

	if (ch->queued >= QUEUE_MAX)
		return -1;
	if (fd != -1) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy == -1)
			return -1;
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

int
ipc_send(struct ipc *ch, struct writer *w, int fd)
{
	struct reader r = { w->data, w->len };
	uint16_t type = 0;

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
	(void)get_u16(&r, &type);
	if (type != MSG_LOG && type != MSG_RECORD)
		break_later(ch, "messages to it are not read");
	return -1;
}

/* Milliseconds until deadline, at least 0. */
static int
ms_left(const struct timespec *deadline)
{
	struct timespec now;
	long ms;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (deadline->tv_sec - now.tv_sec) * 1000 +
	    (deadline->tv_nsec - now.tv_nsec) / 1000000;
	return ms > 0 ? (int)ms : 0;
}

/* Wait for events on fd; 0, or -1 with errno. */
static int
wait_for(int fd, short events, const struct timespec *deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, ms_left(deadline));
	while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

/* The next frame.  -1 with errno: none in time, or the channel is over. */
static ssize_t
await_frame(int fd, char *space, int *came, const struct timespec *deadline)
{
	ssize_t n;

	while ((n = fdpass_recv(fd, space, MSG_MAX, came)) == -1)
		if (errno != EAGAIN || wait_for(fd, POLLIN, deadline) == -1)
			return -1;
	if (n == 0) {
		errno = EPIPE;
		return -1;
	}
	return n;
}

int
ipc_call(int fd, enum role self, enum role peer, struct writer *w, uint32_t id,
    enum msg_type answer, int timeout_ms, char *space, struct reader *r)
{
	struct timespec deadline;
	uint16_t type;
	uint32_t got;
	ssize_t n;
	int came;

	if (w->failed)
		fatalx("ipc: a message of ours is too long");
	(void)clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_ms / 1000;
	deadline.tv_nsec += (timeout_ms % 1000) * 1000000L;
	if (deadline.tv_nsec >= 1000000000L) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000L;
	}
	while (fdpass_send(fd, w->data, w->len, -1) == -1)
		if (errno != EAGAIN || wait_for(fd, POLLOUT, &deadline) == -1)
			return -1;
	do {
		n = await_frame(fd, space, &came, &deadline);
		if (n == -1)
			return -1;
		*r = (struct reader){ space, (size_t)n };
		if (came != -1)
			close(came);
		if (!msg_allowed(answer, peer, self, came != -1, (size_t)n) ||
		    get_u16(r, &type) == -1 || get_u32(r, &got) == -1 ||
		    type != answer || (int32_t)(got - id) > 0) {
			errno = EBADMSG;
			return -1;
		}
	} while (got != id); /* what nobody waits for any more */
	return 0;
}
