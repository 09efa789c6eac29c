/* SPDX-License-Identifier: ISC */
/*
 * fuzz_reload_state: what a master hands to the image that takes its place,
 * and handover's parts below it: any octets in a sealed memory file.  What is
 * read can be written, and is then the same.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"
#include "handover.h"
#include "reload_state.h"

#define LISTENER_FD 100 /* and one more */
#define OTHER_FD 102
#define FIRST_KIND 0x7265 /* of its parts */
#define KINDS 11          /* one more than there are */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)argc;
	(void)argv;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
	    listen(fd, 1) == 0);
	MUST(dup2(fd, LISTENER_FD) != -1 && dup2(fd, LISTENER_FD + 1) != -1);
	MUST(dup2(0, OTHER_FD) != -1);
	close(fd);
	return 0;
}

static void
check_state(const struct reload_state *st)
{
	size_t i;

	MUST(st->pid > 0 && st->version != NULL && st->folder != NULL);
	for (i = 0; i < st->nlisteners; i++)
		MUST(st->listeners[i].fd == LISTENER_FD ||
		    st->listeners[i].fd == LISTENER_FD + 1);
	for (i = 0; i < st->nroles; i++)
		MUST(st->roles[i].pid > 0 && st->roles[i].role != ROLE_MASTER &&
		    st->roles[i].role < ROLE_MAX);
	for (i = 0; i < st->ncrews; i++)
		MUST(st->crews[i].conf != NULL);
}

/* Written, read and written: the same octets. */
static void
check_again(const struct reload_state *st)
{
	struct reload_state *again;
	const char *why = NULL;
	char a[65536], b[65536];
	int fd = reload_state_write(st), other;
	ssize_t n, m;

	MUST(fd != -1);
	again = reload_state_read(fd, &why);
	if (again == NULL)
		fprintf(stderr, "%s\n", why);
	MUST(again != NULL);
	other = reload_state_write(again);
	n = pread(fd, a, sizeof(a), 0);
	m = pread(other, b, sizeof(b), 0);
	MUST(n > 0 && n == m && memcmp(a, b, (size_t)n) == 0);
	reload_state_free(&again);
	close(fd);
	close(other);
}

/* Parts of any kind, each with its header as it has to be. */
static void
fill(int fd, struct input *in)
{
	unsigned int kind;
	uint16_t number;
	struct text t;

	while (in->left > 0) {
		kind = FIRST_KIND + input_u8(in) % 16; /* whatever is added */
		number = input_u8(in);
		t = input_text(in, input_u8(in));
		MUST(
		    handover_add(fd, (enum handover_kind)kind, number, t) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	bool raw = input_u8(&in) & 1;
	struct reload_state *st;
	struct handover *h;
	const char *why = NULL;
	struct text t;
	int fd = handover_new("fuzz");
	unsigned int kind;

	MUST(fd != -1);
	if (raw)
		MUST(write(fd, in.p, in.left) == (ssize_t)in.left);
	else
		fill(fd, &in);
	MUST(reload_state_read(fd, &why) == NULL); /* it is not sealed */
	MUST(handover_seal(fd) == 0);
	st = reload_state_read(fd, &why);
	MUST(st != NULL || why != NULL);
	if (st != NULL) {
		check_state(st);
		check_again(st);
		reload_state_keep_open(st, true);
		reload_state_keep_open(st, false);
	}
	reload_state_free(&st);
	h = handover_open(fd);
	for (kind = 0; h != NULL && kind < KINDS; kind++) {
		t = handover_get(h, (enum handover_kind)(FIRST_KIND + kind), 0);
		MUST(t.len <= size);
	}
	handover_close(&h);
	close(fd);
	return 0;
}
