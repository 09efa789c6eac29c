/* SPDX-License-Identifier: ISC */
/*
 * metrics: the role that tells what all have counted, by HTTP.  It can do
 * nothing but read the pages (stats.h) and answer on the listener that it was
 * born with.
 */
#ifndef METRICS_H
#define METRICS_H

#include "role.h"

_Noreturn void metrics_main(const struct role_start *start);

#endif
