/* SPDX-License-Identifier: ISC */
/*
 * priv: from root to a user without rights: chroot, groups, user, resource
 * limits, and a check that there is no way back.  Linux; foreign doors:
 * capset(2), prctl(2).
 */
#ifndef PRIV_H
#define PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct priv_user {
	uid_t uid;
	gid_t gid;
	bool has_extra; /* one supplementary group, or none at all */
	gid_t extra;
};

/* Look name up (group NULL: the user's own).  -1: no such user or group. */
int priv_lookup(const char *user, const char *group, struct priv_user *out);
int priv_lookup_group(const char *name, gid_t *out); /* -1: none such */

bool priv_am_root(void);

/*
 * chroot to root (NULL: do not), change to user (NULL: do not) with no
 * supplementary groups but its extra one, drop every capability, and verify
 * that uid 0 cannot be had back.  fatal() when any of it fails: a role never
 * runs half dropped.
 */
void priv_drop(const char *root, const struct priv_user *user);

/*
 * For every role: no core, not dumpable, no new privileges, no new processes
 * (RLIMIT_NPROC, which does not bind root) unless it forks, parent's death
 * kills.  files is
 * RLIMIT_NOFILE (0: leave), cut to the hard limit with a warning;
 * RLIMIT_FSIZE, where no_files is set, is 0, so that stderr must not be a
 * file any more.  To be called after priv_drop(), since a change of user
 * makes a process dumpable again.
 */
void priv_harden(unsigned int files, bool no_files, bool forks);

/*
 * The master: root with only the capabilities it needs, in the permitted,
 * effective and bounding set (CHOWN, DAC_READ_SEARCH, FOWNER, KILL, SETGID,
 * SETUID, SYS_CHROOT, NET_BIND_SERVICE, what raising limits takes, and
 * SETPCAP for the roles' bounding sets); no inheritable or ambient ones.
 * Does nothing when not root.  0 or -1.
 */
int priv_trim_master(void);

/*
 * This process, and those that it forks, have no more memory of their own
 * (RLIMIT_DATA): what wants more ends.
 */
void priv_limit_memory(size_t octets);

#endif
