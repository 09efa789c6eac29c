/* SPDX-License-Identifier: ISC */
/* A client's connection: TCP, TLS, octets both ways, its end. */
#ifndef LOAD_SESSION_H
#define LOAD_SESSION_H

#include "load.h"

/* The client's side of TLS for all sessions. */
SSL_CTX *session_context(const struct load_options *o);

/* Opens a connection in a free slot. */
void session_begin(struct session *s, bool silent);

/* Goes as far as it goes now; it may end the session. */
void session_drive(struct session *s);

/* Ends a session, well (why is NULL) or not; its slot is free again. */
void session_end(struct session *s, const char *why);

#endif
