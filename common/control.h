/* SPDX-License-Identifier: ISC */
/*
 * control: the role behind the control socket.  It tells an administrator how
 * the daemon is and who is connected, and has sessions ended.  It has no keys
 * and no clients, and can do nothing but ask: the master, which processes
 * there are; workers, for their sessions; the broker, for inner servers.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "role.h"

/* HANDOVER_ADMIT: who may ask, beside root. */
struct control_admit {
	uid_t owner; /* whom the daemon was started as */
	gid_t group;
	bool has_group;
};

_Noreturn void control_main(const struct role_start *start);

#endif
