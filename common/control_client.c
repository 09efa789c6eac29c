/* SPDX-License-Identifier: ISC */
/*
 * control_client: asks at the control socket.  Runs at an administrator's
 * terminal, maybe as root; the role at the other end may have been taken over,
 * so what it says is printed without what a terminal would obey.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_client.h"
#include "control_socket.h"
#include "fdpass.h"
#include "msg_control.h"

#define ANSWER_MS 15000 /* from one message to the next */
/* A reload may have taken the socket from before us: once more, then. */
#define TRIES 5
#define TRY_MS 200

bool
control_client_is_asked(const struct conf_command *cmd)
{
	return cmd->status || cmd->sessions || cmd->kick != NULL ||
	    (cmd->json && cmd->ledger == NULL);
}

const char *
control_client_fault(const struct conf_command *cmd)
{
	int n = cmd->status + cmd->sessions + (cmd->kick != NULL);

	if (n == 0)
		return "--json goes with --status, --sessions, --kick or "
		       "--ledger";
	if (n > 1 || cmd->ledger != NULL || cmd->forgive != NULL ||
	    cmd->check_config || cmd->print_config || cmd->help || cmd->version)
		return "one thing at a time: --status, --sessions or --kick";
	if (cmd->kick != NULL && strlen(cmd->kick) > MSG_NAME_MAX)
		return "--kick: no user has so long a name";
	return NULL;
}

static int
send_ask(int fd, const struct conf_command *cmd)
{
	struct msg_ask m = { .version = ASK_VERSION,
		.what = cmd->status ? ASK_STATUS
		    : cmd->sessions ? ASK_SESSIONS
		                    : ASK_KICK,
		.json = cmd->json,
		.user = text_of(cmd->kick) };
	struct writer w;

	msg_start(&w, MSG_ASK, 0);
	msg_put_ask(&w, &m);
	return fdpass_send(fd, w.data, w.len, -1);
}

/* In place: nothing that moves a cursor or changes a colour. */
static void
print(FILE *to, struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		(void)putc(t.p[i] == '\n' || (t.p[i] >= 0x20 && t.p[i] < 0x7f)
		        ? t.p[i]
		        : '?',
		    to);
}

/* One message's octets, or 0 at the end, or -1 with errno. */
static ssize_t
receive(int fd, char data[static MSG_MAX])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int got, ready = poll(&p, 1, ANSWER_MS);

	if (ready == 0)
		errno = ETIMEDOUT;
	if (ready != 1)
		return -1;
	n = fdpass_recv(fd, data, MSG_MAX, false, &got);
	if (n > 0 && got != -1) {
		close(got);
		errno = EBADMSG;
		return -1;
	}
	return n;
}

/* -1: it is no answer; -2: it goes on; else the exit status. */
static int
take(struct text message)
{
	struct reader r = { message.p, message.len };
	struct msg_answer_end end;
	struct msg_answer answer;
	uint16_t type;
	uint32_t id;

	if (get_u16(&r, &type) == -1 || get_u32(&r, &id) == -1)
		return -1;
	if (type == MSG_ANSWER && msg_get_answer(&r, &answer) == 0) {
		print(stdout, answer.text);
		return -2;
	}
	if (type != MSG_ANSWER_END || msg_get_answer_end(&r, &end) == -1)
		return -1;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "stdout: %s\n", strerror(errno));
		return CONTROL_FAILED;
	}
	if (end.complaint.len > 0) {
		print(stderr, end.complaint);
		(void)putc('\n', stderr);
	}
	return end.status;
}

/* -1: nothing has come of it, try again; else the exit status. */
static int
hear(int fd)
{
	char data[MSG_MAX];
	bool begun = false;
	int status = -2;
	ssize_t n;

	while (status == -2) {
		n = receive(fd, data);
		if (n <= 0 && !begun && (n == 0 || errno == ECONNRESET))
			return -1;
		if (n == 0) {
			(void)fprintf(stderr, "the answer was cut off\n");
			return CONTROL_FAILED;
		}
		if (n == -1) {
			(void)fprintf(
			    stderr, "no answer: %s\n", strerror(errno));
			return CONTROL_FAILED;
		}
		begun = true;
		status = take((struct text){ data, (size_t)n });
	}
	if (status >= 0)
		return status;
	(void)fprintf(stderr, "what came is no answer of a daemon's\n");
	return CONTROL_FAILED;
}

static int
refused(const char *daemon, const char *path)
{
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		(void)fprintf(stderr,
		    "%s does not run, or not with this socket: %s\n", daemon,
		    path);
		return CONTROL_NOT_RUNNING;
	case EACCES:
	case EPERM:
		(void)fprintf(stderr,
		    "%s: only root and control_group may ask here\n", path);
		return CONTROL_NOT_ALLOWED;
	default:
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return CONTROL_FAILED;
	}
}

int
control_client(
    const struct conf *c, const char *daemon, const struct conf_command *cmd)
{
	char *path = control_socket_path(c, daemon);
	int i, fd, status = -1;

	if (path == NULL) {
		(void)fprintf(stderr,
		    "the configuration says that there is no "
		    "control_socket\n");
		return CONTROL_FAILED;
	}
	for (i = 0; i < TRIES && status == -1; i++) {
		if (i > 0)
			(void)poll(NULL, 0, TRY_MS);
		fd = control_socket_connect(path);
		if (fd == -1 && errno == EAGAIN)
			continue; /* its queue is full */
		if (fd == -1) {
			status = refused(daemon, path);
			break;
		}
		status = send_ask(fd, cmd) == 0 ? hear(fd) : -1;
		close(fd);
	}
	if (status == -1) {
		(void)fprintf(stderr, "%s: no answer\n", path);
		status = CONTROL_FAILED;
	}
	free(path);
	return status;
}
