/* SPDX-License-Identifier: ISC */
/*
 * sandbox: the last step of confinement, in every role, after
 * libraries have opened what they need and before anything from outside is
 * read.  Landlock and seccomp overlap on purpose: a hole in one, or a kernel
 * without it, leaves the other.
 */
#include <sys/prctl.h>

#include "log.h"
#include "sandbox.h"
#include "sandbox_landlock.h"
#include "sandbox_seccomp.h"

unsigned int
sandbox_enter(const struct sandbox *s)
{
	unsigned int missing;

	if (s->role == ROLE_MASTER || s->role >= ROLE_MAX)
		fatalx("no sandbox for this role");
	/* With it a filter holds for whatever could be executed, too. */
	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) != 1)
		fatalx("sandbox: no_new_privs is not set");
	missing = sandbox_landlock(s);
	return missing | sandbox_seccomp(s->filter); /* refuses Landlock */
}

void
sandbox_enter_master(void)
{
	struct buf filter;

	buf_init(&filter, SANDBOX_FILTER_MAX);
	sandbox_compile_master(&filter);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == -1)
		fatal("no_new_privs");
	(void)sandbox_seccomp(buf_view(&filter));
	buf_free(&filter);
}
