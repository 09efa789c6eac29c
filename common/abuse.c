/* SPDX-License-Identifier: ISC */
/*
 * abuse: the rules about the counts of the ledger.  Runs in the broker; in
 * authenticators, which ask what they may, and count nothing.  Addresses are
 * what the kernel says; users' names are a worker's or an authenticator's word.
 */
#include <stdlib.h>

#include "abuse.h"
#include "clock.h"
#include "xmalloc.h"

/*
 * The rules.  The allowances of failures themselves are directives; all of
 * them come back by half in each LEDGER_HALF_LIFE.
 */
#define GOOD_FACTOR 3 /* where somebody has logged in lately: so much more */
#define HOME_FACTOR 2 /* a known client's: from the very address he had */
#define TURNED_MAX 10 /* turned away so often: not even let in */
#define NETWORK_TURNED_MAX 40
#define PROOF_SECONDS 43200 /* how long a wrong password is remembered */
#define HOUR 3600

/* A failure's answer waits, and twice as long after each, and no longer. */
#define DELAY_FIRST_MS 2000
#define DELAY_MAX_MS 8000
#define NETWORK_DELAY_PART 4 /* so many of a network are one of an address */
#define JITTER_MS 250        /* so that the delay tells nothing */

struct abuse {
	const struct conf *conf;
	struct ledger *ledger;
};

struct abuse *
abuse_new(const struct conf *c, struct ledger *l)
{
	struct abuse *a = xcalloc(1, sizeof(*a));

	a->conf = c;
	a->ledger = l;
	return a;
}

void
abuse_free(struct abuse **a)
{
	free(*a);
	*a = NULL;
}

static bool
is_trusted(const struct abuse *a, const struct addr *client)
{
	size_t i;

	for (i = 0; i < a->conf->ntrusted; i++)
		if (addr_in_range(client, &a->conf->trusted[i]))
			return true;
	return false;
}

/* limit 0: there is none.  The last one counts in full. */
static bool
is_over(const struct ledger_slot *s, uint32_t limit, uint32_t now)
{
	return limit != 0 &&
	    ledger_level(s, LEDGER_FAILED, now) + LEDGER_ONE / 2 >
	    limit * LEDGER_ONE;
}

/* Both of a client's entries. */
struct hosts {
	struct ledger_slot *address, *network;
};

static struct hosts
find_hosts(const struct abuse *a, const struct addr *client)
{
	const struct ledger_id ai = ledger_id_address(a->ledger, client);
	const struct ledger_id ni = ledger_id_network(a->ledger, client);

	return (struct hosts){ ledger_find(a->ledger, &ai),
		ledger_find(a->ledger, &ni) };
}

static struct hosts
make_hosts(struct abuse *a, const struct addr *client, uint32_t now)
{
	const struct ledger_id ai = ledger_id_address(a->ledger, client);
	const struct ledger_id ni = ledger_id_network(a->ledger, client);

	return (struct hosts){ ledger_make(a->ledger, &ai, now),
		ledger_make(a->ledger, &ni, now) };
}

/* Have strangers at these used up what they may try? */
static bool
is_used_up(const struct abuse *a, const struct hosts *h, uint32_t now)
{
	const unsigned int factor =
	    ledger_is_good(h->network, now) ? GOOD_FACTOR : 1;

	return is_over(
	           h->address, a->conf->address_failure_limit * factor, now) ||
	    is_over(h->network, a->conf->network_failure_limit * factor, now);
}

static bool
was_turned(const struct ledger_slot *s, uint32_t times, uint32_t now)
{
	return ledger_level(s, LEDGER_TURNED, now) >= times * LEDGER_ONE;
}

/*
 * Who guesses and does not stop is not worth a handshake.  In a network where
 * users are at home he is: they are to get in.
 */
static bool
is_shut_out(const struct abuse *a, const struct hosts *h, uint32_t now)
{
	return !ledger_is_good(h->network, now) &&
	    (was_turned(h->address, TURNED_MAX, now) ||
	        (is_over(h->network, a->conf->network_failure_limit, now) &&
	            was_turned(h->network, NETWORK_TURNED_MAX, now)));
}

static void
raise_hosts(const struct hosts *h, enum ledger_count c, int by, uint32_t now)
{
	ledger_raise(h->address, c, by * (int)LEDGER_ONE, now);
	ledger_raise(h->network, c, by * (int)LEDGER_ONE, now);
}

enum admit_verdict
abuse_admit(struct abuse *a, const struct addr *client)
{
	const struct conf *c = a->conf;
	const uint32_t unit = c->anvil_rate_time_unit, now = clock_wall();
	struct hosts h;

	if (is_trusted(a, client))
		return ADMIT_OK;
	h = make_hosts(a, client, now);
	ledger_count(h.address, LEDGER_CONNECTIONS, 1, unit, now);
	ledger_count(h.network, LEDGER_CONNECTIONS, 1, unit, now);
	/* Not counted as another one: it is to end, however often he comes. */
	if (is_shut_out(a, &h, now))
		return ADMIT_TOO_OFTEN;
	if (c->client_connection_rate_limit != 0 &&
	    ledger_window(h.address, LEDGER_CONNECTIONS, unit, now) >
	        c->client_connection_rate_limit)
		return ADMIT_TOO_OFTEN;
	if (c->client_new_tls_session_rate_limit != 0 &&
	    ledger_window(h.address, LEDGER_HANDSHAKES, unit, now) >=
	        c->client_new_tls_session_rate_limit)
		return ADMIT_TOO_OFTEN;
	return ADMIT_OK;
}

void
abuse_handshakes(struct abuse *a, const struct addr *client, unsigned int n)
{
	const uint32_t unit = a->conf->anvil_rate_time_unit, now = clock_wall();
	struct hosts h;

	if (n == 0 || is_trusted(a, client))
		return;
	h = make_hosts(a, client, now);
	ledger_count(h.address, LEDGER_HANDSHAKES, n, unit, now);
	ledger_count(h.network, LEDGER_HANDSHAKES, n, unit, now);
}

uint32_t
abuse_delay_ms(const struct abuse *a, const struct addr *client)
{
	const uint32_t now = clock_wall();
	uint32_t level = 0, more, ms = DELAY_FIRST_MS;
	struct hosts h;

	if (!is_trusted(a, client)) {
		h = find_hosts(a, client);
		level = ledger_level(h.address, LEDGER_FAILED, now);
		more = ledger_level(h.network, LEDGER_FAILED, now) /
		    NETWORK_DELAY_PART;
		if (more > level)
			level = more;
	}
	for (; level >= LEDGER_ONE / 2 && ms < DELAY_MAX_MS; ms *= 2)
		level -= level < LEDGER_ONE ? level : LEDGER_ONE;
	ms += arc4random_uniform(JITTER_MS);
	return ms < DELAY_MAX_MS ? ms : DELAY_MAX_MS;
}

/* --- logins ------------------------------------------------------------- */

/* The last bits of an address: enough to tell a home from its neighbours. */
static uint16_t
home_of(const struct abuse *a, const struct addr *client)
{
	const struct ledger_id id = ledger_id_address(a->ledger, client);

	return (uint16_t)(id.key >> 40) | 1;
}

/* Has this known client any failures left? */
static bool
may_known(const struct abuse *a, const struct addr *client,
    const struct ledger_slot *pair, uint32_t now)
{
	const bool home = ledger_has(pair, LEDGER_HOMES, home_of(a, client));

	return !is_over(
	    pair, a->conf->user_failure_limit * (home ? HOME_FACTOR : 1), now);
}

static bool
may_stranger(const struct abuse *a, const struct hosts *h,
    const struct ledger_slot *user, uint32_t now)
{
	const unsigned int factor =
	    ledger_is_good(h->network, now) ? GOOD_FACTOR : 1;

	return !is_over(user, a->conf->user_failure_limit * factor, now);
}

bool
abuse_may_ask(const struct abuse *a, const struct addr *client,
    struct text user, bool strict)
{
	const uint32_t now = clock_wall();
	const struct ledger_id ui = ledger_id_user(a->ledger, user);
	const struct ledger_id pi = ledger_id_pair(a->ledger, client, user);
	const struct ledger_slot *pair = ledger_find(a->ledger, &pi);
	struct hosts h;

	if (is_trusted(a, client))
		return true;
	if (ledger_is_good(pair, now))
		return may_known(a, client, pair, now);
	if (strict)
		return false;
	h = find_hosts(a, client);
	return may_stranger(a, &h, ledger_find(a->ledger, &ui), now);
}

static void
turn(const struct hosts *h, uint32_t now)
{
	raise_hosts(h, LEDGER_TURNED, 1, now);
}

static enum abuse_verdict
begin_named(struct abuse *a, const struct addr *client, const struct hosts *h,
    struct abuse_login *login, uint32_t now)
{
	struct ledger_slot *pair = ledger_find(a->ledger, &login->pair);
	struct ledger_slot *user;

	if (ledger_is_good(pair, now)) {
		if (!may_known(a, client, pair, now))
			return ABUSE_TURN;
		login->known = true;
		ledger_raise(pair, LEDGER_FAILED, (int)LEDGER_ONE, now);
		return ABUSE_ASK;
	}
	user = ledger_make(a->ledger, &login->user, now);
	if (is_used_up(a, h, now) || !may_stranger(a, h, user, now)) {
		ledger_raise(user, LEDGER_TURNED, (int)LEDGER_ONE, now);
		return ABUSE_TURN;
	}
	login->host = login->stranger = true;
	raise_hosts(h, LEDGER_FAILED, 1, now);
	ledger_raise(user, LEDGER_FAILED, (int)LEDGER_ONE, now);
	return ABUSE_ASK;
}

static void
set_user(struct abuse *a, const struct addr *client, struct text user,
    struct abuse_login *login)
{
	login->user = ledger_id_user(a->ledger, user);
	login->pair = ledger_id_pair(a->ledger, client, user);
}

enum abuse_verdict
abuse_begin(struct abuse *a, const struct addr *client, struct text user,
    struct abuse_login *login)
{
	const uint32_t now = clock_wall();
	enum abuse_verdict v;
	struct hosts h;

	*login = (struct abuse_login){ .host = false };
	if (is_trusted(a, client))
		return ABUSE_ASK;
	h = make_hosts(a, client, now);
	if (user.len > 0) {
		set_user(a, client, user, login);
		v = begin_named(a, client, &h, login, now);
		if (v == ABUSE_TURN)
			turn(&h, now);
		return v;
	}
	if (is_used_up(a, &h, now))
		return ABUSE_STRICT;
	login->host = true;
	raise_hosts(&h, LEDGER_FAILED, 1, now);
	return ABUSE_ASK;
}

/* Nothing of what was charged in advance. */
static void
take_back(struct abuse *a, const struct hosts *h, struct abuse_login *login,
    uint32_t now)
{
	if (login->host)
		raise_hosts(h, LEDGER_FAILED, -1, now);
	if (login->known)
		ledger_raise(ledger_find(a->ledger, &login->pair),
		    LEDGER_FAILED, -(int)LEDGER_ONE, now);
	if (login->stranger)
		ledger_raise(ledger_find(a->ledger, &login->user),
		    LEDGER_FAILED, -(int)LEDGER_ONE, now);
	login->host = login->known = login->stranger = false;
}

static void
count_good(struct abuse *a, const struct addr *client, const struct hosts *h,
    const struct abuse_login *login, uint32_t now)
{
	struct ledger_slot *pair = ledger_make(a->ledger, &login->pair, now);
	struct ledger_slot *user = ledger_make(a->ledger, &login->user, now);

	ledger_set_good(h->address, now);
	ledger_set_good(h->network, now);
	ledger_set_good(user, now);
	ledger_count(
	    user, LEDGER_CONNECTIONS, 1, a->conf->anvil_rate_time_unit, now);
	ledger_set_good(pair, now);
	(void)ledger_note(pair, LEDGER_HOMES, home_of(a, client));
}

/* Is this wrong password one that he has lately tried from there? */
static bool
is_repeated(struct ledger_slot *pair, uint16_t proof, uint32_t now)
{
	if (proof == 0)
		return false;
	if (ledger_window(pair, LEDGER_REPEATS, PROOF_SECONDS, now) == 0)
		ledger_clear(pair, LEDGER_PROOFS);
	ledger_count(pair, LEDGER_REPEATS, 1, PROOF_SECONDS, now);
	return ledger_note(pair, LEDGER_PROOFS, proof);
}

static void
count_failed(struct abuse *a, const struct hosts *h,
    const struct abuse_login *login, uint16_t proof, uint32_t now)
{
	struct ledger_slot *pair;

	if (login->user.key == 0) { /* nobody has said who */
		raise_hosts(h, LEDGER_FAILED, 1, now);
		return;
	}
	pair = ledger_make(a->ledger, &login->pair, now);
	if (is_repeated(pair, proof, now))
		return;
	if (ledger_is_good(pair, now)) {
		ledger_raise(pair, LEDGER_FAILED, (int)LEDGER_ONE, now);
		return;
	}
	raise_hosts(h, LEDGER_FAILED, 1, now);
	ledger_raise(ledger_make(a->ledger, &login->user, now), LEDGER_FAILED,
	    (int)LEDGER_ONE, now);
}

void
abuse_end(struct abuse *a, const struct addr *client, struct abuse_login *login,
    enum abuse_end how, struct text user, uint16_t proof)
{
	const uint32_t now = clock_wall();
	struct hosts h;

	if (is_trusted(a, client))
		return;
	h = make_hosts(a, client, now);
	if (login->user.key == 0 && user.len > 0)
		set_user(a, client, user, login);
	take_back(a, &h, login, now);
	switch (how) {
	case ABUSE_GOOD:
		if (login->user.key != 0)
			count_good(a, client, &h, login, now);
		break;
	case ABUSE_FAILED:
	case ABUSE_LEFT:
		count_failed(a, &h, login, proof, now);
		break;
	case ABUSE_TURNED:
		turn(&h, now);
		break;
	case ABUSE_NOTHING:
		break;
	}
}

/* --- what users send ---------------------------------------------------- */

bool
abuse_may_send(struct abuse *a, const struct addr *client, struct text user,
    enum submit_what what)
{
	const struct conf *c = a->conf;
	const bool mail = what == SUBMIT_MAIL;
	const enum ledger_count n = mail ? LEDGER_MESSAGES : LEDGER_RECIPIENTS;
	const uint32_t now = clock_wall();
	const struct ledger_id id = ledger_id_user(a->ledger, user);
	const uint32_t most = mail ? c->client_message_rate_limit
	                           : c->client_recipient_rate_limit;
	struct hosts h;

	if (!ledger_take(ledger_make(a->ledger, &id, now), n,
	        mail ? c->user_message_limit : c->user_recipient_limit, HOUR,
	        now))
		return false;
	if (is_trusted(a, client))
		return true;
	h = make_hosts(a, client, now);
	ledger_count(h.network, n, 1, c->anvil_rate_time_unit, now);
	return ledger_take(h.address, n, most, c->anvil_rate_time_unit, now);
}
