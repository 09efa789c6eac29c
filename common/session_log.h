/* SPDX-License-Identifier: ISC */
/*
 * session_log: an event in a session's life as the line that Perdition's
 * users and their filters know.  Runs in the master; the event comes from a
 * worker, so every text of it is escaped (text_printable) and bounded.
 */
#ifndef SESSION_LOG_H
#define SESSION_LOG_H

#include "conf.h"
#include "msg.h"

/*
 * Write the line into dst and return the syslog level it goes out with.
 * server is out of conf->servers by number; protocol by client_secure (SSL:
 * the name for implicit TLS).
 */
int session_log_format(
    const struct conf *c, const struct msg_event *e, char *dst, size_t size);

#endif
