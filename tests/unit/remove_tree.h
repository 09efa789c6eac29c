/* SPDX-License-Identifier: ISC */
/* remove_tree: takes away what a test has made in a folder of its own. */
#ifndef REMOVE_TREE_H
#define REMOVE_TREE_H

#include <sys/stat.h>

#include <ftw.h>
#include <stdio.h>

static inline int
remove_tree_entry(
    const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

/* The folder and all that is in it; links are not followed.  0 or -1. */
static inline int
remove_tree(const char *path)
{
	return nftw(path, remove_tree_entry, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
