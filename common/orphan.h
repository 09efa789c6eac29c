/* SPDX-License-Identifier: ISC */
/*
 * orphan: a fork(3) whose child is not ours but our parent's, as clone(2) makes
 * it with CLONE_PARENT.
 */
#ifndef ORPHAN_H
#define ORPHAN_H

#include <sys/types.h>

/*
 * Fork; what was forked calls run(arg), which does not return, when it has its
 * parent: the nearest process above us that is a subreaper
 * (PR_SET_CHILD_SUBREAPER).  told(arg, pid) is called before that, so that what
 * it says is there before the child can end: it may send, and no more.  0, or
 * -1 with errno: nothing was forked.
 */
int orphan_fork(
    void (*run)(void *arg), void (*told)(void *arg, pid_t pid), void *arg);

#endif
