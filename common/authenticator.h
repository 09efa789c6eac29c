/* SPDX-License-Identifier: ISC */
/*
 * authenticator: decides, by Cyrus SASL, whether clients are who they say.
 * It holds any number of exchanges that wait for their clients, over one
 * channel to each worker, and runs one step at a time: libsasl2 blocks, so the
 * broker knows of each step, and has one that does not come back replaced.
 */
#ifndef AUTHENTICATOR_H
#define AUTHENTICATOR_H

#include "role.h"

_Noreturn void authenticator_main(const struct role_start *start);

#endif
