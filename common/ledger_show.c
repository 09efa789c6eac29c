/* SPDX-License-Identifier: ISC */
/*
 * ledger_show: prints the ledger and clears what is in it.  Runs in a command
 * of root's, on the very table that brokers use at the time; it trusts what
 * stands there as little as they do.
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abuse.h"
#include "buf.h"
#include "clock.h"
#include "ledger.h"
#include "ledger_file.h"
#include "ledger_show.h"
#include "log.h"
#include "xmalloc.h"

/* Which entries are meant. */
struct which {
	bool all, is_range;
	struct addr_range range; /* an address, a network */
	struct ledger_id user;
};

static struct ledger *
open_ledger(const struct conf *c)
{
	char *path = ledger_file_path(c->spool_directory);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct ledger *l = NULL;

	if (fd == -1)
		log_warn("%s", path);
	else if ((l = ledger_file_map(fd, PROT_READ | PROT_WRITE)) == NULL)
		log_warnx("%s is no ledger", path);
	if (fd != -1)
		close(fd);
	free(path);
	return l;
}

static struct which
which_of(const struct ledger *l, const char *what)
{
	struct which w = { .all = what[0] == '\0' };

	w.is_range = !w.all && addr_range_parse(text_of(what), &w.range) == 0;
	w.user = ledger_id_user(l, text_of(what));
	return w;
}

static bool
is_meant(const struct ledger *l, const struct which *w, unsigned int i,
    enum ledger_kind kind)
{
	const struct ledger_slot *s = ledger_at(l, i);

	if (w->all)
		return true;
	if (kind == LEDGER_USER)
		return !w->is_range && s == ledger_find(l, &w->user);
	return w->is_range && ledger_is_within(s, &w->range);
}

static const char *const kinds[LEDGER_KINDS] = { [LEDGER_ADDRESS] = "address",
	[LEDGER_NETWORK] = "network",
	[LEDGER_USER] = "user" };

/* One of so many, in tenths. */
static unsigned int
tenths(uint32_t level)
{
	return (unsigned int)((uint64_t)level * 10 / LEDGER_ONE);
}

/* A line, or in JSON an element; a name has no control octet in it by now. */
static int
put_entry(const struct conf *c, const struct ledger_slot *s,
    enum ledger_kind kind, const char *name, bool json, struct buf *out)
{
	const uint32_t now = clock_wall(), unit = c->anvil_rate_time_unit;
	const uint32_t sent = kind == LEDGER_USER ? 3600 : unit;
	const unsigned int failed = tenths(ledger_level(s, LEDGER_FAILED, now));
	const unsigned int turned = tenths(ledger_level(s, LEDGER_TURNED, now));
	const char *p;

	if (!json)
		return buf_printf(out,
		    "%-8s %-43s %6u.%u %6u.%u %6u %6u %6u %6u %s\n",
		    kinds[kind], name, failed / 10, failed % 10, turned / 10,
		    turned % 10,
		    ledger_window(s, LEDGER_CONNECTIONS, unit, now),
		    ledger_window(s, LEDGER_HANDSHAKES, unit, now),
		    ledger_window(s, LEDGER_MESSAGES, sent, now),
		    ledger_window(s, LEDGER_RECIPIENTS, sent, now),
		    ledger_is_good(s, now) ? "yes" : "no");
	if (buf_printf(out, "{\"kind\":\"%s\",\"name\":\"", kinds[kind]) == -1)
		return -1;
	for (p = name; *p != '\0'; p++)
		if (buf_printf(
		        out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p) == -1)
			return -1;
	return buf_printf(out,
	    "\",\"failed\":%u.%u,\"turned_away\":%u.%u,\"connections\":%u,"
	    "\"handshakes\":%u,\"messages\":%u,\"recipients\":%u,"
	    "\"good_login\":%s}",
	    failed / 10, failed % 10, turned / 10, turned % 10,
	    ledger_window(s, LEDGER_CONNECTIONS, unit, now),
	    ledger_window(s, LEDGER_HANDSHAKES, unit, now),
	    ledger_window(s, LEDGER_MESSAGES, sent, now),
	    ledger_window(s, LEDGER_RECIPIENTS, sent, now),
	    ledger_is_good(s, now) ? "true" : "false");
}

int
ledger_show(const struct conf *c, const char *what, bool json, struct buf *out)
{
	struct ledger *l = open_ledger(c);
	char name[LEDGER_SHOWN];
	enum ledger_kind kind;
	struct which w;
	unsigned int i, n = 0;
	int r;

	if (l == NULL)
		return -1;
	w = which_of(l, what);
	r = json ? buf_printf(out, "[")
	         : buf_printf(out, "%-8s %-43s %8s %8s %6s %6s %6s %6s %s\n",
	               "KIND", "NAME", "FAILED", "TURNED", "CONN", "TLS",
	               "MSGS", "RCPTS", "GOOD");
	for (i = 0; i < ledger_entries(l) && r != -1; i++) {
		kind = ledger_look(l, i, name);
		if (kind == 0 || kind == LEDGER_PAIR ||
		    !is_meant(l, &w, i, kind))
			continue;
		if (json)
			r = buf_printf(out, n++ > 0 ? ",\n " : "\n ");
		if (r != -1)
			r = put_entry(
			    c, ledger_at(l, i), kind, name, json, out);
	}
	if (json && r != -1)
		r = buf_printf(out, "\n]\n");
	ledger_free(&l);
	if (r == -1)
		log_warnx("the ledger is too long: name an address, a network "
		          "or a user");
	return r == -1 ? -1 : 0;
}

static void
forgive_entry(struct ledger_slot *s, enum ledger_kind kind)
{
	ledger_clear(s, LEDGER_FAILED);
	ledger_clear(s, LEDGER_TURNED);
	if (kind == LEDGER_PAIR)
		return; /* it has other things there */
	ledger_clear(s, LEDGER_CONNECTIONS);
	ledger_clear(s, LEDGER_HANDSHAKES);
	ledger_clear(s, LEDGER_MESSAGES);
	ledger_clear(s, LEDGER_RECIPIENTS);
}

/* What was an address's alone, its network does not keep, either. */
static void
forgive_network(struct ledger *l, const struct addr *a, uint32_t now)
{
	static const enum ledger_count counts[] = { LEDGER_FAILED,
		LEDGER_TURNED };
	const struct ledger_id ai = ledger_id_address(l, a);
	const struct ledger_id ni = ledger_id_network(l, a);
	const struct ledger_slot *address = ledger_find(l, &ai);
	size_t i;

	for (i = 0; i < 2; i++)
		ledger_raise(ledger_find(l, &ni), counts[i],
		    -(int)ledger_level(address, counts[i], now), now);
}

int
ledger_forgive(const struct conf *c, const char *what, struct buf *out)
{
	struct ledger *l = open_ledger(c);
	char name[LEDGER_SHOWN];
	enum ledger_kind kind;
	struct ledger_slot *s;
	unsigned int i, n = 0;
	struct which w;

	if (l == NULL)
		return -1;
	w = which_of(l, what);
	if (w.is_range)
		forgive_network(l, &w.range.addr, clock_wall());
	for (i = 0; i < ledger_entries(l); i++) {
		kind = ledger_look(l, i, name);
		s = ledger_at(l, i);
		if (kind == LEDGER_PAIR && !w.is_range &&
		    ledger_pair_is_of(s, &w.user))
			forgive_entry(s, kind);
		if (kind == 0 || kind == LEDGER_PAIR ||
		    !is_meant(l, &w, i, kind))
			continue;
		forgive_entry(s, kind);
		n++;
	}
	ledger_free(&l);
	return buf_printf(
	    out, "%s: %s\n", what, n > 0 ? "forgiven" : "nothing is counted");
}
