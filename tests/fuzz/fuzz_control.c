/* SPDX-License-Identifier: ISC */
/*
 * fuzz_control: the role behind the control socket, with its own handlers:
 * what whoever asks says, what workers and the broker, which may have been
 * taken over, answer, and the master's roll.  Whoever asks hears printable
 * lines and one end; each process is asked as often as it is its turn; and
 * when all have gone nothing is left.
 */
#include "../../common/control.c"

#include <sys/mman.h>

#include <fcntl.h>

#include "broker.h"
#include "fdpass.h"
#include "fuzz.h"
#include "session.h"

#define ASKERS 16 /* as many as are heard at a time */
#define MEMBERS 4 /* with the serials 1 to 4; 4 is the broker */
#define STEPS_MAX 40

static struct conf_listen listeners[1] = { { .mode = LISTEN_SSL } };
static char server_name[] = "192.0.2.1";
static struct conf_server servers[] = { { .name = server_name, .port = 143 } };
static struct conf conf = { .listen = listeners,
	.nlisten = 1,
	.servers = servers,
	.nservers = 1,
	.workers = 2,
	.worker_connections = 10 };
static const struct conf_defaults defaults = { .daemon = CONF_SMTP,
	.name = "smtpsd" };
static const struct protocol protocol = { .defaults = &defaults };
static struct role_start start = { .conf = &conf, .protocol = &protocol };

static struct control control;
static int master_fd, member_fds[MEMBERS], asker_fds[ASKERS];
static bool ended[ASKERS];
static bool stuck; /* whoever asks does not read */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	MUST(addr_parse(TEXT_LIT("192.0.2.9"), 993, &listeners[0].addr) == 0);
	start.base = event_base_new();
	return start.base == NULL;
}

struct ipc *
role_confine(const struct role_start *s, const struct sandbox *box,
    unsigned int files, ipc_handler *handler, void *arg)
{
	(void)s;
	(void)box;
	(void)files;
	(void)handler;
	(void)arg;
	abort();
}

void
role_end(void)
{
	abort(); /* say_master() leaves MSG_STOP out */
}

bool
ipc_is_waiting(const struct ipc *ch)
{
	MUST(ch != NULL);
	return stuck;
}

/* What a status tells of the broker's book. */
unsigned int
broker_places(const struct conf *c)
{
	return c->workers * c->worker_connections;
}

static void
pair(int fds[2])
{
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	         0, fds) == 0);
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 2; i++)
		(void)event_base_loop(
		    control.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* --- what those who ask hear -------------------------------------------- */

static void
check_text(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		MUST(t.p[i] == '\n' || (t.p[i] >= 0x20 && t.p[i] < 0x7f));
}

static void
check_answer(struct text message, bool *end)
{
	struct reader r = { message.p, message.len };
	struct msg_answer answer;
	struct msg_answer_end last;
	uint16_t type;
	uint32_t id;

	MUST(!*end);
	MUST(get_u16(&r, &type) == 0 && get_u32(&r, &id) == 0);
	if (type == MSG_ANSWER) {
		MUST(msg_get_answer(&r, &answer) == 0);
		check_text(answer.text);
		return;
	}
	MUST(type == MSG_ANSWER_END && msg_get_answer_end(&r, &last) == 0);
	MUST(fuzz_printable(last.complaint));
	*end = true;
}

static void
hear_askers(void)
{
	static char data[MSG_MAX];
	ssize_t n;
	int i;

	for (i = 0; i < ASKERS; i++)
		while (asker_fds[i] != -1 &&
		    (n = recv(asker_fds[i], data, sizeof(data), MSG_DONTWAIT)) >
		        0)
			check_answer(
			    (struct text){ data, (size_t)n }, &ended[i]);
}

/* What the others hear is of no matter, but has to leave room. */
static void
empty(int fd)
{
	char data[MSG_MAX];

	while (fd != -1 && recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		continue;
}

/* --- what is said ------------------------------------------------------- */

static void
asker_come(unsigned int i)
{
	const struct ucred peer = { .pid = 1, .uid = i };
	int fds[2];

	if (asker_fds[i] != -1)
		return;
	pair(fds);
	asker_fds[i] = fds[1];
	ended[i] = false;
	asker_new(&control, fds[0], &peer);
}

static void
drop(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static void
send_any(int fd, enum msg_type type, uint32_t id, struct text t)
{
	static struct writer w;

	if (fd == -1 || t.len > 2000)
		return;
	msg_start(&w, type, id);
	memcpy(w.data + w.len, t.p, t.len);
	(void)send(fd, w.data, w.len + t.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A question, or octets. */
static void
say_asker(unsigned int i, struct input *in)
{
	static struct writer w;
	uint8_t what = input_u8(in);
	struct msg_ask m = { what & 128 ? what : ASK_VERSION, what % ASKS,
		what / 4 % 2, TEXT_NONE };

	m.user = input_text(in, what / 8 % 8);
	if (what & 64) {
		send_any(asker_fds[i], what & 1 ? MSG_ASK : what, 0,
		    input_text(in, input_u8(in)));
	} else if (asker_fds[i] != -1) {
		msg_start(&w, MSG_ASK, 0);
		msg_put_ask(&w, &m);
		(void)fdpass_send(asker_fds[i], w.data, w.len, -1);
	}
}

static int
memory_of(struct text t)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	MUST(fd != -1 && write(fd, t.p, t.len) == (ssize_t)t.len);
	MUST(
	    fcntl(fd, F_ADD_SEALS,
	        F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	return fd;
}

/* By the master's own handler, as all that has come over ipc. */
static void
hand_over(enum msg_type type, uint32_t id, const struct writer *w, int fd)
{
	struct text t = fuzz_copy(w->data + MSG_HEADER, w->len - MSG_HEADER);
	struct reader r = { t.p, t.len };

	MUST(!w->failed);
	(void)on_master(&control, control.master, type, id, &r, fd);
	fuzz_free(t);
}

static void
say_peer(uint8_t which)
{
	struct msg_peer m = { which & 8 ? ROLE_KEEPER : ROLE_WORKER,
		which % MEMBERS, which % MEMBERS + 1U };
	struct writer w;
	int fds[2];

	if (which % MEMBERS == MEMBERS - 1)
		m.role = ROLE_BROKER;
	pair(fds);
	drop(&member_fds[which % MEMBERS]);
	member_fds[which % MEMBERS] = fds[1];
	msg_start(&w, MSG_PEER, 0);
	msg_put_peer(&w, &m);
	hand_over(MSG_PEER, 0, &w, fds[0]);
}

static void
say_expiries(struct input *in)
{
	uint8_t times = 1 + input_u8(in) % 40;
	struct text t = input_text(in, input_u8(in));
	struct msg_expiries m = { (uint32_t)(times * t.len) };
	struct writer w;
	struct buf b;

	buf_init(&b, 40 * UINT8_MAX);
	while (times-- > 0)
		(void)buf_append(&b, t.p, t.len);
	msg_start(&w, MSG_EXPIRIES, 0);
	msg_put_expiries(&w, &m);
	hand_over(MSG_EXPIRIES, 0, &w, memory_of(buf_view(&b)));
	buf_free(&b);
}

static void
say_process(uint8_t which, unsigned int n, struct input *in)
{
	struct msg_process m = { .role = ROLE_WORKER,
		.number = which,
		.serial = which % (MEMBERS + 1) + 1U,
		.pid = which,
		.generation = which / 64,
		.state = input_u8(in) % PROCESS_STATES,
		.reachable = which & 1,
		.age = input_u16(in),
		.restarts = which };
	struct writer w;

	if (m.serial == MEMBERS)
		m.role = ROLE_BROKER;
	else if (m.serial > MEMBERS)
		m.role = which / 8 % ROLE_MAX;
	for (; n > 0; n--, m.serial++, m.generation = n % 40) {
		msg_start(&w, MSG_PROCESS, 0);
		msg_put_process(&w, &m);
		hand_over(MSG_PROCESS, control.roll, &w, -1);
	}
}

/* Whatever the master may say, from any octets, with no descriptor. */
static void
say_master(struct input *in)
{
	static const enum msg_type types[] = { MSG_PROCESS, MSG_TOTALS,
		MSG_ROLL_END, MSG_ROLL_END };
	uint8_t what = input_u8(in);
	enum msg_type type = types[what % NITEMS(types)];
	struct msg_roll_end m = { (what & 8) != 0, what, what / 64,
		input_u8(in) };
	static struct writer w;
	struct text t;

	msg_start(&w, type, 0);
	if (what & 4) {
		msg_put_roll_end(&w, &m);
		type = MSG_ROLL_END;
	} else {
		t = input_text(in, input_u8(in));
		memcpy(w.data + w.len, t.p, t.len);
		w.len += t.len;
	}
	hand_over(type, control.roll - (what & 16 ? 1 : 0), &w, -1);
}

static void
say_session(int fd, struct input *in)
{
	struct msg_session m = { .stage = input_u8(in) % STAGES,
		.client_secure = input_u8(in) % 3,
		.client = listeners[0].addr };
	static struct writer w;

	m.user = input_text(in, input_u8(in));
	m.server = input_text(in, input_u8(in));
	m.tls = input_text(in, input_u8(in) % 32);
	m.received = input_u16(in);
	m.seconds = input_u16(in);
	msg_start(&w, MSG_SESSION, control.roll);
	msg_put_session(&w, &m);
	if (!w.failed)
		(void)send(fd, w.data, w.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
say_member(unsigned int i, struct input *in)
{
	static const enum msg_type types[] = { MSG_LIST_END, MSG_KICK_REPLY,
		MSG_SERVERS_REPLY, MSG_SESSION, MSG_LIST };
	uint8_t what = input_u8(in);
	struct msg_list_end end = { what & 8 ? MSG_LIST_ALL : what / 16, what,
		what / 2 };
	struct msg_kick_reply kick = {
		.ended = what, .owed = what / 8, .unknown = what / 64
	};
	struct msg_servers_reply up = { .n = 1,
		.servers = { { what / 16, what } } };
	static struct writer w;

	if (member_fds[i] == -1)
		return;
	msg_start(&w, what & 1 ? MSG_LIST_END : MSG_KICK_REPLY, control.roll);
	switch (what % 8) {
	case 0:
	case 4:
		if (what & 128) { /* a name like the one that was said */
			kick.nsimilar = 1;
			kick.similar[0] = input_text(in, what / 8 % 16);
		}
		msg_put_kick_reply(&w, &kick);
		break;
	case 1:
	case 3:
		msg_put_list_end(&w, &end);
		break;
	case 2:
		say_session(member_fds[i], in);
		return;
	case 6:
		msg_start(&w, MSG_SERVERS_REPLY, control.roll);
		msg_put_servers_reply(&w, &up);
		break;
	default:
		send_any(member_fds[i], types[what / 8 % NITEMS(types)],
		    control.roll - what / 128, input_text(in, input_u8(in)));
		return;
	}
	(void)send(member_fds[i], w.data, w.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A timer that runs has run out. */
static void
wait_for(struct event *timer)
{
	if (event_pending(timer, EV_TIMEOUT, NULL))
		event_active(timer, EV_TIMEOUT, 1);
}

static void
pass_time(uint8_t which)
{
	struct asker *a = TAILQ_FIRST(&control.askers);

	if (which % 4 < 2)
		wait_for(&control.late);
	else if (which % 4 == 2)
		wait_for(&control.poll);
	else if (a != NULL)
		wait_for(&a->late);
}

static void
step(struct input *in)
{
	uint8_t what = input_u8(in), which = what / 16;

	switch (what % 16) {
	case 0:
		asker_come(which % ASKERS);
		break;
	case 1:
	case 2:
		say_asker(which % ASKERS, in);
		break;
	case 3:
		say_peer(input_u8(in));
		break;
	case 4:
	case 5: /* more than have a row each */
		say_process(input_u8(in), which == 15 ? 80 : 1, in);
		break;
	case 6:
	case 7:
		say_master(in);
		break;
	case 8:
		say_expiries(in);
		break;
	case 9:
		pass_time(which);
		break;
	case 10:
		drop(&asker_fds[which % ASKERS]);
		break;
	case 11:
		drop(&member_fds[which % MEMBERS]);
		break;
	case 13:
		stuck = which & 1;
		if (which & 2) /* it has been so for long */
			control.stalled = UINT16_MAX;
		break;
	default:
		say_member(which % MEMBERS, in);
	}
}

static void
check(void)
{
	unsigned int n = 0, owing = 0;
	struct member *m;
	struct asker *a;

	TAILQ_FOREACH (a, &control.askers, entry)
		n++;
	MUST(n == control.naskers && n <= ASKERS * 2);
	RB_FOREACH (m, members, &control.members)
		owing += m->state == MEMBER_ASKED || m->state == MEMBER_DUE;
	/* A roll that is called again may have forgotten some. */
	MUST(control.current == NULL || owing <= control.owing);
	MUST(control.current != NULL || control.owing == 0);
}

static void
begin(int fds[2])
{
	unsigned int i;

	control = (struct control){ .start = &start, .base = start.base };
	TAILQ_INIT(&control.askers);
	RB_INIT(&control.members);
	stuck = false;
	ask_init(&control);
	evtimer_assign(&control.again, control.base, on_again, &control);
	pair(fds);
	event_assign(&control.accept, control.base, fds[1], EV_READ, on_accept,
	    &control);
	control.master = ipc_new(control.base, fds[0], ROLE_CONTROL,
	    ROLE_MASTER, on_master, NULL, &control);
	master_fd = fds[1];
	for (i = 0; i < MEMBERS; i++)
		member_fds[i] = -1;
	for (i = 0; i < ASKERS; i++)
		asker_fds[i] = -1;
}

static void
end(void)
{
	struct asker *a;
	unsigned int i;

	for (i = 0; i < ASKERS; i++)
		drop(&asker_fds[i]);
	for (i = 0; i < MEMBERS; i++)
		drop(&member_fds[i]);
	turn();
	if (control.current != NULL)
		ask_abort(&control);
	while ((a = TAILQ_FIRST(&control.askers)) != NULL)
		asker_free(a);
	control.roll++;
	members_forget_others(&control);
	MUST(RB_EMPTY(&control.members));
	expiry_free(&control.certificates);
	ipc_free(&control.master);
	close(master_fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	int fds[2], i, j, before = fuzz_lowest_fd();

	begin(fds);
	for (i = 0; i < STEPS_MAX && in.left > 0; i++) {
		step(&in);
		turn();
		hear_askers();
		empty(master_fd);
		for (j = 0; j < MEMBERS; j++)
			empty(member_fds[j]);
		check();
	}
	end();
	MUST(fuzz_lowest_fd() == before);
	return 0;
}
