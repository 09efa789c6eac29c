/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc: a channel whose other end sends any octets with any number of
 * descriptors: what is handed on is allowed, and no descriptor is left.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"
#include "ipc.h"

#define FDS_MAX 4
#define MESSAGES_MAX 8

static struct {
	struct event_base *base;
	struct ipc *ch;
	enum role self, peer;
	uint8_t answer; /* bits: which message its handler refuses */
	unsigned int n, closed;
} far;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	far.base = event_base_new();
	return far.base == NULL;
}

static int
on_message(void *arg, struct ipc *ch, enum msg_type type, uint32_t id,
    struct reader *r, int fd)
{
	(void)arg;
	(void)id;
	MUST(ch == far.ch && far.closed == 0);
	MUST(r->left <= MSG_MAX - MSG_HEADER);
	MUST(msg_allowed(
	    type, far.peer, far.self, fd != -1, r->left + MSG_HEADER));
	if (fd != -1) {
		MUST((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		close(fd);
	}
	return far.answer >> (far.n++ % 8) & 1 ? -1 : 0;
}

static void
on_closed(void *arg, struct ipc *ch, const char *why)
{
	(void)arg;
	(void)why;
	MUST(ch == far.ch);
	far.closed++;
	ipc_free(&far.ch);
}

static void
send_any(int fd, struct text t, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_len = t.len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[FDS_MAX] = { fd, fd, fd, fd };
	struct cmsghdr *c;

	memcpy(&iov.iov_base, &t.p, sizeof(t.p)); /* it is only read */
	memset(&control, 0, sizeof(control));
	if (nfds > 0) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	(void)sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A message: how many descriptors, its type, its octets; or parts of many. */
static void
send_one(int fd, struct input *in)
{
	static struct writer w;
	uint8_t what = input_u8(in);
	struct text t;

	if (what & 8) {
		send_any(fd, input_text(in, input_u8(in)), what & 3);
		return;
	}
	msg_start(&w, (enum msg_type)(what & 16 ? MSG_MANY : input_u8(in)), 1);
	do {
		t = input_text(in, input_u8(in));
		if (what & 16)
			put_text(&w, t);
		else
			memcpy(w.data + w.len, t.p, t.len);
		w.len += what & 16 ? 0 : t.len;
	} while ((what & 16) != 0 && in->left > 0 && t.len > 0);
	if (!w.failed)
		send_any(fd, (struct text){ w.data, w.len }, what & 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t flags = input_u8(&in), roles = input_u8(&in);
	int fds[2], before = fuzz_lowest_fd(), i;

	far.self = roles % ROLE_MAX;
	far.peer = roles / 16 % ROLE_MAX;
	far.answer = input_u8(&in);
	far.n = far.closed = 0;
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	far.ch = ipc_new(
	    far.base, fds[0], far.self, far.peer, on_message, on_closed, NULL);
	if (flags & 1)
		ipc_set_quota(far.ch, 2);
	if (flags & 2)
		ipc_set_foreign(far.ch);
	for (i = 0; i < MESSAGES_MAX && in.left > 0; i++)
		send_one(fds[1], &in);
	if (flags & 4)
		shutdown(fds[1], SHUT_WR);
	if (flags & 8)
		ipc_drain(far.ch);
	for (i = 0; i < 4; i++)
		(void)event_base_loop(far.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	MUST(far.closed <= 1 && (far.closed == 1) == (far.ch == NULL));
	ipc_free(&far.ch);
	close(fds[1]);
	MUST(fuzz_lowest_fd() == before);
	return 0;
}
