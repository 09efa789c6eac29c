/* SPDX-License-Identifier: ISC */
/*
 * fdpass: one message, with at most one descriptor.  Runs in every process.
 * The sender is not trusted: whatever descriptors it sends beyond the one
 * that is asked for are closed at once.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "fdpass.h"

/* Room for more than one, so that a surplus is seen and closed. */
#define FDS_MAX 4

int
fdpass_send(int sock, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	memcpy(&iov.iov_base, &data, sizeof(data)); /* sendmsg only reads it */
	iov.iov_len = len;
	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* Collect what came along; returns how many descriptors. */
static int
collect(struct msghdr *m, int fds[FDS_MAX])
{
	struct cmsghdr *c;
	size_t bytes;
	int n = 0;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* The kernel wrote it into FDS_MAX places: it fits. */
		bytes = c->cmsg_len - CMSG_LEN(0);
		memcpy(fds + n, CMSG_DATA(c), bytes);
		n += (int)(bytes / sizeof(int));
	}
	return n;
}

/* An empty message looks like the end, but only at the end is this so. */
static bool
is_over(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP) != 0;
}

ssize_t
fdpass_recv(int sock, void *data, size_t size, bool wait, int *fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	int fds[FDS_MAX], nfds, i;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(
		    sock, &m, (wait ? 0 : MSG_DONTWAIT) | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	nfds = collect(&m, fds);
	/* None of what was sent could be given to us. */
	if (nfds == 0 && n > 0 && (m.msg_flags & MSG_CTRUNC) != 0 &&
	    (m.msg_flags & MSG_TRUNC) == 0) {
		*fd = FDPASS_LOST;
		return n;
	}
	if (nfds > 1 || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    (n == 0 && (nfds > 0 || !is_over(sock)))) {
		for (i = 0; i < nfds; i++)
			close(fds[i]);
		errno = EBADMSG;
		return -1;
	}
	if (nfds == 1)
		*fd = fds[0];
	return n;
}
