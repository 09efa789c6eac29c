/* SPDX-License-Identifier: ISC */
/*
 * sender_map: whose the senders' addresses are, from a text file in the form
 * of Postfix's smtpd_sender_login_maps: "SENDER LOGIN[, LOGIN...]" in a line.
 */
#ifndef SENDER_MAP_H
#define SENDER_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define SENDER_MAP_MAX (16 * 1024 * 1024) /* octets of a file */
#define SENDER_MAP_ERROR_MAX 1024

struct sender_map;

/* A file's text.  NULL: line *line is no good, and *why (static) tells why. */
struct sender_map *sender_map_parse(
    struct text t, size_t *line, const char **why);

/*
 * The same on the file at path, which error (a sentence with "name:line: " in
 * front) calls name.
 */
struct sender_map *sender_map_read(const char *path, const char *name,
    char error[static SENDER_MAP_ERROR_MAX]);
void sender_map_free(struct sender_map **m);

/*
 * May user send as sender (an address as it stands in a path, at most
 * MSG_SENDER_MAX octets)?  The first entry that there is decides: that of
 * user@domain, of user@domain without "+extension", of @domain.  Letter case
 * does not matter.  A sender without an entry is nobody's.
 */
bool sender_map_owns(
    const struct sender_map *m, struct text sender, struct text user);

#endif
