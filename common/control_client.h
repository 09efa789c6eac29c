/* SPDX-License-Identifier: ISC */
/*
 * control_client: the program that asks a daemon which runs: --status,
 * --sessions, --kick.
 */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include "conf.h"

/*
 * Ask at the socket that c says, print the answer, and return the exit status
 * (enum control_status).  cmd asks for one of these three.
 */
int control_client(
    const struct conf *c, const char *daemon, const struct conf_command *cmd);

/* Does it?  And for what may stand beside it, an error for the terminal. */
bool control_client_is_asked(const struct conf_command *cmd);
const char *control_client_fault(const struct conf_command *cmd);

#endif
