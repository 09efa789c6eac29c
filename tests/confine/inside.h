/* SPDX-License-Identifier: ISC */
/*
 * inside_calls: what a confined role tries, by name.  Arguments do no harm
 * should a call get through.
 */
#ifndef INSIDE_H
#define INSIDE_H

#include <stddef.h>
#include <stdint.h>

struct inside_call {
	const char *name;
	/* -1 with errno, as a system call; NULL: it is one */
	long (*run)(const char *path, uint16_t port);
	long nr;
	long args[6];
};

extern const struct inside_call inside_calls[];
extern const size_t inside_ncalls;

#endif
