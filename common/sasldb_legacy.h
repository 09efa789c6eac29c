/* SPDX-License-Identifier: ISC */
/*
 * sasldb_legacy: does sasldb hold secrets as Cyrus SASL 1 had them?  Today's
 * saslpasswd2 writes none, but libsasl2 asks for one with each password that
 * it checks, and opens the file a second time for that.
 */
#ifndef SASLDB_LEGACY_H
#define SASLDB_LEGACY_H

#include <sys/stat.h>

#include <stdbool.h>

/* The property; libsasl2 puts an asterisk before the name. */
#define SASLDB_LEGACY_PROPERTY "cmusaslsecretPLAIN"

/* What was found, and in which state of the file; zeroed at first. */
struct sasldb_legacy {
	bool looked, found;
	struct stat file;
};

/*
 * May there be such a secret in the file at path?  It is looked through when
 * it has changed since the last call.  True also when that is not to be known:
 * the file cannot be read, is big, or has changed just now, so that it may
 * change again without another time stamp.
 */
bool sasldb_legacy_may_be(struct sasldb_legacy *l, const char *path);

#endif
