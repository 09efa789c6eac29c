/* SPDX-License-Identifier: ISC */
/*
 * smtp_record: an event of smtp_log as it goes from the worker to the master.
 */
#ifndef SMTP_RECORD_H
#define SMTP_RECORD_H

#include "msg.h"
#include "smtp_log.h"

/* Texts are cut to what a record holds; *m views them where *e does. */
void smtp_record_put(const struct smtp_log_event *e, struct msg_record *m);

/* False: no such event, or fields that it does not have. */
bool smtp_record_get(const struct msg_record *m, struct smtp_log_event *e);

/* protocol.format_record, .record_accuses, .record_ident */
int smtp_record_format(
    const struct msg_record *m, char dst[static LOG_LINE_MAX]);
bool smtp_record_accuses(const struct msg_record *m);
void smtp_record_ident(const struct msg_record *m, const char *ident,
    char dst[static LOG_IDENT_MAX]);

#endif
