/* SPDX-License-Identifier: ISC */
/*
 * abuse: what follows from the counts of the ledger: who is let in, who may
 * try a password, how long a failure is held back.  The one place where that
 * is decided.
 *
 * A login is one of a known client where the user has logged in from that
 * network within 30 days.  Known clients have an allowance of failures of
 * their own, so that nobody who guesses elsewhere can lock a user out.  All
 * others are strangers, and are asked for a password only as long as their
 * address, their network and the user's strangers all have some left.  What is
 * turned away is never asked of an inner server or of Cyrus SASL.
 *
 * Networks of trusted_networks are neither counted nor turned away.
 */
#ifndef ABUSE_H
#define ABUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "ledger.h"
#include "msg.h"

struct abuse;

/*
 * c and l stay the caller's and outlive the result.  With a ledger that is
 * mapped for reading, abuse_may_ask() alone may be called.
 */
struct abuse *abuse_new(const struct conf *c, struct ledger *l);
void abuse_free(struct abuse **a);

/* A client has connected.  ADMIT_OK, or ADMIT_TOO_OFTEN. */
enum admit_verdict abuse_admit(struct abuse *a, const struct addr *client);
/* He has shaken hands so often, in a session that is over now. */
void abuse_handshakes(
    struct abuse *a, const struct addr *client, unsigned int n);

/* How long a failure's answer is to wait. */
uint32_t abuse_delay_ms(const struct abuse *a, const struct addr *client);

/*
 * May this user's password be tried from there?  strict: strangers may not.
 * Only reads.
 */
bool abuse_may_ask(const struct abuse *a, const struct addr *client,
    struct text user, bool strict);

/* A login under way: it counts as a failure until it is known to be none. */
struct abuse_login {
	struct ledger_id user, pair; /* key 0: not known yet */
	bool host, known, stranger;  /* what was charged */
};

enum abuse_verdict {
	ABUSE_ASK,
	ABUSE_STRICT, /* strangers are to be turned away */
	ABUSE_TURN    /* nobody is asked */
};

/*
 * A login begins.  user: TEXT_NONE where it is not known yet; then the answer
 * is not ABUSE_TURN, and abuse_may_ask() is to be asked when it is.  With
 * ABUSE_TURN it is over.
 */
enum abuse_verdict abuse_begin(struct abuse *a, const struct addr *client,
    struct text user, struct abuse_login *login);

enum abuse_end {
	ABUSE_GOOD,    /* the user is who he says */
	ABUSE_FAILED,  /* he is not */
	ABUSE_TURNED,  /* by abuse_may_ask() */
	ABUSE_NOTHING, /* nobody could tell, or whoever could is not believed */
	ABUSE_LEFT     /* the client went away in the middle */
};

/*
 * It has ended so.  user: where it was not known before, and is now.  proof:
 * of the password that was wrong, see proof.h; the same once more is no other
 * guess.
 */
void abuse_end(struct abuse *a, const struct addr *client,
    struct abuse_login *login, enum abuse_end how, struct text user,
    uint16_t proof);

/* May he send a message, or to one more recipient?  If so it is counted. */
bool abuse_may_send(struct abuse *a, const struct addr *client,
    struct text user, enum submit_what what);

#endif
