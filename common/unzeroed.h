/* SPDX-License-Identifier: ISC */
/*
 * UNZEROED: for buffers of kilobytes on the stack that are written before
 * they are read, once for each message or line.  We are built so that the
 * compiler zeroes whatever has no initial value
 * (-ftrivial-auto-var-init=zero), which would cost more than their use.
 */
#ifndef UNZEROED_H
#define UNZEROED_H

#define UNZEROED __attribute__((uninitialized))

#endif
