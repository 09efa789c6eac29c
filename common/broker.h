/* SPDX-License-Identifier: ISC */
/*
 * broker: who may connect, and where to.  It counts clients, picks and
 * connects inner servers, keeps their capability lists, and never sees a
 * password, a key or an octet of mail.
 */
#ifndef BROKER_H
#define BROKER_H

#include "role.h"

/* How many clients there can be at a time, all workers together. */
unsigned int broker_places(const struct conf *c);
#define BROKER_CLIENTS_MAX 1024 /* with a process each, and no limit set */

/*
 * Its further descriptors: the memory of the counters (limit.h), the ledger
 * (ledger.h), which the brokers of several masters share, and the counters of
 * old generations' brokers, the newest first.
 */
_Noreturn void broker_main(const struct role_start *start);
#define BROKER_BOOKS_MAX 64 /* of old generations */

#endif
