/* SPDX-License-Identifier: ISC */
/*
 * odd_message: for tests of channels: what no process of ours would send, and
 * whether a descriptor was left open.  Included once, after cmocka.h.
 */
#ifndef ODD_MESSAGE_H
#define ODD_MESSAGE_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <fcntl.h>
#include <string.h>

static inline unsigned int
open_descriptors(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Octets and any number of descriptors, as no process of ours sends them. */
static inline void
send_odd(int fd, const void *p, size_t len, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	size_t i;

	memcpy(&iov.iov_base, &p, sizeof(p)); /* sendmsg only reads it */
	memset(&control, 0, sizeof(control));
	if (nfds > 0) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (i = 0; i < nfds; i++)
			memcpy(
			    CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &m, MSG_DONTWAIT), len);
}

#endif
