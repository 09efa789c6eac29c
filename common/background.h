/* SPDX-License-Identifier: ISC */
/*
 * background: a daemon that is started by hand goes into the background, and
 * whoever has started it waits until it serves.
 */
#ifndef BACKGROUND_H
#define BACKGROUND_H

/*
 * Returns in the child, with a descriptor for background_ready().  The parent
 * ends when that is called, or with status 1 when the child ends before.
 */
int background_enter(void);

/* It serves: let go of the terminal, and of the parent (closes the fd). */
void background_ready(int parent);

#endif
