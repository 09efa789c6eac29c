/* SPDX-License-Identifier: ISC */
/*
 * fuzz_control_client: a control role that was taken over answers an
 * administrator's command: whatever it says, a terminal hears nothing that it
 * would obey, and a status is one of those that there are.
 */
#include "../../common/control_client.c"

#include <sys/socket.h>

#include <fcntl.h>

#include "fuzz.h"

#define MESSAGES_MAX 8

/* Messages of a sort, or any octets, with a descriptor or without. */
static void
say(int fd, struct input *in)
{
	static struct writer w;
	uint8_t what = input_u8(in);
	struct msg_answer answer;
	struct msg_answer_end end;
	struct text t;

	msg_start(&w, what & 1 ? MSG_ANSWER : MSG_ANSWER_END, 0);
	if (what & 2) {
		end.status = input_u8(in);
		answer.text = end.complaint = input_line(in);
		if (what & 1)
			msg_put_answer(&w, &answer);
		else
			msg_put_answer_end(&w, &end);
	} else {
		w.len = what & 4 ? 0 : w.len;
		t = input_text(in, input_u8(in));
		memcpy(w.data + w.len, t.p, t.len);
		w.len += t.len;
	}
	(void)fdpass_send(fd, w.data, w.len, what >= 250 ? fd : -1);
}

/* What was written there: printable, and lines. */
static void
check_output(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		MUST(p[i] == '\n' || (p[i] >= 0x20 && p[i] < 0x7f));
	free(p);
}

static int
hear_quietly(int fd, bool full)
{
	FILE *before[2] = { stdout, stderr };
	size_t n[2] = { 0, 0 };
	char *p[2] = { NULL, NULL };
	int status;

	stdout = full ? fopen("/dev/full", "w") : open_memstream(&p[0], &n[0]);
	stderr = open_memstream(&p[1], &n[1]);
	status = hear(fd);
	(void)fclose(stdout);
	(void)fclose(stderr);
	stdout = before[0];
	stderr = before[1];
	check_output(p[0], n[0]);
	check_output(p[1], n[1]);
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	int fds[2], i, status, before = fuzz_lowest_fd();

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	for (i = 0; i < MESSAGES_MAX && in.left > 0; i++)
		say(fds[1], &in);
	close(fds[1]);
	status = hear_quietly(fds[0], size % 16 == 15);
	MUST(status >= -1 && status < CONTROL_STATUSES);
	close(fds[0]);
	MUST(fuzz_lowest_fd() == before);
	return 0;
}
