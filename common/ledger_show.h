/* SPDX-License-Identifier: ISC */
/*
 * ledger_show: what the administrator sees of the ledger, and what he has
 * forgotten: --ledger and --forgive.  For root, and no daemon need run.
 */
#ifndef LEDGER_SHOW_H
#define LEDGER_SHOW_H

#include <stdbool.h>

#include "conf.h"

struct buf;

/*
 * Write what is counted of an address, of a network and what is in it, or of
 * a user; "": of all.  0, or -1 with a message.
 */
int ledger_show(
    const struct conf *c, const char *what, bool json, struct buf *out);

/*
 * Forget what was counted of an address (in its network's count, too), of a
 * network and all that is in it, or of a user, wherever he logged in from.
 */
int ledger_forgive(const struct conf *c, const char *what, struct buf *out);

#endif
