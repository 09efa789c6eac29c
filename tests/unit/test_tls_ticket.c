/* SPDX-License-Identifier: ISC */
/*
 * tls_ticket: the names of ticket keys, and tickets at work: in another
 * process, after the key has changed once, and twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tls_peer.h"
#include "tls_ticket.h"

static const char *const versions[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.3",
	"NORMAL:-VERS-ALL:+VERS-TLS1.2" };
static struct handover *handover;
static char priority[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
static struct conf conf = { .listen_priority = priority };

#define NAME "NAMENAMENAMENAME"

/* SHA3-512(81250 in 8 octets, 64 times "k") begins so. */
static const char derived[] = "\x9a\x2d\x25\xe8\x15\x51\xca\x0f"
                              "\xf2\xf3\x5c\xef\xb0\xa0\x7e\x82";
#define AT 1755000000 /* in the period 81250 */
#define PERIOD (3 * TLS_TICKET_LIFETIME)

static const struct {
	const char *name;
	size_t name_len, key_len;
	time_t now;
	bool is_of;
} of_cases[] = {
	{ derived, 16, TICKET_KEY_LEN, AT, true },
	{ derived, 16, TICKET_KEY_LEN, AT + PERIOD, true },
	{ derived, 16, TICKET_KEY_LEN, AT + 2 * PERIOD, false },
	{ derived, 16, TICKET_KEY_LEN, AT - PERIOD, false },
	{ derived, 15, TICKET_KEY_LEN, AT, false },
	{ derived, 16, TICKET_KEY_LEN - 1, AT, false },
	{ NAME, 16, TICKET_KEY_LEN, AT, false },
	{ NULL, 0, TICKET_KEY_LEN, AT, false },
};

static void
test_is_of(void **state)
{
	char key[TICKET_KEY_LEN];
	size_t i;

	(void)state;
	memset(key, 'k', sizeof(key));
	for (i = 0; i < sizeof(of_cases) / sizeof(of_cases[0]); i++)
		if (tls_ticket_is_of(
		        (struct text){ of_cases[i].name, of_cases[i].name_len },
		        (struct text){ key, of_cases[i].key_len },
		        of_cases[i].now) != of_cases[i].is_of)
			fail_msg("case %zu", i);
}

/* Tickets.  Servers stand for processes; keys for the hours of a day. */
#define KEY(c) ((struct text){ ticket_keys[(c) - 'A'], TICKET_KEY_LEN })
static const char ticket_keys[3][TICKET_KEY_LEN] = { "first", "second",
	"third" };

/*
 * One visit to a server whose current key is hour, with the one of the hour
 * before or none.  ticket, if there is one, is offered, and replaced by what
 * the server issues.
 */
static void
visit(const char *what, const char *client_priority, char hour, bool before,
    gnutls_datum_t *ticket, bool resumes, unsigned int issued)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	struct tls *t;
	struct peer *c = peer_new(client_priority, GNUTLS_CLIENT);
	struct tls_io io = peer_io(c, 0);
	char x;

	tls_server_set_ticket_key(
	    s, KEY(hour), before ? KEY(hour - 1) : TEXT_NONE);
	t = tls_accept(s);
	if (ticket->data != NULL)
		pki_ok(
		    gnutls_session_set_data(c->s, ticket->data, ticket->size));
	if (peer_handshake(t, c, SIZE_MAX) != TLS_OK || c->error != 0)
		fail_msg("%s: %s", what, tls_error(t));
	assert_int_equal(tls_encrypt(t, &io, "x", 1), TLS_OK);
	while (gnutls_record_recv(c->s, &x, 1) == GNUTLS_E_AGAIN)
		assert_true(c->in.len > 0);
	if (tls_resumed(t) != resumes || c->tickets != issued ||
	    (gnutls_session_is_resumed(c->s) != 0) != resumes)
		fail_msg("%s: resumed %d, %u tickets", what,
		    (int)tls_resumed(t), c->tickets);
	if (issued > 0) {
		gnutls_free(ticket->data);
		pki_ok(gnutls_session_get_data2(c->s, ticket));
	}
	peer_free(&c);
	tls_free(&t);
	tls_server_free(&s);
}

static gnutls_datum_t
copy_ticket(gnutls_datum_t t)
{
	gnutls_datum_t d = { gnutls_malloc(t.size), t.size };

	memcpy(d.data, t.data, t.size);
	return d;
}

static void
test_tickets(void **state)
{
	gnutls_datum_t t, old;
	const char *p;
	size_t v;
	/* TLS 1.2 renews no ticket that still serves */
	unsigned int renewed;

	(void)state;
	for (v = 0; v < 2; v++) {
		p = versions[v];
		renewed = v == 0;
		t = (gnutls_datum_t){ NULL, 0 };
		visit("first", p, 'A', false, &t, false, 1);
		visit("another process", p, 'A', false, &t, true, renewed);
		old = copy_ticket(t);
		/* an hour later: it is good still, but for itself alone */
		visit("previous key", p, 'B', true, &t, true, 0);
		visit("and once more", p, 'B', true, &t, true, 0);
		visit("no previous key", p, 'B', false, &old, false, 1);
		visit("issued under B", p, 'B', true, &old, true, renewed);
		/* two hours later */
		visit("too old", p, 'C', true, &t, false, 1);
		visit("issued under C", p, 'C', false, &t, true, renewed);
		visit("previous is B", p, 'C', true, &old, true, 0);
		gnutls_free(t.data);
		gnutls_free(old.data);
	}
}

/* Without a key there are no tickets, and a ticket does no harm. */
static void
test_no_ticket_key(void **state)
{
	struct tls_server *s = tls_server_new(&conf, handover, "imap");
	gnutls_datum_t ticket = { NULL, 0 };
	struct tls *t;
	struct peer *c;
	size_t v;

	(void)state;
	for (v = 0; v < 2; v++) {
		visit("get one", versions[v], 'A', false, &ticket, false, 1);
		t = tls_accept(s);
		c = peer_new(versions[v], GNUTLS_CLIENT);
		pki_ok(gnutls_session_set_data(c->s, ticket.data, ticket.size));
		assert_int_equal(peer_handshake(t, c, SIZE_MAX), TLS_OK);
		assert_false(tls_resumed(t));
		assert_int_equal(c->tickets, 0);
		peer_free(&c);
		tls_free(&t);
		gnutls_free(ticket.data);
		ticket.data = NULL;
	}
	tls_server_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_of),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_no_ticket_key),
	};
	struct pki *pair;
	const char *pem;
	pid_t keeper;
	int failed;

	tls_global_init();
	pair = pki_new((struct pki_wish){ .names = { "mail.example" } });
	pem = pair->cert;
	handover = pki_handover(HANDOVER_CERT, &pem, 1);
	keeper = pki_keeper_start(&pair, 1, true);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pki_keeper_stop(keeper);
	handover_close(&handover);
	pki_free(&pair);
	return failed;
}
