/* SPDX-License-Identifier: ISC */
/*
 * ipc_call: a question, and the wait for its answer.  Runs in workers, which
 * ask their keeper so; it is trusted no more than any other peer.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "ipc.h"
#include "log.h"

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

	while ((n = fdpass_recv(fd, space, MSG_MAX, true, came)) == -1)
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
