/* SPDX-License-Identifier: ISC */
/*
 * msg: the codecs of the messages between processes, and who may send what.
 * Runs in every process.  What is read here may come from a process that has
 * been taken over.
 */
#include <netinet/in.h>

#include <endian.h>
#include <string.h>
#include <syslog.h>

#include "msg.h"

#define FROM(role) (1U << (role))
#define ROLES                                                                  \
	(FROM(ROLE_KEEPER) | FROM(ROLE_BROKER) | FROM(ROLE_WORKER) |           \
	    FROM(ROLE_AUTHENTICATOR) | FROM(ROLE_CONTROL))
#define ASKED (ROLES | FROM(ROLE_METRICS))
#define EVERYBODY (ASKED | FROM(ROLE_NURSERY))

enum fd_rule { NO_FD, WITH_FD, MAYBE_FD };

static const struct {
	const char *name;
	unsigned int from, to;
	enum fd_rule fd;
} table[MSG_TYPES] = {
	[MSG_READY] = { "ready", EVERYBODY, FROM(ROLE_MASTER), NO_FD },
	[MSG_LOG] = { "log", EVERYBODY, FROM(ROLE_MASTER), NO_FD },
	[MSG_EVENT] = { "event", FROM(ROLE_WORKER), FROM(ROLE_MASTER), NO_FD },
	[MSG_RECORD] = { "record", FROM(ROLE_WORKER), FROM(ROLE_MASTER),
	    NO_FD },
	[MSG_ACCUSE] = { "accuse", FROM(ROLE_BROKER) | FROM(ROLE_KEEPER),
	    FROM(ROLE_MASTER), NO_FD },
	[MSG_BUSY] = { "busy", FROM(ROLE_WORKER), FROM(ROLE_MASTER), NO_FD },
	[MSG_STOP] = { "stop", FROM(ROLE_MASTER), EVERYBODY, NO_FD },
	[MSG_PEER] = { "peer", FROM(ROLE_MASTER), ROLES, WITH_FD },
	[MSG_TICKET_KEY] = { "ticket-key", FROM(ROLE_MASTER), FROM(ROLE_WORKER),
	    NO_FD },
	[MSG_ADMIT] = { "admit", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    WITH_FD },
	[MSG_ADMIT_REPLY] = { "admit-reply", FROM(ROLE_BROKER),
	    FROM(ROLE_WORKER), NO_FD },
	[MSG_RELEASE] = { "release", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_HELD] = { "held", FROM(ROLE_WORKER), FROM(ROLE_BROKER), NO_FD },
	[MSG_CONNECT] = { "connect", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_CONNECT_REPLY] = { "connect-reply", FROM(ROLE_BROKER),
	    FROM(ROLE_WORKER), MAYBE_FD },
	[MSG_OUTCOME] = { "outcome", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_LEARN] = { "learn", FROM(ROLE_BROKER), FROM(ROLE_WORKER),
	    WITH_FD },
	[MSG_CAPABILITY] = { "capability", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_CAPABILITY_SET] = { "capability-set", FROM(ROLE_BROKER),
	    FROM(ROLE_WORKER), NO_FD },
	[MSG_SIGN] = { "sign", FROM(ROLE_WORKER), FROM(ROLE_KEEPER), NO_FD },
	[MSG_SIGN_REPLY] = { "sign-reply", FROM(ROLE_KEEPER), FROM(ROLE_WORKER),
	    NO_FD },
	[MSG_AUTH] = { "auth", FROM(ROLE_WORKER), FROM(ROLE_BROKER), NO_FD },
	[MSG_AUTH_REPLY] = { "auth-reply", FROM(ROLE_BROKER), FROM(ROLE_WORKER),
	    MAYBE_FD },
	[MSG_SUBMIT] = { "submit", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_SUBMIT_REPLY] = { "submit-reply", FROM(ROLE_BROKER),
	    FROM(ROLE_WORKER), NO_FD },
	[MSG_POOL] = { "pool", FROM(ROLE_BROKER), FROM(ROLE_MASTER), NO_FD },
	[MSG_SASL_MECHS] = { "sasl-mechs",
	    FROM(ROLE_AUTHENTICATOR) | FROM(ROLE_BROKER),
	    FROM(ROLE_BROKER) | FROM(ROLE_WORKER), NO_FD },
	[MSG_EXCHANGE] = { "exchange", FROM(ROLE_BROKER),
	    FROM(ROLE_AUTHENTICATOR), MAYBE_FD },
	[MSG_STEP] = { "step", FROM(ROLE_AUTHENTICATOR), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_BROKEN] = { "broken", FROM(ROLE_AUTHENTICATOR), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_SASL_START] = { "sasl-start", FROM(ROLE_WORKER),
	    FROM(ROLE_AUTHENTICATOR), NO_FD },
	[MSG_SASL_STEP] = { "sasl-step", FROM(ROLE_WORKER),
	    FROM(ROLE_AUTHENTICATOR), NO_FD },
	[MSG_SASL_CHECK] = { "sasl-check", FROM(ROLE_WORKER),
	    FROM(ROLE_AUTHENTICATOR), NO_FD },
	[MSG_SASL_CANCEL] = { "sasl-cancel", FROM(ROLE_WORKER),
	    FROM(ROLE_AUTHENTICATOR), NO_FD },
	[MSG_SASL_REPLY] = { "sasl-reply", FROM(ROLE_AUTHENTICATOR),
	    FROM(ROLE_WORKER), NO_FD },
	[MSG_ALIVE] = { "alive", FROM(ROLE_MASTER), EVERYBODY, NO_FD },
	[MSG_ALIVE_REPLY] = { "alive-reply", EVERYBODY, FROM(ROLE_MASTER),
	    NO_FD },
	[MSG_BIRTH] = { "birth", FROM(ROLE_MASTER), FROM(ROLE_NURSERY),
	    WITH_FD },
	[MSG_BORN] = { "born", FROM(ROLE_NURSERY), FROM(ROLE_MASTER), NO_FD },
	[MSG_LOGGED_IN] = { "logged-in", FROM(ROLE_WORKER), FROM(ROLE_MASTER),
	    NO_FD },
	[MSG_PAIRS] = { "pairs", FROM(ROLE_MASTER), FROM(ROLE_KEEPER),
	    WITH_FD },
	[MSG_PAIR] = { "pair", FROM(ROLE_KEEPER), FROM(ROLE_MASTER), NO_FD },
	[MSG_PAIRS_REPLY] = { "pairs-reply", FROM(ROLE_KEEPER),
	    FROM(ROLE_MASTER), NO_FD },
	[MSG_PAIR_DROP] = { "pair-drop", FROM(ROLE_MASTER), FROM(ROLE_KEEPER),
	    NO_FD },
	[MSG_CERTIFICATES] = { "certificates", FROM(ROLE_MASTER),
	    FROM(ROLE_WORKER) | FROM(ROLE_NURSERY), WITH_FD },
	[MSG_HANDSHAKES] = { "handshakes", FROM(ROLE_WORKER), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_EXPIRIES] = { "expiries", FROM(ROLE_MASTER),
	    FROM(ROLE_METRICS) | FROM(ROLE_CONTROL), WITH_FD },
	[MSG_GIVE_WAY] = { "give-way", FROM(ROLE_MASTER), FROM(ROLE_WORKER),
	    NO_FD },
	[MSG_MANY] = { "many", 0, 0, NO_FD }, /* never within another */
	[MSG_DRAIN] = { "drain", FROM(ROLE_MASTER), ASKED, NO_FD },
	[MSG_SETTLED] = { "settled", FROM(ROLE_WORKER), FROM(ROLE_MASTER),
	    NO_FD },
	[MSG_STATS] = { "stats", FROM(ROLE_MASTER), FROM(ROLE_METRICS),
	    WITH_FD },
	[MSG_ASK] = { "ask", FROM(ROLE_CONTROL), FROM(ROLE_CONTROL), NO_FD },
	[MSG_ANSWER] = { "answer", FROM(ROLE_CONTROL), FROM(ROLE_CONTROL),
	    NO_FD },
	[MSG_ANSWER_END] = { "answer-end", FROM(ROLE_CONTROL),
	    FROM(ROLE_CONTROL), NO_FD },
	[MSG_ROLL] = { "roll", FROM(ROLE_CONTROL), FROM(ROLE_MASTER), NO_FD },
	[MSG_PROCESS] = { "process", FROM(ROLE_MASTER), FROM(ROLE_CONTROL),
	    NO_FD },
	[MSG_ROLL_END] = { "roll-end", FROM(ROLE_MASTER), FROM(ROLE_CONTROL),
	    NO_FD },
	[MSG_TOTALS] = { "totals", FROM(ROLE_MASTER), FROM(ROLE_CONTROL),
	    NO_FD },
	[MSG_SERVERS] = { "servers", FROM(ROLE_CONTROL), FROM(ROLE_BROKER),
	    NO_FD },
	[MSG_SERVERS_REPLY] = { "servers-reply", FROM(ROLE_BROKER),
	    FROM(ROLE_CONTROL), NO_FD },
	[MSG_LIST] = { "list", FROM(ROLE_CONTROL), FROM(ROLE_WORKER), NO_FD },
	[MSG_SESSION] = { "session", FROM(ROLE_WORKER), FROM(ROLE_CONTROL),
	    NO_FD },
	[MSG_LIST_END] = { "list-end", FROM(ROLE_WORKER), FROM(ROLE_CONTROL),
	    NO_FD },
	[MSG_KICK] = { "kick", FROM(ROLE_CONTROL), FROM(ROLE_WORKER), NO_FD },
	[MSG_KICK_REPLY] = { "kick-reply", FROM(ROLE_WORKER),
	    FROM(ROLE_CONTROL), NO_FD },
};

const char *
role_name(enum role role)
{
	static const char *const names[] = { "master", "keeper", "broker",
		"worker", "authenticator", "nursery", "metrics", "control" };
	_Static_assert(
	    sizeof(names) / sizeof(names[0]) == ROLE_MAX, "name every role");

	return role < ROLE_MAX ? names[role] : "unknown";
}

const char *
msg_name(unsigned int type)
{
	return type < MSG_TYPES && table[type].name != NULL ? table[type].name
	                                                    : "unknown";
}

bool
msg_allowed(
    unsigned int type, enum role from, enum role to, bool has_fd, size_t len)
{
	if (type >= MSG_TYPES || len < MSG_HEADER || len > MSG_MAX)
		return false;
	if ((table[type].from & FROM(from)) == 0 ||
	    (table[type].to & FROM(to)) == 0)
		return false;
	switch (table[type].fd) {
	case NO_FD:
		return !has_fd;
	case WITH_FD:
		return has_fd;
	case MAYBE_FD:
		return true;
	}
	return false;
}

static void
put(struct writer *w, const void *p, size_t n)
{
	if (n > sizeof(w->data) - w->len) {
		w->failed = true;
		return;
	}
	if (n > 0)
		memcpy(w->data + w->len, p, n);
	w->len += n;
}

void
msg_start(struct writer *w, enum msg_type type, uint32_t id)
{
	w->len = 0;
	w->failed = false;
	put_u16(w, (uint16_t)type);
	put_u32(w, id);
}

bool
msg_is_many(struct text message)
{
	struct reader r = { message.p, message.len };
	uint16_t type;

	return message.len > MSG_HEADER && get_u16(&r, &type) == 0 &&
	    type == MSG_MANY;
}

void
msg_set_id(struct writer *w, uint32_t id)
{
	id = htobe32(id);
	memcpy(w->data + sizeof(uint16_t), &id, sizeof(id));
}

void
put_u8(struct writer *w, uint8_t v)
{
	put(w, &v, sizeof(v));
}

void
put_u16(struct writer *w, uint16_t v)
{
	v = htobe16(v);
	put(w, &v, sizeof(v));
}

void
put_u32(struct writer *w, uint32_t v)
{
	v = htobe32(v);
	put(w, &v, sizeof(v));
}

void
put_u64(struct writer *w, uint64_t v)
{
	v = htobe64(v);
	put(w, &v, sizeof(v));
}

void
put_text(struct writer *w, struct text t)
{
	if (t.len > MSG_MAX) {
		w->failed = true;
		return;
	}
	put_u32(w, (uint32_t)t.len);
	put(w, t.p, t.len);
}

/* Family (4 or 6, 0: none), port, octets of the address. */
void
put_addr(struct writer *w, const struct addr *a)
{
	if (a->sa.sa_family == AF_INET) {
		put_u8(w, 4);
		put_u16(w, addr_port(a));
		put(w, &a->in.sin_addr, sizeof(a->in.sin_addr));
	} else if (a->sa.sa_family == AF_INET6) {
		put_u8(w, 6);
		put_u16(w, addr_port(a));
		put(w, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	} else {
		put_u8(w, 0);
	}
}

static int
get(struct reader *r, void *p, size_t n)
{
	if (n > r->left)
		return -1;
	memcpy(p, r->p, n);
	r->p += n;
	r->left -= n;
	return 0;
}

int
get_u8(struct reader *r, uint8_t *v)
{
	return get(r, v, sizeof(*v));
}

int
get_u16(struct reader *r, uint16_t *v)
{
	if (get(r, v, sizeof(*v)) == -1)
		return -1;
	*v = be16toh(*v);
	return 0;
}

int
get_u32(struct reader *r, uint32_t *v)
{
	if (get(r, v, sizeof(*v)) == -1)
		return -1;
	*v = be32toh(*v);
	return 0;
}

int
get_u64(struct reader *r, uint64_t *v)
{
	if (get(r, v, sizeof(*v)) == -1)
		return -1;
	*v = be64toh(*v);
	return 0;
}

int
get_text(struct reader *r, size_t max, struct text *t)
{
	uint32_t n;

	if (get_u32(r, &n) == -1 || n > max || n > r->left)
		return -1;
	*t = (struct text){ r->p, n };
	r->p += n;
	r->left -= n;
	return 0;
}

int
get_addr(struct reader *r, struct addr *a)
{
	uint8_t family;
	uint16_t port;

	memset(a, 0, sizeof(*a));
	if (get_u8(r, &family) == -1)
		return -1;
	if (family == 0)
		return 0;
	if (get_u16(r, &port) == -1)
		return -1;
	if (family == 4) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		return get(r, &a->in.sin_addr, sizeof(a->in.sin_addr));
	}
	if (family == 6) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		return get(r, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	}
	return -1;
}

int
get_end(struct reader *r)
{
	return r->left == 0 ? 0 : -1;
}

int
get_bool(struct reader *r, uint8_t *v)
{
	return get_u8(r, v) == -1 || *v > 1 ? -1 : 0;
}

int
get_enum(struct reader *r, unsigned int end, uint8_t *v)
{
	return get_u8(r, v) == -1 || *v >= end ? -1 : 0;
}

void
msg_put_ready(struct writer *w, const struct msg_ready *m)
{
	put_u32(w, m->missing);
}

int
msg_get_ready(struct reader *r, struct msg_ready *m)
{
	return get_u32(r, &m->missing) == -1 || get_end(r) == -1 ? -1 : 0;
}

void
msg_put_log(struct writer *w, const struct msg_log *m)
{
	put_u8(w, m->priority);
	put_text(w, m->text);
}

int
msg_get_log(struct reader *r, struct msg_log *m)
{
	if (get_enum(r, LOG_DEBUG + 1, &m->priority) == -1 ||
	    m->priority < LOG_ERR || get_text(r, MSG_LOG_MAX, &m->text) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_event(struct writer *w, const struct msg_event *m)
{
	put_u8(w, m->type);
	put_u8(w, m->client_secure);
	put_u8(w, m->server_secure);
	put_u8(w, m->has_authz);
	put_addr(w, &m->client);
	put_addr(w, &m->local);
	put_text(w, m->authz);
	put_text(w, m->authn);
	put_u16(w, m->server);
	put_text(w, m->status);
	put_u64(w, m->received);
	put_u64(w, m->sent);
	put_u32(w, m->seconds);
}

int
msg_get_event(struct reader *r, struct msg_event *m)
{
	if (get_enum(r, EVENT_TYPES, &m->type) == -1 ||
	    get_enum(r, SECURE_MAX, &m->client_secure) == -1 ||
	    get_enum(r, SECURE_MAX, &m->server_secure) == -1 ||
	    get_bool(r, &m->has_authz) == -1 || get_addr(r, &m->client) == -1 ||
	    get_addr(r, &m->local) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->authz) == -1 ||
	    get_text(r, MSG_NAME_MAX, &m->authn) == -1 ||
	    get_u16(r, &m->server) == -1 ||
	    get_text(r, MSG_STATUS_MAX, &m->status) == -1 ||
	    get_u64(r, &m->received) == -1 || get_u64(r, &m->sent) == -1 ||
	    get_u32(r, &m->seconds) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_peer(struct writer *w, const struct msg_peer *m)
{
	put_u8(w, m->role);
	put_u16(w, m->number);
	put_u32(w, m->serial);
}

int
msg_get_peer(struct reader *r, struct msg_peer *m)
{
	if (get_enum(r, ROLE_MAX, &m->role) == -1 ||
	    get_u16(r, &m->number) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_accuse(struct writer *w, const struct msg_accuse *m)
{
	put_u8(w, m->role);
	put_u16(w, m->number);
	put_u32(w, m->serial);
}

int
msg_get_accuse(struct reader *r, struct msg_accuse *m)
{
	if (get_enum(r, ROLE_MAX, &m->role) == -1 ||
	    get_u16(r, &m->number) == -1 || get_u32(r, &m->serial) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_ticket_key(struct writer *w, const struct msg_ticket_key *m)
{
	put_text(w, m->current);
	put_text(w, m->previous);
}

int
msg_get_ticket_key(struct reader *r, struct msg_ticket_key *m)
{
	if (get_text(r, TICKET_KEY_LEN, &m->current) == -1 ||
	    m->current.len != TICKET_KEY_LEN ||
	    get_text(r, TICKET_KEY_LEN, &m->previous) == -1 ||
	    (m->previous.len != 0 && m->previous.len != TICKET_KEY_LEN) ||
	    get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_sign(struct writer *w, const struct msg_sign *m)
{
	put_u16(w, m->key);
	put_u16(w, m->scheme);
	put_u8(w, m->content);
	put_text(w, m->data);
}

int
msg_get_sign(struct reader *r, struct msg_sign *m)
{
	if (get_u16(r, &m->key) == -1 || get_u16(r, &m->scheme) == -1 ||
	    get_bool(r, &m->content) == -1 ||
	    get_text(r, MSG_SIGN_MAX, &m->data) == -1 || get_end(r) == -1)
		return -1;
	return 0;
}

void
msg_put_sign_reply(struct writer *w, const struct msg_sign_reply *m)
{
	put_u8(w, m->ok);
	put_text(w, m->signature);
}

int
msg_get_sign_reply(struct reader *r, struct msg_sign_reply *m)
{
	if (get_bool(r, &m->ok) == -1 ||
	    get_text(r, MSG_SIGNATURE_MAX, &m->signature) == -1 ||
	    get_end(r) == -1)
		return -1;
	return 0;
}
