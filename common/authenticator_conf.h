/* SPDX-License-Identifier: ISC */
/*
 * authenticator_conf: Cyrus SASL's configuration of an application, a file of
 * lines "option: value".  The master finds the file and looks whether it has
 * a good form; authenticators give its values to libsasl2, which never reads
 * it by itself.  No I/O here but sasl_conf_find().
 */
#ifndef AUTHENTICATOR_CONF_H
#define AUTHENTICATOR_CONF_H

#include <stddef.h>

#include "text.h"

/*
 * The first application.conf in folders (parted by colons) that there is, to
 * be freed; NULL with errno ENOENT: there is none.
 */
char *sasl_conf_find(const char *folders, const char *application);

struct sasl_conf;

/* NULL: line *bad (counted from 1) has no good form. */
struct sasl_conf *sasl_conf_new(struct text file, size_t *bad);
void sasl_conf_free(struct sasl_conf **c);

/* The value of option, or NULL.  As in Cyrus SASL the first one holds. */
const char *sasl_conf_get(const struct sasl_conf *c, const char *option);

/*
 * LOGIN needs no plugin of the library's, as it is spoken by our own code: add
 * it to list, of size octets, where model (mech_list) names it or is empty.
 */
void sasl_conf_add_login(char *list, size_t size, struct text model);

/*
 * Words (parted by blanks) in the order in which model has them, those that
 * it has not behind the others.  dst has room for words.len octets and a NUL.
 */
void sasl_conf_sort(struct text words, struct text model, char *dst);

#endif
