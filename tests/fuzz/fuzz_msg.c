/* SPDX-License-Identifier: ISC */
/*
 * fuzz_msg: every message between processes, in both directions: what is
 * taken is, when it is put again, the very octets; and what the master makes
 * of it for the log is one printable line.
 */
#include <syslog.h>

#include "conf.h"
#include "fuzz.h"
#include "msg.h"
#include "msg_control.h"
#include "session_log.h"

static struct conf_server servers[2];
static const struct conf_defaults defaults = { .daemon = CONF_IMAP,
	.name = "imapsd",
	.protocol = "IMAP4",
	.protocol_tls = "IMAP4S",
	.port = 143,
	.port_tls = 993 };
static struct conf *conf;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char name[] = "mail.example", address[] = "2001:db8::1";

	(void)argc;
	(void)argv;
	fuzz_quiet();
	conf = conf_new(&defaults, NULL, NULL);
	servers[0].name = name;
	servers[1].name = address;
	return 0;
}

static void
check_log_line(const struct msg_event *m)
{
	char line[LOG_LINE_MAX];
	struct conf c = *conf;

	c.servers = servers;
	c.nservers = NITEMS(servers);
	memset(line, 'x', sizeof(line));
	(void)session_log_format(&c, m, line, sizeof(line));
	MUST(memchr(line, '\0', sizeof(line)) != NULL && line[0] != '\0');
	MUST(fuzz_printable(text_of(line)));
}

/* A view ends where the message does. */
#define CODEC(type, name)                                                      \
	case type: {                                                           \
		struct msg_##name m;                                           \
		memset(&m, 0, sizeof(m));                                      \
		if (msg_get_##name(&r, &m) == -1)                              \
			return false;                                          \
		MUST(r.left == 0);                                             \
		msg_put_##name(w, &m);                                         \
		return true;                                                   \
	}

/* False: it is refused. */
static bool
take(enum msg_type type, struct reader r, struct writer *w)
{
	switch (type) {
		CODEC(MSG_READY, ready)
		CODEC(MSG_LOG, log)
	case MSG_EVENT: {
		struct msg_event m;

		memset(&m, 0, sizeof(m));
		if (msg_get_event(&r, &m) == -1)
			return false;
		MUST(r.left == 0);
		msg_put_event(w, &m);
		check_log_line(&m);
		return true;
	}
		CODEC(MSG_RECORD, record)
		CODEC(MSG_ACCUSE, accuse)
		CODEC(MSG_PEER, peer)
		CODEC(MSG_TICKET_KEY, ticket_key)
		CODEC(MSG_ADMIT, admit)
		CODEC(MSG_ADMIT_REPLY, admit_reply)
		CODEC(MSG_RELEASE, release)
		CODEC(MSG_HELD, held)
		CODEC(MSG_CONNECT, connect)
		CODEC(MSG_CONNECT_REPLY, connect_reply)
		CODEC(MSG_OUTCOME, outcome)
		CODEC(MSG_LEARN, learn)
		CODEC(MSG_CAPABILITY, capability)
		CODEC(MSG_CAPABILITY_SET, capability_set)
		CODEC(MSG_SIGN, sign)
		CODEC(MSG_SIGN_REPLY, sign_reply)
		CODEC(MSG_AUTH, auth)
		CODEC(MSG_AUTH_REPLY, auth_reply)
		CODEC(MSG_SUBMIT, submit)
		CODEC(MSG_SUBMIT_REPLY, submit_reply)
		CODEC(MSG_POOL, pool)
		CODEC(MSG_SASL_MECHS, sasl_mechs)
		CODEC(MSG_EXCHANGE, exchange)
		CODEC(MSG_STEP, step)
		CODEC(MSG_BROKEN, broken)
		CODEC(MSG_SASL_START, sasl_start)
		CODEC(MSG_SASL_STEP, sasl_step)
		CODEC(MSG_SASL_CHECK, sasl_check)
		CODEC(MSG_SASL_REPLY, sasl_reply)
		CODEC(MSG_BIRTH, birth)
		CODEC(MSG_BORN, born)
		CODEC(MSG_STATS, stats)
		CODEC(MSG_ASK, ask)
		CODEC(MSG_ANSWER, answer)
		CODEC(MSG_ANSWER_END, answer_end)
		CODEC(MSG_ROLL, roll)
		CODEC(MSG_PROCESS, process)
		CODEC(MSG_ROLL_END, roll_end)
		CODEC(MSG_SERVERS_REPLY, servers_reply)
		CODEC(MSG_LIST, list)
		CODEC(MSG_SESSION, session)
		CODEC(MSG_LIST_END, list_end)
		CODEC(MSG_KICK, kick)
		CODEC(MSG_KICK_REPLY, kick_reply)
		CODEC(MSG_PAIRS, pairs)
		CODEC(MSG_PAIR, pair)
		CODEC(MSG_PAIR_DROP, pair_drop)
		CODEC(MSG_CERTIFICATES, certificates)
		CODEC(MSG_HANDSHAKES, handshakes)
		CODEC(MSG_EXPIRIES, expiries)
		CODEC(MSG_TOTALS, totals)
	/* Without fields. */
	case MSG_BUSY:
	case MSG_STOP:
	case MSG_SASL_CANCEL:
	case MSG_ALIVE:
	case MSG_ALIVE_REPLY:
	case MSG_DRAIN:
	case MSG_SETTLED:
	case MSG_GIVE_WAY:
	case MSG_LOGGED_IN:
	case MSG_SERVERS:
	case MSG_PAIRS_REPLY:
		return get_end(&r) == 0;
	case MSG_MANY:
	case MSG_TYPES:
		break;
	}
	return false;
}

/* Who may say it: some to some, and never with more than there may be. */
static void
check_allowed(unsigned int type, size_t len)
{
	enum role from, to;
	unsigned int n = 0;

	for (from = 0; from < ROLE_MAX; from++)
		for (to = 0; to < ROLE_MAX; to++) {
			n += msg_allowed(type, from, to, false, len) ||
			    msg_allowed(type, from, to, true, len);
			/* Two in a row say the first, so its masks overlap;
			 * whoever asks at control's socket passes for it. */
			MUST(from != to || type == MSG_SASL_MECHS ||
			    type == MSG_ASK || type == MSG_ANSWER ||
			    type == MSG_ANSWER_END ||
			    !msg_allowed(type, from, to, false, len));
		}
	MUST(type < MSG_TYPES || n == 0);
	MUST((len >= MSG_HEADER && len <= MSG_MAX) || n == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct writer w;
	struct input in = { data, size };
	unsigned int type = input_u8(&in);
	struct text t = fuzz_copy(in.p, in.left), many;
	struct reader r = { t.p, t.len };

	check_allowed(type, MSG_HEADER + t.len);
	if (type < MSG_TYPES && t.len <= MSG_MAX - MSG_HEADER) {
		msg_start(&w, (enum msg_type)type, 0x01020304);
		if (take((enum msg_type)type, r, &w)) {
			MUST(!w.failed && w.len == MSG_HEADER + t.len);
			MUST(fuzz_same(
			    t, (struct text){ w.data + MSG_HEADER, t.len }));
			MUST(msg_name(type) != NULL);
			many = (struct text){ w.data, w.len };
			MUST(msg_is_many(many) == (type == MSG_MANY));
		}
	}
	fuzz_free(t);
	return 0;
}
