/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sasl_channel: an authenticator that says anything on a worker's
 * channel: an exchange hears at most one last word, and none of another's.
 */
#include <sys/socket.h>

#include <unistd.h>

#include "fuzz.h"
#include "sasl_channel.h"

#define EXCHANGES 4 /* with the numbers 0 to 3 */
#define SERIAL 7

static struct event_base *base;
static struct sasl_channels *channels;

static struct exchange {
	struct sasl_exchange *x; /* NULL: there is none */
	bool over, free_it;
	unsigned int heard;
} exchanges[EXCHANGES];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	base = event_base_new();
	return base == NULL;
}

static void
on_heard(void *arg, enum sasl_result result, struct text text)
{
	struct exchange *e = arg;

	MUST(e->x != NULL && !e->over);
	MUST((unsigned int)result < AUTH_RESULTS && text.len <= MSG_SASL_MAX);
	e->heard++;
	e->over = result != AUTH_CHALLENGE;
	if (e->free_it)
		sasl_exchange_free(&e->x);
}

static void
say_reply(int fd, struct input *in)
{
	static struct writer w;
	uint8_t kind = input_u8(in);
	uint32_t id = input_u8(in) % (EXCHANGES + 1);
	struct msg_sasl_reply m = { .result = input_u8(in) % AUTH_RESULTS };

	msg_start(
	    &w, (enum msg_type)(kind & 1 ? input_u8(in) : MSG_SASL_REPLY), id);
	m.text = input_text(in, input_u8(in));
	if (kind & 2)
		put_text(&w, m.text);
	else
		msg_put_sasl_reply(&w, &m);
	(void)send(fd, w.data, w.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
begin(struct exchange *e, uint32_t number, bool free_it)
{
	struct sasl_channel *ch = sasl_channels_find(channels, SERIAL);

	if (e->x != NULL || ch == NULL)
		return;
	*e = (struct exchange){ .free_it = free_it };
	e->x = sasl_exchange_new(ch, number, on_heard, e);
	MUST(e->x != NULL);
}

static void
speak(struct exchange *e, struct input *in)
{
	static struct writer w;
	struct msg_sasl_step m = { input_text(in, input_u8(in)) };

	if (e->x == NULL)
		return;
	msg_start(&w, MSG_SASL_STEP, 0);
	msg_put_sasl_step(&w, &m);
	sasl_exchange_say(e->x, &w);
}

/* Another one of the same number takes its place. */
static void
replace(int *fd)
{
	int fds[2];

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	sasl_channels_add(channels, SERIAL, fds[0]);
	close(*fd);
	*fd = fds[1];
}

static void
step(int *fd, struct input *in)
{
	uint8_t what = input_u8(in);
	struct exchange *e = &exchanges[what / 16 % EXCHANGES];

	switch (what % 8) {
	case 0:
	case 1:
		begin(e, (uint32_t)(e - exchanges), what & 1);
		break;
	case 2:
		speak(e, in);
		break;
	case 3:
		sasl_exchange_free(&e->x);
		break;
	case 4:
		shutdown(*fd, SHUT_WR);
		break;
	case 7:
		if (what & 128) {
			replace(fd);
			break;
		}
		/* fallthrough */
	default:
		say_reply(*fd, in);
		(void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	int fds[2];
	size_t i;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	channels = sasl_channels_new(base);
	sasl_channels_add(channels, SERIAL, fds[0]);
	while (in.left > 0)
		step(&fds[1], &in);
	if (size % 4 == 3) { /* the worker ends before they do */
		for (i = 0; i < EXCHANGES; i++)
			sasl_exchange_free(&exchanges[i].x);
		sasl_channels_free(&channels);
		close(fds[1]);
		return 0;
	}
	close(fds[1]);
	for (i = 0; i < 4; i++)
		(void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	/* An authenticator that has gone is a last word, too. */
	MUST(sasl_channels_find(channels, SERIAL) == NULL);
	for (i = 0; i < EXCHANGES; i++) {
		MUST(exchanges[i].x == NULL || exchanges[i].over);
		sasl_exchange_free(&exchanges[i].x);
	}
	sasl_channels_free(&channels);
	return 0;
}
